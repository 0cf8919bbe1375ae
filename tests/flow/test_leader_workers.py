# SPDX-License-Identifier: Apache-2.0
"""Credentials of workers: made by the admin API, each bound to a name, revocable."""
import base64
import concurrent.futures
import datetime
import json
import pathlib
import re
import socket
import threading
import time

import msgpack
import pytest
import requests

from leader_process import FakeWorker, Leader
from worker_process import Worker, await_true, free_port


@pytest.fixture
def leader():
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as one:
        yield one


def new_worker(leader, name, **fields):
    """A worker with a credential of its own."""
    reply = leader.admin("POST", "/api/worker", {"id": name, **fields})
    assert reply.status_code == 201, reply.text
    worker = FakeWorker(leader, name)
    worker.session.auth = (reply.json()["clientId"], reply.json()["clientSecret"])
    return worker


def ring_of(worker):
    [ring] = [e for e in msgpack.unpackb(worker.state().content)["entities"] if e["kind"] == "ring"]
    return ring["body"]


def in_seconds(s):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_credential_is_shown_once_and_opens_what_a_worker_needs(leader):
    reply = leader.admin("POST", "/api/worker", {"id": "one", "description": "rack 7"})
    made = reply.json()
    assert reply.status_code == 201 and made["clientId"] == "one" and made["clientSecret"].startswith("zwk_") and "apiKey" not in made
    worker = FakeWorker(leader, "one")
    worker.session.auth = ("one", made["clientSecret"])
    assert worker.push().status_code == 200 and worker.state().status_code == 200
    for path in ("/api/user", "/api/worker", "/api/cluster/members"):
        assert worker.session.get(leader.url + path, timeout=10).status_code == 403
    shown = leader.admin("GET", "/api/worker/one")
    assert shown.json() == {"id": "one", "revision": shown.json()["revision"], "description": "rack 7", "enabled": True, "validUntil": 0}
    assert leader.admin("GET", "/api/workers").json()["total"] == 1
    worker.session.auth = ("one", made["clientSecret"][:-1] + "x")
    assert worker.push().status_code == 401
    worker.session.auth = ("two", made["clientSecret"])
    assert worker.push().status_code == 401
    assert leader.admin("POST", "/api/worker", {"id": "a:b"}).status_code == 400


def test_it_is_good_for_its_own_name_alone(leader):
    FakeWorker(leader, "two").push()
    worker = new_worker(leader, "one")
    assert worker.push().status_code == 200
    for name in ("two", "three", "One"):
        worker.name = name
        reply = worker.push(state="left", url="http://evil:1")
        assert reply.status_code == 403 and '\\"one\\"' in reply.text and f'\\"{name}\\"' in reply.text
    members = leader.members()
    assert set(members) == {"one", "two"} and members["two"]["url"] == "http://two:1" and members["two"]["state"] == "active"


def test_members_tell_of_chores(leader):
    worker = new_worker(leader, "one")
    assert worker.push().status_code == 200
    assert leader.members()["one"]["stats"]["chores"] == {"running": 0, "failures": 0}
    assert worker.push(stats={"chores": 2, "chore": "import", "chore_ms": 61000, "chore_failures": 3, "chore_failed_ms": 5000}).status_code == 200
    assert leader.members()["one"]["stats"]["chores"] == {
        "running": 2, "longest": "import", "longestMs": 61000, "failures": 3, "failedMsAgo": 5000}
    assert worker.push(stats={"chore": "a word that is too long"}).status_code == 413


def beat(worker, number, **more):
    reply = worker.push(seq=0, number=number, **more)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_members_show_what_runs(leader):
    worker = new_worker(leader, "one")
    assert beat(worker, 1)["tell_chores"] is True
    assert leader.members()["one"]["chores"] == []
    rows = [{"name": "fold"}, {"name": "gc", "state": "running", "can_dry_run": True, "run": {"unit": "repositories", "done": 3, "about": 9, "what": "a/b", "at_s": 1700000000}}]
    assert "tell_chores" not in beat(worker, 2, chores=rows, chores_whole=True)
    assert leader.members()["one"]["chores"] == [
        {"name": "fold", "state": "idle", "canDryRun": False},
        {"name": "gc", "state": "running", "canDryRun": True,
         "run": {"what": "repositories", "done": 3, "about": 9, "at": "a/b", "began": "2023-11-14T22:13:20.000Z"}}]
    beat(worker, 3, chores=[{"name": "gc", "can_dry_run": True, "last": {"how": "done", "unit": "repositories", "done": 9, "removed": 2, "bytes": 70, "at_s": 1700000001, "ms": 40}}])
    gc = leader.members()["one"]["chores"][1]
    assert gc == {"name": "gc", "state": "idle", "canDryRun": True,
                  "last": {"how": "done", "what": "repositories", "done": 9, "removed": 2, "bytes": 70, "ended": "2023-11-14T22:13:21.000Z", "ms": 40}}
    beat(worker, 2, chores=rows)  # a copy that comes late
    assert leader.members()["one"]["chores"][1] == gc
    other = new_worker(leader, "one-after")
    assert beat(other, 1)["tell_chores"] and leader.members()["one-after"]["chores"] == []


def ask(leader, chore, action="start", at="members/one/chores", **more):
    return leader.admin("POST", f"/api/cluster/{at}", {"chore": chore, "action": action, **more})


def test_an_order_is_in_the_answers_until_it_is_taken(leader):
    worker = new_worker(leader, "one")
    assert ask(leader, "gc").status_code == 404
    beat(worker, 1)
    reply = ask(leader, "gc")
    assert reply.status_code == 409 and "has not told of its chores yet" in reply.text
    beat(worker, 2, chores=[{"name": "fold"}, {"name": "gc", "can_dry_run": True}], chores_whole=True)
    for chore, action, more, status, says in (
            ("gcc", "start", {}, 404, 'did you mean \\"gc\\"?'), ("fold", "start", {"dryRun": True}, 400, "these have one: gc"),
            ("gc", "stop", {}, 409, "does not run"), ("gc", "pause", {}, 400, "action: needed"), ("", "start", {}, 400, "chore: needed")):
        reply = ask(leader, chore, action, **more)
        assert reply.status_code == status and says in reply.text, reply.text
    assert not beat(worker, 3).get("orders")
    reply = ask(leader, "gc", dryRun=True)
    [row] = reply.json()["members"]
    assert reply.status_code == 202 and reply.json() == {"chore": "gc", "action": "start", "dryRun": True, "members": [{"name": "one", "order": row["order"]}]}
    order = {"id": row["order"], "chore": "gc", "dry_run": True}
    assert beat(worker, 4)["orders"] == beat(worker, 5)["orders"] == [order]
    assert "is about to run" in ask(leader, "gc").text
    assert not beat(worker, 6, chores=[{"name": "gc", "can_dry_run": True, "state": "running", "order": row["order"], "run": {"unit": "repositories"}}]).get("orders")
    assert "runs already" in ask(leader, "gc").text
    reply = ask(leader, "gc", "stop", at="chores")
    assert reply.status_code == 202 and beat(worker, 7)["orders"][0]["stop"] is True
    stopped, started = leader.admin("GET", "/api/audit?kind=chore").json()["items"]
    assert (started["id"], started["how"], started["member"], started["dryRun"], started["count"]) == ("gc", "started", "one", True, 1)
    assert (stopped["id"], stopped["how"], stopped["count"]) == ("gc", "stopped", 1) and "member" not in stopped
    assert worker.session.post(leader.url + "/api/cluster/members/one/chores", json={"chore": "gc", "action": "start"}, timeout=10).status_code == 403


def test_the_word_that_a_report_is_wanted_comes_at_once(leader):
    worker = new_worker(leader, "one")
    beat(worker, 1, chores=[{"name": "fold"}], chores_whole=True)

    def poll():
        """Until nothing is new: the ring comes behind the member."""
        reply = worker.state()
        while reply.status_code == 200:
            reply = worker.state(since=int(reply.headers["Zot-State-Revision"]), wait=20000, headers={"Zot-Worker-Name": "one", "Zot-Worker-Id": worker.process})
        return reply

    with concurrent.futures.ThreadPoolExecutor() as pool:
        heard = pool.submit(poll)
        begun = time.monotonic()
        assert ask(leader, "fold").status_code == 202
        assert heard.result().headers.get("Zot-Report") == "now" and time.monotonic() - begun < 10


def test_no_worker_gets_credentials_of_workers(leader):
    one, shared = new_worker(leader, "one"), FakeWorker(leader, "shared")
    before = int(shared.state().headers["Zot-State-Revision"])
    leader.admin("PATCH", "/api/worker/one", {"description": "a word to look for"})
    leader.admin("POST", "/api/worker", {"id": "other"})
    leader.admin("DELETE", "/api/worker/other")
    for worker in (one, shared):
        for since in (0, before):
            answer = worker.state(since=since)
            kinds = {e["kind"] for e in msgpack.unpackb(answer.content)["entities"]}
            assert "worker" not in kinds and b"a word to look for" not in answer.content and b"other" not in answer.content
            assert int(answer.headers["Zot-State-Revision"]) == leader.revision()
    lines = leader.admin("GET", "/api/cluster/state").text
    assert "a word to look for" in lines and "secret" not in lines.lower()


@pytest.mark.parametrize("how", [("DELETE", None), ("PATCH", {"enabled": False}), ("PATCH", {"clientSecret": "another secret, long enough"}),
                                 ("PATCH", {"validUntil": "2020-01-01T00:00:00Z"})])
def test_a_revoked_credential_is_refused_at_once(leader, how):
    worker, shared = new_worker(leader, "one"), FakeWorker(leader, "two")
    assert worker.push().status_code == 200 and shared.push().status_code == 200
    await_true(lambda: len(leader.admin("GET", "/api/ring/ring").json()["members"]) == 2, what="the ring")
    revision, heard = int(worker.state().headers["Zot-State-Revision"]), {}
    thread = threading.Thread(target=lambda: heard.update(reply=worker.state(since=revision, wait=50000), at=time.monotonic()))
    thread.start()
    await_true(lambda: "zot_leader_parked_polls 1" in requests.get(leader.url + "/metrics", timeout=10).text, what="the waiting question")
    leader.admin(how[0], "/api/worker/one", how[1])
    revoked = time.monotonic()
    thread.join()
    assert heard["reply"].status_code == 401 and "revoked" in heard["reply"].text and heard["at"] - revoked < 40
    assert worker.push().status_code == 401 and worker.state().status_code == 401
    assert shared.push().status_code == 200


def test_a_push_that_was_on_its_way_is_refused_too(leader):
    """Who was let in and sends its body later was revoked meanwhile."""
    worker = new_worker(leader, "one")
    assert worker.push().status_code == 200
    body = json.dumps({"worker": "one", "process": worker.process, "boot": worker.boot, "seq": 2, "state": "active"}).encode()
    first, go_on = threading.Event(), threading.Event()

    def slowly():
        yield body[:10]
        first.set()
        go_on.wait(30)
        yield body[10:]

    got = {}
    thread = threading.Thread(target=lambda: got.update(reply=worker.session.put(
        leader.url + "/api/cluster/quotas", data=slowly(), headers={"Content-Type": "application/json"}, timeout=60)))
    thread.start()
    first.wait(30)
    await_true(lambda: "zot_leader_open_requests 2" in requests.get(leader.url + "/metrics", timeout=10).text, what="the request under way")
    before = leader.members()["one"]["lastPush"]
    leader.admin("DELETE", "/api/worker/one")
    go_on.set()
    thread.join()
    assert got["reply"].status_code == 401 and leader.members()["one"]["lastPush"] == before


def test_a_lease_is_not_renewed_by_a_revoked_worker(leader):
    leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 1000, "pushEveryMs": 300})
    worker = new_worker(leader, "one")
    worker.push()
    leader.admin("DELETE", "/api/worker/one")
    await_true(lambda: worker.push().status_code != 200 and leader.members()["one"]["state"] == "lost", what="the worker to be lost")


def test_the_shared_credential_can_be_switched_off():
    with Leader() as leader:
        worker = new_worker(leader, "one")
        assert FakeWorker(leader, "two").push().status_code == 200
        leader.stop()
        leader.environment["ZOT_OWN_CREDENTIALS"] = "true"
        leader.start()
        assert FakeWorker(leader, "two").push().status_code == 401
        assert worker.push().status_code == 200
        leader.stop()
        del leader.environment["CLUSTER_LEADER_CLIENT_ID"], leader.environment["CLUSTER_LEADER_CLIENT_SECRET"]
        leader.start()
        assert worker.push().status_code == 200


# What workers know each other by.

def test_the_secret_of_peers_is_made_once_and_shown_to_workers_alone(tmp_path):
    with Leader(CLUSTER_LEADER_DUMP_PATH=tmp_path / "dump") as leader:
        worker = FakeWorker(leader, "one")
        secret = ring_of(worker)["peerSecret"]
        assert len(secret) == 64
        worker.push()
        await_true(lambda: leader.admin("GET", "/api/ring/ring").json()["members"], what="the worker in the ring")
        leader.stop()
        leader.start()
        assert ring_of(worker)["peerSecret"] == secret
        said = [leader.admin("GET", path).text for path in ("/api/ring", "/api/ring/ring", "/api/cluster/state", "/api/cluster/members", "/metrics")]
        for text in said + [(tmp_path / "dump").read_text(), leader.text()]:
            assert secret not in text and "peerSecret" not in text


@pytest.mark.parametrize("how, another", [
    (("DELETE", None), True), (("PATCH", {"enabled": False}), True), (("PATCH", {"clientSecret": "another secret, long enough"}), True),
    (("PATCH", {"description": "x"}), False), (("PATCH", {"enabled": True}), False)])
def test_revoking_changes_the_secret_of_peers(leader, how, another):
    new_worker(leader, "one")
    shared = FakeWorker(leader, "two")
    shared.push()
    await_true(lambda: leader.admin("GET", "/api/ring/ring").json()["members"], what="the worker in the ring")
    before = ring_of(shared)
    assert leader.admin(how[0], "/api/worker/one", how[1]).status_code in (200, 204)
    after = ring_of(shared)
    assert (after["peerSecret"] != before["peerSecret"]) == another
    if another:
        assert after["peerSecretBefore"] == before["peerSecret"] and abs(after["peerSecretSince"] - time.time()) < 60
    assert {k: v for k, v in after.items() if "peer" not in k} == {k: v for k, v in before.items() if "peer" not in k}


def test_a_credential_that_is_over_changes_the_secret_of_peers(leader):
    shared = FakeWorker(leader, "two")
    before = ring_of(shared)["peerSecret"]
    worker = new_worker(leader, "one", validUntil=in_seconds(2))
    await_true(lambda: worker.push().status_code == 401, what="the end of the credential")
    await_true(lambda: ring_of(shared)["peerSecret"] != before, what="another secret")
    after = ring_of(shared)["peerSecret"]
    # Once: the leader looks every second or more often.
    assert leader.text().count("peers.secret_changed") == 1
    leader.stop()
    leader.start()
    assert ring_of(shared)["peerSecret"] == after


# Real workers.

def real_worker(leader, name, store):
    made = leader.admin("POST", "/api/worker", {"id": name}).json()
    port = free_port()
    return Worker(port=port, CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID=made["clientId"],
                  CLUSTER_LEADER_CLIENT_SECRET=made["clientSecret"], CLUSTER_WORKER_NAME=name, CLUSTER_SELF_ADDRESS=f"http://127.0.0.1:{port}",
                  ZOT_STORAGE_ROOT=store)


def in_ring(leader):
    return sorted(m["id"] for m in leader.admin("GET", "/api/ring/ring").json()["members"])


def every_repository_is_there_at_both(workers, names):
    """Each of them is owned by one of the two, so the other one asks it."""
    for worker in workers:
        for name in names:
            assert worker.call("GET", f"/v2/{name}/manifests/v1").status_code == 200


def test_workers_with_own_credentials_know_each_other_also_when_one_is_locked_out(leader, tmp_path):
    leader.admin("POST", "/api/policy", {"id": "**", "anonymousPolicy": ["read", "create", "update", "delete"]})
    with real_worker(leader, "one", tmp_path / "store") as one, real_worker(leader, "two", tmp_path / "store") as two:
        await_true(lambda: in_ring(leader) == ["one", "two"], what="both in the ring")
        secret = ring_of(FakeWorker(leader, "other"))["peerSecret"]
        for worker in (one, two):
            await_true(lambda: worker.call("GET", "/v2/").status_code == 200, what="the policy")
            await_true(lambda: '"members":2' in worker.text() or "members=2" in worker.text(), what="the ring at the worker")
        admin = (leader.user, leader.password)
        names = [f"app{i}" for i in range(12)]
        for name in names:
            one.push(name, "v1")
        every_repository_is_there_at_both((one, two), names)
        proxied = [worker.counter("proxied_total", auth=admin) for worker in (one, two)]
        assert all(proxied), "each has asked the other one"
        leader.admin("POST", "/api/worker", {"id": "three"})
        leader.admin("DELETE", "/api/worker/three")
        await_true(lambda: ring_of(FakeWorker(leader, "other"))["peerSecret"] != secret, what="another secret")
        revision = leader.revision()
        for worker in (one, two):
            await_true(lambda: re.search(rf'revision"?[=:]{revision}\b', worker.text()), what="the new secret at the worker")
        every_repository_is_there_at_both((one, two), names)
        assert [w.counter("proxied_total", auth=admin) > before for w, before in zip((one, two), proxied)] == [True, True]
        for name in ("proxy_failed_total", "peer_refused_total"):
            assert sum(w.counter(name, auth=admin) for w in (one, two)) == 0, name
        # One of them is locked out: it serves on with what it had, out of the ring after its lease.
        leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 2000, "pushEveryMs": 300})
        leader.admin("DELETE", "/api/worker/two")
        await_true(lambda: in_ring(leader) == ["one"], what="the other one alone in the ring")
        await_true(lambda: "report.refused" in two.text(), what="what the worker says")
        assert one.call("GET", "/v2/app1/manifests/v1").status_code == 200


# Workers that are hostile.

def large_push(worker, size):
    """A push of this size that is mostly a text which nobody asked for."""
    head = json.dumps({"worker": worker.name, "process": worker.process, "boot": worker.boot, "seq": 1, "state": "active"})[:-1] + ',"more":"'
    return head.encode().ljust(size - 2, b"x") + b'"}'


def resident(leader):
    return int(re.search(r"^process_resident_memory_bytes (\d+)", requests.get(leader.url + "/metrics", timeout=60).text, re.M).group(1)) >> 20


def test_large_pushes_of_many_do_not_add_up(leader):
    """Forty at a time, held open at their last byte: few are let in, memory stays, and others are served."""
    workers = [FakeWorker(leader, f"w{i}") for i in range(40)]
    own = new_worker(leader, "own")
    before, go_on, statuses = resident(leader), threading.Event(), []
    waiting = threading.Semaphore(0)

    def push(worker, size):
        with socket.create_connection(("127.0.0.1", leader.port)) as s:
            body = large_push(worker, size)
            login = base64.b64encode(":".join(worker.session.auth).encode()).decode()
            s.sendall(f"PUT /api/cluster/quotas HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nContent-Type: application/json\r\nZot-Worker-Name: {worker.name}\r\n"
                      f"Content-Length: {size}\r\nExpect: 100-continue\r\n\r\n".encode())
            first = s.recv(65536)
            if b" 100 " in first.split(b"\r\n")[0]:
                s.sendall(body[:-1])
                waiting.release()
                go_on.wait(120)
                s.sendall(body[-1:])
                first = s.recv(65536)
            else:
                waiting.release()
            statuses.append(int(first.split()[1]))

    threads = [threading.Thread(target=push, args=(worker, 1 << 20)) for worker in workers]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert waiting.acquire(timeout=120)
    # 24 MiB are let in, and a small push of another is served.
    assert own.push().status_code == 200
    assert statuses.count(503) == 16 and len(statuses) == 16
    go_on.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 503} and len(statuses) == 40
    most = 800 if re.search("/[at]san/", str(leader.program_path())) else 200
    assert peak(leader) - before < most, (peak(leader), before)
    # The room is free again.
    assert all(worker.push(seq=2, more=["x" * 100] * 1000).status_code == 200 for worker in workers[:5])


def peak(leader):
    """MiB"""
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{leader.process.pid}/status").read_text()).group(1)) >> 10
