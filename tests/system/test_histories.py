# SPDX-License-Identifier: Apache-2.0
"""Random operations of many clients at several workers, while workers are killed, stopped and cut off and the bucket fails; then the whole history is checked.

    HISTORY_SEED=7                the schedule of operations and faults follows from it (default: a fixed one; "random": another one each time)
    HISTORY_OPS=100000            operations over all arrangements
    SCALE=full                    a million, longer faults, and radosgw too

An arrangement is a store and how the workers know of each other:

    own       each has a ring of itself alone, so each owns everything, and believes nothing that it did not ask for
    static    one ring for all; who owns a repository is asked by the others
    led       a leader gives out leases; the owner may answer reads from memory for that long
    alone     no ring at all: each believes its memory for 5 s
"""
import contextlib
import math
import multiprocessing
import os
import random
import signal
import subprocess
import threading
import time

import pytest

import histories
import history_clients
import s3_servers
from cluster import BUILD, Cluster
from gates import Gate
from history_clients import CONFIG, LAYERS, REPOSITORIES, TAGS, Door, Plan, Speaker
from registry import CLUSTER_SECRET, free_port
from s3_faults import Faults
from s3_memory import Memory

FULL = os.environ.get("SCALE") == "full"
SEED = os.environ.get("HISTORY_SEED", "1")
SEED = str(random.SystemRandom().randrange(10**6)) if SEED == "random" else SEED
OPERATIONS = int(os.environ.get("HISTORY_OPS", 1_000_000 if FULL else 100_000))
LEASE_MS = 1000
ALONE_TRUST_S = 5.0
MARGIN_S = 0.2  # clocks are read in whole milliseconds, more or less
HASH_KEY = "0123456789abcdef"
KEEP_S = 8
PROCESSES = 2

# (store, ring, workers, share of all operations, the same in full)
ARRANGEMENTS = [
    ("fs", "own", 3, 22, 20), ("fs", "static", 3, 22, 20), ("fs", "led", 3, 22, 20), ("fs", "alone", 2, 18, 18),
    ("memory", "own", 3, 3.5, 4.5), ("memory", "static", 3, 3.5, 4.5), ("memory", "led", 3, 3.5, 4.5), ("memory", "alone", 2, 1.5, 1.5),
    ("moto", "own", 2, 1.5, 1.5), ("moto", "static", 3, 1.5, 1.5), ("moto", "led", 2, 1.5, 1.5),
    ("radosgw", "own", 3, 0, 1), ("radosgw", "led", 3, 0, 1)]
SHARE = 4 if FULL else 3
ARRANGEMENTS = [a for a in ARRANGEMENTS if a[SHARE]]

S3_RATES = {"503": 0.01, "500": 0.005, "500 after": 0.005, "cut": 0.01, "silent": 0.0005 if FULL else 0.002, "twice": 0.01, "twice first": 0.01, "late": 0.005,
            "slow": 0.005, "truncated": 0.005, "old list": 0.2}
STORM = 3
# What is done, and how often.
FAULTS = {"kill": 4, "pause": 3, "fold": 3, "cut": 7, "leader": 1, "calm": 2, "storm": 2}


def knows_setting(name):
    return name.encode() in (BUILD / "worker/zot-worker").read_bytes()


class Bed(Cluster):
    """The workers of one arrangement, with a gate before each for its peers, and the bucket behind a faulty proxy."""

    def __init__(self, store, ring, workers, seed):
        settings = {"ZOT_INDEX_LOG": 8192, "ZOT_REQUIRE_BLOBS": "true", "ZOT_LOG_LEVEL": "warn", "ZOT_LOOPS": 1, "ZOT_METRICS": "false"}
        if store != "fs" and knows_setting("ZOT_INDEX_LOG_KEEP"):
            settings["ZOT_INDEX_LOG_KEEP"] = f"{KEEP_S}s"
        super().__init__(store=store, workers=workers if ring == "led" else 0, haproxy=False, lease_ms=LEASE_MS, worker_environment=settings)
        self.store_kind, self.ring, self.wanted, self.seed = store, ring, workers, seed
        self.faults, self.gates = None, []

    def open_store(self):
        if self.kind == "fs":
            return super().open_store()
        if self.kind == "memory":
            server = Memory(f"{self.seed}:memory")
            environment = server.environment(None)
        else:
            server = self.ends.enter_context(s3_servers.start(self.kind))
            environment = {k: v for k, v in server.environment().items() if not k.startswith("ZOT_TEST_")}
        late_s = (1, 60) if FULL else (0.5, 5)
        self.faults = self.ends.enter_context(Faults(
            server if self.kind == "memory" else server.endpoint, f"{self.seed}:s3", late_s=late_s, silent_s=None if FULL else 1.5,
            harms=lambda method, key: key.startswith("his/")))
        return {**environment, "S3_ENDPOINT": self.faults.endpoint}

    def open(self):
        super().open()
        if self.ring != "led":
            ports = [free_port() for _ in range(self.wanted)]
            self.gates = [[Gate(port) for port in ports] for _ in ports]
            for i in range(self.wanted):
                self.workers.append(self.one_of(i, ports).start())

    def one_of(self, i, ports):
        settings = {"CLUSTER_MODE": "off"}
        if self.ring == "own":
            settings |= {"ZOT_CLUSTER_MEMBERS": f"127.0.0.1:{ports[i]}", "ZOT_CLUSTER_HASH_KEY": HASH_KEY}
        if self.ring == "static":
            # Each reaches the others through gates of its own.
            members = [f"127.0.0.1:{ports[j] if i == j else self.gates[i][j].port}" for j in range(len(ports))]
            settings |= {"ZOT_CLUSTER_MEMBERS": ",".join(members), "ZOT_CLUSTER_HASH_KEY": HASH_KEY,
                         "ZOT_CLUSTER_SECRET": CLUSTER_SECRET, "ZOT_CLUSTER_ISOLATED": "false"}
        return self.worker(f"worker-{i}", PORT=ports[i], **settings)

    def worker(self, name, **more):
        if self.ring == "led" and "CLUSTER_MODE" not in more:
            port = free_port()
            gate = Gate(port)
            self.gates.append([gate])
            more |= {"PORT": port, "CLUSTER_SELF_ADDRESS": f"http://127.0.0.1:{gate.port}"}
        process = super().worker(name, **more)
        if "PORT" in more:
            process.port, process.url = more["PORT"], f"http://127.0.0.1:{more['PORT']}"
        return process

    def door(self, worker, fresh=False):
        lease = {"led": LEASE_MS / 1000 + MARGIN_S, "alone": ALONE_TRUST_S + MARGIN_S}.get(self.ring, 0.0)
        return Door(worker.name, worker.port, 0.0 if fresh else lease)

    def storm(self, strength):
        if self.faults:
            self.faults.rates = {kind: rate * (strength if kind != "old list" else 1) for kind, rate in S3_RATES.items()}


class Havoc(threading.Thread):
    """Does to the workers what the seed says, one thing after the other, until it is told to stop; then all are well again."""

    def __init__(self, bed, seed):
        super().__init__()
        self.bed, self.dice, self.halt = bed, random.Random(f"{seed}:havoc"), threading.Event()
        self.counts, self.failure = {}, None

    def run(self):
        kinds, weights = list(FAULTS), list(FAULTS.values())
        try:
            self.bed.storm(1)
            # A folder is quicker, so less time is enough for as many faults.
            while not self.halt.wait(self.dice.uniform(0.1, 0.8) * (1 if self.bed.faults else 0.4)):
                kind = self.dice.choices(kinds, weights)[0]
                worker, long = self.dice.choice(self.bed.workers), self.dice.random()
                if getattr(self, kind)(worker, long):
                    self.counts[kind] = self.counts.get(kind, 0) + 1
            self.bed.storm(0)
        except BaseException as error:  # raised where the thread is joined
            self.failure = error

    def kill(self, worker, long):
        worker.kill()
        self.halt.wait(long * 0.3)
        worker.start()
        return True

    def pause(self, worker, long):
        """Mostly longer than a lease; now and then longer than records are kept."""
        seconds = 0.2 + long * 2.2 * LEASE_MS / 1000
        if self.bed.faults and long > 0.95:
            seconds = KEEP_S + 1
        worker.process.send_signal(signal.SIGSTOP)
        self.halt.wait(seconds)
        worker.process.send_signal(signal.SIGCONT)
        return True

    def cut(self, worker, long):
        """A worker that its peers do not reach; it lives, and clients reach it."""
        if self.bed.ring not in ("static", "led"):
            return False
        i = self.bed.workers.index(worker)
        gates = self.bed.gates[i] if self.bed.ring == "led" else [gates[i] for gates in self.bed.gates]
        for gate in gates:
            gate.mute = long > 0.5
        if long > 0.5:
            self.halt.wait(0.1)
        for gate in gates:
            gate.shut()
        self.halt.wait(0.2 + long)
        for gate in gates:
            gate.open()
        return True

    def fold(self, worker, long):
        """It may fail where others are quicker or the bucket fails; nothing may be broken by it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run([*worker.command[:1], "fold"], env=worker.environment, capture_output=True, timeout=60)
        return True

    def leader(self, worker, long):
        if self.bed.ring != "led":
            return False
        self.bed.leader.kill()
        self.halt.wait(long * 2 * LEASE_MS / 1000)
        self.bed.leader.start()
        return True

    def calm(self, worker, long):
        return self.weather(0, long)

    def storm(self, worker, long):
        return self.weather(STORM, long)

    def weather(self, strength, long):
        if self.bed.faults:
            self.bed.storm(strength)
            self.halt.wait(0.5 + long)
            self.bed.storm(1)
        return bool(self.bed.faults)


def run_all(plan):
    """All clients, in processes of their own: (operations, images, complaints)."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for p in range(PROCESSES):
        here, there = context.Pipe(False)
        process = context.Process(target=history_clients.run_clients, daemon=True,
                                  args=(plan, range(p, plan.clients, PROCESSES), math.ceil(plan.operations / PROCESSES), there))
        process.start()
        there.close()
        pipes.append(here)
        processes.append(process)
    operations, images, complaints = [], {}, []
    for pipe, process in zip(pipes, processes):
        done, named, said = pipe.recv()
        operations += done
        images |= named
        complaints += said
        process.join()
    return operations, images, complaints


def set_up(bed, plan):
    """What the schedule takes for granted: the config of all images."""
    speaker = Speaker(plan, "set up")
    for name in REPOSITORIES:
        for data in [CONFIG, *LAYERS]:
            assert speaker.push_blob(0, name, data).outcome == histories.OK
    speaker.close()
    return speaker.operations


def look(bed, plan, operations, images):
    """What is there in the end, at each worker and at one that has just started: (operations, complaints)."""
    fresh = bed.worker("fresh", CLUSTER_MODE="off").start()
    plan = Plan(plan.seed, [*plan.doors, bed.door(fresh, fresh=True)], 0, 0, plan.user, plan.password)
    speaker, newest, complaints = Speaker(plan, "look"), len(plan.doors) - 1, []
    manifests = {(o.name, o.digest) for o in operations if o.kind == "put"}
    blobs = {(o.name, o.digest) for o in operations if o.kind in ("push blob", "mount")}
    for name in REPOSITORIES:
        for door in range(len(plan.doors)):
            speaker.list(door, name)
            for tag in TAGS:
                speaker.get(door, name, tag)
    there = {(name, of): {speaker.get_blob(door, name, of).outcome for door in range(len(plan.doors))} == {histories.OK} for name, of in sorted(blobs)}
    for name, of in sorted(manifests):
        if speaker.get(newest, name, of=of).outcome == histories.OK:
            gone = [blob for blob in images[of] if not there.get((name, blob))]
            if gone:
                complaints.append(f"{name}: image {histories.short(of)} is there, its blobs {[histories.short(b) for b in gone]} are not")
    unanswered = [o.text() for o in speaker.operations if o.outcome == histories.UNKNOWN]
    assert not unanswered, unanswered[:5]
    speaker.close()
    return speaker.operations, complaints + speaker.complaints


def run(store, ring, workers, operations_len, seed):
    with Bed(store, ring, workers, seed) as bed:
        user, password = (bed.user, bed.password) if ring == "led" else ("", "")
        plan = Plan(seed, [bed.door(worker) for worker in bed.workers], operations_len, 12 if store == "fs" else 20, user, password)
        operations = set_up(bed, plan)
        havoc, begin = Havoc(bed, seed), time.monotonic()
        havoc.start()
        try:
            done, images, complaints = run_all(plan)
        finally:
            havoc.halt.set()
            havoc.join()
        took = time.monotonic() - begin
        if havoc.failure:
            raise havoc.failure
        operations += done
        if bed.faults:
            bed.faults.drain()
        for worker in bed.workers:
            worker.wait_ready()
        seen, lacking = look(bed, plan, operations, images)
        operations += seen
        history = histories.History()
        history.operations = operations
        begin = time.monotonic()
        problems, summary = histories.check(history, images)
        checked = time.monotonic() - begin
        kills = ", ".join(f"{kind} {n}" for kind, n in sorted(havoc.counts.items()))
        print(f"rounds of {store}/{ring} seed={seed}: {summary}; {len(done) / took:.0f} operations/s, checked in {checked:.1f} s; "
              f"workers: {kills or 'left alone'}" + (f"; S3: {bed.faults}" if bed.faults else ""))
        return complaints + lacking + problems, len(operations)


@pytest.fixture(scope="module")
def sums():
    counts, begin = {"operations": 0}, time.monotonic()
    yield counts
    print(f"rounds together: {counts['operations']} operations in {time.monotonic() - begin:.0f} s")


@pytest.mark.parametrize("store,ring,workers,share", [(*a[:3], a[SHARE]) for a in ARRANGEMENTS], ids=[f"{a[0]}-{a[1]}" for a in ARRANGEMENTS])
def test_one_order_of_changes_explains_all_answers(store, ring, workers, share, sums):
    shares = sum(a[SHARE] for a in ARRANGEMENTS)
    seed = f"{SEED}:{store}-{ring}"
    problems, done = run(store, ring, workers, math.ceil(OPERATIONS * share / shares), seed)
    sums["operations"] += done
    told = "\n\n".join(problems[:5])
    assert not problems, f"seed HISTORY_SEED={SEED}, {store}/{ring}: {len(problems)} problems\n\n{told}"
