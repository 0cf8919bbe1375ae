# SPDX-License-Identifier: Apache-2.0
"""How many requests to the bucket each operation costs: bounds, and the whole price list is printed."""
import collections
import hashlib
import os
import re
import subprocess
import time

import pytest

import s3_servers
from registry import CLUSTER_SECRET, MANIFEST, await_true, digest, free_port, image
from s3_faults import Faults
from s3_memory import Memory
from worker_process import BUILD, Worker

MIB = 1 << 20


class Meter:
    def __init__(self, worker):
        self.worker, self.prices = worker, {}
        # The first walk that counts what is there is no part of any price; the next one is minutes away.
        await_true(lambda: "zot_storage_bytes" in worker.call("GET", "/metrics").text, what="what the storage holds")

    def requests(self):
        return int(re.search(r"^zot_s3_requests_total (\d+)$", self.worker.call("GET", "/metrics").text, re.M).group(1))

    def pay(self, what, most, *calls, status):
        before = self.requests()
        for method, path, more in calls:
            reply = self.worker.call(method, path, **more)
        self.prices[what] = self.requests() - before
        assert reply.status_code == status, reply.text
        assert self.prices[what] <= most, (what, self.prices[what])
        return reply


def blob(meter, what, most, name, data):
    where = meter.worker.start_upload(name)
    meter.pay(what, most, ("PUT", where, {"params": {"digest": digest(data)}, "data": data}), status=201)


def manifest(meter, what, most, name, body, tag, **more):
    meter.pay(what, most, ("PUT", f"/v2/{name}/manifests/{tag}", {"data": body, "headers": {"Content-Type": MANIFEST}, **more}),
              status=201)


def pushes(meter):
    blob(meter, "push a small blob", 2, "a/b", b"{}")
    # This store looks at no sum of an unsigned part, and nothing is sent twice to find that out.
    blob(meter, "the first push of 100 MiB (7 parts)", 3 + 7, "a/b", os.urandom(100 * MIB))
    blob(meter, "push 100 MiB (7 parts)", 3 + 7, "a/b", os.urandom(100 * MIB))
    blob(meter, "push 100 MiB that is there", 1, "a/b", b"{}")
    meter.worker.push("a/b", "v0")
    manifest(meter, "manifest PUT, warm", 2, "a/b", image(b"layer", annotations={"n": "1"}), "v1")
    one = image(b"layer", annotations={"n": "61"})
    manifest(meter, "manifest PUT, first of 61 tags", 2, "a/b", one, "t0")
    for n in range(1, 61):
        meter.worker.call("PUT", f"/v2/a/b/manifests/t{n}", data=one, headers={"Content-Type": MANIFEST})
    return one


@pytest.mark.parametrize("owner", ["alone", "in a static cluster"])
def test_requests_of_each_operation(owner):
    """Alone, memory is believed; in a static cluster there is no lease, so each read asks the store once."""
    fresh = 0 if owner == "alone" else 1
    with s3_servers.start("moto") as server:
        port = free_port()
        settings = {} if owner == "alone" else {
            "ZOT_CLUSTER_MEMBERS": f"127.0.0.1:{port},127.0.0.1:{free_port()}", "ZOT_CLUSTER_HASH_KEY": "loremipsumdolors",
            "ZOT_CLUSTER_SECRET": CLUSTER_SECRET,
            "CLUSTER_SELF_ADDRESS": f"127.0.0.1:{port}"}
        s3 = {k: v for k, v in server.environment().items() if not k.startswith("ZOT_")}
        # What pulls cost comes later than they, and has a price of its own, below.
        with Worker(port=port, ZOT_PULLS_EVERY="1h", **s3, **settings) as worker:
            # What else asks the bucket at the start: the search for repositories of other tools.
            for mark in ("_catalog/.imported", "_dedupe/.restored"):
                await_true(lambda: "Contents" in server.client().list_objects_v2(Bucket=server.bucket, Prefix=mark))
            meter = Meter(worker)
            one = pushes(meter)
            for method in ("GET", "HEAD"):
                meter.pay(f"manifest {method} by tag", fresh, (method, "/v2/a/b/manifests/v1", {}), status=200)
            meter.pay("blob HEAD", 1, ("HEAD", f"/v2/a/b/blobs/{digest(b'{}')}", {}), status=200)
            meter.pay("blob GET", 1, ("GET", f"/v2/a/b/blobs/{digest(b'{}')}", {}), status=200)
            meter.pay("tag list", fresh, ("GET", "/v2/a/b/tags/list", {}), status=200)
            meter.pay("referrers", fresh, ("GET", f"/v2/a/b/referrers/{digest(one)}", {}), status=200)
            meter.pay("catalog", 1, ("GET", "/v2/_catalog?n=100", {}), status=200)
            meter.worker.push_blob("a/b", b"nobody names this")
            meter.pay("delete a blob", 5 + fresh, ("DELETE", f"/v2/a/b/blobs/{digest(b'nobody names this')}", {}), status=202)
            meter.pay("delete a manifest with 61 tags", 3, ("DELETE", f"/v2/a/b/manifests/{digest(one)}", {}), status=202)
            meter.pay("and it is gone", fresh, ("GET", "/v2/a/b/manifests/t60", {}), status=404)
            print(owner, meter.prices)


def test_what_pulls_cost():
    """However many: one small object for each repository and time; no index.json is written for them until there are 32 such objects."""
    with s3_servers.start("moto") as server:
        s3 = {k: v for k, v in server.environment().items() if not k.startswith("ZOT_")}
        with Worker(ZOT_PULLS_EVERY="1s", **s3) as worker:
            worker.push("a/b", "v1")
            worker.push("a/b", "v2")
            await_true(lambda: worker.counter("s3_requests_total") > 0 and folded(server), what="the fold behind the pushes")
            before, folds, began = objects(server), index_version(server), time.monotonic()
            for wave in range(2):
                for _ in range(10):
                    assert worker.call("GET", "/v2/a/b/manifests/v1").status_code == 200
                await_true(lambda: worker.counter("pulls_written_total") == 10 * (wave + 1), what="they are written")
            assert 2 <= objects(server) - before <= time.monotonic() - began + 2, "at most one each second"
            assert index_version(server) == folds
            worker.stop()
        assert index_version(server) != folds, "an orderly stop folds"


class Counted(Memory):
    """What it was asked, by kind."""

    def __init__(self):
        super().__init__(delay_s=0, many=True)
        self.asked = collections.Counter()

    async def answer(self, request):
        kind = "LIST" if request.is_list() else "DELETE many" if request.method == "POST" else request.method
        if "/blobs/" in request.what() or kind == "DELETE many":
            kind += " of blobs"
        self.asked[kind] += 1
        return await super().answer(request)


def collect(worker, memory, blobs):
    """The requests of a collection that finds so many blobs of no use, which were pushed two hours ago."""
    prefix = next(key for key in memory.order if "/blobs/sha256/" in key).rpartition("/")[0]
    for n in range(blobs):
        memory.store(f"{prefix}/{hashlib.sha256(b'%d' % n).hexdigest()}", b"x")
    memory.objects = {key: (etag, body, time.time() - 7200) for key, (etag, body, _) in memory.objects.items()}
    memory.asked.clear()
    done = subprocess.run([BUILD / "worker/zot-worker", "gc"], env=worker.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and f"{blobs} are removed, {blobs} bytes" in done.stdout, (done.stdout, done.stderr)
    return dict(memory.asked)


def test_what_a_collection_costs():
    """One list and one removal for each 1,000 blobs, two records of the index, at the end its fold, and no question about any single blob.
    With the first walk some lists, and a HEAD for each repository, look for blobs of those that have no name."""
    memory = Counted()
    with Faults(memory) as bucket, Worker(**memory.environment(bucket.endpoint)) as worker:
        worker.push("a/b", "v1")
        await_true(lambda: any(key.endswith("_dedupe/.restored") for key in memory.order), what="the look for empty objects of zot's, which are looked for one by one")
        worker.stop()
        nothing, one, three = (collect(worker, memory, blobs) for blobs in (0, 997, 2997))
        print(nothing, one, three)
        for asked, pages in ((nothing, 1), (one, 1), (three, 3)):
            assert asked["LIST of blobs"] == pages, asked
            assert asked.get("DELETE many of blobs", 0) == (0 if asked is nothing else pages), asked
            # The manifest, which says what is needed.
            assert asked["GET of blobs"] == 1 and not {"HEAD of blobs", "DELETE of blobs"} & set(asked), asked
            assert asked.get("PUT", 0) <= (0 if asked is nothing else 2 * pages + 2), asked
        assert sum(nothing.values()) <= 11 and sum(one.values()) <= 18 and sum(three.values()) <= 26, (nothing, one, three)
        assert sum("/blobs/sha256/" in key for key in memory.order) == 3  # the config, the layer, the manifest


def listed(server, prefix):
    found = server.client().list_objects_v2(Bucket=server.bucket)
    return [entry for entry in found.get("Contents", []) if prefix in entry["Key"]]


def objects(server):
    return len(listed(server, "a/b/index.log/"))


def index_version(server):
    return [entry["ETag"] for entry in listed(server, "a/b/index.json")]


def folded(server):
    """index.json names the last record."""
    text = server.client().get_object(Bucket=server.bucket, Key=listed(server, "a/b/index.json")[0]["Key"])["Body"].read().decode()
    return '"v2"' in text
