# SPDX-License-Identifier: Apache-2.0
"""Buckets as zot leaves them with storage.dedupe: each blob in one repository, an empty object in each other."""
import json
import os
import pathlib
import subprocess

import pytest

import s3_servers
from registry import MANIFEST, await_true, digest, image
from worker_process import BUILD, Worker

LARGE = os.urandom(70000)
EMPTY = b""


@pytest.fixture(scope="module")
def server():
    with s3_servers.start("moto") as started:
        yield started


def config(server, prefix, **more):
    return {"storage": {"rootDirectory": "/zot", "dedupe": True, "remoteCache": True, "cacheDriver": {"name": "dynamodb", "region": "us-east-1"},
                        "storageDriver": {"name": "s3", "rootdirectory": prefix, "region": server.region, "regionendpoint": server.endpoint,
                                          "bucket": server.bucket, "accesskey": server.access_key, "secretkey": server.secret_key,
                                          "secure": False, "skipverify": False}, **more}}


def put(server, prefix, key, data):
    server.client().put_object(Bucket=server.bucket, Key=f"{prefix.strip('/')}/zot/{key}", Body=data)


def size(server, prefix, name, blob):
    key = f"{prefix.strip('/')}/zot/{name}/blobs/sha256/{digest(blob).partition(':')[2]}"
    return server.client().head_object(Bucket=server.bucket, Key=key)["ContentLength"]


def leave(server, prefix, name, has, layer=LARGE):
    """A repository with an image; those of its blobs that it has not are empty objects."""
    body = image(layer)
    put(server, prefix, f"{name}/oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    for data in (body, b"{}", layer):
        put(server, prefix, f"{name}/blobs/sha256/{digest(data).partition(':')[2]}", data if data == body or has else b"")
    put(server, prefix, f"{name}/index.json", json.dumps({"schemaVersion": 2, "manifests": [
        {"mediaType": MANIFEST, "digest": digest(body), "size": len(body), "annotations": {"org.opencontainers.image.ref.name": "v1"}}]}).encode())


def pull(worker, name):
    assert worker.call("GET", f"/v2/{name}/manifests/v1").content == image(LARGE)
    reply = worker.call("GET", f"/v2/{name}/blobs/{digest(LARGE)}")
    assert reply.status_code == 200 and reply.content == LARGE


def is_marked(server, prefix):
    found = server.client().list_objects_v2(Bucket=server.bucket, Prefix=f"{prefix.strip('/')}/zot/_dedupe/.restored")
    return found["KeyCount"] == 1


def test_all_of_a_bucket_gets_its_bytes(server):
    # Whoever comes first by name stands in for the one that has the bytes.
    for name, has in (("a/first", False), ("m/has", True), ("z/last", False)):
        leave(server, "/all", name, has)
    lost = os.urandom(1000)
    put(server, "/all", f"a/first/blobs/sha256/{digest(lost).partition(':')[2]}", b"")
    put(server, "/all", f"a/first/blobs/sha256/{digest(EMPTY).partition(':')[2]}", b"")
    with Worker(config=config(server, "/all")) as worker:
        await_true(lambda: is_marked(server, "/all"), what="the mark")
        assert size(server, "/all", "a/first", LARGE) == size(server, "/all", "z/last", LARGE) == len(LARGE)
        for name in ("a/first", "m/has", "z/last"):
            pull(worker, name)
        assert "store.deduped" in worker.text()
        # What nobody has is not there: a push brings it.
        assert "store.lost" in worker.text()
        assert worker.call("HEAD", f"/v2/a/first/blobs/{digest(lost)}").status_code == 404
        assert worker.call("GET", f"/v2/a/first/blobs/{digest(lost)}").status_code == 404
        worker.push_blob("a/first", lost)
        assert worker.call("GET", f"/v2/a/first/blobs/{digest(lost)}").content == lost
        assert worker.call("GET", f"/v2/a/first/blobs/{digest(EMPTY)}").content == b""
        # Each has its own now.
        body = image(LARGE)
        assert worker.call("DELETE", f"/v2/m/has/manifests/{digest(body)}").status_code == 202
        assert worker.call("DELETE", f"/v2/m/has/blobs/{digest(LARGE)}").status_code == 202
        pull(worker, "z/last")


def test_the_command_does_it_too(server):
    leave(server, "/command", "a/x", False)
    leave(server, "/command", "b/y", True)
    with Worker(config=config(server, "/command")) as worker:
        worker.stop()
        for again in range(2):
            put(server, "/command", f"a/x/blobs/sha256/{digest(LARGE).partition(':')[2]}", b"")
            done = subprocess.run([BUILD / "worker/zot-worker", "import", worker.folder / "config.json"], capture_output=True, text=True, timeout=60,
                                  env={"ZOT_WORKER_DATA": str(worker.folder / "data")})
            assert done.returncode == 0 and f"{2 - again} blobs got their bytes from another repository" in done.stdout, done.stdout + done.stderr
            assert size(server, "/command", "a/x", LARGE) == len(LARGE)


def test_one_that_is_asked_for_gets_its_bytes_at_once(server):
    """Whatever a mark says: zot served the bucket again in between."""
    with Worker(config=config(server, "/one")) as worker:
        await_true(lambda: is_marked(server, "/one"), what="the mark")
        for n, name in enumerate(("a/get", "b/range", "c/head", "d/mount", "m/has")):
            leave(server, "/one", name, n == 4)
            put(server, "/one", "_catalog/" + name.replace("/", "%2F"), b"")
        blob = f"blobs/{digest(LARGE)}"
        pull(worker, "a/get")
        reply = worker.call("GET", f"/v2/b/range/{blob}", headers={"Range": "bytes=10-19"})
        assert reply.status_code == 206 and reply.content == LARGE[10:20]
        reply = worker.call("HEAD", f"/v2/c/head/{blob}")
        assert reply.status_code == 200 and reply.headers["Content-Length"] == str(len(LARGE))
        reply = worker.call("POST", "/v2/new/blobs/uploads/", params={"mount": digest(LARGE), "from": "d/mount"})
        assert reply.status_code == 201, reply.text
        assert size(server, "/one", "new", LARGE) == len(LARGE)
        assert worker.call("GET", f"/v2/new/{blob}").content == LARGE


def test_a_root_of_each_kind(server):
    """A folder, and below two paths buckets; one of them goes away and takes its own with it alone."""
    with s3_servers.start("moto") as other, Worker() as worker:
        worker.stop()
        driver = config(other, "/sub")["storage"]["storageDriver"]
        near = config(server, "/near")["storage"]["storageDriver"]
        worker.environment["ZOT_SUBPATHS"] = json.dumps({
            "/far": {"rootDirectory": "/zot", "storageDriver": driver}, "/near": {"rootDirectory": "/zot", "storageDriver": near}})
        worker.start()
        for name in ("far/app", "near/app", "folder/app"):
            worker.push(name, "v1", LARGE)
            pull(worker, name)
        assert worker.call("GET", "/v2/_catalog").json()["repositories"] == ["far/app", "folder/app", "near/app"]
        assert size(other, "/sub", "far/app", LARGE) == size(server, "/near", "near/app", LARGE) == len(LARGE)
        # A folder's blob is copied into a bucket; from a bucket the client sends it.
        mount = {"mount": digest(LARGE), "from": "folder/app"}
        assert worker.call("POST", "/v2/near/new/blobs/uploads/", params=mount).status_code == 201
        assert worker.call("POST", "/v2/folder/new/blobs/uploads/", params={**mount, "from": "far/app"}).status_code == 202
        assert size(server, "/near", "near/new", LARGE) == len(LARGE)
        worker.stop()
        worker.start()
        pull(worker, "far/app")
        os.kill(s3_process(other), 19)
        try:
            pull(worker, "near/app")
            pull(worker, "folder/app")
            worker.push("folder/app", "v2", LARGE)
            assert worker.call("HEAD", f"/v2/far/app/blobs/{digest(LARGE)}").status_code in (503, 504)
            ready = await_true(lambda: "storage /far: ok" not in (t := worker.call("GET", "/readyz")).text and t)
            assert ready.status_code == 200 and "storage: ok" in ready.text, ready.text
        finally:
            os.kill(s3_process(other), 18)
        await_true(lambda: "storage /far: ok" in worker.call("GET", "/readyz").text, 60, "it is there again")
        worker.push("far/app", "v2", LARGE)


def s3_process(server):
    """Of the program that listens at this endpoint."""
    port = int(server.endpoint.rsplit(":", 1)[1])
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inode = next(row[9] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A")
    for link in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == f"socket:[{inode}]":
                return int(link.parts[2])
        except OSError:
            pass
    raise AssertionError("nobody listens there")
