# SPDX-License-Identifier: Apache-2.0
"""A leader that lies: the worker's memory stays bounded, it goes on with what it had, and says so without a flood."""
import gzip
import json
import re
import threading
import time

import msgpack
import pytest

from scripted_leader import STATE, ScriptedLeader, bomb, digest_of, entity
from worker_process import await_true

LIMIT = 16 << 20
# Of ZOT_STATE_LIMIT, while a state is looked at: the answer as it came, expanded, its nodes, and the new entities beside the old.
MOST = 10 * LIMIT / (1 << 20)


@pytest.fixture
def leader():
    with ScriptedLeader() as one:
        yield one


@pytest.fixture
def worker(leader):
    with leader.worker(ZOT_STATE_LIMIT=LIMIT, CLUSTER_WORKER_POLL_EVERY="200ms", CLUSTER_RETRY_DELAY="20ms",
                       CLUSTER_WORKER_PUSH_EVERY="200ms") as one:
        one.push("app", "v1")
        yield one


def serves(worker):
    assert worker.call("GET", "/v2/app/manifests/v1").status_code == 200
    worker.push("app", "v2")
    return True


def is_sanitized(worker):
    return "/asan/" in str(worker.program_path()) or "/tsan/" in str(worker.program_path())


def lines(worker, word):
    return [line for line in worker.text().splitlines() if word in line]


def is_applied(worker, revision):
    return any(re.search(rf'revision"?[=:]{revision}\b', line) for line in lines(worker, "state.applied"))


def asked_again(leader, times=3):
    """The leader has been asked so often since now."""
    before = leader.polls
    await_true(lambda: leader.polls >= before + times, seconds=60, what="the next questions")


def deep(n):
    return b"\x91" * n + b"\xc0"


def not_the_limit(leader):
    """A state of entities that are many, small, and within the limit of bytes, but not in memory."""
    return leader.document([entity("user", f"u{i}") for i in range(200_000)])


LIES = {
    "a gzip bomb": lambda l, c: l.say(c, b"", bomb(1 << 30)),
    "a bomb of two": lambda l, c: l.say(c, b"", bomb(1 << 29) * 2),
    "broken gzip": lambda l, c: l.say(c, b"", gzip.compress(b"x" * 1000)[:-9]),
    "no gzip": lambda l, c: l.say(c, b"", b"\x1f\x8b junk"),
    "empty gzip, often": lambda l, c: l.say(c, b"", gzip.compress(b"") * 400_000),
    "nothing": lambda l, c: l.say(c, b""),
    "junk": lambda l, c: l.say(c, b"\xc1" * 1000),
    "deep msgpack": lambda l, c: l.say(c, deep(1 << 20)),
    "an array that claims much": lambda l, c: l.say(c, b"\xdd\xff\xff\xff\xff" + b"\xc0" * 1000),
    "many nodes": lambda l, c: l.say(c, b"\xdd" + (LIMIT - 5).to_bytes(4, "big") + b"\xc0" * (LIMIT - 5)),
    "many nodes in an entity": lambda l, c: l.say(c, l.document([{"kind": "user", "id": "a", "revision": 1, "body": {"groups": ["a"] * 5_000_000}}])),
    "many entities": lambda l, c: l.say(c, not_the_limit(l)),
    "a text as entities": lambda l, c: l.say(c, l.document("entities")),
    "an unknown kind": lambda l, c: l.say(c, l.document([entity("worker", "one", secretHash="0" * 64)])),
    "a kind of nobody's": lambda l, c: l.say(c, l.document([entity("root", "one")])),
    "wrong types": lambda l, c: l.say(c, l.document([entity("user", "ann", enabled="yes")])),
    "a huge text": lambda l, c: l.say(c, l.document([entity("user", "ann", metadata={"a": "x" * (1 << 20)})])),
    "a lease of a year": lambda l, c: l.say(c, l.document([entity("settings", "cluster", leaseMs=31_536_000_000)])),
    "a wait of a year": lambda l, c: l.say(c, l.document([entity("settings", "cluster", pollWaitMs=31_536_000_000)])),
    "revisions that jump": lambda l, c: l.say(c, l.document([entity("user", "ann", revision=2**62)])),
    "a revision that is none": lambda l, c: l.say(c, l.document(revision=2**64 - 1)),
    "a delta from nowhere": lambda l, c: l.say(c, l.delta(3, 9, [], l.entities())),
    "a delta that goes back": lambda l, c: l.say(c, l.delta(l.revision, 1, [], l.entities())),
    "another version": lambda l, c: l.say(c, l.document(v=3)),
    "the version before": lambda l, c: l.say(c, l.document(v=1)),
    "another state's digest": lambda l, c: l.say(c, l.document(digest=digest_of([]))),
    "a delta that leads elsewhere": lambda l, c: l.say(c, l.delta(l.revision - 1, l.revision, [], [])),
    "a digest that is none": lambda l, c: l.say(c, l.document(digest=b"x")),
    "another digest": lambda l, c: c.answer(200, l.document(), {**l.head(b""), "Content-Type": STATE}),
    "no digest": lambda l, c: c.answer(200, l.document(), {"Content-Type": STATE}),
    "a page": lambda l, c: c.answer(200, b"<html>sign in</html>", {**l.head(b"<html>sign in</html>"), "Content-Type": "text/html"}),
    "no type": lambda l, c: c.answer(200, l.document(), {k: v for k, v in l.head(l.document()).items() if k != "Content-Type"}),
    "another encoding": lambda l, c: c.answer(200, b"\x8b" * 100, {**l.head(l.document()), "Content-Encoding": "br"}),
    "an error": lambda l, c: c.answer(500, b"no"),
    "a status that is none": lambda l, c: c.answer(299, b"no"),
    "another place": lambda l, c: c.answer(302, b"", {"Location": "file:///etc/passwd"}),
    "a head of 100 KiB": lambda l, c: c.answer(200, l.document(), {**l.head(l.document()), "X-More": "x" * 100_000}),
}


@pytest.mark.parametrize("first", range(0, len(LIES), 8))
def test_a_lie_changes_nothing(leader, worker, first):
    """A few after each other, the truth between them."""
    before = worker.peak_rss()
    for lie in list(LIES)[first:first + 8]:
        leader.revision += 1
        leader.state = lambda call: LIES[lie](leader, call)
        asked_again(leader)
        assert serves(worker) and not is_applied(worker, leader.revision), lie
        if not is_sanitized(worker):
            assert worker.peak_rss() - before < MOST, (lie, before, worker.peak_rss())
        leader.state = leader.good_state
        await_true(lambda: is_applied(worker, leader.revision), seconds=60, what="the good state")
    assert 1 <= len(lines(worker, "leader.lost")) <= 10 and len(lines(worker, "state.refused")) <= 10
    assert serves(worker)


def endless(call):
    call.begin(200, {"Content-Type": STATE, "Transfer-Encoding": "chunked"})
    while True:
        call.send(b"10000\r\n" + b"\0" * 65536 + b"\r\n")


def drop_by_drop(leader, call):
    document = leader.document()
    call.begin(200, {**leader.head(document), "Content-Length": str(len(document))})
    for byte in document:
        call.send(bytes([byte]))
        leader.stopped.wait(0.2)


def silent(leader, call):
    leader.stopped.wait(120)


@pytest.mark.parametrize("lie", [lambda l, c: endless(c), drop_by_drop, silent], ids=["endless", "byte by byte", "silent"])
def test_an_answer_that_does_not_end_is_left(leader, lie):
    with leader.worker(ZOT_STATE_LIMIT=LIMIT, CLUSTER_WORKER_POLL_EVERY="300ms", CLUSTER_RETRY_DELAY="50ms",
                       CLUSTER_WORKER_POLL_TIMEOUT="1s", ZOT_LONG_POLL="false") as worker:
        worker.push("app", "v1")
        before = worker.peak_rss()
        leader.revision += 1
        leader.state = lambda call: lie(leader, call)
        asked_again(leader)
        assert serves(worker)
        if not is_sanitized(worker):
            assert worker.peak_rss() - before < MOST
        assert 1 <= len(lines(worker, "leader.lost")) <= 10
        leader.state = leader.good_state
        await_true(lambda: len(lines(worker, "state.applied")) >= 2, seconds=60, what="the good state")


def test_many_deltas_do_not_add_up_beyond_the_limit(leader, worker):
    """Each of them is small."""
    before, at, all_of_it = worker.peak_rss(), [leader.revision], leader.entities()
    full = threading.Event()

    def state(call):
        since = int(call.query["since"])
        if since == 0 or "whole" in call.query:
            full.set()
            leader.revision = at[0]
            leader.say(call, leader.document())
            return
        at[0] = since + 1
        more = [entity("user", f"{since}-{i}", since + 1, metadata={"a": "x" * 4000}) for i in range(200)]
        all_of_it.extend(more)
        leader.say(call, leader.delta(since, since + 1, more, all_of_it))

    leader.state = state
    assert full.wait(120), "the worker took them all"
    assert serves(worker)
    assert "at most" in "".join(lines(worker, "state.refused"))
    if not is_sanitized(worker):
        assert worker.peak_rss() - before < MOST


@pytest.mark.parametrize("what", ["unchanged", "the same again", "always another", "a delta that is none", "up and down"])
def test_a_leader_that_never_waits_does_not_keep_a_worker_busy(leader, worker, what):
    at = [leader.revision]

    def state(call):
        if what == "unchanged":
            call.answer(304)
        elif what == "the same again":
            leader.say(call, leader.document())
        elif what == "always another":
            at[0] += 1
            leader.revision = at[0]
            leader.say(call, leader.document())
        elif what == "a delta that is none":
            leader.say(call, leader.document() if "whole" in call.query else b"junk")
        else:
            at[0] += 1
            call.answer(304 if at[0] % 2 else 500)

    leader.state = state
    begun, polls = time.monotonic(), leader.polls
    await_true(lambda: time.monotonic() - begun > 4, seconds=60, what="four seconds")
    asked, seconds = leader.polls - polls, time.monotonic() - begun
    # 200 in ten seconds come at once, as changes do; then ten a second.
    assert 1 <= asked <= 200 * (2 + seconds / 10) + 10 * seconds, (asked, seconds)
    assert serves(worker)
    for word in ("leader.lost", "leader.back", "state.refused"):
        assert len(lines(worker, word)) <= 10, word


def test_a_leader_that_always_wants_a_report_gets_some(leader, worker):
    leader.state = lambda call: call.answer(304, headers={"Zot-Report": "now"})
    begun, pushes = time.monotonic(), leader.pushes
    await_true(lambda: time.monotonic() - begun > 4, seconds=60, what="four seconds")
    pushed, seconds = leader.pushes - pushes, time.monotonic() - begun
    # 200 in ten seconds come at once, as those of calls that wait do; then ten a second.
    assert 1 <= pushed <= 200 * (2 + seconds / 10) + 10 * seconds, (pushed, seconds)
    assert serves(worker)


def test_where_leaders_do_not_hold_questions_workers_poll(leader):
    """pollWaitMs 0: a leader answers at once, and is asked again after CLUSTER_WORKER_POLL_EVERY."""
    held = leader.entities
    leader.entities = lambda: [dict(e, body={**e["body"], "pollWaitMs": 0}) if e["kind"] == "settings" else e for e in held()]
    leader.state = lambda call: call.answer(304) if int(call.query["since"]) else leader.say(call, leader.document())
    with leader.worker(CLUSTER_WORKER_POLL_EVERY="500ms") as worker:
        begun, polls = time.monotonic(), leader.polls
        await_true(lambda: leader.polls - polls >= 4, seconds=60, what="the next questions")
        assert time.monotonic() - begun >= 3 * 0.5 - 0.1
        assert worker.call("GET", "/v2/").status_code == 200


ANSWERS = {
    "a lease for ever": {"lease_ms": 2**63 - 1},
    "a lease of a day": {"lease_ms": 86_400_000},
    "a push in a year": {"push_every_ms": 31_536_000_000},
    "a negative lease": {"lease_ms": -1},
    "a text": {"lease_ms": "long"},
    "many grants": {"grants": [{"apikey": "a", "day": "2026-11-20", "granted": 1}] * 100_001},
    "grants of nobody": {"grants": [{}]},
}


@pytest.mark.parametrize("lie", list(ANSWERS))
def test_an_answer_to_a_push_that_is_wrong_is_refused(leader, worker, lie):
    def push(call):
        leader.answer_push(call, {"seq": json.loads(call.body)["seq"], "lease_ms": 6000, "push_every_ms": 500, "ring_epoch": 1, "revision": 5,
                                  "grants": [], **ANSWERS[lie]})

    leader.push = push
    before = leader.pushes
    await_true(lambda: leader.pushes >= before + 4, seconds=60, what="the next pushes")
    assert serves(worker) and 1 <= len(lines(worker, "report.answer")) <= 10
    leader.push = leader.good_push
    before = leader.pushes
    await_true(lambda: leader.pushes >= before + 2, seconds=60, what="pushes that are taken")


def test_a_pause_of_nothing_is_none(leader, worker):
    def push(call):
        leader.answer_push(call, {"seq": json.loads(call.body)["seq"], "lease_ms": 6000, "push_every_ms": 1, "ring_epoch": 1, "revision": 5, "grants": []})

    leader.push = push
    before = leader.pushes
    await_true(lambda: leader.pushes > before, seconds=60, what="a push")
    begun, before = time.monotonic(), leader.pushes
    await_true(lambda: leader.pushes - before >= 12, seconds=60, what="the next pushes")
    assert time.monotonic() - begun >= 1


def junk(call):
    call.answer(200, b"{" * 1000, {"Content-Type": "application/json"})


def long(call):
    call.begin(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
    while True:
        call.send(b"10000\r\n" + b" " * 65536 + b"\r\n")


@pytest.mark.parametrize("lie", [junk, long, lambda c: c.answer(409), lambda c: c.answer(403), lambda c: c.answer(401)],
                         ids=["junk", "endless", "409", "403", "401"])
def test_pushes_that_come_to_nothing_are_told_without_a_flood(leader, worker, lie):
    before, leader.push = worker.peak_rss(), lie
    pushes = leader.pushes
    await_true(lambda: leader.pushes >= pushes + 15, seconds=120, what="pushes")
    assert serves(worker)
    assert len(lines(worker, "report.refused")) <= 10 and len(lines(worker, "report.answer")) <= 10
    if not is_sanitized(worker):
        assert worker.peak_rss() - before < MOST
