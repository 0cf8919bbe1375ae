# SPDX-License-Identifier: Apache-2.0
"""Real clients through HAProxy; then each worker serves what any other took."""
import base64
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from cluster import Cluster
from registry import digest

HERE = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["fs", "radosgw"])
def cluster(request):
    with Cluster(store=request.param, worker_environment={"ZOT_COMPAT": "docker2s2"}) as one:
        one.host = f"127.0.0.1:{one.front.port}"
        one.home = one.folder / "home"
        one.home.mkdir()
        login = {"auths": {one.host: {"auth": base64.b64encode(f"{one.user}:{one.password}".encode()).decode()}}}
        (one.home / ".docker").mkdir()
        (one.home / ".docker/config.json").write_text(json.dumps(login))
        one.layout = one.folder / "layout"
        subprocess.run([str(HERE / "deploy/example-image"), str(one.layout)], check=True)
        yield one


def run(cluster, *command, **more):
    environment = {**os.environ, "HOME": str(cluster.home), "DOCKER_CONFIG": str(cluster.home / ".docker"),
                   "REGISTRY_AUTH_FILE": str(cluster.home / ".docker/config.json")}
    done = subprocess.run([str(c) for c in command], env=environment, capture_output=True, text=True, timeout=180, **more)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def everywhere(cluster, name, tag):
    """Every worker has this tag with the same digest, and its blobs with the right bytes."""
    seen = set()
    for worker in cluster.workers:
        reply = worker.call("GET", f"/v2/{name}/manifests/{tag}")
        assert reply.status_code == 200, (worker.name, reply.status_code, reply.text)
        assert digest(reply.content) == reply.headers["Docker-Content-Digest"]
        seen.add(digest(reply.content))
        manifest = reply.json()
        for blob in [manifest["config"]] * ("config" in manifest) + manifest.get("layers", []):
            assert digest(worker.call("GET", f"/v2/{name}/blobs/{blob['digest']}").content) == blob["digest"]
    assert len(seen) == 1
    return seen.pop()


def nowhere(cluster, name, tag):
    for worker in cluster.workers:
        assert worker.call("HEAD", f"/v2/{name}/manifests/{tag}").status_code == 404, worker.name


def test_skopeo(cluster):
    image = f"docker://{cluster.host}/skopeo/app"
    run(cluster, "skopeo", "copy", "--dest-tls-verify=false", f"oci:{cluster.layout}:v1", image + ":v1")
    everywhere(cluster, "skopeo/app", "v1")
    run(cluster, "skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", image + ":v1", f"docker://{cluster.host}/skopeo/copy:v2")
    everywhere(cluster, "skopeo/copy", "v2")
    tags = json.loads(run(cluster, "skopeo", "list-tags", "--tls-verify=false", image))
    assert tags["Tags"] == ["v1"]
    run(cluster, "skopeo", "copy", "--src-tls-verify=false", image + ":v1", f"dir:{cluster.folder}/pulled")
    run(cluster, "skopeo", "delete", "--tls-verify=false", image + ":v1")
    nowhere(cluster, "skopeo/app", "v1")


def test_podman(cluster):
    image = f"{cluster.host}/podman/app:v1"
    podman = ["podman", "--root", cluster.folder / "podman", "--runroot", cluster.folder / "podman-run", "--storage-driver", "vfs"]
    run(cluster, *podman, "pull", f"oci:{cluster.layout}:v1")
    local = run(cluster, *podman, "images", "--format", "{{.ID}}").split()[0]
    run(cluster, *podman, "push", "--tls-verify=false", local, "docker://" + image)
    everywhere(cluster, "podman/app", "v1")
    run(cluster, *podman, "rmi", "-af")
    run(cluster, *podman, "pull", "--tls-verify=false", image)


def test_buildah(cluster):
    image = f"{cluster.host}/buildah/app:v1"
    buildah = ["buildah", "--root", cluster.folder / "buildah", "--runroot", cluster.folder / "buildah-run", "--storage-driver", "vfs"]
    container = run(cluster, *buildah, "from", "scratch").strip()
    (cluster.folder / "file").write_text("in the image")
    run(cluster, *buildah, "copy", container, cluster.folder / "file", "/file")
    run(cluster, *buildah, "commit", container, "made")
    run(cluster, *buildah, "push", "--tls-verify=false", "made", "docker://" + image)
    everywhere(cluster, "buildah/app", "v1")
    run(cluster, *buildah, "pull", "--tls-verify=false", image)


def test_crane(cluster):
    image = f"{cluster.host}/crane/app"
    tarball = cluster.folder / "image.tar"
    run(cluster, "skopeo", "copy", f"oci:{cluster.layout}:v1", f"docker-archive:{tarball}:x:v1")
    run(cluster, "crane", "push", "--insecure", tarball, image + ":v1")
    digests = run(cluster, "crane", "digest", "--insecure", image + ":v1").strip()
    assert everywhere(cluster, "crane/app", "v1") == digests
    run(cluster, "crane", "copy", "--insecure", image + ":v1", f"{cluster.host}/crane/copy:v1")
    everywhere(cluster, "crane/copy", "v1")
    run(cluster, "crane", "tag", "--insecure", image + ":v1", "v2")
    assert run(cluster, "crane", "ls", "--insecure", image).split() == ["v1", "v2"]
    assert "crane/app" in run(cluster, "crane", "catalog", "--insecure", cluster.host).split()
    run(cluster, "crane", "pull", "--insecure", image + ":v1", cluster.folder / "pulled.tar")
    run(cluster, "crane", "delete", "--insecure", f"{image}@{digests}")
    nowhere(cluster, "crane/app", "v1")


def test_regctl(cluster):
    regctl = ["regctl", "--host", f"reg={cluster.host},tls=disabled,user={cluster.user},pass={cluster.password}"]
    image = f"{cluster.host}/regctl/app"
    run(cluster, *regctl, "image", "copy", f"ocidir://{cluster.layout}:v1", image + ":v1")
    subject = everywhere(cluster, "regctl/app", "v1")
    assert run(cluster, *regctl, "tag", "ls", image).split() == ["v1"]
    run(cluster, *regctl, "artifact", "put", "--artifact-type", "application/vnd.example.sbom", "--subject", image + ":v1",
        input="the bill of materials")
    for worker in cluster.workers:
        found = worker.call("GET", f"/v2/regctl/app/referrers/{subject}").json()["manifests"]
        assert [m["artifactType"] for m in found] == ["application/vnd.example.sbom"], worker.name
    assert "application/vnd.example.sbom" in run(cluster, *regctl, "artifact", "list", image + ":v1")
    run(cluster, *regctl, "tag", "rm", image + ":v1")
    nowhere(cluster, "regctl/app", "v1")


def test_oras(cluster):
    import oras.client as oras
    client = oras.OrasClient(hostname=cluster.host, insecure=True, auth_backend="basic")
    client.login(hostname=cluster.host, username=cluster.user, password=cluster.password, tls_verify=False,
                 config_path=str(cluster.home / "oras.json"))
    (cluster.folder / "artifact.txt").write_text("an artifact")
    here = os.getcwd()
    os.chdir(cluster.folder)
    try:
        client.push(target=f"{cluster.host}/oras/thing:v1", files=["artifact.txt"])
        shutil.rmtree("fetched", ignore_errors=True)
        fetched = client.pull(target=f"{cluster.host}/oras/thing:v1", outdir="fetched")
    finally:
        os.chdir(here)
    assert pathlib.Path(cluster.folder, fetched[0]).read_text() == "an artifact"
    everywhere(cluster, "oras/thing", "v1")


def test_docker_and_containerd_ways(cluster):
    """docker: one PATCH of unknown length, then PUT. containerd: one PUT."""
    data = os.urandom(3_000_000)
    front = cluster.front
    where = front.call("POST", "/v2/docker/app/blobs/uploads/").headers["Location"]
    reply = front.call("PATCH", where, data=(data[i:i + 65536] for i in range(0, len(data), 65536)))
    assert reply.status_code == 202 and reply.headers["Range"] == f"0-{len(data) - 1}"
    assert front.call("PUT", reply.headers["Location"], params={"digest": digest(data)}).status_code == 201
    cluster.push_blob("containerd/app", data, front)
    for worker in cluster.workers:
        for name in ("docker/app", "containerd/app"):
            assert worker.call("GET", f"/v2/{name}/blobs/{digest(data)}").content == data
