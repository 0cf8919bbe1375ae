# SPDX-License-Identifier: Apache-2.0
"""The S3 server is away: each request gets its answer within ten seconds, says nothing of what is inside, and the log says it all."""
import concurrent.futures
import contextlib
import re
import signal
import socket
import threading
import time

import pytest
import requests

from s3_faults import Faults
from s3_memory import Memory
from worker_process import MANIFEST, Worker, await_true, digest, image

LAYER = b"layer" * 1000
WITHIN_S = 10


class Door:
    """What a worker takes for its S3 server: open, closed (refuses connections), or a hole (takes them and never answers)."""

    def __init__(self, behind):
        self.behind, self.kept, self.state = behind, set(), "open"
        self.lock = threading.Lock()
        self.listener, self.port = None, 0
        self.listen()

    def listen(self):
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self.listener = listener
        threading.Thread(target=self.accept, args=[listener], daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            with self.lock:
                self.kept.add(client)
                if self.state == "open":
                    server = socket.create_connection(("127.0.0.1", self.behind))
                    self.kept.add(server)
                    for a, b in ((client, server), (server, client)):
                        threading.Thread(target=self.carry, args=[a, b], daemon=True).start()

    def carry(self, a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for one in (a, b):
            self.drop(one)

    @staticmethod
    def drop(one):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def turn(self, state):
        with self.lock:
            before, self.state = self.state, state
            for one in self.kept:
                self.drop(one)
            self.kept.clear()
        if state == "closed":
            self.drop(self.listener)
            self.listener.close()
        elif before == "closed":
            self.listen()


@pytest.fixture
def door():
    memory = Memory(delay_s=0)
    with Faults(memory) as server:
        door = Door(int(server.endpoint.rpartition(":")[2]))
        door.memory = memory
        yield door
        door.turn("closed")


@pytest.fixture
def worker(door):
    # Nothing is kept in memory for long, and each request asks the store.
    with Worker(**door.memory.environment(f"http://127.0.0.1:{door.port}"), ZOT_INDEX_CACHE="1MiB", ZOT_MANIFEST_CACHE="1MiB") as worker:
        worker.push("a/b", "v1", LAYER)
        yield worker


def forget(worker):
    """It starts anew with the store there, and has read nothing yet."""
    worker.stop()
    worker.start()


# Each is (name, what it does, the statuses that it may have while the store is away).
def requests_of(worker):
    body = image(LAYER)
    upload = worker.start_upload("a/b")

    def ask(method, path, **more):
        return requests.request(method, path if "://" in path else worker.url + path, timeout=60, **more)

    return [
        ("manifest", lambda: ask("GET", "/v2/a/b/manifests/v1"), {503}),
        ("manifest of another", lambda: ask("GET", "/v2/never/seen/manifests/v1"), {503}),
        ("HEAD of a manifest", lambda: ask("HEAD", "/v2/a/b/manifests/v1"), {503}),
        ("blob", lambda: ask("GET", f"/v2/a/b/blobs/{digest(LAYER)}"), {503}),
        ("two parts of a blob", lambda: ask("GET", f"/v2/a/b/blobs/{digest(LAYER)}", headers={"Range": "bytes=0-1,5-6"}), {503}),
        ("HEAD of a blob", lambda: ask("HEAD", f"/v2/a/b/blobs/{digest(LAYER)}"), {503}),
        ("start of a push", lambda: ask("POST", "/v2/a/b/blobs/uploads/"), {202}),
        ("PATCH", lambda: ask("PATCH", upload, data=b"bytes"), {202}),
        ("manifest PUT", lambda: ask("PUT", "/v2/a/b/manifests/v2", data=body, headers={"Content-Type": MANIFEST}), {503}),
        ("deletion", lambda: ask("DELETE", "/v2/a/b/manifests/v1"), {503}),
        ("tags", lambda: ask("GET", "/v2/a/b/tags/list"), {503}),
        ("referrers", lambda: ask("GET", f"/v2/a/b/referrers/{digest(body)}"), {503}),
        ("catalog", lambda: ask("GET", "/v2/_catalog"), {503}),
        ("base", lambda: ask("GET", "/v2/"), {200}),
    ]


def check(what, reply, statuses, door):
    assert reply.status_code in statuses, (what, reply.status_code, reply.text)
    if reply.status_code != 503:
        return
    assert int(reply.headers["Retry-After"]) > 0, what
    for secret in (str(door.port), "127.0.0.1", door.memory.bucket + "/", "S3", "_catalog", "index.json", "http:"):
        assert secret not in reply.text, (what, reply.text)
    if reply.request.method != "HEAD":
        assert reply.json()["errors"][0]["code"] == "UNAVAILABLE", (what, reply.text)


@pytest.mark.parametrize("state", ["closed", "hole"])
def test_each_request_is_answered_in_time(worker, door, state):
    forget(worker)
    asked = requests_of(worker)
    door.turn(state)
    answers, threads = {}, []

    def ask(what, call):
        begun = time.monotonic()
        answers[what] = (call(), time.monotonic() - begun)

    for what, call, _ in asked:
        threads.append(threading.Thread(target=ask, args=[what, call]))
        threads[-1].start()
    for thread in threads:
        thread.join()
    late = {what: seconds for what, (_, seconds) in answers.items() if seconds > WITHIN_S}
    assert len(answers) == len(asked) and not late, late
    for what, _, statuses in asked:
        check(what, answers[what][0], statuses, door)
    # The log has what the client has not.
    await_true(lambda: worker.call("GET", "/v2/a/b/tags/list").status_code == 503 and '"s3.away"' in worker.text(), what="a word of it in the log")
    away = next(line for line in worker.text().splitlines() if '"s3.away"' in line)
    assert f"127.0.0.1:{door.port}" in away and '"error"' in away
    assert re.search(rf'"request.failed".*S3 .*127.0.0.1:{door.port}', worker.text())
    await_true(lambda: "\nstorage: ok" not in worker.call("GET", "/readyz").text, what="not ready")
    door.turn("open")
    await_true(lambda: worker.call("GET", "/v2/a/b/manifests/v1").status_code == 200, 60, "the store is back")
    assert '"s3.back"' in worker.text()
    assert worker.push("a/b", "v3", LAYER) == image(LAYER)
    assert worker.call("GET", f"/v2/a/b/blobs/{digest(LAYER)}").content == LAYER


def test_many_who_ask_a_hole_do_not_hold_each_other_up(worker, door):
    """More than there are threads: nobody waits for another's timeout."""
    forget(worker)
    door.turn("hole")
    times = []

    def ask(i):
        begun = time.monotonic()
        reply = requests.get(f"{worker.url}/v2/many/n{i}/tags/list", timeout=120)
        times.append((reply.status_code, time.monotonic() - begun))

    threads = [threading.Thread(target=ask, args=[i]) for i in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in times} == {503} and max(seconds for _, seconds in times) < WITHIN_S, max(times)
    assert '"s3.away"' in worker.text()
    # Some at a time ask the store and wait for it; the others do not.
    times.clear()
    threads = [threading.Thread(target=ask, args=[i]) for i in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in times} == {503} and sorted(seconds for _, seconds in times)[20] < 3, times
    door.turn("open")
    assert requests.get(f"{worker.url}/v2/a/b/tags/list", timeout=60).status_code == 200


@pytest.mark.parametrize("signals", [1, 2])
def test_an_end_while_requests_wait_for_a_hole(worker, door, signals):
    """Orderly, and in a hurry: what still asks the store is waited for, and nothing it needs is gone."""
    forget(worker)
    door.turn("hole")

    def ask(i):
        # Who came too late was not let in; who is cut by the second signal hears nothing.
        with contextlib.suppress(requests.ConnectionError):
            assert requests.get(f"{worker.url}/v2/many/n{i}/tags/list", timeout=120).status_code == 503

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        asked = [pool.submit(ask, i) for i in range(50)]
        await_true(lambda: waiting(worker) >= 10, what="requests that wait")
        for _ in range(signals):
            worker.process.send_signal(signal.SIGTERM)
            await_true(lambda: '"worker.draining"' in worker.text().rpartition('"worker.ready"')[2], what="the end begins")
        assert worker.process.wait(60) == 0, worker.text()[-3000:]
        for one in asked:
            one.result()


def waiting(worker):
    return worker.counter("open_requests")
