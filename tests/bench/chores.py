#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Do chores delay requests? p99 of manifest GET and PUT and of 1 MiB pushes while chores walk a large folder without a pause, and without.

    build/venv/bin/python tests/bench/chores.py [--build build/release] [--repositories 10000] [--blobs 100000] [--turns 100]

Two workers on one folder: of one the import begins anew as soon as it has ended, of the other it runs once. They take turns in slices of
some hundred ms, the other one stopped meanwhile (SIGSTOP), so that whatever else the machine does hits both alike.
"""
import argparse
import json
import os
import pathlib
import signal
import statistics
import sys
import tempfile
import time

import requests

TESTS = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "flow")]


# What became due while a worker stood still begins with its turn, and would always meet the first questions of it.
SETTLE_S = 0.1


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


class Side:
    """A worker, its client, and what it took."""

    def __init__(self, name, folder, **settings):
        self.name, self.times = name, {"GET manifest": [], "PUT manifest": [], "push 1 MiB": []}
        (folder / name).mkdir()
        self.worker = Worker(folder=folder / name, ZOT_LOG_LEVEL="warn", ZOT_STORAGE_ROOT=folder / "store", ZOT_SPOOL=folder / "store" / f".spool-{name}",
                             **settings)
        self.session, self.n = requests.Session(), 0

    def begin(self):
        self.worker.start()
        self.worker.push(self.name, "first")
        # The first look gives all their markers.
        await_true(self.imports, seconds=600)

    def imports(self):
        """Runs that have ended."""
        text = self.session.get(self.worker.url + "/metrics").text
        return int(next(line.split()[-1] for line in text.splitlines() if line.startswith('zot_chore_runs_total{chore="import"}')))

    def get(self):
        assert self.session.get(f"{self.worker.url}/v2/{self.name}/manifests/first").status_code == 200

    def put(self):
        self.n += 1
        body = image(b"layer", annotations={"n": str(self.n)})
        reply = self.session.put(f"{self.worker.url}/v2/{self.name}/manifests/t{self.n % 50}", data=body, headers={"Content-Type": MANIFEST})
        assert reply.status_code == 201, reply.text

    def push(self):
        data = os.urandom(1 << 20)
        reply = self.session.post(f"{self.worker.url}/v2/{self.name}/blobs/uploads/", params={"digest": digest(data)}, data=data)
        assert reply.status_code == 201, reply.text

    def turn(self):
        self.worker.process.send_signal(signal.SIGCONT)
        time.sleep(SETTLE_S)
        self.get()
        for name, question, number in (("GET manifest", self.get, 50), ("PUT manifest", self.put, 20), ("push 1 MiB", self.push, 4)):
            for _ in range(number):
                begun = time.perf_counter()
                question()
                self.times[name].append(time.perf_counter() - begun)
        self.worker.process.send_signal(signal.SIGSTOP)


def load():
    """When it is known of which build."""
    global MANIFEST, Worker, await_true, digest, image
    from registry import MANIFEST, await_true, digest, image
    from worker_process import Worker


def run(folder, turns, idle, busy, tell):
    sides = [Side("idle", folder, **idle), Side("busy", folder, **busy)]
    try:
        for side in sides:
            side.begin()
            side.worker.process.send_signal(signal.SIGSTOP)
        for _ in range(turns):
            for side in sides:
                side.turn()
        sides[1].worker.process.send_signal(signal.SIGCONT)
        tell(sides[1])
    finally:
        for side in sides:
            if side.worker.process:
                side.worker.process.send_signal(signal.SIGCONT)
                side.worker.stop()
    for name in sides[0].times:
        idle, busy = (p99(side.times[name]) for side in sides)
        middle = [statistics.median(side.times[name]) * 1000 for side in sides]
        print(f"{name:14} p99 {idle:8.2f} ms without chores, {busy:8.2f} ms with: {busy / idle:.2f} x"
              f"    median {middle[0]:.2f}, {middle[1]:.2f} ms: {middle[1] / middle[0]:.2f} x", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--repositories", type=int, default=10000)
    parser.add_argument("--blobs", type=int, default=100000)
    parser.add_argument("--turns", type=int, default=100)
    arguments = parser.parse_args()
    os.environ["ZOT_BUILD"] = str(pathlib.Path(arguments.build).resolve())
    load()
    with tempfile.TemporaryDirectory(prefix="zot-bench-") as top:
        folder = pathlib.Path(top)
        make(folder / "store", arguments.repositories, arguments.blobs)
        run(folder, arguments.turns, {"ZOT_IMPORT_EVERY": "0"}, {"ZOT_IMPORT_EVERY": "1ms"},
            lambda side: print(f"{side.imports()} imports beside {arguments.turns} turns"))


if __name__ == "__main__":
    main()
