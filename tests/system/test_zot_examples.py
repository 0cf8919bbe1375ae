# SPDX-License-Identifier: Apache-2.0
"""The storage of each configuration that zot shows as an example is served: folders of the test's and a bucket of moto's in place of theirs."""
import json
import subprocess

import pytest

import s3_servers
from registry import MANIFEST, digest, image
from worker_process import BUILD, Worker

LAYER = bytes(range(256)) * 300
DYNAMO = {"name": "dynamodb", "endpoint": "http://localhost:4566", "region": "us-east-2", "cacheTablename": "ZotBlobTable"}
REDIS = {"name": "redis", "rootDir": "ROOT/_redis", "url": "redis://localhost:6379"}
RETENTION = {"dryRun": False, "delay": "24h", "policies": [{"repositories": ["infra/*"], "deleteReferrers": False, "keepTags": [{"patterns": ["v2.*"]}]}]}


def s3(root, **more):
    return {"name": "s3", "rootdirectory": root, "region": "us-east-2", "bucket": "zot-storage", "secure": False, "skipverify": False, **more}


# As in zot's examples/config-<name>.json: the part that is "storage".
EXAMPLES = {
    "minimal": {"rootDirectory": "ROOT"},
    "boltdb": {"rootDirectory": "ROOT", "dedupe": True},
    "commit": {"rootDirectory": "ROOT", "commit": True},
    "gc": {"rootDirectory": "ROOT", "gc": True, "gcDelay": "1s"},
    "gc-periodic": {"rootDirectory": "ROOT", "gc": True, "gcDelay": "1h", "gcInterval": "24h",
                    "subPaths": {"/a": {"rootDirectory": "ROOT1", "gc": True, "gcDelay": "1h", "gcInterval": "24h"}}},
    "multiple": {"rootDirectory": "ROOT", "dedupe": True, "gc": True, "subPaths": {
        "/a": {"rootDirectory": "ROOT1", "dedupe": True}, "/b": {"rootDirectory": "ROOT2", "dedupe": True}, "/c": {"rootDirectory": "ROOT3", "dedupe": False}}},
    "multiple-cve": {"rootDirectory": "ROOT", "dedupe": True, "gc": True, "subPaths": {
        "/infra": {"rootDirectory": "ROOT1", "dedupe": True}, "/b": {"rootDirectory": "ROOT2", "dedupe": True}}},
    "hydrate-blob-on-read": {"rootDirectory": "ROOT", "dedupe": True, "hydrateBlobOnRead": True, "subPaths": {
        "/a": {"rootDirectory": "ROOT1", "dedupe": True, "hydrateBlobOnRead": False}}},
    "retention": {"rootDirectory": "ROOT", "gc": True, "gcDelay": "2h", "gcInterval": "1h", "retention": RETENTION,
                  "subPaths": {"/a": {"rootDirectory": "ROOT1", "dedupe": True, "retention": RETENTION}}},
    "all-remote": {"rootDirectory": "/tmp/zot", "dedupe": True, "remoteCache": True, "storageDriver": s3("/zot"), "cacheDriver": DYNAMO},
    "redis": {"rootDirectory": "/tmp/zot", "dedupe": True, "gc": True, "cacheDriver": REDIS, "storageDriver": s3("/zot")},
    "s3": {"rootDirectory": "/tmp/zot", "dedupe": True, "storageDriver": s3("/zot", secure=True), "cacheDriver": DYNAMO, "subPaths": {
        "/a": {"rootDirectory": "/tmp/zot1", "dedupe": False, "storageDriver": s3("/zot-a", secure=True)},
        "/b": {"rootDirectory": "/tmp/zot2", "dedupe": True, "remoteCache": False, "storageDriver": s3("/zot-b", secure=True)},
        "/c": {"rootDirectory": "/tmp/zot3", "dedupe": True, "remoteCache": True, "storageDriver": s3("/zot-c"), "cacheDriver": DYNAMO}}},
}


@pytest.fixture(scope="module")
def server():
    with s3_servers.start("moto") as started:
        yield started


def placed(part, folder, server):
    """With the test's own places; keys come from the environment, as zot takes them."""
    if isinstance(part, dict):
        if part.get("name") == "s3":
            part = {**part, "bucket": server.bucket, "regionendpoint": server.endpoint, "region": server.region}
        return {key: placed(value, folder, server) for key, value in part.items()}
    return part.replace("ROOT", str(folder / "root")) if isinstance(part, str) else part


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_storage_of_an_example_is_served(name, tmp_path, server):
    storage = placed(EXAMPLES[name], tmp_path, server)
    keys = {"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}
    with Worker(folder=tmp_path, config={"distSpecVersion": "1.1.0", "storage": storage, "log": {"level": "debug"}}, **keys) as worker:
        names = [repository + name for repository in ("top-", "a/", "b/", "c/", "infra/")]
        for repository in names:
            worker.push(repository, "v2.1", LAYER)  # which the example of retention keeps
            reply = worker.call("GET", f"/v2/{repository}/manifests/v2.1", headers={"Accept": MANIFEST})
            assert reply.content == image(LAYER)
            assert worker.call("GET", f"/v2/{repository}/blobs/{digest(LAYER)}").content == LAYER
        assert set(names) <= set(worker.call("GET", "/v2/_catalog?n=1000").json()["repositories"])
        for path, sub in storage.get("subPaths", {}).items():
            inside = f"{path[1:]}/{name}/index.json"
            if "storageDriver" in sub:
                prefix = (sub["storageDriver"]["rootdirectory"] + sub["rootDirectory"]).strip("/")
                assert server.client().head_object(Bucket=server.bucket, Key=f"{prefix}/{inside}")
            else:
                assert (tmp_path / sub["rootDirectory"].rpartition("/")[2] / inside).exists()


@pytest.mark.parametrize("driver", ["gcs", "azure"])
def test_a_driver_that_is_not_served_is_named(driver, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"storage": {"rootDirectory": "/z", "subPaths": {
        "/a": {"rootDirectory": "/zot", "storageDriver": {"name": driver}}}}}))
    done = subprocess.run([BUILD / "worker/zot-worker", "verify", tmp_path / "config.json"], env={}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and f'storage.subPaths./a: storage.storageDriver.name: "{driver}" is not served' in done.stderr, done.stderr
