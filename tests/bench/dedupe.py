#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What storage.dedupe costs, or gains: one worker with and without it, in turns of one run.

    python3 tests/bench/dedupe.py [--build build/release] [--rounds 9] [--most 3]

Each push is a new blob to one repository, but for "again": the same bytes to another. Prints medians of the time of a push or pull and of the
worker's processor time, and ON / OFF. Ends with status 1 if the processor time of something but "again" grew by more than --most percent.
"""
import argparse
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from registry import await_true, free_port  # noqa: E402

# Name, bytes, pushes of a round.
SIZES = (("1 KiB", 1 << 10, 60), ("100 KiB", 100 << 10, 60), ("1 MiB", 1 << 20, 30), ("64 MiB", 64 << 20, 2))


class Worker:
    """One process, whose repositories below on/ and off/ lie in folders of their own: two processes would differ by more than what is measured."""

    def __init__(self, build, folder):
        self.port = free_port()
        subs = {f"/{name}": {"rootDirectory": str(folder / name), "dedupe": name == "on"} for name in ("on", "off")}
        self.process = subprocess.Popen([build / "worker/zot-worker", "serve"], stderr=subprocess.DEVNULL, env={
            "PATH": os.environ["PATH"], "PORT": str(self.port), "ZOT_WORKER_ADDRESS": "127.0.0.1", "ZOT_SUBPATHS": json.dumps(subs),
            "ZOT_STORAGE_ROOT": str(folder / "store"), "ZOT_WORKER_DATA": str(folder / "data"), "CLUSTER_DRAIN_DELAY": "0"})
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        await_true(self.is_there)

    def is_there(self):
        try:
            return self.call("GET", "/v2/")[0] == 200
        except OSError:
            self.connection.close()
            return False

    def call(self, method, path, body=None):
        self.connection.request(method, path, body)
        reply = self.connection.getresponse()
        return reply.status, reply.read(), reply.headers

    def cpu(self):
        return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()) / 1e6

    def push(self, name, data):
        status, _, _ = self.call("POST", f"/v2/{name}/blobs/uploads/?digest=sha256:{hashlib.sha256(data).hexdigest()}", data)
        assert status == 201, status

    def pull(self, name, data):
        status, body, _ = self.call("GET", f"/v2/{name}/blobs/sha256:{hashlib.sha256(data).hexdigest()}")
        assert status == 200 and body == data

    def measure(self, work):
        before, begun = self.cpu(), time.monotonic()
        work()
        return (time.monotonic() - begun) * 1000, self.cpu() - before


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--most", type=float, default=3)
    parser.add_argument("--sizes", nargs="*", default=[size for size, _, _ in SIZES], help="of: " + ", ".join(size for size, _, _ in SIZES))
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="zot-bench-"))
    worker, sides = Worker(options.build, folder), ("off", "on")
    found, bad = {}, False
    try:
        # The 256 folders of the index are made once in the life of a store.
        for n in range(1500):
            for side in sides:
                worker.push(f"{side}/first", n.to_bytes(4, "big") * 17000)
        for turn in range(options.rounds + 1):
            for size, length, count in SIZES:
                if size not in options.sizes:
                    continue
                datas = [os.urandom(length) for _ in range(count)]
                for row, name, verb in (("push", "r", worker.push), ("again", "s", worker.push), ("pull", "r", worker.pull)):
                    # Blob by blob, each time another one first: what else the machine does meets both.
                    for n, data in enumerate(datas):
                        for side in sorted(sides, reverse=n % 2 == 0):
                            cost = worker.measure(lambda: verb(f"{side}/{name}{turn}", data))
                            if turn:  # the first warms up
                                found.setdefault((size, row), {}).setdefault(side, []).append(cost)
        print(f"{'':16}{'time ms':>9} off{'on':>9}{'on/off':>8}{'cpu ms':>10} off{'on':>9}{'on/off':>8}")
        for (size, row), values in found.items():
            wall = {n: statistics.median(v[0] for v in values[n]) for n in values}
            cpu = {n: statistics.median(v[1] for v in values[n]) for n in values}
            print(f"{row + ' ' + size:16}{wall['off']:13.3f}{wall['on']:9.3f}{wall['on'] / wall['off']:8.3f}"
                  f"{cpu['off']:14.3f}{cpu['on']:9.3f}{cpu['on'] / cpu['off']:8.3f}")
            bad |= row != "again" and cpu["on"] > cpu["off"] * (1 + options.most / 100)
        for name in sides:
            used = subprocess.run(["du", "-sm", folder / name], capture_output=True, text=True, check=True).stdout.split()[0]
            print(f"{name}: {used} MB on the disk")
    finally:
        worker.process.terminate()
        worker.process.wait()
        shutil.rmtree(folder)
    return bad


if __name__ == "__main__":
    sys.exit(main())
