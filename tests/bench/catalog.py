#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a page of the catalog costs where it is put together of three members' storage, against that of one worker which has all of it.

    python3 tests/bench/catalog.py [--build build/release] [--repositories 100000] [--n 100] [--rounds 5] [--seconds 3] [--most 0]

Prints medians: pages a second, and processor time of all servers for one page. Pages are spread over the whole catalog. Ends with status 1 where three members need more
than --most times what one needs, of either. Needs wrk (Debian package).
"""
import argparse
import contextlib
import os
import pathlib
import statistics
import sys
import tempfile

from bench import free_port, start_ours
from hop import measure

PAGES = """
local n = 0
request = function()
  n = (n + 7919) %% %d
  return wrk.format("GET", string.format("/v2/_catalog?n=%d&last=team%%02d/app-%%06d", n %% 100, n))
end
"""
INDEX = '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'


def make(stores, count):
    """Repositories as a store has them, in turn; all are of the catalog."""
    for store in stores:
        (store / "_catalog").mkdir(parents=True)
    for n in range(count):
        store, name = stores[n % len(stores)], f"team{n % 100:02}/app-{n:06}"
        os.makedirs(store / name)
        (store / name / "index.json").write_text(INDEX)
        (store / name / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (store / "_catalog" / name.replace("/", "%2F")).touch()
    for store in stores:
        (store / "_catalog" / ".imported").touch()


def start(folder, build, what, stores):
    ports = [free_port() for _ in stores]
    cluster = {"ZOT_CLUSTER_MEMBERS": ",".join(f"127.0.0.1:{port}" for port in ports), "ZOT_CLUSTER_HASH_KEY": "loremipsumdolors",
               "ZOT_CLUSTER_SECRET": os.urandom(32).hex(), "ZOT_CLUSTER_ISOLATED": "true"} if len(stores) > 1 else {}
    workers = [start_ours(folder, build, f"{what}{n}", port, {"ZOT_STORAGE_ROOT": str(store), **cluster}) for n, (port, store) in enumerate(zip(ports, stores))]
    for worker in workers:
        worker.wait()
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
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zot-bench-")))
        one, three = [folder / "all"], [folder / f"part{n}" for n in range(3)]
        make(one, args.repositories)
        make(three, args.repositories)
        script = folder / "pages.lua"
        script.write_text(PAGES % (args.repositories, args.n))
        found = {}
        ways = {"one worker": start(folder, args.build, "one", one), "three members": start(folder, args.build, "member", three)}
        for workers in ways.values():
            for worker in workers:
                stack.callback(worker.stop)
        for _ in range(args.rounds):
            for way, workers in ways.items():
                found.setdefault(way, []).append(measure(f"http://127.0.0.1:{workers[0].port}/v2/_catalog", args.seconds, workers, "-s", str(script)))
        rate, cost = ({way: statistics.median(pair[at] for pair in pairs) for way, pairs in found.items()} for at in (0, 1))
        for way in ways:
            print(f"{way}: {rate[way]:.0f} pages a second, {cost[way]:.0f} us of processor time for each")
        slower, dearer = rate["one worker"] / rate["three members"], cost["three members"] / cost["one worker"]
        print(f"three members need {slower:.2f} times the time and {dearer:.2f} times the processor time of one")
        sys.exit(bool(args.most) and max(slower, dearer) > args.most)


if __name__ == "__main__":
    main()
