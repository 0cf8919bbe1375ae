#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a collection costs: the whole of a store at once beside docker-registry's, which must not serve meanwhile, and what clients notice of ours.

    build/venv/bin/python tests/bench/gc.py [--build build/release] [--repositories 10000] [--blobs 100] [--turns 100] [--only whole|beside] [--ours] [--disk]

whole:   repositories of so many blobs each, half of which no manifest names. `zot-worker gc`, and `docker-registry garbage-collect` on a store of its own with the same: time,
         memory, and whether what went is what should have gone, to the byte.
beside:  p99 of manifest GET and PUT and of 1 MiB pushes while collections walk the store without a pause, and without (as chores.py does it).

The stores of the first are made in memory where there is enough of it.
"""
import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import tempfile
import time

import chores

IMAGE = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def manifest_of(names):
    """Of its first name the config, of the rest the layers; each has a byte."""
    return json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "config": {"mediaType": CONFIG, "digest": f"sha256:{names[0]}", "size": 1},
                       "layers": [{"mediaType": LAYER, "digest": f"sha256:{name}", "size": 1} for name in names[1:]]}).encode()


def names_of(n, blobs):
    """All of a repository; the second half is needed by nobody."""
    return [hashlib.sha256(b"%d %d" % (n, blob)).hexdigest() for blob in range(blobs)]


def write(path, text=b"x"):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, text)
    os.close(fd)


def make_ours(store, repositories, blobs):
    for n in range(repositories):
        folder = store / f"team{n // 100}" / f"app{n}"
        (folder / "blobs/sha256").mkdir(parents=True)
        names = names_of(n, blobs)
        for name in names:
            write(f"{folder}/blobs/sha256/{name}")
        body = manifest_of(names[:blobs // 2])
        own = hashlib.sha256(body).hexdigest()
        write(f"{folder}/blobs/sha256/{own}", body)
        write(folder / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        entry = {"mediaType": IMAGE, "digest": f"sha256:{own}", "size": len(body), "annotations": {"org.opencontainers.image.ref.name": "v1"}}
        write(folder / "index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())


def make_theirs(store, repositories, blobs):
    root = store / "docker/registry/v2"

    def blob(name, text=b"x"):
        folder = root / "blobs/sha256" / name[:2] / name
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / "data", text)

    def link(folder, name):
        folder.mkdir(parents=True)
        write(folder / "link", f"sha256:{name}".encode())

    for n in range(repositories):
        folder = root / "repositories" / f"team{n // 100}" / f"app{n}"
        names = names_of(n, blobs)
        for name in names:
            blob(name)
            link(folder / "_layers/sha256" / name, name)
        body = manifest_of(names[:blobs // 2])
        own = hashlib.sha256(body).hexdigest()
        blob(own, body)
        link(folder / "_manifests/revisions/sha256" / own, own)
        link(folder / "_manifests/tags/v1/current", own)
        link(folder / "_manifests/tags/v1/index/sha256" / own, own)


def place(count, disk):
    memory = pathlib.Path("/dev/shm")
    return str(memory) if not disk and memory.is_dir() and shutil.disk_usage(memory).free > count * 16384 else None


def run(command, environment):
    """Seconds, MiB at most, what it said."""
    begun = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stdout[-500:], done.stderr[-500:])
    return time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, done.stdout + done.stderr


def whole(args):
    count = args.repositories * args.blobs
    with tempfile.TemporaryDirectory(prefix="zot-bench-", dir=place(2 * count, args.disk)) as name:
        folder = pathlib.Path(name)
        print(f"a store of {args.repositories} repositories, {count} blobs, half of which no manifest names")
        make_ours(folder / "ours", args.repositories, args.blobs)
        environment = {**os.environ, "ZOT_STORAGE_ROOT": str(folder / "ours"), "ZOT_WORKER_DATA": str(folder / "data"), "ZOT_GC_DELAY": "0", "ZOT_LOG_LEVEL": "error"}
        ours = [str(args.build / "worker/zot-worker")]
        subprocess.run([*ours, "import"], env=environment, check=True, stdout=subprocess.DEVNULL)
        seconds, memory, said = run([*ours, "gc"], environment)
        removed, freed = map(int, re.search(r"(\d+) are removed, (\d+) bytes", said).groups())
        assert removed == freed == args.repositories * (args.blobs - args.blobs // 2), said[-300:]
        print(f"zot-worker gc: {seconds:.1f} s, {memory:.0f} MiB at most, {removed} removed, as it should be to the byte")
        again, _, said = run([*ours, "gc"], environment)
        assert " 0 are removed" in said
        print(f"once more, nothing to remove: {again:.1f} s")
        shutil.rmtree(folder / "ours")
        if args.ours or not shutil.which("docker-registry"):
            return
        make_theirs(folder / "theirs", args.repositories, args.blobs)
        (folder / "registry.yml").write_text(f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {folder / 'theirs'}\n  delete:\n    enabled: true\n")
        theirs, _, said = run(["docker-registry", "garbage-collect", str(folder / "registry.yml")], dict(os.environ))
        left = sum(1 for _ in (folder / "theirs/docker/registry/v2/blobs").glob("sha256/*/*/data"))
        print(f"docker-registry garbage-collect: {theirs:.1f} s, {left} of {count + args.repositories} left; it needs {theirs / seconds:.2f} times our time")


def figure(side, name):
    return int(float(re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", side.session.get(side.worker.url + "/metrics").text, re.M).group(1)))


def beside(args):
    os.environ["ZOT_BUILD"] = str(args.build.resolve())
    chores.load()
    with tempfile.TemporaryDirectory(prefix="zot-bench-") as name:
        folder = pathlib.Path(name)
        make_ours(folder / "store", args.repositories // 5, args.blobs)
        chores.run(folder, args.turns, {"ZOT_GC": "false"}, {"ZOT_GC_DELAY": "0", "ZOT_GC_INTERVAL": "1s"},
                   lambda side: print(f"{figure(side, 'zot_gc_deleted_total')} blobs removed, {figure(side, 'zot_gc_walks_total')} walks ended beside {args.turns} turns"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--repositories", type=int, default=10000, help="whole; beside: a fifth of it")
    parser.add_argument("--blobs", type=int, default=100, help="of each")
    parser.add_argument("--turns", type=int, default=100)
    parser.add_argument("--ours", action="store_true", help="whole: without docker-registry")
    parser.add_argument("--disk", action="store_true", help="whole: the stores are on a disk, where temporary files are")
    parser.add_argument("--only", choices=["whole", "beside"])
    args = parser.parse_args()
    for part in (whole, beside):
        if args.only in (None, part.__name__):
            part(args)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
