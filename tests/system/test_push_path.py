# SPDX-License-Identifier: Apache-2.0
"""Behind a balancer that knows nothing, what real clients push crosses to no other worker."""
import base64
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile

import pytest

from cluster import Cluster
from registry import digest


def counted(cluster, name):
    return sum(float(re.search(rf"^{name} (\S+)$", worker.call("GET", "/metrics").text, re.M)[1]) for worker in cluster.workers)


def layout(folder, sizes):
    """An OCI layout whose layers are of random bytes, which nobody makes smaller; crane takes the same as a tarball."""
    (folder / "blobs/sha256").mkdir(parents=True)

    def put(kind, data):
        encoded = hashlib.sha256(data).hexdigest()
        (folder / "blobs/sha256" / encoded).write_bytes(data)
        return {"mediaType": kind, "digest": "sha256:" + encoded, "size": len(data)}

    layers, plain = [], []
    for size in sizes:
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            entry = tarfile.TarInfo("data")
            entry.size = size
            archive.addfile(entry, io.BytesIO(os.urandom(size)))
        plain.append("sha256:" + hashlib.sha256(tar.getvalue()).hexdigest())
        layers.append(put("application/vnd.oci.image.layer.v1.tar+gzip", gzip.compress(tar.getvalue(), 0, mtime=0)))
    config = put("application/vnd.oci.image.config.v1+json", json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": plain}}).encode())
    manifest = put("application/vnd.oci.image.manifest.v1+json", json.dumps(
        {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers}).encode())
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return sum(layer["size"] for layer in layers) + config["size"]


def run(cluster, *command):
    environment = {**os.environ, "HOME": str(cluster.folder), "DOCKER_CONFIG": str(cluster.folder / ".docker"),
                   "REGISTRY_AUTH_FILE": str(cluster.folder / ".docker/config.json")}
    done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def by_hand(cluster, name, data, way):
    front = cluster.front
    for _ in range(6):
        where = front.call("POST", f"/v2/{name}/blobs/uploads/").headers["Location"]
        if way == "docker":
            reply = front.call("PATCH", where, data=(data[i:i + 65536] for i in range(0, len(data), 65536)))
            assert reply.status_code == 202
            assert front.call("PUT", reply.headers["Location"], params={"digest": digest(data)}).status_code == 201
        else:
            assert front.call("PUT", where, params={"digest": digest(data)}, data=data).status_code == 201
    return 6 * len(data)


@pytest.mark.parametrize("store,size", [("fs", 64 << 20), ("moto", 8 << 20)])
def test_bytes_cross_to_no_other_worker(store, size):
    with Cluster(store=store) as cluster:
        host = f"127.0.0.1:{cluster.front.port}"
        (cluster.folder / ".docker").mkdir()
        login = {"auths": {host: {"auth": base64.b64encode(f"{cluster.user}:{cluster.password}".encode()).decode()}}}
        (cluster.folder / ".docker/config.json").write_text(json.dumps(login))
        image = cluster.folder / "image"
        pushed = layout(image, [size // 8] * 8)

        def skopeo(name):
            run(cluster, "skopeo", "copy", "--dest-tls-verify=false", f"oci:{image}:v1", f"docker://{host}/{name}:v1")
            return pushed

        def crane(name):
            run(cluster, "crane", "push", "--insecure", image, f"{host}/{name}:v1")
            return pushed

        ways = {"skopeo": skopeo, "crane": crane,
                **{way: lambda name, way=way: by_hand(cluster, name, os.urandom(size // 8), way) for way in ("docker", "containerd")}}
        for way, push in ways.items():
            before, taken = counted(cluster, "zot_proxied_bytes_total"), counted(cluster, "zot_uploads_taken_total")
            sent = push(f"{way}/app")
            crossed = counted(cluster, "zot_proxied_bytes_total") - before
            print(f"{store} {way}: {crossed:.0f} of {sent} bytes crossed between workers, {crossed / sent:.4%}")
            assert crossed < sent / 100, way
            assert counted(cluster, "zot_uploads_taken_total") > taken, f"{way}: no session was opened at another worker"
        config = json.loads(pathlib.Path(image, "index.json").read_text())["manifests"][0]
        for worker in cluster.workers:
            for name in ("skopeo/app", "crane/app"):
                assert worker.call("GET", f"/v2/{name}/manifests/v1").headers["Docker-Content-Digest"] == config["digest"]
