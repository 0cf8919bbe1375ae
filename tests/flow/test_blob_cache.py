# SPDX-License-Identifier: Apache-2.0
"""The cache before a bucket (storage.cache): what is asked of the bucket, who gets which bytes, and what happens when bucket, disk or worker fail."""
import asyncio
import collections
import contextlib
import hashlib
import os
import random
import re
import subprocess
import threading

import pytest
import requests

from disks import Disks
from s3_faults import Faults
from s3_memory import Memory
from worker_process import MANIFEST, Worker, await_true, digest, image

MIB = 1 << 20


class Bucket(Faults):
    """Counts what is asked of each blob, and sends bodies as a test says.

    gate(digest, at)   its next bodies stop after so many bytes, until the event that this gives is set
    cut(digest, at, n) its next n bodies end there
    heads[repository]  an event: no answer for its blobs before that is set
    """

    def __init__(self):
        self.memory = Memory(delay_s=0)
        super().__init__(self.memory)
        self.asked, self.gates, self.cuts, self.heads = collections.defaultdict(list), {}, {}, {}

    def put(self, name, data, under=None):
        """under: the digest of other bytes."""
        found = under or digest(data)
        self.memory.store(f"{name}/blobs/{found.replace(':', '/')}", data)
        return found

    def gate(self, found, at):
        event = threading.Event()
        self.gates[found] = at, event
        return event

    def cut(self, found, at, n=1):
        self.cuts[found] = [at, n]

    def reads(self, found, whole=False):
        """Requests for its bytes; whole: not those for the one byte that proves that it is there."""
        return [(m, r) for m, r in self.asked[found] if m == "GET" and not (whole and r == "bytes=0-0")]

    async def suffer(self, kind, chance, hold, rule, request, reader, writer):
        blob = re.search(r"/blobs/(sha256|sha512)/([0-9a-f]+)$", request.key)
        if not blob or request.method not in ("GET", "HEAD"):
            return await super().suffer(kind, chance, hold, rule, request, reader, writer)
        found = f"{blob[1]}:{blob[2]}"
        self.asked[found].append((request.method, request.headers.get("range")))
        while (event := self.heads.get(request.key.partition("/blobs/")[0])) and not event.is_set():
            await asyncio.sleep(0.005)
        head, body = (await self.forward(request)).parts()
        writer.write(head)
        if request.method == "GET" and len(body) > 1:
            if found in self.gates and len(body) > self.gates[found][0]:
                at, event = self.gates[found]
                writer.write(body[:at])
                body = body[at:]
                await writer.drain()
                while not event.is_set():
                    await asyncio.sleep(0.005)
            if found in self.cuts and self.cuts[found][1]:
                self.cuts[found][1] -= 1
                writer.write(body[:self.cuts[found][0]])
                await writer.drain()
                return False
        writer.write(body)
        await writer.drain()
        return True


@pytest.fixture
def bucket():
    with Bucket() as one:
        yield one


class CachedWorker(Worker):
    """Its view of lib/a is in memory, as after the manifest of an image was pulled."""

    def start(self):
        super().start()
        assert self.call("PUT", "/v2/lib/a/manifests/v1", data=image(), headers={"Content-Type": MANIFEST}).status_code == 201
        assert self.call("GET", "/v2/lib/a/manifests/v1").status_code == 200


def start(bucket, tmp_path, **more):
    environment = {"ZOT_CACHE": str(tmp_path / "cache"), "ZOT_CACHE_SIZE": "256MiB", **bucket.memory.environment(bucket.endpoint), **more}
    worker = CachedWorker(tmp_path, **environment)
    del worker.environment["ZOT_STORAGE_ROOT"]
    return worker


@pytest.fixture
def worker(bucket, tmp_path):
    with start(bucket, tmp_path) as one:
        yield one


def some(n, seed=1):
    return random.Random(seed).randbytes(n)


def get(worker, name, found, **headers):
    return requests.get(f"{worker.url}/v2/{name}/blobs/{found}", headers=headers, timeout=60)


def pull(worker, name, found):
    """Opened, and not read yet."""
    return requests.get(f"{worker.url}/v2/{name}/blobs/{found}", stream=True, timeout=60)


def is_cut(reply, least=0):
    """The body ends before its length, behind at least so many bytes."""
    got = 0
    try:
        for piece in reply.iter_content(65536):
            got += len(piece)
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError):
        pass
    return least <= got < int(reply.headers["Content-Length"])


def entries(tmp_path):
    return sorted(p.name for p in (tmp_path / "cache").glob("boot-*/*/*/*"))


def await_kept(worker, tmp_path, *found):
    await_true(lambda: all(f.partition(":")[2] in entries(tmp_path) for f in found) and not worker.counter("cache_fills"), 20, "the entries")


def test_a_blob_is_read_from_the_bucket_once(bucket, worker, tmp_path):
    data = some(3 * MIB)
    found = bucket.put("lib/a", data)
    for turn in range(4):
        reply = get(worker, "lib/a", found)
        assert reply.status_code == 200 and reply.content == data and reply.headers["Docker-Content-Digest"] == found
        assert reply.headers["ETag"] == f'"{found}"'
    await_kept(worker, tmp_path, found)
    assert bucket.asked[found] == [("GET", None)]
    # Nor for anything else that is asked of it.
    head = worker.call("HEAD", f"/v2/lib/a/blobs/{found}")
    assert head.status_code == 200 and head.headers["Content-Length"] == str(len(data))
    part = get(worker, "lib/a", found, Range="bytes=1000-1999")
    assert part.status_code == 206 and part.content == data[1000:2000] and part.headers["Content-Range"] == f"bytes 1000-1999/{len(data)}"
    parts = get(worker, "lib/a", found, Range="bytes=0-9,100-109")
    assert parts.status_code == 206 and data[:10] in parts.content and data[100:110] in parts.content
    assert get(worker, "lib/a", found, Range=f"bytes={len(data)}-").status_code == 416
    assert get(worker, "lib/a", found, **{"If-None-Match": f'"{found}"'}).status_code == 304
    assert bucket.asked[found] == [("GET", None)]
    assert (worker.counter("cache_hits_total"), worker.counter("cache_misses_total")) == (8, 1)
    assert worker.counter("cache_entries") == 1 and worker.counter("cache_bytes") == len(data) and worker.counter("cache_on") == 1


@pytest.mark.parametrize("size", [0, 1, 100, 65536, 65537, 300_000])
def test_sizes(bucket, worker, tmp_path, size):
    data = some(size)
    found = bucket.put("lib/a", data)
    for turn in range(2):
        assert get(worker, "lib/a", found).content == data
        await_kept(worker, tmp_path, found)
    assert len(bucket.asked[found]) == 1


def test_nobody_reads_what_another_repository_has(bucket, worker, tmp_path):
    """Its digest is known, and a manifest that names it is taken: neither is a proof that the repository has the bytes."""
    data = some(2 * MIB)
    found = bucket.put("secret/a", data)
    assert worker.call("PUT", "/v2/secret/a/manifests/v1", data=image(), headers={"Content-Type": MANIFEST}).status_code == 201
    assert get(worker, "secret/a", found).content == data
    await_kept(worker, tmp_path, found)
    worker.push("open/b", "v1", layer=b"layer")
    body = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(b"{}"), "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": found, "size": len(data)}]}
    assert worker.call("PUT", "/v2/open/b/manifests/v2", json=body, headers={"Content-Type": body["mediaType"]}).status_code == 201
    for method, headers in (("GET", {}), ("HEAD", {}), ("GET", {"Range": "bytes=0-9"}), ("GET", {"Range": "bytes=0-9,20-29"})):
        assert worker.call(method, f"/v2/open/b/blobs/{found}", headers=headers).status_code == 404
    # Nor while it is on its way.
    other = some(2 * MIB, 2)
    found = bucket.put("secret/a", other)
    event = bucket.gate(found, MIB)
    with pull(worker, "secret/a", found) as reply:
        assert reply.status_code == 200
        assert get(worker, "open/b", found).status_code == 404
        assert get(worker, "open/b", found, Range="bytes=0-9").status_code == 404
        event.set()
        assert reply.content == other
    # One that has it needs no copy of its own.
    bucket.put("open/b", data)
    found = digest(data)
    asked = len(bucket.asked[found])
    for turn in range(3):
        assert get(worker, "open/b", found).content == data
    assert bucket.asked[found][asked:] == [("GET", "bytes=0-0")]


def test_that_another_repository_lacks_it_is_nobody_elses_affair(bucket, worker, tmp_path):
    """It is asked for in one that does not have it, and meanwhile in one that is known to have it."""
    data = some(2 * MIB)
    found = bucket.put("lib/a", data)
    assert worker.call("HEAD", f"/v2/lib/a/blobs/{found}").status_code == 200
    bucket.heads["empty/x"] = event = threading.Event()
    replies = {}
    threads = [threading.Thread(target=lambda name=name: replies.update({name: get(worker, name, found)})) for name in ("empty/x", "lib/a")]
    threads[0].start()
    await_true(lambda: worker.counter("cache_fills") == 1, 20, "the first")
    threads[1].start()
    await_true(lambda: worker.counter("cache_hits_total") == 1, 20, "the second")
    event.set()
    for thread in threads:
        thread.join(60)
    assert replies["empty/x"].status_code == 404 and replies["lib/a"].content == data


def test_a_blob_that_was_deleted_is_not_served(bucket, worker, tmp_path):
    data = some(MIB)
    found = worker.push_blob("lib/a", data)
    assert get(worker, "lib/a", found).content == data
    assert worker.call("DELETE", f"/v2/lib/a/blobs/{found}").status_code == 202
    assert get(worker, "lib/a", found).status_code == 404
    assert worker.call("HEAD", f"/v2/lib/a/blobs/{found}").status_code == 404


def test_without_a_view_the_bucket_is_asked_each_time(bucket, worker, tmp_path):
    """Another worker may have deleted it: one byte says that nobody has. That it is gone is seen at once."""
    data = some(2 * MIB)
    found = bucket.put("lib/b", data)
    for turn in range(3):
        assert get(worker, "lib/b", found).content == data
        await_kept(worker, tmp_path, found)
    assert bucket.asked[found] == [("GET", None), ("GET", "bytes=0-0"), ("GET", "bytes=0-0")]
    assert worker.call("HEAD", f"/v2/lib/b/blobs/{found}").status_code == 200
    bucket.memory.remove(f"lib/b/blobs/{found.replace(':', '/')}")
    assert get(worker, "lib/b", found).status_code == get(worker, "lib/b", found, Range="bytes=0-1").status_code == 404
    assert worker.call("HEAD", f"/v2/lib/b/blobs/{found}").status_code == 404


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("size", [2, 14])
def test_what_was_pushed_is_there_already(bucket, worker, tmp_path, size, announced):
    """Where the digest was announced it never was in the spool; else the file of the spool becomes the entry."""
    data = some(size * MIB)
    found = digest(data)
    place = worker.call("POST", "/v2/lib/a/blobs/uploads/").headers["Location"]
    if not announced:
        place = worker.call("PATCH", place, data=data).headers["Location"]
    reply = worker.call("PUT", place, params={"digest": found}, data=data if announced else b"")
    assert reply.status_code == 201, reply.text
    assert entries(tmp_path) == [found.partition(":")[2]]
    assert get(worker, "lib/a", found).content == data
    assert not bucket.reads(found)
    assert worker.counter("cache_adopted_total") == (0 if announced else 1)
    assert worker.counter("spool_bytes") == 0


def test_a_hundred_at_once_are_one_fetch(bucket, worker, tmp_path):
    data = some(4 * MIB)
    found = bucket.put("lib/a", data)
    event = bucket.gate(found, MIB)
    got = []

    def one():
        got.append(hashlib.sha256(get(worker, "lib/a", found).content).hexdigest())

    threads = [threading.Thread(target=one) for _ in range(100)]
    for thread in threads:
        thread.start()
    await_true(lambda: worker.counter("cache_hits_total") == 99, 60, "all of them")
    event.set()
    for thread in threads:
        thread.join(60)
    assert got == [found.partition(":")[2]] * 100
    assert bucket.asked[found] == [("GET", None)]


def test_a_reader_has_what_is_there_and_waits_for_nobody(bucket, worker, tmp_path):
    """The first client reads nothing, the second comes later and has all that is there; a range in it, too."""
    data = some(40 * MIB)
    found = bucket.put("lib/a", data)
    event = bucket.gate(found, 16 * MIB)
    with pull(worker, "lib/a", found) as first, pull(worker, "lib/a", found) as second:
        assert second.raw.read(16 * MIB) == data[:16 * MIB]
        part = get(worker, "lib/a", found, Range=f"bytes={MIB}-{2 * MIB - 1}")
        assert part.status_code == 206 and part.content == data[MIB:2 * MIB]
        assert bucket.asked[found] == [("GET", None)]
        # One far behind what is there goes to the bucket.
        del bucket.gates[found]
        far = get(worker, "lib/a", found, Range=f"bytes={len(data) - 5}-")
        assert far.content == data[-5:] and bucket.asked[found][1:] == [("GET", f"bytes={len(data) - 5}-")]
        event.set()
        assert second.raw.read() == data[16 * MIB:]
        await_kept(worker, tmp_path, found)
        assert first.content == data


def test_a_file_that_grows_over_tls(bucket, tmp_path):
    """Records end where the bytes ended that were there."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], check=True, capture_output=True)
    data = some(12 * MIB)
    found = bucket.put("lib/a", data)
    event = bucket.gate(found, 5 * MIB + 12345)
    with start(bucket, tmp_path, verify=str(cert), ZOT_TLS_CERT=str(cert), ZOT_TLS_KEY=str(key)) as worker:
        with worker.session.get(f"{worker.url}/v2/lib/a/blobs/{found}", stream=True) as reply:
            assert reply.raw.read(5 * MIB + 12345) == data[:5 * MIB + 12345]
            event.set()
            assert reply.raw.read() == data[5 * MIB + 12345:]
        await_kept(worker, tmp_path, found)
        assert worker.call("GET", f"/v2/lib/a/blobs/{found}").content == data
    assert bucket.asked[found] == [("GET", None)]


def test_a_range_is_asked_for_as_a_range(bucket, worker, tmp_path):
    data = some(MIB)
    found = bucket.put("lib/a", data)
    assert get(worker, "lib/a", found, Range="bytes=10-19").content == data[10:20]
    assert bucket.asked[found] == [("GET", "bytes=10-19")] and not entries(tmp_path)


def test_the_first_client_leaves(bucket, worker, tmp_path):
    data = some(4 * MIB)
    found = bucket.put("lib/a", data)
    event = bucket.gate(found, MIB)
    first = pull(worker, "lib/a", found)
    with pull(worker, "lib/a", found) as second:
        assert first.raw.read(65536) == data[:65536]
        first.close()
        event.set()
        assert second.content == data
    await_kept(worker, tmp_path, found)
    assert bucket.asked[found] == [("GET", None)]


def test_who_asks_and_leaves_does_not_make_us_fetch_everything(bucket, tmp_path):
    """Little that is missing is fetched; of a large blob the fetch ends."""
    with start(bucket, tmp_path, ZOT_CACHE_SIZE="1GiB") as worker:
        small, large = some(4 * MIB), bytes(200 * MIB)
        for data in (small, large):
            found = bucket.put("lib/a", data)
            event = bucket.gate(found, MIB)
            pull(worker, "lib/a", found).close()
            if data is small:
                event.set()
                await_kept(worker, tmp_path, found)
            else:
                await_true(lambda: worker.counter("cache_fills") == 0, 30, "the end of a fetch for nobody")
                event.set()
                assert found.partition(":")[2] not in entries(tmp_path)
                await_true(lambda: worker.counter("cache_bytes") == len(small), 10, "its room")


def test_a_wrong_blob_arrives_nowhere_whole(bucket, worker, tmp_path):
    data = some(2 * MIB)
    found = digest(data)
    bucket.put("lib/a", data[:-1] + bytes([data[-1] ^ 1]), under=found)
    for turn in range(2):
        event = bucket.gate(found, MIB)
        with pull(worker, "lib/a", found) as reply, pull(worker, "lib/a", found) as second:
            event.set()
            assert reply.status_code == second.status_code == 200 and is_cut(reply, MIB) and is_cut(second, MIB)
    # Of a small one nothing is told.
    tiny = digest(b"tiny")
    bucket.put("lib/a", b"tinY", under=tiny)
    assert get(worker, "lib/a", tiny).status_code == 503
    assert worker.counter("cache_fills_wrong_total") == 3 and not entries(tmp_path) and worker.counter("cache_bytes") == 0
    assert worker.text().count("cache.wrong") == 3


def test_a_bucket_that_cuts_is_asked_for_the_rest(bucket, worker, tmp_path):
    data = some(6 * MIB)
    found = bucket.put("lib/a", data)
    bucket.cut(found, 2 * MIB, 2)
    assert get(worker, "lib/a", found).content == data
    ranges = [r for _, r in bucket.asked[found]]
    assert ranges[0] is None and len(ranges) == 3 and all(r.endswith(f"-{len(data) - 1}") for r in ranges[1:])
    await_kept(worker, tmp_path, found)
    # One that gives nothing any more is given up.
    other = bucket.put("lib/a", some(6 * MIB, 2))
    bucket.cut(other, 0, 1000)
    reply = pull(worker, "lib/a", other)
    assert reply.status_code == 503 or is_cut(reply)
    assert worker.counter("cache_fills_failed_total") == 1


def test_what_is_read_once_does_not_push_out_what_is_read_again(bucket, tmp_path):
    with start(bucket, tmp_path, ZOT_CACHE_SIZE="20MiB") as worker:
        hot = [bucket.put("lib/a", some(MIB, n)) for n in range(8)]
        for turn in range(4):
            for found in hot:
                assert get(worker, "lib/a", found).status_code == 200
        await_kept(worker, tmp_path, *hot)
        for n in range(100, 160):
            assert get(worker, "lib/a", bucket.put("lib/a", some(MIB, n))).status_code == 200
        await_true(lambda: worker.counter("cache_fills") == 0, 20, "all")
        asked = {found: len(bucket.reads(found, whole=True)) for found in hot}
        for found in hot:
            assert get(worker, "lib/a", found).status_code == 200
        assert {found: len(bucket.reads(found, whole=True)) for found in hot} == asked
        assert worker.counter("cache_bytes") <= 20 * MIB and worker.counter("cache_evictions_total") >= 40
        # One of more than half of it is not kept, and the bucket is asked once more only the first time.
        huge = some(12 * MIB, 99)
        found = bucket.put("lib/a", huge)
        for turn in range(3):
            # What was seen counts while the index is known to be the bucket's newest.
            assert worker.call("GET", "/v2/lib/a/tags/list").status_code == 200
            assert get(worker, "lib/a", found).content == huge
        assert len(bucket.reads(found, whole=True)) == 4
        assert sum(p.stat().st_size for p in (tmp_path / "cache").rglob("*") if p.is_file()) <= 20 * MIB


@pytest.mark.parametrize("how", ["orderly", "killed in a fill"])
def test_entries_outlive_the_worker(bucket, tmp_path, how):
    data, under_way = some(2 * MIB), some(4 * MIB, 2)
    found, other = bucket.put("lib/a", data), bucket.put("lib/a", under_way)
    with start(bucket, tmp_path) as worker:
        assert get(worker, "lib/a", found).content == data
        await_kept(worker, tmp_path, found)
        if how == "orderly":
            worker.stop()
        else:
            event = bucket.gate(other, 2 * MIB)
            with pull(worker, "lib/a", other) as reply:
                assert reply.raw.read(MIB) == under_way[:MIB]
                worker.kill()
            event.set()
            bucket.gates.clear()
        worker.start()
        await_true(lambda: worker.counter("cache_entries") == 1, 20, "what lies in the folder")
        assert not list((tmp_path / "cache/fill").iterdir())
        assert get(worker, "lib/a", found).content == data
        # That the repository has it is asked; the bytes are not.
        assert bucket.asked[found] == [("GET", None), ("GET", "bytes=0-0")]
        assert get(worker, "lib/a", other).content == under_way


def test_what_an_earlier_boot_left_is_read_through_first(bucket, tmp_path):
    """After a power cut a file may be short, empty or garbage under its name."""
    whole, torn, short = some(2 * MIB), some(2 * MIB, 2), some(MIB, 3)
    names = [bucket.put("lib/a", data) for data in (whole, torn, short)]
    with start(bucket, tmp_path) as worker:
        for found in names:
            assert get(worker, "lib/a", found).status_code == 200
        await_kept(worker, tmp_path, *names)
        worker.stop()
        boot, = (tmp_path / "cache").glob("boot-*")
        old = boot.rename(boot.parent / "boot-0123")

        def path(folder, found):
            return folder / "sha256" / found[7:9] / found[7:]

        path(old, names[1]).write_bytes(torn[:MIB] + bytes(MIB))
        path(old, names[2]).write_bytes(b"")
        worker.start()
        await_true(lambda: worker.counter("cache_entries") == 3, 20, "what lies in the folder")
        for found, data in zip(names, (whole, torn, short)):
            assert get(worker, "lib/a", found).content == data
        await_true(lambda: path(boot, names[0]).exists() and worker.counter("cache_fills") == 0, 20, "the right one in its place")
        for found, data in zip(names, (whole, torn, short)):
            await_true(lambda: path(boot, found).exists() or get(worker, "lib/a", found).content != data, 20, "all of them in their places")
            assert path(boot, found).read_bytes() == data
            asked = len(bucket.asked[found])
            assert get(worker, "lib/a", found).content == data and len(bucket.asked[found]) == asked


def test_two_workers_do_not_share_a_folder(bucket, worker, tmp_path):
    with contextlib.closing(requests.Session()):
        second = start(bucket, tmp_path, ZOT_WORKER_DATA=str(tmp_path / "data2"))
        done = subprocess.run([str(second.program_path()), "serve"], env=second.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "storage.cache.path: each worker needs a folder of its own" in done.stdout + done.stderr


def test_a_folder_needs_no_cache(tmp_path):
    worker = Worker(tmp_path, ZOT_CACHE=str(tmp_path / "cache"))
    done = subprocess.run([str(worker.program_path()), "serve"], env=worker.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "storage.cache.path (ZOT_CACHE)" in done.stdout + done.stderr


def is_told(worker):
    ready = requests.get(worker.url + "/readyz", timeout=20)
    assert ready.status_code == 200
    return "cache: off" in ready.text and worker.counter("cache_on") == 0 and worker.text().count("cache.off") == 1


def test_a_disk_that_is_full(bucket, tmp_path):
    """Who is just reading along goes on from the bucket, everybody after is served from there."""
    with Disks(tmp_path) as disks:
        disk = disks.make("ext4", 64)
        data, small = some(48 * MIB), some(MIB, 2)
        found, other = bucket.put("lib/a", data), bucket.put("lib/a", small)
        with start(bucket, tmp_path, ZOT_CACHE=str(disk.path / "cache"), ZOT_CACHE_SIZE="1GiB") as worker:
            assert get(worker, "lib/a", other).content == small
            (disk.path / "filler").write_bytes(bytes(24 * MIB))
            with pull(worker, "lib/a", found) as first, pull(worker, "lib/a", found) as second:
                assert hashlib.sha256(first.content).digest() == hashlib.sha256(data).digest() == hashlib.sha256(second.content).digest()
            await_true(lambda: is_told(worker), 20, "the trouble to be told")
            assert all(r is None or int(r.split("=")[1].split("-")[0]) > 0 for _, r in bucket.asked[found])
            for turn in range(2):
                assert get(worker, "lib/a", other).content == small
            assert worker.push_blob("lib/a", b"pushed") and is_told(worker)


def test_a_disk_that_cannot_be_read(bucket, tmp_path):
    """The entry is shorter than it was, behind what is in the kernel's buffers: as a read that fails."""
    with start(bucket, tmp_path) as worker:
        data = some(64 * MIB)
        found = bucket.put("lib/a", data)
        assert get(worker, "lib/a", found).content == data
        await_kept(worker, tmp_path, found)
        path, = (tmp_path / "cache").glob("boot-*/*/*/*")
        with pull(worker, "lib/a", found) as reply:
            assert reply.raw.read(MIB) == data[:MIB]
            os.truncate(path, 20 * MIB)
            assert reply.raw.read() == data[MIB:]
        assert len(bucket.reads(found, whole=True)) == 2 and bucket.reads(found, whole=True)[1][1].endswith(f"-{len(data) - 1}")
        await_true(lambda: is_told(worker), 20, "the trouble to be told")


@pytest.mark.parametrize("how", ["read-only", "a file is there"])
def test_a_folder_that_cannot_be_made(bucket, tmp_path, how):
    with Disks(tmp_path) as disks:
        disk = disks.make("ext4", 64)
        if how == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
        else:
            (disk.path / "cache").write_text("here")
        data = some(MIB)
        found = bucket.put("lib/a", data)
        with start(bucket, tmp_path, ZOT_CACHE=str(disk.path / "cache")) as worker:
            for turn in range(2):
                assert get(worker, "lib/a", found).content == data
            assert is_told(worker)
