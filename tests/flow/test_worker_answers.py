# SPDX-License-Identifier: Apache-2.0
"""Conditions, ranges and lists in headers: what a pull may ask for beyond the whole content."""
import contextlib
import email
import email.policy
import http.client
import json
import os
import re
import socket

import pytest

from worker_process import CLUSTER_SECRET, MANIFEST, Worker, await_true, digest, free_port, image

CONTENT = bytes(range(256)) * 40


def raw(worker, method, path, lines):
    """One request with exactly these header lines; requests would make one of two."""
    connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=60)
    connection.putrequest(method, path)
    for name, value in lines:
        connection.putheader(name, value)
    connection.endheaders()
    reply = connection.getresponse()
    body = reply.read()
    connection.close()
    return reply, body


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("kind", ["blobs", "manifests"])
@pytest.mark.parametrize("lines,status", [
    ([("If-None-Match", "@")], 304), ([("If-None-Match", "W/@")], 304), ([("If-None-Match", "*")], 304),
    ([("If-None-Match", '"x"'), ("If-None-Match", '"y", @')], 304), ([("If-None-Match", '"x"')], 200),
    ([("If-Match", "@")], 200), ([("If-Match", '"x"'), ("If-Match", "@")], 200), ([("If-Match", "*")], 200),
    ([("If-Match", "W/@")], 412), ([("If-Match", '"x"')], 412), ([("If-Match", '"x"'), ("If-None-Match", "@")], 412),
    ([("If-Modified-Since", "Sat, 29 Oct 2094 19:43:31 GMT")], 200)])
def test_conditions(worker, method, kind, lines, status):
    manifest = worker.push("lib/app", "v1", layer=CONTENT)
    content, reference = (CONTENT, digest(CONTENT)) if kind == "blobs" else (manifest, "v1")
    tag = f'"{digest(content)}"'
    reply, body = raw(worker, method, f"/v2/lib/app/{kind}/{reference}", [(name, value.replace("@", tag)) for name, value in lines])
    assert reply.status == status
    assert reply.headers["ETag"] == tag and reply.headers["Docker-Content-Digest"] == digest(content)
    assert body == content if status == 200 and method == "GET" else status == 412 or body == b""
    if status == 412 and method == "GET":
        assert json.loads(body)["errors"][0]["code"] == "UNSUPPORTED"
    absent, _ = raw(worker, method, f"/v2/lib/app/{kind}/{digest(b'absent')}", lines)
    assert absent.status == 404


def parts_of(reply):
    """(first, last, size, bytes) of each part; the library's parser is another one than ours."""
    head = f"Content-Type: {reply.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + reply.content, policy=email.policy.HTTP)
    assert message.get_content_type() == "multipart/byteranges" and not message.defects
    found = []
    for part in message.iter_parts():
        assert part.get_content_type() == "application/octet-stream"
        found.append(tuple(int(n) for n in re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", part["Content-Range"]).groups()) + (part.get_payload(decode=True),))
    return found


@pytest.mark.parametrize("ranges,wanted", [
    ("0-0,-1", [(0, 0), (10239, 10239)]), ("500-600,100-200", [(100, 200), (500, 600)]), ("0-9,5-19,30-39", [(0, 19), (30, 39)]),
    ("10000-99999,0-0", [(0, 0), (10000, 10239)]), ("0-1,20000-,7-3,4-5", [(0, 1), (4, 5)]),
    (",".join(f"{2 * n}-{2 * n}" for n in range(16)), [(2 * n, 2 * n) for n in range(16)])])
def test_several_ranges(worker, ranges, wanted):
    path = f"/v2/lib/app/blobs/{worker.push_blob('lib/app', CONTENT)}"
    reply = worker.call("GET", path, headers={"Range": f"bytes={ranges}"})
    assert reply.status_code == 206 and "Content-Range" not in reply.headers
    assert int(reply.headers["Content-Length"]) == len(reply.content) < len(CONTENT) + 17 * 256
    assert parts_of(reply) == [(a, b, len(CONTENT), CONTENT[a:b + 1]) for a, b in wanted]
    assert reply.headers["Docker-Content-Digest"] == digest(CONTENT)
    # Each answer has a boundary of its own, and a HEAD has none.
    again = worker.call("GET", path, headers={"Range": f"bytes={ranges}"})
    assert again.headers["Content-Type"] != reply.headers["Content-Type"]
    head = worker.call("HEAD", path, headers={"Range": f"bytes={ranges}"})
    assert head.status_code == 200 and head.headers["Content-Length"] == str(len(CONTENT))


@pytest.mark.parametrize("ranges,status", [
    ("0-9,10-19", 206), ("20000-,30000-", 416), ("9-0,-0", 416), (",".join(f"{2 * n}-{2 * n}" for n in range(17)), 416),
    ("0-1,x-y", 200), ("0-1;2-3", 200)])
def test_several_ranges_that_are_not_parts(worker, ranges, status):
    name = worker.push_blob("lib/app", CONTENT)
    reply = worker.call("GET", f"/v2/lib/app/blobs/{name}", headers={"Range": f"bytes={ranges}"})
    assert reply.status_code == status
    if status == 206:
        assert reply.headers["Content-Range"] == f"bytes 0-19/{len(CONTENT)}" and reply.content == CONTENT[:20]
    elif status == 416:
        assert reply.headers["Content-Range"] == f"bytes */{len(CONTENT)}" and reply.content == b""
    else:
        assert reply.content == CONTENT


@pytest.mark.parametrize("lines,status", [
    ([("If-Range", "@")], 206), ([("If-Range", "W/@")], 200), ([("If-Range", '"x"')], 200), ([("If-Range", "@"), ("If-Range", "@")], 200),
    ([("If-Range", "Sat, 29 Oct 2094 19:43:31 GMT")], 200), ([("Range", "bytes=5-6")], 200), ([("Range", "5-6")], 200), ([("If-None-Match", "@")], 304),
    ([("If-Match", '"x"')], 412)])
def test_conditions_beside_a_range(worker, lines, status):
    name = worker.push_blob("lib/app", CONTENT)
    lines = [(key, value.replace("@", f'"{name}"')) for key, value in lines]
    reply, body = raw(worker, "GET", f"/v2/lib/app/blobs/{name}", [("Range", "bytes=1-2")] + lines)
    assert reply.status == status
    assert body == {206: CONTENT[1:3], 200: CONTENT, 304: b""}.get(status, body)


def test_large_parts_do_not_stay_in_memory(worker):
    data = os.urandom(1024 * 1024) * 64
    path = f"/v2/lib/app/blobs/{worker.push_blob('lib/app', data)}"
    middle = len(data) // 2
    wanted = [(0, middle - 2), (middle, len(data) - 1)]
    before = worker.peak_rss()
    reply = worker.call("GET", path, headers={"Range": "bytes=" + ",".join(f"{a}-{b}" for a, b in wanted)})
    assert [part[:3] for part in parts_of(reply)] == [(a, b, len(data)) for a, b in wanted]
    assert digest(b"".join(part[3] for part in parts_of(reply))) == digest(data[:middle - 1] + data[middle:])
    assert worker.peak_rss() - before < 8
    # A client that leaves in the middle leaves nothing behind.
    with socket.create_connection(("127.0.0.1", worker.port)) as one:
        one.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-{middle},{middle + 2}-\r\n\r\n".encode())
        assert one.recv(65536).startswith(b"HTTP/1.1 206")
    await_true(lambda: worker.counter("http_begun_total") == worker.counter("http_ended_total"), what="the end of the request")


def test_extensions_are_discovered(worker):
    assert worker.call("GET", "/v2/lib/app/_oci/ext/discover").status_code == 404
    worker.push("lib/app", "v1")
    for path in ("/v2/_oci/ext/discover", "/v2/lib/app/_oci/ext/discover"):
        reply = worker.call("GET", path)
        assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/json"
        one, = reply.json()["extensions"]
        assert one["name"] == "_oci" and one["url"].startswith("https://") and one["endpoints"] == [path]
        assert worker.call("GET", one["endpoints"][0]).json() == reply.json()


def put(worker, reference, body, kind=MANIFEST):
    reply = worker.call("PUT", f"/v2/lib/app/manifests/{reference}", data=body, headers={"Content-Type": kind})
    assert reply.status_code == 201, reply.text
    return reply


def test_a_sparse_image_gets_a_warning(worker):
    whole = worker.push("lib/app", "v1")
    assert "Warning" not in put(worker, "v1", whole).headers
    warning = put(worker, "v2", image(b"never pushed")).headers["Warning"]
    assert re.fullmatch(r'299 - "[^"\\]+"', warning) and digest(b"never pushed") in warning and len(warning) < 4096
    foreign = json.loads(image(b"elsewhere"))
    foreign["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar"
    assert "Warning" not in put(worker, "v3", json.dumps(foreign)).headers
    kind = "application/vnd.oci.image.index.v1+json"
    member = {"mediaType": MANIFEST, "digest": digest(whole), "size": len(whole)}
    index = {"schemaVersion": 2, "mediaType": kind, "manifests": [member]}
    assert "Warning" not in put(worker, "all", json.dumps(index), kind).headers
    index["manifests"].append({**member, "digest": digest(b"no member")})
    assert digest(b"no member") in put(worker, "some", json.dumps(index), kind).headers["Warning"]


def test_answers_come_whole_through_a_peer(tmp_path):
    """Each member has a storage of its own, so every question about a repository goes to its owner."""
    ports = [free_port(), free_port()]
    with contextlib.ExitStack() as stack:
        workers = []
        for port in ports:
            (tmp_path / str(port)).mkdir()
            cluster = {"members": [f"127.0.0.1:{port}" for port in ports], "hashKey": "loremipsumdolors", "secret": CLUSTER_SECRET,
                       "isolated": True}
            workers.append(stack.enter_context(Worker(tmp_path / str(port), port=port, config={"cluster": cluster})))
        content = CONTENT * 64
        path = f"/v2/lib/app/blobs/{workers[0].push_blob('lib/app', content)}"
        wanted = [(0, 9), (1000, 500000)]
        for worker in workers:
            reply = worker.call("GET", path, headers={"Range": "bytes=1000-500000,0-9"})
            assert parts_of(reply) == [(a, b, len(content), content[a:b + 1]) for a, b in wanted]
            assert reply.status_code == 206 and int(reply.headers["Content-Length"]) == len(reply.content)
            beyond = worker.call("GET", path, headers={"Range": "bytes=999999999-"})
            assert beyond.status_code == 416 and beyond.headers["Content-Range"] == f"bytes */{len(content)}"
            tag = f'"{digest(content)}"'
            unchanged, body = raw(worker, "GET", path, [("If-None-Match", '"x"'), ("If-None-Match", tag)])
            assert unchanged.status == 304 and unchanged.headers["ETag"] == tag and body == b""
            assert worker.call("GET", path, headers={"If-Match": '"x"'}).status_code == 412
            assert put(worker, "sparse", image(b"never pushed")).headers["Warning"].startswith('299 - "')
            assert worker.call("GET", "/v2/lib/app/_oci/ext/discover").json()["extensions"]
        assert sorted(worker.counter("proxied_total") > 0 for worker in workers) == [False, True]


def test_pages_that_balancers_ask_for_are_no_news():
    """Each of them once a second would be most of a log."""
    with Worker(ZOT_LOG_LEVEL="info") as worker:
        for page in ("/livez", "/readyz", "/startupz", "/metrics"):
            assert worker.call("GET", page).status_code == 200
        assert worker.call("GET", "/readyz?exclude=nothing").status_code == 400
        assert worker.call("GET", "/v2/").status_code == 200
        lines = await_true(lambda: [json.loads(line) for line in worker.text().splitlines() if '"path":"/v2/"' in line] and
                           [json.loads(line) for line in worker.text().splitlines() if '"message":"request"' in line])
        assert [(line["path"], line["status"]) for line in lines] == [("/readyz", 400), ("/v2/", 200)]
