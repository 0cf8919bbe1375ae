#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does a push on a bucket get slower with the tags that are there? One repository, one client, on a local S3 server.

    build/venv/bin/python tests/bench/tags_on_s3.py [--build build/release] [--kind moto|radosgw] [--pushes 200] [--rounds 5]
"""
import argparse
import concurrent.futures
import os
import pathlib
import statistics
import sys
import time

import requests

TESTS = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "flow"), str(TESTS / "system")]


def put(session, worker, body, tag):
    reply = session.put(f"{worker.url}/v2/many/manifests/{tag}", data=body, headers={"Content-Type": MANIFEST})
    assert reply.status_code == 201, reply.text


def fill(worker, first, last):
    """Sixteen at once: they go out together."""
    def some(part):
        session = requests.Session()
        for n in part:
            put(session, worker, image(b"layer", annotations={"n": str(n)}), f"t{n}")

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(some, [range(first + i, last, 16) for i in range(16)]))


def rate(worker, there, pushes, round):
    session = requests.Session()
    begun = time.perf_counter()
    for n in range(pushes):
        put(session, worker, image(b"layer", annotations={"n": f"{there}-{round}-{n}"}), f"r{there}-{round}-{n}")
    return pushes / (time.perf_counter() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--kind", default="moto")
    parser.add_argument("--pushes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tags", type=int, nargs="*", default=[10, 2000, 20000])
    arguments = parser.parse_args()
    os.environ["ZOT_BUILD"] = str(pathlib.Path(arguments.build).resolve())
    global MANIFEST, image
    import s3_servers
    from registry import MANIFEST, image
    from worker_process import Worker
    with s3_servers.start(arguments.kind) as server:
        settings = {k: v for k, v in server.environment().items() if not k.startswith("ZOT_")}
        with Worker(ZOT_LOG_LEVEL="warn", **settings) as worker:
            worker.push("many", "first")
            there, first = 0, None
            for tags in arguments.tags:
                fill(worker, there, tags)
                there = tags
                rates = [rate(worker, tags, arguments.pushes, n) for n in range(arguments.rounds)]
                median = statistics.median(rates)
                first = first or median
                print(f"{arguments.kind}, {tags} tags or more: {median:8.1f} pushes/s, {first / median:.2f} x of the time", flush=True)


if __name__ == "__main__":
    main()
