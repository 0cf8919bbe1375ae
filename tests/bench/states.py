#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A large state between a leader and a worker: what it costs whole, what a change of it is on the wire, and what those feel whom the worker serves meanwhile.

    python3 tests/bench/states.py BUILD [--keys 100000] [--policies 10000] [--users 10000] [--groups 1000] [--rounds 5]

BUILD is a build folder (build/release). Between worker and leader stands a proxy that counts bytes, heads too. Ends with status 1 where the p99 of manifest GETs while
a whole state is fetched and applied is more than twice that of a worker at rest (of a rate that leaves the machine idle), a delta of one change has 1,000 bytes or more, or the answer
to an idle poll has 300 or more.
"""
import argparse
import hashlib
import json
import multiprocessing
import os
import pathlib
import re
import socket
import statistics
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "flow")]

from many_workers import percentile  # noqa: E402
from writes import caught_up, cpu_s, rss_mib  # noqa: E402


def lines_of(asked, label=""):
    """The state as an import has it."""
    yield {"export": 1}
    for i in range(asked.groups):
        yield {"kind": "group", "id": f"group-{i:05d}", "users": [f"user-{(i * 10 + n) % asked.users:06d}" for n in range(10)]}
    for i in range(asked.users):
        yield {"kind": "user", "id": f"user-{i:06d}", "enabled": True}
    for i in range(asked.policies):
        yield {"kind": "policy", "id": f"team-{i:05d}/**", "policies": [{"groups": [f"group-{i % asked.groups:05d}"], "actions": ["read", "create"]}], "defaultPolicy": ["read"]}
    yield from keys_of(asked, range(asked.keys), label)


def keys_of(asked, numbers, label):
    for i in numbers:
        yield {"kind": "apikey", "id": f"key-{i:08d}", "owner": f"user-{i % asked.users:06d}", "label": f"{label}{i}",
               "secretHash": hashlib.sha256(f"secret-{i}".encode()).hexdigest()}


def import_lines(leader, lines):
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    reply = leader.session.post(leader.url + "/api/import?mode=merge", data=body, headers={"Content-Type": "application/x-ndjson"}, timeout=1200)
    assert reply.status_code == 200, reply.text
    return len(body)


class Wire:
    """A proxy that keeps what went each way on each connection, exchange by exchange."""

    def __init__(self, port):
        self.port, self.exchanges = port, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", self.port))
            exchanges = []  # [what was asked, bytes of the question, bytes of the answer, its first bytes]
            threading.Thread(target=self.pass_on, args=(near, far, exchanges, True), daemon=True).start()
            threading.Thread(target=self.pass_on, args=(far, near, exchanges, False), daemon=True).start()

    def pass_on(self, source, target, exchanges, asks):
        while True:
            try:
                data = source.recv(1 << 20)
                if not data:
                    break
                if asks and re.match(rb"(GET|PUT) ", data):
                    exchanges.append([data.split(b"?")[0].split(b" HTTP")[0].decode(), 0, 0, b""])
                    self.exchanges.append(exchanges[-1])
                exchanges[-1][1 if asks else 2] += len(data)
                if not asks:
                    exchanges[-1][3] = (exchanges[-1][3] + data)[:1024]
                target.sendall(data)
            except OSError:
                break
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def polls(self, status):
        return [one for one in self.exchanges if "cluster/state" in one[0] and one[3].startswith(b"HTTP/1.1 %d" % status)]


class Getter:
    """Manifest GETs with a key over one connection, so many a second; each with the moment of its answer. A process of its own: what this one does beside is not in its times."""

    def __init__(self, worker, repository, key, rate):
        import base64
        login = base64.b64encode(f"{key[0]}:{key[1]}".encode()).decode()
        self.request = f"GET /v2/{repository}/manifests/v1 HTTP/1.1\r\nHost: w\r\nAuthorization: Basic {login}\r\n\r\n".encode()
        self.port, self.rate, self.took = worker.port, rate, []
        context = multiprocessing.get_context("fork")
        self.near, far = context.Pipe()
        self.process = context.Process(target=self.run, args=(far,), daemon=True)

    def run(self, far):
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        due, took = time.monotonic(), []
        while not far.poll():
            due = max(due + 1 / self.rate, time.monotonic() - 0.01)
            time.sleep(max(0, due - time.monotonic()))
            begun = time.monotonic()
            sock.sendall(self.request)
            answer = sock.recv(65536)
            took.append((begun, (time.monotonic() - begun) * 1000))
            assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
        far.send(took)

    def start(self):
        self.process.start()

    def end(self):
        self.near.send("end")
        self.took = self.near.recv()
        self.process.join()

    def between(self, windows):
        return [ms for at, ms in self.took if any(begun <= at <= ended for begun, ended in windows)]


class Applied:
    """How many states the worker's log says to be applied; what was read before is not read again."""

    def __init__(self, worker):
        self.file, self.count = (worker.folder / "log").open(), 0

    def now(self):
        self.count += sum("state.applied" in line for line in self.file)
        return self.count

    def above(self, count):
        """Looks twenty times a second, so as to be no load."""
        begun = time.monotonic()
        while self.now() <= count:
            assert time.monotonic() < begun + 60, "no state was applied within a minute"
            time.sleep(0.05)


def peak_reset(server):
    pathlib.Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")


def whole(leader, secret):
    """A full state as a worker asks for it: seconds, seconds of the leader's processor, bytes on the wire, its bytes."""
    import requests
    cpu, begun = cpu_s(leader), time.monotonic()
    reply = requests.get(leader.url + "/api/cluster/state?since=0&whole=1", auth=("workers", secret), stream=True, timeout=300)
    packed = reply.raw.read(decode_content=False)
    took, used = time.monotonic() - begun, cpu_s(leader) - cpu
    import zlib
    return took, used, len(packed), len(zlib.decompress(packed, 31)), reply.headers["Zot-State-Kind"]


def change_whole(leader, asked, round_):
    """More changes than a leader keeps for deltas, in one write."""
    import_lines(leader, [{"export": 1}, *keys_of(asked, range(5000), f"round {round_} ")])


def applied_all(leader, worker, await_true):
    """One at a time: several that come together cost as much as one."""
    revision = leader.revision()
    await_true(lambda: re.findall(r'state\.applied.*?revision"?[=:]"?(\d+)', (worker.folder / "log").read_text())[-1:] == [str(revision)], 60, "the change, applied")


def show_wire(wire):
    delta = next(one for one in reversed(wire.polls(200)) if b"Zot-State-Kind: delta" in one[3])
    idle = wire.polls(304)[-1]
    beat = next(one for one in reversed(wire.exchanges) if "cluster/quotas" in one[0] and one[3].startswith(b"HTTP/1.1 200"))
    print(f"bytes with heads, question and answer: one change {delta[1]} and {delta[2]}; idle poll {idle[1]} and {idle[2]}; beat {beat[1]} and {beat[2]}", flush=True)
    return delta[2], idle[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    for name, number in (("keys", 100000), ("policies", 10000), ("users", 10000), ("groups", 1000), ("rounds", 5), ("rate", 500)):
        parser.add_argument(f"--{name}", type=int, default=number)
    asked = parser.parse_args()
    os.environ["ZOT_BUILD"] = str(pathlib.Path(asked.build).resolve())
    from leader_process import SECRET, Leader
    from worker_process import Worker, await_true, free_port

    port = free_port()
    with Leader(ZOT_LOG_LEVEL="warn") as leader:
        print(f"leader before: MiB {rss_mib(leader)}")
        begun = time.monotonic()
        size = import_lines(leader, lines_of(asked))
        print(f"{asked.keys} keys, {asked.policies} policies, {asked.users} users, {asked.groups} groups: {size / 1e6:.0f} MB imported in {time.monotonic() - begun:.1f} s, MiB of the leader {rss_mib(leader)}", flush=True)
        peak_reset(leader)
        took, used, packed, plain, kind = whole(leader, SECRET)
        assert kind == "full"
        print(f"whole: asked and read in {took * 1000:.0f} ms, {used * 1000:.0f} ms of the leader's processor, {packed / 1e6:.2f} MB of {plain / 1e6:.2f}, MiB of the leader {rss_mib(leader)}", flush=True)
        wire = Wire(leader.port)
        with Worker(port=port, CLUSTER_MODE="worker", CLUSTER_LEADER_URL=wire.url, CLUSTER_LEADER_CLIENT_ID="workers", CLUSTER_LEADER_CLIENT_SECRET=SECRET,
                    CLUSTER_WORKER_NAME="one", CLUSTER_SELF_ADDRESS=f"http://127.0.0.1:{port}", ZOT_LOG_LEVEL="info", ZOT_STATE_LIMIT=str(1 << 30)) as worker:
            begun = time.monotonic()
            caught_up(leader, worker, await_true)
            print(f"worker: started, fetched, applied and told in {time.monotonic() - begun:.1f} s, {cpu_s(worker) * 1000:.0f} ms of its processor, MiB {rss_mib(worker)}", flush=True)
            worker.session.auth = (leader.user, leader.password)
            repository = f"team-{asked.policies - 1:05d}/app"  # whose policy is the last of them
            worker.push(repository, "v1")
            getter = Getter(worker, repository, ("key-00000000", "secret-0"), asked.rate)
            getter.start()
            time.sleep(2)
            resting, busy, applied = [], [], []
            log = Applied(worker)
            for round_ in range(asked.rounds):
                time.sleep(3)
                resting.append((time.monotonic() - 2.5, time.monotonic()))
                peak_reset(worker)
                done, cpu = log.now(), cpu_s(worker)
                change_whole(leader, asked, round_)
                begun = time.monotonic()
                log.above(done)
                applied.append(time.monotonic() - begun)
                time.sleep(0.5)  # the old one is freed, the new one written
                busy.append((begun, time.monotonic()))
            getter.end()
            resting, busy = getter.between(resting), getter.between(busy)
            assert len([one for one in wire.polls(200) if b"Zot-State-Kind: full" in one[3]]) >= asked.rounds
            print(f"worker: a whole in {statistics.median(applied):.2f} s from the write's answer until it is in force, {(cpu_s(worker) - cpu) * 1000:.0f} ms of its processor with the file and {asked.rate} GETs a second, MiB {rss_mib(worker)}")
            rest99, busy99 = percentile(resting, .99), percentile(busy, .99)
            print(f"manifest GETs, ms: at rest p50 {statistics.median(resting):.2f} p99 {rest99:.2f} most {max(resting):.2f} ({len(resting)}); meanwhile p50 {statistics.median(busy):.2f} p99 {busy99:.2f} "
                  f"most {max(busy):.2f} ({len(busy)}): {busy99 / rest99:.2f} x", flush=True)
            for i in range(1, 4):
                assert leader.admin("PATCH", f"/api/apikey/key-{i:08d}", {"label": f"alone {i}"}).status_code == 200
                caught_up(leader, worker, await_true)
            await_true(lambda: wire.polls(304), 60, "an idle poll")
            delta, idle = show_wire(wire)
            for what, change in (("key", lambda i: leader.admin("PATCH", f"/api/apikey/key-{i:08d}", {"label": f"one {i}"})),
                                 ("policy", lambda i: leader.admin("PATCH", f"/api/policy/team-{i:05d}%2F**", {"defaultPolicy": ["read"] if i % 2 else []})),
                                 ("group", lambda i: leader.admin("PATCH", f"/api/group/group-{i:05d}", {"users": [f"user-{i:06d}"]}))):
                cpu = cpu_s(worker)
                for i in range(100):
                    reply = change(i)
                    assert reply.status_code == 200, reply.text
                    applied_all(leader, worker, await_true)
                print(f"worker: {(cpu_s(worker) - cpu) * 1e6 / 100:.0f} us of its processor for a change of one {what}", flush=True)
            print(f"at the end: MiB of the leader {rss_mib(leader)}, of the worker {rss_mib(worker)}")
    sys.exit(busy99 > 2 * rest99 or delta >= 1000 or idle >= 300)


if __name__ == "__main__":
    main()
