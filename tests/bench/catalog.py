#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a page of the catalog costs where it is put together of three members' storage, against that of one worker which has all of it.

    python3 tests/bench/catalog.py [--build build/release] [--repositories 100000] [--n 100] [--rounds 5] [--seconds 3] [--most 0]

Prints medians: pages a second over 64 connections, processor time of all servers for one page, and how long a page takes over one connection, where nothing else waits. Pages are
spread over the whole catalog. Ends with status 1 where three members need more than --most times the time of one, over 64 connections or over one. The stores are made in memory where there is enough of it. Needs wrk (Debian package).
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

from bench import free_port, request, start_ours
from hop import measure, wrk

PAGES = """
local n = 0
request = function()
  n = (n + 7919) %% %d
  return wrk.format("GET", string.format("/v2/_catalog?n=%d&last=team%%02d/app-%%06d", n %% 100, n))
end
"""
INDEX = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
HASH_KEY = b"loremipsumdolors"
WALKS = ["import", "sweep", "weigh"]
BYTES_EACH = 12 << 10  # of a repository on a tmpfs


def make_store(store, names):
    """Repositories as a store has them; all are of the catalog."""
    catalog = store / "_catalog"
    catalog.mkdir(parents=True)
    for team in sorted({name.partition("/")[0] for name in names}):
        (store / team).mkdir()
    at, listed = os.open(store, os.O_PATH), os.open(catalog, os.O_PATH)

    def write(path, text, folder):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=folder)
        os.write(fd, text)
        os.close(fd)

    for name in names:
        os.mkdir(name, dir_fd=at)
        write(f"{name}/index.json", INDEX, at)
        write(f"{name}/oci-layout", LAYOUT, at)
        write("".join(c if c > "/" else f"%{ord(c):02X}" for c in name), b"", listed)
    (catalog / ".imported").write_text(str(int(time.time())))  # nobody walks through it meanwhile


def siphash(key, data):
    """SipHash-2-4: of members of a static cluster it says who owns a name (proto/ring.h)."""
    mask = (1 << 64) - 1
    k0, k1 = struct.unpack("<2Q", key)
    a, b, c, d = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573
    data += bytes(-(len(data) + 1) % 8) + bytes([len(data) & 255])
    for word in [*struct.unpack(f"<{len(data) // 8}Q", data), None]:
        if word is None:
            c ^= 255
        else:
            d ^= word
        for _ in range(4 if word is None else 2):
            a = (a + b) & mask
            c = (c + d) & mask
            b = (b << 13 & mask | b >> 51) ^ a
            d = (d << 16 & mask | d >> 48) ^ c
            a = a << 32 & mask | a >> 32
            c = (c + b) & mask
            a = (a + d) & mask
            b = (b << 17 & mask | b >> 47) ^ c
            d = (d << 21 & mask | d >> 43) ^ a
            c = c << 32 & mask | c >> 32
        if word is not None:
            a ^= word
    return a ^ b ^ c ^ d


def make(stores, count):
    """Each repository at its owner: one that lies elsewhere would be moved there. The names of each store."""
    whose = [[] for _ in stores]
    for name in (f"team{n % 100:02}/app-{n:06}" for n in range(count)):
        whose[siphash(HASH_KEY, name.encode()) % len(stores) if len(stores) > 1 else 0].append(name)
    for store, names in zip(stores, whose):
        make_store(store, names)
    return whose


def settle(worker, seconds=60):
    """What walks through all of a store when a worker starts is no part of a page: it has ended once."""
    end = time.monotonic() + seconds
    while True:
        text = request(worker.port, "GET", "/metrics")[2].decode()
        if all(re.search(rf'^zot_chore_runs_total{{chore="{chore}"}} [1-9]', text, re.M) for chore in WALKS):
            return
        assert time.monotonic() < end, text
        time.sleep(0.1)


def place(count):
    """In memory, if there is enough: a million small files of a disk take minutes to be made and to be removed, and pages of the catalog are read from the worker's memory."""
    memory = pathlib.Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 4 * count * BYTES_EACH else None


def start(folder, build, what, stores, n):
    ports = [free_port() for _ in stores]
    cluster = {"ZOT_CLUSTER_MEMBERS": ",".join(f"127.0.0.1:{port}" for port in ports), "ZOT_CLUSTER_HASH_KEY": HASH_KEY.decode(),
               "ZOT_CLUSTER_SECRET": os.urandom(32).hex(), "ZOT_CLUSTER_ISOLATED": "true"} if len(stores) > 1 else {}
    workers = [start_ours(folder, build, f"{what}{at}", port, {"ZOT_STORAGE_ROOT": str(store), **cluster}) for at, (port, store) in enumerate(zip(ports, stores))]
    for worker in workers:
        worker.wait()
    for worker in workers:
        settle(worker)
    # A page anywhere is whole; and the names are read now.
    for worker in workers:
        status, _, body = request(worker.port, "GET", f"/v2/_catalog?n={n}&last=team33/")
        found = json.loads(body)["repositories"] if status == 200 else []
        assert len(found) == n and found[0].startswith("team33/app-"), (status, len(found), body[:200])
    return workers


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--repositories", type=int, default=100000)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--most", type=float, default=0)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="zot-bench-", dir=place(args.repositories)))
        stack.callback(subprocess.run, ["rm", "-rf", str(folder)])
        one, three = [folder / "all"], [folder / f"part{n}" for n in range(3)]
        with concurrent.futures.ProcessPoolExecutor(2) as pool:
            for made in [pool.submit(make, stores, args.repositories) for stores in (one, three)]:
                made.result()
        script = folder / "pages.lua"
        script.write_text(PAGES % (args.repositories, args.n))
        found = {}
        ways = {"one worker": start(folder, args.build, "one", one, args.n), "three members": start(folder, args.build, "member", three, args.n)}
        for workers in ways.values():
            for worker in workers:
                stack.callback(worker.stop)
        for _ in range(args.rounds):
            for way, workers in ways.items():
                url = f"http://127.0.0.1:{workers[0].port}/v2/_catalog"
                alone = 1e6 / wrk(url, args.seconds, "-c1", "-s", str(script))[0]
                found.setdefault(way, []).append((*measure(url, args.seconds, workers, "-s", str(script)), alone))
        rate, cost, alone = ({way: statistics.median(row[at] for row in rows) for way, rows in found.items()} for at in range(3))
        for way in ways:
            print(f"{way}: {rate[way]:.0f} pages a second, {cost[way]:.0f} us of processor time for each; over one connection {alone[way]:.0f} us")
        slower, dearer, later = (many["three members"] / many["one worker"] for many in ({way: 1 / each for way, each in rate.items()}, cost, alone))
        print(f"three members need {slower:.2f} times the time and {dearer:.2f} times the processor time of one; over one connection {later:.2f} times the time")
        sys.exit(bool(args.most) and max(slower, later) > args.most)


if __name__ == "__main__":
    main()
