# SPDX-License-Identifier: Apache-2.0
"""A bucket in bad weather: a fifth of all requests goes wrong, or all of them, or it is not there at all. What is answered is right, or an error that
says when to come again; nothing is asked for without end; what the cache has is served all the while."""
import collections
import concurrent.futures
import os
import random
import re
import threading
import time

import pytest
import requests

import s3_servers
from registry import MANIFEST, await_true, digest, image
from s3_faults import Faults
from s3_memory import Memory
from test_storage_away import Door
from worker_process import Worker

FULL = os.environ.get("SCALE") == "full"
MIB = 1 << 20
# Together a fifth; slow bodies beside.
BAD = {"503": 0.08, "500": 0.03, "500 after": 0.03, "cut": 0.03, "truncated": 0.02, "silent": 0.01, "slow": 0.05}
CLIENTS = 4
ROUNDS = 40 if FULL else 3
# s3_client.c, blob_fetch.h
ATTEMPTS, PULL_ATTEMPTS = 5, 4


class Counting(Faults):
    """Knows how often each request was sent."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.sent = collections.Counter()

    def choose(self, request):
        query = sorted((k, v) for k, v in request.query.items() if not k.startswith("X-Amz-"))
        self.sent[f"{request.method} {request.what()}", str(query), request.headers.get("range", "")] += 1
        return super().choose(request)

    def most(self, pattern):
        """Of one request among those that match."""
        return max([n for (words, *_), n in self.sent.items() if re.search(pattern, words)], default=0)


class Weather:
    """One client: whatever it is answered is right, or 503 with the time to come again, or a connection that is cut."""

    def __init__(self, number, pushing, pulling, shared):
        self.dice, self.number = random.Random(number), number
        self.pushing, self.pulling, self.shared = pushing, pulling, shared
        self.session, self.again = requests.Session(), 0
        self.session.trust_env = False

    def call(self, worker, method, path, *expected, data=None, **more):
        for _ in range(8):
            try:
                reply = self.session.request(method, path if "://" in path else worker.url + path, timeout=60, data=data, **more)
            except requests.RequestException:
                reply = None
            if reply is not None and reply.status_code in expected:
                return reply
            assert reply is None or (reply.status_code == 503 and int(reply.headers["Retry-After"]) > 0), (method, path, reply.status_code, reply.text)
            self.again += 1
        raise AssertionError(f"{method} {path}: eight times in vain")

    def push_streamed(self, name, data):
        for _ in range(8):
            place = self.call(self.pushing, "POST", f"/v2/{name}/blobs/uploads/", 202).headers["Location"]
            reply = self.session.put(self.pushing.url + place, params={"digest": digest(data)}, data=data, timeout=60)
            if reply.status_code == 201:
                return
            assert reply.status_code == 503, reply.text
            self.again += 1
        raise AssertionError("eight pushes in vain")

    def push_by_chunks(self, name, data):
        place = self.call(self.pushing, "POST", f"/v2/{name}/blobs/uploads/", 202).headers["Location"]
        place = self.call(self.pushing, "PATCH", place, 202, data=data).headers["Location"]
        self.call(self.pushing, "PUT", place, 201, params={"digest": digest(data)})

    def once(self, n):
        name, tag, data = f"lib/app{self.number % 2}", f"t{self.number}-{n}", self.dice.randbytes(self.dice.choice([100, 100_000, 3 * MIB]))
        if n == 1:
            data = self.dice.randbytes(17 * MIB)  # two parts
        (self.push_streamed if n % 2 else self.push_by_chunks)(name, data)
        self.push_streamed(name, b"{}")
        body = image(data)
        self.call(self.pushing, "PUT", f"/v2/{name}/manifests/{tag}", 201, data=body, headers={"Content-Type": MANIFEST})
        self.shared.append((name, tag, body, data))
        name, tag, body, data = self.dice.choice(self.shared)
        assert self.call(self.pushing, "GET", f"/v2/{name}/manifests/{tag}", 200).content == body
        # Cold: the other worker has no cache.
        assert self.call(self.pulling, "GET", f"/v2/{name}/blobs/{digest(data)}", 200).content == data
        part = self.call(self.pulling, "GET", f"/v2/{name}/blobs/{digest(data)}", 206, headers={"Range": "bytes=10-49"})
        assert part.content == data[10:50]
        before = {t for repository, t, _, _ in list(self.shared) if repository == name}
        assert before <= set(self.call(self.pushing, "GET", f"/v2/{name}/tags/list", 200).json()["tags"])
        known = {repository for repository, _, _, _ in list(self.shared)}
        assert known <= set(self.call(self.pushing, "GET", "/v2/_catalog", 200).json()["repositories"])


def test_a_fifth_of_all_requests_goes_wrong(tmp_path):
    with s3_servers.start("moto") as server, Faults(server.endpoint, seed=5, silent_s=1) as faults:
        s3 = {**{k: v for k, v in server.environment().items() if not k.startswith("ZOT_")}, "S3_ENDPOINT": faults.endpoint, "ZOT_LOG_LEVEL": "warn"}
        with Worker(ZOT_CACHE=tmp_path / "cache", **s3) as pushing, Worker(**s3) as pulling:
            kept, shared = os.urandom(MIB), []
            pushing.push("lib/kept", "v1", layer=kept)
            assert pushing.call("GET", f"/v2/lib/kept/blobs/{digest(kept)}").content == kept
            faults.rates, over, hits = dict(BAD), threading.Event(), []

            def read_what_is_cached():
                """Each the first time: nobody comes again."""
                client = requests.Session()
                while not over.is_set() or not hits:
                    assert client.get(f"{pushing.url}/v2/lib/kept/manifests/v1", timeout=60).status_code == 200
                    assert client.get(f"{pushing.url}/v2/lib/kept/blobs/{digest(kept)}", timeout=60).content == kept
                    hits.append(1)

            clients = [Weather(n, pushing, pulling, shared) for n in range(CLIENTS)]
            with concurrent.futures.ThreadPoolExecutor(CLIENTS + 1) as pool:
                reader = pool.submit(read_what_is_cached)
                rounds = [pool.submit(lambda client=client: [client.once(n) for n in range(ROUNDS)]) for client in clients]
                try:
                    for one in rounds:
                        one.result()
                finally:
                    over.set()
                reader.result()
            told = f"{len(shared)} images, {len(hits)} pulls of what is cached, {sum(c.again for c in clients)} requests once more; bucket: {faults}"
            faults.rates = {}
            print(told)
            for name, tag, body, data in shared:
                assert pulling.call("GET", f"/v2/{name}/blobs/{digest(data)}").content == data
            for worker in pushing, pulling:
                worker.stop()
                worker.start()
                for name, tag, body, data in shared:
                    assert worker.call("GET", f"/v2/{name}/manifests/{tag}").content == body
            assert not server.client().list_multipart_uploads(Bucket=server.bucket).get("Uploads") or faults.counts["500 after"] + faults.counts["cut"]


# What is asked of a bucket that refuses it for ever, and by which requests.
REFUSED = {
    "pull": ("GET", "/v2/a/b/blobs/{blob}", {}, "^GET a/b/blobs/sha256/", PULL_ATTEMPTS),
    "pull of a part": ("GET", "/v2/a/b/blobs/{blob}", {"headers": {"Range": "bytes=1-2"}}, "^GET a/b/blobs/sha256/", PULL_ATTEMPTS),
    "HEAD of a blob": ("HEAD", "/v2/a/b/blobs/{blob}", {}, "^HEAD a/b/blobs/sha256/", ATTEMPTS),
    "tags": ("GET", "/v2/a/b/tags/list", {}, "^GET a/b/index.json", ATTEMPTS),
    "manifest": ("GET", "/v2/a/b/manifests/v1", {}, "^GET a/b/index.json", ATTEMPTS),
    "catalog": ("GET", "/v2/_catalog", {}, "^GET _catalog", ATTEMPTS),
    "small push": ("POST", "/v2/a/b/blobs/uploads/?digest={new}", {"data": b"new"}, "^PUT a/b/blobs", ATTEMPTS),
    "change": ("PUT", "/v2/a/b/manifests/v2", {"data": image(b"layer"), "headers": {"Content-Type": MANIFEST}}, "^PUT a/b/index", ATTEMPTS),
    "deletion": ("DELETE", "/v2/a/b/manifests/v1", {}, "^PUT a/b/index", ATTEMPTS),
}


@pytest.mark.parametrize("kind", ["503", "cut"] if FULL else ["503"])
def test_what_is_refused_for_ever_is_not_asked_for_ever(kind):
    """SlowDown, and answers that are lost. Each client is told within ten seconds, and each request was sent so often at most."""
    memory = Memory(delay_s=0)
    with Counting(memory) as faults, Worker(**memory.environment(faults.endpoint), ZOT_LOG_LEVEL="warn") as worker:
        worker.push("a/b", "v1")
        blob, most = digest(b"layer"), {}
        for what, (method, path, more, pattern, bound) in REFUSED.items():
            worker.stop()  # nothing in memory
            # A chore reads each repository when the worker starts; what it was given would be answered from memory.
            early = pattern == "^GET a/b/index.json"
            rule = early and faults.once(kind, pattern, times=1000)
            faults.sent.clear()
            worker.start()
            await_true(lambda: "_catalog/.imported" in memory.objects, what="the search for repositories of others")
            if not early:
                rule = faults.once(kind, pattern, times=1000)
                faults.sent.clear()
            begun = time.monotonic()
            reply = worker.call(method, path.format(blob=blob, new=digest(b"new")), **more)
            took = time.monotonic() - begun
            rule.left = 0
            most[what] = faults.most(pattern)
            # A change whose answer was lost is looked up, and found done.
            done = kind == "cut" and method in ("PUT", "DELETE") and reply.ok
            assert done or (reply.status_code == 503 and int(reply.headers["Retry-After"]) > 0 and took < 10), (what, reply.status_code, took)
            # libcurl sends it once more on its own where a connection that it kept was closed; a chore may ask for the catalog or the index just then.
            assert 1 <= most[what] <= bound * (2 if kind == "cut" else 1) * (2 if early or what == "catalog" else 1), (what, faults.sent)
        print(kind, most)
        worker.push("a/b", "v3")
        assert worker.call("GET", f"/v2/a/b/blobs/{blob}").content == b"layer"


def test_parts_that_are_refused_for_ever():
    """Of a push that streams: each part so often at most, then 503, and nothing of it stays."""
    with s3_servers.start("moto") as server, Counting(server.endpoint) as faults:
        s3 = {**{k: v for k, v in server.environment().items() if not k.startswith("ZOT_")}, "S3_ENDPOINT": faults.endpoint}
        with Worker(ZOT_LOG_LEVEL="warn", **s3) as worker:
            worker.push("a/b", "v1")
            data = os.urandom(20 * MIB)
            where, rule = worker.start_upload("a/b"), faults.once("503", "^PUT a/b/blobs", times=1000)
            faults.sent.clear()
            assert worker.call("PUT", where, params={"digest": digest(data)}, data=data).status_code == 503
            assert sum("partNumber" in query for _, query, _ in faults.sent) == 2 and faults.most("^PUT a/b/blobs") <= ATTEMPTS, faults.sent
            rule.left = 0
            await_true(lambda: not server.client().list_multipart_uploads(Bucket=server.bucket).get("Uploads"), what="nothing of it")
            assert worker.call("PUT", where, params={"digest": digest(data)}, data=data).status_code == 201


@pytest.mark.parametrize("state", ["closed", "hole"] if FULL else ["closed"])
def test_a_bucket_that_is_gone(tmp_path, state):
    """What the cache has, and the bucket had when it was last asked, is served all the while: whole, in part, and its size. Nothing else is."""
    memory = Memory(delay_s=0)
    with Faults(memory) as server:
        door = Door(int(server.endpoint.rpartition(":")[2]))
        s3 = memory.environment(f"http://127.0.0.1:{door.port}")
        with Worker(ZOT_CACHE=tmp_path / "cache", **s3) as worker:
            kept, deleted = os.urandom(300_000), os.urandom(300_000)
            worker.push("lib/a", "v1", layer=kept)
            worker.push_blob("lib/a", deleted)
            assert worker.call("GET", f"/v2/lib/a/blobs/{digest(deleted)}").content == deleted
            assert worker.call("DELETE", f"/v2/lib/a/blobs/{digest(deleted)}").status_code == 202
            worker.push("lib/b", "v1")
            blob = f"/v2/lib/a/blobs/{digest(kept)}"
            assert worker.call("GET", blob).content == kept  # no proof is older than a deletion
            door.turn(state)
            # For as long as memory may be believed nobody notices. All that goes on beside it is read once in a while.
            pulls = 0

            def is_noticed():
                nonlocal pulls
                reply = worker.call("GET", blob)
                assert reply.status_code == 200 and reply.content == kept, reply.text
                pulls += 1
                return worker.call("GET", "/v2/lib/a/tags/list").status_code == 503 and '"s3.away"' in worker.text()

            await_true(is_noticed, 60, "the outage")
            begun = time.monotonic()
            for _ in range(20):
                assert worker.call("GET", blob).content == kept
                part = worker.call("GET", blob, headers={"Range": "bytes=7-9"})
                assert part.status_code == 206 and part.content == kept[7:10]
                assert worker.call("HEAD", blob).headers["Content-Length"] == str(len(kept))
            assert time.monotonic() - begun < 5, "they waited for the bucket"
            others = {f"/v2/lib/b/blobs/{digest(kept)}": {503}, f"/v2/lib/a/blobs/{digest(deleted)}": {404, 503}, "/v2/_catalog": {503}}
            with concurrent.futures.ThreadPoolExecutor(len(others)) as pool:
                replies = dict(zip(others, pool.map(lambda path: requests.get(worker.url + path, timeout=60), others)))
            assert all(replies[path].status_code in statuses for path, statuses in others.items()), replies
            print(f"{state}: {pulls} pulls until it was noticed")
            door.turn("open")
            await_true(lambda: worker.call("GET", "/v2/lib/a/tags/list").status_code == 200, 60, "the bucket")
            worker.push("lib/a", "v2", layer=kept)
        door.turn("closed")
