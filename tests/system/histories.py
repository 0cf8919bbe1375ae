# SPDX-License-Identifier: Apache-2.0
"""What many clients did to a registry at once, and whether one registry with one order of changes can have answered so.

    history = History()
    history.add(Operation("put", "lib/a", start, end, OK, tag="v1", digest=d))
    problems = check(history, images)              [] or texts, each with the excerpt that shows it

A tag is a register: its value is a digest or nothing. So is a manifest: there or not. Each operation takes effect at one moment between
its start and its end, and its answer fits the moment (Herlihy and Wing: linearizability). What is not known to have happened (no
answer, 5xx) happened once at any time after its start, or never. Who may believe memory for a lease is looked at as if his reads had begun a lease earlier.

The search goes through starts and ends in their order and keeps all states that are possible (Lowe's just-in-time linearization): an operation
takes effect when its end forces it to, in each order with what else is under way. A read that fits is taken at once, which loses nothing, since it
changes nothing. An operation of unknown outcome is used only when an answer would not fit otherwise, directly before it.

Blobs are simpler: a push and a deletion may be done in several steps, so only what contradicts every order is a fault.
"""
import collections

OK, REFUSED, UNKNOWN = "ok", "refused", "unknown"
NEVER = float("inf")

# More possible states than this, and the register is given up as undecided.
STATES_MAX = 20000


class Operation:
    """One request and its answer.

    kind      put, delete tag, delete digest, get, list, push blob, delete blob, get blob, mount
    outcome   OK: done, or found. REFUSED: answered, nothing was done (404: not there). UNKNOWN
    found     get: the digest that was answered, or None. list: a set of tags
    lease     seconds that the answer may be old
    """
    __slots__ = ("kind", "name", "start", "end", "outcome", "status", "tag", "digest", "found", "lease", "client", "worker")

    def __init__(self, kind, name, start, end, outcome, status=0, tag=None, digest=None, found=None, lease=0.0, client="", worker=""):
        self.kind, self.name, self.start, self.end, self.outcome, self.status = kind, name, start, end, outcome, status
        self.tag, self.digest, self.found, self.lease, self.client, self.worker = tag, digest, found, lease, client, worker

    def text(self, zero=0.0):
        what = f"{self.kind} {self.name}" + (f":{self.tag}" if self.tag else "") + (f" {short(self.digest)}" if self.digest else "")
        if self.kind == "get" and self.outcome == OK:
            what += f" -> {short(self.found)}"
        end = "      ..." if self.end == NEVER else f"{(self.end - zero) * 1000:9.1f}"
        return f"{(self.start - zero) * 1000:9.1f} {end} ms  {self.client:>9} at {self.worker:<9} {what}: {self.outcome} {self.status or ''}"


def short(digest):
    return str(digest).partition(":")[2][:8] or str(digest)


class History:
    def __init__(self):
        self.operations = []

    def add(self, operation):
        self.operations.append(operation)

    def __len__(self):
        return len(self.operations)


# ---- a register ----

# What an answer says of the value at its moment.
ANY, PRESENT, ABSENT, IS, NOT = "any", "present", "absent", "is", "not"
# What becomes of the value.
KEEP, SET, CLEAR, CLEAR_IF = "keep", "set", "clear", "clear if"


class Step:
    """An operation as one register sees it. optional: it may never have happened."""
    __slots__ = ("start", "end", "needs", "need", "does", "value", "optional", "of")

    def __init__(self, start, end, needs, need, does, value, optional, of):
        self.start, self.end, self.needs, self.need, self.does, self.value = start, end, needs, need, does, value
        self.optional, self.of = optional, of

    def fits(self, value):
        needs = self.needs
        if needs is ANY:
            return True
        if needs is PRESENT:
            return value is not None
        if needs is ABSENT:
            return value is None
        return (value == self.need) == (needs is IS)

    def after(self, value):
        does = self.does
        if does is KEEP:
            return value
        if does is SET:
            return self.value
        if does is CLEAR:
            return None
        return None if value == self.value else value


class Violation(Exception):
    def __init__(self, step, values):
        super().__init__()
        self.step, self.values = step, values


class Undecided(Exception):
    pass


# value, bits of those under way that took effect, (optional effect, how often it was used)...
State = collections.namedtuple("State", "value done used")


class Register:
    """The search over one register's steps. Those under way have a bit each. Optional steps of one effect are interchangeable: they are counted.

    thorough: optional steps are tried everywhere. Else only where nothing else explains an answer: what is found to be right so is right, and much sooner.
    """

    def __init__(self, steps, thorough=True):
        self.thorough = thorough
        events = []
        for i, step in enumerate(steps):
            events.append((step.start, 0, i))
            if not step.optional:
                events.append((step.end, 1, i))
        self.steps, self.events = steps, sorted(events)
        self.bits, self.free, self.changes = {}, [], {}
        # Reads under way, by what they need.
        self.reads = self.present = self.absent = self.nots = 0
        self.exact, self.other = collections.defaultdict(int), collections.defaultdict(int)
        self.begun = collections.Counter()  # optional ones: (does, value)
        self.states = {State(None, 0, ())}

    def run(self):
        for _, is_end, i in self.events:
            step = self.steps[i]
            if is_end:
                self.finish(i, step)
            elif step.optional:
                self.begun[step.does, step.value] += 1
            else:
                self.begin(i, step)

    def begin(self, i, step):
        bit = self.bits[i] = self.free.pop() if self.free else 1 << len(self.bits)
        if step.does is not KEEP:
            self.changes[i] = step
            return
        self.note(step, bit)
        self.states = {State(s.value, s.done | bit, s.used) if step.fits(s.value) else s for s in self.states}

    def note(self, step, bit):
        """A read comes or goes."""
        self.reads ^= bit
        if step.needs is PRESENT:
            self.present ^= bit
        elif step.needs is ABSENT:
            self.absent ^= bit
        elif step.needs is IS:
            self.exact[step.need] ^= bit
        else:
            self.nots ^= bit
            self.other[step.need] ^= bit

    def fitting(self, value):
        """Reads that the value fits."""
        found = self.exact.get(value, 0) | (self.absent if value is None else self.present)
        return found | self.nots & ~self.other.get(value, 0) if self.nots else found

    def finish(self, i, step):
        bit = self.bits[i]
        found = self.after(bit, self.thorough) or self.after(bit, True)
        if not found:
            raise Violation(step, {s.value for s in self.states})
        if step.does is KEEP:
            self.note(step, bit)
        else:
            del self.changes[i]
        del self.bits[i]
        self.free.append(bit)
        self.states = {State(s.value, s.done & ~bit, s.used) for s in found}
        if len(self.states) > 64:
            self.states = without_worse(self.states, self.reads)
        if len(self.states) > STATES_MAX:
            raise Undecided

    def after(self, bit, optional):
        found = set()
        for state in self.states:
            if state.done & bit:
                found.add(state)
            else:
                self.force(bit, state, found, optional)
        return found

    def force(self, bit, state, found, optional):
        """All states in which the step with this bit has taken effect, and no more than it needs."""
        seen, todo = {state}, [state]
        while todo:
            for following in self.turns(todo.pop(), optional):
                if following.done & bit:
                    found.add(following)
                elif following not in seen:
                    seen.add(following)
                    todo.append(following)
            if len(seen) + len(found) > STATES_MAX:
                raise Undecided

    def turns(self, state, optional):
        left = self.left(state) if optional and self.begun else {}
        for j, step in self.changes.items():
            bit = self.bits[j]
            if state.done & bit:
                continue
            if step.fits(state.value):
                yield self.settle(step.after(state.value), state.done | bit, state.used)
            for value, used in self.reach(state, left, step) if left else ():
                done = state.done | self.fitting(value)
                yield self.settle(step.after(value), done | bit, used)
        if left and self.reads & ~state.done:
            yield from self.read_by_optional(state, left)

    def settle(self, value, done, used):
        return State(value, done | self.fitting(value), used)

    # Optional steps.

    def left(self, state):
        used = dict(state.used)
        return {effect: n - used.get(effect, 0) for effect, n in self.begun.items() if n > used.get(effect, 0)}

    def reach(self, state, left, step):
        """(value, used) that optional steps make of the state for a change that needs them: to fit, or to have what it removes."""
        if step.does is CLEAR_IF and state.value != step.value:
            if (SET, step.value) in left:
                yield step.value, use(state.used, (SET, step.value))
        elif not step.fits(state.value):
            for effect in left:
                if effect[0] is SET and step.fits(effect[1]):
                    yield effect[1], use(state.used, effect)
            if step.fits(None):
                yield from self.nothing(state, left)

    def read_by_optional(self, state, left):
        waiting = self.reads & ~state.done
        for effect in left:
            if effect[0] is SET and waiting & self.fitting(effect[1]):
                yield self.settle(effect[1], state.done, use(state.used, effect))
        if state.value is not None and waiting & self.fitting(None):
            for value, used in self.nothing(state, left):
                yield self.settle(value, state.done, used)

    @staticmethod
    def nothing(state, left):
        """The value goes; what can do nothing else is taken before what can."""
        if (CLEAR_IF, state.value) in left:
            yield None, use(state.used, (CLEAR_IF, state.value))
        elif (CLEAR, None) in left:
            yield None, use(state.used, (CLEAR, None))
        else:
            for effect in left:
                # Brought, and taken away again.
                if effect[0] is SET and (CLEAR_IF, effect[1]) in left:
                    yield None, use(use(state.used, effect), (CLEAR_IF, effect[1]))


def search(steps):
    try:
        Register(steps, thorough=False).run()
    except (Violation, Undecided):
        Register(steps).run()


def use(used, effect):
    counts = dict(used)
    counts[effect] = counts.get(effect, 0) + 1
    return tuple(sorted(counts.items(), key=repr))


def without_worse(states, reads):
    """Of two that differ only in reads that are over and in optional ones that are used, the one that has more of those and less of these is enough."""
    kept, groups = set(), collections.defaultdict(list)
    for state in states:
        groups[state.value, state.done & ~reads].append((state, dict(state.used)))
    for group in groups.values():
        group.sort(key=lambda pair: (sum(pair[1].values()), -pair[0].done.bit_count()))
        best = []
        for state, used in group:
            if not any(not state.done & ~other.done and all(used.get(e, 0) >= n for e, n in theirs.items()) for other, theirs in best):
                best.append((state, used))
        kept.update(state for state, _ in best)
    return kept


# ---- from operations to registers ----

def tag_steps(operation, tag):
    """None, or what the operation is for this tag."""
    o, unknown = operation, operation.outcome == UNKNOWN
    end = NEVER if unknown else o.end
    if o.kind == "put" and o.tag == tag and o.outcome != REFUSED:
        return Step(o.start, end, ANY, None, SET, o.digest, unknown, o)
    if o.kind == "delete tag" and o.tag == tag:
        if unknown:
            return Step(o.start, end, ANY, None, CLEAR, None, True, o)
        return Step(o.start, end, PRESENT, None, CLEAR, None, False, o) if o.outcome == OK else \
            Step(o.start, end, ABSENT, None, KEEP, None, False, o)
    if o.kind == "delete digest" and (o.outcome != REFUSED or o.status == 404):
        if o.outcome == REFUSED:
            return Step(o.start, end, NOT, o.digest, KEEP, None, False, o)
        return Step(o.start, end, ANY, None, CLEAR_IF, o.digest, unknown, o)
    if o.outcome == UNKNOWN:
        return None
    start = o.start - o.lease
    if o.kind == "get" and o.tag == tag:
        return Step(start, end, IS if o.outcome == OK else ABSENT, o.found, KEEP, None, False, o)
    if o.kind == "list":
        return Step(start, end, PRESENT if tag in o.found else ABSENT, None, KEEP, None, False, o)
    return None


def digest_steps(operation, digest):
    o, unknown = operation, operation.outcome == UNKNOWN
    end = NEVER if unknown else o.end
    if o.kind == "put" and o.outcome != REFUSED:
        return Step(o.start, end, ANY, None, SET, digest, unknown, o)
    if o.kind == "delete digest":
        if unknown:
            return Step(o.start, end, ANY, None, CLEAR, None, True, o)
        if o.outcome == OK:
            return Step(o.start, end, PRESENT, None, CLEAR, None, False, o)
        return Step(o.start, end, ABSENT, None, KEEP, None, False, o) if o.status == 404 else None
    if unknown or o.kind != "get":
        return None
    return Step(o.start - o.lease, end, PRESENT if o.outcome == OK else ABSENT, None, KEEP, None, False, o)


def registers(operations):
    """{(name, tag or digest): steps}"""
    tags, pushed, found = collections.defaultdict(set), collections.defaultdict(set), {}
    for o in operations:
        if o.tag:
            tags[o.name].add(o.tag)
        if o.kind == "list" and o.found:
            tags[o.name].update(o.found)
        if o.kind == "put" and o.tag and o.outcome != REFUSED:
            pushed[o.name, o.tag].add(o.digest)

    def add(key, step):
        if step:
            found.setdefault(key, []).append(step)

    for o in operations:
        if o.kind in ("put", "delete tag", "get") and o.tag:
            add((o.name, o.tag), tag_steps(o, o.tag))
        elif o.kind == "delete digest":
            for tag in tags[o.name]:
                if o.digest in pushed[o.name, tag]:
                    add((o.name, tag), tag_steps(o, tag))
        elif o.kind == "list":
            for tag in tags[o.name]:
                add((o.name, tag), tag_steps(o, tag))
        digest = o.digest or (o.found if o.kind == "get" else None)
        if o.kind in ("put", "delete digest", "get") and digest:
            add((o.name, digest), digest_steps(o, digest))
    return found


def excerpt(steps, violation, changes=14, answers=10, same=3):
    """The last changes and answers before and beside the one that fits nowhere, the last of its value, and what could have been there."""
    zero = min(step.of.start for step in steps)
    until = violation.step.end
    before = sorted((s for s in steps if s.of.start <= until and s is not violation.step), key=lambda s: s.of.start)
    kept = {violation.step, *[s for s in before if s.does is not KEEP][-changes:], *[s for s in before if s.does is KEEP][-answers:]}
    if violation.step.need:
        kept.update([s for s in before if s.does is not KEEP and s.value == violation.step.need][-same:])
    lines = [("> " if s is violation.step else "  ") + s.of.text(zero) for s in sorted(kept, key=lambda s: s.of.start)]
    values = ", ".join(sorted("nothing" if v is None else short(v) for v in violation.values))
    return "\n".join(lines + [f"  before the marked one ends there can only have been: {values}"])


def check_registers(operations):
    problems, undecided, steps_len = [], 0, 0
    for (name, what), steps in registers(operations).items():
        steps_len += len(steps)
        try:
            search(steps)
        except Violation as violation:
            problems.append(f"{name} {what if len(what) < 40 else short(what)}: no order explains these answers\n{excerpt(steps, violation)}")
        except Undecided:
            undecided += 1
    return problems, undecided, steps_len


# ---- blobs ----

def check_blobs(operations):
    """Found: somebody pushed it, and no deletion ended that push for certain. Not found: no push stands for certain."""
    problems, by_key = [], collections.defaultdict(lambda: ([], [], []))
    for o in operations:
        pushes, deletions, looks = by_key[o.name, o.digest]
        if o.kind in ("push blob", "mount") and o.outcome != REFUSED:
            pushes.append(o)
        elif o.kind == "delete blob" and o.outcome != REFUSED:
            deletions.append(o)
        elif o.kind == "get blob" and o.outcome != UNKNOWN or o.kind == "delete blob" and o.status == 404:
            looks.append(o)
    for (name, digest), (pushes, deletions, looks) in by_key.items():
        for look in looks:
            complaint = doubt(look, pushes, deletions)
            if complaint:
                beside = [o for o in pushes + deletions + looks if o.start <= look.end]
                zero = min(o.start for o in beside)
                lines = [("> " if o is look else "  ") + o.text(zero) for o in sorted(beside, key=lambda o: o.start)[-24:]]
                problems.append(f"{name} blob {short(digest)}: {complaint}\n" + "\n".join(lines))
                break
    return problems


def ends(operation):
    return NEVER if operation.outcome == UNKNOWN else operation.end


def doubt(look, pushes, deletions):
    if look.outcome == OK:
        for push in pushes:
            if push.start <= look.end and not any(
                    d.outcome == OK and d.start >= ends(push) and d.end <= look.start for d in deletions):
                return None
        return "found, though nobody can have pushed it since it was deleted"
    certain = [p for p in pushes if p.outcome == OK and p.end <= look.start]
    for push in certain:
        if not any(d.start <= look.end and ends(d) >= push.start for d in deletions):
            return "not found, though it was pushed and nobody deleted it since"
    return None


# ---- images ----

def check_images(operations, images):
    """images: {manifest digest: [blob digests]}. No blob of an image is deleted while the image is certainly there, and
    none is taken whose blob is certainly gone, or refused for blobs that nobody ever deleted."""
    problems = []
    puts, removals, blobs, deleted = (collections.defaultdict(list) for _ in range(4))
    for o in operations:
        if o.kind == "put":
            puts[o.name, o.digest].append(o)
        elif o.kind == "delete digest" and o.outcome != REFUSED:
            removals[o.name, o.digest].append(o)
        elif o.kind in ("push blob", "mount") and o.outcome != REFUSED:
            blobs[o.name, o.digest].append(o)
        elif o.kind == "delete blob" and o.outcome != REFUSED:
            deleted[o.name, o.digest].append(o)
    for (name, digest), those in puts.items():
        named = [(blobs[name, blob], deleted[name, blob]) for blob in images.get(digest, ())]
        for pushes, deletions in named:
            problems += blob_against_image(those, removals[name, digest], pushes, deletions)
        for put in those:
            if named and put.outcome == REFUSED and put.status == 404 and all(
                    not deletions and any(p.outcome == OK and p.end <= put.start for p in pushes) for pushes, deletions in named):
                problems.append(told("an image was refused though its blobs are there", put))
                break
    return problems


def blob_against_image(puts, removals, pushes, deletions):
    for deletion in deletions:
        if deletion.outcome != OK:
            continue
        for put in puts:
            if put.outcome != OK:
                continue
            if put.end <= deletion.start and not any(r.start <= deletion.end and ends(r) >= put.start for r in removals):
                return [told("a blob was deleted though an image names it", put, deletion)]
            if deletion.end <= put.start and not any(p.start <= put.end and ends(p) >= deletion.start for p in pushes):
                return [told("an image was taken though its blob had been deleted", put, deletion)]
    return []


def told(what, *operations):
    zero = min(o.start for o in operations)
    return "\n".join([f"{operations[0].name}: {what}", *["  " + o.text(zero) for o in sorted(operations, key=lambda o: o.start)]])


def check(history, images=None):
    """(problems, summary)"""
    operations = sorted(history.operations, key=lambda o: o.start)
    problems, undecided, steps = check_registers(operations)
    problems += check_blobs(operations) + check_images(operations, images or {})
    kinds = collections.Counter(o.kind for o in operations)
    unknown = sum(o.outcome == UNKNOWN for o in operations)
    summary = (f"{len(operations)} operations ({', '.join(f'{n} {k}' for k, n in sorted(kinds.items()))}; {unknown} of unknown outcome), "
               f"{steps} steps checked, {undecided} registers undecided")
    return problems, summary
