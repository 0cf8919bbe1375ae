# SPDX-License-Identifier: Apache-2.0
"""What a leader answers: one leader, scripted workers, the admin API by hand."""
import concurrent.futures
import datetime
import hashlib
import json
import re
import socket
import threading
import time

import msgpack
import pytest
import requests

from leader_process import SECRET, FakeWorker, Leader
from scripted_leader import digest_of
from worker_process import await_true

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def leader():
    with Leader() as one:
        yield one


def today():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")


def usage(key, calls, day=None):
    return [{"apikey": key["clientId"], "day": day or today(), "calls": calls, "bytes_in": 10 * calls, "bytes_out": 100 * calls}]


# The state.

def test_a_state_is_full_then_delta_then_nothing(leader):
    worker = FakeWorker(leader, "one")
    leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
    full = worker.state()
    assert full.status_code == 200 and full.headers["Zot-State-Kind"] == "full"
    assert full.headers["Content-Type"] == "application/vnd.zot.state+msgpack"
    assert full.headers["Zot-State-Digest"] == "sha256:" + hashlib.sha256(full.content).hexdigest()
    revision = int(full.headers["Zot-State-Revision"])
    assert revision == leader.revision()
    assert msgpack.unpackb(full.content)
    leader.admin("PATCH", "/api/user/ann", {"groups": ["dev"]})
    delta = worker.state(since=revision)
    assert delta.headers["Zot-State-Kind"] == "delta" and int(delta.headers["Zot-State-Revision"]) == revision + 1
    assert b"ann" in delta.content and b"admin" not in delta.content.replace(b"ann", b"")
    assert worker.state(since=revision + 1).status_code == 304
    assert worker.state(since=revision + 1000).status_code == 409


def kind_of(reply):
    assert reply.status_code == 200 and reply.headers["Cache-Control"] == "no-store"
    document = msgpack.unpackb(reply.content)
    assert document["v"] == 2 and document["kind"] == reply.headers["Zot-State-Kind"]
    assert document["digest"].hex() == reply.headers["Zot-State-Result"]
    if document["kind"] == "full":
        assert document["digest"] == digest_of(document["entities"])
    return document["kind"], document["revision"]


def test_a_state_is_known_by_revision_and_digest(leader):
    worker = FakeWorker(leader, "one")
    kind, first = kind_of(worker.state())
    leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
    newest = leader.revision()
    assert kind == "full" and newest == first + 1
    assert kind_of(worker.state(since=first)) == ("delta", newest)
    same = worker.state(since=newest)
    assert same.status_code == 304 and "Zot-State-Result" not in same.headers and same.headers["Cache-Control"] == "no-store"
    # Another state of that revision, one that is ahead: they are of another history, and get nothing.
    assert unknown(leader) == 0
    for since in (first, newest, newest + 5):
        assert worker.state(since=since, digest="ab" * 32).status_code == 409
    assert unknown(leader) == 3 and "history.refused" in leader.text()
    # One that does not say which it is gets what is here.
    worker.digests.clear()
    assert kind_of(worker.state(since=newest)) == ("full", newest)
    assert unknown(leader) == 3
    assert kind_of(worker.state(since=newest, more="&whole=1", wait=50000)) == ("full", newest)


def unknown(leader):
    return int(re.search(r"(?m)^zot_leader_states_unknown_total (\d+)", requests.get(leader.url + "/metrics", timeout=10).text)[1])


@pytest.mark.parametrize("question", ["since=x", "since=1&digest=abc", "since=1&digest=" + "g" * 64, "since=1&digest=" + "ab" * 33, "whole=2", "wait=60001",
                                      "since=1&since=2", "digest=" + "ab" * 32 + "&digest=" + "ab" * 32])
def test_a_question_that_is_none_is_told_what_is_right(leader, question):
    worker = FakeWorker(leader, "one")
    reply = worker.session.get(f"{leader.url}/api/cluster/state?{question}", timeout=10)
    assert reply.status_code == 400 and "digest is 64 hex digits" in reply.text and "since is a revision" in reply.text


def test_a_kept_state_is_not_given_to_who_has_a_newer_one():
    """The whole of before is kept for those who come new; it never takes somebody back."""
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR="60s") as leader:
        worker = FakeWorker(leader, "one")
        _, old = kind_of(worker.state())
        leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
        assert kind_of(FakeWorker(leader, "two").state()) == ("full", old)
        assert kind_of(worker.state(since=old)) == ("delta", old + 1)
        assert kind_of(worker.state(since=old + 1, more="&whole=1")) == ("full", old + 1)
        leader.admin("PATCH", "/api/user/ann", {"groups": ["dev"]})
        worker.digests.clear()
        assert kind_of(worker.state(since=1)) == ("full", old + 2)


def test_whoever_has_an_unknown_state_gets_one_that_is_not_older_than_the_question(leader):
    """Many ask at once while there are writes; those who have nothing are content with less."""
    stop, got = threading.Event(), []

    def write():
        n = 0
        while not stop.is_set():
            n += 1
            leader.admin("PATCH", "/api/user/admin", {"metadata": {"n": str(n)}})

    def ask(name):
        worker = FakeWorker(leader, name)
        for _ in range(20):
            before = leader.revision()
            worker.digests.clear()
            got.append((before, *kind_of(worker.state(since=1))))

    writer = threading.Thread(target=write)
    askers = [threading.Thread(target=ask, args=(f"w{i}",)) for i in range(8)]
    for thread in [writer, *askers]:
        thread.start()
    for thread in askers:
        thread.join()
    stop.set()
    writer.join()
    assert len(got) == 160 and all(kind == "full" and revision >= before for before, kind, revision in got)


def test_a_leader_knows_its_newest_state_after_a_restart():
    with Leader() as leader:
        worker = FakeWorker(leader, "one")
        _, old = kind_of(worker.state())
        leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
        newest = old + 1
        assert kind_of(worker.state(since=old)) == ("delta", newest)
        leader.stop()
        leader.start()
        assert worker.state(since=newest).status_code == 304
        assert kind_of(worker.state(since=old)) == ("delta", newest)
        assert unknown(leader) == 0
        leader.admin("PATCH", "/api/user/ann", {"groups": ["dev"]})
        assert kind_of(worker.state(since=newest)) == ("delta", newest + 1)


def test_a_waiting_worker_hears_of_a_change_at_once(leader):
    worker = FakeWorker(leader, "one")
    revision = int(worker.state().headers["Zot-State-Revision"])
    heard = {}

    def wait():
        heard["reply"] = worker.state(since=revision, wait=20000)
        heard["at"] = time.monotonic()

    thread = threading.Thread(target=wait)
    thread.start()
    metric = "zot_leader_parked_polls 1"
    await_true(lambda: metric in requests.get(leader.url + "/metrics", timeout=10).text, what="the waiting question")
    leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
    written = time.monotonic()
    thread.join()
    assert heard["reply"].status_code == 200 and b"ann" in heard["reply"].content
    assert heard["at"] - written < 1.0
    begun = time.monotonic()
    assert worker.state(since=revision + 1, wait=300).status_code == 304
    assert time.monotonic() - begun >= 0.3


@pytest.mark.parametrize("head, status", [
    (b"GET /api/" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"PUT /api/user HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400)])
def test_what_is_no_request_gets_an_error_of_the_api(leader, head, status):
    with socket.create_connection(("127.0.0.1", leader.port)) as s:
        s.sendall(head)
        reply = b"".join(iter(lambda: s.recv(4096), b""))
    assert reply.startswith(f"HTTP/1.1 {status} ".encode()), reply
    assert json.loads(reply.split(b"\r\n\r\n", 1)[1])["error"]["code"] == "invalid"


def test_the_state_as_lines_hides_secrets(leader):
    leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
    reply = leader.admin("GET", "/api/cluster/state", headers={"Accept": "application/x-ndjson"})
    # Admins have no other form: only workers need the hashes of passwords.
    assert leader.admin("GET", "/api/cluster/state").text == leader.admin("GET", "/api/cluster/state?wait=1").text == reply.text
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert {"admin", "ann", "cluster", "ring", "session"} == {line["entity"]["id"] for line in lines}
    assert "$2" not in reply.text and "passwordHash" not in reply.text


def test_who_may_ask(leader):
    worker = FakeWorker(leader, "one")
    assert requests.get(leader.url + "/api/user", timeout=10).status_code == 401
    assert requests.get(leader.url + "/api/user", auth=("admin", "wrong"), timeout=10).status_code == 401
    assert worker.session.get(leader.url + "/api/user", timeout=10).status_code == 403
    assert leader.admin("PUT", "/api/cluster/quotas", {}).status_code == 403
    leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
    assert requests.get(leader.url + "/api/user", auth=("ann", "a long password"), timeout=10).status_code in (401, 403)
    key = leader.new_key()
    assert requests.get(leader.url + "/api/user", auth=(key["clientId"], key["clientSecret"]), timeout=10).status_code == 200


@pytest.mark.parametrize("method, path, allow", [
    ("POST", "/livez", "GET, HEAD"), ("DELETE", "/api/cluster/state", "GET, HEAD"), ("GET", "/api/cluster/quotas", "PUT"),
    ("PUT", "/api/cluster/members/one", "GET, HEAD, DELETE"), ("POST", "/api/cluster/members/one", "GET, HEAD, DELETE"),
    ("DELETE", "/api/cluster/members", "GET, HEAD"), ("DELETE", "/api/users", "GET, HEAD, POST"), ("PUT", "/api/users/", "GET, HEAD, POST"),
    ("POST", "/api/user/ann", "GET, HEAD, PUT, PATCH, DELETE"), ("DELETE", "/api/settings/cluster", "GET, HEAD, PUT, PATCH"),
    ("PATCH", "/api/ring/ring", "GET, HEAD"), ("OPTIONS", "/api/ring", "GET, HEAD")])
def test_a_path_says_which_methods_it_knows(leader, method, path, allow):
    reply = leader.admin(method, path, None if method in ("GET", "DELETE", "OPTIONS") else {})
    assert reply.status_code == 405 and reply.headers["Allow"] == allow
    assert reply.json()["error"] == {"code": "method_not_allowed", "message": f"allowed here: {allow}"}


# Pages of other sites.

EVIL = {"id": "evil", "password": "a long password", "roles": ["admin"]}


@pytest.mark.parametrize("headers", [
    {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": "text/plain; application/json"}, {"Content-Type": "application/jsonp"}, {}])
def test_a_body_must_say_that_it_is_json(leader, headers):
    for method, path in (("POST", "/api/user"), ("PUT", "/api/user/evil"), ("PATCH", "/api/user/admin"), ("PUT", "/api/cluster/quotas")):
        auth = ("workers", SECRET) if path == "/api/cluster/quotas" else leader.session.auth
        reply = leader.session.request(method, leader.url + path, data=json.dumps(EVIL).encode(), headers=headers, auth=auth, timeout=10)
        assert reply.status_code == 415 and "Content-Type: application/json" in reply.text, (method, reply.status_code, reply.text)
    assert leader.admin("GET", "/api/user/evil").status_code == 404


def test_a_body_may_say_more_than_json(leader):
    for i, kind in enumerate(("application/json", "application/json; charset=utf-8", "Application/JSON ; charset=\"utf-8\"")):
        body = json.dumps({"id": f"u{i}", "password": "a long password"}).encode()
        assert leader.session.post(leader.url + "/api/user", data=body, headers={"Content-Type": kind}, timeout=10).status_code == 201
    patch = leader.session.patch(leader.url + "/api/user/u0", data=b'{"groups":["g"]}', headers={"Content-Type": "application/merge-patch+json"})
    assert patch.status_code == 200 and patch.json()["groups"] == ["g"]


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}])
def test_a_page_of_another_site_changes_nothing(leader, headers):
    leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
    revision = leader.revision()
    for method, path, body in (("POST", "/api/user", EVIL), ("PUT", "/api/user/evil", EVIL), ("PATCH", "/api/user/ann", {"roles": ["admin"]}),
                               ("DELETE", "/api/user/ann", None), ("DELETE", "/api/cluster/members/x", None),
                               ("PUT", "/api/cluster/quotas", {"worker": "x", "boot": "b", "seq": 1})):
        reply = leader.admin(method, path, body, headers=headers)
        assert reply.status_code == 403 and "another site" in reply.text, (method, path, reply.status_code)
    assert leader.revision() == revision
    # It may ask: no answer lets it read what it gets.
    reply = leader.admin("GET", "/api/user/ann", headers=headers)
    assert reply.status_code == 200 and not [h for h in reply.headers if h.lower().startswith("access-control-")]


def test_the_own_site_may_change_things(leader):
    own = {"Origin": leader.url}
    assert leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"}, headers=own).status_code == 201
    assert leader.admin("DELETE", "/api/user/ann", headers={"Sec-Fetch-Site": "same-origin", **own}).status_code == 204


def test_no_answer_is_taken_for_a_page(leader):
    for path in ("/api/user", "/api/none", "/metrics", "/livez", "/api/cluster/state"):
        reply = leader.admin("GET", path)
        assert not reply.content or reply.headers["X-Content-Type-Options"] == "nosniff", path


# Entities.

def test_an_entity_lives_and_a_lost_update_is_refused(leader):
    made = leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password", "groups": ["dev"]})
    assert made.status_code == 201 and made.headers["Location"] == "/api/user/ann"
    assert leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"}).status_code == 409
    first = leader.admin("GET", "/api/user/ann")
    assert first.json()["groups"] == ["dev"] and "password" not in first.text
    assert leader.admin("GET", "/api/user/ann", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    mine = {"If-Match": first.headers["ETag"]}
    changed = leader.admin("PATCH", "/api/user/ann", {"groups": ["dev", "ops"]}, headers=mine)
    assert changed.status_code == 200 and changed.headers["ETag"] != first.headers["ETag"]
    assert leader.admin("PATCH", "/api/user/ann", {"groups": []}, headers=mine).status_code == 412
    assert leader.admin("DELETE", "/api/user/ann", headers=mine).status_code == 412
    assert leader.admin("GET", "/api/user/ann").json()["groups"] == ["dev", "ops"]
    assert leader.admin("DELETE", "/api/user/ann", headers={"If-Match": changed.headers["ETag"]}).status_code == 204
    assert leader.admin("GET", "/api/user/ann").status_code == 404


def test_a_wrong_entity_is_told_what_is_wrong(leader):
    reply = leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password", "groupz": []})
    assert reply.status_code == 400 and "groupz" in reply.text and "groups" in reply.text
    reply = leader.admin("POST", "/api/policy", {"id": "team/**", "defaultPolicy": ["reed"]})
    assert reply.status_code == 400 and "reed" in reply.text and "read" in reply.text
    reply = leader.session.post(leader.url + "/api/user", data=b'{"id": ', timeout=10, headers=JSON)
    assert reply.status_code == 400
    assert leader.admin("POST", "/api/policy", {"id": "team/**", "defaultPolicy": ["read"]}).status_code == 201
    assert leader.admin("GET", "/api/policy/team/**").json()["defaultPolicy"] == ["read"]
    assert leader.admin("DELETE", "/api/user/admin").status_code == 409


def test_lists_have_pages(leader):
    for i in range(25):
        leader.admin("POST", "/api/policy", {"id": f"p/{i:02}", "defaultPolicy": ["read"]})
    seen, path = [], "/api/policy?n=10"
    while path:
        reply = leader.admin("GET", path)
        seen += [item["id"] for item in reply.json()["items"]]
        path = reply.links["next"]["url"] if "next" in reply.links else None
    assert seen == [f"p/{i:02}" for i in range(25)]


def test_what_was_answered_is_there_after_a_kill(leader):
    written = []
    for i in range(30):
        assert leader.admin("POST", "/api/user", {"id": f"u{i}", "password": "a long password"}).status_code == 201
        written.append(f"u{i}")
    revision = leader.revision()
    leader.kill()
    leader.start()
    assert leader.revision() == revision
    for name in written:
        assert leader.admin("GET", f"/api/user/{name}").status_code == 200


# Usage.

def test_a_repeated_push_adds_nothing(leader):
    key, worker = leader.new_key(), FakeWorker(leader, "one")
    assert worker.push(usage=usage(key, 5)).json()["seq"] == 1
    for _ in range(3):
        assert worker.push(seq=1, usage=usage(key, 5)).status_code == 200
    assert leader.usage_of(key) == (5, 50, 500)
    worker.push(usage=usage(key, 7))
    leader.kill()
    leader.start()
    assert worker.push(seq=2, usage=usage(key, 7)).status_code == 200
    assert leader.usage_of(key) == (12, 120, 1200)
    # Another boot counts from one again.
    again = FakeWorker(leader, "two")
    again.push(usage=usage(key, 1))
    assert leader.usage_of(key) == (13, 130, 1300)


def test_grants_never_pass_the_quota(leader):
    key = leader.new_key(dailyQuota=100)
    workers = [FakeWorker(leader, f"w{i}") for i in range(4)]
    granted, used = [0] * 4, [0] * 4
    for _ in range(40):
        for i, worker in enumerate(workers):
            answer = worker.push(demands=[{"apikey": key["clientId"], "day": today(), "used": used[i], "want": 40}]).json()
            for grant in answer["grants"]:
                assert grant["limit"] == 100
                granted[i] = grant["granted"]
            used[i] = granted[i]
            assert sum(granted) <= 100
    assert sum(granted) == 100
    rows = leader.admin("GET", f"/api/usage?apikey={key['clientId']}").json()["usage"]
    assert [(row["day"], row["calls"], row["granted"], row["quota"]) for row in rows] == [(today(), 0, 100, 100)], "granted, before any is counted"


def wish(worker, key, granted, **more):
    """One beat with a demand; what it may admit in all then."""
    row = {"apikey": key["clientId"], "day": today(), "granted": granted, "used": granted, **more}
    answer = worker.push(demands=[row]).json()
    return next((grant["granted"] for grant in answer["grants"]), 0)


def use_up(worker, key, granted=0):
    """Takes and uses what there is."""
    while (more := wish(worker, key, granted, want=40)) > granted:
        granted = more
    return granted


def head_of(worker):
    return {"Zot-Worker-Name": worker.name, "Zot-Worker-Id": worker.process}


def told(reply):
    return reply.status_code, reply.headers.get("Zot-Report")


def test_a_worker_that_holds_what_another_needs_is_told_to_report(leader):
    key = leader.new_key(dailyQuota=100)
    holder, needy, namesake = FakeWorker(leader, "a"), FakeWorker(leader, "b"), FakeWorker(leader, "a")
    for worker in (holder, needy):
        worker.boot = worker.process
    holder.push(), needy.push()
    await_true(lambda: len(leader.admin("GET", "/api/ring/ring").json()["members"]) == 2, what="the ring of both")
    held = wish(holder, key, 0, want=40)
    assert held > 0
    for worker in (holder, needy, namesake):
        revision = int(worker.state().headers["Zot-State-Revision"])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        def wait(worker):
            return pool.submit(worker.state, since=revision, wait=30000, headers=head_of(worker))

        replies = [wait(worker) for worker in (holder, needy, namesake)]
        await_true(lambda: "zot_leader_parked_polls 3" in requests.get(leader.url + "/metrics", timeout=10).text, what="three that wait")
        begun = time.monotonic()
        used = use_up(needy, key)
        assert used == 100 - held
        assert told(replies[0].result(20)) == (304, "now")
        assert time.monotonic() - begun < 10
        assert not replies[1].done() and not replies[2].done()
        # Again, soon after it.
        assert wish(holder, key, 0, release=True) == 0
        assert wish(holder, key, 0, want=40) > 0
        again = wait(holder)
        used = use_up(needy, key, used)
        assert told(again.result(20)) == (304, "now")
        # Who does not wait is told when it does, once for each time.
        assert wish(holder, key, 0, release=True) == 0
        assert wish(holder, key, 0, want=40) > 0
        assert use_up(needy, key, used) < 100
        assert told(wait(holder).result(20)) == (304, "now")
        assert told(holder.state(since=revision, wait=300, headers=head_of(holder))) == (304, None)
        leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
        assert [told(reply.result(20)) for reply in replies[1:]] == [(200, None)] * 2
    assert "zot_leader_reports_wanted_total 3" in requests.get(leader.url + "/metrics", timeout=10).text


def test_a_push_that_is_not_one_is_refused(leader):
    worker = FakeWorker(leader, "one")
    for body in (b"", b"[]", b'{"worker":"x"}', b'{"worker":"x","boot":"b","seq":-1}', b'{"worker":"x","boot":"b","usage":[{}]}'):
        reply = worker.session.put(leader.url + "/api/cluster/quotas", data=body, timeout=10, headers=JSON)
        assert reply.status_code == 400, (body, reply.status_code)
        assert reply.json()
    assert worker.session.put(leader.url + "/api/cluster/quotas", data=b" " * (9 << 20), timeout=10, headers=JSON).status_code == 413
    assert leader.members() == {}


# Members.

def test_members_join_are_lost_and_come_back(leader):
    assert leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 1000, "pushEveryMs": 300}).status_code == 200
    one, two = FakeWorker(leader, "one"), FakeWorker(leader, "two")
    assert one.push().json()["lease_ms"] == 1000
    two.push()

    def ring():
        return [m["id"] for m in leader.admin("GET", "/api/ring/ring").json()["members"] if m["state"] == "active"]

    def ring_after_push():
        one.push()
        return ring()

    await_true(lambda: ring_after_push() == ["one", "two"] or two.push() is None, what="both in the ring")
    epoch = leader.admin("GET", "/api/ring/ring").json()["epoch"]
    await_true(lambda: ring_after_push() == ["one"], what="two out of the ring")
    assert leader.members()["two"]["state"] == "lost"
    assert leader.admin("GET", "/api/ring/ring").json()["epoch"] > epoch
    assert leader.admin("DELETE", "/api/cluster/members/one").status_code == 409
    assert leader.admin("DELETE", "/api/cluster/members/two").status_code == 204
    assert "two" not in leader.members()
    two.push()
    await_true(lambda: two.push() and ring_after_push() == ["one", "two"], what="two back in the ring")
    # A drain leaves the ring at once, not after a lease.
    two.push(state="draining")
    await_true(lambda: ring_after_push() == ["one"] or not two.push(state="draining"), what="the drained one out of the ring")


def test_two_processes_of_one_name(leader):
    first = FakeWorker(leader, "one")
    first.push()
    second = FakeWorker(leader, "one")
    reply = second.push()
    assert reply.status_code == 409 and "name" in reply.text


def test_the_dump_has_each_change_and_no_secret(tmp_path):
    path = tmp_path / "dump.ndjson"
    with Leader(CLUSTER_LEADER_DUMP_PATH=path) as leader:
        leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
        await_true(lambda: path.exists() and '"ann"' in path.read_text(), what="the dump")
        assert "$2" not in path.read_text()


@pytest.mark.parametrize("path,words", [
    ("/api/usage?apikeys=x", ["apikeys", "apikey"]), ("/api/usage?mounth=2026-11", ["mounth", "month"]), ("/api/users?limit=5", ["limit"]),
    ("/api/users?n=5&lasst=x", ["lasst", "last"]), ("/api/cluster/members?state=lost", ["state"])])
def test_a_parameter_that_nobody_knows_is_told(leader, path, words):
    reply = leader.admin("GET", path)
    assert reply.status_code == 400 and all(word in reply.text for word in words), reply.text
    # Who may not ask at all hears nothing of it.
    assert leader.session.get(leader.url + path, auth=("nobody", "guess"), timeout=60).status_code == 401
