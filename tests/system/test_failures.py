# SPDX-License-Identifier: Apache-2.0
"""kill -9 of owners and of the leader: nothing acknowledged is lost, nothing is counted twice."""
import concurrent.futures
import os
import threading
import time

import pytest
import requests

from cluster import Cluster
from registry import MANIFEST, await_true, digest, image

ROUNDS = 20


def once_more(attempt):
    """What a client does: one retry. The second failure counts."""
    try:
        return attempt()
    except (requests.RequestException, AssertionError):
        return attempt()


class Pusher(threading.Thread):
    """Pushes small images through one worker until it is told to stop; remembers what was acknowledged."""

    def __init__(self, cluster, name, through):
        super().__init__()
        self.cluster, self.name_, self.through = cluster, name, through
        self.acknowledged, self.failed, self.halt = [], [], threading.Event()

    def run(self):
        n = 0
        while not self.halt.is_set():
            n += 1
            layer, tag = os.urandom(2000), f"{self.through.name}-{n:05}"
            try:
                once_more(lambda: self.cluster.push_blob(self.name_, b"{}", self.through))
                once_more(lambda: self.cluster.push_blob(self.name_, layer, self.through))
                body = once_more(lambda: self.cluster.push_manifest(self.name_, tag, self.through, layer))
                self.acknowledged.append((tag, layer, body))
            except (requests.RequestException, AssertionError) as error:
                self.failed.append(repr(error))


def check(cluster, pusher, through):
    for tag, layer, body in pusher.acknowledged:
        reply = through.call("GET", f"/v2/{pusher.name_}/manifests/{tag}")
        assert reply.status_code == 200 and reply.content == body, (pusher.name_, tag, reply.status_code)
        assert through.call("GET", f"/v2/{pusher.name_}/blobs/{digest(layer)}").content == layer


def test_the_owner_is_killed_during_pushes():
    with Cluster(lease_ms=2000, haproxy=False) as cluster:
        total = 0
        for n in range(ROUNDS):
            name = f"killed/app{n}"
            owner = cluster.owner_of(name)
            others = [w for w in cluster.workers if w is not owner]
            pushers = [Pusher(cluster, name, through) for through in others]
            for pusher in pushers:
                pusher.start()
            await_true(lambda: all(len(p.acknowledged) >= 2 for p in pushers), 30, "the first pushes")
            owner.kill()
            killed, before = time.monotonic(), [len(p.acknowledged) for p in pushers]
            await_true(lambda: all(len(p.acknowledged) > b for p, b in zip(pushers, before)), 30, "a push after the kill")
            after = time.monotonic() - killed
            assert after < 2.0, f"the next push took {after:.1f} s, more than a lease"
            time.sleep(0.2)  # load goes on for a while: not a wait for an event
            for pusher in pushers:
                pusher.halt.set()
            for pusher in pushers:
                pusher.join()
                assert not pusher.failed, pusher.failed
            owner.start()
            cluster.wait_active(3)
            for pusher in pushers:
                for worker in cluster.workers:
                    check(cluster, pusher, worker)
                total += len(pusher.acknowledged)
        print(f"{ROUNDS} rounds, {total} pushes acknowledged and found at all workers")


def test_the_leader_is_killed():
    with Cluster(lease_ms=2000, haproxy=False) as cluster:
        key = cluster.new_key()
        sessions = []
        for worker in cluster.workers:
            session = requests.Session()
            session.auth = (key["clientId"], key["clientSecret"])
            sessions.append(session)
        body = cluster.push("led/app", "v1", cluster.workers[0])
        calls = [0]

        def call(i):
            reply = sessions[i % 3].get(f"{cluster.workers[i % 3].url}/v2/led/app/manifests/v1", timeout=30)
            assert reply.status_code == 200 and reply.content == body
            calls[0] += 1

        await_true(lambda: sessions[0].get(cluster.workers[0].url + "/v2/", timeout=5).status_code == 200 and
                   not calls.__setitem__(0, calls[0] + 1), 10, "the key at a worker")
        for i in range(1, 3):
            await_true(lambda: sessions[i].get(cluster.workers[i].url + "/v2/", timeout=5).status_code == 200 and
                       not calls.__setitem__(0, calls[0] + 1), 10, "the key at a worker")
        for i in range(60):
            call(i)
        cluster.leader.kill()
        for i in range(60):
            call(i)
        cluster.push("led/later", "v1", cluster.workers[1])
        # A worker that starts now has only its disk.
        cluster.workers[2].stop()
        cluster.workers[2].start()
        for i in range(60):
            call(i)
        cluster.leader.start()

        def counted():
            rows = cluster.admin("GET", f"/api/usage?apikey={key['clientId']}").json()["usage"]
            return sum(row["calls"] for row in rows if "day" in row)

        await_true(lambda: counted() >= calls[0], 30, "the usage")
        time.sleep(3)  # more than a push interval: nothing may be added twice
        assert counted() == calls[0]


@pytest.mark.parametrize("store", ["fs", "moto", "radosgw"])
def test_two_workers_that_both_own_a_repository(store):
    """Two lone workers on one store: each believes that it owns everything."""
    with Cluster(store=store, workers=0, haproxy=False) as cluster:
        alone = [cluster.worker(f"alone-{i}", CLUSTER_MODE="off").start() for i in range(3)]
        for worker in alone[:2]:
            cluster.push_blob("both/app", b"{}", worker)
            cluster.push_blob("both/app", b"layer", worker)

        def push(i):
            body = image(b"layer")
            reply = once_more(lambda: put(alone[i % 2], f"w{i % 2}-{i // 2:03}", body))
            return reply.status_code

        def put(worker, tag, body):
            reply = requests.put(f"{worker.url}/v2/both/app/manifests/{tag}", data=body, headers={"Content-Type": MANIFEST}, timeout=60)
            assert reply.status_code == 201, reply.text
            return reply

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert set(pool.map(push, range(200))) == {201}
        tags = requests.get(alone[2].url + "/v2/both/app/tags/list", timeout=60).json()["tags"]
        assert len(tags) == 200 and tags == sorted(f"w{i % 2}-{i // 2:03}" for i in range(200))
