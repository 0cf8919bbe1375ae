# SPDX-License-Identifier: Apache-2.0
"""Rounds of collection: pushers that rely on old layers, while what nobody names is removed by several at once, and owners die and stop.

    ZOT_GC_SEED=n       one seed, to play it again
    SCALE=full          two hundred rounds

Each round: pushers ask for layers (HEAD), mount them from other repositories or send them, push manifests, move tags and delete images. Two workers collect,
each second, what is older than a second, and so does `zot-worker gc` beside them, which waits for nothing: it takes what was sent or asked for a moment ago, so a
push may be refused. One worker is killed, or stopped for longer than its lease, so that two believe to own the same.
Behind each round every image that was acknowledged, and not deleted since, is pulled whole, and its repository is in the catalog: some are emptied all
the time, so that their names leave it and come back.
"""
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import threading
import time

import pytest
import requests

from cluster import BUILD, Cluster
from registry import MANIFEST, await_true, digest

FULL = os.environ.get("SCALE") == "full"
ROUNDS = {"fs": 10, "moto": 10, "radosgw": 10} if not FULL else {"fs": 100, "moto": 60, "radosgw": 40}
SEED = int(os.environ.get("ZOT_GC_SEED", random.SystemRandom().randrange(10 ** 6)))
REPOSITORIES = ["gc/a", "gc/b", "gc/c"]
RARE = ["gc/rare/a", "gc/rare/b"]
LAYERS = [b"layer %d " % n * 200 for n in range(6)]
PUSHERS, ROUND_S, LEASE_MS = 4, 1.2, 1000


class Books:
    """What was acknowledged: images by repository and digest, each with its blobs."""

    def __init__(self):
        self.lock, self.images = threading.Lock(), {}
        self.pushed = self.refused = self.unknown = self.relied = 0

    def add(self, name, found, blobs):
        with self.lock:
            self.images[name, found] = blobs
            self.pushed += 1

    def drop(self, name, found):
        with self.lock:
            return self.images.pop((name, found), None)


class Pusher(threading.Thread):
    def __init__(self, cluster, books, seed, n, end):
        super().__init__()
        self.cluster, self.books, self.dice, self.n, self.end = cluster, books, random.Random(f"{seed} {n}"), n, end
        self.mine, self.made, self.session = [], 0, requests.Session()
        self.session.trust_env, self.session.auth = False, (cluster.user, cluster.password)
        self.trouble = None

    def call(self, method, path, **more):
        worker = self.dice.choice(self.cluster.workers)
        return self.session.request(method, path if path.startswith("http") else worker.url + path, timeout=20, **more)

    def send(self, name, data):
        begun = self.call("POST", f"/v2/{name}/blobs/uploads/")
        if begun.status_code != 202:
            return False
        place = begun.headers["Location"]
        return self.call("PUT", place, params={"digest": digest(data)}, data=data).status_code == 201

    def have(self, name, data):
        """It is there, says somebody: by a question, by a mount, or since it was sent."""
        how = self.dice.random()
        if how < 0.5 and self.call("HEAD", f"/v2/{name}/blobs/{digest(data)}").status_code == 200:
            self.books.relied += 1
            return True
        other = self.dice.choice([r for r in REPOSITORIES if r != name])
        if how < 0.7 and self.call("POST", f"/v2/{name}/blobs/uploads/", params={"mount": digest(data), "from": other}).status_code == 201:
            self.books.relied += 1
            return True
        return self.send(name, data)

    def push(self, name=None):
        name, layers = name or self.dice.choice(REPOSITORIES), self.dice.sample(LAYERS, 2)
        blobs = [b"{}", *layers]
        self.made += 1
        body = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(b"{}"), "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(d), "size": len(d)} for d in layers],
            "annotations": {"who": f"{self.n} {self.made}"}}).encode()
        if not all(self.have(name, data) for data in blobs):
            return
        if self.dice.random() < 0.3:
            time.sleep(self.dice.uniform(0, 0.5))
        reply = self.call("PUT", f"/v2/{name}/manifests/{self.n}-{self.made % 3}", data=body, headers={"Content-Type": MANIFEST})
        if reply.status_code == 201:
            self.books.add(name, digest(body), [digest(d) for d in blobs])
            self.mine.append((name, digest(body)))
        elif reply.status_code == 404:
            self.books.refused += 1
        else:
            assert reply.status_code >= 500, reply.text
            self.books.unknown += 1

    def delete(self):
        name, found = self.mine.pop(self.dice.randrange(len(self.mine)))
        # From the moment of the question on nothing is promised.
        self.books.drop(name, found)
        self.call("DELETE", f"/v2/{name}/manifests/{found}")

    def come_and_go(self):
        """What is pushed to a repository that has little else goes, most of the time."""
        before = len(self.mine)
        self.push(self.dice.choice(RARE))
        if len(self.mine) > before and self.dice.random() < 0.9:
            name, found = self.mine.pop()
            self.books.drop(name, found)
            self.call("DELETE", f"/v2/{name}/manifests/{found}")

    def run(self):
        while not self.end.is_set():
            try:
                if self.dice.random() < 0.2:
                    self.come_and_go()
                else:
                    self.delete() if self.mine and self.dice.random() < 0.4 else self.push()
            except requests.RequestException:
                self.books.unknown += 1
            except Exception as trouble:
                self.trouble = trouble
                return


def collect_at_once(cluster, end):
    """As one who collects beside all of them, and was told of nothing."""
    environment = {**cluster.workers[0].environment, "ZOT_GC_DELAY": "0", "ZOT_LOG_LEVEL": "error"}
    while not end.is_set():
        subprocess.run([BUILD / "worker/zot-worker", "gc"], env=environment, capture_output=True, timeout=60)
        end.wait(0.3)


def disturb(cluster, dice):
    worker = dice.choice(cluster.workers)
    what = dice.choice(["nothing", "kill", "stop", "stop"])
    if what == "kill":
        time.sleep(dice.uniform(0, ROUND_S / 2))
        worker.kill()
        time.sleep(dice.uniform(0.1, 1.2))
        worker.start(wait=False)
    elif what == "stop":
        worker.process.send_signal(signal.SIGSTOP)
        time.sleep(LEASE_MS / 1000 * dice.uniform(1.2, 2))
        worker.process.send_signal(signal.SIGCONT)
    return what


def check(cluster, books, dice):
    for (name, found) in list(books.images):
        if name in RARE and dice.random() < 0.7:
            books.drop(name, found)
            cluster.workers[0].call("DELETE", f"/v2/{name}/manifests/{found}")
    listed = set(dice.choice(cluster.workers).call("GET", "/v2/_catalog").json()["repositories"])
    unlisted = {name for name, _ in books.images} - listed
    assert not unlisted, f"seed {SEED}: {unlisted} not in the catalog"
    for (name, found), blobs in sorted(books.images.items()):
        worker = dice.choice(cluster.workers)
        # Who was the owner may be behind by a lease.
        await_true(lambda: worker.call("HEAD", f"/v2/{name}/manifests/{found}").status_code == 200, 10 * LEASE_MS / 1000, f"seed {SEED}: {name}@{found}")
        body = worker.call("GET", f"/v2/{name}/manifests/{found}")
        assert body.status_code == 200 and digest(body.content) == found, f"seed {SEED}: {name}@{found}: {body.status_code} {body.text[:200]}"
        for blob in blobs:
            reply = worker.call("GET", f"/v2/{name}/blobs/{blob}")
            assert reply.status_code == 200 and "sha256:" + hashlib.sha256(reply.content).hexdigest() == blob, \
                f"seed {SEED}: {name}@{found} lacks {blob}: {reply.status_code}"


def removed_by(cluster):
    return sum(worker.log.read_text().count('"gc.removed"') for worker in cluster.workers)


@pytest.mark.parametrize("store", ["fs", "moto", "radosgw"])
def test_what_is_acknowledged_stays(store):
    dice, books = random.Random(f"{SEED} {store}"), Books()
    # As many repositories as there are names: each counts once, so none is refused, and each name is put within its time.
    soon = {"ZOT_GC_DELAY": "1s", "ZOT_GC_INTERVAL": "1s", "ZOT_MAX_REPOS": len(REPOSITORIES + RARE)}
    with Cluster(store=store, workers=2, haproxy=False, lease_ms=LEASE_MS, worker_environment=soon) as cluster, contextlib.ExitStack() as ends:
        last = threading.Event()
        ends.callback(last.set)
        beside = threading.Thread(target=collect_at_once, args=(cluster, last))
        beside.start()
        for n in range(ROUNDS[store]):
            end = threading.Event()
            pushers = [Pusher(cluster, books, f"{SEED} {store} {n}", who, end) for who in range(PUSHERS)]
            for who, pusher in enumerate(pushers):
                pusher.n = f"{n}-{who}"
                pusher.mine = [image for image in list(books.images)[who::PUSHERS]]
                pusher.start()
            disturb(cluster, dice)
            time.sleep(ROUND_S)
            end.set()
            for pusher in pushers:
                pusher.join()
                assert not pusher.trouble, pusher.trouble
            for worker in cluster.workers:
                worker.wait_ready()
            cluster.wait_active(2)
            check(cluster, books, dice)
        last.set()
        beside.join()
        await_true(lambda: removed_by(cluster) > 0, 30, "something to be removed by a worker")
        vacated = sum(worker.log.read_text().count('"gc.vacated"') for worker in cluster.workers)
        print(f"gc rounds on {store}, seed {SEED}: {ROUNDS[store]} rounds, {books.pushed} pushed, {books.relied} blobs relied on, "
              f"{books.refused} refused, {books.unknown} unknown, {removed_by(cluster)} removed by workers, {vacated} names by them, {len(books.images)} images whole")
        assert books.pushed > 5 * ROUNDS[store] and books.relied > 0
