# SPDX-License-Identifier: Apache-2.0
"""Many changes as one: all or nothing, in one revision; and a body to begin with."""
import concurrent.futures
import json

import pytest
import requests

from leader_process import FakeWorker, Leader
from registry import await_true
from test_leader_workers import ring_of

NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def leader():
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as one:
        one.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
        yield one


def bulk(leader, method, kind, lines, **more):
    body = lines if isinstance(lines, (str, bytes)) else "".join(json.dumps(line) + "\n" for line in lines)
    return leader.session.request(method, f"{leader.url}/api/{kind}/_bulk", data=body, headers={**NDJSON, **more}, timeout=120)


def total(leader, kind):
    return leader.admin("GET", f"/api/{kind}").json()["total"]


def refused(leader, status, method, kind, lines, *words):
    before = leader.revision()
    reply = bulk(leader, method, kind, lines)
    assert reply.status_code == status, reply.text
    message = reply.json()["error"]["message"]
    assert all(word in message for word in words), message
    assert leader.revision() == before


def test_keys_are_made_in_one_revision_and_their_secrets_shown(leader):
    before = leader.revision()
    reply = bulk(leader, "POST", "apikey", [{"owner": "ann", "label": f"k{i}"} for i in range(500)] + [{"id": "own-client-id", "owner": "ann"}])
    assert reply.status_code == 200, reply.text
    items = reply.json()["items"]
    revision = reply.json()["revision"]
    assert leader.revision() == revision > before and len(items) == 501
    assert {item["etag"] for item in items} == {f'"{revision}"'} and {item["how"] for item in items} == {"created"}
    assert items[500]["id"] == "own-client-id"
    key = items[17]
    shown = leader.admin("GET", f"/api/apikey/{key['id']}")
    assert shown.json()["label"] == "k17" and shown.headers["ETag"] == key["etag"] and key["apiKey"] == "zak_" + key["clientSecret"]
    # A worker hears of all of them at once.
    delta = FakeWorker(leader, "one").state(since=before)
    assert delta.headers["Zot-State-Revision"] == str(revision)


def test_each_method_takes_the_lines_that_the_single_call_takes(leader):
    assert bulk(leader, "PUT", "group", [{"id": "g1", "users": ["ann"]}, {"id": "g2"}]).json()["items"][0]["how"] == "created"
    reply = bulk(leader, "PATCH", "group", '\n{"id":"g1","description":"one"}\r\n\n{"id":"g2","users":["bob"]}')
    assert [item["how"] for item in reply.json()["items"]] == ["patched", "patched"]
    one = leader.admin("GET", "/api/group/g1").json()
    assert one["users"] == ["ann"] and one["description"] == "one"
    assert bulk(leader, "PUT", "groups", [{"id": "g1"}]).json()["items"][0]["how"] == "replaced"
    assert leader.admin("GET", "/api/group/g1").json()["users"] == []
    tag = leader.admin("GET", "/api/group/g1").headers["ETag"]
    refused(leader, 412, "PATCH", "group", [{"id": "g2", "users": []}, {"id": "g1", "ifMatch": '"1"'}], "line 2: ifMatch")
    refused(leader, 412, "PUT", "group", [{"id": "absent", "ifMatch": "*"}], "line 1: ifMatch: it is not there")
    assert bulk(leader, "PATCH", "group", [{"id": "g1", "ifMatch": tag, "description": "x"}, {"id": "g2", "ifMatch": "*"}]).status_code == 200
    assert bulk(leader, "DELETE", "group", [{"id": "g1", "ifMatch": leader.revision()}, {"id": "g2"}]).status_code == 200
    assert total(leader, "group") == 0


def test_the_line_that_is_wrong_is_named_and_nothing_is_changed(leader):
    good = [{"id": f"u{i}"} for i in range(20)]
    refused(leader, 400, "POST", "user", good[:16] + [{"id": "u16", "pasword": "x"}] + good[17:], "line 17:", 'did you mean "password"')
    refused(leader, 400, "POST", "user", good + [good[3]], "line 21:", "is on line 4 too")
    refused(leader, 409, "POST", "user", good + [{"id": "ann"}], "line 21:", "exists already")
    refused(leader, 404, "PATCH", "user", [{"id": "ann"}, {"id": "nobody"}], "line 2: there is no user")
    refused(leader, 404, "DELETE", "user", [{"id": "nobody"}], "line 1: there is no user")
    refused(leader, 400, "DELETE", "user", [{"id": "ann", "enabled": False}], 'line 1: unknown member "enabled"')
    refused(leader, 400, "POST", "user", '{"id":"a"}\n{"id":', "line 2:")
    refused(leader, 400, "POST", "user", '[]', "line 1: must be a JSON object")
    refused(leader, 400, "POST", "user", "\n\n", "no lines")
    refused(leader, 400, "POST", "user", [{"id": "_bulk"}], "line 1: id:")
    refused(leader, 400, "POST", "apikey", [{"owner": "ann"}, {"owner": "nobody"}], "line 2: owner: there is no user")
    refused(leader, 413, "POST", "user", [{"id": f"u{i}"} for i in range(10001)], "line 10001: at most 10000")
    refused(leader, 413, "POST", "user", [{"id": "b", "metadata": {"x": "y" * 4096}}] * 2100, "8388608")
    assert bulk(leader, "POST", "settings", [{"id": "cluster"}]).status_code == 405
    assert bulk(leader, "POST", "settings", [{"id": "cluster"}]).headers["Allow"] == "PUT, PATCH"
    assert bulk(leader, "POST", "ring", [{"id": "ring"}]).status_code == 404
    assert leader.admin("GET", "/api/user/_bulk").status_code == 405


def test_users_go_with_their_keys_and_never_the_last_admin(leader):
    leader.admin("POST", "/api/user", {"id": "bob"})
    leader.admin("POST", "/api/user", {"id": "eve"})
    for owner in ("bob", "eve", "eve"):
        leader.admin("POST", "/api/apikey", {"owner": owner})
    before = total(leader, "apikey")
    refused(leader, 409, "DELETE", "user", [{"id": "bob"}, {"id": "admin"}], "no enabled admin")
    refused(leader, 409, "PATCH", "user", [{"id": "admin", "roles": []}], "no enabled admin")
    assert bulk(leader, "PATCH", "user", [{"id": "admin", "roles": []}, {"id": "bob", "roles": ["admin"]}]).status_code == 200
    assert leader.admin("GET", "/api/user").status_code == 403


def test_plain_passwords_are_hashed():
    with Leader() as leader:
        lines = [{"id": f"u{i}", "password": "short"} for i in range(3)]
        refused(leader, 400, "POST", "user", lines, "line 1:", "8 to 72")
        assert bulk(leader, "POST", "user", [{"id": "ann", "password": "a long password"}, {"id": "bob"}]).status_code == 200
        leader.session.auth = ("ann", "a long password")
        assert leader.admin("GET", "/api/user").status_code == 403


def test_two_users_and_their_keys_are_one_deletion():
    with Leader() as leader:
        for user in ("ann", "bob"):
            leader.admin("POST", "/api/user", {"id": user})
            leader.admin("POST", "/api/apikey", {"owner": user})
        leader.new_key()
        before = leader.revision()
        assert bulk(leader, "DELETE", "user", [{"id": "ann"}, {"id": "bob"}]).status_code == 200
        assert leader.revision() == before + 1 and total(leader, "apikey") == 1 and total(leader, "user") == 1


def test_workers_that_lose_their_credentials_are_locked_out():
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as leader:
        made = bulk(leader, "POST", "worker", [{"id": "one"}, {"id": "two"}]).json()["items"]
        assert all(item["clientSecret"].startswith("zwk_") and "apiKey" not in item for item in made)
        shared = FakeWorker(leader, "shared")
        before = ring_of(shared)["peerSecret"]
        assert bulk(leader, "PATCH", "worker", [{"id": "one", "description": "x"}]).status_code == 200
        assert ring_of(shared)["peerSecret"] == before
        assert bulk(leader, "DELETE", "worker", [{"id": "one"}, {"id": "two"}]).status_code == 200
        assert ring_of(shared)["peerSecret"] != before


def test_a_key_manager_writes_the_keys_of_a_group_alone():
    with Leader() as leader:
        leader.admin("POST", "/api/user", {"id": "kim", "password": "a long password", "roles": ["key-manager:dev"]})
        leader.admin("POST", "/api/user", {"id": "dora"})
        leader.admin("POST", "/api/user", {"id": "otto"})
        leader.admin("POST", "/api/group", {"id": "dev", "users": ["dora", "kim"]})
        leader.session.auth = ("kim", "a long password")
        refused = bulk(leader, "POST", "apikey", [{"owner": "dora"}, {"owner": "otto"}])
        assert refused.status_code == 403 and "line 2:" in refused.text
        assert bulk(leader, "POST", "apikey", [{"owner": "dora"}] * 3).status_code == 200
        assert bulk(leader, "POST", "user", [{"id": "x"}]).status_code == 403
        assert leader.admin("GET", "/api/apikey?sort=-owner&n=2").json()["total"] == 3 == leader.admin("GET", "/api/apikey").json()["total"]
        assert [user["id"] for user in leader.admin("GET", "/api/user?q=o").json()["items"]] == ["dora"]


def test_each_line_of_a_bulk_is_in_the_audit():
    with Leader() as leader:
        bulk(leader, "POST", "group", [{"id": "g1"}, {"id": "g2"}])
        bulk(leader, "DELETE", "group", [{"id": "g1"}, {"id": "g2"}])
        rows = leader.admin("GET", "/api/audit?kind=group").json()["items"]
        assert sorted((row["id"], row["how"]) for row in rows) == [("g1", "created"), ("g1", "deleted"), ("g2", "created"), ("g2", "deleted")]


def robot(leader, keys):
    """A user with so many keys."""
    assert leader.admin("PUT", "/api/user/robot", {"id": "robot"}).status_code in (200, 201)
    lines = [{"id": f"robot-{i:08d}", "owner": "robot", "secretHash": f"{i:064x}"} for i in range(keys)]
    assert not lines or bulk(leader, "POST", "apikey", lines).status_code == 200


def test_a_user_with_very_many_keys_goes_as_a_large_write():
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as leader:
        robot(leader, 3)
        before = leader.revision()
        assert leader.admin("DELETE", "/api/user/robot").status_code == 204
        assert leader.revision() == before + 1 and total(leader, "apikey") == 0
        robot(leader, 600)
        before = leader.revision()
        assert leader.admin("DELETE", "/api/user/robot", headers={"If-Match": '"1"'}).status_code == 412
        assert leader.revision() == before and total(leader, "apikey") == 600
        assert leader.admin("DELETE", "/api/user/robot").status_code == 204
        # Its revision was chosen ahead, which a write under the lock from first to last has no need of.
        assert leader.revision() >= before + 1000
        assert total(leader, "apikey") == 0 and leader.admin("GET", "/api/user/robot").status_code == 404
        leader.kill()
        leader.start()
        assert total(leader, "apikey") == 0 and leader.admin("GET", "/api/user/robot").status_code == 404


def test_no_key_is_left_of_a_user_that_goes_while_keys_are_made():
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as leader, concurrent.futures.ThreadPoolExecutor(1) as pool:
        robot(leader, 2000)
        gone = pool.submit(requests.delete, f"{leader.url}/api/user/robot", auth=leader.session.auth, timeout=120)
        made = 0
        while leader.admin("POST", "/api/apikey", {"owner": "robot"}).status_code == 201:
            made += 1
            if gone.done():
                break
        # Where keys came faster than it could be decided it says so, and nothing has happened.
        assert gone.result().status_code in (204, 503), gone.result().text
        if gone.result().status_code == 503:
            assert total(leader, "apikey") == 2000 + made
            assert leader.admin("DELETE", "/api/user/robot").status_code == 204
        assert total(leader, "apikey") == 0


def test_large_bulks_that_wait_for_each_other_hold_nobody_up():
    """More of them than the leader has threads, of one who sends them all at once."""
    def lines(n):
        return [{"id": f"waits-{n}-{i}", "owner": "admin", "secretHash": f"{n:032x}{i:032x}"} for i in range(1000)]

    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as one, concurrent.futures.ThreadPoolExecutor(30) as pool:
        bodies = ["".join(json.dumps(line) + "\n" for line in lines(n)) for n in range(30)]
        written = [pool.submit(requests.post, f"{one.url}/api/apikey/_bulk", data=body, headers=NDJSON, auth=one.session.auth, timeout=120) for body in bodies]
        await_true(lambda: any(each.done() for each in written), what="the first of them")
        for _ in range(3):
            assert one.admin("GET", "/api/cluster/members").status_code == 200
        assert sum(each.done() for each in written) < 10
        assert [each.result().status_code for each in written] == [200] * 30
        assert total(one, "apikey") == 30000


def test_a_bulk_survives_a_kill():
    with Leader() as leader:
        assert bulk(leader, "POST", "user", [{"id": f"u{i}"} for i in range(1000)]).status_code == 200
        leader.kill()
        leader.start()
        assert total(leader, "user") == 1001


@pytest.mark.parametrize("kind, wanted", [
    ("policy", {"id": "", "policies": [], "defaultPolicy": [], "anonymousPolicy": []}),
    ("group", {"id": "", "users": [], "description": "", "throttlingQuota": 0, "dailyQuota": 0, "monthlyQuota": 0, "monthlyBytes": 0}),
    ("settings", {"id": "", "leaseMs": 6000, "pushEveryMs": 2000, "grantMs": 15000, "pollWaitMs": 25000, "isolated": False})])
def test_a_template_has_the_defaults(kind, wanted):
    with Leader() as leader:
        reply = leader.admin("GET", f"/api/{kind}/_template")
        assert reply.status_code == 200 and reply.json() == wanted
