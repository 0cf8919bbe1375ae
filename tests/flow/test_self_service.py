# SPDX-License-Identifier: Apache-2.0
"""What users do for themselves at a worker: GET, POST, DELETE /zot/auth/apikey with zot's bodies and codes, GET /zot/auth/usage."""
import datetime
import json
import re
import subprocess
import time

import pytest
import requests

from leader_process import SECRET, FakeWorker, Leader
from registry import free_port
from worker_process import Worker, await_true

PASSWORD = "a long password"
NEVER = "0001-01-01T00:00:00Z"
KEYS = "/zot/auth/apikey"


def led(leader, **more):
    return Worker(**{**dict(CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers", CLUSTER_LEADER_CLIENT_SECRET=SECRET,
                            CLUSTER_WORKER_NAME="one", CLUSTER_RETRY_DELAY="10ms", CLUSTER_WORKER_POLL_EVERY="100ms"), **more})


def add(leader, name, **more):
    reply = leader.admin("POST", "/api/user", {"id": name, "password": PASSWORD, **more})
    assert reply.status_code == 201, reply.text


@pytest.fixture(scope="module")
def leader():
    with Leader() as one:
        for name in ("ann", "ben", "full", "busy"):
            add(one, name)
        one.admin("PUT", "/api/policy/**", {"defaultPolicy": ["read", "create", "update", "delete"]})
        yield one


@pytest.fixture(scope="module")
def worker(leader):
    with led(leader) as one:
        await_true(lambda: login(one, "busy"), what="the users")
        yield one


def ask(worker, method, path=KEYS, user="ann", password=PASSWORD, **more):
    return requests.request(method, worker.url + path, auth=(user, password) if user else None, timeout=60, **more)


def make(worker, user="ann", **wish):
    reply = ask(worker, "POST", user=user, json=wish)
    assert reply.status_code == 201, reply.text
    return reply.json()


def login(worker, user, password=PASSWORD):
    return requests.get(worker.url + "/v2/", auth=(user, password), timeout=60).status_code == 200


def own(worker, user="ann"):
    reply = ask(worker, "GET", user=user)
    assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/json", reply.text
    return {key["uuid"]: key for key in reply.json()["apiKeys"]}


def later(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


# With leaders.

def test_a_key_is_made_told_once_opens_and_is_ended(leader, worker):
    until = later(3600)
    key = make(worker, label="ci", scopes=["team/**:read"], expirationDate=until)
    assert key["apiKey"].startswith("zak_") and key["label"] == "ci" and key["scopes"] == ["team/**:read"] and not key["isExpired"]
    assert key["expirationDate"][:19] == until[:19] and key["generatedBy"] == "manual" and key["lastUsed"] == NEVER
    assert "python-requests" in key["creatorUa"] and key["createdAt"] > "2020"
    listed = own(worker)[key["uuid"]]
    assert "apiKey" not in listed and listed["label"] == "ci" and listed == {k: v for k, v in key.items() if k != "apiKey"}
    await_true(lambda: login(worker, "ann", key["apiKey"]), what="the key")
    assert not login(worker, "ben", key["apiKey"])
    assert ask(worker, "DELETE", params={"id": key["uuid"]}).status_code == 200
    assert key["uuid"] not in own(worker)
    await_true(lambda: not login(worker, "ann", key["apiKey"]), what="its end")
    assert key["apiKey"] not in leader.text() + worker.text() and key["apiKey"][4:] not in leader.text() + worker.text()


def test_its_scopes_are_enforced(worker):
    key = make(worker, scopes=["team/**:read"])
    await_true(lambda: login(worker, "ann", key["apiKey"]), what="the key")
    assert ask(worker, "GET", "/v2/team/app/tags/list", password=key["apiKey"]).status_code == 404
    assert ask(worker, "GET", "/v2/other/tags/list", password=key["apiKey"]).status_code == 403


def test_the_leaders_log_has_the_user_and_the_worker(leader, worker):
    key = make(worker, user="ben")
    line = next(line for line in leader.text().splitlines() if key["uuid"] in line and "entity.written" in line)
    said = json.loads(line)
    assert said["by"] == "ben" and said["worker"] == "one" and said["how"] == "created"
    assert ask(worker, "DELETE", user="ben", params={"id": key["uuid"]}).status_code == 200
    rows = leader.admin("GET", f"/api/audit?kind=apikey&id={key['uuid']}").json()["items"]
    assert sorted(row["how"] for row in rows) == ["created", "deleted"] and {row["user"] for row in rows} == {"ben"}


def test_nobody_reaches_keys_of_others(worker):
    key = make(worker, user="ben")
    assert key["uuid"] not in own(worker, "ann")
    # As with zot: what is not there is no error.
    assert ask(worker, "DELETE", params={"id": key["uuid"]}).status_code == 200
    assert key["uuid"] in own(worker, "ben")
    assert ask(worker, "GET", params={"user": "ben"}).json() == ask(worker, "GET").json()


def test_a_login_is_needed_and_a_key_is_none(leader, worker):
    key = make(worker, scopes=["team/**:read"])["apiKey"]
    await_true(lambda: login(worker, "ann", key), what="the key")
    for method in ("GET", "POST", "DELETE"):
        assert ask(worker, method, user=None, json={}).status_code == 401
        assert ask(worker, method, password="wrong password", json={}).status_code == 401
        # One with scopes would make one without.
        assert ask(worker, method, password=key, json={}, params={"id": "x"}).status_code == 403


@pytest.mark.parametrize("body, words", [
    (b"", "JSON object"), (b"{", ""), (b"[]", "JSON object"), (b'{"label": 7}', "label"), (b'{"scopes": "x"}', "scopes"), (b'{"scopes": ["no scope"]}', "scopes"),
    (b'{"lable": "x"}', 'did you mean \\"label\\"'), (b'{"expirationDate": "tomorrow"}', "expirationDate"), (b'{"expirationDate": "2001-01-01T00:00:00Z"}', "past"),
    (b'{"label": "' + b"x" * 300 + b'"}', "label"),
])
def test_what_is_wrong_is_said(worker, body, words):
    reply = ask(worker, "POST", data=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 400 and words in reply.text, reply.text


def test_bodies_and_ids_are_bounded(worker):
    assert ask(worker, "POST", data=b'{"label": "' + b" " * 9000 + b'"}').status_code == 413
    assert ask(worker, "DELETE").status_code == 400
    assert ask(worker, "DELETE", params={"id": "x" * 5000}).status_code == 400
    assert ask(worker, "PUT", json={}).status_code == 405
    assert ask(worker, "DELETE", params=[("id", "a"), ("id", "b")]).status_code == 400


def test_dates_of_zot_that_mean_never(worker):
    for date in ("", NEVER, None):
        assert make(worker, expirationDate=date)["expirationDate"] == NEVER


def test_a_hundred_keys_are_the_most(worker):
    keys = [make(worker, user="full")["uuid"] for _ in range(100)]
    refused = ask(worker, "POST", user="full", json={})
    assert refused.status_code == 409 and "100" in refused.text, refused.text
    assert ask(worker, "DELETE", user="full", params={"id": keys[0]}).status_code == 200
    make(worker, user="full")


def test_changes_are_few_in_a_minute(worker):
    answers = [ask(worker, "DELETE", user="busy", params={"id": "none"}) for _ in range(130)]
    assert [answer.status_code for answer in answers[:120]] == [200] * 120
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused and "too often" in refused[0].text and refused[0].headers["Retry-After"] == "60"
    assert refused[0].json()["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert ask(worker, "GET", user="busy").status_code == 200
    make(worker, user="ann")


def test_usage_is_that_of_today_and_this_month_against_the_quotas(leader, worker):
    key = make(worker, user="ben", label="counted")
    leader.admin("PATCH", f"/api/apikey/{key['uuid']}", {"dailyQuota": 50, "monthlyQuota": 900, "monthlyBytes": 1 << 30})
    await_true(lambda: ask(worker, "GET", "/v2/", "ben", key["apiKey"]).status_code == 200, what="the key")
    worker_usage = lambda **login: {k["uuid"]: k for k in ask(worker, "GET", "/zot/auth/usage", **login).json()["apiKeys"]}  # noqa: E731
    await_true(lambda: worker_usage(user="ben")[key["uuid"]]["today"]["calls"] >= 1, what="its calls")
    told = worker_usage(user="ben")[key["uuid"]]
    assert told["today"]["callsQuota"] == 50 and told["month"]["callsQuota"] == 900 and told["month"]["bytesQuota"] == 1 << 30 and told["label"] == "counted"
    assert told["month"]["calls"] >= told["today"]["calls"]
    # Who shows a key sees that one alone; nobody sees others'.
    assert list(worker_usage(user="ben", password=key["apiKey"])) == [key["uuid"]]
    assert key["uuid"] not in worker_usage(user="ann")
    assert ask(worker, "GET", "/zot/auth/usage", user=None).status_code == 401


def test_usage_has_the_quotas_of_the_user_and_of_the_users_groups(leader, worker):
    leader.admin("PATCH", "/api/user/ben", {"dailyQuota": 5000, "throttlingQuota": 70, "groups": ["crew"]})
    leader.admin("POST", "/api/group", {"id": "crew", "monthlyQuota": 90000, "monthlyBytes": 1 << 30})
    leader.admin("POST", "/api/group", {"id": "named", "users": ["ben"], "dailyQuota": 800})
    leader.admin("POST", "/api/group", {"id": "strange", "users": ["ann"], "dailyQuota": 7})
    key = make(worker, user="ben")
    leader.admin("PATCH", f"/api/apikey/{key['uuid']}", {"dailyQuota": 50})
    quotas = lambda **login: {(q["subject"], q["kind"]): q for q in ask(worker, "GET", "/zot/auth/usage", **login).json()["quotas"]}  # noqa: E731
    told = quotas(user="ben")
    assert {of: q["limit"] for of, q in told.items()} == {("user:ben", "day"): 5000, ("user:ben", "second"): 70, ("group:crew", "month"): 90000,
                                                          ("group:crew", "bytes"): 1 << 30, ("group:named", "day"): 800}
    day, month = told["user:ben", "day"], told["group:crew", "month"]
    assert day["reset"] == f"{datetime.date.fromisoformat(day['window']) + datetime.timedelta(days=1)}T00:00:00.000Z"
    assert month["reset"][7:] == "-01T00:00:00.000Z" and month["reset"][:7] > month["window"]
    # What the user does by password and by key is told of both, also who shows a key.
    await_true(lambda: ask(worker, "GET", "/v2/", "ben", key["apiKey"]).status_code == 200, what="the key")
    await_true(lambda: quotas(user="ben", password=key["apiKey"])["group:named", "day"]["used"] >= 1, what="its calls")
    now_told = quotas(user="ben")["user:ben", "day"]
    assert now_told["used"] >= 1 and now_told["remaining"] == now_told["limit"] - now_told["used"]
    assert {subject for subject, _ in quotas(user="ann")} == {"group:strange"}


def test_a_quota_that_is_used_up_can_still_be_looked_at(leader, worker):
    key = make(worker, user="ben")
    leader.admin("PATCH", f"/api/apikey/{key['uuid']}", {"dailyQuota": 2})
    await_true(lambda: ask(worker, "GET", "/v2/", "ben", key["apiKey"]).status_code == 429, what="the end of the quota")
    assert ask(worker, "GET", "/zot/auth/usage", "ben", key["apiKey"]).status_code == 200


def test_a_worker_may_do_this_and_no_more(leader, worker):
    one = FakeWorker(leader, "two").session
    path = leader.url + "/api/cluster/self/apikey"
    assert one.get(path, params={"user": "ann"}).status_code == 200
    assert one.get(path).status_code == 400
    assert one.get(path, params={"user": "nobody"}).status_code == 403
    assert one.post(path, params={"user": "nobody"}, json={}).status_code == 403
    # A key is its owner's, whatever the body says.
    reply = one.post(path, params={"user": "ann"}, json={"owner": "admin"})
    assert reply.status_code == 400 and "owner" in reply.text
    assert one.get(leader.url + "/api/apikey").status_code == 403
    # Nobody else may.
    assert leader.admin("GET", "/api/cluster/self/apikey?user=ann").status_code == 403
    assert requests.get(path, params={"user": "ann"}, auth=("ann", PASSWORD), timeout=30).status_code in (401, 403)


def test_a_user_who_is_disabled_makes_no_keys(leader, worker):
    add(leader, "gone")
    await_true(lambda: login(worker, "gone"), what="gone")
    leader.admin("PATCH", "/api/user/gone", {"enabled": False})
    assert FakeWorker(leader, "two").session.post(leader.url + "/api/cluster/self/apikey", params={"user": "gone"}, json={}).status_code == 403
    await_true(lambda: ask(worker, "POST", user="gone", json={}).status_code == 401, what="401")


def test_without_an_answer_of_a_leader_it_says_so_and_the_next_leader_is_asked():
    with Leader() as one:
        add(one, "ann")
        with led(one, CLUSTER_LEADER_URL="", CLUSTER_LEADER_URLS=f"http://127.0.0.1:{free_port()},{one.url}") as worker:
            await_true(lambda: login(worker, "ann"), what="ann")
            for _ in range(8):
                make(worker)
            one.stop()
            for method in ("GET", "POST"):
                reply = ask(worker, method, json={})
                assert reply.status_code == 503 and "no leader answers" in reply.text and reply.headers["Retry-After"]


def test_a_page_of_another_site_makes_no_keys(worker):
    assert ask(worker, "POST", data=b"{}", headers={"Content-Type": "text/plain", "Origin": "http://elsewhere.example"}).status_code == 403
    assert re.fullmatch("[0-9a-f]+", make(worker)["uuid"])


# Without leaders.

def htpasswd(folder, *names):
    path = folder / "htpasswd"
    path.write_text("")
    for name in names:
        subprocess.run(["htpasswd", "-Bb", "-C", "4", str(path), name, PASSWORD], check=True, capture_output=True)
    return path


@pytest.fixture
def single(tmp_path):
    with Worker(ZOT_HTPASSWD=htpasswd(tmp_path, "ann", "ben"), ZOT_APIKEY="true") as one:
        yield one


def test_a_single_worker_keeps_keys_of_its_own(single):
    key = make(single, label="ci", scopes=["team/**:read"], expirationDate=later(3600))
    assert key["apiKey"].startswith("zak_") and own(single)[key["uuid"]]["label"] == "ci"
    assert login(single, "ann", key["apiKey"]) and not login(single, "ben", key["apiKey"])
    assert ask(single, "GET", "/v2/team/app/tags/list", password=key["apiKey"]).status_code == 404
    assert ask(single, "GET", "/v2/other/tags/list", password=key["apiKey"]).status_code == 403
    assert key["uuid"] not in own(single, "ben")
    assert ask(single, "DELETE", user="ben", params={"id": key["uuid"]}).status_code == 200 and key["uuid"] in own(single)
    assert ask(single, "GET", password=key["apiKey"]).status_code == 403
    assert ask(single, "DELETE", params={"id": key["uuid"]}).status_code == 200
    assert not login(single, "ann", key["apiKey"]) and not own(single)


def test_changes_of_a_worker_alone_are_few_in_a_minute(tmp_path):
    with Worker(config={"http": {"auth": {"htpasswd": {"path": str(htpasswd(tmp_path, "ann", "busy"))}, "apikey": True}}}) as one:
        answers = [ask(one, "DELETE", user="busy", params={"id": "none"}) for _ in range(130)]
        assert [answer.status_code for answer in answers[:120]] == [200] * 120
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused and "too often" in refused[0].text and refused[0].headers["Retry-After"] == "60"
        assert ask(one, "POST", user="busy", json={}).status_code == 429 and ask(one, "GET", user="busy").status_code == 200
        make(one, user="ann")


def test_they_survive_a_kill_and_only_their_hashes_are_on_disk(single):
    keys = [make(single) for _ in range(5)]
    assert ask(single, "DELETE", params={"id": keys[0]["uuid"]}).status_code == 200
    single.kill()
    stored = b"".join(path.read_bytes() for path in (single.folder / "data").glob("accounts.db*"))
    assert keys[1]["uuid"].encode() in stored and keys[1]["apiKey"][4:].encode() not in stored
    assert all(path.stat().st_mode & 0o077 == 0 for path in (single.folder / "data").glob("accounts.db*"))
    single.start()
    assert not login(single, "ann", keys[0]["apiKey"]) and all(login(single, "ann", key["apiKey"]) for key in keys[1:])
    assert keys[1]["apiKey"][4:] not in single.text()


def test_a_key_ends_when_its_time_is_over_and_with_its_owner(single, tmp_path):
    short, key = make(single, expirationDate=later(2)), make(single)
    assert login(single, "ann", short["apiKey"])
    await_true(lambda: not login(single, "ann", short["apiKey"]), what="its end")
    assert own(single)[short["uuid"]]["isExpired"]
    htpasswd(tmp_path, "ben")
    await_true(lambda: not login(single, "ann", key["apiKey"]), what="the end of its owner")


def test_the_same_is_refused_in_the_same_way(single):
    for body, words in ((b"", "JSON object"), (b'{"scopes": ["no scope"]}', "scopes"), (b'{"expirationDate": "2001-01-01T00:00:00Z"}', "past")):
        reply = ask(single, "POST", data=body)
        assert reply.status_code == 400 and words in reply.text, reply.text
    assert ask(single, "DELETE").status_code == 400 and ask(single, "GET", user=None).status_code == 401
    for _ in range(100):
        make(single, user="ben")
    assert ask(single, "POST", user="ben", json={}).status_code == 409
    assert ask(single, "GET", "/zot/auth/usage").status_code == 404


def test_it_is_served_only_where_the_file_says_so(tmp_path):
    users = htpasswd(tmp_path, "ann")
    with Worker(config={"http": {"auth": {"htpasswd": {"path": str(users)}}}}) as one:
        assert ask(one, "POST", json={}).status_code == 404
    with Worker(config={"http": {"auth": {"htpasswd": {"path": str(users)}, "apikey": True}}}) as one:
        assert login(one, "ann", make(one)["apiKey"])


def test_members_of_a_static_cluster_have_none_and_say_so(tmp_path):
    port = free_port()
    members = f"127.0.0.1:{port},127.0.0.1:{free_port()}"
    with Worker(port=port, ZOT_HTPASSWD=htpasswd(tmp_path, "ann"), ZOT_APIKEY="true", ZOT_CLUSTER_MEMBERS=members, ZOT_CLUSTER_HASH_KEY="0123456789abcdef",
                ZOT_CLUSTER_SECRET="a secret of the members") as one:
        assert ask(one, "POST", json={}).status_code == 404
        assert "not served in a static cluster" in one.text()
