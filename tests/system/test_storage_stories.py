# SPDX-License-Identifier: Apache-2.0
"""Single stories in which acknowledged content was once lost, each with its end as docs/storage-protocol.md promises it. The labels are its rules.

Who fails, fails for one reason; what many clients do at random is in test_histories.py.
"""
import concurrent.futures
import os
import threading

import pytest

import s3_servers
from cluster import Cluster
from gates import Gate
from registry import MANIFEST, await_true, digest, free_port, image
from s3_faults import Faults
from s3_memory import Memory

HASH_KEY = "0123456789abcdef"
LEASE_MS = 2000
EMPTY = b"{}"
NAMES = {}


def manifest(name, **more):
    """An image of the config {} alone, told from others by its name."""
    body = image(**{"layer": b"layer", "annotations": {"name": name}, "layers": [], **more})
    NAMES[digest(body)] = name
    return body


A, B, C = manifest("A"), manifest("B"), manifest("C")


def naming(blob):
    """An image whose config is this blob."""
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(blob), "size": len(blob)}
    return image(b"layer", config=config, layers=[])


def put(worker, name, reference, body):
    return worker.call("PUT", f"/v2/{name}/manifests/{reference}", data=body, headers={"Content-Type": MANIFEST}).status_code


def get(worker, name, reference):
    """The name of the manifest, or the status."""
    reply = worker.call("GET", f"/v2/{name}/manifests/{reference}")
    return NAMES.get(digest(reply.content), digest(reply.content)) if reply.status_code == 200 else reply.status_code


def delete(worker, name, reference):
    return worker.call("DELETE", f"/v2/{name}/manifests/{reference}").status_code


def push_blob(worker, name, data):
    return worker.call("POST", f"/v2/{name}/blobs/uploads/?digest={digest(data)}", data=data).status_code


def delete_blob(worker, name, data, **more):
    return worker.call("DELETE", f"/v2/{name}/blobs/{digest(data)}", **more).status_code


def has_blob(worker, name, data):
    reply = worker.call("GET", f"/v2/{name}/blobs/{digest(data)}")
    assert reply.status_code == 404 or reply.content == data
    return reply.status_code == 200


class Lone(Cluster):
    """Workers that each believe to be alone on one store. "faulty": a bucket in memory behind self.faults."""

    def __init__(self, store, **settings):
        super().__init__(store=store, workers=0, haproxy=False, worker_environment=settings)

    def open_store(self):
        if self.kind != "faulty":
            return super().open_store()
        memory = Memory()
        self.faults, self.direct = Faults(memory), Faults(memory)
        self.ends.enter_context(self.faults)
        self.ends.enter_context(self.direct)
        return memory.environment(self.faults.endpoint)

    def one(self, name, **more):
        return self.worker(name, CLUSTER_MODE="off", **more).start()

    def asking(self, name, **more):
        """One that believes nothing that it did not ask for: a ring of itself."""
        worker = self.worker(name, CLUSTER_MODE="off", ZOT_CLUSTER_HASH_KEY=HASH_KEY, **more)
        worker.environment["ZOT_CLUSTER_MEMBERS"] = f"127.0.0.1:{worker.port}"
        return worker.start()

    def beside(self, name):
        """One that has its own, faultless way to the bucket."""
        return self.asking(name, S3_ENDPOINT=self.direct.endpoint)


# ---- [F3] what is acknowledged is proven by the store ----

@pytest.mark.parametrize("store", ["fs", "moto"])
def test_a_tag_is_pushed_back_to_where_memory_has_it(store):
    with Lone(store) as bed:
        one, two = bed.one("one"), bed.asking("two")
        assert put(one, "r/a", "v1", A) == 201
        assert put(two, "r/a", "v1", B) == 201
        assert put(one, "r/a", "v1", A) == 201
        assert get(two, "r/a", "v1") == "A"


@pytest.mark.parametrize("store", ["fs", "moto"])
def test_a_manifest_is_pushed_that_memory_has_still(store):
    with Lone(store) as bed:
        one, two = bed.one("one"), bed.asking("two")
        assert put(one, "r/a", digest(C), C) == 201
        assert delete(two, "r/a", digest(C)) == 202
        assert put(one, "r/a", digest(C), C) == 201
        assert get(two, "r/a", digest(C)) == "C"


@pytest.mark.parametrize("store", ["fs", "moto"])
def test_a_tag_is_deleted_that_memory_has_not_yet(store):
    with Lone(store) as bed:
        one, two = bed.one("one"), bed.asking("two")
        assert put(one, "r/a", "v1", A) == 201
        assert put(two, "r/a", "v2", B) == 201
        assert delete(one, "r/a", "v2") == 202
        assert get(two, "r/a", "v2") == 404


@pytest.mark.parametrize("store", ["fs", "moto"])
def test_a_blob_that_only_the_newest_view_knows_to_be_needed(store):
    with Lone(store) as bed:
        one, two = bed.one("one"), bed.one("two")
        blob = b"config " + os.urandom(6).hex().encode()
        assert put(one, "r/q", "other", A) == 201
        assert push_blob(two, "r/q", blob) == 201
        assert put(two, "r/q", "v1", naming(blob)) == 201
        assert delete_blob(one, "r/q", blob) == 405
        assert has_blob(bed.one("fresh"), "r/q", blob)


class Led(Cluster):
    """Two led workers on a folder, whose peers reach them through gates."""

    def __init__(self):
        self.gates = []
        super().__init__(store="fs", workers=2, haproxy=False, lease_ms=LEASE_MS)

    def worker(self, name, **more):
        port = free_port()
        gate = Gate(port)
        self.gates.append(gate)
        worker = super().worker(name, PORT=port, CLUSTER_SELF_ADDRESS=f"http://127.0.0.1:{gate.port}", **more)
        worker.port, worker.url = port, f"http://127.0.0.1:{port}"
        return worker

    def pair(self, name):
        """The owner, another one, the owner's gate."""
        owner = self.owner_of(name)
        i = self.workers.index(owner)
        return owner, self.workers[1 - i], self.gates[i]


def test_an_owner_that_its_peers_do_not_reach():
    with Led() as cluster:
        owner, other, gate = cluster.pair("r/x")
        assert put(owner, "r/x", "v1", A) == 201 and get(owner, "r/x", "v1") == "A"
        gate.shut()
        assert put(other, "r/x", "v1", B) == 201 and get(other, "r/x", "v1") == "B"
        assert put(owner, "r/x", "v1", A) == 201
        assert get(other, "r/x", "v1") == "A", "acknowledged last, and who asks the store must see it"
        gate.open()


# ---- [F5] a deletion that arrives late destroys nothing ----

def test_a_deletion_of_a_blob_that_arrives_after_it_was_pushed_again():
    with Lone("faulty") as bed:
        worker, release = bed.asking("one"), threading.Event()
        blob = b"layer " + os.urandom(8).hex().encode()
        assert push_blob(worker, "r/b", blob) == 201
        late = bed.faults.once("late", "^DELETE r/b/blobs/", hold=release)
        # 503: it takes longer than a client is let wait for a bucket, and goes on.
        assert delete_blob(worker, "r/b", blob, timeout=120) in (202, 503)
        assert late.met.is_set()
        await_true(lambda: push_blob(worker, "r/b", blob) == 201, 60, "the blob")
        # Until the deletion is over, images that name the blob are refused.
        await_true(lambda: put(worker, "r/b", "v1", naming(blob)) == 201, 60, "the push")
        release.set()
        assert late.arrived.wait(30)
        fresh = bed.beside("fresh")
        assert fresh.call("GET", "/v2/r/b/manifests/v1").status_code == 200 and has_blob(fresh, "r/b", blob), str(bed.faults)


# ---- [F6] own records are recognised, calls between workers carry ids ----

@pytest.mark.parametrize("how", ["cut", "500 after", "twice"])
def test_a_record_whose_answer_was_lost_is_met_again(how):
    with Lone("faulty") as bed:
        one, two = bed.asking("one"), bed.beside("two")
        for tag in ("gone", "kept"):
            assert put(one, "r/b", tag, A) == 201
        lost = bed.faults.once(how, "^PUT r/b/index.log/")
        assert delete(one, "r/b", "gone") == 202
        assert lost.met.is_set()
        assert (get(two, "r/b", "gone"), get(two, "r/b", "kept")) == (404, "A")


def test_a_record_whose_answer_was_lost_is_not_written_again():
    with Lone("faulty") as bed, concurrent.futures.ThreadPoolExecutor(1) as pool:
        one, two, release = bed.asking("one"), bed.beside("two"), threading.Event()
        assert put(one, "r/b", "other", C) == 201
        lost = bed.faults.once("cut", "^PUT r/b/index.log/", hold=release)
        first = pool.submit(put, one, "r/b", "v1", A)
        assert lost.met.wait(30)
        assert get(two, "r/b", "v1") == "A", "it is written"
        assert put(two, "r/b", "v1", B) == 201
        release.set()
        assert first.result(90) == 201
        assert get(two, "r/b", "v1") == get(one, "r/b", "v1") == "B", "A was before B, and is not written a second time"


def test_a_call_to_the_owner_whose_answer_was_lost_is_not_done_again():
    with Led() as cluster, concurrent.futures.ThreadPoolExecutor(1) as pool:
        owner, other, gate = cluster.pair("r/x")
        assert put(owner, "r/x", "v1", B) == 201
        assert put(other, "r/x", "warm", B) == 201
        gate.mute = True
        first = pool.submit(put, other, "r/x", "v1", A)
        await_true(lambda: get(owner, "r/x", "v1") == "A", 30, "the push at the owner")
        assert put(owner, "r/x", "v1", B) == 201
        gate.shut()
        assert first.result(90) in (201, 503)
        assert get(owner, "r/x", "warm") == "B"
        # The owner may believe its view for a lease; one that has just started asks.
        fresh = cluster.worker("fresh", CLUSTER_MODE="off").start()
        assert get(fresh, "r/x", "v1") == "B", "A had been read before B was put"


# ---- [F10] what a change needs is looked at in its place ----

def test_a_blob_that_another_worker_deleted_is_not_known_to_be_there():
    with s3_servers.start("moto") as server, Lone("fs", ZOT_REQUIRE_BLOBS="true") as bed:
        s3 = {k: v for k, v in server.environment().items() if not k.startswith("ZOT_")}
        one, two = bed.asking("one", **s3), bed.asking("two", **s3)
        blob = b"config " + os.urandom(6).hex().encode()
        assert push_blob(one, "r/k", blob) == 201
        assert delete_blob(two, "r/k", blob) == 202
        assert not has_blob(two, "r/k", blob)
        assert put(one, "r/k", "v1", naming(blob)) == 404
        assert get(two, "r/k", "v1") == 404


@pytest.mark.parametrize("store", ["fs", "faulty"])
def test_a_blob_is_deleted_while_an_image_that_names_it_is_pushed(store):
    """Of the two one is refused."""
    with Lone(store, ZOT_REQUIRE_BLOBS="true") as bed, concurrent.futures.ThreadPoolExecutor(2) as pool:
        worker, outcomes = bed.asking("one"), {}
        assert push_blob(worker, "r/k", EMPTY) == 201
        for i in range(100):  # a deletion looks through what is there
            assert put(worker, "r/k", f"pad{i}", manifest(f"pad{i}")) == 201
        for i in range(60):
            blob = os.urandom(8).hex().encode()
            assert push_blob(worker, "r/k", blob) == 201
            calls = [lambda: ("deleted", delete_blob(worker, "r/k", blob)), lambda: ("put", put(worker, "r/k", f"v{i}", naming(blob)))]
            done = dict(call.result() for call in [pool.submit(call) for call in (calls if i % 2 else calls[::-1])])
            outcomes[i] = (done["put"], done["deleted"], has_blob(worker, "r/k", blob))
            assert outcomes[i] in [(201, 405, True), (404, 202, False)], outcomes[i]
