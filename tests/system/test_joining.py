# SPDX-License-Identifier: Apache-2.0
"""A worker that is set up wrongly among others that are not, while clients pull and push through all of them: it says what is wrong, the leader's members
say so too, and no client is told anything wrong.

Wrong is: an address that is a neighbour's or any web server's, another cluster secret, a name that is taken, a clock.
"""
import concurrent.futures
import contextlib
import os
import threading

import pytest

from cluster import Cluster
from control_world import World
from registry import MANIFEST, await_true, digest, image
from web_server import web_server

REPOSITORIES = [f"app{n}" for n in range(21)]
SECRET = "the workers' own secret, of 32 bytes"


class Load:
    """Pulls of manifests, tags and blobs, pushes and uploads, through each of the workers, until the end of the with. Whatever is not as it should be is kept."""

    def __init__(self, cluster, workers):
        self.cluster, self.workers, self.wrong, self.done, self.halt = cluster, list(workers), [], {}, threading.Event()

    def __enter__(self):
        self.threads = [threading.Thread(target=self.run, args=(worker,), daemon=True) for worker in self.workers]
        for thread in self.threads:
            thread.start()
        self.await_rounds(1)
        return self

    def __exit__(self, kind, *_):
        if not kind:
            self.await_rounds(2)
        self.halt.set()
        for thread in self.threads:
            thread.join(60)
        assert kind or not self.wrong, self.wrong[:10]

    def await_rounds(self, more):
        """So many more, of each worker."""
        goal = {worker.name: self.done.get(worker.name, 0) + more for worker in self.workers}
        await_true(lambda: all(self.done.get(name, 0) >= rounds for name, rounds in goal.items()), 120, "clients that go on")

    def expect(self, worker, status, method, path, **more):
        reply = worker.call(method, path, **more)
        if reply.status_code != status:
            self.wrong.append((worker.name, method, path, reply.status_code, reply.text[:200]))
        return reply

    def round(self, worker, n):
        for name in REPOSITORIES:
            self.expect(worker, 200, "GET", f"/v2/{name}/manifests/v1")
            self.expect(worker, 200, "GET", f"/v2/{name}/tags/list")
            self.expect(worker, 200, "GET", f"/v2/{name}/blobs/{digest(b'layer')}")
            self.expect(worker, 404, "GET", f"/v2/{name}/manifests/none")
        name, layer = REPOSITORIES[n % len(REPOSITORIES)], os.urandom(100)
        location = self.expect(worker, 202, "POST", f"/v2/{name}/blobs/uploads/").headers.get("Location", "")
        if location:
            self.expect(worker, 201, "PUT", location, params={"digest": digest(layer)}, data=layer)
            self.expect(worker, 201, "PUT", f"/v2/{name}/manifests/{worker.name}", data=image(layer), headers={"Content-Type": MANIFEST})

    def run(self, worker):
        n = 0
        while not self.halt.is_set():
            try:
                self.round(worker, n)
            except Exception as error:  # noqa: BLE001
                self.wrong.append((worker.name, repr(error)))
            n += 1
            self.done[worker.name] = n


def push_all(cluster):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda name: cluster.push(name, "v1", cluster.workers[0]), REPOSITORIES):
            pass


def readiness(worker):
    reply = worker.session.get(worker.url + "/readyz", timeout=10, auth=("", ""))
    return reply.status_code, reply.text


def is_up(worker):
    assert worker.process.poll() is None, worker.log.read_text()[-3000:]
    with contextlib.suppress(OSError):
        return worker.session.get(worker.url + "/livez", timeout=5, auth=("", "")).status_code == 200
    return False


def start_wrong(cluster, name, **more):
    worker = cluster.worker(name, **more).start(wait=False)
    await_true(lambda: is_up(worker) and "\nstate: ok" in readiness(worker)[1], 40, f"{name} up, and its state")
    return worker


def ring(cluster):
    return {m["id"]: m["state"] for m in cluster.admin("GET", "/api/ring/ring").json()["members"]}


def told_of(cluster, name):
    return next((m for m in cluster.members() if m["name"] == name), {})


def complains(cluster, worker, kind, *words, counts=True, listed=True):
    """Itself, on its page, in its log and in its metrics, and the leader of it."""
    await_true(lambda: f"\n{kind}: " in readiness(worker)[1], 60, f"the complaint {kind} of {worker.name}")
    status, text = readiness(worker)
    line = next(line for line in text.splitlines() if line.startswith(kind))
    assert status == (503 if counts else 200) and all(word in line for word in words), text
    assert f'"kind":"{kind}"' in worker.log.read_text()
    assert f'zot_cluster_complaint{{kind="{kind}"}} 1\n' in worker.call("GET", "/metrics").text
    if listed:
        name = worker.environment["CLUSTER_WORKER_NAME"]
        await_true(lambda: any(said.startswith(kind + ": ") for said in told_of(cluster, name).get("complaints", [])), 30, "the complaint at the leader")


# ---- The address ----

def test_the_address_of_a_neighbour():
    """CLUSTER_SELF_ADDRESS was copied with the rest of a neighbour's settings."""
    with Cluster(haproxy=False, lease_ms=2000) as cluster:
        push_all(cluster)
        with Load(cluster, cluster.workers):
            wrong = start_wrong(cluster, "wrong", CLUSTER_SELF_ADDRESS=cluster.workers[0].url)
            complains(cluster, wrong, "address", cluster.workers[0].url, "that of the worker", '"worker-0"')
            assert told_of(cluster, "wrong")["state"] == "joining" and "wrong" not in ring(cluster)
        # It serves what it is asked all the same; it is a balancer that does not ask it.
        assert all(wrong.call("GET", f"/v2/{name}/manifests/v1").status_code == 200 for name in REPOSITORIES)
        # Put right, it joins.
        wrong.stop()
        wrong.environment["CLUSTER_SELF_ADDRESS"] = wrong.url
        wrong.start()
        cluster.wait_active(4)
        await_true(lambda: ring(cluster).get("wrong") == "active", 30, "the worker in the ring")


@pytest.mark.parametrize("status", [200, 404])
def test_the_address_of_a_web_server(status):
    with Cluster(haproxy=False, workers=2, lease_ms=2000) as cluster, web_server(status) as url:
        push_all(cluster)
        with Load(cluster, cluster.workers):
            wrong = start_wrong(cluster, "wrong", CLUSTER_SELF_ADDRESS=url)
            complains(cluster, wrong, "address", url, "somebody who is no worker of this cluster", f"answered {status}")
            assert told_of(cluster, "wrong")["state"] == "joining" and "wrong" not in ring(cluster)


@pytest.mark.parametrize("status", [200, 404])
def test_an_address_that_becomes_a_web_servers(status):
    """The member is in the ring, and a part of the repositories is its own: what answers at its address is no answer of the cluster."""
    with Cluster(haproxy=False, workers=2, lease_ms=2000) as cluster, web_server(status) as url:
        push_all(cluster)
        wrong = start_wrong(cluster, "wrong", CLUSTER_SELF_ADDRESS=url, ZOT_CHECK_SELF_ADDRESS="false")
        cluster.wait_active(3)
        await_true(lambda: ring(cluster).get("wrong") == "active", 30, "the worker in the ring")
        with Load(cluster, [*cluster.workers, wrong]) as load:
            load.await_rounds(2)
        for worker in cluster.workers:
            assert '"peer.stranger"' in worker.log.read_text() and url in worker.log.read_text()


def test_the_address_of_a_neighbour_in_the_ring():
    """The same with a worker there, whom the calls are not meant for."""
    with Cluster(haproxy=False, workers=2, lease_ms=2000) as cluster:
        push_all(cluster)
        wrong = start_wrong(cluster, "wrong", CLUSTER_SELF_ADDRESS=cluster.workers[0].url, ZOT_CHECK_SELF_ADDRESS="false")
        cluster.wait_active(3)
        with Load(cluster, [*cluster.workers, wrong]) as load:
            load.await_rounds(2)
        text = cluster.workers[1].log.read_text()
        assert '"peer.stranger"' in text and "is that of member worker-0" in text


# ---- The secret ----

def test_another_secret():
    """One worker of four has another ZOT_CLUSTER_SECRET, of which the others' log told nothing but refusals."""
    with Cluster(haproxy=False, lease_ms=2000, worker_environment={"ZOT_CLUSTER_SECRET": SECRET}) as cluster:
        push_all(cluster)
        wrong = start_wrong(cluster, "wrong", ZOT_CLUSTER_SECRET=SECRET + "?")
        with Load(cluster, [*cluster.workers, wrong]):
            complains(cluster, wrong, "secret", "ZOT_CLUSTER_SECRET", "another than that of most workers")
            await_true(lambda: "wrong" not in ring(cluster), 30, "a ring without it")
        assert '"member.secret"' in cluster.leader.log.read_text()
        assert all(readiness(worker)[0] == 200 for worker in cluster.workers)
        wrong.stop()
        wrong.environment["ZOT_CLUSTER_SECRET"] = SECRET
        wrong.start()
        cluster.wait_active(4)
        await_true(lambda: ring(cluster).get("wrong") == "active", 30, "its place in the ring")


def test_one_without_the_secret_and_the_wrong_one_first():
    """It is the only one at first. When the others come they are more."""
    with Cluster(haproxy=False, workers=0, lease_ms=2000) as cluster:
        wrong = cluster.worker("wrong").start()
        assert readiness(wrong)[0] == 200
        cluster.workers = [cluster.worker(f"worker-{n}", ZOT_CLUSTER_SECRET=SECRET).start(wait=False) for n in range(2)]
        complains(cluster, wrong, "secret", "most workers have a ZOT_CLUSTER_SECRET, and this one has none")
        for worker in cluster.workers:
            await_true(lambda: readiness(worker)[0] == 200, 40, f"{worker.name} ready")
        await_true(lambda: ring(cluster) == {"worker-0": "active", "worker-1": "active"}, 30, "a ring of the others")
        push_all(cluster)
        with Load(cluster, [*cluster.workers, wrong]):
            pass
        # A leader that is started anew does not take the first who speaks for right.
        cluster.leader.stop()
        cluster.leader.start()
        await_true(lambda: told_of(cluster, "wrong").get("complaints"), 30, "the complaint at the leader")
        assert set(ring(cluster)) <= {"worker-0", "worker-1", "wrong"}
        await_true(lambda: ring(cluster) == {"worker-0": "active", "worker-1": "active"}, 30, "a ring of the others")


# ---- The name ----

def test_two_of_one_name():
    with Cluster(haproxy=False, workers=2, lease_ms=1500) as cluster:
        push_all(cluster)
        before = ring(cluster)
        twin = start_wrong(cluster, "twin", CLUSTER_WORKER_NAME="worker-0", ZOT_SPOOL=cluster.folder / "twin.spool")
        with Load(cluster, [*cluster.workers, twin]):
            complains(cluster, twin, "name", "worker-0", cluster.workers[0].url, listed=False)
            assert ring(cluster) == before and told_of(cluster, "worker-0")["url"] == cluster.workers[0].url
        assert all(readiness(worker)[0] == 200 for worker in cluster.workers)
        assert '"report.refused"' in cluster.leader.log.read_text()
        # The other one goes: it is its own.
        cluster.workers[0].stop()
        await_true(lambda: readiness(twin)[0] == 200, 40, "the twin ready")
        await_true(lambda: told_of(cluster, "worker-0")["url"] == twin.url, 30, "the twin a member")


# ---- The clock ----

@pytest.mark.parametrize("seconds", [-61, 61])
def test_a_clock_a_minute_off(seconds):
    with World(workers=3) as world:
        push_all(world)
        with Load(world, world.workers):
            world.set_clock("worker-1", seconds / 86400)
            complains(world, world.workers[1], "clock", "ahead of" if seconds > 0 else "behind", "NTP", counts=False)
            offset = float(world.workers[1].call("GET", "/metrics").text.split("\nzot_cluster_clock_offset_seconds ")[1].split("\n")[0])
            assert abs(offset - seconds) < 3
        assert set(world.in_ring()) == {"worker-0", "worker-1", "worker-2"}
        world.set_clock("worker-1", 0)
        await_true(lambda: "\nclock: " not in readiness(world.workers[1])[1], 30, "the end of the complaint")
        await_true(lambda: not world.told_of("worker-1")["complaints"], 30, "the end of the complaint at the leader")


@pytest.mark.parametrize("days", [-1, 1])
def test_a_quota_holds_where_a_clock_is_a_day_off_from_the_start(days):
    """Its calls come before any answer of the leader, when it knows no day but its own: they are not dealt out of another day's quota."""
    with World(workers=1) as world:
        key, quota = world.key(dailyQuota=40), 40
        late = world.worker("late")
        world.set_clock("late", days)
        late.road.rule = lambda question: "lose" if question.push else None
        late.start(wait=False)
        await_true(lambda: is_up(late), 40, "it is up")
        await_true(lambda: late.call("GET", "/v2/", auth=key.auth).status_code in (200, 429), 40, "the key is known to it")
        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            early = [pool.submit(world.call, late, key) for _ in range(30)]
            late.road.rule = None
            admitted = sum(call.result() == 200 for call in early)
        world.workers.append(late)
        world.await_members(2)
        admitted += world.spend(late, key)
        admitted += world.spend(world.workers[0], key)
        admitted += world.spend(late, key, patience=1)
        assert admitted == quota
        world.stays(key, quota)
        assert list(world.usage(key)) == [world.day()]
