# SPDX-License-Identifier: Apache-2.0
"""Counts and grants as a worker says them, to a leader that keeps the rules of docs/cluster-protocol.md and fails where a test wants it to."""
import collections
import concurrent.futures
import datetime
import hashlib
import json
import socket
import subprocess
import threading
import time

import pytest

from registry import image
from scripted_leader import ScriptedLeader, entity
from worker_process import MANIFEST, await_true

SECRET = "a secret of this key only"
KEY = ("key-of-ann", SECRET)


def day_of(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).strftime("%Y-%m-%d")


class Dealer(ScriptedLeader):
    """Merges each count once and deals out one quota. `before` may answer a push itself (True); `answers` changes what is said."""

    def __init__(self, quota=100):
        super().__init__()
        self.lock, self.quota, self.seen = threading.RLock(), quota, []
        self.merged, self.calls, self.pulls = {}, collections.Counter(), collections.Counter()
        self.granted, self.used, self.over = collections.Counter(), collections.Counter(), set()
        self.before, self.answers, self.give = (lambda call, push: False), {}, 5

    def entities(self):
        key = entity("apikey", KEY[0], self.revision, owner="ann", secretHash=hashlib.sha256(SECRET.encode()).hexdigest(), dailyQuota=self.quota)
        return [e for e in super().entities()] + [entity("user", "ann"), key]

    def good_push(self, call):
        push = json.loads(call.body)
        with self.lock:
            self.seen.append(push)
            if self.before(call, push):
                return
            self.merge(push)
            answer = self.good_answer(push, grants=[self.deal(push, row) for row in push["demands"]], **self.answers)
        self.answer_push(call, answer)

    def merge(self, push):
        if push["seq"] and self.merged.get(push["boot"], 0) <= push["after"]:
            self.calls.update({(row["apikey"], row["day"]): row["calls"] for row in push["usage"]})
            self.pulls.update({row["name"]: row["pulls"] for row in push["repositories"]})
            self.merged[push["boot"]] = push["seq"]

    def deal(self, push, row):
        at = (push["boot"], row["apikey"], row["day"])
        told = max(row["granted"], row["used"])
        self.used[at] = max(self.used[at], row["used"])
        self.granted[at] = max(self.granted[at], told)
        if row["release"] or push["final"]:
            self.granted[at] = self.used[at]
        left = self.quota - sum(n for (boot, key, day), n in self.granted.items() if (key, day) == at[1:])
        if not self.answers.get("hold_ms"):
            self.granted[at] = max(self.granted[at], min(self.granted[at] + left, told + min(row["want"], self.give)))
        if push["final"]:
            self.over.add(push["boot"])
        return {"apikey": row["apikey"], "day": row["day"], "granted": self.granted[at], "used": self.used[at],
                "total": self.calls[at[1:]], "limit": self.quota, "recall": False}

    # Looking.

    def pushed(self, is_so):
        with self.lock:
            return [push for push in self.seen if is_so(push)]

    def await_push(self, is_so, what, after=0):
        await_true(lambda: any(is_so(push) for push in self.seen[after:]), seconds=60, what=what)
        with self.lock:
            return next(push for push in self.seen[after:] if is_so(push))


@pytest.fixture
def leader():
    with Dealer() as one:
        yield one


@pytest.fixture
def worker(leader):
    with leader.worker(CLUSTER_WORKER_POLL_EVERY="200ms", CLUSTER_RETRY_DELAY="20ms", CLUSTER_WORKER_PUSH_EVERY="200ms") as one:
        yield one


def ask(worker, seconds=30):
    return worker.session.get(worker.url + "/v2/", auth=KEY, timeout=seconds).status_code


def ask_many(worker, n):
    return collections.Counter(ask(worker) for _ in range(n))


def lines(worker, word):
    return [line for line in worker.text().splitlines() if word in line]


def total(leader):
    return sum(n for (key, day), n in leader.calls.items() if key == KEY[0])


def test_calls_are_admitted_out_of_grants_and_counted_once(leader, worker):
    statuses = ask_many(worker, 110)
    assert statuses == {200: 100, 429: 10}
    await_true(lambda: total(leader) == 100, seconds=60, what="the counts")
    numbers = [push["number"] for push in leader.seen]
    assert len(set(numbers)) == len(numbers) and min(numbers) >= 1
    for push in leader.seen:
        assert bool(push["seq"]) == bool(push["usage"] or push["repositories"]), "a beat has no counts"
        assert push["boot"] == push["process"]
    assert all(push["witness"] == "life-1:1" and push["leader"] == "leader-1" for push in leader.seen[3:] if not push["seq"])


def test_lost_answers_count_nothing_twice(leader, worker):
    lost = collections.Counter()

    def before(call, push):
        if push["seq"] and lost[push["seq"]] < 2:
            lost[push["seq"]] += 1
            leader.merge(push)
            call.handler.connection.shutdown(socket.SHUT_RDWR)
            return True
        return False

    leader.before = before
    for n in range(5):
        assert ask_many(worker, 5) == {200: 5}
        await_true(lambda: total(leader) == 5 * (n + 1), seconds=60, what="the counts")
    assert ask(worker) == 200
    await_true(lambda: total(leader) == 26, seconds=60, what="the last count")
    by_seq = collections.defaultdict(set)
    for push in leader.pushed(lambda p: p["seq"]):
        by_seq[push["seq"]].add(json.dumps([push["after"], push["usage"], push["repositories"]]))
    assert lost and all(len(texts) == 1 for texts in by_seq.values()), "what was sent under a seq never changes"


@pytest.mark.parametrize("status", [400, 413])
def test_counts_that_a_leader_will_never_take_do_not_hold_up_the_others(leader, worker, status):
    def before(call, push):
        if any(row["name"] == "poison" for row in push["repositories"]):
            call.answer(status, b'{"errors":[{"code":"X","message":"over 1000 rows in all"}]}', {"Content-Type": "application/json"})
            return True
        return False

    leader.before = before
    worker.push("poison", "v1")
    await_true(lambda: lines(worker, "usage.refused"), seconds=60, what="the line in the log")
    assert "over 1000 rows" in lines(worker, "usage.refused")[0]
    worker.push("app", "v1")
    # The first of these may be in one push with the last that is refused.
    await_true(lambda: worker.call("GET", "/v2/app/manifests/v1").status_code == 200 and leader.pulls["app"], seconds=60, what="counts of after")
    path = worker.folder / "data/usage.refused"
    await_true(path.exists, what="the file")
    aside = [json.loads(line) for line in path.read_text().splitlines()]
    assert any(row["name"] == "poison" for push in aside for row in push["repositories"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(leader.pushed(lambda p: any(row["name"] == "poison" for row in p["repositories"]))) == len(aside), "not repeated"


def test_a_beat_does_not_wait_for_counts(leader, worker):
    """[X12] A leader that takes long for counts still hears the worker, and gives it grants."""
    release = threading.Event()

    def push(call):
        if json.loads(call.body)["seq"]:
            release.wait(60)
        leader.good_push(call)

    leader.push = push
    worker.push("app", "v1")
    await_true(lambda: lines(worker, "worker.ready"), what="the worker")
    leader.await_push(lambda p: not p["seq"], "a beat")
    assert ask_many(worker, 20) == {200: 20}
    assert not leader.pushed(lambda p: p["seq"])
    release.set()
    await_true(lambda: total(leader) == 20, seconds=60, what="the counts")


def test_a_killed_worker_is_closed_at_its_ceilings(leader, worker):
    """[X9]"""
    assert ask_many(worker, 10) == {200: 10}
    boot, path = leader.seen[-1]["boot"], worker.folder / "data/usage.ceilings"
    # The ceiling of a key that rests is one above its use.
    await_true(lambda: int(path.read_text().splitlines()[-1].split()[2]) <= 11, seconds=60, what="a low ceiling")
    worker.kill()
    worker.start()
    final = leader.await_push(lambda p: p["final"] and p["boot"] == boot, "the last word of the boot of before")
    assert final["all"] and final["process"] != boot and final["seq"] == 0
    assert len(final["demands"]) == 1
    assert 10 <= final["demands"][0]["used"] <= 11
    lost = final["demands"][0]["used"] - 10
    assert ask_many(worker, 110) == {200: 90 - lost, 429: 20 + lost}


def test_a_ceiling_is_on_disk_before_the_call_is_admitted(leader, worker):
    """[X9] The file says at any time at least what was admitted."""
    path = worker.folder / "data/usage.ceilings"
    for n in range(1, 30):
        assert ask(worker) == 200
        ceiling = int(path.read_text().splitlines()[-1].split()[2])
        assert ceiling >= n


def test_an_orderly_stop_says_exactly_what_was_used(leader, worker):
    assert ask_many(worker, 10) == {200: 10}
    worker.stop()
    final = leader.pushed(lambda p: p["final"])[-1]
    assert final["all"] and final["state"] == "left" and final["demands"][0]["used"] == 10
    assert leader.seen[-1] is final, "nothing is said after it"
    assert total(leader) == 10
    assert not (worker.folder / "data/usage.ceilings").exists()
    assert (worker.folder / "data/usage.journal").read_text() == ""


def test_without_leaders_the_last_word_waits_in_the_journal(leader, worker):
    assert ask_many(worker, 10) == {200: 10}
    boot = leader.seen[-1]["boot"]

    def before(call, push):
        call.answer(503)
        return True

    leader.before = before
    worker.stop()
    assert not (worker.folder / "data/usage.ceilings").exists()
    leader.before = lambda call, push: False
    mark = len(leader.seen)
    # The folder is another worker's now. [X3]
    worker.environment["CLUSTER_WORKER_NAME"] = "two"
    worker.start()
    final = leader.await_push(lambda p: p["final"], "the last word", mark)
    assert final["boot"] == boot and final["worker"] == "two" and final["demands"][0]["used"] == 10
    await_true(lambda: total(leader) == 10, seconds=60, what="the counts of before")
    assert [p["worker"] for p in leader.seen[mark:] if p["boot"] == boot and p["seq"]][0] == "two"


def test_counts_of_a_boot_that_lives_elsewhere_wait_and_the_others_go_on(leader, worker):
    """[X3] The folder is a copy."""
    worker.push("app", "v1")
    assert worker.call("GET", "/v2/app/manifests/v1").status_code == 200
    await_true(lambda: leader.pulls["app"] == 1, seconds=60, what="the counts")
    boot = leader.seen[-1]["boot"]
    told = max(p["seq"] for p in leader.seen)
    leader.before = lambda call, push: bool(push["seq"]) and (call.answer(503) or True)
    assert worker.call("GET", "/v2/app/manifests/v1").status_code == 200
    journal = worker.folder / "data/usage.journal"

    def is_kept():
        kept = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
        return any(p["seq"] > told and '"pulls": 1' in json.dumps(p) for p in kept)

    await_true(is_kept, seconds=60, what="the journal")
    worker.kill()
    leader.before = lambda call, push: bool(push["seq"]) and push["boot"] == boot and (call.answer(409) or True)
    leader.answers["lease_ms"] = 1000
    worker.start()
    assert worker.call("GET", "/v2/app/manifests/v1").status_code == 200
    await_true(lambda: leader.pulls["app"] == 2, seconds=60, what="the counts of now")
    leader.before = lambda call, push: False
    await_true(lambda: leader.pulls["app"] == 3, seconds=60, what="the counts of before")


def test_two_processes_cannot_have_one_folder(worker):
    other = subprocess.run([str(worker.program_path()), "serve"], env={**worker.environment, "PORT": "0", "CLUSTER_WORKER_NAME": "two"},
                           capture_output=True, text=True, timeout=60)
    assert other.returncode == 1
    assert "data is in use by another process" in other.stdout + other.stderr and "ZOT_WORKER_DATA" in other.stdout + other.stderr
    assert worker.call("GET", "/v2/").status_code == 200


def test_a_leader_that_is_new_is_told_all_before_it_counts(leader, worker):
    leader.give = 50
    assert ask_many(worker, 3) == {200: 3}
    with leader.lock:
        mark = len(leader.seen)
        leader.answers.update(leader="leader-2")
    beat = leader.await_push(lambda p: p["all"], "all that it holds", mark)
    assert beat["demands"][0]["used"] == 3 and beat["demands"][0]["granted"] > 3
    # The first that it hears is a beat like any other; at once after it comes the whole.
    beats = [p for p in leader.seen[mark:] if not p["seq"]]
    assert beats.index(beat) <= 1
    assert ask_many(worker, 97) == {200: 97}


def test_calls_wait_while_a_leader_hears_the_others(leader, worker):
    """[X11]"""
    leader.answers["hold_ms"] = 1500
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        mark = len(leader.seen)
        reply = pool.submit(ask, worker)
        leader.await_push(lambda p: p["demands"], "what it wants", mark)
        leader.await_push(lambda p: p["demands"], "that again", len(leader.seen))
        assert not reply.done()
        del leader.answers["hold_ms"]
        assert reply.result(60) == 200


def test_a_report_that_the_leader_wants_comes_at_once(leader, worker):
    leader.answers.update(push_every_ms=60_000, lease_ms=120_000)
    mark = len(leader.seen)
    leader.await_push(lambda p: not p["seq"], "a beat, the last for a minute", mark)
    wanted, told = threading.Event(), threading.Event()

    def state(call):
        if wanted.is_set() and not told.is_set():
            told.set()
            call.answer(304, headers={"Zot-Report": "now"})
        else:
            leader.good_state(call)

    leader.state, mark = state, len(leader.seen)
    wanted.set()
    await_true(told.is_set, seconds=30, what="the question")
    begun = time.monotonic()
    leader.await_push(lambda p: not p["seq"], "the beat", mark)
    assert time.monotonic() - begun < 20


def test_a_call_waits_for_what_others_are_to_give_back(leader, worker):
    """The leader has nothing at first, though the quota is not used up."""
    leader.answers.update(push_every_ms=60_000, lease_ms=120_000)
    give, leader.give = leader.give, 0
    asked = []

    def before(call, push):
        asked.extend(row for row in push["demands"] if row["want"])
        leader.give = give if len(asked) >= 3 else 0
        return False

    leader.before = before
    assert ask(worker) == 200
    assert len(asked) >= 3


def test_what_others_keep_is_waited_for_once(leader, worker):
    """Then calls are refused at once, and the leader is asked no more often than without them."""
    leader.give = 0
    begun = time.monotonic()
    reply = worker.session.get(worker.url + "/v2/", auth=KEY, timeout=30)
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "1")
    assert time.monotonic() - begun >= 0.1
    mark, begun = len(leader.seen), time.monotonic()
    assert ask_many(worker, 200) == {429: 200}
    seconds = time.monotonic() - begun
    assert sum(any(row["want"] for row in p["demands"]) for p in leader.seen[mark:]) <= 10 + 10 * seconds
    leader.give = 5
    await_true(lambda: ask(worker) == 200, seconds=60, what="a grant")


def test_a_grant_ends_when_no_leader_answers(leader, worker):
    leader.give, leader.answers["grant_ms"] = 50, 1000
    assert ask_many(worker, 3) == {200: 3}
    mark = len(leader.seen)
    leader.before = lambda call, push: call.answer(503) or True
    beat = leader.await_push(lambda p: any(row["release"] for row in p["demands"]), "the release", mark)
    assert beat["demands"][0]["granted"] == beat["demands"][0]["used"] == 3
    assert ask(worker) == 429
    leader.before = lambda call, push: False
    await_true(lambda: ask(worker) == 200, seconds=60, what="a grant")


def test_the_day_is_the_leaders(leader, worker):
    """[X2]"""
    ahead = 3 * 86_400_000
    leader.answers["now_ms"] = int(time.time() * 1000) + ahead
    day = day_of(leader.answers["now_ms"])
    mark = len(leader.seen)
    for _ in range(2):
        leader.await_push(lambda p: not p["seq"], "a beat", mark)
        mark = len(leader.seen)
    assert ask_many(worker, 5) == {200: 5}
    await_true(lambda: leader.calls[(KEY[0], day)] == 5, seconds=60, what="the counts of the leader's day")
    assert {row["day"] for push in leader.seen for row in push["demands"]} == {day}


def test_a_call_is_of_the_day_of_its_admission(leader, worker):
    """[X2] One that ends after midnight, and one that comes then."""
    today = int(time.time() * 1000) // 86_400_000 * 86_400_000 + 43_200_000
    leader.answers["now_ms"] = today
    mark = len(leader.seen)
    for _ in range(2):
        leader.await_push(lambda p: not p["seq"], "a beat", mark)
        mark = len(leader.seen)
    begun, go_on = threading.Event(), threading.Event()

    def body():
        yield b"{"
        begun.set()
        go_on.wait(60)
        yield image(b"layer")[1:]

    worker.session.auth = KEY
    worker.push_blob("app", b"{}")
    worker.push_blob("app", b"layer")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        reply = pool.submit(worker.call, "PUT", "/v2/app/manifests/v1", data=body(), headers={"Content-Type": MANIFEST})
        assert begun.wait(60)
        await_true(lambda: leader.calls[(KEY[0], day_of(today))] == 4, seconds=60, what="the calls of the pushed blobs")
        leader.await_push(lambda p: sum(row["used"] for row in p["demands"]) == 5, "the fifth call")
        leader.answers["now_ms"] = today + 86_400_000
        mark = len(leader.seen)
        for _ in range(2):
            leader.await_push(lambda p: not p["seq"], "a beat", mark)
            mark = len(leader.seen)
        go_on.set()
        assert reply.result(60).status_code == 201
    await_true(lambda: leader.calls[(KEY[0], day_of(today))] == 5, seconds=60, what="the call of before")
    assert ask(worker) == 200
    await_true(lambda: leader.calls[(KEY[0], day_of(today + 86_400_000))] == 1, seconds=60, what="the call of after")


def test_a_quota_that_is_lowered_in_the_state_counts_at_once(leader, worker):
    """[X8] The leader's answers know nothing of it; the state does."""
    leader.give = 50
    assert ask_many(worker, 3) == {200: 3}
    leader.before = lambda call, push: call.answer(503) or True
    assert ask(worker) == 200, "it has more"
    with leader.lock:
        leader.quota, mark = 6, len(leader.seen)
        leader.revision += 1
    release = leader.await_push(lambda p: any(row["release"] for row in p["demands"]), "the release", mark)
    assert release["demands"][0]["granted"] == 4
    leader.before = lambda call, push: False
    leader.give = 1
    statuses = collections.Counter()
    await_true(lambda: statuses.update([ask(worker)]) or statuses[200] == 2, seconds=60, what="what is left")
    assert ask_many(worker, 5) == {429: 5}


def test_a_disk_that_takes_no_ceilings_costs_no_calls(leader, worker):
    """[X9] A folder in the way: the file cannot be made, so nothing is closed by it, and calls are admitted."""
    path = worker.folder / "data/usage.ceilings"
    (worker.folder / "data").chmod(0o700)
    assert ask(worker) == 200
    path.unlink()
    path.mkdir()
    (path / "in the way").write_text("")
    worker.kill()
    worker.start()
    statuses = ask_many(worker, 3)
    assert set(statuses) == {429}, "it can neither be written nor removed"
    assert lines(worker, "ceilings.write")
    (path / "in the way").unlink()
    path.rmdir()
    await_true(lambda: ask(worker) == 200, seconds=60, what="ceilings again")
    assert path.is_file()
