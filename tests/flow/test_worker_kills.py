# SPDX-License-Identifier: Apache-2.0
"""kill -9 under push load, many times, also while logs are folded: what was acknowledged is there and right."""
import contextlib
import json
import os
import random
import threading

import requests

from worker_process import MANIFEST, Worker, await_true, digest, image

ROUNDS = 200
REPOSITORIES = 3


class Pusher(threading.Thread):
    """Pushes into one repository, over the worker's restarts; what was acknowledged is kept."""

    def __init__(self, worker, number):
        super().__init__()
        self.worker, self.number, self.halt = worker, number, threading.Event()
        self.tags, self.blobs, self.lock = {}, {}, threading.Lock()
        self.session = requests.Session()

    def run(self):
        n = 0
        while not self.halt.is_set():
            n += 1
            try:
                with self.lock:
                    self.push(n)
                self.halt.wait(0.02)
            except requests.RequestException:
                self.halt.wait(0.01)

    def push(self, n):
        name, url = f"kill/app{self.number % REPOSITORIES}", self.worker.url
        tag = f"p{self.number}-{n}" if n % 5 else f"p{self.number}-moving"
        layer = os.urandom(200 if n % 20 else 700_000)
        reply = self.session.post(f"{url}/v2/{name}/blobs/uploads/?digest={digest(layer)}", data=layer, timeout=30)
        if reply.status_code != 201:
            return
        self.blobs[digest(layer)] = (name, layer)
        body = image(layer)
        # While it is not answered, either of the two may be there.
        before = self.tags.get((name, tag), [None])
        self.tags[name, tag] = [before[0], body]
        reply = self.session.put(f"{url}/v2/{name}/manifests/{tag}", data=body, headers={"Content-Type": MANIFEST}, timeout=30)
        if reply.status_code == 201:
            self.tags[name, tag] = [body]


def check(worker, pushers, some=None):
    """All of it, or a sample while there is more to come; each pusher rests while its own is looked at."""
    def sample(items):
        return random.sample(list(items), min(some or len(items), len(items)))

    session = requests.Session()
    for pusher in pushers:
        with pusher.lock:
            for (name, tag), allowed in sample(pusher.tags.items()):
                reply = session.get(f"{worker.url}/v2/{name}/manifests/{tag}", timeout=30)
                found = reply.content if reply.status_code == 200 else None
                assert found in allowed, (name, tag, reply.status_code, [a and digest(a) for a in allowed])
            for of, (name, layer) in sample(pusher.blobs.items()):
                assert session.get(f"{worker.url}/v2/{name}/blobs/{of}", timeout=30).content == layer


@contextlib.contextmanager
def pushing(worker, n):
    pushers = [Pusher(worker, i) for i in range(n)]
    for pusher in pushers:
        pusher.start()
    try:
        yield pushers
    finally:
        for pusher in pushers:
            pusher.halt.set()
        for pusher in pushers:
            pusher.join()


def test_two_hundred_kills():
    random.seed(1)
    worker = Worker(ZOT_LOG_LEVEL="warn", ZOT_INDEX_LOG="8192")  # a fold every few pushes
    with worker:
        with pushing(worker, 6) as pushers:
            for n in range(ROUNDS):
                # Any moment is as good as another: nothing is waited for but time.
                threading.Event().wait(random.uniform(0.01, 0.15))
                worker.kill()
                for r in range(REPOSITORIES):
                    index = worker.folder / f"store/kill/app{r}/index.json"
                    if index.exists():
                        json.loads(index.read_text())
                worker.start()
                check(worker, pushers, 3)
        check(worker, pushers)
        await_true(lambda: not list(worker.folder.glob("store/**/.tmp-*")), what="the end of all temp files of killed ones")
        print(f"{ROUNDS} kills, {sum(len(p.tags) for p in pushers)} tags and {sum(len(p.blobs) for p in pushers)} blobs found")
        assert sum(len(p.tags) for p in pushers) > ROUNDS
        worker.stop()
        for r in range(REPOSITORIES):
            assert not (worker.folder / f"store/kill/app{r}/index.log").exists()
        worker.start()
        check(worker, pushers)
