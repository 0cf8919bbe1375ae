# SPDX-License-Identifier: Apache-2.0
"""Rounds of random calls, changes and faults; then everything is healed, and the whole history is checked (control_histories.py).

    ZOT_CONTROL_SEED=7    this round alone, again ("random": another set of rounds)
    SCALE=full            a thousand rounds

What was done stands in the round's operations.log; of a round that fails it is printed, with the seed.
"""
import contextlib
import dataclasses
import functools
import os
import random
import threading
import time

import pytest
import requests

from control_histories import Call, Change, History, Kill, Window, check_access, check_patience, check_quotas, check_same, check_spent, check_sums
from control_world import Answer, Key, World
from registry import await_true

SECONDS = 10
LEASE_MS, PUSH_MS = 1000, 150
# Where leaders are put back a worker that is stopped meanwhile must be heard within it, on a slow machine too.
GRANT_MS, GRANT_LONG_MS = 2000, 5000
QUIET_S = 4  # in which others give back what they hold
PATIENCE_S = 20  # one that must wait for another's grant to be over, on a machine that has other things to do
HEAL_S = 30


def seeds():
    one = os.environ.get("ZOT_CONTROL_SEED")
    if one and one != "random":
        return [int(one)]
    first = random.SystemRandom().randrange(10**6) if one else 1
    return range(first, first + (1000 if os.environ.get("SCALE") == "full" else 20))


@dataclasses.dataclass
class Account:
    """A key, and what the leader was told about it last."""
    name: str
    key: Key
    quota: int
    enabled: bool = True


class Gate:
    """Calls of clients go through; a barrier shuts it, and holds when none is under way."""

    def __init__(self):
        self.changed, self.under_way, self.shut = threading.Condition(), 0, False

    @contextlib.contextmanager
    def passing(self):
        with self.changed:
            self.changed.wait_for(lambda: not self.shut)
            self.under_way += 1
        try:
            yield
        finally:
            with self.changed:
                self.under_way -= 1
                self.changed.notify_all()

    @contextlib.contextmanager
    def barrier(self):
        with self.changed:
            self.shut = True
            assert self.changed.wait_for(lambda: not self.under_way, 60), "calls that do not end"
        try:
            yield
        finally:
            with self.changed:
                self.shut = False
                self.changed.notify_all()


class Weather:
    """What happens to the messages of all roads."""

    def __init__(self, seed):
        self.dice, self.strength, self.counts = random.Random(f"{seed}:weather"), 1.0, 0

    def rule(self, question):
        if question.kind == "other" or self.dice.random() > 0.25 * self.strength:
            return None
        self.counts += 1
        if question.kind == "state":
            return self.dice.choice(["lose", "lose answer", "twice", ("delay", self.dice.uniform(0, 0.5))])
        return self.dice.choice(["lose", "lose answer", "lose answer", "twice", ("delay", self.dice.uniform(0, 1)), ("delay", self.dice.uniform(0, 0.1)),
                                 ("late", self.dice.uniform(0.05, 3)), ("late", self.dice.uniform(0.05, 0.5))])

    def edit(self, question, answer):
        if question.kind != "state" or not answer.body or self.dice.random() > 0.05 * self.strength:
            return answer
        at = self.dice.randrange(len(answer.body))
        return Answer(answer.status, answer.headers, answer.body[:at] + bytes([answer.body[at] ^ (1 << self.dice.randrange(8))]) + answer.body[at + 1:])


def to_workers(what):
    """One such thing at a time."""
    @functools.wraps(what)
    def alone(self, worker, dice):
        with self.workers_lock:
            what(self, worker, dice)

    return alone


class Round:
    leaders = None  # one, with SQLite

    def __init__(self, seed):
        self.seed, self.dice = seed, random.Random(f"{seed}:round")
        self.history, self.gate, self.weather = History(), Gate(), Weather(seed)
        self.end, self.failures, self.lock = threading.Event(), [], threading.Lock()
        # Who does something to workers has the first, who changes something at the leader, or the leader, the second; in this order.
        self.workers_lock, self.leader_lock = threading.RLock(), threading.RLock()
        self.kills, self.restores, self.days = 0, 0, 0
        self.is_exact = seed % 2 == 1  # nobody is killed, and no leader put back: sums are exact
        self.grant_ms = GRANT_MS if self.is_exact else GRANT_LONG_MS
        self.world = World(workers=self.dice.choice([2, 2, 3]), lease_ms=LEASE_MS, push_ms=PUSH_MS, grant_ms=self.grant_ms, leaders=self.leaders)
        self.done = []

    def say(self, text):
        line = f"{time.monotonic() - self.begun:7.3f} {text}"
        self.done.append(line)
        with open(self.world.folder / "operations.log", "a") as log:
            log.write(line + "\n")

    # The run.

    def run(self):
        with self.world:
            self.begun = time.monotonic()
            self.accounts = [self.account(n, quota) for n, quota in enumerate([0, self.dice.randrange(20, 80), self.dice.randrange(200, 500), 100_000])]
            threads = [threading.Thread(target=self.guard, args=(what, n)) for what, n in
                       [(self.client, 0), (self.client, 1), (self.client, 2), (self.admin, 0), (self.watcher, 0)]]
            for thread in threads:
                thread.start()
            try:
                self.all_havoc()
                self.heal()
            finally:
                self.end.set()
                for thread in threads:
                    thread.join()
            if self.failures:
                raise self.failures[0]
            return self.judge()

    def guard(self, what, n, *more):
        try:
            what(random.Random(f"{self.seed}:{what.__name__}:{n}"), *more)
        except BaseException as failure:
            self.failures.append(failure)
            raise

    def account(self, n, quota):
        begin = time.monotonic()
        key = self.world.key(dailyQuota=quota)
        now = time.monotonic()
        self.history.changes.append(Change(f"key-{n}", begin, now, quota, True, applied=now))
        return Account(f"key-{n}", key, quota)

    def client(self, dice):
        while not self.end.is_set():
            with self.gate.passing():
                self.call(dice.choice(list(self.world.workers)), dice.choice(self.accounts))
            self.end.wait(dice.uniform(0, 0.02))

    def call(self, worker, account):
        day, begin = self.world.day(self.days), time.monotonic()
        status, headers = self.world.ask(worker, account.key, timeout=10)
        if status != 0:
            self.history.calls.append(Call(account.name, worker.name, day, begin, time.monotonic(), status))
        return status, headers

    def admin(self, dice):
        while not self.end.wait(dice.uniform(0.1, 0.5)):
            account = dice.choice(self.accounts)
            wanted = dice.choice([{"dailyQuota": dice.randrange(1, 600)}, {"dailyQuota": dice.choice([5, 50, 100_000])}, {"dailyQuota": 0},
                                  {"enabled": False}, {"enabled": True}, {"enabled": True}, {"label": "x" * dice.randrange(100)}])
            if account is self.accounts[1] and not wanted.get("dailyQuota", 1):
                continue  # one has a quota all the time: nothing about it is excused by calls that were not bounded
            # While the leader is down or its disk is full there is nobody to ask.
            if self.leader_lock.acquire(timeout=0.05):
                try:
                    self.change(account, wanted)
                finally:
                    self.leader_lock.release()

    def change(self, account, wanted):
        change = Change(account.name, time.monotonic(), 0, wanted.get("dailyQuota", account.quota), wanted.get("enabled", account.enabled), known=False)
        self.history.changes.append(change)
        reply = self.world.admin("PATCH", f"/api/apikey/{account.key.id}", wanted)
        assert reply.status_code == 200, reply.text
        change.end, change.known, change.revision = time.monotonic(), True, reply.json()["revision"]
        account.quota, account.enabled = change.quota, change.enabled
        self.say(f"{account.name} {wanted} revision {change.revision}")

    def watcher(self, dice):
        """Sees when all workers that run have a change."""
        while not self.end.wait(0.05):
            waiting = [c for c in self.history.changes if c.known and c.applied is None]
            if waiting and self.leader_lock.acquire(timeout=0.05):
                try:
                    self.see(waiting)
                finally:
                    self.leader_lock.release()

    def see(self, waiting):
        """Who does not run now is asked when it has started (a window)."""
        members = self.world.by_name()
        least = min((members.get(w.called, {}).get("revision", 0) for w in self.world.workers if w.process.poll() is None), default=None)
        now = time.monotonic()
        for change in waiting:
            if least is not None and change.revision <= least:
                change.applied = now

    # What is done to them. Each one leaves all well but the messages.

    def all_havoc(self):
        """What is done to workers, and beside it what is done to the leader and the messages."""
        for worker in self.world.workers:
            worker.called = worker.name
            worker.road.rule, worker.road.edit = self.weather.rule, self.weather.edit
        workers = {self.kill: 2, self.kill_settled: 2, self.stop: 2, self.rename: 2, self.pause: 3, self.worker_clock: 3}
        leader = self.of_leaders()
        if self.is_exact:
            del workers[self.kill], workers[self.kill_settled]
        threads = [threading.Thread(target=self.guard, args=(self.havoc, n, kinds)) for n, kinds in enumerate((workers, leader))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def of_leaders(self):
        some = {self.leader_clock: 1, self.leader_kill: 2, self.leader_stop: 1, self.leader_pause: 2, self.full: 2, self.storm: 2}
        return some if self.is_exact else {**some, self.restore: 3}

    def havoc(self, dice, kinds):
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and not self.failures:
            kind = dice.choices(list(kinds), kinds.values())[0]
            worker = dice.choice(self.world.workers)
            self.say(f"{kind.__name__} {worker.called}")
            kind(worker, dice)
            self.end.wait(dice.uniform(0.1, 0.6))

    def started(self, worker, ended):
        """From its disk; it may have missed something until it has heard the leader."""
        window = Window(worker.name, ended, time.monotonic(), float("inf"))
        self.history.windows.append(window)
        worker.start()
        with self.leader_lock:
            before = len(worker.road.answered)
            revision = self.world.admin("GET", "/api/cluster/members").json()["revision"]
        await_true(lambda: self.has_heard(worker, before, revision), HEAL_S, f"{worker.called} has heard the leader")
        window.end = time.monotonic()

    def has_heard(self, worker, before, revision):
        """Its second beat is sent when the answer to the first one has arrived."""
        beats = [q for q, status in worker.road.answered[before:] if q.kind == "beat" and status == 200]
        return len(beats) > 1 and beats[-1].push["revision"] >= revision

    @to_workers
    def kill(self, worker, dice):
        """What was not written down is lost, and no more: what ended before the last push but two was first sent is in one of these."""
        self.kills += 1
        worker.kill()
        ended = time.monotonic()
        pushes = {}
        for question, status in worker.road.answered:
            if question.kind == "counts" and status == 200:
                pushes.setdefault((question.push["boot"], question.push["seq"]), question.begun)
        since = list(pushes.values())[-3] if len(pushes) > 2 else 0
        self.history.kills.append(Kill(worker.name, since, ended))
        self.started(worker, ended)

    @to_workers
    def kill_settled(self, worker, dice):
        """Everything is counted at the leader; answers may still be lost."""
        with self.gate.barrier():
            self.settle()
            self.kills += 1
            worker.kill()
            ended = time.monotonic()
        self.started(worker, ended)

    def settle(self):
        """Until the leader has merged all that was admitted for certain."""
        try:
            await_true(lambda: not self.lost(), HEAL_S)
        except AssertionError:
            raise AssertionError("\n".join(check_sums(self.history, self.merged()))) from None

    def lost(self):
        return [problem for problem in check_sums(self.history, self.merged()) if problem.endswith(": lost")]

    def merged(self):
        with self.leader_lock:
            return {(a.name, day): row["calls"] for a in self.accounts for day, row in self.world.usage(a.key).items()}

    @to_workers
    def stop(self, worker, dice):
        ended = time.monotonic()
        worker.stop()
        self.started(worker, ended)

    @to_workers
    def rename(self, worker, dice):
        ended = time.monotonic()
        worker.stop()
        worker.called = f"{worker.name}-{dice.randrange(1000)}"
        worker.environment["CLUSTER_WORKER_NAME"] = worker.called
        self.started(worker, ended)

    @to_workers
    def pause(self, worker, dice):
        """Also beyond its lease and its grants."""
        self.world.pause(worker)
        self.end.wait(dice.choice([0.2, 1.5 * LEASE_MS / 1000, 1.3 * GRANT_MS / 1000]))
        self.world.go_on(worker)

    @to_workers
    def worker_clock(self, worker, dice):
        self.world.set_clock(worker.name, dice.choice([-1, 1, 0, 0.5, -0.5, 400]))

    @to_workers
    def leader_clock(self, worker, dice):
        """Nobody calls while it is set, so that it is known to which day a call belongs."""
        with self.calm(), self.gate.barrier(), self.leader_lock:
            self.days = 1 - self.days
            self.world.set_clock("leader", self.days)
            for one in self.world.workers:
                one.road.await_answers(3)
            self.say(f"it is {self.world.day(self.days)}")

    @contextlib.contextmanager
    def calm(self):
        """No message is harmed, and those that were under way have arrived."""
        strength, self.weather.strength = self.weather.strength, 0
        for worker in self.world.workers:
            worker.road.await_answers(2)
        try:
            yield
        finally:
            self.weather.strength = strength

    def leader_kill(self, worker, dice):
        with self.leader_lock:
            self.world.leader.kill()
            self.end.wait(dice.uniform(0, 1.5))
            self.world.leader.start()

    def leader_stop(self, worker, dice):
        with self.leader_lock:
            self.world.leader.stop()
            self.world.leader.start()

    def leader_pause(self, worker, dice):
        with self.leader_lock:
            self.world.pause(self.world.leader)
            self.end.wait(dice.choice([0.2, 1, 1.3 * GRANT_MS / 1000]))
            self.world.go_on(self.world.leader)

    def full(self, worker, dice):
        with self.leader_lock, self.world.full_disk():
            self.end.wait(dice.uniform(0.5, 2))

    def storm(self, worker, dice):
        self.weather.strength = 3
        self.end.wait(dice.uniform(0.3, 1))
        self.weather.strength = 1

    @to_workers
    def restore(self, worker, dice):
        """To a copy of a second ago; all workers live through it, and are heard before grants are given."""
        with self.leader_lock:
            self.leave(self.accounts[1], 60)
            copied = self.merged()
            self.world.copy_leader()
            before = [(a, a.quota, a.enabled) for a in self.accounts]
        first, *others = dice.sample(self.world.workers, len(self.world.workers))
        self.rush(first, 40)
        self.end.wait(dice.uniform(0.3, 1.5))
        with self.calm(), self.leader_lock:
            begin = time.monotonic()
            for account, quota, enabled in before:
                if (quota, enabled) != (account.quota, account.enabled):
                    self.history.changes.append(Change(account.name, begin, begin, quota, enabled, known=False))
            self.restores += 1
            for one in self.world.workers:
                self.world.pause(one)
                one.road.await_quiet()
            for at, calls in self.merged().items():
                self.history.lacking[at] += calls - copied.get(at, 0)
            self.world.restore_leader()
            for one in others:
                self.world.go_on(one)
            threads = [threading.Thread(target=self.rush, args=(one, 1000)) for one in others]
            for thread in threads:
                thread.start()
            self.end.wait(0.4 * self.grant_ms / 1000)
            self.world.go_on(first)
            for one in self.world.workers:
                one.road.await_answers(2)
            for thread in threads:
                thread.join()
            self.world.await_level(HEAL_S)
            self.adopt(before)

    def leave(self, account, calls):
        """So many calls of its quota are left, and all know."""
        used = sum(c.may_count for c in self.history.of(account.name, self.world.day(self.days)))
        self.change(account, {"dailyQuota": used + calls, "enabled": True})
        self.world.await_level(HEAL_S)

    def rush(self, worker, most, seconds=2.0):
        """Many calls of all keys with a quota, at once."""
        end = time.monotonic() + seconds
        for _ in range(most):
            for account in self.accounts:
                if account.quota and account.enabled and time.monotonic() < end:
                    self.call(worker, account)

    def adopt(self, before):
        """What the restored leader says holds from when all have it."""
        for account, quota, enabled in before:
            account.quota, account.enabled = quota, enabled
            self.change(account, {"label": "restored"})

    # The end.

    def heal(self):
        self.say("heal")
        self.weather.strength = 0
        for name in self.world.faults:
            if name != "leader":
                self.world.set_clock(name, 0)
        for worker in self.world.workers:
            worker.road.rule = worker.road.edit = None
        for worker in self.world.workers:
            worker.road.await_answers(3, HEAL_S)
            await_true(lambda: not [push for push in worker.journal() if push["final"]], HEAL_S, "the last words of all boots at the leader")
        self.end.set()

    def judge(self):
        self.world.await_level(HEAL_S)
        problems = self.same_state()
        self.settle()
        problems += self.use_up()
        self.settle()
        for worker in self.world.workers:
            worker.road.await_answers(3, HEAL_S)
        problems += check_sums(self.history, self.merged()) + check_quotas(self.history) + check_access(self.history)
        least = sum(c.is_admitted for c in self.history.calls)
        print(f"rounds seed={self.seed}: {len(self.history.calls)} calls, {least} admitted, {len(self.history.changes)} changes, {self.kills} kills, "
              f"{self.restores} restores, {self.weather.counts} messages harmed, {time.monotonic() - self.begun:.1f} s")
        return problems

    def same_state(self):
        """What the leader says of a key is what each worker does, and the members say that they have the same state."""
        problems = []
        told = self.world.by_name()
        digests = {w.called: told[w.called].get("stateDigest") for w in self.world.workers}
        problems += check_same("digest of the state", next(iter(digests.values())), digests)
        for account in self.accounts:
            at_leader = self.world.admin("GET", f"/api/apikey/{account.key.id}").json()
            problems += check_same(f"{account.name}", (account.quota, account.enabled), {"the leader": (at_leader["dailyQuota"], at_leader["enabled"])})
            let_in = {w.called: self.call(w, account)[0] in (200, 429) for w in self.world.workers}
            problems += check_same(f"{account.name} enabled", account.enabled, let_in)
        return problems

    def use_up(self):
        """Where something remains each worker admits a call before long; what remains is used to the end."""
        problems, threads = [], []
        for account in self.accounts:
            if account.enabled and 0 < account.quota <= 1000:
                threads.append(threading.Thread(target=lambda account=account: problems.extend(self.use_up_one(account))))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return problems

    def remaining(self, account):
        """By what the clients know where that is exact, otherwise by what the leader says to be granted."""
        day = self.world.day(self.days)
        if self.is_exact:
            return account.quota - sum(c.may_count for c in self.history.of(account.name, day)) - self.history.moved(account.name)
        row = self.world.usage(account.key).get(day, {})
        return account.quota - row.get("granted", 0) - row.get("ungranted", 0)

    def use_up_one(self, account):
        problems, day = [], self.world.day(self.days)
        for worker in self.world.workers:
            remaining, begin, admitted = self.remaining(account), time.monotonic(), None
            while remaining > 0 and admitted is None and time.monotonic() < begin + PATIENCE_S:
                if self.call(worker, account)[0] == 200:
                    admitted = time.monotonic()
                else:
                    time.sleep(0.05)  # pace, nothing is awaited by it
            problems += check_patience(account.name, worker.called, remaining, begin, admitted, PATIENCE_S)
        limits, begin = {}, time.monotonic()
        for worker in self.world.workers:
            limits[worker.called] = self.exhaust(worker, account)
            # What others held came back to the first one.
            problems += check_patience(account.name, worker.called, self.remaining(account) if self.is_exact else 0, begin, None, QUIET_S)
        problems += check_same(f"quota of {account.name}", str(account.quota), limits)
        if self.is_exact:
            problems += check_spent(self.history, account.name, day, account.quota)
        return problems

    def exhaust(self, worker, account):
        """Until it is refused for long; the limit that it tells."""
        last, limit = time.monotonic(), None
        while time.monotonic() - last < (QUIET_S if self.is_exact else 2):
            status, headers = self.call(worker, account)
            if status == 200:
                last = time.monotonic()
            if status == 429:
                limit = headers.get("RateLimit-Limit")
                time.sleep(0.05)  # pace
        return limit


@pytest.mark.parametrize("seed", seeds())
def test_what_was_seen_is_allowed(seed):
    one = Round(seed)
    try:
        problems = one.run()
        assert not problems, "\n".join(problems[:10])
    except (AssertionError, requests.RequestException, OSError):
        print(f"ZOT_CONTROL_SEED={seed}\n" + "\n".join(one.done))
        raise
