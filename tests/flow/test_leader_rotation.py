# SPDX-License-Identifier: Apache-2.0
"""An API key's rotation: another secret, and the one before for a grace time; leader, worker and scripted workers."""
import datetime

import msgpack
import pytest
import requests

from leader_process import SECRET, FakeWorker, Leader
from worker_process import Worker, await_true, free_port


@pytest.fixture
def leader():
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as one:
        yield one


def rotate(leader, key, **body):
    reply = leader.admin("POST", f"/api/apikey/{key['clientId']}/rotate", body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def statuses_of(leader, key):
    """Of both ways in. It is an admin's."""
    with requests.Session() as session:
        session.trust_env = False
        return [session.get(leader.url + "/api/user", auth=auth, timeout=10).status_code
                for auth in ((key["clientId"], key["clientSecret"]), (leader.user, key["apiKey"]))]


def opens(leader, key):
    """Does the key open the leader's door?"""
    statuses = statuses_of(leader, key)
    assert statuses in ([200, 200], [401, 401])
    return statuses == [200, 200]


def seconds_left(reply):
    until = datetime.datetime.fromisoformat(reply["entity"]["graceUntil"].replace("Z", "+00:00"))
    return (until - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


def test_both_secrets_open_until_the_grace_is_over(leader):
    old = leader.new_key(label="ci")
    new = rotate(leader, old)
    assert new["clientId"] == old["clientId"] and new["clientSecret"] != old["clientSecret"] and new["apiKey"] == "zak_" + new["clientSecret"]
    assert new["entity"]["label"] == "ci" and 24 * 3600 - 120 < seconds_left(new) <= 24 * 3600
    assert opens(leader, old) and opens(leader, new)
    # A restart, with nothing said in between.
    leader.kill()
    leader.start()
    assert opens(leader, old) and opens(leader, new)
    # Its end: what the clock would do, done by hand.
    reply = leader.admin("PATCH", f"/api/apikey/{old['clientId']}", {"graceUntil": 1})
    assert reply.status_code == 200
    assert not opens(leader, old) and opens(leader, new)


def test_a_short_grace_ends_by_itself(leader):
    old = leader.new_key()
    new = rotate(leader, old, graceSeconds=1)
    await_true(lambda: statuses_of(leader, old) == [401, 401])
    assert opens(leader, new)


def test_without_a_grace_the_old_one_ends_at_once(leader):
    old = leader.new_key()
    new = rotate(leader, old, graceSeconds=0)
    assert new["entity"]["graceUntil"] == 0
    assert not opens(leader, old) and opens(leader, new)
    # The way out of any grace.
    newer = rotate(leader, new)
    newest = rotate(leader, newer, graceSeconds=0)
    assert not opens(leader, new) and not opens(leader, newer) and opens(leader, newest)


def test_a_rotation_within_a_grace_does_not_end_the_secret_in_use(leader):
    first = leader.new_key()
    lost = rotate(leader, first)
    reply = leader.admin("POST", f"/api/apikey/{first['clientId']}/rotate", {})
    assert reply.status_code == 409 and '\\"again\\":true' in reply.text and '\\"graceSeconds\\":0' in reply.text
    assert opens(leader, first) and opens(leader, lost)
    again = rotate(leader, first, again=True)
    assert opens(leader, first) and opens(leader, again) and not opens(leader, lost)


def test_what_is_wrong_is_told(leader):
    key = leader.new_key()
    path = f"/api/apikey/{key['clientId']}/rotate"
    for body, said in (({"graceSeconds": -1}, "graceSeconds: must be a whole number from 0 to 2592000"), ({"graceSeconds": 2592001}, "graceSeconds"),
                       ({"graceSeconds": "1"}, "graceSeconds"), ({"grace": 1}, 'unknown member \\"grace\\"'),
                       ({"gracSeconds": 1}, 'did you mean \\"graceSeconds\\"'), ({"again": 1}, "again: must be true or false"), ([], "a JSON object")):
        reply = leader.admin("POST", path, body)
        assert reply.status_code == 400 and said in reply.text, reply.text
    assert leader.admin("GET", path).status_code == 405 and leader.admin("GET", path).headers["Allow"] == "POST"
    assert leader.admin("POST", "/api/apikey/0123456789abcdef/rotate", {}).status_code == 404
    assert leader.admin("POST", "/api/user/admin/rotate", {}).status_code in (404, 405)
    assert leader.admin("POST", path, {}, headers={"If-Match": '"1"'}).status_code == 412
    assert requests.post(leader.url + path, json={}, timeout=10).status_code == 401
    assert opens(leader, key)
    # No body at all is all defaults.
    assert leader.admin("POST", path, headers={"Content-Type": "application/json"}).status_code == 200


def test_what_an_admin_writes_keeps_the_grace_and_another_secret_ends_it(leader):
    old = leader.new_key()
    new = rotate(leader, old)
    path = f"/api/apikey/{old['clientId']}"
    shown = leader.admin("GET", path).json()
    assert "secretHashBefore" not in shown and leader.admin("PUT", path, {**shown, "label": "written back"}).status_code == 200
    assert opens(leader, old) and opens(leader, new)
    assert leader.admin("PATCH", path, {"label": "patched"}).status_code == 200
    assert opens(leader, old) and opens(leader, new)
    assert leader.admin("PATCH", path, {"clientSecret": "a secret of my own choice"}).status_code == 200
    assert not opens(leader, old) and not opens(leader, new)
    assert leader.admin("GET", path).json()["graceUntil"] == 0


def test_a_worker_of_an_older_version_knows_the_new_secret(leader):
    """What it reads is the member that was always there. Of a key that was never rotated it gets not a byte more."""
    worker = FakeWorker(leader, "one")

    def body_of(key):
        [found] = [e["body"] for e in msgpack.unpackb(worker.state().content)["entities"] if e["id"] == key["clientId"]]
        return found

    old = leader.new_key()
    before = body_of(old)
    assert "graceUntil" not in before and "secretHashBefore" not in before
    rotate(leader, old)
    after = body_of(old)
    assert after["secretHashBefore"] == before["secretHash"] != after["secretHash"] and after["graceUntil"] > 0


def test_workers_obey(leader):
    port = free_port()
    with Worker(port=port, CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers", CLUSTER_LEADER_CLIENT_SECRET=SECRET,
                CLUSTER_WORKER_NAME="one", CLUSTER_SELF_ADDRESS=f"http://127.0.0.1:{port}", ZOT_FAIL_DELAY="0") as worker:
        def let_in(key):
            statuses = {worker.call("GET", "/v2/", auth=auth).status_code for auth in ((key["clientId"], key["clientSecret"]), (leader.user, key["apiKey"]))}
            return statuses == {200}

        old = leader.new_key()
        await_true(lambda: let_in(old))
        new = rotate(leader, old)
        await_true(lambda: let_in(new))
        assert let_in(old)
        # Also without a leader, and after a restart, from the state on the disk.
        leader.kill()
        worker.stop()
        worker.start()
        assert let_in(old) and let_in(new)
        leader.start()
        leader.admin("PATCH", f"/api/apikey/{old['clientId']}", {"graceUntil": 0})
        await_true(lambda: not let_in(old))
        assert let_in(new)
        short = rotate(leader, new, graceSeconds=2)
        await_true(lambda: let_in(short))
        await_true(lambda: not let_in(new))
        await_true(lambda: "apikey_secret_" in worker.text())
        for key in (old, new, short):
            assert key["clientSecret"] not in worker.text() and key["clientSecret"] not in leader.text()
