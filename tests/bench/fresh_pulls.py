#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pulls right after pushes: is a layer that was just pushed read from the disk? Builds of ours in turn.

    python3 tests/bench/fresh_pulls.py BUILD... [--rounds 9] [--sizes 1 10 100]

For each size in MB: the push (MB/s, and processor time of the worker in ms), the first pull, the second one, and how much of the first was read from
the disk (/proc/PID/io of the worker). Medians. Put it in a cgroup with MemoryMax to see a store that is larger than memory:

    systemd-run --scope -p MemoryMax=300M python3 tests/bench/fresh_pulls.py BUILD... --rounds 9 --sizes 100 --keep
"""
import argparse
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile

from bench import digest, free_port, request, start_ours
from builds import cpu_s


def pull(port, path):
    """Milliseconds of a client that throws the bytes away."""
    out = subprocess.run(["curl", "-sf", "-o", "/dev/null", "-w", "%{time_total} %{time_connect}", f"http://127.0.0.1:{port}{path}"],
                         capture_output=True, text=True, check=True).stdout.split()
    return (float(out[0]) - float(out[1])) * 1000


def push(folder, port, name, data):
    """Seconds of the PUT alone, by a process of its own."""
    (folder / "layer").write_bytes(data)
    status, headers, _ = request(port, "POST", f"/v2/{name}/blobs/uploads/")
    assert status == 202, status
    where = re.sub(r"^https?://[^/]+", "", headers["location"]) + "?digest=" + digest(data)
    out = subprocess.run(["curl", "-sf", "-o", "/dev/null", "-w", "%{time_total}", "-T", str(folder / "layer"), "-H", "Expect:",
                          f"http://127.0.0.1:{port}{where}"], capture_output=True, text=True, check=True).stdout
    return float(out)


def read_from_disk(server):
    return int(re.search(r"^read_bytes: (\d+)", pathlib.Path(f"/proc/{server.process.pid}/io").read_text(), re.M)[1])


def measure(folder, server, size, keep):
    data = os.urandom(size)
    path = f"/v2/bench/fresh/blobs/{digest(data)}"
    pull(server.port, "/v2/")
    cpu, seconds = cpu_s(server), push(folder, server.port, "bench/fresh", data)
    cpu = cpu_s(server) - cpu
    disk = read_from_disk(server)
    first = pull(server.port, path)
    disk = read_from_disk(server) - disk
    second = pull(server.port, path)
    if not keep:
        assert request(server.port, "DELETE", path)[0] == 202
    return size / 1e6 / seconds, cpu * 1000, first, second, disk / size * 100


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("builds", nargs="+", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sizes", type=float, nargs="+", default=[1, 10, 100])
    parser.add_argument("--keep", action="store_true", help="blobs stay in the store")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="zot-bench-"))
    servers = {}
    try:
        for build in args.builds:
            (folder / str(len(servers))).mkdir()
            servers[build] = start_ours(folder / str(len(servers)), build, "ours", free_port()).wait()
        for size in args.sizes:
            seen = {build: [] for build in args.builds}
            for _ in range(args.rounds):
                for build, server in servers.items():
                    seen[build].append(measure(folder, server, int(size * 1e6), args.keep))
            for build in args.builds:
                rate, cpu, first, second, disk = (statistics.median(column) for column in zip(*seen[build]))
                print(f"{size:g} MB, {build}: push {rate:.0f} MB/s, {cpu:.1f} ms of processor; first pull {first:.2f} ms, second {second:.2f} ms "
                      f"({first / second:.2f} x), {disk:.0f} % of the first from the disk", flush=True)
    finally:
        for server in servers.values():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
