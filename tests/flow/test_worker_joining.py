# SPDX-License-Identifier: Apache-2.0
"""What a led worker must be before it joins: reached at its address, the only one of its name, of the others' secret, with a right clock."""
import json
import re
import socket
import subprocess
import time

import pytest
import requests

from peer_tokens import Script
from scripted_leader import ScriptedLeader, entity
from web_server import web_server
from worker_process import Worker, await_true, free_port


class Heard(ScriptedLeader):
    """What the worker reports is kept."""

    def __init__(self):
        super().__init__()
        self.reports, self.lease_ms, self.isolated, self.ahead_ms, self.more = [], 6000, False, 0, {}

    def good_push(self, call):
        self.reports.append(json.loads(call.body))
        super().good_push(call)

    def good_answer(self, push, **more):
        answer = super().good_answer(push, **more)
        return {**answer, "now_ms": answer["now_ms"] + self.ahead_ms, **self.more}

    def entities(self):
        others = [one for one in super().entities() if one["kind"] != "settings"]
        return others + [entity("settings", "cluster", leaseMs=self.lease_ms, pushEveryMs=100, pollWaitMs=20000, isolated=self.isolated)]

    def states(self):
        return [report["state"] for report in self.reports]

    def joins(self, **more):
        """Started, and answers; it may not be ready."""
        worker = self.worker(**more)
        worker.is_ready = lambda: answers(worker)
        return worker


def answers(worker):
    assert worker.process.poll() is None, worker.text()
    try:
        return worker.session.get(worker.url + "/livez", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def readiness(worker):
    reply = worker.session.get(worker.url + "/readyz", timeout=10)
    return reply.status_code, reply.text


def complains(worker, kind, *words):
    """It says so itself, and is not ready."""
    await_true(lambda: f"\n{kind}: " in readiness(worker)[1], what=f"the complaint {kind}")
    status, text = readiness(worker)
    line = next(line for line in text.splitlines() if line.startswith(kind))
    assert status == 503 and all(word in line for word in words), text


def test_not_ready_while_nobody_owns_anything():
    """With a storage each, a ring without an active member leaves every repository without an owner."""
    with Heard() as leader:
        leader.isolated = True
        with leader.joins() as worker:
            await_true(lambda: readiness(worker)[0] == 200, what="ready")
            leader.member["state"], leader.revision = "draining", 6
            await_true(lambda: "\nring: no member is active" in readiness(worker)[1], what="a line")
            assert readiness(worker)[0] == 503
            # Shared storage is served by whoever is asked.
            leader.isolated, leader.revision = False, 7
            await_true(lambda: "\nring: " not in readiness(worker)[1], what="no line")
            leader.isolated, leader.member["state"], leader.revision = True, "active", 8
            await_true(lambda: readiness(worker)[0] == 200, what="ready")


# ---- The address ----

def test_a_worker_joins_when_it_has_reached_itself():
    with Heard() as leader, leader.worker() as worker:
        await_true(lambda: "active" in leader.states(), what="that it has joined")
        states = leader.states()
        assert states[:states.index("active")] == ["joining"] * states.index("active")
        assert readiness(worker)[0] == 200 and "address" not in readiness(worker)[1]
        assert '"hello.answered"' in worker.text()
        # The page is for members alone.
        assert worker.call("GET", "/cluster/hello").status_code == 401


@pytest.mark.parametrize("status", [200, 204, 404, 401, 503])
def test_a_web_server_at_its_address_is_not_it(status):
    with Heard() as leader, web_server(status, b"" if status == 204 else b"<html>") as url, leader.joins(CLUSTER_SELF_ADDRESS=url) as worker:
        complains(worker, "address", url, "somebody who is no worker of this cluster", f"answered {status}", "CLUSTER_SELF_ADDRESS")
        await_true(lambda: any("address: " in report["complaints"] for report in leader.reports), what="that the leader hears of it")
        assert set(leader.states()) == {"joining"}
        assert '"cluster.complaint"' in worker.text()


def test_nobody_at_its_address():
    with Heard() as leader, leader.joins(CLUSTER_SELF_ADDRESS=f"http://127.0.0.1:{free_port()}") as worker:
        complains(worker, "address", "cannot be reached from here", "ZOT_CHECK_SELF_ADDRESS=false")
        assert set(leader.states()) == {"joining"}


def test_a_neighbour_at_its_address_is_named():
    with Heard() as leader, leader.worker(CLUSTER_WORKER_NAME="two") as two:
        with leader.joins(CLUSTER_SELF_ADDRESS=two.url) as worker:
            complains(worker, "address", two.url, 'that of the worker "two"')
        assert "joining" in leader.states()


def test_a_worker_of_another_cluster_at_its_address():
    with Heard() as leader, Heard() as other, other.worker(CLUSTER_LEADER_CLIENT_SECRET="another secret of other workers") as two:
        with leader.joins(CLUSTER_SELF_ADDRESS=two.url) as worker:
            complains(worker, "address", two.url, "does not know this cluster's secret")


def test_a_process_of_its_name_at_its_address():
    with Heard() as leader, leader.worker() as one:
        with leader.joins(CLUSTER_SELF_ADDRESS=one.url) as worker:
            complains(worker, "name", one.url, 'another process that is called "one"')


def test_an_address_that_comes_to_life_is_taken():
    """A balancer that is started after it; what was said before is over."""
    with Heard() as leader:
        port = free_port()
        worker = leader.joins(CLUSTER_SELF_ADDRESS=f"http://127.0.0.1:{port}")
        with worker:
            complains(worker, "address", "cannot be reached")
            with Script(port, lambda connection, request: pass_on(connection, request, worker.port)):
                await_true(lambda: readiness(worker)[0] == 200, what="its readiness")
                await_true(lambda: leader.states()[-1] == "active", what="that it has joined")
            await_true(lambda: leader.reports[-1]["complaints"] == "", what="a report without a complaint")
            # What becomes of the address later is seen by who calls it.
            assert readiness(worker)[0] == 200


def pass_on(connection, request, port):
    with socket.create_connection(("127.0.0.1", port)) as there:
        there.sendall(request[0].encode() + b"\r\n\r\n" + request[1])
        connection.sendall(there.recv(65536))
    return "close"


def test_a_worker_that_cannot_reach_itself_may_be_told_not_to_try():
    with Heard() as leader, leader.worker(CLUSTER_SELF_ADDRESS="http://192.0.2.1:5000", ZOT_CHECK_SELF_ADDRESS="false") as worker:
        await_true(lambda: "active" in leader.states(), what="that it has joined")
        assert readiness(worker)[0] == 200 and "hello" not in worker.text()


# ---- The name ----

TAKEN = {"error": {"code": "name_taken", "message": "another process has this worker's name, one, at http://10.0.0.9:5000"}}


def refuse(call, body=TAKEN):
    call.answer(409, json.dumps(body).encode(), {"Content-Type": "application/json"})


def test_a_name_that_is_anothers_is_told_when_a_lease_is_over():
    with Heard() as leader:
        leader.lease_ms = 1000
        leader.push = refuse
        with leader.joins() as worker:
            started = time.monotonic()
            complains(worker, "name", "http://10.0.0.9:5000")
            assert time.monotonic() - started > 0.5
            leader.push = leader.good_push
            await_true(lambda: readiness(worker)[0] == 200, what="its readiness, when the name is its own")
            assert "name: " not in readiness(worker)[1]


def test_another_refusal_is_no_name():
    """The ring would be too large, say."""
    with Heard() as leader:
        leader.lease_ms = 1000
        leader.push = lambda call: refuse(call, {"error": {"code": "conflict", "message": "with this member the ring would be too large"}})
        with leader.joins() as worker:
            await_true(lambda: readiness(worker)[0] == 200, what="its readiness")
            started, before = time.monotonic(), leader.pushes
            await_true(lambda: leader.pushes > before + 10 and time.monotonic() - started > 2, what="refusals for two leases")
            assert readiness(worker)[0] == 200 and "name: " not in readiness(worker)[1]


def test_isolated_a_twin_says_nothing_of_its_own():
    """The repositories are the other one's: what this one does not have is not 404."""
    with Heard() as leader:
        leader.lease_ms, leader.isolated = 1000, True
        leader.push = refuse
        with leader.joins() as worker:
            complains(worker, "name")
            assert worker.call("GET", "/v2/a/manifests/v1").status_code == 503
            leader.push = leader.good_push
            await_true(lambda: worker.call("GET", "/v2/a/manifests/v1").status_code == 404, what="an answer of its own")


# ---- The clock ----

@pytest.mark.parametrize("ahead_s, words", [(-61, "61 s ahead of"), (61, "61 s behind"), (86400, "86400 s behind")])
def test_a_clock_that_is_not_the_leaders_is_told_and_counts_not(ahead_s, words):
    with Heard() as leader:
        leader.ahead_ms = ahead_s * 1000
        with leader.worker() as worker:
            await_true(lambda: "clock: " in readiness(worker)[1], what="the complaint")
            status, text = readiness(worker)
            line = next(line for line in text.splitlines() if line.startswith("clock"))
            said = int(re.search(r"is (\d+) s", line)[1])
            assert status == 200 and abs(said - abs(ahead_s)) <= 2 and ("ahead" in line) == ("ahead" in words)
            await_true(lambda: any("clock: " in report["complaints"] for report in leader.reports), what="that the leader hears of it")
            leader.ahead_ms = 0
            await_true(lambda: "clock: " not in readiness(worker)[1], what="the end of the complaint")


# ---- The secret ----

def test_another_secret_than_most_is_told():
    with Heard() as leader:
        leader.more = {"other_secret": True}
        with leader.joins(ZOT_CLUSTER_SECRET="0123456789abcdef0123456789abcdef") as worker:
            complains(worker, "secret", "ZOT_CLUSTER_SECRET of this worker is another")
            leader.more = {}
            await_true(lambda: readiness(worker)[0] == 200, what="its readiness")


def test_the_leader_gets_a_mark_of_the_secret_and_not_the_secret():
    marks = {}
    for secret in (None, "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdeg"):
        with Heard() as leader, leader.worker(**({"ZOT_CLUSTER_SECRET": secret} if secret else {})) as worker:
            await_true(lambda: leader.reports, what="a report")
            marks[secret] = leader.reports[0]["secret"]
            assert not secret or secret not in json.dumps(leader.reports) + worker.text()
    assert marks[None] == 1 and len(set(marks.values())) == 3
    # The same for the same secret.
    with Heard() as leader, leader.worker(ZOT_CLUSTER_SECRET="0123456789abcdef0123456789abcdef"):
        await_true(lambda: leader.reports, what="a report")
        assert leader.reports[0]["secret"] == marks["0123456789abcdef0123456789abcdef"]


# ---- One folder ----

@pytest.mark.parametrize("name", [None, "a worker"])
def test_two_of_one_name_on_one_folder(tmp_path, name):
    """Without a leader the folder says so: the second one does not start."""
    named = {"CLUSTER_WORKER_NAME": name} if name else {}
    with Worker(ZOT_STORAGE_ROOT=tmp_path, **named):
        second = Worker(ZOT_STORAGE_ROOT=tmp_path, **named)
        done = subprocess.run([str(second.program_path()), "serve"], env=second.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert f'another worker called \\"{name or "single"}\\" is on this storage' in done.stderr and "CLUSTER_WORKER_NAME" in done.stderr
        with Worker(ZOT_STORAGE_ROOT=tmp_path, CLUSTER_WORKER_NAME="another"):
            pass


def test_two_on_one_port():
    """Each would get a part of the clients, and nobody would know which."""
    with Worker() as first:
        second = Worker(port=first.port)
        done = subprocess.run([str(second.program_path()), "serve"], env=second.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert "PORT, which must be this worker's alone" in done.stderr and str(first.port) in done.stderr and "in use" in done.stderr


# ---- The version before ----

def test_a_member_that_cannot_sign_yet_is_heard_while_the_leader_says_so():
    """It is of a version before signed answers: an upgrade goes on worker by worker."""
    def answer(connection, request):
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nX-Of: two\r\nContent-Length: 2\r\n\r\n{}")

    def of_two(worker):
        """Was one of ten repositories answered by the other member? Its address is left alone for a second after a failure."""
        return any(worker.call("GET", f"/v2/app{n}/tags/list").headers.get("X-Of") for n in range(10))

    with Heard() as leader:
        leader.more = {"unsigned": [{"name": "two"}]}
        port = free_port()
        whole = leader.entities
        ring = {"id": "two", "url": f"http://127.0.0.1:{port}", "state": "active"}
        leader.entities = lambda: [entity("ring", "ring", epoch=1, hashKey="0" * 32, members=[leader.member, ring]) if one["kind"] == "ring" else one for one in whole()]
        with Script(port, answer) as two, leader.worker() as worker:
            await_true(lambda: of_two(worker), what="an answer of the other member")
            leader.more = {}
            before = len(leader.reports)
            await_true(lambda: len(leader.reports) > before + 2, what="reports after the change")
            heard = len(two.heard)
            await_true(lambda: not of_two(worker) and len(two.heard) > heard, what="a call that nobody hears the answer of")
            assert not of_two(worker)
            assert '"peer.stranger"' in worker.text()
