#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a change of one API key costs with 1,000, 100,000 and 1,000,000 keys: at the leader, and at a worker that follows.

    python3 tests/bench/writes.py BUILD [--sizes 1000,100000,1000000] [--changes 300] [--most 1.2]

BUILD is a build folder (build/release). The keys come by one import. Prints for each size how long that took and what memory it left, then for POST and PATCH the rate
of one client, and the processor time of leader and worker for each change; then each against the first size. Ends with status 1 where the leader's or the worker's
processor time grew by more than --most.
"""
import argparse
import hashlib
import json
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "flow")]


def cpu_s(server):
    """Of all threads, those that have ended too."""
    return time.clock_gettime(~server.process.pid << 3 | 2)


def rss_mib(server):
    lines = pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}


def export_of(size):
    """The lines of so many keys, as an export has them."""
    yield b'{"export":1}\n'
    for i in range(size):
        line = {"kind": "apikey", "id": f"key-{i:08d}", "owner": "admin", "label": f"label {i}", "secretHash": hashlib.sha256(str(i).encode()).hexdigest()}
        yield json.dumps(line).encode() + b"\n"


def fill(leader, size):
    body = b"".join(export_of(size))
    started = time.monotonic()
    reply = leader.session.post(leader.url + "/api/import?mode=merge", data=body, headers={"Content-Type": "application/x-ndjson"}, timeout=1200)
    assert reply.status_code == 200, reply.text
    print(f"{size} keys: {len(body) / 1e6:.0f} MB imported in {time.monotonic() - started:.1f} s, MiB of the leader {rss_mib(leader)}", flush=True)


def caught_up(leader, worker, await_true):
    revision = leader.revision()
    await_true(lambda: leader.members().get("one", {}).get("revision") == revision, 600)
    # The whole that a worker was given at its start is written once; what it costs is no change's.
    await_true((worker.folder / "data/state.bin").exists, 600)


def post(leader, i, size):
    return leader.admin("POST", "/api/apikey", {"id": f"new-key-{i:08d}", "owner": "admin"})


def patch(leader, i, size):
    return leader.admin("PATCH", f"/api/apikey/key-{i * 7919 % size:08d}", {"label": f"changed {i}"})


def measure(leader, worker, change, size, changes, settle):
    settle()
    before, started = cpu_s(leader), time.monotonic()
    for i in range(changes):
        assert change(leader, i, size).status_code in (200, 201)
    seconds, leader_s = time.monotonic() - started, cpu_s(leader) - before
    settle()
    # What a worker gets together costs it as much as one: so one every 10 ms.
    before = cpu_s(worker)
    for i in range(changes, 2 * changes):
        assert change(leader, i, size).status_code in (200, 201)
        time.sleep(0.01)
    settle()
    return {"rate": changes / seconds, "leader": leader_s * 1e6 / changes, "worker": (cpu_s(worker) - before) * 1e6 / changes}


def run(size, changes):
    from leader_process import SECRET, Leader
    from worker_process import Worker, await_true, free_port

    port = free_port()
    with Leader(ZOT_LOG_LEVEL="warn") as leader:
        fill(leader, size)
        with Worker(port=port, CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers",
                    CLUSTER_LEADER_CLIENT_SECRET=SECRET, CLUSTER_WORKER_NAME="one", CLUSTER_SELF_ADDRESS=f"http://127.0.0.1:{port}",
                    ZOT_LOG_LEVEL="warn", ZOT_STATE_LIMIT=str(1 << 30)) as worker:
            return {name: measure(leader, worker, change, size, changes, lambda: caught_up(leader, worker, await_true))
                    for name, change in (("POST", post), ("PATCH", patch))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--sizes", default="1000,100000,1000000")
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--most", type=float, default=1.2)
    asked = parser.parse_args()
    os.environ["ZOT_BUILD"] = str(pathlib.Path(asked.build).resolve())
    sizes = [int(size) for size in asked.sizes.split(",")]
    found, worst = {}, 0
    for size in sizes:
        found[size] = run(size, asked.changes)
        for name, figures in found[size].items():
            ratios = {what: figures[what] / found[sizes[0]][name][what] for what in figures}
            worst = max(worst, ratios["leader"], ratios["worker"])
            print(f"{name:5} {size:8} keys: {figures['rate']:6.0f} a second ({ratios['rate']:.2f} x), leader {figures['leader']:6.0f} us ({ratios['leader']:.2f} x), "
                  f"worker {figures['worker']:6.0f} us ({ratios['worker']:.2f} x)", flush=True)
    sys.exit(worst > asked.most)


if __name__ == "__main__":
    main()
