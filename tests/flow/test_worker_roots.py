# SPDX-License-Identifier: Apache-2.0
"""storage.subPaths: folders of their own for the first component of names, one registry before them."""
import json
import os
import pathlib
import re
import subprocess
import time

import pytest

from worker_process import BUILD, MANIFEST, Worker, await_true, digest, image

LARGE = bytes(range(256)) * 1024


def catalog(worker):
    return worker.call("GET", "/v2/_catalog").json()["repositories"]


def run(worker, command):
    done = subprocess.run([BUILD / "worker/zot-worker", command, worker.folder / "config.json"], capture_output=True, text=True,
                          env={"ZOT_WORKER_DATA": str(worker.folder / "data"), "PATH": os.environ["PATH"]}, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def place(tmp_path):
    """The folders, and a worker on three of them that is not started."""
    subs = {"/a": {"rootDirectory": str(tmp_path / "disk-a")}, "/infra": {"rootDirectory": str(tmp_path / "disk-infra"), "dedupe": False}}
    worker = Worker(folder=tmp_path, config={"storage": {"subPaths": subs}, "extensions": {"metrics": {"enable": True}}})
    yield worker
    if worker.process and worker.process.poll() is None:
        worker.stop()


def pull(worker, name, tag, layer):
    manifest = worker.call("GET", f"/v2/{name}/manifests/{tag}", headers={"Accept": MANIFEST})
    assert manifest.status_code == 200 and manifest.content == image(layer), manifest.text
    blob = worker.call("GET", f"/v2/{name}/blobs/{digest(layer)}")
    assert blob.status_code == 200 and blob.content == layer


def test_repositories_lie_below_their_first_component(place):
    place.start()
    for name in ("a/app", "a", "ab/app", "infra/deep/er", "z"):
        place.push(name, "v1", LARGE)
        pull(place, name, "v1", LARGE)
    assert catalog(place) == ["a", "a/app", "ab/app", "infra/deep/er", "z"]
    pages, path = [], "/v2/_catalog?n=2"
    while path:
        page = place.call("GET", path)
        pages += page.json()["repositories"]
        link = re.search("<(.*)>", page.headers.get("Link", ""))
        path = link and link.group(1)
    assert pages == catalog(place)
    for folder, name in (("disk-a", "a/app"), ("store", "a"), ("store", "ab/app"), ("disk-infra", "infra/deep/er"), ("store", "z")):
        assert (place.folder / folder / name / "oci-layout").exists(), name
    assert not (place.folder / "store/a/app").exists() and not (place.folder / "store/infra").exists()
    # From one to another: the digest is checked, the bytes are copied or linked.
    reply = place.call("POST", "/v2/infra/new/blobs/uploads/", params={"mount": digest(LARGE), "from": "a/app"})
    assert reply.status_code == 201
    assert place.call("GET", f"/v2/infra/new/blobs/{digest(LARGE)}").content == LARGE
    reply = place.call("DELETE", f"/v2/infra/new/blobs/{digest(LARGE)}")
    assert reply.status_code == 202 and place.call("HEAD", f"/v2/infra/new/blobs/{digest(LARGE)}").status_code == 404
    pull(place, "a/app", "v1", LARGE)
    metrics = place.call("GET", "/metrics").text
    assert 'storageName="/a"' in metrics and 'storageName="default"' in metrics
    place.stop()
    place.start()
    pull(place, "infra/deep/er", "v1", LARGE)


def test_one_that_is_sick_takes_its_own_with_it_alone(place):
    place.start()
    for name in ("a/app", "infra/x", "z"):
        place.push(name, "v1")
    disk, away = place.folder / "disk-infra", place.folder / "away"
    assert "storage /infra: ok" in place.call("GET", "/readyz").text
    disk.rename(away)
    disk.write_text("no folder")
    text = await_true(lambda: (t := place.call("GET", "/readyz")).status_code == 200 and "storage /infra: ok" not in t.text and t.text)
    assert "storage: ok" in text and "storage /a: ok" in text and re.search("storage /infra: .*disk-infra", text), text
    assert 'zot_check_ok{check="storage /infra"} 0' in place.call("GET", "/metrics").text
    assert "health.bad" in place.text()
    place.push("a/app", "v2")
    place.push("z", "v2")
    disk.unlink()
    away.rename(disk)
    await_true(lambda: "storage /infra: ok" in place.call("GET", "/readyz").text)
    place.push("infra/x", "v2")


def test_the_commands_know_them_all(place):
    place.start()
    for name in ("a/app", "infra/x", "z"):
        place.push(name, "v1")
        place.push(name, "v2")  # the log begins behind the first index.json
    place.kill()
    assert (place.folder / "disk-infra/infra/x/index.log").exists()
    status, text = run(place, "fold")
    assert status == 0 and "3 repositories are folded, 0 could not be" in text, text
    for path in ("disk-a/a/app", "disk-infra/infra/x", "store/z"):
        index = json.loads((place.folder / path / "index.json").read_text())
        assert [m["annotations"]["org.opencontainers.image.ref.name"] for m in index["manifests"]] == ["v1", "v2"], path
    # As zot leaves them.
    for path in ("disk-a/a/zot", "disk-a/elsewhere", "store/zot"):
        (place.folder / path).mkdir()
        (place.folder / path / "index.json").write_text('{"schemaVersion":2,"manifests":[]}')
        (place.folder / path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    status, text = run(place, "import")
    assert status == 0 and "a/zot\n" in text and "2 repositories are new in the catalog" in text, text
    assert run(place, "verify")[0] == 0
    place.start()
    assert catalog(place) == ["a/app", "a/zot", "infra/x", "z", "zot"]
    config = json.loads((place.folder / "config.json").read_text())
    (place.folder / "link").symlink_to(place.folder / "disk-a")
    config["storage"]["subPaths"]["/b"] = {"rootDirectory": str(place.folder / "link/below")}
    (place.folder / "config.json").write_text(json.dumps(config))
    status, text = run(place, "verify")
    assert status == 1 and 'storage.subPaths./b: its place is that of "/a", or one lies in the other' in text, text


def test_sixty_four_of_them_cost_little(tmp_path):
    def resident(process):
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024, int(re.search(r"Threads:\s+(\d+)", status).group(1))

    subs = {f"/p{i}": {"rootDirectory": str(tmp_path / f"p{i}")} for i in range(64)}
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    names = sorted(f"p{i}/x" for i in range(64))
    with Worker(folder=tmp_path / "one") as alone, Worker(folder=tmp_path / "many", ZOT_SUBPATHS=json.dumps(subs)) as many:
        for name in names:
            alone.push(name, "v1")
            many.push(name, "v1")
        assert catalog(alone) == catalog(many) == names
        (small, few), (large, threads) = resident(alone.process), resident(many.process)
        print(f"\n64 roots: {large:.1f} MiB and {threads} threads, one: {small:.1f} MiB and {few}")
        assert large < small + 40 and threads <= 40
        begun = time.monotonic()
        assert many.call("GET", "/v2/_catalog?n=1000").status_code == 200
        print(f"its catalog {1000 * (time.monotonic() - begun):.1f} ms")
