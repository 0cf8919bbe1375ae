#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What questions of a search cost (metadata.c), and what a push costs more where it is on.

    python3 tests/bench/metadata.py [--build build/release] [--repositories 10000] [--images 10] [--questions 500] [--pushes 2000] [--folder /dev/shm] [--only questions|pushes]

pushes: manifests, one after the other over one connection, into repositories of ten tags; turns with and without ZOT_SEARCH, the median of each.
"""
import argparse
import hashlib
import http.client
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "flow")]
IMAGE = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


def ask(build, arguments):
    libraries = [build / f"{path}.a" for path in (
        "worker/metadata/libzot_worker_metadata", "worker/trust/libzot_worker_trust", "worker/registry/libzot_worker_registry", "worker/index/libzot_worker_index",
        "worker/storage/libzot_worker_storage", "s3/libzot_s3", "proto/libzot_proto", "common/libzot_sqlite", "common/libzot_common")]
    needs = subprocess.run(["pkg-config", "--libs", "libcurl", "openssl", "jansson", "sqlite3", "zlib"], check=True, capture_output=True, text=True).stdout.split()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        program = pathlib.Path(folder) / "metadata"
        subprocess.run(["cc", "-D_GNU_SOURCE", "-O2", "-I", HERE.parent.parent, "-o", program, HERE / "metadata.c", "-Wl,--start-group", *libraries,
                        "-Wl,--end-group", *needs, "-lmsgpackc", "-lpthread", "-lm", "-lcrypt"], check=True)
        subprocess.run([program, pathlib.Path(folder) / "store", str(arguments.repositories), str(arguments.images), str(arguments.questions)], check=True)


def processor_time(worker):
    fields = pathlib.Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def push_all(worker, pushes, turn):
    """Seconds for so many manifests, and how many of these the worker's threads worked."""
    config = b'{"os": "linux", "architecture": "amd64"}'
    link = {"mediaType": CONFIG, "digest": "sha256:" + hashlib.sha256(config).hexdigest(), "size": len(config)}
    for n in range(10):
        worker.push_blob(f"r{n}", config)
    line = http.client.HTTPConnection("127.0.0.1", worker.port)
    worked, began = processor_time(worker), time.perf_counter()
    for n in range(pushes):
        body = json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "config": link, "layers": [], "annotations": {"n": f"{turn} {n}"}})
        line.request("PUT", f"/v2/r{n % 10}/manifests/t{n % 100}", body, {"Content-Type": IMAGE})
        reply = line.getresponse()
        assert reply.status == 201, reply.read()
        reply.read()
    return time.perf_counter() - began, processor_time(worker) - worked


def compare_pushes(pushes, where):
    from worker_process import Worker
    took = {False: [], True: []}
    for turn in range(6):
        for on in (False, True):
            with tempfile.TemporaryDirectory(dir=where) as folder, Worker(folder=folder, ZOT_SEARCH="true" if on else "false", ZOT_LOG_LEVEL="warn") as worker:
                took[on].append(push_all(worker, pushes, turn))
    for at, what in enumerate(("elapsed", "processor")):
        off, on = (statistics.median(turn[at] for turn in took[key]) for key in (False, True))
        print(f"{pushes} manifests, {what}: {off:.2f} s without, {on:.2f} s with, {100 * (on - off) / off:+.1f} % ({1e6 * (on - off) / pushes:+.0f} us each)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--repositories", type=int, default=10000)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--pushes", type=int, default=2000)
    parser.add_argument("--folder", default="/dev/shm", help="where the pushes go")
    parser.add_argument("--only", choices=("questions", "pushes"))
    arguments = parser.parse_args()
    os.environ["ZOT_BUILD"] = str(arguments.build.resolve())
    if arguments.only != "pushes":
        ask(arguments.build.resolve(), arguments)
    if arguments.only != "questions":
        compare_pushes(arguments.pushes, arguments.folder)


if __name__ == "__main__":
    main()
