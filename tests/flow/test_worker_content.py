# SPDX-License-Identifier: Apache-2.0
"""What a client's content can cost: memory for JSON."""
import concurrent.futures
import json
import re

import pytest

from worker_process import MANIFEST, Worker, await_true, digest

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
def test_a_tree_of_many_values_is_refused_and_costs_little(worker, part):
    before = worker.peak_rss()
    with concurrent.futures.ThreadPoolExecutor(8) as many_clients:
        for reply in many_clients.map(lambda _: put(worker, many(part)), range(16)):
            assert reply.status_code == 413, reply.text
            assert "do not fit into 32768 KiB" in reply.text and "MANIFEST_INVALID" in reply.text
    # 8 bodies of 4 MiB with what holds them, and the budget of all trees.
    assert worker.peak_rss() - before < 128 + 8 * 16
    await_true(lambda: rss(worker) - before < 8 * 16)


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
