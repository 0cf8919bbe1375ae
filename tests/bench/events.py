# SPDX-License-Identifier: Apache-2.0
"""What events cost a push: manifests one after the other, and by 16 clients, with events off, with a sink that takes them, and with one that is away.

    ZOT_BUILD=build/release python tests/bench/events.py [folder]        folder: where storage and queue lie, default a temporary one
"""
import concurrent.futures
import json
import pathlib
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/flow")]
from event_sinks import HttpSink  # noqa: E402
from worker_process import MANIFEST, Worker, image  # noqa: E402

import requests  # noqa: E402

ONE, MANY, CLIENTS = 1000, 4000, 16


def push_many(worker, name, first, count):
    session, times = requests.Session(), []
    for n in range(first, first + count):
        body = image(b"layer", annotations={"n": f"{name} {n}"})
        begun = time.perf_counter()
        assert session.put(f"{worker.url}/v2/{name}/manifests/t{n}", data=body, headers={"Content-Type": MANIFEST}).status_code == 201
        times.append(time.perf_counter() - begun)
    return times


def measure(what, folder, **more):
    with tempfile.TemporaryDirectory(dir=folder) as own, Worker(folder=own, ZOT_LOG_LEVEL="warn", **more) as worker:
        for n in range(CLIENTS):
            worker.push(f"a/b{n}", "first")
        push_many(worker, "a/b0", 0, 100)
        times = sorted(push_many(worker, "a/b0", 1000, ONE))
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            begun = time.perf_counter()
            list(pool.map(lambda n: push_many(worker, f"a/b{n}", 5000, MANY // CLIENTS), range(CLIENTS)))
            took = time.perf_counter() - begun
        print(f"{what:24} one after the other: median {statistics.median(times) * 1e3:.2f} ms, p99 {times[int(ONE * .99)] * 1e3:.2f} ms; "
              f"{CLIENTS} clients: {MANY / took:.0f} pushes/s", flush=True)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else None
    with HttpSink() as sink:
        on = {"ZOT_EVENTS": "true", "ZOT_EVENTS_SINKS": json.dumps([{"type": "http", "address": sink.url}])}
        away = {"ZOT_EVENTS": "true", "ZOT_EVENTS_SINKS": json.dumps([{"type": "http", "address": "http://127.0.0.1:1/"}])}
        for _ in range(2):
            measure("off", folder)
            measure("a sink that is away", folder, **away)
            measure("a sink", folder, **on)


main()
