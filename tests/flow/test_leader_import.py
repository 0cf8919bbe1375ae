# SPDX-License-Identifier: Apache-2.0
"""The whole state out as lines, and in again: checked whole, one revision, or nothing."""
import json
import threading
import time

import pytest
import requests

from leader_process import FakeWorker, Leader
from test_leader_bulk import NDJSON, bulk
from test_leader_workers import ring_of


def fill(leader):
    leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password", "metadata": {"team": "red \"quoted\" ü"}})
    leader.admin("POST", "/api/group", {"id": "dev", "users": ["ann"]})
    leader.admin("POST", "/api/policy", {"id": "team/**", "policies": [{"groups": ["dev"], "actions": ["read"]}]})
    leader.admin("PUT", "/api/admin_policy/admin", {"groups": ["dev"], "actions": ["delete"]})
    leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 7000})
    leader.admin("POST", "/api/worker", {"id": "one"})
    return leader.admin("POST", "/api/apikey", {"owner": "ann", "validUntil": "2031-02-03T04:05:06Z", "scopes": ["team/**:read"]}).json()


def export(leader):
    reply = leader.admin("GET", "/api/export")
    assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in reply.text.splitlines()]


def load(leader, lines, query="mode=merge"):
    body = lines if isinstance(lines, (str, bytes)) else "".join(json.dumps(line) + "\n" for line in lines)
    return leader.session.post(f"{leader.url}/api/import?{query}", data=body, headers=NDJSON, timeout=120)


def bare(lines):
    return sorted(json.dumps({k: v for k, v in line.items() if k not in ("revision",)}, sort_keys=True) for line in lines[1:])


def login(leader, user, password):
    return leader.session.get(leader.url + "/api/user", auth=(user, password), timeout=30).status_code


def test_what_was_exported_makes_another_leader_the_same():
    with Leader() as one, Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as two:
        key = fill(one)
        lines = export(one)
        assert lines[0]["export"] == 1 and lines[0]["revision"] == one.revision() and lines[0]["entities"] == len(lines) - 1
        kinds = {line["kind"] for line in lines[1:]}
        assert kinds == {"user", "apikey", "policy", "settings", "worker", "group", "admin_policy"}
        assert "peerSecret" not in json.dumps(lines) and "a long password" not in json.dumps(lines)
        before, ring = two.revision(), ring_of(FakeWorker(two, "w"))["hashKey"]
        reply = load(two, lines, "mode=replace")
        assert reply.status_code == 200, reply.text
        assert two.revision() == before + 1 == reply.json()["revision"] and bare(export(two)) == bare(lines)
        assert ring_of(FakeWorker(two, "w"))["hashKey"] == ring
        # The key opens, by its hash.
        assert login(two, key["clientId"], key["clientSecret"]) == 403 and login(two, key["clientId"], "x" * 64) == 401
        # The same once more changes nothing.
        again = load(two, export(two), "mode=replace").json()
        assert again["unchanged"] == len(lines) - 1 and again["created"] == again["changed"] == again["deleted"] == 0
        assert two.revision() == before + 1
        two.kill()
        two.start()
        assert bare(export(two)) == bare(lines)


def test_merge_keeps_what_is_not_there_and_replace_does_not():
    with Leader() as leader:
        fill(leader)
        lines = [line for line in export(leader) if line.get("id") in (None, "admin", "ann") and line.get("kind") != "admin_policy"]
        before = leader.revision()
        dry = load(leader, lines, "mode=replace&dryRun=true").json()
        assert dry == {"dryRun": True, "revision": before, "created": 0, "changed": 0, "deleted": 5, "unchanged": 2}
        assert leader.revision() == before
        assert load(leader, lines + [{"kind": "user", "id": "new"}], "mode=merge").json()["created"] == 1
        assert leader.admin("GET", "/api/group").json()["total"] == 1
        worker = FakeWorker(leader, "w")
        assert load(leader, lines, "mode=replace").json()["deleted"] == 6
        for kind in ("group", "policy", "apikey", "worker", "admin_policy"):
            assert leader.admin("GET", f"/api/{kind}").json()["total"] == 0
        assert leader.admin("GET", "/api/settings/cluster").json()["leaseMs"] == 7000 and worker.push().status_code == 200


@pytest.fixture(scope="module")
def leader():
    with Leader() as one:
        fill(one)
        yield one


HEAD = {"export": 1}


@pytest.mark.parametrize("lines, query, status, words", [
    ([HEAD], "mode=all", 400, ["mode: needed"]), ([HEAD], "", 400, ["mode: needed"]), ([HEAD], "mode=merge&dryRun=1", 400, ["dryRun"]),
    ([], "mode=merge", 400, ["empty"]), ([{"kind": "user", "id": "x"}], "mode=merge", 400, ["line 1:", "head of an export"]),
    ([{"export": 2}], "mode=merge", 400, ["line 1:", "format 2"]),
    ([HEAD, {"kind": "user", "id": "x"}, {"kind": "usr", "id": "x"}], "mode=merge", 400, ["line 3:", '"usr" is none']),
    ([HEAD, {"kind": "ring", "id": "ring", "hashKey": "0" * 32}], "mode=merge", 400, ["line 2:", "leaders' own"]),
    ([HEAD] + [{"kind": "user", "id": f"x{i}"} for i in range(15)] + [{"kind": "user", "id": "y", "rols": []}], "mode=merge", 400,
     ["line 17:", 'did you mean "roles"']),
    ([HEAD, {"kind": "user", "id": "x"}, {"kind": "group", "id": "x"}, {"kind": "user", "id": "x"}], "mode=merge", 400, ["line 4:", "is on line 2 too"]),
    ([HEAD, {"kind": "apikey", "id": "key-number-1", "owner": "ann"}], "mode=merge", 400, ["line 2:", "secretHash"]),
    ([HEAD, {"kind": "apikey", "id": "key-number-1", "owner": "nobody", "secretHash": "0" * 64}], "mode=merge", 400, ["line 2:", 'no user "nobody"']),
    ("{\"export\":1}\n{\"kind\":", "mode=merge", 400, ["line 2:"]),
    ([HEAD], "mode=replace", 409, ["no admin who can log in"]),
    ([HEAD, {"kind": "user", "id": "admin", "roles": ["admin"], "enabled": False}], "mode=merge", 409, ["no admin who can log in"]),
    ([HEAD, {"kind": "user", "id": "boss", "roles": ["admin"]}], "mode=replace", 409, ["no admin who can log in"])])
def test_what_is_wrong_is_named_and_nothing_is_changed(leader, lines, query, status, words):
    before, held = leader.revision(), export(leader)
    for dry in ("", "&dryRun=true"):
        if "dryRun" in query and dry:
            continue
        reply = load(leader, lines, query + dry)
        assert reply.status_code == status, reply.text
        assert all(word in reply.json()["error"]["message"] for word in words), reply.text
    assert leader.revision() == before and export(leader) == held


def test_only_admins_may(leader):
    for method, path in (("GET", "/api/export"), ("POST", "/api/import?mode=merge")):
        reply = leader.session.request(method, leader.url + path, auth=("ann", "a long password"), headers=NDJSON, timeout=30)
        assert reply.status_code == 403


def test_workers_whose_credentials_are_imported_away_are_locked_out():
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as leader:
        fill(leader)
        shared = FakeWorker(leader, "shared")
        lines, before = export(leader), ring_of(shared)["peerSecret"]
        assert load(leader, lines, "mode=replace").status_code == 200 and ring_of(shared)["peerSecret"] == before
        assert load(leader, [line for line in lines if line.get("kind") != "worker"], "mode=replace").status_code == 200
        assert ring_of(shared)["peerSecret"] != before


def test_a_large_state_goes_out_and_in():
    """20,000 keys; a client that leaves in the middle leaves nothing behind."""
    with Leader() as leader:
        for part in range(2):
            assert bulk(leader, "POST", "apikey", [{"id": f"key-{part}-{i:06d}", "owner": "admin"} for i in range(10000)]).status_code == 200
        with leader.session.get(leader.url + "/api/export", stream=True, timeout=60) as reply:
            next(reply.iter_content(1000))
        lines = export(leader)
        keys = [line for line in lines if line.get("kind") == "apikey"]
        assert len(keys) == 20000
        gone = {key["id"] for key in keys[:5000]}
        smaller = [line for line in lines if line.get("id") not in gone]
        said = load(leader, smaller, "mode=replace").json()
        assert said["deleted"] == 5000 and leader.admin("GET", "/api/apikey").json()["total"] == 15000
        said = load(leader, lines, "mode=merge").json()
        assert said["created"] == 5000 and bare(export(leader)) == bare(lines)


def many(count, owner="admin", first=0):
    return [{"export": 1}] + [{"kind": "apikey", "id": f"key-{i:06d}", "owner": owner, "secretHash": f"{i:064x}"} for i in range(first, first + count)]


def keys_of(leader):
    return {line["id"] for line in export(leader)[1:] if line["kind"] == "apikey"}


def test_a_large_import_lets_others_write():
    with Leader() as leader:
        assert leader.admin("POST", "/api/worker", {"id": "w"}).status_code == 201
        done, written = threading.Event(), []

        def write():
            session = requests.Session()
            session.auth = leader.session.auth
            while not done.is_set():
                reply = session.patch(leader.url + "/api/worker/w", json={"description": str(len(written))}, timeout=30)
                written.append((reply.status_code, reply.headers["ETag"]))

        writer = threading.Thread(target=write)
        writer.start()
        try:
            reply = load(leader, many(5000))
        finally:
            done.set()
            writer.join()
        assert reply.status_code == 200 and reply.json()["created"] == 5000
        # They were answered meanwhile, and the last one is what is there; the import has one revision, above those before it.
        at = reply.json()["revision"]
        revisions = [int(etag.strip('"')) for status, etag in written if status == 200]
        assert len(revisions) == len(written) and revisions == sorted(revisions) and len([r for r in revisions if r < at]) > 1
        lines = {line.get("id"): line for line in export(leader)[1:]}
        assert lines["w"]["description"] == str(len(written) - 1)
        assert {lines[f"key-{i:06d}"]["revision"] for i in range(5000)} == {at}
        rows = leader.admin("GET", "/api/audit?kind=apikey&id=key-004999").json()["items"]
        assert [row["how"] for row in rows] == ["created"] and rows[0]["revision"] == at
        leader.kill()
        leader.start()
        assert {line.get("id"): line for line in export(leader)[1:]} == lines


def test_a_large_import_is_whole_or_nothing_whenever_the_leader_dies():
    with Leader() as leader:
        for turn in range(8):
            before = keys_of(leader)
            lines = many(3000, first=turn * 3000)
            sender = threading.Thread(target=killed_load, args=(leader, lines))
            sender.start()
            # At another moment each time: of what lies in the store, not of the clock.
            wal = leader.folder / "data" / "leader.db-wal"
            wanted = wal.stat().st_size + turn * 150_000
            while sender.is_alive() and wal.stat().st_size < wanted:
                time.sleep(0.001)
            leader.kill()
            sender.join()
            leader.start()
            assert keys_of(leader) - before in (set(), {line["id"] for line in lines[1:]})
            assert before <= keys_of(leader)
        assert load(leader, many(3000, first=90000)).json()["created"] == 3000


def killed_load(leader, lines):
    try:
        load(leader, lines)
    except requests.RequestException:
        pass


def test_a_large_import_that_takes_an_owner_away_leaves_no_key_of_theirs():
    """Somebody gives keys to a user whom the import deletes: either is refused, or the key goes with its owner."""
    with Leader() as leader:
        leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
        lines = [line for line in export(leader) if line.get("id") != "ann"] + many(3000)[1:]
        done, made = threading.Event(), []

        def give():
            session = requests.Session()
            session.auth = leader.session.auth
            while not done.is_set():
                made.append(session.post(leader.url + "/api/apikey", json={"owner": "ann"}, timeout=30).status_code)

        giver = threading.Thread(target=give)
        giver.start()
        try:
            reply = load(leader, lines, "mode=replace")
        finally:
            done.set()
            giver.join()
        there = export(leader)[1:]
        if reply.status_code == 200:
            assert not [line for line in there if line["kind"] == "apikey" and line["owner"] == "ann"] and made[-1] >= 400
        else:
            assert reply.status_code == 503 and "others change these" in reply.text
            assert not [line for line in there if line.get("id", "").startswith("key-")]

