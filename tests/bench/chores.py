#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do chores delay requests? p99 of manifest GET and PUT and of 1 MiB pushes while chores walk a large folder without a pause, and without.

    build/venv/bin/python tests/bench/chores.py [--build build/release] [--repositories 10000] [--blobs 100000] [--rounds 5] [--requests 1000]

The load: the import begins anew as soon as it has ended, and the sweep, which reads each folder of blobs, is made to run at the start. A
worker with it and one without take turns on one folder; medians of the rounds are compared.
"""
import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

import requests

TESTS = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "flow")]


def make(store, repositories, blobs):
    """As zot would have left them."""
    for n in range(repositories):
        folder = store / f"team{n // 100}" / f"app{n}"
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": []}))
        for blob in range(blobs // repositories):
            (folder / "blobs/sha256" / f"{n:032x}{blob:032x}").touch()


def p99(times):
    return sorted(times)[int(len(times) * 0.99)] * 1000


def timed(n, question):
    times = []
    for i in range(n):
        begun = time.perf_counter()
        question(i)
        times.append(time.perf_counter() - begun)
    return p99(times)


class Client:
    def __init__(self, worker, mark):
        self.worker, self.mark, self.session = worker, mark, requests.Session()

    def get(self, _):
        reply = self.session.get(f"{self.worker.url}/v2/bench/manifests/first")
        assert reply.status_code == 200, reply.text

    def put(self, i):
        body = image(b"layer", annotations={"n": f"{self.mark}-{i}"})
        reply = self.session.put(f"{self.worker.url}/v2/bench/manifests/t{i % 50}", data=body, headers={"Content-Type": MANIFEST})
        assert reply.status_code == 201, reply.text

    def push(self, i):
        data = os.urandom(1 << 20)
        reply = self.session.post(f"{self.worker.url}/v2/bench/blobs/uploads/", params={"digest": digest(data)}, data=data)
        assert reply.status_code == 201, reply.text


def imports(worker):
    """Runs that have ended."""
    text = requests.get(worker.url + "/metrics").text
    return int(next(line.split()[-1] for line in text.splitlines() if line.startswith('zot_chore_runs_total{chore="import"}')))


def measure(folder, mark, number, **settings):
    with Worker(folder=folder, ZOT_LOG_LEVEL="warn", **settings) as worker:
        worker.push("bench", "first")
        # The first look, which is the only one of who has none.
        await_true(lambda: imports(worker), seconds=600)
        client = Client(worker, mark)
        client.get(0)
        figures = {"GET manifest": timed(number, client.get), "PUT manifest": timed(number, client.put),
                   "push 1 MiB": timed(number // 10, client.push)}
        return figures, imports(worker)


def with_chores(folder, mark, number):
    (folder / "store/_catalog/.swept").unlink(missing_ok=True)
    return measure(folder, mark, number, ZOT_IMPORT_EVERY="1ms")


def without(folder, mark, number):
    return measure(folder, mark, number, ZOT_IMPORT_EVERY="0")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--repositories", type=int, default=10000)
    parser.add_argument("--blobs", type=int, default=100000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1000)
    arguments = parser.parse_args()
    os.environ["ZOT_BUILD"] = str(pathlib.Path(arguments.build).resolve())
    global MANIFEST, Worker, await_true, digest, image
    from registry import MANIFEST, await_true, digest, image
    from worker_process import Worker
    with tempfile.TemporaryDirectory(prefix="zot-bench-") as top:
        folder = pathlib.Path(top)
        make(folder / "store", arguments.repositories, arguments.blobs)
        without(folder, "warm", 100)
        rounds = {with_chores: [], without: []}
        for n in range(arguments.rounds):
            for kind in rounds:
                figures, runs = kind(folder, f"{kind.__name__}{n}", arguments.requests)
                rounds[kind].append(figures)
                print(f"{kind.__name__:12} {runs:5} imports", {k: f"{v:.2f} ms" for k, v in figures.items()}, flush=True)
        for name in rounds[without][0]:
            loaded, idle = (statistics.median(figures[name] for figures in rounds[kind]) for kind in rounds)
            print(f"{name:14} p99 {idle:8.2f} ms without chores, {loaded:8.2f} ms with: {loaded / idle:.2f} x")


if __name__ == "__main__":
    main()
