# SPDX-License-Identifier: Apache-2.0
"""What a leader's log says of who was refused and of who changed what; whose usage is whose."""
import collections
import datetime
import json
import urllib.parse

import pytest
import requests

from leader_process import SECRET, FakeWorker, Leader
from worker_process import await_true


@pytest.fixture
def leader():
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as one:
        yield one


def lines(leader, *events):
    found = [json.loads(line) for line in leader.text().splitlines() if line.startswith("{")]
    return [line for line in found if line["message"] in events]


def refused(leader, auth, path="/api/user", method="GET", **more):
    before = len(lines(leader, "request.refused"))
    with requests.Session() as session:
        session.trust_env = False
        status = session.request(method, leader.url + path, auth=auth, timeout=10, **more).status_code
    [line] = lines(leader, "request.refused")[before:]
    assert line["status"] == status and line["from"] == "127.0.0.1"
    return line


def test_a_refused_login_says_why_and_no_secret(leader):
    leader.admin("POST", "/api/user", {"id": "bob", "password": "a long password"})
    key = leader.admin("POST", "/api/apikey", {"owner": "bob"}).json()
    narrowed = leader.new_key(scopes=["**:read"])
    leader.admin("POST", "/api/worker", {"id": "one"})
    for auth, status, reason, user in (
            (None, 401, "no_login", ""), (("admin", "not the password"), 401, "password_wrong", "admin"), (("mallory", "a guess"), 401, "user_unknown", "mallory"),
            (("bob", "a long password"), 403, "not_admin", "bob"), (("admin", narrowed["apiKey"]), 403, "apikey_has_scopes", "admin"),
            (("workers", "not their secret"), 401, "workers_secret_wrong", "workers"), (("workers", SECRET), 403, "a_worker", ""),
            (("one", "not its secret"), 401, "worker_secret_wrong", "one"), (("zak_0011223344556677", "x"), 401, "user_unknown", "zak_...")):
        line = refused(leader, auth)
        assert (line["status"], line["reason"], line["user"], line["path"], line["method"]) == (status, reason, user, "/api/user", "GET"), line
    assert line["level"] == "warn"
    for secret in ("not the password", "a guess", "not their secret", SECRET, "0011223344556677", key["clientSecret"], narrowed["clientSecret"], "not its secret"):
        assert secret not in leader.text()


def test_lines_are_few_and_the_others_are_counted(leader):
    for _ in range(25):
        assert requests.get(leader.url + "/api/user", timeout=10).status_code == 401
    await_true(lambda: lines(leader, "refusals.suppressed"))
    assert len(lines(leader, "request.refused")) == 10 and lines(leader, "refusals.suppressed")[0]["count"] >= 1


def test_each_change_says_what_by_whom_and_from_where(leader):
    key = leader.new_key(label="of the admin")
    with_key = {"auth": (key["clientId"], key["clientSecret"])}
    leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
    leader.admin("PATCH", "/api/user/ann", {"enabled": False, "groups": ["dev"]}, **with_key)
    leader.admin("PUT", "/api/policy/team/**", {"defaultPolicy": ["read"]})
    leader.admin("POST", f"/api/apikey/{key['clientId']}/rotate", {"graceSeconds": 60})
    leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 5000})
    leader.admin("DELETE", "/api/user/ann")
    FakeWorker(leader, "gone").push(state="left")
    await_true(lambda: leader.admin("DELETE", "/api/cluster/members/gone").status_code in (204, 404))
    told = [line for line in lines(leader, "entity.written", "entity.deleted") if "by" in line and line["by"]]
    short = [(line["message"], line.get("how"), line["kind"], line["id"], line.get("members"), line["apikey"]) for line in told]
    assert short == [
        ("entity.written", "created", "apikey", key["clientId"], "owner,label", ""),
        ("entity.written", "created", "user", "ann", "id,password", ""),
        ("entity.written", "patched", "user", "ann", "enabled,groups", key["clientId"]),
        ("entity.written", "created", "policy", "team/**", "defaultPolicy", ""),
        ("entity.written", "rotated", "apikey", key["clientId"], None, ""),
        ("entity.written", "patched", "settings", "cluster", "leaseMs", ""),
        ("entity.deleted", None, "user", "ann", None, "")]
    assert all(line["by"] == "admin" and line["from"] == "127.0.0.1" and line["revision"] for line in told)
    assert "a long password" not in leader.text() and key["clientSecret"] not in leader.text()


def test_a_member_that_is_forgotten_says_by_whom(leader):
    leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 1000, "pushEveryMs": 500})
    FakeWorker(leader, "one").push()
    await_true(lambda: leader.admin("DELETE", "/api/cluster/members/one").status_code == 204)
    [line] = lines(leader, "member.forgotten")
    assert (line["name"], line["by"], line["from"], line["apikey"]) == ("one", "admin", "127.0.0.1", "")


# Usage.

def today():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")


def usage(leader, **question):
    reply = leader.admin("GET", "/api/usage", params=question)
    assert reply.status_code == 200, reply.text
    return reply.json()


def row(key, calls, day):
    return {"apikey": key["clientId"], "day": day, "calls": calls, "bytes_in": 10 * calls, "bytes_out": 100 * calls}


def test_usage_says_whose_it_is_and_sums_it(leader):
    for user, groups in (("ann", ["dev", "ops"]), ("bob", ["dev"]), ("eve", [])):
        leader.admin("POST", "/api/user", {"id": user, "password": "a long password", "groups": groups})
    day = today()
    keys = {}
    for owner, label in (("ann", "ci"), ("ann", "laptop"), ("bob", "ci"), ("eve", "")):
        keys[owner, label] = leader.admin("POST", "/api/apikey", {"owner": owner, "label": label}).json()
    rows = [row(key, calls, day) for calls, key in zip((1, 2, 4, 8), keys.values())]
    assert FakeWorker(leader, "one").push(usage=rows).status_code == 200
    told = usage(leader, day=day)
    assert {(line["owner"], line["label"]): line["calls"] for line in told["usage"]} == {("ann", "ci"): 1, ("ann", "laptop"): 2, ("bob", "ci"): 4, ("eve", ""): 8}
    assert told["sums"] == {"calls": 15, "bytesIn": 150, "bytesOut": 1500} and told["more"] is False
    # Without a window the rows are of days and months, and the sum is of months.
    told = usage(leader, user="ann")
    assert len(told["usage"]) == 4 and {line["owner"] for line in told["usage"]} == {"ann"} and told["sums"] == {"calls": 3, "bytesIn": 30, "bytesOut": 300}
    assert usage(leader, group="dev", day=day)["sums"]["calls"] == 7
    assert usage(leader, group="ops", month=day[:7])["sums"]["calls"] == 3
    assert usage(leader, group="of nobody") == {"usage": [], "sums": {"calls": 0, "bytesIn": 0, "bytesOut": 0}, "quotas": [], "more": False}
    assert usage(leader, user="bob", apikey=keys["ann", "ci"]["clientId"])["usage"] == []
    # Keys that are gone keep their owner, also when the leader starts again.
    gone = keys["ann", "laptop"]
    leader.admin("PATCH", f"/api/apikey/{gone['clientId']}", {"label": "old laptop"})
    leader.admin("DELETE", f"/api/apikey/{gone['clientId']}")
    leader.admin("DELETE", "/api/user/eve")
    for _ in range(2):
        [line] = usage(leader, apikey=gone["clientId"], day=day)["usage"]
        assert (line["owner"], line["label"], line["calls"]) == ("ann", "old laptop", 2) and "quota" not in line
        assert usage(leader, user="eve", day=day)["sums"]["calls"] == 8
        leader.kill()
        leader.start()
    # A key that nobody knows.
    assert FakeWorker(leader, "two").push(usage=[row({"clientId": "of-another-store"}, 1, day)]).status_code == 200
    [line] = usage(leader, apikey="of-another-store", day=day)["usage"]
    assert (line["owner"], line["label"]) == ("", "")


def test_a_wrong_question_of_usage_is_told(leader):
    for question, said in (({"user": "a", "group": "b"}, "not for both"), ({"repository": "a", "user": "b"}, "leave out user"),
                           ({"repository": "a", "group": "b"}, "leave out group"), ({"owner": "ann"}, 'no parameter \\"owner\\"'), ({"by": "key", "day": today()}, "by: is user or group"),
                           ({"by": "user"}, "needs a day or a month"), ({"by": "user", "day": today(), "n": 0}, "n: is a number"), ({"by": "user", "day": today(), "n": 1001}, "n: is a number"),
                           ({"by": "user", "day": today(), "apikey": "a"}, "leave out apikey"), ({"by": "group", "day": today(), "repository": ""}, "leave out repository"),
                           ({"day": today(), "last": "a"}, "say also by"), ({"users": "ann"}, 'did you mean \\"user\\"')):
        reply = leader.admin("GET", "/api/usage", params=question)
        assert reply.status_code == 400 and said in reply.text, reply.text


def pages_of(leader, **question):
    """All rows, each page of which has its successor's address."""
    path, rows = "/api/usage?" + urllib.parse.urlencode(question), []
    while path:
        reply = leader.admin("GET", path)
        assert reply.status_code == 200, reply.text
        told = reply.json()
        assert told["more"] == ("next" in reply.links) and len(told[question["by"] + "s"]) <= int(question.get("n", 1000))
        rows += told[question["by"] + "s"]
        path = reply.links["next"]["url"] if told["more"] else None
    return rows, told["sums"]


def test_usage_by_user_and_group_is_exact_however_many_keys_there_are(leader):
    """1,204 keys of five users, whose rows are more than any list has."""
    day, worker, counts = today(), FakeWorker(leader, "one"), collections.Counter()
    users = {"ann": ["dev", "ops"], "bob": ["dev"], "eve": [], "a.b@c": ["ops"], "zed": []}
    for user, groups in users.items():
        leader.admin("POST", "/api/user", {"id": user, "password": "a long password", "groups": groups})
    # Named by the group, beside what users say themselves: ann is in dev both ways, and counts once.
    assert leader.admin("POST", "/api/group", {"id": "dev", "users": ["ann", "zed"]}).status_code == 201
    keys = [{"id": f"key-{i:04}", "owner": list(users)[i % 5]} for i in range(1204)]
    for part in (keys[:700], keys[700:]):
        lines = "\n".join(map(json.dumps, part))
        made = leader.session.post(leader.url + "/api/apikey/_bulk", data=lines, headers={"Content-Type": "application/x-ndjson"}, timeout=60)
        assert made.status_code == 200, made.text
        rows = [row({"clientId": key["id"]}, int(key["id"][4:]) + 1, day) for key in part]
        assert worker.push(usage=rows).status_code == 200
    for key in keys:
        counts[key["owner"]] += int(key["id"][4:]) + 1
    for window in ({"day": day}, {"month": day[:7]}):
        for n in (1000, 2, 1):
            told, sums = pages_of(leader, by="user", n=n, **window)
            assert [line["user"] for line in told] == sorted(users) and sums["calls"] == sum(counts.values())
            assert all((line["calls"], line["bytesIn"], line["bytesOut"]) == (counts[line["user"]], 10 * counts[line["user"]], 100 * counts[line["user"]]) for line in told)
            assert sum(line["keys"] for line in told) == 1204
            told, sums = pages_of(leader, by="group", n=n, **window)
            assert {line["group"]: line["calls"] for line in told} == {"dev": counts["ann"] + counts["bob"] + counts["zed"], "ops": counts["ann"] + counts["a.b@c"]}
            assert len(told) == 2 and sums["calls"] == sum(counts.values())
    assert [line["user"] for line in pages_of(leader, by="user", day=day, group="ops", n=1)[0]] == ["a.b@c", "ann"]
    assert pages_of(leader, by="user", day=day, user="eve")[1]["calls"] == counts["eve"] and pages_of(leader, by="user", day="2001-01-01") == ([], {"calls": 0, "bytesIn": 0, "bytesOut": 0})
    # Who is gone has used what was used.
    leader.admin("DELETE", "/api/user/eve")
    assert {line["user"]: line["calls"] for line in pages_of(leader, by="user", day=day)[0]} == counts


def test_more_rows_than_are_listed_are_told_and_summed(leader):
    worker, day = FakeWorker(leader, "one"), today()
    for part in range(2):
        rows = [row({"clientId": f"key-{part}-{i:04}"}, 1, day) for i in range(600)]
        assert worker.push(usage=rows).status_code == 200
    told = usage(leader, day=day)
    assert len(told["usage"]) == 1000 and told["more"] is True and told["sums"]["calls"] == 1200
