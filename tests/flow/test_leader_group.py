# SPDX-License-Identifier: Apache-2.0
"""Groups and the admin policy as entities: a worker obeys them, the explanation and the usage know them."""
import contextlib

import pytest

from leader_process import SECRET, FakeWorker, Leader
from worker_process import Worker, await_true, free_port

PASSWORD = "a long password"


@contextlib.contextmanager
def new_cluster(**worker):
    port = free_port()
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as leader, Worker(
            port=port, CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers", CLUSTER_LEADER_CLIENT_SECRET=SECRET,
            CLUSTER_WORKER_NAME="one", CLUSTER_SELF_ADDRESS=f"http://127.0.0.1:{port}", ZOT_FAIL_DELAY="0", **worker) as one:
        for user in ("ann", "bob"):
            assert leader.admin("POST", "/api/user", {"id": user, "password": PASSWORD, "groups": ["own"] if user == "bob" else []}).status_code == 201
        one.session.auth = (leader.user, leader.password)
        await_true(lambda: one.call("GET", "/v2/").status_code == 200)
        one.push("team/app", "v1")
        yield leader, one


@pytest.fixture(scope="module")
def cluster():
    with new_cluster() as both:
        yield both


def obeyed(leader, worker, method, path, body=None):
    reply = leader.admin(method, path, body)
    assert reply.status_code in (200, 201, 204), reply.text
    await_true(lambda: leader.members().get("one", {}).get("revision") == leader.revision())
    return reply


def may(leader, worker, user, action="read"):
    """What the worker does, and what the leader says that it does."""
    said = leader.admin("GET", f"/api/access?user={user}&repository=team/app&action={action}").json()["allowed"]
    method, path = {"read": ("GET", "/v2/team/app/tags/list"), "delete": ("DELETE", "/v2/team/app/manifests/none")}[action]
    status = worker.call(method, path, auth=(user, PASSWORD)).status_code
    assert (status != 403) == said, (status, said)
    return said


def test_a_group_names_users_and_users_name_groups(cluster):
    leader, worker = cluster
    obeyed(leader, worker, "POST", "/api/policy", {"id": "team/**", "policies": [{"groups": ["own", "dev"], "actions": ["read"]}]})
    assert not may(leader, worker, "ann") and may(leader, worker, "bob")
    obeyed(leader, worker, "POST", "/api/group", {"id": "dev", "users": ["ann", "gone"], "description": "who develops"})
    assert may(leader, worker, "ann") and may(leader, worker, "bob")
    who = leader.admin("GET", "/api/access?user=ann&repository=team/app&action=read").json()["who"]
    assert who["groups"] == ["dev"]
    obeyed(leader, worker, "PATCH", "/api/group/dev", {"users": ["bob"]})
    assert not may(leader, worker, "ann")
    who = leader.admin("GET", "/api/access?user=bob&repository=team/app&action=read").json()["who"]
    assert who["groups"] == ["own", "dev"]
    obeyed(leader, worker, "PATCH", "/api/group/dev", {"users": ["ann"]})
    obeyed(leader, worker, "DELETE", "/api/group/dev")
    assert not may(leader, worker, "ann") and may(leader, worker, "bob")


def test_the_admin_policy_is_one_and_grants_everywhere(cluster):
    leader, worker = cluster
    obeyed(leader, worker, "PUT", "/api/policy/**", {"policies": []})
    assert leader.admin("POST", "/api/admin_policy", {"id": "admin"}).status_code == 405
    assert leader.admin("PUT", "/api/admin_policy/other", {}).status_code == 400
    refused = leader.admin("PUT", "/api/admin_policy/admin", {"actions": ["detectManifestCollision"]})
    assert refused.status_code == 400 and "is not one of" in refused.text
    obeyed(leader, worker, "POST", "/api/group", {"id": "ops", "users": ["ann"]})
    assert not may(leader, worker, "ann", "delete")
    obeyed(leader, worker, "PUT", "/api/admin_policy/admin", {"groups": ["ops"], "actions": ["delete"]})
    assert may(leader, worker, "ann", "delete") and not may(leader, worker, "bob", "delete")
    said = leader.admin("GET", "/api/access?user=ann&repository=team/app&action=delete").json()
    assert said["reason"] == "admin_policy"
    obeyed(leader, worker, "DELETE", "/api/admin_policy/admin")
    assert not may(leader, worker, "ann", "delete")


def test_usage_by_group_has_those_whom_the_group_names():
    with Leader() as leader:
        keys = {}
        for user, groups in (("ann", []), ("bob", ["dev"]), ("eve", [])):
            leader.admin("POST", "/api/user", {"id": user, "password": PASSWORD, "groups": groups})
            keys[user] = leader.admin("POST", "/api/apikey", {"owner": user}).json()["clientId"]
        leader.admin("POST", "/api/group", {"id": "dev", "users": ["ann", "bob", "gone"]})
        day = "2026-11-22"
        assert FakeWorker(leader, "one").push(
            usage=[{"apikey": key, "day": day, "calls": 1, "bytes_in": 0, "bytes_out": 0} for key in keys.values()]).status_code == 200
        rows = leader.admin("GET", f"/api/usage?group=dev&day={day}").json()["usage"]
        assert sorted(row["owner"] for row in rows) == ["ann", "bob"]
