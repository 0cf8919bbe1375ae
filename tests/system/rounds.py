# SPDX-License-Identifier: Apache-2.0
"""A cluster under load, of which any part can be taken away for a while: what test_rounds.py plays its rounds with.

    clients --> HAProxy --> workers          by their own ports
    worker  --> PeerGate --> worker          each by the gate of the one that it calls, which knows who calls
    worker  --> Gate     --> leader          each by a gate of its own
"""
import base64
import contextlib
import os
import random
import re
import signal
import socket
import threading
import time

import requests

from cluster import Cluster
from gates import Gate
from registry import MANIFEST, await_true, digest, free_port, image
from s3_faults import Faults

LEASE_MS = 1000
# HAProxy looks each 500 ms and believes the second look (cluster.py).
DRAIN_DELAY = "2s"
PAUSE_S = 1.0
# Longer than a lease, and over when who was told to come back after 3 s does so.
CUT_S = 1.5
PAUSE_MAX_S = 5.0
SENDER = re.compile(rb"\r\nzot-cluster-peer: v2 ([A-Za-z0-9_-]+) ", re.I)


class PeerGate(Gate):
    """Before a worker, for its peers: some of them may not pass. Who it is says the first request of a connection."""

    def __init__(self, to):
        self.kept_out, self.whose = set(), {}
        super().__init__(to)

    def pump(self, a, b, move):
        if move != self.there:
            super().pump(a, b, move)
            return
        with contextlib.suppress(OSError):
            first = a.recv(65536)
            self.whose[a] = self.whose[b] = sender_of(first)
            if not first or self.whose[a] in self.kept_out:
                a.close()
                b.close()
                return
            move(b, first)
        super().pump(a, b, move)

    def keep_out(self, name):
        self.kept_out.add(name)
        for s, whose in list(self.whose.items()):
            if whose == name:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)
        self.whose = {s: whose for s, whose in list(self.whose.items()) if s.fileno() >= 0}

    def let_in(self, name):
        self.kept_out.discard(name)


def sender_of(request):
    found = SENDER.search(request)
    if not found:
        return None
    claims = base64.urlsafe_b64decode(found[1] + b"=" * (-len(found[1]) % 4))
    length, _, rest = claims.partition(b":")
    return rest[:int(length)].decode()


class World(Cluster):
    """Three workers and a spare one behind HAProxy, with gates between all of them."""

    def __init__(self, isolated=False, lease_ms=LEASE_MS, bucket=None, **more):
        """bucket: one in this process (s3_memory.py) instead of a folder."""
        self.isolated, self.bucket, self.peer_gates, self.leader_gates = isolated, bucket, {}, {}
        leader = {"ZOT_CLUSTER_ISOLATED": "true"} if isolated else {}
        super().__init__(lease_ms=lease_ms, worker_environment={"CLUSTER_DRAIN_DELAY": DRAIN_DELAY, "ZOT_LOG_LEVEL": "warn"}, leader_environment=leader, **more)

    def open_store(self):
        if not self.bucket:
            return super().open_store()
        return self.bucket.environment(self.ends.enter_context(Faults(self.bucket)).endpoint)

    def open_haproxy(self):
        self.spare = self.worker(f"worker-{self.count}")
        self.workers.append(self.spare)
        try:
            return super().open_haproxy()
        finally:
            self.workers.pop()

    def worker(self, name, **more):
        port = free_port()
        self.peer_gates[name], self.leader_gates[name] = PeerGate(port), Gate(self.leader.port)
        self.ends.callback(self.peer_gates[name].shut)
        self.ends.callback(self.leader_gates[name].shut)
        own = {"ZOT_STORAGE_ROOT": self.folder / f"store-{name}"} if self.isolated else {}
        process = super().worker(name, **{"PORT": port, "CLUSTER_SELF_ADDRESS": f"http://127.0.0.1:{self.peer_gates[name].port}",
                                          "CLUSTER_LEADER_URL": f"http://127.0.0.1:{self.leader_gates[name].port}", **own, **more})
        process.port, process.url = port, f"http://127.0.0.1:{port}"
        return process

    def settle(self):
        """All that should be there is there, and HAProxy knows it."""
        self.wait_active(len(self.workers))
        for worker in self.workers:
            await_true(lambda: self.is_up_at_haproxy(worker), 60, f"{worker.name} up at HAProxy")

    # What can happen. Each ends with everything as before, but for settle().

    def kill(self, worker, how):
        worker.kill()
        time.sleep(how.uniform(0.2, 1.5))
        worker.start()

    def stop(self, worker, how):
        worker.process.send_signal(signal.SIGSTOP)
        time.sleep(LEASE_MS / 1000 * how.uniform(1.5, 2.5))
        worker.process.send_signal(signal.SIGCONT)

    def restart(self, worker, how):
        worker.stop()
        worker.start()

    def grow_and_shrink(self, worker, how):
        self.spare.start()
        self.workers.append(self.spare)
        self.settle()
        time.sleep(how.uniform(0.1, 0.5))
        self.workers.pop()
        self.spare.stop()

    def drain(self, worker, how):
        assert self.admin("POST", f"/api/cluster/members/{worker.name}/drain", {}).status_code == 200
        time.sleep(how.uniform(0.2, 1))
        assert self.admin("POST", f"/api/cluster/members/{worker.name}/undrain", {}).status_code == 200

    def cut_from_peers(self, worker, how):
        self.cut(worker)
        time.sleep(how.choice([0.5, CUT_S]))
        self.mend(worker)

    def cut_from_leader(self, worker, how):
        self.leader_gates[worker.name].shut()
        time.sleep(LEASE_MS / 1000 * how.uniform(1.5, 2.5))
        self.leader_gates[worker.name].open()

    def cut_from_all(self, worker, how):
        self.leader_gates[worker.name].shut()
        self.cut(worker)
        time.sleep(CUT_S)
        self.mend(worker)
        self.leader_gates[worker.name].open()

    def cut(self, worker):
        for name, gate in self.peer_gates.items():
            if name != worker.name:
                gate.keep_out(worker.name)
        self.peer_gates[worker.name].shut()

    def mend(self, worker):
        self.peer_gates[worker.name].open()
        for gate in self.peer_gates.values():
            gate.let_in(worker.name)


EVENTS = ["kill", "stop", "restart", "grow_and_shrink", "drain", "cut_from_peers", "cut_from_leader", "cut_from_all"]


ISOLATED_EVENTS = ["kill", "stop", "restart", "cut_from_peers", "cut_from_leader", "cut_from_all"]


class Failed(Exception):
    """A step that was answered otherwise than it should be, or not at all."""

    def __init__(self, what, pause_s=PAUSE_S):
        super().__init__(what)
        self.pause_s = pause_s


class Client(threading.Thread):
    """Does one thing again and again; a step that fails is done once more, after the pause that the answer asks for."""

    def __init__(self, world, number, pushed):
        super().__init__(name=f"{type(self).__name__}-{number}", daemon=True)
        self.world, self.number, self.pushed, self.url = world, number, pushed, world.front.url
        self.rounds, self.retried, self.failed, self.halt = 0, [], [], threading.Event()
        self.random = random.Random(f"{number} {type(self).__name__}")
        self.session = requests.Session()
        self.session.trust_env, self.session.auth = False, (world.user, world.password)

    def call(self, method, path, *expected, **more):
        began = time.monotonic()
        try:
            reply = self.session.request(method, path if "://" in path else self.url + path, timeout=30, **more)
        except requests.RequestException as error:
            raise Failed(f"{method} {path}: {type(error).__name__}") from error
        if reply.status_code not in expected:
            raise Failed(f"{method} {path}: {reply.status_code} after {time.monotonic() - began:.1f} s {reply.text[:300]}",
                         min(float(reply.headers.get("Retry-After", PAUSE_S)), PAUSE_MAX_S))
        return reply

    def once_more(self, step, *arguments):
        try:
            return step(*arguments)
        except Failed as failed:
            self.retried.append(str(failed))
            time.sleep(failed.pause_s)
            return step(*arguments)

    def run(self):
        while not self.halt.is_set():
            try:
                self.once()
                self.rounds += 1
            except Failed as failed:
                self.failed.append((time.monotonic(), str(failed)))


class Pusher(Client):
    """As docker does it: is it there, POST, PATCH, PUT; then the manifest."""

    def once(self):
        name, layer, tag = f"rounds/app{self.random.randrange(24)}", os.urandom(self.random.choice([200, 20_000, 2_000_000])), f"p{self.number}-{self.rounds}"
        for data in (b"{}", layer):
            self.once_more(self.push_blob, name, data)
        body = image(layer)
        self.once_more(self.put, name, tag, body)
        self.pushed.append((name, tag, body, digest(layer)))

    def push_blob(self, name, data):
        if self.call("HEAD", f"/v2/{name}/blobs/{digest(data)}", 200, 404).status_code == 200:
            return
        place = self.call("POST", f"/v2/{name}/blobs/uploads/", 202).headers["Location"]
        place = self.call("PATCH", place, 202, data=data).headers["Location"]
        self.call("PUT", place, 201, params={"digest": digest(data)})

    def put(self, name, tag, body):
        self.call("PUT", f"/v2/{name}/manifests/{tag}", 201, data=body, headers={"Content-Type": MANIFEST})


class Puller(Client):
    def once(self):
        name, tag, body, layer = self.random.choice(self.pushed)
        if self.once_more(self.call, "GET", f"/v2/{name}/manifests/{tag}", 200).content != body:
            raise Failed(f"{name}:{tag} is another manifest")
        self.once_more(self.pull_blob, name, layer)

    def pull_blob(self, name, of):
        if digest(self.call("GET", f"/v2/{name}/blobs/{of}", 200).content) != of:
            raise Failed(f"{name}: blob {of} has another content")


def is_of(world, line, worker, cut):
    """What failed says that this worker was missing: by its name, by the repository, or since it was in the middle of it. Who is cut off is reached by clients,
    and then it is the others that are missing."""
    if any(how in line for how in ("ConnectionError", "ReadTimeout")):
        return True
    if ": 503 after" not in line:
        return False
    # An answer to HEAD has no text.
    return cut or worker.name in line or world.owner_of(re.search(r"/v2/(rounds/app\d+)/", line)[1]) is worker


def all_go_on(clients):
    """Each has come to the end of what it was at, and of the pause in it."""
    before = [client.rounds + len(client.failed) for client in clients]
    await_true(lambda: all(client.rounds + len(client.failed) > b for client, b in zip(clients, before)), 120, "a round of each client")


def check(world, pushed, through):
    """What was acknowledged is there, at this worker; after a lease at the latest, for which who owned it may believe its memory."""
    problems, end = [], time.monotonic() + 2 * LEASE_MS / 1000
    for name, tag, body, layer in pushed:
        reply = through.call("GET", f"/v2/{name}/manifests/{tag}")
        while reply.status_code == 404 and time.monotonic() < end:
            reply = through.call("GET", f"/v2/{name}/manifests/{tag}")
        if reply.status_code != 200 or reply.content != body:
            problems.append(f"{name}:{tag} at {through.name}: {reply.status_code}")
        reply = through.call("GET", f"/v2/{name}/blobs/{layer}")
        if reply.status_code != 200 or digest(reply.content) != layer:
            problems.append(f"{name}: blob {layer} at {through.name}: {reply.status_code}")
    return problems
