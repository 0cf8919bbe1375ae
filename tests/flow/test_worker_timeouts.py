# SPDX-License-Identifier: Apache-2.0
"""http.readTimeout and http.writeTimeout: they end what stands still, not what is slow."""
import socket
import time

from worker_process import Worker, await_true, digest


def connect(worker, buffer=None):
    one = socket.socket()
    if buffer:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    one.connect(("127.0.0.1", worker.port))
    one.settimeout(30)
    return one


def is_ended(one):
    """Waits for the end; what came before it."""
    seen = b""
    try:
        while data := one.recv(65536):
            seen += data
    except ConnectionResetError:
        pass
    return seen


def begin_patch(worker, length):
    path = worker.start_upload("a/b")[len(worker.url):]
    one = connect(worker)
    one.sendall(f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
    return one


def test_a_body_that_stands_still_is_ended_and_a_slow_one_is_not(tmp_path):
    with Worker(tmp_path, config={"http": {"readTimeout": "1s"}}) as worker:
        slow, still = begin_patch(worker, 20), begin_patch(worker, 20)
        still.sendall(b"half")
        begun = time.monotonic()
        for _ in range(20):  # three times the limit in all
            slow.sendall(b"x")
            time.sleep(0.15)  # the pace is what is tested
        assert b" 202 " in slow.recv(65536)
        assert b" 202 " not in is_ended(still)
        assert time.monotonic() - begun < 20
        # A head has this time as a whole.
        head = connect(worker)
        head.sendall(b"GET /v2/ HTTP/1.1\r\n")
        assert is_ended(head) == b""


def test_a_client_that_does_not_read_is_disconnected(tmp_path):
    data = bytes(64 * 1024 * 1024)
    with Worker(tmp_path, config={"http": {"writeTimeout": "1s", "readTimeout": "1h"}}) as worker:
        worker.push_blob("a/b", data)
        one = connect(worker, 4096)
        one.sendall(f"GET /v2/a/b/blobs/{digest(data)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await_true(lambda: '"method":"GET","path":"/v2/a/b/blobs/' in worker.text(), what="the end of the request")
        assert len(is_ended(one)) < len(data)
