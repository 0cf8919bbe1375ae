# SPDX-License-Identifier: Apache-2.0
"""A disk that is full, then read-only, then well again: what is refused, what goes on, what /readyz says."""
import contextlib
import os
import pathlib
import subprocess

import pytest

from worker_process import MANIFEST, Worker, await_true, digest, image

KIB = 1024


@pytest.fixture
def disk(tmp_path):
    """A file system of 24 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", path], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
def worker(disk, tmp_path):
    with Worker(ZOT_STORAGE_ROOT=disk / "store", ZOT_WORKER_DATA=tmp_path / "data") as one:
        yield one


def fill(disk):
    with open(disk / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(64 * KIB))
    with open(disk / "filler", "ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(KIB))


def readyz(worker):
    reply = worker.call("GET", "/readyz")
    return reply.status_code, dict(line.partition(": ")[::2] for line in reply.text.splitlines())


def await_ready(worker, status):
    await_true(lambda: readyz(worker)[0] == status, 10, f"/readyz {status}")
    return readyz(worker)[1]


def tags(worker, name):
    return worker.call("GET", f"/v2/{name}/tags/list").json()["tags"]


def put_manifest(worker, name, tag, layer=b"layer"):
    return worker.call("PUT", f"/v2/{name}/manifests/{tag}", data=image(layer), headers={"Content-Type": MANIFEST})


def leftovers(disk):
    return [p for p in pathlib.Path(disk).rglob("*") if p.name.startswith(".tmp-") or p.name.endswith(".upload")]


def check_reads(worker, manifests):
    for (name, tag), body in manifests.items():
        assert worker.call("GET", f"/v2/{name}/manifests/{tag}").content == body
        assert worker.call("GET", f"/v2/{name}/blobs/{digest(b'layer')}").content == b"layer"
        assert tags(worker, name) == [tag]


def refused(reply, statuses):
    assert reply.status_code in statuses, (reply.status_code, reply.text)
    assert reply.json()["errors"][0]["code"]
    return True


def test_a_full_disk_refuses_pushes_only_and_all_goes_on_when_there_is_room(worker, disk):
    manifests = {(name, "v1"): worker.push(name, "v1") for name in ("lib/app", "lib/other")}
    status, checks = readyz(worker)
    assert status == 200 and checks["storage"] == checks["spool"] == checks["data"] == "ok", checks
    fill(disk)
    checks = await_ready(worker, 503)
    assert "KiB left" in checks["storage"] and str(disk) in checks["storage"], checks
    assert checks["spool"] != "ok" and checks["data"] == "ok", checks
    # What a load balancer asks: pulls go on.
    reply = worker.call("GET", "/readyz?exclude=storage&exclude=spool")
    assert reply.status_code == 200 and "KiB left" in reply.text, reply.text
    assert worker.call("GET", "/readyz?exclude=data").status_code == 503
    assert worker.call("GET", "/readyz?exclude=storge").status_code == 400
    assert worker.call("GET", "/livez").status_code == 200
    for n in range(5):
        data = os.urandom(700 * KIB)
        where = worker.call("POST", "/v2/lib/app/blobs/uploads/")
        if where.status_code == 202:
            where = worker.call("PUT", worker.url + where.headers["Location"], params={"digest": digest(data)}, data=data)
        refused(where, (500, 507))
        refused(put_manifest(worker, "lib/app", f"full{n}", os.urandom(9)), (500, 507))
        refused(put_manifest(worker, f"lib/new{n}", "v1"), (500, 507))
    check_reads(worker, manifests)
    assert worker.call("GET", "/v2/lib/new0/tags/list").status_code == 404

    (disk / "filler").unlink()
    assert await_ready(worker, 200)["storage"] == "ok"
    worker.push("lib/app", "v2", layer=os.urandom(700 * KIB))
    assert tags(worker, "lib/app") == ["v1", "v2"]
    assert put_manifest(worker, "lib/other", "v2").status_code == 201
    await_true(lambda: not leftovers(disk), 10, "no half written file")
    worker.stop()
    worker.start()
    assert tags(worker, "lib/app") == tags(worker, "lib/other") == ["v1", "v2"]
    assert not leftovers(disk)


def test_a_disk_that_becomes_read_only_is_told_and_still_read(worker, disk):
    manifests = {("lib/app", "v1"): worker.push("lib/app", "v1")}
    remount(disk, "ro")
    try:
        checks = await_ready(worker, 503)
        assert "Read-only" in checks["storage"], checks
        refused(put_manifest(worker, "lib/app", "v2", b"x"), (500, 503))
        refused(worker.call("POST", f"/v2/lib/app/blobs/uploads/?digest={digest(b'y')}", data=b"y"), (500, 503))
        check_reads(worker, manifests)
    finally:
        remount(disk, "rw")
    await_ready(worker, 200)
    assert put_manifest(worker, "lib/app", "v2", b"x").status_code == 201


def test_on_a_read_only_disk_each_change_is_refused_in_words_that_clients_know(worker, disk):
    """503 and UNAVAILABLE: docker repeats after these, not after UNSUPPORTED; and nobody hears of paths."""
    image_of = worker.push("team/app", "v1")
    remount(disk, "ro")
    try:
        await_ready(worker, 503)  # a balancer has asked
        changes = [("POST", "/v2/team/app/blobs/uploads/", b""), ("POST", f"/v2/new/app/blobs/uploads/?digest={digest(b'x')}", b"x"),
                   ("POST", f"/v2/new/app/blobs/uploads/?mount={digest(b'layer')}&from=team/app", b""),
                   ("PUT", "/v2/team/app/manifests/v2", image_of), ("DELETE", "/v2/team/app/manifests/v1", None)]
        for method, path, body in changes:
            reply = worker.call(method, path, data=body, headers={"Content-Type": MANIFEST})
            assert reply.status_code == 503 and reply.headers["Retry-After"], (method, path, reply.status_code, reply.text)
            assert reply.json()["errors"][0]["code"] == "UNAVAILABLE" and str(disk) not in reply.text, (path, reply.text)
        assert worker.call("GET", "/v2/team/app/manifests/v1").status_code == 200
    finally:
        remount(disk, "rw")
    await_ready(worker, 200)
    worker.push("team/app", "v3", layer=b"another layer")


def remount(disk, how):
    # Open files of the spool's lock keep no one from it: they are open for reading.
    await_true(lambda: subprocess.run(["mount", "-o", f"remount,{how}", disk], capture_output=True).returncode == 0, 10, "the remount")
    mounts = pathlib.Path("/proc/mounts").read_text()
    assert any(str(disk) in line and line.split()[3].split(",")[0] == how for line in mounts.splitlines())


def test_a_full_spool_is_told(tmp_path):
    with Worker(ZOT_SPOOL_SHARE=100, ZOT_SPOOL_LIMIT=KIB * KIB) as worker:
        where = worker.start_upload("lib/app")
        assert worker.call("PATCH", where, data=bytes(KIB * KIB)).status_code == 202
        checks = await_ready(worker, 503)
        assert "spool is full" in checks["spool"] and checks["storage"] == "ok", checks
        assert worker.call("DELETE", where).status_code == 204
        await_ready(worker, 200)


def test_what_killed_workers_left_is_removed():
    with Worker(ZOT_LOG_LEVEL="info") as worker:
        worker.push("lib/app", "v1")
        assert worker.call("PATCH", worker.start_upload("lib/app"), data=bytes(KIB)).status_code == 202
        store = worker.folder / "store"
        (store / "lib/app/blobs/sha256/.tmp-dead").write_bytes(b"half")
        (store / ".uploads/never-back").mkdir()
        (store / ".uploads/never-back/x.upload").write_bytes(b"half")
        worker.kill()
        assert len(leftovers(store)) == 3
        worker.start()
        await_true(lambda: not leftovers(store), 10, "the end of what was left")
        await_true(lambda: "spool.swept" in worker.text() and "store.swept" in worker.text(), 5, "a word in the log")
        check_reads(worker, {("lib/app", "v1"): worker.call("GET", "/v2/lib/app/manifests/v1").content})
        # Ended orderly, and looked through just now: not again.
        worker.stop()
        (store / "lib/app/blobs/sha256/.tmp-later").write_bytes(b"half")
        worker.start()
        worker.stop()
        assert len(leftovers(store)) == 1
