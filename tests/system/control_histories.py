# SPDX-License-Identifier: Apache-2.0
"""What clients and admins saw of a cluster, and whether docs/cluster-protocol.md allows it.

    history = History()
    history.calls.append(Call("key", "worker-0", "2026-11-20", begin, end, 200))
    history.changes.append(Change("key", begin, end, quota=100, enabled=True, applied=end + 0.1))
    problems = check_quotas(history) + check_access(history) + check_sums(history, merged)

Times are of one clock. A call is admitted (200, 404), refused (429), not let in (401), or nobody knows (None). A change holds from `applied` on,
when every worker that runs has it; between begin and applied either may hold. What a fault may cost is written down when it is done:

    kills     merged calls may lack those that were counted after the last write of a journal
    lacking   the same, so many, since the copy to which a leader was put back
    windows   a worker has started from its disk, and has not yet heard what changed meanwhile
"""
import collections
import dataclasses

ADMITTED = (200, 404)
SAVE_S = 3.0  # what a worker was told so long before its end may not be on its disk
MERGE_S = 5.0  # a call without a quota may be on its way to the leader for so long


@dataclasses.dataclass
class Call:
    key: str
    worker: str
    day: str
    begin: float
    end: float
    status: int | None

    @property
    def is_admitted(self):
        return self.status in ADMITTED

    @property
    def may_count(self):
        return self.status is None or self.is_admitted


@dataclasses.dataclass
class Change:
    """known: False where nobody knows whether it was made."""
    key: str
    begin: float
    end: float
    quota: int
    enabled: bool
    applied: float | None = None
    known: bool = True


@dataclasses.dataclass
class Window:
    worker: str
    ended: float  # the process of before
    begin: float
    end: float


@dataclasses.dataclass
class Kill:
    """What ended before `since` had been written down."""
    worker: str
    since: float
    at: float


@dataclasses.dataclass
class Span:
    """A time in which one setting of a key holds at all workers."""
    quota: int
    enabled: bool
    begin: float
    end: float


class History:
    def __init__(self):
        self.calls, self.changes, self.windows, self.kills = [], [], [], []
        self.lacking = collections.Counter()  # by (key, day)

    def keys(self):
        return sorted({change.key for change in self.changes})

    def days(self, key):
        return sorted({call.day for call in self.calls if call.key == key})

    def of(self, key, day=None):
        return [call for call in self.calls if call.key == key and day in (None, call.day)]

    def spans(self, key, field):
        """Those that are sure. A change of something else does not end one."""
        changes = []
        for change in sorted((c for c in self.changes if c.key == key), key=lambda c: c.begin):
            last = changes[-1] if changes else None
            if not (last and last.known and change.known and getattr(last, field) == getattr(change, field)):
                changes.append(change)
        spans = []
        for n, change in enumerate(changes):
            end = changes[n + 1].begin if n + 1 < len(changes) else float("inf")
            if change.known and change.applied is not None and change.applied < end:
                spans.append(Span(change.quota, change.enabled, change.applied, end))
        return spans

    def is_loose(self, call):
        """Through a worker that had just started and could not know all."""
        return any(w.worker == call.worker and call.end >= w.begin and call.begin <= w.end and
                   any(c.key == call.key and c.begin <= w.end and (c.applied is None or c.applied >= w.ended - SAVE_S) for c in self.changes)
                   for w in self.windows)

    def lost(self, key, day):
        """At most."""
        return sum(call.may_count and any(k.worker == call.worker and call.end >= k.since and call.begin <= k.at for k in self.kills)
                   for call in self.of(key, day))

    def is_starting(self, call):
        return any(w.worker == call.worker and call.end >= w.begin and call.begin <= w.end for w in self.windows)

    def moved(self, key):
        """Calls that may be counted for another day: who has just started knows no day but that of its own clock."""
        return sum(call.may_count and self.is_starting(call) for call in self.of(key))

    def had_no_quota(self, key):
        return any(c.quota == 0 for c in self.changes if c.key == key)


def bounds(calls):
    """(admitted for certain, at most)"""
    return sum(c.is_admitted for c in calls), sum(c.may_count for c in calls)


def check_sum(what, calls, found, excuse, moved=0):
    least, most = bounds(calls)
    if found > most + moved:
        return [f"{what}: {found} calls merged, at most {most} were admitted ({moved} may be another day's): counted twice"]
    if found < least - excuse - moved:
        return [f"{what}: {found} calls merged, {least} were admitted ({excuse} may be lost, {moved} another day's): lost"]
    return []


def check_sums(history, merged):
    """merged: calls by (key, day), as the leader has them in the end. Each admitted call is there, once, and on its day."""
    problems = []
    for key in history.keys():
        days = sorted(set(history.days(key)) | {d for k, d in [*merged, *history.lacking] if k == key})
        excuses = {day: history.lost(key, day) + history.lacking[key, day] for day in days}
        problems += check_sum(key, history.of(key), sum(merged.get((key, day), 0) for day in days), sum(excuses.values()))
        moved = history.moved(key)
        for day in days:
            problems += check_sum(f"{key} {day}", history.of(key, day), merged.get((key, day), 0), excuses[day], moved)
    return problems


def check_quota_of(history, key, day, span, calls):
    before = [c for c in calls if c.begin < span.begin]
    within = [c for c in calls if c.begin >= span.begin and c.end <= span.end]
    loose = sum(history.is_loose(c) for c in within)
    least, most = bounds(before)
    excuse = loose
    if history.had_no_quota(key):
        # Calls without a quota are no grants: the leader learns of them when they are merged, and may lose them with its store.
        excuse += history.lost(key, day) + history.lacking[key, day]
        # Or they are counted for another day.
        excuse += sum(c.may_count and (c.end >= span.begin - MERGE_S or history.is_starting(c)) for c in before)
    admitted = least + sum(c.is_admitted for c in within)
    if not any(c.is_admitted for c in within) or admitted <= max(span.quota, most) + excuse:
        return []
    return [f"{key} {day}: {admitted} calls admitted under a quota of {span.quota} that held from {span.begin:.3f} on "
            f"({least} to {most} before, {excuse} excused): over"]


def check_quotas(history):
    """Never over."""
    problems = []
    for key in history.keys():
        spans = [span for span in history.spans(key, "quota") if span.quota]
        for day in history.days(key):
            calls = history.of(key, day)
            for span in spans:
                problems += check_quota_of(history, key, day, span, calls)
    return problems


def check_access(history):
    """Never back: who is locked out stays out, and who is let in stays in."""
    problems = []
    for key in history.keys():
        calls = history.of(key)
        for span in history.spans(key, "enabled"):
            within = [c for c in calls if c.begin >= span.begin and c.end <= span.end and not history.is_loose(c)]
            wrong = [c for c in within if (c.status == 401 if span.enabled else c.is_admitted)]
            if wrong:
                c = wrong[0]
                problems.append(f"{key}: {len(wrong)} calls answered with {c.status} while the key was {'enabled' if span.enabled else 'disabled'}, the "
                                f"first at {c.worker}, {c.begin - span.begin:.3f} s after all workers knew: back")
    return problems


def check_patience(key, worker, remaining, begin, admitted, bound):
    """In quiet: while something remains a call is admitted within `bound` seconds. admitted: when, or None."""
    if remaining <= 0 or (admitted is not None and admitted - begin <= bound):
        return []
    took = "never" if admitted is None else f"after {admitted - begin:.1f} s"
    return [f"{key}: {remaining} calls remain, one at {worker} was admitted {took}, allowed are {bound:.1f} s: refused for long"]


def check_spent(history, key, day, quota):
    """After all was used that could be: nothing is lost to the quota. Only where nobody was killed and no store was put back."""
    most = bounds(history.of(key, day))[1] + history.moved(key)
    return [] if quota <= most else [f"{key} {day}: only {most} calls of {quota} could be used: lost to the quota"]


def check_same(what, wanted, found):
    """found: by worker."""
    return [f"{what} at {worker}: {value!r}, at the leader {wanted!r}: state differs" for worker, value in found.items() if value != wanted]
