# SPDX-License-Identifier: Apache-2.0
"""Repositories that move in a static cluster of isolated members: the list of members has grown, and all were restarted."""
import contextlib
import time

import requests

from peer_tokens import Sender
from registry import CLUSTER_SECRET, MANIFEST, await_true, digest, free_port, image
from worker_process import Worker

NAMES = [f"grown/r{i}" for i in range(12)]


class Member(Worker):
    """One that is leaving serves, and is not ready."""

    def is_ready(self):
        if super().is_ready():
            return True
        with contextlib.suppress(requests.ConnectionError):
            return "draining" in self.session.get(self.url + "/readyz", timeout=5).text
        return False


@contextlib.contextmanager
def members(folder, ports, leaving=(), grace="0"):
    with contextlib.ExitStack() as ends:
        yield [ends.enter_context(Member(
            folder / str(at), port=port, ZOT_STORAGE_ROOT=folder / f"disk{at}", ZOT_CLUSTER_HASH_KEY="loremipsumdolors", ZOT_CLUSTER_SECRET=CLUSTER_SECRET,
            ZOT_CLUSTER_ISOLATED="true", ZOT_MOVE_GRACE=grace, ZOT_CLUSTER_MEMBERS=",".join(f"127.0.0.1:{p}" for p in ports), ZOT_CLUSTER_LEAVING=",".join(f"127.0.0.1:{p}" for p in leaving)))
            for at, port in enumerate(ports)]


def ask(method, worker, path, **more):
    """What is 503 is asked again."""
    end = time.monotonic() + 30
    while True:
        reply = requests.request(method, worker.url + path, timeout=30, **more)
        if reply.status_code != 503:
            return reply
        assert time.monotonic() < end, (path, reply.text)
        time.sleep(0.05)


def push_blob(worker, name, data):
    place = ask("POST", worker, f"/v2/{name}/blobs/uploads/").headers["Location"]
    assert ask("PUT", worker, place, params={"digest": digest(data)}, data=data).status_code == 201


def push(worker, name, layer):
    push_blob(worker, name, b"{}")
    push_blob(worker, name, layer)
    reply = ask("PUT", worker, f"/v2/{name}/manifests/v1", data=image(layer), headers={"Content-Type": MANIFEST})
    assert reply.status_code == 201, reply.text


def test_a_static_cluster_grows(tmp_path):
    ports = [free_port() for _ in range(3)]
    for at in range(3):
        (tmp_path / str(at)).mkdir()
    with members(tmp_path, ports[:2]) as two:
        for i, name in enumerate(NAMES):
            push(two[i % 2], name, name.encode())
            push_blob(two[i % 2], name, b"half a push")
            push_blob(two[i % 2], name, b"to be deleted")
    before = {name: [at for at in range(3) if (tmp_path / f"disk{at}" / name / "index.json").exists()] for name in NAMES}
    assert all(len(disks) == 1 for disks in before.values())
    with members(tmp_path, ports) as three:
        for i, name in enumerate(NAMES):
            assert ask("DELETE", three[i % 3], f"/v2/{name}/blobs/{digest(b'to be deleted')}").status_code == 202
        for i, name in enumerate(NAMES):
            manifest = ask("GET", three[i % 3], f"/v2/{name}/manifests/v1")
            assert manifest.status_code == 200 and manifest.content == image(name.encode())
            blob = ask("GET", three[(i + 1) % 3], f"/v2/{name}/blobs/{digest(name.encode())}")
            assert blob.status_code == 200 and blob.content == name.encode()
        assert ask("GET", three[0], "/v2/grown/nothing/tags/list").status_code == 404
        push(three[0], NAMES[0], b"another")

        def on_one_disk():
            # With all of it: blobs go behind the index.
            now = {name: [at for at in range(3) if any(f.is_file() for f in (tmp_path / f"disk{at}" / name).rglob("*"))] for name in NAMES}
            return now if all(len(disks) == 1 for disks in now.values()) else None
        now = await_true(on_one_disk, 30, "each on one disk")
        assert sum(now[name] != before[name] for name in NAMES) >= 3
        for i, name in enumerate(NAMES[1:]):
            assert ask("GET", three[i % 3], f"/v2/{name}/blobs/{digest(name.encode())}").content == name.encode()
            assert ask("GET", three[i % 3], f"/v2/{name}/blobs/{digest(b'half a push')}").content == b"half a push"
            assert ask("HEAD", three[i % 3], f"/v2/{name}/blobs/{digest(b'to be deleted')}").status_code == 404


def as_peer(worker, at, method, path, **more):
    """As the third of three members asks the one at this place."""
    ring = 1
    for _ in range(2):
        request = requests.Request(method, worker.url + path, **more).prepare()
        body = request.body or b""
        request.headers.update(Sender(CLUSTER_SECRET, f"member {at + 1} of 3", "member 3 of 3").header(method, request.path_url, body, ring=ring))
        reply = requests.Session().send(request, timeout=30)
        if reply.status_code != 421:
            return reply
        ring = int(reply.headers["Zot-Cluster-Ring"], 16)
    raise AssertionError(reply.text)


def test_a_blob_that_its_owner_deleted_is_not_found_at_the_old_one(tmp_path):
    """Whose copy stays for the time of grace; what ends there after the owner had all of it is found all the same."""
    ports = [free_port() for _ in range(3)]
    for at in range(3):
        (tmp_path / str(at)).mkdir()
    with members(tmp_path, ports[:2]) as two:
        for i, name in enumerate(NAMES):
            push(two[i % 2], name, name.encode())
            push_blob(two[i % 2], name, b"to be deleted")

    def copy(name, data):
        return [at for at in range(2) if (tmp_path / f"disk{at}" / name / "blobs/sha256" / digest(data).partition(":")[2]).exists()]
    with members(tmp_path, ports, grace="10m") as three:
        def moved():
            names = [name for name in NAMES if (tmp_path / "disk2" / name / "index.json").exists()]
            return names if names and three[2].text().count('"move.done"') == len(names) else None
        for i, name in enumerate(await_true(moved, 30, "what is the third's to be there")):
            [old] = copy(name, b"to be deleted")
            blob = f"/v2/{name}/blobs/{digest(b'to be deleted')}"
            assert as_peer(three[old], old, "HEAD", f"/v2/{name}/blobs/{digest(name.encode())}").status_code == 404
            assert ask("GET", three[i % 3], blob).content == b"to be deleted"
            assert ask("DELETE", three[i % 3], blob).status_code == 202
            assert copy(name, b"to be deleted") == [old]
            for worker in three:
                assert ask("GET", worker, blob).status_code == 404 and ask("HEAD", worker, blob).status_code == 404
            data = b"ended late " + name.encode()
            begun = as_peer(three[old], old, "POST", f"/v2/{name}/blobs/uploads/?digest={digest(data)}", data=data)
            assert begun.status_code == 201 and copy(name, data) == [old], begun.text
            assert ask("GET", three[i % 3], f"/v2/{name}/blobs/{digest(data)}").content == data
            reply = ask("PUT", three[i % 3], f"/v2/{name}/manifests/late", data=image(data), headers={"Content-Type": MANIFEST})
            assert reply.status_code == 201, reply.text
            assert (tmp_path / "disk2" / name / "blobs/sha256" / digest(data).partition(":")[2]).exists()


def test_what_ends_at_a_member_that_leaves_comes_to_the_owner(tmp_path):
    """Though no push names it yet: who leaves may be gone then."""
    ports = [free_port() for _ in range(3)]
    for at in range(3):
        (tmp_path / str(at)).mkdir()
    with members(tmp_path, ports, leaving=ports[1:2]) as three:
        for i in range(3):
            data = b"of a push that is half done, %d" % i
            reply = as_peer(three[1], 1, "POST", f"/v2/half/r{i}/blobs/uploads/?digest={digest(data)}", data=data)
            assert reply.status_code == 201, reply.text
            await_true(lambda data=data, i=i: any((tmp_path / f"disk{at}/half/r{i}/blobs/sha256" / digest(data).partition(":")[2]).exists() for at in (0, 2)),
                       30, "the blob at its owner")
        await_true(lambda: "zot_moves_held 0" in requests.get(three[1].url + "/metrics", timeout=10).text, 30, "nothing is held")


def test_a_member_leaves_a_static_cluster(tmp_path):
    """It is named as leaving, and gives away what it has; then it is taken from the list, and nothing moves any more."""
    ports = [free_port() for _ in range(3)]
    for at in range(3):
        (tmp_path / str(at)).mkdir()

    def disks(name):
        return [at for at in range(3) if (tmp_path / f"disk{at}" / name / "index.json").exists()]
    with members(tmp_path, ports) as three:
        for i, name in enumerate(NAMES):
            push(three[i % 3], name, name.encode())
    # The second of three: the places of those that stay change.
    assert any(disks(name) == [1] for name in NAMES)
    with members(tmp_path, ports, leaving=ports[1:2]) as three:
        for i, name in enumerate(NAMES):
            assert ask("GET", three[i % 3], f"/v2/{name}/manifests/v1").content == image(name.encode())
            assert ask("GET", three[(i + 1) % 3], f"/v2/{name}/blobs/{digest(name.encode())}").content == name.encode()
        push(three[1], "grown/late", b"late")
        await_true(lambda: "move.empty" in three[1].text(), 30, "all has gone")
        assert "move.empty" not in three[0].text() + three[2].text()
        ready = requests.get(three[1].url + "/readyz", timeout=10)
        assert ready.status_code == 503 and "draining" in ready.text
        assert requests.get(three[0].url + "/readyz", timeout=10).status_code == 200
        await_true(lambda: all(len(disks(name)) == 1 for name in [*NAMES, "grown/late"]), 30, "each on one disk")
    before = {name: disks(name) for name in [*NAMES, "grown/late"]}
    assert {at for places in before.values() for at in places} == {0, 2}
    left = [ports[0], ports[2]]
    (tmp_path / "1").rename(tmp_path / "gone")
    (tmp_path / "disk1").rename(tmp_path / "gone-disk")
    (tmp_path / "2").rename(tmp_path / "1")
    (tmp_path / "disk2").rename(tmp_path / "disk1")
    with members(tmp_path, left) as two:
        for i, name in enumerate(NAMES):
            assert ask("GET", two[i % 2], f"/v2/{name}/manifests/v1").content == image(name.encode())
            assert ask("GET", two[(i + 1) % 2], f"/v2/{name}/blobs/{digest(name.encode())}").content == name.encode()
        assert ask("GET", two[0], "/v2/_catalog").json()["repositories"] == sorted(before)
        await_true(lambda: all("zot_moves_held 0" in requests.get(w.url + "/metrics", timeout=10).text for w in two), 30, "nothing moves")
        assert all("zot_moves_taken_total 0" in requests.get(w.url + "/metrics", timeout=10).text for w in two)
