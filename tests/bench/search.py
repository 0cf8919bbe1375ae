#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a page of a search costs where the repositories are three members', against that of one worker which has all of them.

    python3 tests/bench/search.py [--build build/release] [--repositories 10000] [--images 10] [--questions 300]

Prints how long the metadata take to be derived, all of them and nothing kept; then, for each kind of page, over one connection: median and p99 of its time and the
processor time of all servers; at the end the most memory that a worker had. Ways take turns. The stores are made in memory where there is enough of it.
"""
import argparse
import concurrent.futures
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import time
import urllib.parse

import catalog
from bench import free_port, start_ours
from hop import cpu_s
from writes import rss_mib

MANIFEST, CONFIG = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json"
LAYER, TAG = "application/vnd.oci.image.layer.v1.tar", "org.opencontainers.image.ref.name"
SUMMARY = "Name LastUpdated Size Platforms{Os Arch} Vendors DownloadCount StarCount IsStarred IsBookmarked NewestImage{RepoName Tag Digest Vendor Title IsSigned Manifests{Digest Size}}"
PAGES = {
    "GlobalSearch, a page of 20 of the first 480": ('{GlobalSearch(query:"app-",requestedPage:{limit:20 offset:%d sortBy:RELEVANCE}){Page{TotalCount ItemCount} Repos{' + SUMMARY + "}}}", 0.048),
    "GlobalSearch, newest first, any page of 20": ('{GlobalSearch(query:"",requestedPage:{limit:20 offset:%d sortBy:UPDATE_TIME}){Page{TotalCount ItemCount} Repos{' + SUMMARY + "}}}", 1),
    "RepoListWithNewestImage, a page of 20 of the first 480": ("{RepoListWithNewestImage(requestedPage:{limit:20 offset:%d sortBy:UPDATE_TIME}){Page{TotalCount ItemCount} Results{" + SUMMARY + "}}}", 0.048),
    "RepoListWithNewestImage, any page of 20": ("{RepoListWithNewestImage(requestedPage:{limit:20 offset:%d sortBy:ALPHABETIC_ASC}){Page{TotalCount ItemCount} Results{" + SUMMARY + "}}}", 1),
}
BYTES_EACH = 12 << 10  # of a repository, and of each image in it, on a tmpfs


def link(kind, data, **more):
    return {"mediaType": kind, "digest": "sha256:" + hashlib.sha256(data).hexdigest(), "size": len(data), **more}


def fill(store, name, images):
    """Images of this repository: one config, one layer that is nowhere, since nobody reads it."""
    blobs, listed = store / name / "blobs/sha256", []
    blobs.mkdir(parents=True)
    for n in range(images):
        day = random.Random(f"{name}:{n}").randrange(1, 29)
        config = json.dumps({"os": "linux", "architecture": "amd64", "created": f"2024-{1 + n % 12:02}-{day:02}T00:00:00Z", "config": {"Labels": {"of": name}}}).encode()
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": link(CONFIG, config), "layers": [link(LAYER, f"{name} {n // 2}".encode())],
                               "annotations": {"org.opencontainers.image.vendor": name.partition("/")[0]}}).encode()
        for blob in (config, manifest):
            (blobs / hashlib.sha256(blob).hexdigest()).write_bytes(blob)
        listed.append(link(MANIFEST, manifest, annotations={TAG: f"v{n}"}))
    (store / name / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": listed}))


def make(stores, repositories, images):
    for store, names in zip(stores, catalog.make(stores, repositories)):
        for name in names:
            fill(store, name, images)


def start(folder, build, what, stores):
    ports = [free_port() for _ in stores]
    cluster = {"ZOT_CLUSTER_MEMBERS": ",".join(f"127.0.0.1:{port}" for port in ports), "ZOT_CLUSTER_HASH_KEY": catalog.HASH_KEY.decode(),
               "ZOT_CLUSTER_SECRET": os.urandom(32).hex(), "ZOT_CLUSTER_ISOLATED": "true"} if len(stores) > 1 else {}
    workers = [start_ours(folder, build, f"{what}{at}", port, {"ZOT_STORAGE_ROOT": str(store), "ZOT_SEARCH": "true", **cluster}) for at, (port, store) in enumerate(zip(ports, stores))]
    for worker in workers:
        worker.wait()
    return workers


class Client:
    def __init__(self, port):
        self.line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, query):
        self.line.request("GET", "/v2/_zot/ext/search?query=" + urllib.parse.quote(query))
        reply = self.line.getresponse()
        text = reply.read()
        assert reply.status == 200, (reply.status, text[:500])
        return json.loads(text)


def derive(client, repositories, images, seconds=600):
    """Until everything is there."""
    begun = time.monotonic()
    while True:
        told = client.ask('{RepoListWithNewestImage(requestedPage:{limit:1}){Page{TotalCount}} ImageList(repo:"",requestedPage:{limit:1}){Page{TotalCount}}}')
        if "errors" not in told and [told["data"][each]["Page"]["TotalCount"] for each in ("RepoListWithNewestImage", "ImageList")] == [repositories, repositories * images]:
            return time.monotonic() - begun
        assert time.monotonic() < begun + seconds, str(told)[:500]
        time.sleep(0.1)


def measure(client, workers, page, repositories, questions, seed):
    query, part = PAGES[page]
    dice, took = random.Random(seed), []
    before = cpu_s(workers)
    for _ in range(questions):
        offset = dice.randrange(max(1, int(part * repositories) - 20))
        begun = time.perf_counter()
        told = client.ask(query % offset)
        took.append(time.perf_counter() - begun)
        found = next(iter(told["data"].values()))
        assert "errors" not in told and found["Page"]["TotalCount"] == repositories and len(found.get("Repos") or found.get("Results")) == 20, str(told)[:500]
    return took, (cpu_s(workers) - before) / questions


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--repositories", type=int, default=10000)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--questions", type=int, default=300, help="of each kind and way, in each of three turns")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="zot-bench-", dir=catalog.place(args.repositories * (1 + args.images))))
        stack.callback(subprocess.run, ["rm", "-rf", str(folder)])
        stores = {"one worker": [folder / "all"], "three members": [folder / f"part{n}" for n in range(3)]}
        with concurrent.futures.ProcessPoolExecutor(2) as pool:
            for made in [pool.submit(make, each, args.repositories, args.images) for each in stores.values()]:
                made.result()
        ways, clients = {}, {}
        for way, each in stores.items():
            begun = time.monotonic()
            ways[way] = start(folder, args.build, way.partition(" ")[0], each)
            for worker in ways[way]:
                stack.callback(worker.stop)
            clients[way] = Client(ways[way][0].port)
            derive(clients[way], args.repositories, args.images)
            print(f"{way}: {args.repositories} repositories, {args.repositories * args.images} images derived {time.monotonic() - begun:.1f} s after the start, {cpu_s(ways[way]):.1f} s of processor time", flush=True)
        for page in PAGES:
            found = {way: ([], []) for way in ways}
            for turn in range(3):
                for way, workers in ways.items():
                    took, cost = measure(clients[way], workers, page, args.repositories, args.questions, turn)
                    found[way][0].extend(took)
                    found[way][1].append(cost)
            print(page)
            for way, (took, costs) in found.items():
                took.sort()
                print(f"  {way}: median {1e3 * statistics.median(took):.2f} ms, p99 {1e3 * took[int(0.99 * len(took))]:.2f} ms, {1e6 * statistics.median(costs):.0f} us of processor time each", flush=True)
        for way, workers in ways.items():
            print(f"{way}: at most {max(rss_mib(worker)['VmHWM'] for worker in workers)} MiB of memory")


if __name__ == "__main__":
    main()
