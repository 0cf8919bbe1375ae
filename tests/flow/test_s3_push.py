# SPDX-License-Identifier: Apache-2.0
"""Pushes that go to a bucket while they come: what the bucket is sent, what each way of failing leaves there, what the client is told."""
import contextlib
import hashlib
import http.client
import os
import pathlib
import random
import signal
import socket
import sys
import threading

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / folder) for folder in ("bench", "system")]

import s3_servers  # noqa: E402
from s3_faults import Faults  # noqa: E402
from s3_sink import Sink  # noqa: E402
from worker_process import Worker, await_true, digest  # noqa: E402

MIB = 1 << 20
PART = 16 * MIB


def some(size, seed=0):
    return random.Random(seed).randbytes(size)


@contextlib.contextmanager
def worker_on(*how, **settings):
    with Sink(*how) as sink, Worker(ZOT_LOG_LEVEL="info", **sink.environment(), **settings) as worker:
        yield sink, worker


def s3_of(server):
    return {k: v for k, v in server.environment().items() if not k.startswith("ZOT_")}


class Slow:
    """A PUT whose body is sent by hand."""

    def __init__(self, worker, where, data, named=None):
        path = where.partition(worker.url)[2]
        self.data, self.sent = data, 0
        self.connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=60)
        self.connection.putrequest("PUT", f"{path}?digest={named or digest(data)}")
        self.connection.putheader("Content-Length", str(len(data)))
        self.connection.endheaders()

    def send(self, upto):
        self.connection.send(self.data[self.sent:upto])
        self.sent = upto

    def cut(self):
        self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def status(self):
        return self.connection.getresponse().status


# Of five parts, three of them in the first push of the process: least and most that are sent signed, and not.
@pytest.mark.parametrize("how, signed, unsigned", [([], (1, 3), (2, 4)), (["no-sums"], (5, 5), (0, 0)), (["forgets-sums"], (5, 5), (0, 0)),
                                                   (["refuse-unsigned"], (5, 5), (1, 2))])
def test_each_kind_of_store_gets_whole_parts(how, signed, unsigned):
    """The sink compares sums, and the whole with the digest. What it wants is found out once; only who refuses what is unsigned is sent something twice."""
    data = some(2 * PART + 5)
    with worker_on("check", *how) as (sink, worker):
        before = sink.stats()
        worker.push_blob("a/b", data)
        worker.push_blob("a/b", some(PART + 1, 2))
        after = {name: n - before[name] for name, n in sink.stats().items()}
        assert after["bad"] == 0 and after["open"] == 0 and after["aborted"] == 0
        assert after["parts"] == 5 and after["creates"] == 2
        assert signed[0] <= after["signed"] <= signed[1] and unsigned[0] <= after["unsigned"] <= unsigned[1], after
        middle = sink.stats()
        worker.push_blob("a/b", some(PART + 2, 3))
        last = {name: n - middle[name] for name, n in sink.stats().items()}
        assert (last["signed"], last["unsigned"]) == ((2, 0) if how else (0, 2))


@pytest.mark.parametrize("size", [1, 65536, 5 * MIB, PART])
def test_what_one_part_holds_is_one_put(size):
    with worker_on("check") as (sink, worker):
        before = sink.stats()
        worker.push_blob("a/b", some(size))
        reply = worker.call("POST", "/v2/a/b/blobs/uploads/", params={"digest": digest(some(size, 1))}, data=some(size, 1))
        assert reply.status_code == 201
        after = sink.stats()
        assert (after["puts"] - before["puts"], after["creates"], after["heads"] - before["heads"], after["bad"]) == (2, 0, 2, 0)


def test_nothing_goes_through_the_spool():
    with worker_on("check") as (_, worker):
        where = worker.start_upload("a/b")
        data = some(2 * PART)
        push = Slow(worker, where, data)
        push.send(PART + MIB)
        await_true(lambda: worker.call("GET", where).headers["Range"] != "0-0")
        assert not list(worker.folder.rglob("*.upload"))
        push.send(len(data))
        assert push.status() == 201


def test_parts_leave_while_bytes_arrive_and_the_session_says_how_far():
    data = some(3 * PART)
    with worker_on("check") as (sink, worker):
        where = worker.start_upload("a/b")
        push = Slow(worker, where, data)
        push.send(PART + MIB)
        await_true(lambda: sink.stats()["parts"] == 1)
        # Of each half MiB that came it is told.
        await_true(lambda: worker.call("GET", where).headers["Range"] == f"0-{PART + MIB - 1}")
        assert worker.call("PUT", where, params={"digest": digest(b"x")}, data=b"x").status_code == 503
        assert worker.call("HEAD", f"/v2/a/b/blobs/{digest(data)}").status_code == 404
        push.send(len(data))
        assert push.status() == 201
        assert int(worker.call("HEAD", f"/v2/a/b/blobs/{digest(data)}").headers["Content-Length"]) == len(data)
        assert worker.call("GET", where).status_code == 404


def test_a_client_that_goes_leaves_nothing_and_may_come_again():
    data = some(2 * PART)
    with worker_on("check") as (sink, worker):
        where = worker.start_upload("a/b")
        push = Slow(worker, where, data)
        push.send(PART + MIB)
        await_true(lambda: sink.stats()["parts"] == 1)
        push.cut()
        await_true(lambda: sink.stats()["aborted"] == 1)
        assert sink.stats()["open"] == 0
        assert worker.call("GET", where).headers["Range"] == "0-0"
        # From byte 0, as containerd; or by chunks, which go through the spool.
        assert worker.call("PATCH", where, data=b"12", headers={"Content-Range": f"{PART}-{PART + 1}"}).status_code == 416
        assert worker.call("PUT", where, params={"digest": digest(data)}, data=data).status_code == 201
        assert sink.stats()["open"] == 0


@pytest.mark.parametrize("size", [7, PART + 7])
def test_a_wrong_digest_leaves_nothing(size):
    with worker_on("check") as (sink, worker):
        where, before = worker.start_upload("a/b"), sink.stats()
        reply = worker.call("PUT", where, params={"digest": digest(b"other")}, data=some(size))
        assert reply.status_code == 400 and reply.json()["errors"][0]["code"] == "DIGEST_INVALID"
        assert worker.call("GET", where).status_code == 404
        await_true(lambda: sink.stats()["aborted"] == sink.stats()["creates"] and sink.stats()["open"] == 0)
        after = sink.stats()
        assert after["puts"] == before["puts"]
        assert worker.call("HEAD", f"/v2/a/b/blobs/{digest(b'other')}").status_code == 404


def test_a_cache_takes_what_passes_and_is_right(tmp_path):
    """In parts that the bucket gets while they come; of what is wrong nothing is kept."""
    data, wrong = some(2 * PART + 7, 3), some(PART + 9, 4)
    with worker_on("check", ZOT_CACHE=tmp_path / "cache") as (sink, worker):
        assert worker.call("PUT", worker.start_upload("a/b"), params={"digest": digest(data)}, data=data).status_code == 201
        assert worker.call("PUT", worker.start_upload("a/b"), params={"digest": digest(b"other")}, data=wrong).status_code == 400
        kept = [path for path in (tmp_path / "cache").glob("boot-*/*/*/*")]
        assert [path.name for path in kept] == [digest(data).partition(":")[2]] and kept[0].read_bytes() == data
        await_true(lambda: not list((tmp_path / "cache/fill").iterdir()), what="nothing half written")
        assert sink.stats()["bad"] == 0 and worker.counter("spool_bytes") == 0


def test_sha512_is_hashed_as_announced():
    with worker_on("check") as (sink, worker):
        for data in (some(100), some(PART + 1)):
            worker.push_blob("a/b", data, "sha512")
        assert sink.stats()["bad"] == 0 and sink.stats()["creates"] == 1


def test_a_blob_that_is_there_is_not_sent_but_compared():
    data = some(PART + 3)
    with worker_on("check") as (sink, worker):
        worker.push_blob("a/b", data)
        before = sink.stats()
        worker.push_blob("a/b", data)
        # Of that length, under that digest: other bytes are refused.
        reply = worker.call("PUT", worker.start_upload("a/b"), params={"digest": digest(data)}, data=some(PART + 3, 1))
        assert reply.status_code == 400
        after = sink.stats()
        assert (after["parts"], after["creates"]) == (before["parts"], before["creates"])


def test_where_memory_is_all_in_use_the_spool_takes_it():
    """16 MiB: one part of one push at a time."""
    data = some(2 * PART)
    with worker_on("check", S3_PUSH_MEMORY="16MiB") as (sink, worker):
        first = Slow(worker, worker.start_upload("a/b"), data)
        first.send(MIB)
        await_true(lambda: sink.stats()["creates"] == 1)
        where = worker.start_upload("a/b")
        second = Slow(worker, where, some(PART, 1))
        second.send(2 * MIB)
        await_true(lambda: list(worker.folder.rglob("*.upload")))
        second.send(PART)
        assert second.status() == 201
        first.send(len(data))
        assert first.status() == 201
        assert sink.stats()["bad"] == 0 and sink.stats()["parts"] == 2


def test_without_memory_all_goes_through_the_spool():
    with worker_on("check", S3_PUSH_MEMORY="0") as (sink, worker):
        worker.push_blob("a/b", some(PART + 1))
        assert sink.stats()["creates"] == 0 and sink.stats()["bad"] == 0


def test_a_bucket_that_fails_now_and_then():
    """SlowDown and 500 for a fifth of all requests, and answers that are lost: of parts, of the completion."""
    data = some(3 * PART)
    with Sink("check") as sink, Faults(sink.endpoint, seed=3, harms=lambda method, key: "blobs" in key) as faults:
        with Worker(ZOT_LOG_LEVEL="info", **{**sink.environment(), "S3_ENDPOINT": faults.endpoint}) as worker:
            faults.once("cut", "POST .*uploadId=")
            worker.push_blob("a/b", data)
            faults.once("500 after", "PUT .*partNumber=2")
            faults.once("cut", "PUT .*partNumber=1")
            worker.push_blob("a/b", some(2 * PART, 1))
            faults.rates = {"503": 0.2, "500 after": 0.05, "cut": 0.05}
            for n in range(3):
                worker.push_blob("a/b", some(2 * PART, 10 + n))
            faults.rates = {}
            assert sink.stats()["bad"] == 0
            await_true(lambda: sink.stats()["open"] <= faults.counts["500 after"] + faults.counts["cut"])
            assert int(worker.call("HEAD", f"/v2/a/b/blobs/{digest(data)}").headers["Content-Length"]) == len(data)


def test_a_bucket_that_is_gone_in_the_middle_is_503_and_the_session_begins_anew():
    data = some(2 * PART)
    with Sink("check") as sink, Faults(sink.endpoint) as faults:
        with Worker(ZOT_LOG_LEVEL="info", **{**sink.environment(), "S3_ENDPOINT": faults.endpoint}) as worker:
            where = worker.start_upload("a/b")
            faults.harms, faults.rates = lambda method, key: method == "PUT" and "blobs" in key, {"503": 1}
            assert worker.call("PUT", where, params={"digest": digest(data)}, data=data).status_code == 503
            faults.rates = {}
            await_true(lambda: sink.stats()["open"] == 0)
            assert worker.call("GET", where).headers["Range"] == "0-0"
            assert worker.call("HEAD", f"/v2/a/b/blobs/{digest(data)}").status_code == 404
            assert worker.call("PUT", where, params={"digest": digest(data)}, data=data).status_code == 201


@pytest.mark.parametrize("kind", ["moto", "radosgw"] if os.environ.get("SCALE") == "full" else ["moto"])
def test_a_real_server_checks_signatures_and_what_was_killed_is_found(kind):
    """Both look at signatures, not at sums. moto says of all uploads that they are years old."""
    data = some(3 * PART)
    with s3_servers.start(kind) as server:
        bucket = server.client()

        def left():
            return bucket.list_multipart_uploads(Bucket=server.bucket).get("Uploads", [])

        with Worker(ZOT_LOG_LEVEL="info", S3_PREFIX="p q", **s3_of(server)) as worker:
            worker.push_blob("a/b", data)
            assert hashlib.sha256(worker.call("GET", f"/v2/a/b/blobs/{digest(data)}").content).hexdigest() == digest(data).partition(":")[2]
            push = Slow(worker, worker.start_upload("a/b"), some(3 * PART, 1))
            push.send(PART + MIB)
            await_true(lambda: left())
            worker.kill()
            assert left()
            # What is no blob, or lies elsewhere, is not ours.
            bucket.create_multipart_upload(Bucket=server.bucket, Key="p q/a/b/other")
            bucket.create_multipart_upload(Bucket=server.bucket, Key="elsewhere/blobs/sha256/00")
            worker.environment["S3_ABANDONED_AFTER"] = "6s"
            worker.start()
            living = Slow(worker, worker.start_upload("c/d"), data)
            living.send(PART)

            def whose():
                return sorted(upload["Key"].partition("/blobs")[0] for upload in left())

            # What was killed goes. The living one does not; unless it gave itself up, where the machine is slow.
            await_true(lambda: "p q/a/b" not in whose())
            assert [name for name in whose() if name != "p q/c/d"] == ["elsewhere", "p q/a/b/other"]
            living.send(len(data))
            assert living.status() in (201, 503)


def test_a_worker_that_is_stopped_in_the_middle_leaves_nothing():
    """In a hurry (a second signal) clients are cut, and what the bucket has is removed before the process ends."""
    data = some(2 * PART)
    with worker_on("check") as (sink, worker):
        push = Slow(worker, worker.start_upload("a/b"), data)
        push.send(PART + MIB)
        await_true(lambda: sink.stats()["parts"] == 1)
        worker.end(signal.SIGTERM, signal.SIGINT)
        assert sink.stats()["aborted"] == 1 and sink.stats()["open"] == 0


def test_many_at_once_stay_within_their_memory():
    """More clients than the memory is for: each is served, all bytes are right."""
    with worker_on("check", S3_PUSH_MEMORY="48MiB") as (sink, worker):
        blobs = [some(PART + n * MIB, n) for n in range(8)]
        done = []

        def push(where, data):
            connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=60)
            connection.request("PUT", f"{where.partition(worker.url)[2]}?digest={digest(data)}", data)
            done.append(connection.getresponse().status)

        threads = [threading.Thread(target=push, args=(worker.start_upload("a/b"), data)) for data in blobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert done == [201] * len(blobs)
        assert sink.stats()["bad"] == 0 and sink.stats()["open"] == 0
