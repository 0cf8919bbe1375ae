# SPDX-License-Identifier: Apache-2.0
"""Who may do what at the admin API: every endpoint, every method, every role; and what a key manager has to do with."""
import base64
import concurrent.futures
import json
import pathlib
import re
import socket

import pytest
import requests

from leader_process import SECRET, Leader
from worker_process import await_true

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONG = "a long password"
ROLES = {"ann": ["admin"], "rita": ["reader"], "kim": ["key-manager:dev"], "bob": []}
NAMES = ("user", "users", "apikey", "apikeys", "policy", "policies", "settings", "ring", "rings", "worker", "workers", "group", "groups", "admin_policy", "admin_policies", "drain", "drains", "sessionkey", "sessionkeys",
         "repository", "repositories", "star", "stars", "bookmark", "bookmarks", "trust")
# Nobody writes them by hand.
READ_ONLY = ("ring", "rings", "drain", "drains", "sessionkey", "sessionkeys")
# a: admin, r: reader, k: key manager, w: worker, *: whoever asks
TABLE = {
    "": {"GET": "*"}, "assets": {"GET": "*"},
    "api/session": {},  # asks who it is itself: it is where pages log in
    "livez": {"GET": "*"}, "readyz": {"GET": "*"}, "metrics": {"GET": "*"},
    "api/cluster/state": {"GET": "arw"},
    "api/cluster/quotas": {"PUT": "w"},
    "api/cluster/self/apikey": {"GET": "w", "POST": "w", "DELETE": "w"},
    "api/cluster/self/usage": {"GET": "w"},
    "api/cluster/self/prefs": {"PUT": "w"},
    "api/cluster/self/trust": {"PUT": "w", "DELETE": "w"},
    "api/cluster/members": {"GET": "ar", "DELETE": "a", "POST": "aw"},  # a worker about itself: test_leader_live.py
    "api/cluster/chores": {"POST": "a"},
    "api/cluster/figures": {"GET": "ar"},
    "api/cluster/ring": {"GET": "ar"},
    "api/cluster/rescue": {"POST": "a"},
    "api/cluster/live": {"GET": "ar"},
    "api/cluster/backup": {"GET": "a"},
    "api/usage": {"GET": "ark"},
    "api/access": {"GET": "ar"},
    "api/audit": {"GET": "ar"},
    **{f"api/{name}": {"GET": "ark", "POST": "a", "PUT": "a", "PATCH": "a", "DELETE": "a"} for name in ("user", "users")},
    **{f"api/{name}": {"GET": "ark", "POST": "ak", "PUT": "ak", "PATCH": "ak", "DELETE": "ak"} for name in ("apikey", "apikeys")},
    **{f"api/{name}": {"GET": "ar"} for name in READ_ONLY},
    **{f"api/{name}": {"GET": "ar", "POST": "a", "PUT": "a", "PATCH": "a", "DELETE": "a"}
       for name in NAMES if name not in READ_ONLY and not name.startswith(("user", "apikey"))},
    **{f"api/{name}/_bulk": {method: "ak" if name.startswith("apikey") else "a" for method in ("POST", "PUT", "PATCH", "DELETE")}
       if name not in READ_ONLY else {} for name in NAMES},
    **{f"api/{name}/_template": {"GET": "ark" if name.startswith(("apikey", "user")) else "ar"} for name in NAMES},
    "api/export": {"GET": "a"},
    "api/openapi.json": {"GET": "*"},
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
        with session.request(method, leader.url + path, auth=auth, json=body, headers=headers, timeout=30, stream=path == "/api/cluster/live") as reply:
            return reply


def paths_of_the_source():
    """Of all rows of the leader's route table, those of the kinds of entities too."""
    text = (ROOT / "leader/api/route.c").read_text()
    kinds = re.findall(r"^KIND\(\w+,\s*(\w+),\s*(\w+)", (ROOT / "proto/entity_kinds.def").read_text(), re.MULTILINE)
    below = {found.strip("*") for found in re.findall(r'\.path = "/api/" name "([^"]*)"', text)}
    assert len(kinds) >= 6 and len(re.findall(r"\.path = ", text)) == len(re.findall(r'\.path = "/[^"]*",', text)) + len(below)
    return {path.strip("/*") for path in re.findall(r'\.path = "(/[^"]*)",', text)} | {f"api/{name}{more}" for pair in kinds for name in pair for more in below}


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
                at = f"/{path}" if method == "GET" or path.startswith(("api/cluster/quotas", "api/cluster/self/", "api/cluster/rescue", "api/cluster/chores", "api/import")) or path.endswith("/_bulk") else f"/{path}/absent-one"
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


def test_a_group_that_names_its_users_counts_as_for_policies(groups):
    leader, kim = groups, ("kim", LONG)
    leader.admin("POST", "/api/group", {"id": "dev", "users": ["otto", "dan"]})
    assert {k["id"] for k in ask(leader, kim, "GET", "/api/apikey").json()["items"]} == {"key-of-dora", "key-of-otto"}
    assert ask(leader, kim, "POST", "/api/apikey", {"owner": "otto"}).status_code == 201
    leader.admin("DELETE", "/api/group/dev")
    assert ask(leader, kim, "GET", "/api/apikey/key-of-otto").status_code == 404


def test_no_list_and_no_bulk_is_a_way_around(groups):
    leader, kim = groups, ("kim", LONG)
    for query in ("?q=key", "?sort=owner", "?filter=owner:otto", "?n=1&sort=-owner"):
        reply = ask(leader, kim, "GET", "/api/apikey" + query)
        assert reply.status_code in (200, 400) and "key-of-otto" not in reply.text and "key-of-dan" not in reply.text, (query, reply.text)
    before = leader.revision()
    for method, lines in (("POST", [{"id": "a-new-key-1", "owner": "dora"}, {"id": "a-new-key-2", "owner": "otto"}]), ("PATCH", [{"id": "key-of-otto", "label": "x"}]),
                          ("DELETE", [{"id": "key-of-otto"}, {"id": "key-of-dan"}])):
        with requests.Session() as session:
            session.trust_env = False
            reply = session.request(method, leader.url + "/api/apikey/_bulk", auth=kim, data="".join(json.dumps(line) + "\n" for line in lines),
                                    headers={"Content-Type": "application/x-ndjson"}, timeout=30)
        assert leader.admin("GET", "/api/apikey/key-of-otto").json()["label"] == "", reply.text
        assert leader.admin("GET", "/api/apikey/a-new-key-2").status_code == 404 and leader.admin("GET", "/api/apikey/key-of-dan").status_code == 200, reply.text
    assert leader.revision() <= before + 1


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
    for name in ("dora", "dan", "otto"):
        leader.admin("PATCH", f"/api/apikey/key-of-{name}", {"dailyQuota": 9})
    for query in ("", "?user=dora", "?group=dev", "?apikey=key-of-dora"):
        usage = ask(leader, kim, "GET", "/api/usage" + query).json()
        assert {row["subject"] for row in usage["quotas"]} == {"key-of-dora"}, query
        assert {row["apikey"] for row in usage["usage"]} == {"key-of-dora"} and usage["sums"]["calls"] == 3, query
    for query in ("?user=otto", "?user=dan", "?group=ops", "?apikey=key-of-otto"):
        usage = ask(leader, kim, "GET", "/api/usage" + query).json()
        assert not usage["usage"] and not usage["quotas"] and usage["sums"]["calls"] == 0, query
    assert ask(leader, kim, "GET", "/api/usage?repository=").status_code == 403
    told = ask(leader, kim, "GET", "/api/usage?by=user&day=2026-11-20").json()
    assert [(row["user"], row["calls"]) for row in told["users"]] == [("dora", 3)] and told["sums"]["calls"] == 3
    refused = ask(leader, kim, "GET", "/api/usage?by=group&day=2026-11-20")
    assert refused.status_code == 403 and "all their users" in refused.text


def test_a_role_that_is_taken_away_counts_for_what_is_under_way(leader):
    body = b'{"id":"eve","roles":["admin"]}'
    login = base64.b64encode(f"ann:{LONG}".encode()).decode()
    assert ask(leader, ("ann", LONG), "GET", "/api/user").status_code == 200
    revision = leader.revision()
    with socket.create_connection(("127.0.0.1", leader.port), timeout=30) as change, requests.Session() as session:
        change.sendall(f"POST /api/user HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nContent-Type: application/json\r\n"
                       f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        assert b" 100 " in change.recv(4096)  # it was let in
        session.trust_env, session.auth = False, ("rita", LONG)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            poll = pool.submit(session.get, f"{leader.url}/api/cluster/state?since={revision}&wait=20000", timeout=60)
            await_true(lambda: "\nzot_leader_parked_polls 1\n" in requests.get(leader.url + "/metrics", timeout=10).text)
            leader.admin("PATCH", "/api/user/ann", {"roles": []})
            poll.result()  # of the change of ann
            poll = pool.submit(session.get, f"{leader.url}/api/cluster/state?since={leader.revision()}&wait=20000", timeout=60)
            await_true(lambda: "\nzot_leader_parked_polls 1\n" in requests.get(leader.url + "/metrics", timeout=10).text)
            leader.admin("PATCH", "/api/user/rita", {"roles": []})
            assert poll.result().status_code == 401
        change.sendall(body)
        assert b" 403 " in change.recv(4096).split(b"\r\n")[0]
    assert leader.admin("GET", "/api/user/eve").status_code == 404


def test_no_worker_makes_a_key_that_opens_this_api(leader):
    for name in ROLES:
        status = ask(leader, ("workers", SECRET), "POST", f"/api/cluster/self/apikey?user={name}", {"label": "x"}).status_code
        assert status == (201 if name == "bob" else 403), name
    assert [key["owner"] for key in leader.admin("GET", "/api/apikey").json()["items"]] == ["bob"]
