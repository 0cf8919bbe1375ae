# SPDX-License-Identifier: Apache-2.0
"""Workers under a leader with a bucket each, that no other one reads: one joins, one is evacuated, one is killed in the middle."""
import contextlib
import time

import requests

import test_moves
from registry import MANIFEST, await_true, digest
from s3_faults import Faults
from s3_memory import Memory

NAMES = [f"team{i % 3}/app{i}" for i in range(24)]


class Buckets(test_moves.Isolated):
    def __init__(self, workers, **more):
        self.buckets = {}
        super().__init__(workers, **more)

    def open_store(self):
        return {}

    def worker(self, name, **more):
        bucket = Memory()
        server = self.ends.enter_context(Faults(bucket))
        process = super().worker(name, **bucket.environment(server.endpoint), **more)
        del process.environment["ZOT_STORAGE_ROOT"]
        self.buckets[name] = bucket
        return process

    def with_index(self, name):
        return [worker for worker, bucket in self.buckets.items() if f"{name}/index.json" in bucket.objects]

    def objects_of(self, name):
        """What a bucket has of it: in which, and how many."""
        return {worker: sum(key.startswith(f"{name}/") for key in bucket.objects) for worker, bucket in self.buckets.items()
                if any(key.startswith(f"{name}/") for key in bucket.objects)}


def get(worker, path):
    """As a client does it: 503 is asked again, and so is a connection that is cut."""
    end = time.monotonic() + 40
    while True:
        with contextlib.suppress(requests.ConnectionError):
            reply = worker.call("GET", path)
            if reply.status_code != 503:
                return reply
        assert time.monotonic() < end, path
        time.sleep(0.05)


def check(cluster, pushed):
    for at, (name, (body, layer)) in enumerate(sorted(pushed.items())):
        worker = cluster.workers[at % len(cluster.workers)]
        reply = get(worker, f"/v2/{name}/manifests/v1")
        assert reply.content == body and reply.headers["Content-Type"] == MANIFEST
        assert get(worker, f"/v2/{name}/blobs/{digest(layer)}").content == layer
        assert get(worker, f"/v2/{name}/tags/list").json()["tags"] == ["v1"]
        assert get(worker, f"/v2/{name}/blobs/{digest(b'deleted')}").status_code == 404
    for worker in cluster.workers:
        await_true(lambda: lists_all(worker, pushed), 20, f"{worker.name} to list all")


def lists_all(worker, pushed):
    """Who has just left is asked for a moment by those who have not heard of it: then it is named."""
    reply = get(worker, "/v2/_catalog")
    whole = reply.json()["repositories"] == sorted(pushed)
    assert whole or "Warning" in reply.headers, sorted(set(reply.json()["repositories"]) ^ set(pushed))
    return whole and "Warning" not in reply.headers


def push(cluster, name, worker, layer):
    """What is on its way to another member is asked for again."""
    end = time.monotonic() + 40
    while True:
        try:
            return cluster.push(name, "v1", worker, layer)
        except AssertionError as why:
            if "503" not in str(why) or time.monotonic() > end:
                raise
            time.sleep(0.05)


def test_a_bucket_for_each():
    with Buckets(3, lease_ms=1500) as cluster:
        pushed = {}
        for at, name in enumerate(NAMES):
            worker, layer = cluster.workers[at % 3], b"layer of " + name.encode()
            for data in (layer, b"deleted"):
                cluster.push_blob(name, data, worker)
            assert worker.call("DELETE", f"/v2/{name}/blobs/{digest(b'deleted')}").status_code == 202
            pushed[name] = cluster.push(name, "v1", worker, layer), layer
        assert all(len(cluster.with_index(name)) == 1 for name in NAMES)
        assert {place for name in NAMES for place in cluster.with_index(name)} == {"worker-0", "worker-1", "worker-2"}
        check(cluster, pushed)

        cluster.join("worker-3")
        victim = cluster.workers[0]
        victim.kill()
        victim.start()
        check(cluster, pushed)
        await_true(cluster.settled, 60, "all has moved")
        with cluster.evacuating(cluster.workers[1]):
            name = "late/app"
            pushed[name] = push(cluster, name, cluster.workers[1], b"late"), b"late"
        # It may be stopped; while it lives it removes its copies, too, but for bytes that came to it behind all.
        gone = cluster.workers[1]
        moved = [n for n in pushed if n != name]
        await_true(lambda: all(gone.name not in cluster.objects_of(n) for n in moved), 60, "no copy left in its bucket")
        cluster.retire(gone)
        await_true(cluster.settled, 60, "all has moved")
        check(cluster, pushed)
        # Nothing of what went away stays, but folders of a bucket are nothing.
        await_true(lambda: all(len(cluster.objects_of(n)) == 1 for n in moved), 60, "each in one bucket")
        assert {place for name in pushed for place in cluster.with_index(name)} == {"worker-0", "worker-2", "worker-3"}
