# SPDX-License-Identifier: Apache-2.0
"""Who may do what at the admin API: every endpoint, every method, every role; and what a key manager has to do with."""
import pathlib
import re

import pytest
import requests

from leader_process import SECRET, Leader

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONG = "a long password"
ROLES = {"ann": ["admin"], "rita": ["reader"], "kim": ["key-manager:dev"], "bob": []}
# a: admin, r: reader, k: key manager, w: worker, *: whoever asks
TABLE = {
    "livez": {"GET": "*"}, "readyz": {"GET": "*"}, "metrics": {"GET": "*"},
    "api/cluster/state": {"GET": "arw"},
    "api/cluster/quotas": {"PUT": "w"},
    "api/cluster/members": {"GET": "ar", "DELETE": "a"},
    "api/cluster/backup": {"GET": "a"},
    "api/usage": {"GET": "ark"},
    "api/access": {"GET": "ar"},
    "api/audit": {"GET": "ar"},
    **{f"api/{name}": {"GET": "ark", "POST": "a", "PUT": "a", "PATCH": "a", "DELETE": "a"} for name in ("user", "users")},
    **{f"api/{name}": {"GET": "ark", "POST": "ak", "PUT": "ak", "PATCH": "ak", "DELETE": "ak"} for name in ("apikey", "apikeys")},
    **{f"api/{name}": {"GET": "ar", "POST": "a", "PUT": "a", "PATCH": "a", "DELETE": "a"}
       for name in ("policy", "policies", "settings", "ring", "rings", "worker", "workers", "group", "groups", "admin_policy", "admin_policies")},
    "api/export": {"GET": "a"},
    "api/import": {"POST": "a"},
}


@pytest.fixture
def leader():
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as one:
        for name, roles in ROLES.items():
            assert one.admin("POST", "/api/user", {"id": name, "password": LONG, "roles": roles}).status_code == 201
        yield one


def ask(leader, auth, method, path, body=None, **headers):
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, leader.url + path, auth=auth, json=body, headers=headers, timeout=30)


def paths_of_the_source():
    """Of all rows of the leader's route table, those of the kinds of entities too."""
    text = (ROOT / "leader/api/route.c").read_text()
    kinds = re.findall(r"^KIND\(\w+,\s*(\w+),\s*(\w+)", (ROOT / "proto/entity_kinds.def").read_text(), re.MULTILINE)
    assert len(kinds) >= 6
    return {path.strip("/*") for path in re.findall(r'\.path = "(/[^"]*)",', text) if path != "/api/"} | {f"api/{name}" for pair in kinds for name in pair}


def test_every_endpoint_has_a_decision_for_every_role(leader):
    assert set(TABLE) == paths_of_the_source()
    logins = {"a": ("ann", LONG), "r": ("rita", LONG), "k": ("kim", LONG), "w": ("workers", SECRET), "-": ("bob", LONG), "": None}
    for name, letter in (("ann", "a"), ("rita", "r"), ("kim", "k")):
        key = leader.admin("POST", "/api/apikey", {"owner": name}).json()
        logins[f"{letter} by key"] = (name, key["apiKey"])
    narrowed = leader.admin("POST", "/api/apikey", {"owner": "ann", "scopes": ["**:read"]}).json()
    logins["- by key"] = ("ann", narrowed["apiKey"])
    for path, methods in TABLE.items():
        for method, may in methods.items():
            for who, auth in logins.items():
                # What is asked for is not there, or no JSON of the kind: whoever may is told that, not 401 or 403.
                at = f"/{path}" if method == "GET" or path in ("api/cluster/quotas", "api/import") else f"/{path}/absent-one"
                status = ask(leader, auth, method, at, [] if method in ("POST", "PUT", "PATCH") else None).status_code
                allowed = may == "*" or (who and who[0] in may)
                assert (status not in (401, 403)) == bool(allowed), (method, path, who, status)
                if not allowed:
                    assert status == (403 if who else 401), (method, path, who, status)


def test_a_reader_sees_no_secret_and_changes_nothing(leader):
    leader.new_key()
    reader, before = ("rita", LONG), leader.revision()
    lines = ask(leader, reader, "GET", "/api/cluster/state?since=0&wait=0")
    assert lines.status_code == 200 and lines.headers["Content-Type"] == "application/x-ndjson"
    for text in (lines.text, *(ask(leader, reader, "GET", f"/api/{kind}").text for kind in ("user", "apikey", "ring", "worker"))):
        assert '"revision"' in text and not re.search("Hash\"|secret|password|\\$2", text), text
    for method, path, body in (("POST", "/api/user", {"id": "eve"}), ("PATCH", "/api/user/rita", {"roles": ["admin"]}), ("DELETE", "/api/policy/**", None)):
        reply = ask(leader, reader, method, path, body)
        assert reply.status_code == 403 and "a reader changes nothing" in reply.text
    assert leader.revision() == before


def test_a_role_is_one_of_three(leader):
    for role in ("key-manager:", "key-manager", "root", ""):
        reply = leader.admin("PATCH", "/api/user/bob", {"roles": [role]})
        assert reply.status_code == 400 and "roles" in reply.text, (role, reply.text)
    assert "admin, reader, key-manager:<group>" in leader.admin("PATCH", "/api/user/bob", {"roles": ["root"]}).text
    assert leader.admin("PATCH", "/api/user/bob", {"roles": ["reader", "key-manager:a b/ü"]}).status_code == 200


def test_a_role_that_is_taken_away_counts_at_once(leader):
    reader = ("rita", LONG)
    assert ask(leader, reader, "GET", "/api/user").status_code == 200
    revision = leader.revision()
    assert leader.admin("PATCH", "/api/user/rita", {"roles": []}).status_code == 200
    assert ask(leader, reader, "GET", "/api/user").status_code == 403
    assert ask(leader, reader, "GET", f"/api/cluster/state?since={revision}&wait=0").status_code == 403
    leader.admin("PATCH", "/api/user/rita", {"roles": ["reader"], "enabled": False})
    assert ask(leader, reader, "GET", "/api/user").status_code == 401


@pytest.fixture
def groups(leader):
    """Of the group dev: dora, and dan, who has a role; of another: otto. Each has a key."""
    for name, roles, group in (("dora", [], "dev"), ("dan", ["reader"], "dev"), ("otto", [], "ops")):
        leader.admin("POST", "/api/user", {"id": name, "password": LONG, "roles": roles, "groups": [group]})
        leader.admin("PUT", f"/api/apikey/key-of-{name}", {"owner": name})
    return leader


def test_a_key_manager_manages_the_keys_of_a_group_and_sees_nothing_else(groups):
    leader, kim = groups, ("kim", LONG)
    users, keys = ask(leader, kim, "GET", "/api/user").json(), ask(leader, kim, "GET", "/api/apikey?n=1")
    assert [u["id"] for u in users["items"]] == ["dora"] and users["total"] == 1
    assert [k["id"] for k in keys.json()["items"]] == ["key-of-dora"] and keys.json()["total"] == 1 and "Link" not in keys.headers
    for path in ("/api/user/otto", "/api/user/dan", "/api/user/kim", "/api/user/nobody", "/api/apikey/key-of-otto", "/api/apikey/key-of-dan"):
        assert ask(leader, kim, "GET", path).status_code == 404, path

    made = ask(leader, kim, "POST", "/api/apikey", {"owner": "dora", "scopes": ["team/**:read"]})
    assert made.status_code == 201
    path = f"/api/apikey/{made.json()['clientId']}"
    assert ask(leader, kim, "PATCH", path, {"dailyQuota": 5}).json()["dailyQuota"] == 5
    rotated = ask(leader, kim, "POST", path + "/rotate", {})
    assert rotated.status_code == 200 and rotated.json()["clientSecret"] != made.json()["clientSecret"]
    assert ask(leader, kim, "DELETE", path).status_code == 204


@pytest.mark.parametrize("owner", ("otto", "dan", "kim", "admin", "absent"))
def test_a_key_manager_rises_by_no_key(groups, owner):
    leader, kim = groups, ("kim", LONG)
    before = leader.revision()
    assert ask(leader, kim, "POST", "/api/apikey", {"owner": owner}).status_code == 403
    assert ask(leader, kim, "PUT", "/api/apikey/a-new-one", {"owner": owner}).status_code == 403
    path = f"/api/apikey/key-of-{owner}"
    for method, at, body in (("PATCH", path, {"label": "mine"}), ("DELETE", path, None), ("POST", path + "/rotate", {})):
        assert ask(leader, kim, method, at, body).status_code == 404, (method, at)
    if owner in ("otto", "dan"):
        assert ask(leader, kim, "PUT", path, {"owner": "dora"}).status_code == 403
        assert ask(leader, kim, "POST", "/api/apikey", {"id": f"key-of-{owner}", "owner": "dora"}).status_code == 403
    for method, at, body in (("PATCH", "/api/user/kim", {"roles": ["admin"]}), ("POST", "/api/user", {"id": "eve"}), ("DELETE", "/api/user/dora", None)):
        assert ask(leader, kim, method, at, body).status_code == 403
    assert leader.revision() == before


def test_a_user_who_gets_a_role_is_no_longer_managed(groups):
    leader, kim = groups, ("kim", LONG)
    assert ask(leader, kim, "GET", "/api/apikey/key-of-dora").status_code == 200
    leader.admin("PATCH", "/api/user/dora", {"roles": ["key-manager:dev"]})
    assert ask(leader, kim, "GET", "/api/apikey/key-of-dora").status_code == 404
    assert ask(leader, kim, "POST", "/api/apikey", {"owner": "dora"}).status_code == 403
    leader.admin("PATCH", "/api/user/kim", {"roles": ["key-manager:ops"]})
    assert [k["id"] for k in ask(leader, kim, "GET", "/api/apikey").json()["items"]] == ["key-of-otto"]


def test_usage_is_that_of_the_managed_keys(groups):
    leader, kim = groups, ("kim", LONG)
    with requests.Session() as session:
        session.auth = ("workers", SECRET)
        body = {"worker": "one", "process": "1" * 32, "boot": "2" * 32, "seq": 1, "url": "http://one:1", "state": "active",
                "usage": [{"apikey": f"key-of-{name}", "day": "2026-11-20", "calls": 3} for name in ("dora", "dan", "otto")]}
        assert session.put(leader.url + "/api/cluster/quotas", json=body, timeout=30).status_code == 200
    assert {row["apikey"] for row in leader.admin("GET", "/api/usage").json()["usage"]} == {"key-of-dora", "key-of-dan", "key-of-otto"}
    for query in ("", "?user=dora", "?group=dev", "?apikey=key-of-dora"):
        usage = ask(leader, kim, "GET", "/api/usage" + query).json()
        assert {row["apikey"] for row in usage["usage"]} == {"key-of-dora"} and usage["sums"]["calls"] == 3, query
    for query in ("?user=otto", "?user=dan", "?group=ops", "?apikey=key-of-otto"):
        usage = ask(leader, kim, "GET", "/api/usage" + query).json()
        assert not usage["usage"] and usage["sums"]["calls"] == 0, query
    assert ask(leader, kim, "GET", "/api/usage?repository=").status_code == 403
