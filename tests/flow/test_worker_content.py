# SPDX-License-Identifier: Apache-2.0
"""What a client's content can cost: memory for JSON, upload sessions, room in the spool."""
import concurrent.futures
import json
import re

import pytest

from worker_process import MANIFEST, Worker, await_true, digest, free_port

INDEX = "application/vnd.oci.image.index.v1+json"


def rss(worker):
    """MiB that the worker has resident now."""
    text = open(f"/proc/{worker.process.pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024


def put(worker, body, kind=MANIFEST, tag="x"):
    return worker.call("PUT", f"/v2/a/manifests/{tag}", data=body, headers={"Content-Type": kind})


def many(part, size=4 * 1024 * 1024):
    head, tail = b'{"schemaVersion":2,"mediaType":"%s","x":[' % MANIFEST.encode(), b"]}"
    times = (size - len(head) - len(tail) + 1) // (len(part) + 1)
    return head + b",".join([part] * times) + tail


@pytest.mark.parametrize("part", [b"[]", b"{}", b"[[]]", b'{"a":{}}'])
def test_a_tree_of_many_values_is_refused_and_costs_little(part):
    # The sanitizer of that build would keep what was freed for a while.
    with Worker(ASAN_OPTIONS="quarantine_size_mb=1:allocator_release_to_os_interval_ms=100") as worker:
        worker.push("a", "v1")
        before = rss(worker)
        with concurrent.futures.ThreadPoolExecutor(8) as many_clients:
            for reply in many_clients.map(lambda _: put(worker, many(part)), range(16)):
                assert reply.status_code == 413, reply.text
                assert "do not fit into 32768 KiB" in reply.text and "MANIFEST_INVALID" in reply.text
        # 8 bodies of 4 MiB with what holds them, and the budget of all trees.
        assert worker.peak_rss() - before < 128 + 8 * 24
        await_true(lambda: rss(worker) - before < 64)


def test_the_largest_index_is_taken(worker):
    member = {"mediaType": MANIFEST, "size": 1234, "artifactType": "a/b", "annotations": {"a.b": "c", "d.e": "f"},
              "platform": {"architecture": "arm", "os": "linux", "variant": "v7"}}
    members = [{**member, "digest": digest(b"%d" % i)} for i in range(10000)]
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": members}, separators=(",", ":")).encode()
    assert len(body) < 4 * 1024 * 1024
    reply = put(worker, body, INDEX)
    assert reply.status_code == 201, reply.text
    assert worker.call("GET", "/v2/a/manifests/x").content == body


def test_a_folder_index_of_many_values_is_told_and_costs_little():
    with Worker() as worker:
        worker.push("b", "v1")
        repository = worker.folder / "store" / "a"
        repository.mkdir()
        (repository / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (repository / "index.json").write_bytes(b'{"schemaVersion":2,"manifests":[],"x":[' + b"[]," * 4_000_000 + b"[]]}")
        before = worker.peak_rss()
        assert worker.call("GET", "/v2/a/tags/list").status_code == 500
        assert worker.peak_rss() - before < 12 * 18 + 64
        assert worker.call("GET", "/v2/b/tags/list").status_code == 200


PROXIED = {"ZOT_TRUSTED_PROXIES": "127.0.0.1"}
MIB = 1024 * 1024


def start(worker, client, name="a"):
    return worker.call("POST", f"/v2/{name}/blobs/uploads/", headers={"X-Forwarded-For": client})


def patch(worker, location, size):
    return worker.call("PATCH", location, data=b"x" * size)


def expect_too_many(reply):
    assert reply.status_code == 429, reply.text
    assert int(reply.headers["Retry-After"]) > 0
    assert reply.json()["errors"][0]["code"] == "TOOMANYREQUESTS"


def test_one_client_s_sessions_are_bounded_and_others_go_on():
    with Worker(ZOT_UPLOADS_PER_CLIENT=20, **PROXIED) as worker:
        locations = [start(worker, "10.0.0.1").headers["Location"] for _ in range(20)]
        expect_too_many(start(worker, "10.0.0.1"))
        assert start(worker, "10.0.0.2").status_code == 202
        assert worker.call("DELETE", locations[0]).status_code == 204
        assert start(worker, "10.0.0.1").status_code == 202
        assert worker.counter("uploads_refused_total") == 1
        assert worker.counter("uploads_open") == worker.counter("uploads_empty") == 21
        assert worker.counter("uploads_clients") == 2
        assert "\nuploads: ok, 21 open\n" in worker.call("GET", "/readyz").text


def test_sessions_of_a_client_behind_another_worker_are_its_own():
    """Each has a storage of its own, so the owner of the repository opens the session, for the client that the other one names."""
    ports = [free_port(), free_port()]
    cluster = {"ZOT_CLUSTER_MEMBERS": ",".join(f"127.0.0.1:{port}" for port in ports), "ZOT_CLUSTER_HASH_KEY": "0123456789abcdef",
               "ZOT_CLUSTER_ISOLATED": "true", "ZOT_UPLOADS_PER_CLIENT": 3}
    with Worker(port=ports[0], **cluster, **PROXIED) as near, Worker(port=ports[1], **cluster) as far:
        def fill():
            replies = {f"r{i}": start(near, "10.0.0.1", f"r{i}") for i in range(24)}
            assert {reply.status_code for reply in replies.values()} == {202, 429}, [reply.text for reply in replies.values()]
            return replies
        replies = fill()
        assert far.counter("uploads_open") == near.counter("uploads_open") == 3
        assert far.counter("uploads_refused_total") > 0
        for name, reply in replies.items():
            if reply.status_code == 429:
                expect_too_many(reply)
        assert start(near, "10.0.0.2", "r0").status_code == 202
        assert far.counter("uploads_clients") + near.counter("uploads_clients") == 3


def test_one_client_s_half_uploads_leave_room_in_the_spool():
    with Worker(ZOT_SPOOL_LIMIT=16 * MIB, ZOT_SPOOL_SHARE=50, **PROXIED) as worker:
        # One that can never fit is not told to come again.
        whole = start(worker, "10.0.0.1").headers["Location"]
        reply = patch(worker, whole, 9 * MIB)
        assert reply.status_code == 507 and "share of the spool" in reply.text
        first, second = (start(worker, "10.0.0.1").headers["Location"] for _ in range(2))
        assert patch(worker, first, 5 * MIB).status_code == 202
        expect_too_many(patch(worker, second, 5 * MIB))
        other = start(worker, "10.0.0.2").headers["Location"]
        assert patch(worker, other, 7 * MIB).status_code == 202
        assert worker.call("DELETE", first).status_code == 204
        again = start(worker, "10.0.0.1").headers["Location"]
        data = b"y" * (6 * MIB)
        assert worker.call("PUT", again, params={"digest": digest(data)}, data=data).status_code == 201
        assert worker.counter("spool_bytes") == 7 * MIB
