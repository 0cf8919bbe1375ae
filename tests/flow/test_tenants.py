# SPDX-License-Identifier: Apache-2.0
"""Workers that serve some repositories only (CLUSTER_WORKER_TENANTS), with a real leader: who owns what, and who sends what on."""
import contextlib
import subprocess

import pytest

from leader_process import SECRET, Leader
from worker_process import BUILD, MANIFEST, Worker, await_true, digest, free_port, image

LEASE = 2000
TENANTS = {"a": "team-a,labs/x", "b": "team-b"}


def worker_of(leader, store, name, tenants):
    port = free_port()
    worker = Worker(port=port, CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers", CLUSTER_LEADER_CLIENT_SECRET=SECRET,
                    CLUSTER_WORKER_NAME=name, CLUSTER_SELF_ADDRESS=f"http://127.0.0.1:{port}", CLUSTER_WORKER_TENANTS=tenants, ZOT_STORAGE_ROOT=store)
    worker.session.auth = (leader.user, leader.password)
    return worker


def rows(leader):
    return {row["id"]: row for row in leader.admin("GET", "/api/ring/ring").json()["members"]}


def await_ring(leader, workers):
    """All are in it, as all of them know."""
    def there():
        active = {name for name, row in rows(leader).items() if row["state"] == "active"}
        return active == set(workers) and all(worker.counter("state_revision") >= leader.revision() for worker in workers.values())

    await_true(there, what="a ring of " + ", ".join(workers))


@pytest.fixture
def fleet(tmp_path):
    """(leader, {name: worker}): a and b on one store."""
    with contextlib.ExitStack() as stack:
        leader = stack.enter_context(Leader())
        leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": LEASE, "pushEveryMs": 200})
        workers = {name: stack.enter_context(worker_of(leader, tmp_path / "store", name, tenants)) for name, tenants in TENANTS.items()}
        await_ring(leader, workers)
        yield leader, workers


def test_the_ring_has_them(fleet):
    leader, workers = fleet
    assert {name: row["tenants"] for name, row in rows(leader).items()} == TENANTS
    assert {name: member["tenants"] for name, member in leader.members().items()} == TENANTS
    # Another leader process has them of its store, before it has heard anybody.
    for worker in workers.values():
        worker.kill()
    leader.stop()
    leader.start()
    assert {name: member["tenants"] for name, member in leader.members().items()} == TENANTS
    # What a member is told with its next start counts.
    workers["b"].environment["CLUSTER_WORKER_TENANTS"] = "team-b,team-c"
    workers["b"].start()
    await_true(lambda: rows(leader).get("b", {}).get("tenants") == "team-b,team-c", what="other tenants of b")


def test_who_does_not_serve_it_sends_it_on(fleet):
    leader, workers = fleet
    a, b = workers["a"], workers["b"]
    for name in ("team-a/app", "team-a", "labs/x/app"):
        b.push(name, "v1")  # blobs, too
        for worker in (a, b):
            assert worker.call("GET", f"/v2/{name}/manifests/v1").content == image()
            assert worker.call("GET", f"/v2/{name}/blobs/{digest(b'layer')}").content == b"layer"
    assert (a.counter("manifest_pushes_total"), b.counter("manifest_pushes_total")) == (3, 0)
    assert (a.counter("blob_pushes_total"), b.counter("blob_pushes_total")) == (6, 0)
    assert b.counter("blob_pulls_total") == 0
    a.push("team-b/app", "v1")
    assert (a.counter("blob_pushes_total"), b.counter("blob_pushes_total"), b.counter("manifest_pushes_total")) == (6, 2, 1)


def test_a_limit_of_the_owner_has_its_reason_where_it_was_asked(fleet):
    leader, workers = fleet
    assert leader.admin("POST", "/api/repository", {"id": "team-a/**", "tagLimit": 1}).status_code == 201
    await_ring(leader, workers)
    workers["b"].push("team-a/app", "v1")
    reply = workers["b"].call("PUT", "/v2/team-a/app/manifests/v2", data=image(), headers={"Content-Type": MANIFEST})
    assert reply.status_code == 403 and reply.headers["Zot-Refused"] == "tag_limit" and "tagLimit of team-a/**" in reply.text
    await_true(lambda: '"reason":"tag_limit"' in workers["b"].text() and '"entity":"team-a/**"' in workers["b"].text(), what="the line of the refusal")
    assert (workers["a"].counter("tag_limit_refused_total"), workers["b"].counter("tag_limit_refused_total")) == (1, 0)


def test_nobody_serves_it(fleet):
    leader, workers = fleet
    for method, path in (("GET", "/v2/team-c/app/manifests/v1"), ("GET", f"/v2/team-ab/blobs/{digest(b'x')}"), ("POST", "/v2/labs/blobs/uploads/")):
        for worker in workers.values():
            reply = worker.call(method, path)
            assert reply.status_code == 503 and "no worker of the cluster serves this repository" in reply.text


def test_the_one_that_serves_it_is_gone(fleet, tmp_path):
    """Another one does not serve it in its place, whatever the storage; one more that serves all does."""
    leader, workers = fleet
    a, b = workers["a"], workers["b"]
    a.push("team-a/app", "v1")
    a.kill()
    assert b.call("GET", "/v2/team-a/app/manifests/v1").status_code == 503
    b.push("team-b/app", "v1")
    with worker_of(leader, tmp_path / "store", "c", "") as c:
        await_ring(leader, {"b": b, "c": c})
        assert b.call("GET", "/v2/team-a/app/manifests/v1").content == image()
        before = c.counter("blob_pushes_total")
        b.push("anything/else", "v1")
        assert c.counter("blob_pushes_total") == before + 2


@pytest.mark.parametrize("environment,why", [
    ({"CLUSTER_WORKER_TENANTS": "Team"}, 'CLUSTER_WORKER_TENANTS: "Team" is not how a repository'),
    ({"CLUSTER_WORKER_TENANTS": "team-a", "CLUSTER_MODE": "off", "CLUSTER_LEADER_URL": ""}, "CLUSTER_WORKER_TENANTS: is for workers with a leader")])
def test_what_is_wrong_is_said_at_the_start(tmp_path, environment, why):
    led = {"CLUSTER_MODE": "worker", "CLUSTER_LEADER_URL": "http://127.0.0.1:1", "CLUSTER_LEADER_CLIENT_ID": "workers", "CLUSTER_LEADER_CLIENT_SECRET": SECRET}
    if "CLUSTER_MODE" in environment:
        led = {}
    ended = subprocess.run([BUILD / "worker/zot-worker", "serve"], env={"PORT": str(free_port()), "ZOT_STORAGE_ROOT": str(tmp_path), **led, **environment},
                           capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0 and why in ended.stdout + ended.stderr
