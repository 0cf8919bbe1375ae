# SPDX-License-Identifier: Apache-2.0
"""An explanation of who may do what is what a worker does: a leader, a worker, and everybody at every repository."""
import contextlib
import itertools
import json

import pytest
import requests

from leader_process import SECRET, Leader
from worker_process import MANIFEST, Worker, await_true, free_port, image

ALL = ["read", "create", "update", "delete"]
POLICIES = {
    "**": {"policies": [{"users": ["ann"], "actions": ALL}, {"groups": ["dev"], "actions": ["read"]}]},
    "open/*": {"anonymousPolicy": ["read"], "defaultPolicy": ["read", "create"]},
    "team/**": {"policies": [{"groups": ["dev"], "actions": ["read", "create", "update"]}, {"users": ["bob"], "actions": ["delete"]}]},
    "team/closed": {"policies": [{"users": ["ann"], "actions": ["read"]}]},
    "drop/{a,b}": {"defaultPolicy": ["create"], "anonymousPolicy": ["create"]},
}
REPOSITORIES = ["open/a", "team/app", "team/closed", "drop/a", "drop/c", "other"]
USERS = {"ann": [], "bob": ["dev"], "eve": []}


@contextlib.contextmanager
def new_cluster():
    port = free_port()
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as leader, Worker(
            port=port, CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers", CLUSTER_LEADER_CLIENT_SECRET=SECRET,
            CLUSTER_WORKER_NAME="one", CLUSTER_SELF_ADDRESS=f"http://127.0.0.1:{port}", ZOT_FAIL_DELAY="0") as worker:
        for user, groups in USERS.items():
            assert leader.admin("POST", "/api/user", {"id": user, "password": "a long password", "groups": groups}).status_code == 201
        assert leader.admin("POST", "/api/user", {"id": "off", "password": "a long password", "enabled": False}).status_code == 201
        worker.session.auth = (leader.user, leader.password)
        await_true(lambda: worker.call("GET", "/v2/").status_code == 200)
        for name in REPOSITORIES:
            worker.push(name, "v1")
        for pattern, policy in POLICIES.items():
            assert leader.admin("POST", "/api/policy", {"id": pattern, **policy}).status_code == 201
        worker.session.auth = None
        yield leader, worker


@pytest.fixture(scope="module")
def cluster():
    with new_cluster() as both:
        yield both


@pytest.fixture
def fresh():
    """One of whose refusals none was told yet: lines are few."""
    with new_cluster() as both:
        yield both


def wait_for_state(leader, worker):
    await_true(lambda: leader.members().get("one", {}).get("revision") == leader.revision())


def explain(leader, **question):
    reply = leader.admin("GET", "/api/access", params=question)
    assert reply.status_code == 200, reply.text
    return reply.json()


def serves(worker, auth, name, action):
    """Does the worker let them? None: it refuses the login."""
    layer = b"layer"
    with requests.Session() as session:
        session.trust_env, session.auth = False, auth
        if action == "read":
            status = session.get(f"{worker.url}/v2/{name}/tags/list", timeout=60).status_code
        elif action == "create":
            status = session.put(f"{worker.url}/v2/{name}/manifests/new", data=image(layer), headers={"Content-Type": MANIFEST}, timeout=60).status_code
            if status == 201:
                worker.call("DELETE", f"/v2/{name}/manifests/new", auth=("admin", "a password for tests"))
        elif action == "update":
            status = session.put(f"{worker.url}/v2/{name}/manifests/v1", data=image(layer), headers={"Content-Type": MANIFEST}, timeout=60).status_code
        else:
            status = session.delete(f"{worker.url}/v2/{name}/manifests/none", timeout=60).status_code
    assert status in (200, 201, 401, 403, 404), status
    return status not in (401, 403)


def test_everybody_everywhere_is_explained_as_served(cluster):
    leader, worker = cluster
    who = [({}, None)] + [({"user": user}, (user, "a long password")) for user in [*USERS, "off", "nobody-of-that-name"]]
    for owner, scopes in (("ann", []), ("ann", ["team/**:read,create", "other:delete"]), ("bob", ["**:read"]), ("off", [])):
        key = leader.admin("POST", "/api/apikey", {"owner": owner, "scopes": scopes}).json()
        who.append(({"key": key["clientId"]}, (key["clientId"], key["clientSecret"])))
    disabled = leader.admin("POST", "/api/apikey", {"owner": "ann", "enabled": False}).json()
    who.append(({"key": disabled["clientId"]}, (disabled["clientId"], disabled["clientSecret"])))
    wait_for_state(leader, worker)
    asked = 0
    for (question, auth), name, action in itertools.product(who, REPOSITORIES, ALL):
        told = explain(leader, repository=name, action=action, **question)
        assert told["allowed"] == serves(worker, auth, name, action), (question, name, action, told)
        asked += 1
    assert asked == len(who) * len(REPOSITORIES) * len(ALL) and asked > 250


def test_the_policy_that_decides_is_named(cluster):
    leader, _ = cluster
    told = explain(leader, user="bob", repository="team/app", action="update")
    assert told["allowed"] and told["reason"] == "rule" and (told["policy"], told["rule"]) == ("team/**", 0)
    assert told["who"] == {"anonymous": False, "user": "bob", "groups": ["dev"], "admin": False}
    assert told["policies"] == len(POLICIES) and told["matching"] == [{"policy": "team/**", "decides": True}, {"policy": "**", "decides": False}]
    told = explain(leader, user="bob", repository="team/closed", action="read")
    assert not told["allowed"] and (told["reason"], told["policy"]) == ("no_rule", "team/closed")
    assert [m["policy"] for m in told["matching"]] == ["team/closed", "team/**", "**"]
    assert explain(leader, repository="open/a", action="read")["reason"] == "anonymous_policy"
    assert explain(leader, user="eve", repository="open/a", action="create")["reason"] == "default_policy"
    assert explain(leader, user="admin", repository="team/closed", action="delete")["reason"] == "role"
    assert explain(leader, user="off", repository="open/a", action="read")["reason"] == "user_disabled"
    told = explain(leader, user="nobody", repository="open/a", action="read")
    assert not told["allowed"] and told["reason"] == "user_unknown" and "login is refused" in told["text"]
    assert explain(leader, key="0123456789", repository="open/a", action="read")["reason"] == "apikey_unknown"
    key = leader.admin("POST", "/api/apikey", {"owner": "ann", "scopes": ["team/**:read"]}).json()["clientId"]
    assert explain(leader, key=key, repository="team/app", action="read")["scope"] == "team/**:read"
    assert explain(leader, key=key, user="ann", repository="other", action="read")["reason"] == "scopes"


def test_a_wrong_question_is_told(cluster):
    leader, worker = cluster
    ask = lambda **more: leader.admin("GET", "/api/access", params=more)  # noqa: E731
    key = leader.admin("POST", "/api/apikey", {"owner": "ann"}).json()["clientId"]
    for question, said in (
            ({"repository": "a", "action": "push"}, "action: is one of read, create, update, delete"), ({"repository": "a"}, "action"),
            ({"action": "read"}, "repository"), ({"repository": "A B", "action": "read"}, "repository"),
            ({"repository": "a", "action": "read", "users": "ann"}, 'did you mean \\"user\\"'),
            ({"repository": "a", "action": "read", "key": key, "user": "bob"}, 'the key is of \\"ann\\"')):
        reply = ask(**question)
        assert reply.status_code == 400 and said in reply.text, reply.text
    params = {"repository": "a", "action": "read"}
    assert requests.get(leader.url + "/api/access", params=params, timeout=10).status_code == 401
    assert requests.get(leader.url + "/api/access", params=params, auth=("ann", "a long password"), timeout=10).status_code == 403


def test_what_a_worker_refuses_says_who_decided(fresh):
    leader, worker = fresh
    key = leader.admin("POST", "/api/apikey", {"owner": "bob"}).json()
    wait_for_state(leader, worker)
    assert worker.call("GET", "/v2/team/closed/tags/list", auth=("bob", key["apiKey"])).status_code == 403

    def line():
        found = [json.loads(text) for text in worker.text().splitlines() if '"request.refused"' in text]
        return next((one for one in found if one.get("apikey") == key["clientId"]), None)

    await_true(line)
    assert {name: line()[name] for name in ("status", "reason", "user", "repository", "action", "policy", "of")} == {
        "status": 403, "reason": "no_rule", "user": "bob", "repository": "team/closed", "action": "read", "policy": "team/closed", "of": "leader"}
    assert key["clientSecret"] not in worker.text()


def test_a_used_up_quota_is_told(fresh):
    leader, worker = fresh
    key = leader.admin("POST", "/api/apikey", {"owner": "ann", "dailyQuota": 1}).json()
    wait_for_state(leader, worker)
    await_true(lambda: worker.call("GET", "/v2/other/tags/list", auth=("ann", key["apiKey"])).status_code == 429)

    def line():
        found = [json.loads(text) for text in worker.text().splitlines() if '"request.refused"' in text]
        return next((one for one in found if one["status"] == 429 and one.get("apikey") == key["clientId"]), None)

    await_true(line)
    assert line()["reason"] == "quota" and line()["user"] == "ann"
    assert key["clientSecret"] not in worker.text()
