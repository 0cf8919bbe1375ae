#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two builds of ours side by side, in turns of one run: what a change costs, or gains.

    python3 tests/bench/builds.py BEFORE AFTER [--rounds 7] [--seconds 3] [--most 3] [--keys]

BEFORE and AFTER are build folders (build/release). Prints medians and AFTER / BEFORE. The client shares the cores, so the
worker's own processor time is what counts: for each request, for each GB. Ends with status 1 if any of it grew by more than
--most percent. Needs wrk (Debian package).
--keys: what GETs with an API key cost the worker of a led cluster, without quotas and with a daily one.
"""
import argparse
import base64
import json
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

from bench import (Server, children, free_port, fresh_files, push_image, push_many, put_manifests, request, start_ours, wrk)



def cpu_s(server):
    """Processor time of the process and its children, by the kernel: microseconds where it has them."""
    total = 0
    for pid in [server.process.pid] + children(server.process.pid):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def each(server, run, seconds):
    """Processor time in microseconds of a request; run gives requests a second over so many seconds."""
    before = cpu_s(server)
    rate = run()
    return (cpu_s(server) - before) * 1e6 / (rate * seconds)


def get_cost(server, seconds):
    return each(server, lambda: wrk(server.port, "/v2/bench/app/manifests/v1", seconds), seconds)


def put_cost(folder, server, connections, seconds):
    return each(server, lambda: put_manifests(folder, server, "bench/app", connections, seconds, b"layer"), seconds)


def push_cost(folder, server):
    """Processor time in ms for each GB of one 64 MiB push."""
    paths, digests = fresh_files(folder, 1, 64 << 20)
    before = cpu_s(server)
    push_many(server, "bench/push", paths, digests)
    return (cpu_s(server) - before) * 1000 / ((64 << 20) / 1e9)


def start_again(folder, name, build, n):
    """ms from the start to the first answer; a process of its own."""
    server = start_ours(folder / name, build, f"{name}{n}", free_port()).wait()
    server.stop()
    return server.start_ms


ADMIN = {"Authorization": "Basic " + base64.b64encode(b"admin:bench-admin-password").decode()}


def start_leader(folder, build):
    env = {"PORT": str(free_port()), "ZOT_LEADER_ADDRESS": "127.0.0.1", "ZOT_LEADER_DATA": str(folder / "leader"), "CLUSTER_MODE": "leader",
           "ZOT_ADMIN_USER": "admin", "ZOT_ADMIN_PASSWORD": "bench-admin-password", "CLUSTER_LEADER_CLIENT_ID": "workers",
           "CLUSTER_LEADER_CLIENT_SECRET": "bench-secret-of-workers", "ZOT_LOG_LEVEL": "warn"}
    return Server("leader", int(env["PORT"]), [str(build / "leader/zot-leader"), "serve"], env).wait("/readyz")


def make(leader, path, body):
    status, _, text = request(leader.port, "POST", path, json.dumps(body), {**ADMIN, "Content-Type": "application/json"})
    assert status == 201, (status, text)
    return json.loads(text)


def key_of(leader, worker, **quotas):
    """The header of a new key that the worker knows, and has a grant for."""
    key = make(leader, "/api/apikey", {"owner": "admin", "label": "bench", **quotas})
    login = "Basic " + base64.b64encode(f"{key['clientId']}:{key['clientSecret']}".encode()).decode()
    end = time.monotonic() + 30
    while request(worker.port, "GET", "/v2/bench/app/manifests/v1", headers={"Authorization": login})[0] != 200:
        assert time.monotonic() < end, "the key opens nothing"
        time.sleep(.05)
    return f"Authorization: {login}"


class Led:
    """A leader and a worker of one build, and two keys."""

    def __init__(self, folder, build, name):
        self.leader = start_leader(folder, build)
        port = free_port()
        led = {"CLUSTER_MODE": "worker", "CLUSTER_LEADER_URL": f"http://127.0.0.1:{self.leader.port}", "CLUSTER_WORKER_NAME": "one",
               "CLUSTER_LEADER_CLIENT_ID": "workers", "CLUSTER_LEADER_CLIENT_SECRET": "bench-secret-of-workers",
               "CLUSTER_SELF_ADDRESS": f"http://127.0.0.1:{port}"}
        make(self.leader, "/api/policy", {"id": "bench/**", "anonymousPolicy": ["read", "create"], "defaultPolicy": ["read"]})
        self.worker = start_ours(folder, build, name, port, led).wait("/readyz")
        end = time.monotonic() + 30
        while request(port, "POST", "/v2/bench/app/blobs/uploads/")[0] != 202:
            assert time.monotonic() < end, "nobody may push"
            time.sleep(.05)
        push_image(port, "bench/app", "v1", b"layer")
        self.keys = {"no quota": key_of(self.leader, self.worker), "a daily quota": key_of(self.leader, self.worker, dailyQuota=10**9)}
        time.sleep(5)  # a leader that hears first has dealt by now, as much as comes

    def stop(self):
        self.worker.stop()
        self.leader.stop()

    def cost(self, what, seconds):
        return each(self.worker, lambda: wrk(self.worker.port, "/v2/bench/app/manifests/v1", seconds, self.keys[what]), seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=pathlib.Path)
    parser.add_argument("after", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--most", type=float, default=3, help="percent")
    parser.add_argument("--keys", action="store_true")
    args = parser.parse_args()
    top = pathlib.Path(tempfile.mkdtemp(prefix="zot-builds-"))
    builds = {"before": args.before.resolve(), "after": args.after.resolve()}
    servers = {}
    worse = []

    def compare(title, unit, measure):
        seen = {name: [] for name in builds}
        for at in range(args.rounds):
            for name in sorted(builds, reverse=at % 2 == 0):  # what one leaves to be written hits each as often
                seen[name].append(measure(name))
        medians = {name: statistics.median(values) for name, values in seen.items()}
        ratio = medians["after"] / medians["before"]
        print(f"{title:48} {medians['before']:10.2f} {medians['after']:10.2f} {unit:16} {ratio:.3f} x", flush=True)
        if ratio > 1 + args.most / 100:
            worse.append(title)

    def compare_keys():
        for name, build in builds.items():
            (top / name).mkdir()
            servers[name] = Led(top / name, build, name)
        print(f"{'':48} {'before':>10} {'after':>10}")
        for what in ("no quota", "a daily quota"):
            compare(f"manifest GET by a key with {what}", "us a request", lambda n: servers[n].cost(what, args.seconds))

    def compare_all():
        for name, build in builds.items():
            (top / name).mkdir()
            servers[name] = start_ours(top / name, build, name, free_port()).wait()
            push_image(servers[name].port, "bench/app", "v1", b"layer")
        idle = {name: server.rss() for name, server in servers.items()}
        print(f"{'':48} {'before':>10} {'after':>10}")
        compare("manifest GET, 64 connections", "us a request", lambda n: get_cost(servers[n], args.seconds))
        compare("manifest PUT, one at a time", "us a request", lambda n: put_cost(top / n, servers[n], 1, args.seconds))
        compare("manifest PUT, 16 at once", "us a request", lambda n: put_cost(top / n, servers[n], 16, args.seconds))
        compare("64 MiB push", "ms a GB", lambda n: push_cost(top / n, servers[n]))
        for i, name in enumerate(builds):
            (top / f"start-{name}").mkdir()
        compare("start to first answer", "ms", lambda n: statistics.median(
            start_again(top, f"start-{n}", builds[n], i) for i in range(5)))
        compare("RSS idle", "MiB", lambda n: idle[n])

    try:
        (compare_keys if args.keys else compare_all)()
    finally:
        for server in servers.values():
            server.stop()
        shutil.rmtree(top, ignore_errors=True)
    if worse:
        sys.exit("worse: " + ", ".join(worse))


if __name__ == "__main__":
    main()
