# SPDX-License-Identifier: Apache-2.0
"""Isolated storage, each worker with a disk of its own: members come, are evacuated, and are killed in the middle, while clients push, pull and delete.

A client repeats what is answered 503, as clients do, and nothing else may fail; where somebody is killed, what was cut off is repeated too. What was
acknowledged is found afterwards, once, at its owner; and at every moment in `_catalog`, whichever worker gives a page of it.

    SCALE=full          2,000 repositories, more kills
    MOVES_SEED=random   another order of kills; a number: that one
"""
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import subprocess
import threading
import time

import requests

from cluster import Cluster
from registry import MANIFEST, await_true, digest, image

FULL = os.environ.get("SCALE") == "full"
REPOSITORIES = 2000 if FULL else 60
STRIKES = 3 if FULL else 1  # at each of them, in each change of the ring
JOIN = 2 if FULL else 1
SEED = os.environ.get("MOVES_SEED", "1")
SEED = random.SystemRandom().randrange(10 ** 6) if SEED == "random" else int(SEED)
PATIENCE_S = 40
MOVED_S = 600 if FULL else 60
# Longer than a member may be late with a ring: then a copy is there for whoever asks by the ring before.
GRACE_S = 30 if FULL else 4
MISSING = re.compile(r"repositories of (.+?) (?:are missing|and \d+ other)")


class Isolated(Cluster):
    def __init__(self, workers, grace="0", **more):
        self.grace, self.joining = grace, []
        super().__init__(workers=workers, haproxy=False, leader_environment={"ZOT_CLUSTER_ISOLATED": "true"}, **more)

    def worker(self, name, **more):
        return super().worker(name, ZOT_STORAGE_ROOT=self.folder / f"{name}-disk", ZOT_MOVE_GRACE=self.grace, **more)

    def join(self, name):
        worker = self.worker(name)
        worker.start()
        self.joining.append(worker)
        self.wait_active(len(self.workers) + 1)
        self.workers.append(worker)
        self.joining.remove(worker)
        return worker

    def settled(self):
        """Nobody holds what others own, and nothing is on its way, by the newest ring."""
        assert all(w.process.poll() is None for w in self.workers), "a worker ended"
        epoch = self.admin("GET", "/api/ring/ring").json()["epoch"]
        return all(m["stats"].get("movesEpoch") == epoch and not m["stats"]["movesHeld"] and not m["stats"]["movesComing"]
                   for m in self.members() if m["state"] not in ("lost", "left"))

    def on_their_way(self):
        return sum(m["stats"].get("movesHeld", 0) + m["stats"].get("movesComing", 0) for m in self.members())

    @contextlib.contextmanager
    def evacuating(self, worker):
        """As its operator does it on its machine: what is done meanwhile is done in the middle."""
        with subprocess.Popen([worker.command[0], "evacuate"], env=worker.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
            try:
                yield run
                said, _ = run.communicate(timeout=MOVED_S)
            finally:
                run.kill()
        assert run.returncode == 0 and f"{worker.name} is evacuated" in said, said

    def retire(self, worker):
        """Evacuated: it ends, and is forgotten by that."""
        self.workers.remove(worker)
        worker.stop()
        await_true(lambda: all(m["name"] != worker.name for m in self.members()), 30, "forgotten")

    def disk(self, worker):
        return pathlib.Path(worker.environment["ZOT_STORAGE_ROOT"])

    def disks_with(self, name):
        return [w.name for w in self.workers if (self.disk(w) / name / "index.json").exists()]


class World:
    """What was acknowledged: repository -> tag -> digest. Each client has repositories that it alone changes."""

    def __init__(self, cluster, kills=False):
        self.cluster, self.kills, self.tags, self.lock, self.halt, self.failures = cluster, kills, {}, threading.Lock(), threading.Event(), []
        self.again, self.longest, self.calls, self.walks, self.warned = collections.Counter(), 0, 0, 0, collections.Counter()

    def call(self, session, choose, method, path, expected, **more):
        began = time.monotonic()
        while True:
            worker = choose.choice(self.cluster.workers)
            try:
                reply = session.request(method, worker.url + path if path.startswith("/") else path, timeout=60, **more)
                if reply.status_code in expected:
                    break
                if reply.status_code != 503 or "Retry-After" not in reply.headers:
                    raise AssertionError(f"{method} {path} at {worker.name}: {reply.status_code} {reply.text[:300]}, {time.strftime('%H:%M:%S', time.gmtime())} UTC")
                why, kind = reply.text, "503"
            except requests.ConnectionError as error:
                assert self.kills, (method, path, repr(error))
                why, kind = repr(error), "cut off"
            self.again[kind] += 1
            assert time.monotonic() < began + PATIENCE_S, (method, path, "for too long", why[:300])
            time.sleep(0.1)
        self.calls += 1
        self.longest = max(self.longest, time.monotonic() - began)
        return reply

    def session(self):
        session = requests.Session()
        session.trust_env, session.auth = False, (self.cluster.user, self.cluster.password)
        return session

    def push(self, session, choose, name, tag, layer):
        for data in (b"{}", layer):
            # A session lies where it began: who ends takes it along, and the client begins anew.
            while True:
                place = self.call(session, choose, "POST", f"/v2/{name}/blobs/uploads/", (202,)).headers["Location"]
                expected = (201, 404) if self.kills else (201,)
                if self.call(session, choose, "PUT", place, expected, params={"digest": digest(data)}, data=data).status_code == 201:
                    break
        body = image(layer)
        self.call(session, choose, "PUT", f"/v2/{name}/manifests/{tag}", (201,), data=body, headers={"Content-Type": MANIFEST})
        return digest(body)

    def client(self, number, deed):
        choose, session = random.Random(number), self.session()
        try:
            while not self.halt.is_set():
                deed(number, choose, session)
        except Exception as error:  # noqa: BLE001 - whatever ends a client is a failure
            self.failures.append((number, repr(error)))

    def push_on(self, number, choose, session):
        name, tag = f"busy/p{number}/r{choose.randrange(12)}", f"t{choose.randrange(10 ** 9)}"
        mine = self.tags.get(name, {})
        self.halt.wait(0.03)
        if mine and choose.random() < 0.25:
            gone = choose.choice(sorted(mine))
            with self.lock:
                mine.pop(gone)
            # The answer to the first may have been lost.
            self.call(session, choose, "DELETE", f"/v2/{name}/manifests/{gone}", (202, 404) if self.kills else (202,))
            return
        pushed = self.push(session, choose, name, tag, os.urandom(300))
        with self.lock:
            self.tags.setdefault(name, {})[tag] = pushed

    def pull_on(self, number, choose, session):
        self.halt.wait(0.01)
        name = f"still/r{choose.randrange(REPOSITORIES)}"
        reply = self.call(session, choose, "GET", f"/v2/{name}/manifests/v1", (200,))
        assert digest(reply.content) == self.tags[name]["v1"]
        for part in reply.json()["layers"]:
            assert digest(self.call(session, choose, "GET", f"/v2/{name}/blobs/{part['digest']}", (200,)).content) == part["digest"]
        assert self.call(session, choose, "GET", f"/v2/{name}/tags/list", (200,)).json()["tags"] == ["v1"]

    def walk(self, number, choose, session):
        """The catalog from its beginning to its end, each page by another worker: all that was acknowledged before, each once. What is missing lies with a
        member that a Warning named."""
        with self.lock:
            wanted = set(self.tags)
        seen, away, path = [], set(), f"/v2/_catalog?n={choose.choice([17, 300, 10000])}"
        while path:
            reply = self.call(session, choose, "GET", path, (200,))
            seen += reply.json()["repositories"]
            for names in MISSING.findall(reply.headers.get("Warning", "")):
                away |= set(names.split(", "))
            path = reply.links["next"]["url"] if "next" in reply.links else None
        assert seen == sorted(set(seen)), "in order, each once"
        disks = [self.cluster.disk(w) for w in self.cluster.workers + self.cluster.joining if w.name in away]
        missing = sorted(name for name in wanted - set(seen) if not any((disk / name / "index.json").exists() for disk in disks))
        assert not missing, f"not in the catalog, and with nobody of {sorted(away)}: {len(missing)}, {missing[:5]}"
        assert self.kills or not away, f"{sorted(away)} are said to be missing"
        self.walks += 1
        self.warned.update(away)
        self.halt.wait(0.05)

    def fill(self):
        session, choose = self.session(), random.Random(0)
        for i in range(REPOSITORIES):
            self.tags[f"still/r{i}"] = {"v1": self.push(session, choose, f"still/r{i}", "v1", b"layer %d" % i * 50)}
        self.again.clear()

    def __enter__(self):
        deeds = [self.push_on] * 3 + [self.pull_on] * 3 + [self.walk] * 2
        self.threads = [threading.Thread(target=self.client, args=(i, deed)) for i, deed in enumerate(deeds, 1)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *rest):
        self.halt.set()
        for thread in self.threads:
            thread.join()
        if not kind:
            assert not self.failures, self.failures

    def check(self):
        """All that was acknowledged is there, nothing that was deleted, and each repository on one disk."""
        session, choose = self.session(), random.Random(1)
        for name, tags in sorted(self.tags.items()):
            listed = self.call(session, choose, "GET", f"/v2/{name}/tags/list", (200,)).json()["tags"]
            assert sorted(listed) == sorted(tags), (name, sorted(set(listed) ^ set(tags)))
            for tag, pushed in tags.items():
                reply = self.call(session, choose, "GET", f"/v2/{name}/manifests/{tag}", (200,))
                assert digest(reply.content) == pushed
                for part in reply.json()["layers"]:
                    assert self.call(session, choose, "GET", f"/v2/{name}/blobs/{part['digest']}", (200,)).status_code == 200
        await_true(lambda: all(len(self.cluster.disks_with(name)) == 1 for name in self.tags), 60 + GRACE_S, "each on one disk")
        await_true(self.cluster.settled, 30, "each at its owner")

    def tell(self):
        print(f"{len(self.tags)} repositories, {sum(map(len, self.tags.values()))} tags; {self.calls} requests, asked again {dict(self.again)}, the longest "
              f"{self.longest:.1f} s; {self.walks} walks of the catalog, members away in them {dict(self.warned)}", flush=True)


def serves(process):
    with contextlib.suppress(requests.ConnectionError):
        return process.call("GET", "/livez", timeout=5).status_code == 200
    return False


def strike(cluster, victim, choose):
    """It is killed in the middle, and comes back."""
    time.sleep(choose.random() / 2)
    left = cluster.on_their_way()
    victim.kill()
    time.sleep(choose.random())
    victim.start(wait=False)
    # One that is drained is not ready, and serves.
    await_true(lambda: serves(victim), 40, f"{victim.name} serves")
    print(f"  {victim.name} was killed while {left} repositories were on their way", flush=True)


@contextlib.contextmanager
def moving(cluster, what):
    """In it the ring changes; it ends when all has moved."""
    began = time.monotonic()
    yield
    await_true(cluster.settled, MOVED_S, "all has moved")
    took, on = time.monotonic() - began, {w.name: sum(1 for _ in cluster.disk(w).glob("still/*/index.json")) for w in cluster.workers}
    print(f"{what}: {took:.1f} s; copies of the {REPOSITORIES}: {on}", flush=True)


def test_two_become_four_and_then_two():
    with Isolated(2, grace=f"{GRACE_S}s") as cluster:
        world = World(cluster)
        world.fill()
        with world:
            with moving(cluster, "two joined"):
                cluster.join("worker-2")
                cluster.join("worker-3")
            for worker in cluster.workers[:2]:
                with moving(cluster, f"{worker.name} was evacuated"), cluster.evacuating(worker):
                    pass
        world.tell()
        for auth in (None, (cluster.user, cluster.password)):
            reply = requests.get(f"{cluster.workers[2].url}/cluster/moves?do=list", auth=auth, timeout=10)
            assert reply.status_code in (401, 403), "only members may ask"
        for worker in cluster.workers[:2]:
            cluster.retire(worker)
        world.check()


def pulls_at(worker, name):
    """Of v1, as its storage has it; None: it is not there."""
    done = subprocess.run([worker.command[0], "statistics", "--repository", name], env=worker.environment, capture_output=True, text=True, timeout=60)
    return next((row["pulls"] for row in map(json.loads, done.stdout.splitlines()) if row.get("tag") == "v1"), None)


def test_what_was_counted_goes_along():
    """Pulls that their owner has counted, and not written, are given with the index; what is counted when all end is written."""
    names = [f"counted/r{i}" for i in range(20)]
    with Isolated(2, worker_environment={"ZOT_PULLS_EVERY": "1h"}) as cluster:
        for name in names:
            cluster.push(name, "v1", cluster.workers[0])

        def pull(worker):
            for name in names:
                assert worker.call("GET", f"/v2/{name}/manifests/v1").status_code == 200
        for worker in cluster.workers * 2:
            pull(worker)
        leaves, stays = cluster.workers
        held = [name for name in names if cluster.disks_with(name) == [leaves.name]]
        assert held and len(held) < len(names) and {pulls_at(leaves, name) for name in held} == {0}
        with cluster.evacuating(leaves):
            pass
        assert {pulls_at(stays, name) for name in held} == {4}
        assert {pulls_at(stays, name) for name in names if name not in held} == {0}
        pull(leaves)
        stays.stop()
        assert {pulls_at(stays, name) for name in names} == {5}


def test_whoever_is_killed_in_the_middle():
    """The new owner, the old one, and the leader, while members come (SCALE=full: two), and while as many go."""
    print(f"MOVES_SEED={SEED}")
    choose = random.Random(SEED)
    with Isolated(2, grace=f"{GRACE_S}s", lease_ms=1500, worker_environment={} if FULL else {"ZOT_MOVE_RATE": "16KiB"}) as cluster:
        world = World(cluster, kills=True)
        world.fill()

        def strike_all(*victims):
            for victim in choose.sample(victims * STRIKES, len(victims) * STRIKES):
                strike(cluster, victim, choose)

        with world:
            for name in ("worker-2", "worker-3")[:JOIN]:
                with moving(cluster, f"{name} joined"):
                    strike_all(cluster.join(name), choose.choice(cluster.workers[:2]), cluster.leader)
            # There, and back, before all has moved.
            back = choose.choice(cluster.workers)
            with moving(cluster, f"{back.name} was drained, and owned again"):
                assert cluster.admin("POST", f"/api/cluster/members/{back.name}/evacuate", {}).status_code in (200, 202)
                time.sleep(choose.random())
                assert cluster.admin("POST", f"/api/cluster/members/{back.name}/undrain", {}).status_code == 200
            for worker in cluster.workers[:JOIN]:
                with moving(cluster, f"{worker.name} was evacuated"), cluster.evacuating(worker):
                    strike_all(worker, cluster.workers[-1], cluster.leader)
                cluster.retire(worker)
        world.tell()
        world.check()


def test_a_blob_that_ends_at_a_source_while_all_else_moves():
    """The upload began there before the ring changed. When its blob is there the others have been listed already, and a push names it."""
    with Isolated(1, worker_environment={"ZOT_MOVE_RATE": "16KiB"}) as cluster:
        old, layers, late = cluster.workers[0], [os.urandom(8192) for _ in range(4)], b"late"
        names = [f"slow/r{i}" for i in range(12)]
        await_true(lambda: old.call("GET", "/v2/slow/none/tags/list").status_code == 404, 30, "the ring, at the worker")
        for name in names:
            for layer in layers:
                cluster.push_blob(name, layer, old)
            cluster.push(name, "v1", old)
        places = {name: old.call("POST", f"/v2/{name}/blobs/uploads/").headers["Location"] for name in names}
        new = cluster.join("worker-1")

        def begun():
            return next((name for name in names if any((cluster.disk(new) / name / "blobs/sha256" / digest(layer)[7:]).exists() for layer in layers)), None)
        name = await_true(begun, 30, "blobs come")
        assert not (cluster.disk(old) / name / "blobs/sha256" / digest(late)[7:]).exists()
        assert old.call("PUT", places[name], params={"digest": digest(late)}, data=late).status_code == 201
        cluster.push_manifest(name, "v2", new, late)
        await_true(lambda: cluster.disks_with(name) == [new.name], 60, "it has moved")
        assert new.call("GET", f"/v2/{name}/blobs/{digest(late)}").content == late


def test_who_is_away_is_named_and_nothing_is_guessed():
    with Isolated(2, lease_ms=1500) as cluster:
        world = World(cluster)
        world.fill()
        names, away, new = sorted(world.tags), cluster.workers[1], [f"new/r{i}" for i in range(40)]
        of_away = {name for name in new if cluster.owner_of(name) is away}

        def ask(name):
            """A 503 of a moment, while the ring changes, is asked again; one that names who is away stays."""
            end = time.monotonic() + 20
            while True:
                reply = cluster.workers[-1].call("GET", f"/v2/{name}/manifests/v1")
                if reply.status_code in (200, 404) or (reply.status_code == 503 and away.name in reply.text):
                    return reply.status_code
                assert reply.status_code == 503 and time.monotonic() < end, (name, reply.status_code, reply.text)
                time.sleep(0.05)

        away.kill()
        cluster.workers.remove(away)
        await_true(lambda: any(m["state"] == "lost" for m in cluster.members()), 30, "lost")
        cluster.join("worker-2")
        await_true(lambda: {ask(name) for name in names} == {200, 503}, 30, "what the one has comes, what the other has is 503")
        # Nobody knows but that one whether it had a name that was its own. Of the others the one who has just come knows by what the first has told it.
        await_true(lambda: {name for name in new if ask(name) == 503} == of_away, 30, "what the one had not is nowhere")
        assert {ask(name) for name in new if name not in of_away} == {404}
        pushed = [name for name in new if name not in of_away]
        for name in pushed[:10]:
            cluster.push(name, "v1", cluster.workers[-1])
        cluster.workers.append(away.start())
        await_true(cluster.settled, 60, "all has moved")
        assert {ask(name) for name in names} == {200}
        assert {ask(name) for name in pushed[:10]} == {200}
        # By the rings since then it is known whose a name is.
        away.kill()
        cluster.workers.remove(away)
        assert {ask(name) for name in new if name not in pushed[:10]} == {404, 503}
        for name in pushed[10:]:
            if ask(name) == 404:
                cluster.push(name, "v1", cluster.workers[0])
        lost = [name for name in names if ask(name) == 503]
        await_true(lambda: cluster.admin("DELETE", f"/api/cluster/members/{away.name}").status_code in (200, 204), 30, "forgotten")
        await_true(cluster.settled, 60, "all has moved")
        assert {name: ask(name) for name in names} == {name: 404 if name in lost else 200 for name in names}
        assert lost and len(lost) < len(names)
        cluster.push(lost[0], "v1", cluster.workers[0])
