# SPDX-License-Identifier: Apache-2.0
"""Conditions, ranges and lists in headers: what a pull may ask for beyond the whole content."""
import http.client

import pytest

from worker_process import MANIFEST, digest

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
    absent, _ = raw(worker, method, f"/v2/lib/app/{kind}/{digest(b'absent')}", lines)
    assert absent.status == 404
