#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a balancer that knows nothing costs a push: three workers of a static cluster on one folder behind HAProxy, beside one worker alone.

    python3 tests/bench/push_hop.py BUILD... [--rounds 5] [--size 64] [--client skopeo crane docker containerd]

For each build and client: bytes that crossed between the workers, in percent of what was pushed, and processor time of all three workers
for a push, beside that of one that is asked directly. Needs haproxy; skopeo and crane for pushes by them.
"""
import argparse
import contextlib
import hashlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

from bench import counter, digest, free_port, request, start_haproxy, start_ours
from builds import cpu_s

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "system"))


def start_three(folder, build):
    ports = [free_port() for _ in range(3)]
    members = {"ZOT_CLUSTER_MEMBERS": ",".join(f"127.0.0.1:{port}" for port in ports), "ZOT_CLUSTER_HASH_KEY": "loremipsumdolors",
               "ZOT_CLUSTER_SECRET": hashlib.sha256(os.urandom(8)).hexdigest(), "ZOT_CLUSTER_ISOLATED": "false"}
    return [start_ours(folder, build, f"w{n}", port, members).wait() for n, port in enumerate(ports)]


def curl(port, method, path, body, chunked=False):
    """The Location of the answer."""
    how = ["-H", "Transfer-Encoding: chunked"] if chunked else []
    done = subprocess.run(["curl", "-sf", "-o", "/dev/null", "-D", "-", "-X", method, *(["-T", str(body)] if body else ["-H", "Content-Length: 0"]), "-H", "Expect:", *how,
                           f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True)
    places = [line.split(": ", 1)[1].strip() for line in done.stdout.splitlines() if line.lower().startswith("location:")]
    return places[-1] if places else None


def by_hand(way):
    def push(folder, port, name, size):
        data = os.urandom(size)
        (folder / "layer").write_bytes(data)
        where = request(port, "POST", f"/v2/{name}/blobs/uploads/")[1]["location"]
        if way == "docker":
            where = curl(port, "PATCH", where, folder / "layer", chunked=True)
            status = request(port, "PUT", f"{where}?digest={digest(data)}", b"")[0]
            assert status == 201, status
        else:
            curl(port, "PUT", f"{where}?digest={digest(data)}", folder / "layer")
        return size
    return push


def by_program(way):
    def push(folder, port, name, size):
        from test_push_path import layout
        image = folder / "image"
        shutil.rmtree(image, ignore_errors=True)
        pushed = layout(image, [size])
        place = f"127.0.0.1:{port}/{name}:v1"
        command = (["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{image}:v1", f"docker://{place}"] if way == "skopeo"
                   else ["crane", "push", "--insecure", str(image), place])
        subprocess.run(command, check=True, capture_output=True)
        return pushed
    return push


def crossed(workers):
    """None: a build that does not count them."""
    with contextlib.suppress(AttributeError):
        return sum(counter(worker.port, "zot_proxied_bytes_total") for worker in workers)


def measure(folder, push, port, workers, name, size):
    before, crossed_before = sum(cpu_s(worker) for worker in workers), crossed(workers)
    sent = push(folder, port, name, size)
    ms = (sum(cpu_s(worker) for worker in workers) - before) * 1000
    return ms, (100 * (crossed(workers) - crossed_before) / sent if crossed_before is not None else float("nan"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("builds", nargs="+", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=64, help="MiB")
    parser.add_argument("--client", nargs="+", default=["docker", "containerd", "skopeo", "crane"])
    args = parser.parse_args()
    folder, ends = pathlib.Path(tempfile.mkdtemp(prefix="zot-bench-")), contextlib.ExitStack()
    ends.callback(shutil.rmtree, folder, ignore_errors=True)
    with ends:
        sides = {}
        for n, build in enumerate(args.builds):
            for kind in ("alone", "three"):
                place = folder / f"{n}-{kind}"
                place.mkdir()
                workers = start_three(place, build) if kind == "three" else [start_ours(place, build, "alone", free_port()).wait()]
                front = start_haproxy(place, *(worker.port for worker in workers)).wait()
                for server in [front, *workers]:
                    ends.callback(server.stop)
                sides[build, kind] = (front.port, workers)
        for client in args.client:
            push = (by_hand if client in ("docker", "containerd") else by_program)(client)
            seen = {side: [] for side in sides}
            for number in range(args.rounds):
                for side, (port, workers) in sides.items():
                    seen[side].append(measure(folder, push, port, workers, f"bench/{client}{number}", args.size << 20))
            for build in args.builds:
                alone = statistics.median(ms for ms, _ in seen[build, "alone"])
                three, percent = (statistics.median(column) for column in zip(*seen[build, "three"]))
                print(f"{client}, {args.size} MiB, {build}: one worker {alone:.0f} ms, three {three:.0f} ms ({three / alone:.2f} x); "
                      f"{percent:.3f} % crossed", flush=True)


if __name__ == "__main__":
    main()
