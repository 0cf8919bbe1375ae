# SPDX-License-Identifier: Apache-2.0
"""Large bodies, slow and vanishing clients, a stop in the middle: memory stays flat and nothing is lost."""
import contextlib
import hashlib
import os
import socket
import threading
import time

import pytest

from worker_process import Worker, await_true, digest

GIB = 1024 * 1024 * 1024
PIECE = 1024 * 1024


def pieces(total):
    block = os.urandom(PIECE)
    for i in range(total // PIECE):
        yield i.to_bytes(8, "big") + block[8:]


def sanitized():
    return "asan" in os.environ.get("ZOT_BUILD", "asan") or "tsan" in os.environ.get("ZOT_BUILD", "")


@pytest.fixture(scope="module")
def gigabyte(tmp_path_factory):
    """A file of 1 GiB and its digest."""
    path = tmp_path_factory.mktemp("big") / "blob"
    hasher = hashlib.sha256()
    with open(path, "wb") as file:
        for piece in pieces(GIB):
            hasher.update(piece)
            file.write(piece)
    return path, "sha256:" + hasher.hexdigest()


def limit():
    # Sanitizers keep freed memory in quarantine; the bound is the product's, on a plain build.
    return 64 if sanitized() else 2


def test_a_push_and_a_slow_pull_of_a_gigabyte_keep_memory_flat(worker, gigabyte):
    path, name = gigabyte
    worker.push("lib/warm", "v1", layer=os.urandom(4 * PIECE))
    before = worker.peak_rss()
    with open(path, "rb") as file:
        reply = worker.call("PUT", worker.start_upload("lib/big"), params={"digest": name}, data=file)
    assert reply.status_code == 201, reply.text
    pushed = worker.peak_rss()
    # Two slices of 1 MiB are under way for an upload, and no more.
    assert pushed - before < limit() + 4, f"{before:.1f} -> {pushed:.1f} MiB"
    hasher = hashlib.sha256()
    with worker.session.get(f"{worker.url}/v2/lib/big/blobs/{name}", stream=True) as reply:
        for i, piece in enumerate(reply.iter_content(PIECE)):
            hasher.update(piece)
            if i % 64 == 0:
                time.sleep(0.02)  # a client that is slower than the server, not a wait for something
    assert "sha256:" + hasher.hexdigest() == name
    assert worker.peak_rss() - pushed < limit(), f"{pushed:.1f} -> {worker.peak_rss():.1f} MiB"
    print(f"peak RSS {before:.1f} MiB, after a push of 1 GiB {pushed:.1f}, after a pull {worker.peak_rss():.1f}")


def raw(worker, head):
    s = socket.create_connection(("127.0.0.1", worker.port))
    s.sendall(head.encode())
    return s


def test_a_client_that_vanishes_in_a_push_leaves_the_upload_alive(worker):
    where = worker.start_upload("lib/app")
    path = where[len(worker.url):]
    s = raw(worker, f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n")
    s.sendall(b"a" * 3000000)
    await_true(lambda: worker.counter("received_bytes_total") >= 0 and worker.call("GET", where).headers.get("Range", "0-0") != "0-0"
               or worker.call("GET", where).status_code != 204, what="the first bytes")
    s.close()

    def stored():
        reply = worker.call("GET", where)
        return reply if reply.status_code == 204 and reply.headers["Range"] == "0-2999999" else None

    await_true(stored, what="an upload with the bytes that arrived")

    def finished():
        # The PATCH of the client that left may be at its end a moment after its bytes are.
        reply = worker.call("PUT", where, params={"digest": digest(b"a" * 3000000)})
        assert reply.status_code == 201 or (reply.status_code == 503 and reply.headers["Retry-After"]), reply.text
        return reply.status_code == 201

    await_true(finished, what="the end of the PATCH")


def test_two_requests_on_one_upload(worker):
    """The second is told to come again: what it finds then tells it where to go on."""
    where = worker.start_upload("lib/app")
    s = raw(worker, f"PATCH {where[len(worker.url):]} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
    s.sendall(b"01234")

    # The second one is the one that asks.
    await_true(lambda: worker.counter("open_requests") == 2, what="the first one at work")
    reply = worker.call("PUT", where, params={"digest": digest(b"0123456789")})
    assert reply.status_code == 503, reply.text
    assert reply.headers["Retry-After"] == "1" and reply.json()["errors"][0]["code"] == "BLOB_UPLOAD_INVALID"
    s.sendall(b"56789")
    assert s.recv(1000).startswith(b"HTTP/1.1 202")
    assert worker.call("PUT", where, params={"digest": digest(b"0123456789")}).status_code == 201


def test_a_client_that_vanishes_in_a_pull_is_forgotten(worker):
    name = worker.push_blob("lib/app", os.urandom(64 * PIECE))
    s = raw(worker, f"GET /v2/lib/app/blobs/{name} HTTP/1.1\r\nHost: x\r\n\r\n")
    assert s.recv(1000).startswith(b"HTTP/1.1 200")
    s.close()
    # The first figure has its own request, and so has the second one when that request is over.
    await_true(lambda: worker.counter("http_begun_total") == worker.counter("http_ended_total"), what="the end of the request")


def test_an_orderly_stop_ends_what_is_under_way(worker):
    name = worker.push_blob("lib/app", os.urandom(32 * PIECE))
    s = raw(worker, f"GET /v2/lib/app/blobs/{name} HTTP/1.1\r\nHost: x\r\n\r\n")
    got = s.recv(100)
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    with contextlib.suppress(ConnectionError):
        while piece := s.recv(PIECE):
            got += piece
    stopper.join()
    body = got.split(b"\r\n\r\n", 1)[1]
    assert digest(body) == name
    assert worker.process.returncode == 0


def test_a_full_spool_refuses_that_upload_only():
    with Worker(ZOT_SPOOL_LIMIT=2 * PIECE) as worker:
        reply = worker.call("PUT", worker.start_upload("lib/app"), params={"digest": digest(b"")}, data=b"x" * 5 * PIECE)
        assert reply.status_code == 507, reply.text
        worker.push("lib/app", "v1")


def test_many_requests_on_one_connection_leave_no_memory(worker):
    worker.push("lib/app", "v1")
    for _ in range(200):
        worker.call("GET", "/v2/lib/app/manifests/v1")
    before = worker.peak_rss()
    for _ in range(2000):
        assert worker.call("GET", "/v2/lib/app/manifests/v1").status_code == 200
    assert worker.peak_rss() - before < (32 if sanitized() else 1)
