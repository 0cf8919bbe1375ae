#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The owner of a repository is killed (-9): how long until a push to it, and a pull from it, goes well again.

    python3 tests/bench/owner_kill.py [BUILD] [--rounds 20] [--store fs moto] [--lease-ms 2000] [--median-ms 1000]

A leader and three workers on one folder, or one bucket (moto), HAProxy before them as in deploy/haproxy.cfg. Each round four clients begin at the kill and ask again as soon as an
answer is no good: an image is pushed (a blob that is new, and its manifest), and one is pulled, at another worker and at HAProxy. Each request has a connection of its own and 30 s.
Prints median and worst of what passed from the kill to the end of the first that went well, and how many did not before it. Ends with status 1 where a median is above --median-ms.
"""
import argparse
import concurrent.futures
import functools
import os
import pathlib
import statistics
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / folder) for folder in ("system", "")]

WAYS = ["push, at a worker", "pull, at a worker", "push, at HAProxy", "pull, at HAProxy"]


def first_good(killed, call):
    """Milliseconds from the kill, and how many failed before."""
    import requests
    failed = 0
    while True:
        try:
            if call():
                return (time.monotonic() - killed) * 1000, failed
        except requests.RequestException:
            pass
        failed += 1
        assert time.monotonic() - killed < 60, "nothing goes well for a minute"
        time.sleep(0.005)


def play(store, rounds, lease_ms):
    import requests
    from cluster import Cluster
    from registry import MANIFEST, await_true, digest, image

    seen = {way: [] for way in WAYS}
    with Cluster(store=store, lease_ms=lease_ms) as cluster, concurrent.futures.ThreadPoolExecutor(len(WAYS)) as pool:
        for n in range(rounds):
            name = f"killed/app{n}"
            owner = cluster.owner_of(name)
            other = next(worker for worker in cluster.workers if worker is not owner)
            body = cluster.push(name, "v1", other)
            before = [cluster.owner_of(name).call("GET", f"/v2/{name}/manifests/v1").content, other.call("GET", f"/v2/{name}/manifests/v1").content]
            assert before == [body, body]

            def ask(at, method, path, **more):
                return requests.request(method, at.url + path, auth=(cluster.user, cluster.password), timeout=30, **more)

            def pull(at):
                manifest = ask(at, "GET", f"/v2/{name}/manifests/v1", headers={"Accept": MANIFEST})
                layer = ask(at, "GET", f"/v2/{name}/blobs/{digest(b'layer')}")
                assert manifest.status_code != 200 or manifest.content == body
                assert layer.status_code != 200 or layer.content == b"layer"
                return manifest.status_code == layer.status_code == 200

            def push(at):
                layer = os.urandom(2000)
                begun = ask(at, "POST", f"/v2/{name}/blobs/uploads/")
                if begun.status_code != 202:
                    return False
                where = begun.headers["Location"]
                where += ("&" if "?" in where else "?") + "digest=" + digest(layer)
                if ask(at, "PUT", where, data=layer).status_code != 201:
                    return False
                if ask(at, "PUT", f"/v2/{name}/manifests/{at.name}", data=image(layer), headers={"Content-Type": MANIFEST}).status_code != 201:
                    return False
                pushed[at.name] = image(layer)
                return True

            pushed = {}
            owner.kill()
            killed = time.monotonic()
            what = {way: (push if way.startswith("push") else pull, cluster.front if "HAProxy" in way else other) for way in WAYS}
            found = {way: pool.submit(first_good, killed, functools.partial(*args)) for way, args in what.items()}
            for way, future in found.items():
                seen[way].append(future.result())
            # While the owner is away each of the others may believe what it saw for a lease (docs/decisions/0003).
            for tag, wanted in pushed.items():
                await_true(lambda: other.call("GET", f"/v2/{name}/manifests/{tag}").content == wanted, lease_ms / 1000 + 1, f"{name}:{tag} at {other.name}")
            cluster.wait_active(2)  # its lease is over: until then it counts, and what starts is not let in
            owner.start()
            cluster.wait_active(3)
            await_true(lambda: cluster.is_up_at_haproxy(owner), 30, "the owner at HAProxy")
    return seen


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("build", nargs="?", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--store", nargs="+", default=["fs"])
    parser.add_argument("--lease-ms", type=int, default=2000)
    parser.add_argument("--median-ms", type=float, default=1000)
    args = parser.parse_args()
    os.environ["ZOT_BUILD"] = str(args.build)
    slow = False
    for store in args.store:
        print(f"{store}, {args.rounds} rounds, lease {args.lease_ms} ms", flush=True)
        for way, rows in play(store, args.rounds, args.lease_ms).items():
            times, failed = zip(*rows)
            slow |= statistics.median(times) > args.median_ms
            print(f"  {way:20} median {statistics.median(times):7.1f} ms, worst {max(times):7.1f} ms; {sum(failed)} asked in vain", flush=True)
    sys.exit(slow)


if __name__ == "__main__":
    main()
