# SPDX-License-Identifier: Apache-2.0
"""The power goes under load, many times: what was acknowledged is there, what was deleted is not, and all goes on.

    clients --- push, move, mount, delete ---> worker ---> ext4, xfs: a file on a tmpfs, copied when the worker is stopped
                                                      '--> paper: each write is traced, and what no sync followed is dropped;
                                                           in half of the rounds some calls fail too

POWER_ROUNDS (50; SCALE=full: 500) are shared by the file systems, and a fifth as many are on paper. POWER_SEED, POWER_KIND (ext4, xfs or
paper): a printed one again. A seed sets what clients do and when the power goes, not how threads meet.
"""
import contextlib
import errno
import http.client
import json
import os
import random
import signal
import threading
import time

import pytest

from disks import Disks
from faults import Faults, fail, late, short
from faults.power import Power
from storage_cases import make, manifest
from worker_process import MANIFEST, await_true, digest, image

ROUNDS = int(os.environ.get("POWER_ROUNDS", 500 if os.environ.get("SCALE") == "full" else 50))
SEED = int(os.environ.get("POWER_SEED", time.time_ns() % 1_000_000))
SHARES = {"ext4": 2, "xfs": 2, "paper": 5}
KINDS = os.environ.get("POWER_KIND", ",".join(SHARES)).split(",")
CLIENTS, REPOSITORIES = 6, 4
GONE = None
# How data that is not synced may fare: both at once is the worst that a journal allows.
OPTIONS = {"ext4": ["loop,nodiscard,noauto_da_alloc", "loop,nodiscard,noauto_da_alloc,data=writeback"], "xfs": ["loop,nodiscard,nouuid"]}


class Client(threading.Thread):
    """Has tags, manifests and blobs of its own, in repositories that all share; knows of each what may be there."""

    def __init__(self, worker, number, seed, name="power"):
        super().__init__(daemon=True)
        self.port, self.number, self.rest = worker.port, number, random.Random(seed)
        self.names = [f"{name}/app{n}" for n in range(REPOSITORIES)]
        self.tags, self.manifests, self.blobs = {}, {}, {}  # (name, what): a list of bytes, and GONE, of which one is true
        self.bytes, self.statuses = {}, {}
        self.halt, self.connection, self.n = threading.Event(), None, 0

    def run(self):
        todo = [self.push_image] * 8 + [self.move_tag] * 4 + [self.push_blob] * 4 + [self.mount_blob, self.mount_manifest] * 2 + [
            self.delete_tag, self.delete_manifest, self.delete_blob] * 2
        while not self.halt.is_set():
            self.n += 1
            try:
                self.rest.choice(todo)()
            except (OSError, http.client.HTTPException):
                self.connection = None
                self.halt.wait(0.005)

    def call(self, method, path, body=None, headers=None):
        if not self.connection:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        self.connection.request(method, path, body, headers or {})
        reply = self.connection.getresponse()
        reply.read()
        key = method, reply.status
        self.statuses[key] = self.statuses.get(key, 0) + 1
        return reply

    def change(self, good, changes, *call):
        """changes: (one of the dicts, key, value). Until it is answered each of them may be there; 4xx: it was not done. What is
        answered otherwise, as a mount with 202, may have been done.
        """
        before = [(known, key, known.get(key, [GONE])) for known, key, _ in changes]
        for known, key, value in changes:
            known[key] = [*known.get(key, [GONE]), value]
        status = self.call(*call).status
        if status == good:
            for known, key, value in changes:
                known[key] = [value]
        elif 400 <= status < 500:
            for known, key, values in before:
                known[key] = values
        return status == good

    # What a client does.

    def mine(self, known, *more):
        """One that is surely there."""
        keys = [key for key, values in known.items() if len(values) == 1 and values[0] is not GONE and key not in more]
        return self.rest.choice(keys) if keys else None

    def put_manifest(self, name, tag, body):
        of = digest(body)
        self.bytes[of] = body
        changes = [(self.manifests, (name, of), body)] + ([(self.tags, (name, tag), body)] if tag else [])
        self.change(201, changes, "PUT", f"/v2/{name}/manifests/{tag or of}", body, {"Content-Type": MANIFEST})

    def put_blob(self, name, data):
        of = digest(data)
        self.bytes[of] = data
        if self.rest.random() < 0.6:
            self.change(201, [(self.blobs, (name, of), data)], "POST", f"/v2/{name}/blobs/uploads/?digest={of}", data)
            return
        reply = self.call("POST", f"/v2/{name}/blobs/uploads/")
        if reply.status != 202:
            return
        place, half = reply.headers["Location"], len(data) // 2
        if self.call("PATCH", place, data[:half]).status == 202:
            joint = "&" if "?" in place else "?"
            self.change(201, [(self.blobs, (name, of), data)], "PUT", f"{place}{joint}digest={of}", data[half:])

    def fresh_manifest(self):
        return manifest(f"{self.number} {self.n} {self.rest.random()}", self.rest.choice([0, 0, 600, 3000, 9000, 70_000]))

    def push_image(self):
        name, layer = self.rest.choice(self.names), self.rest.randbytes(self.rest.choice([50, 3000, 20_000]))
        self.put_blob(name, layer)
        self.put_manifest(name, self.rest.choice([f"p{self.number}-{self.n}", None]), image(layer, annotations={"n": str(self.n)}))

    def move_tag(self):
        self.put_manifest(self.rest.choice(self.names), f"p{self.number}-moving{self.n % 3}", self.fresh_manifest())

    def push_blob(self):
        self.put_blob(self.rest.choice(self.names), self.rest.randbytes(self.rest.choice([10, 5000, 70_000, 400_000])))

    def mount(self, known):
        key, to = self.mine(known), self.rest.choice(self.names)
        if key and to != key[0]:
            self.change(201, [(self.blobs, (to, key[1]), self.bytes[key[1]])], "POST",
                        f"/v2/{to}/blobs/uploads/?mount={key[1]}&from={key[0]}")

    def mount_blob(self):
        self.mount(self.blobs)

    def mount_manifest(self):
        """Its file may not be synced yet."""
        self.mount(self.manifests)

    def delete_tag(self):
        key = self.mine(self.tags)
        if key:
            self.change(202, [(self.tags, key, GONE)], "DELETE", f"/v2/{key[0]}/manifests/{key[1]}")

    def delete_manifest(self):
        """With the tags that it has, or may have."""
        key = self.mine(self.manifests)
        if not key:
            return
        body = self.bytes[key[1]]
        tags = {k: values for k, values in self.tags.items() if k[0] == key[0] and body in values}
        if self.change(202, [(self.manifests, key, GONE)] + [(self.tags, k, GONE) for k in tags], "DELETE", f"/v2/{key[0]}/manifests/{key[1]}"):
            self.tags.update({k: [v for v in values if v != body] + [GONE] for k, values in tags.items()})

    def delete_blob(self):
        """One that no manifest names, if it can be had; of others the deletion is refused."""
        key = self.mine(self.blobs, *self.manifests)
        if key:
            self.change(202, [(self.blobs, key, GONE)], "DELETE", f"/v2/{key[0]}/blobs/{key[1]}")

    # What must be there.

    def wrong(self):
        """Of all that it knows."""
        found = []
        for what, known in (("manifests", self.tags), ("manifests", self.manifests), ("blobs", self.blobs)):
            for (name, which), values in known.items():
                try:
                    reply, body = self.read(f"/v2/{name}/{what}/{which}")
                except (OSError, http.client.HTTPException) as e:
                    reply, body = type(e).__name__, b""
                got = body if reply == 200 else GONE if reply == 404 else f"status {reply}"
                if got not in values:
                    told = f"status {reply}, {len(body)} bytes" if got is not GONE else "not there"
                    sure = "acknowledged" if len(values) == 1 else "tried"
                    found.append(f"{name} {what} {which[:20]} {told}; {sure}: {[v if v is GONE else f'{len(v)} bytes' for v in values]}")
                elif reply == 200 and len(values) > 1:
                    known[name, which] = [body]
        return found

    def read(self, path):
        if not self.connection:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            self.connection.request("GET", path, headers={"Accept": MANIFEST})
            reply = self.connection.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException):
            self.connection = None
            raise

    def move_to(self, worker):
        self.port, self.connection = worker.port, None

    def again(self, worker, seed):
        """One that goes on with what this one knows."""
        other = Client(worker, self.number, seed)
        other.tags, other.manifests, other.blobs, other.bytes = self.tags, self.manifests, self.blobs, self.bytes
        other.n = self.n + 1000
        return other


def is_stopped(process):
    tasks = os.listdir(f"/proc/{process.pid}/task")
    return all(open(f"/proc/{process.pid}/task/{t}/stat").read().rsplit(")", 1)[1].split()[0] == "T" for t in tasks)


def under_load(worker, clients, seconds):
    """Ends in the middle of it: the worker is stopped, and dead when the block ends."""
    for client in clients:
        client.start()
    threading.Event().wait(seconds)
    os.kill(worker.process.pid, signal.SIGSTOP)
    await_true(lambda: is_stopped(worker.process), what="the stop of all threads")


def end_load(worker, clients):
    # What the worker has answered before it was stopped still arrives; it never goes on.
    for client in clients:
        client.halt.set()
    threading.Event().wait(0.02)
    worker.kill()
    for client in clients:
        client.join(30)
        assert not client.is_alive()


def check_store(store):
    for path in store.glob("power/*/index.json"):
        json.loads(path.read_text())


def check(worker, clients, when):
    wrong = []
    for client in clients:
        client.move_to(worker)
        wrong += client.wrong()
    for name in clients[0].names:
        reply = worker.call("GET", f"/v2/{name}/tags/list")
        if reply.status_code not in (200, 404):
            wrong.append(f"tags of {name}: status {reply.status_code}")
    listed = set(worker.call("GET", "/v2/_catalog?n=1000").json()["repositories"])
    pushed = {name for client in clients for (name, _), values in client.manifests.items() if GONE not in values}
    if pushed - listed:
        wrong.append(f"{sorted(pushed - listed)} not in the catalog")
    assert not wrong, f"{when}: {len(wrong)} wrong\n" + "\n".join(wrong[:20]) + worker.text()[-1500:]


def settings(rest):
    return {"ZOT_INDEX_LOG": rest.choice([8192, 16384]), "ZOT_LOG_LEVEL": "warn"}


class OnDisk:
    def __init__(self, kind, disks):
        self.kind, self.disks, self.made = kind, disks, []

    def prepare(self, folder, rest):
        self.made = [self.disks.make(self.kind, 80, rest.choice(OPTIONS[self.kind]))]
        return self.made[0].path / "store", None

    def disturb(self, rest):
        pass

    def cut(self, folder, rest):
        self.made.append(self.disks.cut(self.made[0]))
        return self.made[1].path / "store"

    def end(self):
        for disk in self.made:
            self.disks.drop(disk)


class OnPaper:
    def __init__(self):
        self.power, self.faults, self.dropped = None, None, 0

    def prepare(self, folder, rest):
        store = folder.resolve() / "store"
        store.mkdir()
        self.faults = Faults(folder / "faults")
        self.power = Power(self.faults, store)
        return store, self.faults

    def disturb(self, rest):
        for _ in range(rest.choice([0, 0, 1, 2, 4])):
            error = rest.choice([errno.EIO, errno.ENOSPC])
            call = rest.choice(["pwrite", "write", "fsync", "fdatasync", "fdatasync", "syncfs", "rename", "unlink", "link", "create", "ftruncate"])
            what = short(rest.choice([1, 100, 2000]), error) if call in ("pwrite", "write") else rest.choice([fail, late])(error)
            self.faults.add(call, str(self.power.store), what, after=rest.randrange(60), times=rest.choice([1, 1, 2, 5]))

    def cut(self, folder, rest):
        self.dropped += self.power.cut(folder / "cut", size_stays=rest.random() < 0.5)
        return folder / "cut"

    def end(self):
        pass


def one_round(folder, what, seed):
    rest, name = random.Random(seed), folder.name
    folder.mkdir()
    store, faults = what.prepare(folder, rest)
    # The spool is in the store: blobs are renamed into their places.
    with make(folder / "before", faults, ZOT_STORAGE_ROOT=store, ZOT_SPOOL=store / ".uploads", **settings(rest)) as worker:
        clients = [Client(worker, k, f"{seed} {k}") for k in range(CLIENTS)]
        what.disturb(rest)
        under_load(worker, clients, rest.uniform(0.2, 1.0))
        after = what.cut(folder, rest)
        end_load(worker, clients)
    with make(folder / "after", None, ZOT_STORAGE_ROOT=after, ZOT_SPOOL=after / ".uploads", **settings(rest)) as worker:
        check_store(after)
        check(worker, clients, f"{name}, after the power cut")
        more = [client.again(worker, f"{seed} {k} again") for k, client in enumerate(clients)]
        under_load(worker, more, rest.uniform(0.1, 0.3))
        end_load(worker, more)
        worker.start()
        check_store(after)
        check(worker, more, f"{name}, used again and killed")
        if rest.random() < 0.5:
            worker.stop()  # folds
            worker.start()
            check(worker, more, f"{name}, folded")
    what.end()
    return sum(n for client in clients for (_, status), n in client.statuses.items() if status in (201, 202))


@pytest.mark.parametrize("kind", KINDS)
def test_power_cuts(tmp_path, kind):
    rounds = max(ROUNDS // SHARES[kind], 1)
    with contextlib.ExitStack() as stack:
        what = OnPaper() if kind == "paper" else OnDisk(kind, stack.enter_context(Disks(tmp_path)))
        done = 0
        for n in range(rounds):
            print(f"POWER_SEED={SEED} POWER_KIND={kind}, of {rounds} rounds the {n}.")
            done += one_round(tmp_path / f"{kind}{n}", what, f"{SEED} {kind} {n}")
    print(f"{rounds} rounds of power cuts, {kind}, {done} changes acknowledged")
    assert done > 10 * rounds, "hardly anything was under way"
    if kind == "paper":
        assert what.dropped, "nothing was lost: these were no power cuts"
