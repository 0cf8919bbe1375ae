# SPDX-License-Identifier: Apache-2.0
"""What the leader's audit has: who changed what and from where, what was refused, what was over; its bounds; and logins that are throttled."""
import datetime
import json
import sqlite3
import subprocess
import time

import pytest
import requests

from leader_process import SECRET, FakeWorker, Leader
from program import BUILD
from worker_process import await_true

LONG = "a long password"


@pytest.fixture
def leader():
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0, ZOT_TRUSTED_PROXIES="127.0.0.0/8") as one:
        yield one


def audit(leader, query=""):
    reply = leader.admin("GET", "/api/audit" + query)
    assert reply.status_code == 200, reply.text
    return reply.json()["items"]


def ask(leader, auth, path="/api/user", method="GET", body=None, client="203.0.113.9"):
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, leader.url + path, auth=auth, json=body, timeout=30, headers={"X-Forwarded-For": client})


def test_each_change_says_who_from_where_and_what_it_was(leader):
    leader.admin("POST", "/api/user", {"id": "ann", "password": LONG, "roles": ["admin"]})
    ann = ("ann", LONG)
    created = ask(leader, ann, "/api/user", "POST", {"id": "bob", "groups": ["dev"], "password": LONG})
    key = ask(leader, ann, "/api/apikey", "POST", {"owner": "ann"}).json()
    with_key = ("ann", key["apiKey"])
    assert ask(leader, with_key, "/api/user/bob", "PATCH", {"enabled": False, "password": LONG + "!"}).status_code == 200
    assert ask(leader, with_key, "/api/user/bob", "PUT", {"groups": []}).status_code == 200
    assert ask(leader, ann, "/api/user/bob", "DELETE").status_code == 204

    rows = audit(leader, "?kind=user&id=bob")
    assert [row["how"] for row in rows] == ["deleted", "replaced", "patched", "created"]
    assert all((row["user"], row["from"], row["count"]) == ("ann", "203.0.113.9", 1) for row in rows)
    assert [row["apikey"] for row in rows] == ["", key["clientId"], key["clientId"], ""]
    assert rows[3]["old"] is None and rows[3]["new"]["groups"] == ["dev"] and rows[3]["secrets"] == ["passwordHash"]
    assert (rows[2]["old"], rows[2]["new"], rows[2]["secrets"]) == ({"enabled": True}, {"enabled": False}, ["passwordHash"])
    assert (rows[1]["old"], rows[1]["new"]) == ({"groups": ["dev"], "enabled": False}, {"groups": [], "enabled": True})
    assert rows[0]["new"] is None
    assert rows[3]["revision"] == created.json()["revision"] < rows[0]["revision"] == leader.revision()
    at = datetime.datetime.fromisoformat(rows[0]["at"].replace("Z", "+00:00"))
    assert abs((datetime.datetime.now(datetime.timezone.utc) - at).total_seconds()) < 600


def test_no_secret_is_in_it(leader):
    leader.admin("POST", "/api/user", {"id": "ann", "password": LONG})
    key = leader.admin("POST", "/api/apikey", {"owner": "ann"}).json()
    again = leader.admin("POST", f"/api/apikey/{key['clientId']}/rotate", {}).json()
    worker = leader.admin("POST", "/api/worker", {"id": "one"}).json()
    leader.admin("DELETE", "/api/worker/one")
    rows = audit(leader, f"?id={key['clientId']}")
    assert [row["how"] for row in rows] == ["rotated", "created"] and rows[0]["secrets"] == ["secretHash", "secretHashBefore"]
    everything = leader.admin("GET", "/api/audit?n=1000").text
    for secret in (LONG, key["clientSecret"], again["clientSecret"], worker["clientSecret"], "$2"):
        assert secret not in everything
    stored = json.dumps([row for row in audit(leader) if row["kind"] == "ring"])
    assert stored == "[]"


def test_what_goes_with_a_user_is_told_one_by_one(leader):
    leader.admin("POST", "/api/user", {"id": "ann", "password": LONG})
    for name in ("key-of-ann-1", "key-of-ann-2"):
        leader.admin("PUT", f"/api/apikey/{name}", {"owner": "ann"})
    leader.admin("DELETE", "/api/user/ann")
    gone = [row for row in audit(leader) if row["how"] == "deleted"]
    assert {row["id"] for row in gone} == {"ann", "key-of-ann-1", "key-of-ann-2"} and len({row["revision"] for row in gone}) == 1


def test_a_change_that_was_refused_is_none(leader):
    before = audit(leader)
    assert leader.admin("PATCH", "/api/user/admin", {"roles": []}).status_code == 409
    assert leader.admin("PATCH", "/api/user/admin", {"metadata": {}}, headers={"If-Match": '"99"'}).status_code == 412
    assert leader.admin("POST", "/api/user", {"id": "x y"}).status_code == 400
    assert audit(leader) == before


def test_the_first_admin_and_the_one_that_was_reset_are_told(leader):
    assert [(row["user"], row["how"], row["id"]) for row in audit(leader)] == [("", "created", "admin")]
    leader.stop()
    done = subprocess.run([str(BUILD / "leader/zot-leader"), "reset-admin"], env=leader.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    leader.session.auth = ("admin", done.stdout.split('"')[3])
    leader.start()
    [row] = audit(leader, "?kind=user&n=1")
    assert (row["how"], row["user"], row["secrets"]) == ("reset", "", ["passwordHash"])


def test_a_member_that_was_forgotten_by_hand_is_told(leader):
    leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 1000, "pushEveryMs": 500})
    FakeWorker(leader, "one").push()
    await_true(lambda: leader.admin("DELETE", "/api/cluster/members/one").status_code == 204)
    assert leader.admin("DELETE", "/api/cluster/members/one").status_code == 404
    [row] = audit(leader, "?kind=member")
    assert (row["id"], row["how"], row["user"], row["from"], row["revision"]) == ("one", "forgotten", "admin", "127.0.0.1", 0)


def test_refusals_are_sums_of_an_address(leader):
    leader.admin("POST", "/api/user", {"id": "bob", "password": LONG})
    for n in range(7):
        assert ask(leader, ("admin", f"a guess {n}"), client="203.0.113.7").status_code == 401
    for _ in range(3):
        assert ask(leader, ("bob", LONG), "/api/user", "POST", {"id": "eve"}, client="2001:db8::5").status_code == 403
    leader.stop()
    leader.start()
    rows = {row["from"]: row for row in audit(leader, "?kind=request")}
    assert len(rows) == 2 and all((row["how"], row["id"], row["revision"]) == ("refused", "", 0) for row in rows.values())
    guessed, denied = rows["203.0.113.7"], rows["2001:db8::"]
    assert (guessed["count"], guessed["unauthorized"], guessed["denied"], guessed["user"], guessed["reason"]) == (7, 7, 0, "admin", "password_wrong")
    assert (denied["count"], denied["denied"], denied["user"], denied["reason"]) == (3, 3, "bob", "not_admin")
    assert "a guess" not in leader.admin("GET", "/api/audit").text


def test_what_a_stranger_says_of_the_client_is_not_believed():
    with Leader() as one:
        assert ask(one, (one.user, one.password), "/api/user", "POST", {"id": "bob"}).status_code == 201
        assert audit(one, "?id=bob")[0]["from"] == "127.0.0.1"


def test_a_network_of_proxies_that_is_none_is_refused_at_the_start(leader):
    done = subprocess.run([str(BUILD / "leader/zot-leader"), "verify"], env={**leader.environment, "ZOT_TRUSTED_PROXIES": "10.0.0.1/8"}, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 1 and "ZOT_TRUSTED_PROXIES" in done.stderr


def test_what_is_over_is_told_once(leader):
    def soon(seconds):
        return int(time.time()) + seconds

    leader.admin("PUT", "/api/apikey/key-that-ends", {"owner": "admin", "validUntil": soon(2)})
    leader.admin("PUT", "/api/apikey/key-that-stays", {"owner": "admin", "validUntil": soon(3600)})
    leader.admin("POST", "/api/worker", {"id": "one", "validUntil": soon(2)})

    def told():
        return sorted((row["kind"], row["id"]) for row in audit(leader) if row["how"] == "expired")

    both = [("apikey", "key-that-ends"), ("worker", "one")]
    await_true(lambda: told() == both)
    assert leader.text().count('"credential.expired"') == 2
    leader.stop()
    leader.start()
    leader.admin("PUT", "/api/apikey/another-key-that-ends", {"owner": "admin", "validUntil": soon(1)})
    await_true(lambda: ("apikey", "another-key-that-ends") in told())
    assert told() == sorted([*both, ("apikey", "another-key-that-ends")])


def test_it_is_read_in_pages_and_lines(leader):
    for n in range(5):
        leader.admin("POST", "/api/policy", {"id": f"team-{n}/**"})
    numbers = [row["number"] for row in audit(leader)]
    assert numbers == sorted(numbers, reverse=True) and len(numbers) == 6

    found, path = [], "/api/audit?kind=policy&n=2"
    while path:
        reply = leader.admin("GET", path)
        found += [row["id"] for row in reply.json()["items"]]
        assert reply.json()["more"] == ("Link" in reply.headers)
        path = reply.headers.get("Link", "<>").split("<")[1].split(">")[0]
    assert found == [f"team-{n}/**" for n in (4, 3, 2, 1, 0)]

    reply = leader.admin("GET", f"/api/audit?after={numbers[2]}&n=1", headers={"Accept": "application/x-ndjson"})
    assert reply.headers["Content-Type"] == "application/x-ndjson" and f"after={numbers[1]}" in reply.headers["Link"]
    assert [json.loads(line)["number"] for line in reply.text.splitlines()] == [numbers[1]]
    assert leader.admin("GET", f"/api/audit?after={numbers[0]}", headers={"Accept": "application/x-ndjson"}).text == ""

    at = audit(leader, "?kind=policy")[0]["at"]
    tomorrow = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert audit(leader, f"?since={tomorrow}") == [] and len(audit(leader, f"?until={tomorrow}&since=1000")) == 6
    assert audit(leader, f"?until={at[:19]}Z&user=nobody") == []
    for query in ("n=0", "n=1001", "last=x", "since=yesterday", "after=1&last=2", "users=ann"):
        reply = leader.admin("GET", "/api/audit?" + query)
        assert reply.status_code == 400 and query.split("=")[0] in reply.text, (query, reply.text)


def test_a_row_among_thousands_is_found_from_both_ends(leader):
    leader.stop()
    with sqlite3.connect(leader.folder / "data" / "leader.db") as db:
        db.executemany("INSERT INTO audit (at, user, apikey, client, kind, id, how, revision, count, refused, detail) VALUES (?, ?, '', '', 'user', ?, 'patched', 1, 1, 0, '{}')",
                       [(2_000_000_000_000 + n, "ann" if n % 2500 == 1 else "bob", f"user-{n}") for n in range(9000)])
    db.close()
    leader.start()
    wanted = [f"user-{n}" for n in (7501, 5001, 2501, 1)]
    assert [row["id"] for row in audit(leader, "?user=ann")] == wanted
    assert [row["id"] for row in audit(leader, "?user=ann&after=0")] == wanted[::-1]
    assert [row["id"] for row in audit(leader, "?user=ann&n=2")] == wanted[:2]
    middle = audit(leader, "?id=user-5001")[0]["number"]
    assert [row["id"] for row in audit(leader, f"?user=ann&last={middle}")] == wanted[2:]
    assert [row["id"] for row in audit(leader, f"?user=ann&after={middle}")] == wanted[:1]
    assert audit(leader, "?user=carl") == [] and audit(leader, f"?user=ann&after={10 ** 9}") == []


def test_it_is_bounded(leader):
    leader.stop()
    leader.environment["ZOT_AUDIT_ROWS"] = "100"
    leader.start()
    for n in range(130):
        assert leader.admin("PATCH", "/api/user/admin", {"metadata": {"n": str(n)}}).status_code == 200
    await_true(lambda: len(audit(leader, "?n=1000")) == 100, seconds=60)
    assert audit(leader)[0]["new"] == {"metadata": {"n": "129"}}


def test_it_survives_a_backup_and_a_kill(leader, tmp_path):
    leader.admin("POST", "/api/user", {"id": "ann", "password": LONG})
    rows = audit(leader)
    leader.kill()
    leader.start()
    assert audit(leader) == rows

    def command(*arguments):
        done = subprocess.run([str(BUILD / "leader/zot-leader"), *map(str, arguments)], env=leader.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr

    command("backup", tmp_path / "copy.db")
    leader.admin("DELETE", "/api/user/ann")
    leader.stop()
    command("restore", tmp_path / "copy.db")
    leader.start()
    assert audit(leader) == rows


def test_guesses_from_one_address_are_slowed(leader):
    statuses = [ask(leader, (f"user-{n}", "a guess"), client="203.0.113.50").status_code for n in range(45)]
    assert statuses[:30] == [401] * 30 and 429 in statuses[30:]
    assert ask(leader, (leader.user, leader.password), client="203.0.113.51").status_code == 200


def test_guesses_of_one_account_are_slowed_whatever_the_address(leader):
    statuses = [ask(leader, ("ann", f"guess {n}"), client=f"198.51.{n // 200}.{n % 200 + 1}").status_code for n in range(8)]
    assert statuses == [401] * 8
    # Twenty for the account, and then five for each address.
    for n in range(8, 20):
        assert ask(leader, ("ann", f"guess {n}"), client=f"198.51.100.{n}").status_code == 401
    limited = [ask(leader, ("ann", f"again {n}"), client="198.51.101.1") for n in range(12)]
    assert limited[0].status_code == 401 and limited[-1].status_code == 429 and int(limited[-1].headers["Retry-After"]) >= 1
    assert [reply.status_code for reply in limited].count(401) <= 8
    # Whoever owns the account comes in from elsewhere, and other accounts from everywhere.
    assert ask(leader, (leader.user, leader.password), client="198.51.101.1").status_code == 200
    assert SECRET not in leader.text()


def test_keys_that_users_make_for_themselves_are_told(leader):
    leader.admin("POST", "/api/user", {"id": "ann", "password": LONG})
    worker = FakeWorker(leader, "one").session
    made = worker.post(leader.url + "/api/cluster/self/apikey?user=ann", json={"label": "mine"}, timeout=30)
    assert made.status_code in (200, 201), made.text
    [key] = leader.admin("GET", "/api/apikey").json()["items"]
    assert worker.delete(f"{leader.url}/api/cluster/self/apikey?user=ann&id={key['id']}", timeout=30).status_code == 200
    assert [(row["how"], row["user"], row["from"]) for row in audit(leader, f"?id={key['id']}")] == [("deleted", "ann", "127.0.0.1"), ("created", "ann", "127.0.0.1")]
