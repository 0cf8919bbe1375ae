# SPDX-License-Identifier: Apache-2.0
"""A Redis that is slow, stands still, or answers by halves: the leader behind it stays there for whoever reads, says no to the others in
time, and what it said was true when Redis is back. And a leader that stood still itself."""
import concurrent.futures
import threading
import time

import pytest
import requests

from cluster import LEADER_SECRET, Cluster
from gates import Gate
from registry import await_true

# Of one question while Redis is away: less than a client waits, far more than a busy machine needs.
READ_S, WRITE_S = 5, 12
TROUBLE = {"late": {"late_s": 0.1}, "halves": {"half": True}, "drips": {"drip": True}, "deaf": {"deaf": True}, "mute": {"mute": True},
           "holds": {"holds": True}}


@pytest.fixture(scope="module")
def pair():
    """The second leader has its Redis behind a gate."""
    with Cluster(workers=0, haproxy=False, leaders=1) as cluster:
        cluster.gate = Gate(cluster.redis.port)
        cluster.behind = cluster.leader_process("leader-behind", REDIS_URL=f"redis://127.0.0.1:{cluster.gate.port}").start()
        cluster.leaders.append(cluster.behind)
        yield cluster
        cluster.gate.shut()


def ask(leader, method, path, auth=None, **more):
    """(seconds, reply), on a connection of its own."""
    begin = time.monotonic()
    with requests.Session() as session:
        session.trust_env, session.auth = False, auth or leader.session.auth
        reply = session.request(method, leader.url + path, timeout=60, **more)
    return time.monotonic() - begin, reply


def readers(leader, halt):
    """What each question took; all are answered."""
    took, questions = [], [("/readyz", None), ("/api/cluster/state?since=0&wait=0", ("workers", LEADER_SECRET)), ("/api/user/admin", None)]
    while not halt.is_set():
        for path, auth in questions:
            seconds, reply = ask(leader, "GET", path, auth)
            assert reply.status_code == 200, (path, reply.status_code, reply.text)
            took.append((seconds, path))
    return took


def write(leader, name):
    seconds, reply = ask(leader, "POST", "/api/policy", json={"id": f"{name}/**", "defaultPolicy": ["read"]})
    error = reply.json().get("error", {}).get("code")
    return name, seconds, reply.status_code, error


def ids(leader):
    return {item["id"] for item in leader.call("GET", "/api/policy?n=1000").json()["items"]}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_leader_behind_a_redis_in_trouble(pair, trouble):
    leader, halt, written = pair.behind, threading.Event(), []
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        with pair.gate.changed:
            for name, value in TROUBLE[trouble].items():
                setattr(pair.gate, name, value)
        reads = [pool.submit(readers, leader, halt) for _ in range(6)]
        try:
            # More at once than the leader has threads. Late ones are made one after the other, a quarter of a second each, and a reader may wait for all of them.
            for round_ in range(1 if trouble == "late" else 3):
                written += pool.map(lambda i: write(leader, f"{trouble}-{round_}-{i}"), range(10 if trouble == "late" else 20))
            if trouble != "late":
                await_true(lambda: ask(leader, "GET", "/readyz")[1].json().get("storeAwayMs", 0) > 1000, 20, "that the store is away")
                refused = ask(leader, "PUT", "/api/cluster/quotas", ("workers", LEADER_SECRET), json={
                    "worker": "w", "process": "0" * 32, "boot": "1" * 32, "url": "http://w:1", "state": "active"})[1]
                assert refused.status_code == 503, refused.text  # no lease
                # Whoever writes now does not wait for another attempt.
                seconds, reply = ask(leader, "POST", "/api/policy", json={"id": f"{trouble}-last/**", "defaultPolicy": ["read"]})
                assert reply.status_code == 503 and reply.headers["Retry-After"] and seconds < READ_S, (seconds, reply.text)
        finally:
            halt.set()
            pair.gate.pass_all()
        took = [row for read in reads for row in read.result()]
    assert max(took)[0] < READ_S, max(took)
    assert max(seconds for _, seconds, _, _ in written) < WRITE_S, max(written, key=lambda row: row[1])
    assert {(status, error) for _, _, status, error in written} <= {(201, None), (503, "unavailable"), (503, "outcome_unknown"), (503, "busy")}
    if trouble == "late":
        assert {status for _, _, status, _ in written} == {201}
    else:
        assert 503 in {status for _, _, status, _ in written}
    await_true(lambda: ask(leader, "PUT", f"/api/policy/{trouble}-back%2F**", json={"defaultPolicy": ["read"]})[1].status_code in (200, 201), 30,
               "a write when it is back")
    there = ids(leader)
    assert there == ids(pair.leader)
    for name, _, status, error in written:
        if error != "outcome_unknown":
            assert (f"{name}/**" in there) == (status == 201), (name, status, error)
    # Who asks again for what was not known hears the truth: it is there once, and cannot be made twice.
    for name, _, _, error in written:
        if error == "outcome_unknown":
            assert write(leader, name)[2] == (409 if f"{name}/**" in there else 201)
    revisions = [each.call("GET", "/api/cluster/members").json()["revision"] for each in pair.leaders]
    assert revisions[0] == revisions[1]


def test_a_leader_that_fell_off_the_log_loads_anew(pair):
    """It stood still while the others stored more than the log keeps. Nobody is refused meanwhile: a connection waits."""
    first, second = pair.leaders
    process, before = second.process.pid, second.call("GET", "/metrics").text
    second.process.send_signal(19)  # SIGSTOP
    for i in range(5):
        assert write(first, f"meanwhile-{i}")[2] == 201
    # All but the newest, as with more entries than the log keeps.
    pair.redis.call("XTRIM", "{zot}:log", "MAXLEN", "1")
    halt = threading.Event()

    def calls():
        statuses, longest = set(), 0
        while not halt.is_set():
            seconds, reply = ask(second, "GET", "/api/user/admin")
            statuses.add(reply.status_code)
            longest = max(longest, seconds)
        return statuses, longest

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(calls) for _ in range(4)]
        try:
            second.process.send_signal(18)  # SIGCONT
            await_true(lambda: ask(second, "GET", "/api/policy/meanwhile-4%2F**")[1].status_code == 200, 30, "what was stored meanwhile")
        finally:
            halt.set()
        results = [each.result() for each in asked]
    assert set().union(*(statuses for statuses, _ in results)) <= {200, 503}, results
    assert second.process.pid == process and second.process.poll() is None
    assert "store.behind" in second.log.read_text()
    assert write(second, "afterwards")[2] == 201
    assert ids(first) == ids(second)

    def uptime(text):
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith("zot_leader_uptime_seconds"))
    assert uptime(second.call("GET", "/metrics").text) < uptime(before) + 60
    print("a question waited for at most", max(longest for _, longest in results))
