# SPDX-License-Identifier: Apache-2.0
"""Repositories that move in a static cluster of isolated members: the list of members has grown, and all were restarted."""
import contextlib
import time

import requests

from registry import CLUSTER_SECRET, MANIFEST, await_true, digest, free_port, image
from worker_process import Worker

NAMES = [f"grown/r{i}" for i in range(12)]


@contextlib.contextmanager
def members(folder, ports):
    with contextlib.ExitStack() as ends:
        yield [ends.enter_context(Worker(
            folder / str(at), port=port, ZOT_STORAGE_ROOT=folder / f"disk{at}", ZOT_CLUSTER_HASH_KEY="loremipsumdolors", ZOT_CLUSTER_SECRET=CLUSTER_SECRET,
            ZOT_CLUSTER_ISOLATED="true", ZOT_MOVE_GRACE="0", ZOT_CLUSTER_MEMBERS=",".join(f"127.0.0.1:{p}" for p in ports)))
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
            now = {name: [at for at in range(3) if (tmp_path / f"disk{at}" / name / "index.json").exists()] for name in NAMES}
            return now if all(len(disks) == 1 for disks in now.values()) else None
        now = await_true(on_one_disk, 30, "each on one disk")
        assert sum(now[name] != before[name] for name in NAMES) >= 3
        for i, name in enumerate(NAMES[1:]):
            assert ask("GET", three[i % 3], f"/v2/{name}/blobs/{digest(name.encode())}").content == name.encode()
            assert ask("GET", three[i % 3], f"/v2/{name}/blobs/{digest(b'half a push')}").content == b"half a push"
            assert ask("HEAD", three[i % 3], f"/v2/{name}/blobs/{digest(b'to be deleted')}").status_code == 404
