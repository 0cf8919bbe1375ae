# SPDX-License-Identifier: Apache-2.0
"""Isolated storage, each worker with a disk of its own: members come, are evacuated, and are killed in the middle, while clients push, pull and delete.

A client repeats what is answered 503, as clients do, and nothing else may fail; where workers are killed, what was cut off is repeated too. What was
acknowledged is found afterwards, once, at its owner.

    SCALE=full          2,000 repositories, and twenty rounds of kills
    MOVES_SEED=random   another order of kills; a number: that one
"""
import json
import os
import pathlib
import random
import subprocess
import threading
import time

import pytest
import requests

from cluster import Cluster
from registry import MANIFEST, await_true, digest, image

FULL = os.environ.get("SCALE") == "full"
REPOSITORIES = 2000 if FULL else 60
ROUNDS = 20 if FULL else 1
PULLED = 1000 if FULL else 3  # tags of each repository, in the end; all are listed
PATIENCE_S = 40


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

    def evacuate(self, worker):
        """As its operator does it on its machine."""
        done = subprocess.run([worker.command[0], "evacuate"], env=worker.environment, capture_output=True, text=True, timeout=900 if FULL else 120)
        assert done.returncode == 0 and f"{worker.name} is evacuated" in done.stdout, done.stdout + done.stderr

    def retire(self, worker):
        """Evacuated: it ends, and is forgotten."""
        self.workers.remove(worker)
        worker.stop()
        await_true(lambda: self.admin("DELETE", f"/api/cluster/members/{worker.name}").status_code in (200, 204), 30, "forgotten")

    def disks_with(self, name):
        return [w.name for w in self.workers if (pathlib.Path(w.environment["ZOT_STORAGE_ROOT"]) / name / "index.json").exists()]


class World:
    """What was acknowledged: repository -> tag -> digest. Each client has repositories that it alone changes."""

    def __init__(self, cluster, kills=False):
        self.cluster, self.kills, self.tags, self.lock, self.halt, self.failures, self.late = cluster, kills, {}, threading.Lock(), threading.Event(), [], 0

    def call(self, session, choose, method, path, expected, **more):
        end = time.monotonic() + PATIENCE_S
        while True:
            worker = choose.choice(self.cluster.workers)
            try:
                reply = session.request(method, worker.url + path if path.startswith("/") else path, timeout=60, **more)
                if reply.status_code in expected:
                    return reply
                assert reply.status_code == 503 and "Retry-After" in reply.headers, (method, path, worker.name, reply.status_code, reply.text[:300])
                why = reply.text
            except requests.ConnectionError as error:
                assert self.kills, (method, path, repr(error))
                why = repr(error)
            self.late += 1
            assert time.monotonic() < end, (method, path, "for too long", why[:300])
            time.sleep(0.1)

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
        mine = self.tags.setdefault(name, {})
        self.halt.wait(0.03)
        if mine and choose.random() < 0.25:
            gone = choose.choice(sorted(mine))
            with self.lock:
                mine.pop(gone)
            # The answer to the first may have been lost.
            self.call(session, choose, "DELETE", f"/v2/{name}/manifests/{gone}", (202, 404) if self.kills else (202,))
            return
        pushed = self.push(session, choose, name, tag, os.urandom(3000))
        with self.lock:
            mine[tag] = pushed

    def pull_on(self, number, choose, session):
        self.halt.wait(0.01)
        name = f"still/r{choose.randrange(REPOSITORIES)}"
        reply = self.call(session, choose, "GET", f"/v2/{name}/manifests/v1", (200,))
        assert digest(reply.content) == self.tags[name]["v1"]
        for part in reply.json()["layers"]:
            assert digest(self.call(session, choose, "GET", f"/v2/{name}/blobs/{part['digest']}", (200,)).content) == part["digest"]
        assert self.call(session, choose, "GET", f"/v2/{name}/tags/list", (200,)).json()["tags"] == ["v1"]

    def watch_catalog(self, number, choose, session):
        """Of each repository some member says that it has it, at every moment."""
        names = set()
        for worker in self.cluster.workers + self.cluster.joining:
            reply = session.get(f"{worker.url}/v2/_catalog?n=10000", timeout=60)
            assert reply.status_code == 200, reply.text
            names |= set(reply.json()["repositories"])
        missing = {name for name in self.still if name not in names}
        # What moves between two of these questions may be in neither: then it is where it was not asked yet.
        if missing and missing == self.missed & missing:
            raise AssertionError(f"not in any catalog: {sorted(missing)[:5]}")
        self.missed = missing
        time.sleep(0.05)

    def fill(self):
        session, choose = self.session(), random.Random(0)
        for i in range(REPOSITORIES):
            self.tags[f"still/r{i}"] = {"v1": self.push(session, choose, f"still/r{i}", "v1", b"layer %d" % i * 50)}
        self.still, self.missed = list(self.tags), set()

    def __enter__(self):
        deeds = [self.push_on] * 3 + [self.pull_on] * 3 + ([] if self.kills else [self.watch_catalog])
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
            if not tags and not self.cluster.disks_with(name):
                continue
            listed = self.call(session, choose, "GET", f"/v2/{name}/tags/list", (200,)).json()["tags"]
            assert sorted(listed) == sorted(tags), (name, sorted(set(listed) ^ set(tags)))
            for tag, pushed in choose.sample(sorted(tags.items()), min(len(tags), PULLED)):
                reply = self.call(session, choose, "GET", f"/v2/{name}/manifests/{tag}", (200,))
                assert digest(reply.content) == pushed
                for part in reply.json()["layers"]:
                    assert self.call(session, choose, "GET", f"/v2/{name}/blobs/{part['digest']}", (200,)).status_code == 200
        await_true(lambda: all(len(self.cluster.disks_with(name)) == 1 for name, tags in self.tags.items() if tags), 60, "each on one disk")


def test_two_become_four_and_then_three():
    with Isolated(2) as cluster:
        world = World(cluster)
        world.fill()
        with world:
            cluster.join("worker-2")
            cluster.join("worker-3")
            await_true(cluster.settled, 900 if FULL else 60, "all has moved")
            cluster.evacuate(cluster.workers[0])
        asked_again = world.late
        for auth in (None, (cluster.user, cluster.password)):
            reply = requests.get(f"{cluster.workers[1].url}/cluster/moves?do=list", auth=auth, timeout=10)
            assert reply.status_code in (401, 403), "only members may ask"
        cluster.retire(cluster.workers[0])
        world.check()
        tags = sum(map(len, world.tags.values()))
        print(f"{len(world.tags)} repositories, {tags} tags, two joined and one left; {asked_again} requests were asked again")


def pulls_at(worker, name):
    """Of v1, as its storage has it; None: it is not there."""
    done = subprocess.run([worker.command[0], "statistics", "--repository", name], env=worker.environment, capture_output=True, text=True, timeout=60)
    return next((row["pulls"] for row in map(json.loads, done.stdout.splitlines()) if row.get("tag") == "v1"), None)


def test_what_was_counted_goes_along():
    """Pulls that their owner has counted, and not written, are given with the index; what is counted when all end is written."""
    names = [f"counted/r{i}" for i in range(12)]
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
        cluster.evacuate(leaves)
        assert {pulls_at(stays, name) for name in held} == {4}
        assert {pulls_at(stays, name) for name in names if name not in held} == {0}
        pull(leaves)
        stays.stop()
        assert {pulls_at(stays, name) for name in names} == {5}


def seeds():
    given = os.environ.get("MOVES_SEED")
    if given == "random":
        return [random.SystemRandom().randrange(10 ** 6) for _ in range(ROUNDS)]
    return [int(given)] if given else range(1, ROUNDS + 1)


@pytest.mark.parametrize("seed", seeds())
def test_whoever_is_killed_in_the_middle(seed):
    print(f"MOVES_SEED={seed}")
    choose = random.Random(seed)
    with Isolated(2) as cluster:
        world = World(cluster, kills=True)
        world.fill()
        with world:
            cluster.join("worker-2")
            for _ in range(4 if FULL else 2):
                time.sleep(choose.random())
                victim = choose.choice(cluster.workers)
                victim.kill()
                time.sleep(choose.random() / 2)
                victim.start()
            # There, and back, before all has moved.
            back = choose.choice(cluster.workers)
            assert cluster.admin("POST", f"/api/cluster/members/{back.name}/evacuate", {}).status_code in (200, 202)
            time.sleep(choose.random())
            assert cluster.admin("POST", f"/api/cluster/members/{back.name}/undrain", {}).status_code == 200
            await_true(cluster.settled, 900 if FULL else 60, "all has moved")
        world.check()


def test_who_is_away_is_named_and_nothing_is_guessed():
    with Isolated(2, lease_ms=1500) as cluster:
        world = World(cluster)
        world.fill()
        names, away = sorted(world.tags), cluster.workers[1]

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
        # Nobody knows but that one whether it had this name.
        assert {ask(f"new/r{i}") for i in range(40)} == {404, 503}
        cluster.workers.append(away.start())
        await_true(cluster.settled, 60, "all has moved")
        assert {ask(name) for name in names} == {200}
        # By the rings since then it is known whose a name is.
        away.kill()
        cluster.workers.remove(away)
        assert {ask(f"new/r{i}") for i in range(40)} == {404, 503}
        pushed = 0
        for i in range(40):
            if ask(f"new/r{i}") == 404:
                cluster.push(f"new/r{i}", "v1", cluster.workers[0])
                pushed += 1
        assert pushed
        lost = [name for name in names if ask(name) == 503]
        await_true(lambda: cluster.admin("DELETE", f"/api/cluster/members/{away.name}").status_code in (200, 204), 30, "forgotten")
        await_true(cluster.settled, 60, "all has moved")
        assert {name: ask(name) for name in names} == {name: 404 if name in lost else 200 for name in names}
        assert lost and len(lost) < len(names)
        cluster.push(lost[0], "v1", cluster.workers[0])
