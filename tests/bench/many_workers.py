#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One leader and a thousand workers: what it costs while nothing happens, and how soon a change is at the last of them.

    python3 tests/bench/many_workers.py BUILD [--workers 1000] [--changes 200] [--idle 20] [--most-ms 50]

BUILD is a build folder (build/release). The workers are simulated by one process (many_workers.c, built here with cc), which polls and beats as workers do.
A change is a key that is put; its time runs from the API's answer to the arrival of the delta. Ends with status 1 where the p99 of the last worker's is above --most-ms.
"""
import argparse
import base64
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "flow")]

from writes import cpu_s, rss_mib  # noqa: E402


def built(folder):
    program = folder / "many_workers"
    subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, HERE / "many_workers.c"], check=True)
    return program


class Many:
    """The process of the simulated workers."""

    def __init__(self, program, leader, secret, workers, log):
        login = "Basic " + base64.b64encode(f"workers:{secret}".encode()).decode()
        self.process = subprocess.Popen([program, str(leader.port), str(workers), login, log], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def figures(self):
        """polls, beats, bytes in, bytes out"""
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return [int(text) for text in self.process.stdout.readline().split()]

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def settle(leader, many, workers):
    """All are members and in the ring, which is theirs."""
    deadline = time.monotonic() + 120
    while True:
        members = leader.members()
        revision = leader.revision()
        if len(members) == workers and all(m["state"] == "active" and m["revision"] == revision for m in members.values()):
            return
        assert time.monotonic() < deadline, f"{len(members)} members of {workers}"
        time.sleep(1)


def idle(leader, many, seconds):
    before, at, cpu = many.figures(), time.monotonic(), cpu_s(leader)
    time.sleep(seconds)
    used, took, after = cpu_s(leader) - cpu, time.monotonic() - at, many.figures()
    polls, beats, bytes_in, bytes_out = (b - a for a, b in zip(before, after))
    print(f"idle: {used / took * 1000:.0f} ms of a processor a second, {polls / took:.0f} polls and {beats / took:.0f} beats a second, "
          f"{used * 1e6 / max(1, polls + beats):.0f} us each; {bytes_out / took / 1000:.0f} kB/s in, {bytes_in / took / 1000:.0f} kB/s out", flush=True)


def changes(leader, many, number, workers, log):
    answered, cpu = {}, cpu_s(leader)
    for i in range(number):
        reply = leader.admin("POST", "/api/apikey", {"id": f"many-key-{i:06d}", "owner": "admin"})
        at = time.monotonic()
        assert reply.status_code == 201, reply.text
        answered[reply.json()["entity"]["revision"]] = at
        time.sleep(0.05)
    time.sleep(2)
    used = cpu_s(leader) - cpu
    many.figures()
    arrived = {}
    for line in open(log):
        revision, at = (int(text) for text in line.split())
        arrived.setdefault(revision, []).append(at / 1e9)
    lasts, each = [], []
    for revision, at in answered.items():
        came = arrived.get(revision, [])
        assert len(came) == workers, f"revision {revision}: {len(came)} of {workers}"
        each += [(one - at) * 1000 for one in came]
        lasts.append((max(came) - at) * 1000)
    print(f"{number} changes, ms from the API's answer: any worker p50 {statistics.median(each):.1f} p99 {percentile(each, .99):.1f}, "
          f"the last one p50 {statistics.median(lasts):.1f} p99 {percentile(lasts, .99):.1f} most {max(lasts):.1f}; "
          f"{used * 1000 / number:.1f} ms of the leader's processor for a change, its idle work included", flush=True)
    return percentile(lasts, .99)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--idle", type=int, default=20)
    parser.add_argument("--most-ms", type=float, default=50)
    asked = parser.parse_args()
    os.environ["ZOT_BUILD"] = str(pathlib.Path(asked.build).resolve())
    from leader_process import SECRET, Leader

    with tempfile.TemporaryDirectory() as folder, Leader(ZOT_LOG_LEVEL="warn") as leader:
        program, log = built(pathlib.Path(folder)), f"{folder}/log"
        started, cpu = time.monotonic(), cpu_s(leader)
        many = Many(program, leader, SECRET, asked.workers, log)
        settle(leader, many, asked.workers)
        print(f"{asked.workers} workers joined in {time.monotonic() - started:.1f} s, {cpu_s(leader) - cpu:.1f} s of the leader's processor, MiB {rss_mib(leader)}, "
              f"{many.figures()[2] / 1e6:.0f} MB sent", flush=True)
        idle(leader, many, asked.idle)
        worst = changes(leader, many, asked.changes, asked.workers, log)
        print(f"MiB of the leader {rss_mib(leader)}")
        many.close()
    sys.exit(worst > asked.most_ms)


if __name__ == "__main__":
    main()
