#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A push to a bucket beside a plain multipart upload of the same bytes to the same bucket.

    python3 tests/bench/s3_push.py BUILD... [--rounds 7] [--size 256] [--line 0 400]

The bucket is s3_sink.c: it throws bodies away, and with --line takes so many MiB/s of them (0: all that comes). The push is POST, then one PUT
with the digest, as containerd does. The plain upload is this program: parts of 16 MiB from memory over four connections; "signed"
hashes each part, which SigV4 over plain HTTP asks of clients like boto3, "unsigned" hashes nothing. Prints medians of ms, the ratio, and the worker's processor time a GB,
beside what sha256 alone costs here.
"""
import argparse
import concurrent.futures
import contextlib
import hashlib
import http.client
import os
import pathlib
import shutil
import statistics
import tempfile
import time

from bench import free_port, push_blob, start_ours
from builds import cpu_s
from s3_sink import Sink

PART, LINES = 16 << 20, 4


def plain_upload(sink, data, signed):
    """Seconds."""
    begun = time.perf_counter()
    first = http.client.HTTPConnection("127.0.0.1", sink.port)
    first.request("POST", "/sink/plain?uploads=", headers={"Content-Length": "0"})
    upload = first.getresponse().read().decode().partition("<UploadId>")[2].partition("<")[0]

    def line(n):
        connection = http.client.HTTPConnection("127.0.0.1", sink.port)
        for at in range(n * PART, len(data), LINES * PART):
            part = memoryview(data)[at:at + PART]
            hashed = hashlib.sha256(part).hexdigest() if signed else "UNSIGNED-PAYLOAD"
            connection.request("PUT", f"/sink/plain?partNumber={at // PART + 1}&uploadId={upload}", part, {"x-amz-content-sha256": hashed})
            reply = connection.getresponse()
            reply.read()
            assert reply.status == 200, reply.status
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(LINES) as pool:
        list(pool.map(line, range(LINES)))
    first.request("POST", f"/sink/plain?uploadId={upload}", b"<CompleteMultipartUpload/>")
    reply = first.getresponse()
    reply.read()
    assert reply.status == 200, reply.status
    first.close()
    return time.perf_counter() - begun


def push(worker, number, data):
    before = cpu_s(worker)
    seconds = push_blob(worker.port, f"bench/push{number}", data)
    return seconds, (cpu_s(worker) - before) * 1000 / (len(data) / 1e9)


def sha256_ms(data):
    begun = time.perf_counter()
    hashlib.sha256(data).hexdigest()
    return (time.perf_counter() - begun) * 1000 / (len(data) / 1e9)


def measure(args, line, folder):
    data = os.urandom(1 << 20) * args.size
    median = statistics.median
    with contextlib.ExitStack() as ends:
        sink = ends.enter_context(Sink(*([f"mib-per-second={line}"] if line else [])))
        workers = []
        for n, build in enumerate(args.builds):
            workers.append(start_ours(folder, build, f"w{line}-{n}", free_port(), sink.environment()).wait())
            ends.callback(workers[-1].stop)
        plain, pushes, hashes = {True: [], False: []}, [[] for _ in workers], []
        for number in range(args.rounds + 1):
            fresh = data[:-8] + os.urandom(8)
            for signed in (True, False):
                plain[signed].append(plain_upload(sink, fresh, signed))
            hashes.append(sha256_ms(fresh))
            for worker, seen in zip(workers, pushes):
                seen.append(push(worker, number, fresh[:-8] + os.urandom(8)))
        # The first of each is not counted.
        told = {signed: median(seen[1:]) * 1000 for signed, seen in plain.items()}
        print(f"{args.size} MiB, line {line or 'free'}: plain signed {told[True]:.0f} ms, unsigned {told[False]:.0f} ms; sha256 {median(hashes[1:]):.0f} ms/GB", flush=True)
        for build, seen in zip(args.builds, pushes):
            ms, cpu = (median(column) for column in zip(*seen[1:]))
            print(f"    {build}: {ms * 1000:.0f} ms, {told[True] / ms / 1000:.2f} x of plain signed, {told[False] / ms / 1000:.2f} x of unsigned; "
                  f"processor {cpu:.0f} ms/GB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("builds", nargs="+", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=256, help="MiB")
    parser.add_argument("--line", nargs="+", type=int, default=[0, 400], help="MiB/s")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="zot-bench-"))
    try:
        for line in args.line:
            measure(args, line, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
