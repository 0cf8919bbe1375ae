# SPDX-License-Identifier: Apache-2.0
"""What a client's content can cost: memory for JSON, upload sessions, room in the spool."""
import concurrent.futures
import json
import os
import re

import pytest

from registry import CLUSTER_SECRET
from worker_process import MANIFEST, Worker, await_true, digest, free_port

INDEX = "application/vnd.oci.image.index.v1+json"


def rss(worker):
    """MiB that the worker has resident now."""
    text = open(f"/proc/{worker.process.pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024


def put(worker, body, kind=MANIFEST, tag="x"):
    return worker.call("PUT", f"/v2/a/manifests/{tag}", data=body, headers={"Content-Type": kind})


def many(part, size=4 * 1024 * 1024):
    head, tail = b'{"schemaVersion":2,"mediaType":"%s","x":[' % MANIFEST.encode(), b"]}"
    times = (size - len(head) - len(tail) + 1) // (len(part) + 1)
    return head + b",".join([part] * times) + tail


@pytest.mark.parametrize("part", [b"[]", b"{}", b"[[]]", b'{"a":{}}'])
def test_a_tree_of_many_values_is_refused_and_costs_little(part):
    # The sanitizer of that build would keep what was freed for a while.
    with Worker(ASAN_OPTIONS="quarantine_size_mb=1:allocator_release_to_os_interval_ms=100") as worker:
        worker.push("a", "v1")
        before = rss(worker)
        with concurrent.futures.ThreadPoolExecutor(8) as many_clients:
            for reply in many_clients.map(lambda _: put(worker, many(part)), range(16)):
                assert reply.status_code == 413, reply.text
                assert "do not fit into 32768 KiB" in reply.text and "MANIFEST_INVALID" in reply.text
        # 8 bodies of 4 MiB with what holds them, and the budget of all trees.
        assert worker.peak_rss() - before < 128 + 8 * 24
        await_true(lambda: rss(worker) - before < 64)


def test_the_largest_index_is_taken(worker):
    member = {"mediaType": MANIFEST, "size": 1234, "artifactType": "a/b", "annotations": {"a.b": "c", "d.e": "f"},
              "platform": {"architecture": "arm", "os": "linux", "variant": "v7"}}
    members = [{**member, "digest": digest(b"%d" % i)} for i in range(10000)]
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": members}, separators=(",", ":")).encode()
    assert len(body) < 4 * 1024 * 1024
    reply = put(worker, body, INDEX)
    assert reply.status_code == 201, reply.text
    assert worker.call("GET", "/v2/a/manifests/x").content == body


def test_a_folder_index_of_many_values_is_told_and_costs_little():
    with Worker() as worker:
        worker.push("b", "v1")
        repository = worker.folder / "store" / "a"
        repository.mkdir()
        (repository / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (repository / "index.json").write_bytes(b'{"schemaVersion":2,"manifests":[],"x":[' + b"[]," * 4_000_000 + b"[]]}")
        before = worker.peak_rss()
        assert worker.call("GET", "/v2/a/tags/list").status_code == 500
        assert worker.peak_rss() - before < 12 * 18 + 64
        assert worker.call("GET", "/v2/b/tags/list").status_code == 200


PROXIED = {"ZOT_TRUSTED_PROXIES": "127.0.0.1"}
MIB = 1024 * 1024


def start(worker, client, name="a"):
    return worker.call("POST", f"/v2/{name}/blobs/uploads/", headers={"X-Forwarded-For": client})


def patch(worker, location, size):
    return worker.call("PATCH", location, data=b"x" * size)


def expect_too_many(reply):
    assert reply.status_code == 429, reply.text
    assert int(reply.headers["Retry-After"]) > 0
    assert reply.json()["errors"][0]["code"] == "TOOMANYREQUESTS"


def test_one_client_s_sessions_are_bounded_and_others_go_on():
    with Worker(ZOT_UPLOADS_PER_CLIENT=20, **PROXIED) as worker:
        locations = [start(worker, "10.0.0.1").headers["Location"] for _ in range(20)]
        expect_too_many(start(worker, "10.0.0.1"))
        assert start(worker, "10.0.0.2").status_code == 202
        assert worker.call("DELETE", locations[0]).status_code == 204
        assert start(worker, "10.0.0.1").status_code == 202
        assert worker.counter("uploads_refused_total") == 1
        assert worker.counter("uploads_open") == worker.counter("uploads_empty") == 21
        assert worker.counter("uploads_clients") == 2
        assert "\nuploads: ok, 21 open\n" in worker.call("GET", "/readyz").text


def test_sessions_of_a_client_behind_another_worker_are_its_own():
    """Each has a storage of its own, so the owner of the repository opens the session, for the client that the other one names."""
    ports = [free_port(), free_port()]
    cluster = {"ZOT_CLUSTER_MEMBERS": ",".join(f"127.0.0.1:{port}" for port in ports), "ZOT_CLUSTER_HASH_KEY": "0123456789abcdef",
               "ZOT_CLUSTER_SECRET": CLUSTER_SECRET, "ZOT_CLUSTER_ISOLATED": "true", "ZOT_UPLOADS_PER_CLIENT": 3}
    with Worker(port=ports[0], **cluster, **PROXIED) as near, Worker(port=ports[1], **cluster) as far:
        def fill():
            replies = {f"r{i}": start(near, "10.0.0.1", f"r{i}") for i in range(24)}
            assert {reply.status_code for reply in replies.values()} == {202, 429}, [reply.text for reply in replies.values()]
            return replies
        replies = fill()
        assert far.counter("uploads_open") == near.counter("uploads_open") == 3
        assert far.counter("uploads_refused_total") > 0
        for name, reply in replies.items():
            if reply.status_code == 429:
                expect_too_many(reply)
        assert start(near, "10.0.0.2", "r0").status_code == 202
        assert far.counter("uploads_clients") + near.counter("uploads_clients") == 3


def test_one_client_s_half_uploads_leave_room_in_the_spool():
    with Worker(ZOT_SPOOL_LIMIT=16 * MIB, ZOT_SPOOL_SHARE=50, **PROXIED) as worker:
        # One that can never fit is not told to come again.
        whole = start(worker, "10.0.0.1").headers["Location"]
        reply = patch(worker, whole, 9 * MIB)
        assert reply.status_code == 507 and "share of the spool" in reply.text
        first, second = (start(worker, "10.0.0.1").headers["Location"] for _ in range(2))
        assert patch(worker, first, 5 * MIB).status_code == 202
        expect_too_many(patch(worker, second, 5 * MIB))
        other = start(worker, "10.0.0.2").headers["Location"]
        assert patch(worker, other, 7 * MIB).status_code == 202
        assert worker.call("DELETE", first).status_code == 204
        again = start(worker, "10.0.0.1").headers["Location"]
        data = b"y" * (6 * MIB)
        assert worker.call("PUT", again, params={"digest": digest(data)}, data=data).status_code == 201
        assert worker.counter("spool_bytes") == 7 * MIB


# Who can write into the folder decides what is served, but does not make the worker read or destroy what lies elsewhere.

@pytest.fixture
def home(tmp_path):
    """A folder for a worker that is started again."""
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def blob_path(worker, name, data):
    return worker.folder / "store" / name / "blobs" / "sha256" / digest(data).removeprefix("sha256:")


@pytest.fixture
def secret(tmp_path):
    """A folder outside of the store that looks like a repository, and a file in it."""
    outside = tmp_path / "outside"
    with Worker(ZOT_STORAGE_ROOT=outside / "store") as other:
        other.push("a", "v1", layer=b"secret")
    (outside / "note").write_bytes(b"a secret note")
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    yield outside
    assert {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()} == before


def test_links_out_of_the_store_lead_nowhere(secret, home):
    with Worker(home) as worker:
        worker.push("a", "v1")
        layer = blob_path(worker, "a", b"layer")
        where = f"/v2/a/blobs/{digest(b'layer')}"
        layer.unlink()
        layer.symlink_to(secret / "note")
        for method in ("GET", "HEAD"):
            assert worker.call(method, where).status_code == 404
        # Pushed again it is a file, and what the link named is as it was.
        worker.push_blob("a", b"layer")
        assert worker.call("GET", where).content == b"layer" and not layer.is_symlink()
        layer.unlink()
        layer.symlink_to(secret / "note")
        assert worker.call("DELETE", where).status_code in (202, 404, 405)

        # A repository that is a link, and one whose blobs are.
        (worker.folder / "store" / "linked").symlink_to(secret / "store" / "a")
        assert worker.call("GET", "/v2/linked/manifests/v1").status_code == 500
        assert worker.call("GET", f"/v2/linked/blobs/{digest(b'secret')}").status_code == 404
        assert put(worker, b"{}", tag="../x").status_code >= 400
        reply = worker.call("POST", f"/v2/linked/blobs/uploads/?digest={digest(b'new')}", data=b"new")
        assert reply.status_code == 500, reply.text
        assert worker.call("DELETE", f"/v2/linked/blobs/{digest(b'secret')}").status_code >= 400
        assert worker.call("DELETE", "/v2/linked/manifests/v1").status_code == 500
        assert "symbolic link" in worker.text()
        assert "linked" not in worker.call("GET", "/v2/_catalog").json()["repositories"]
        worker.push("b", "v1")
        blobs = worker.folder / "store" / "b" / "blobs"
        blobs.rename(blobs.with_name("kept"))
        blobs.symlink_to(secret / "store" / "a" / "blobs")
        assert worker.call("GET", f"/v2/b/blobs/{digest(b'secret')}").status_code == 404
        reply = worker.call("POST", f"/v2/a/blobs/uploads/?mount={digest(b'secret')}&from=b")
        assert reply.status_code == 202
        worker.push("c", "v1")
    # At start what others left in the folder is looked through.
    with Worker(home) as again:
        assert again.call("GET", "/v2/c/tags/list").json()["tags"] == ["v1"]
        assert "linked" not in again.call("GET", "/v2/_catalog").json()["repositories"]


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "link"])
@pytest.mark.parametrize("name", ["index.json", "index.log", "blob"])
def test_what_is_no_file_holds_nobody_up(name, kind, secret, home):
    with Worker(home) as worker:
        worker.push("a", "v1")
        worker.push("b", "v1")
    path = blob_path(worker, "a", b"layer") if name == "blob" else worker.folder / "store" / "a" / name
    if path.exists():
        path.unlink()
    {"pipe": lambda: os.mkfifo(path), "folder": path.mkdir, "loop": lambda: path.symlink_to(path),
     "link": lambda: path.symlink_to(secret / "store" / "a" / "index.json")}[kind]()
    with Worker(home) as worker:
        if name == "blob":
            assert worker.call("GET", f"/v2/a/blobs/{digest(b'layer')}").status_code == 404
        else:
            for _ in range(2):
                assert worker.call("GET", "/v2/a/tags/list").status_code in ((500,) if name == "index.json" else (200, 500))
                assert put(worker, b"{}", tag="v2").status_code in (400, 404, 500)
                assert worker.call("DELETE", "/v2/a/manifests/v1").status_code in (202, 404, 500)
        worker.push("b", "v2")
        assert worker.call("GET", "/v2/b/tags/list").json()["tags"] == ["v1", "v2"]


def test_a_root_behind_links_is_used(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "disk").symlink_to("real")
    (tmp_path / "real" / "there").mkdir()
    (tmp_path / "real" / "store").symlink_to("there")
    with Worker(ZOT_STORAGE_ROOT=tmp_path / "disk" / "store") as worker:
        body = worker.push("a/b", "v1")
        assert worker.call("GET", "/v2/a/b/manifests/v1").content == body
        assert (tmp_path / "real" / "there" / "a" / "b" / "blobs").is_dir()
        assert worker.call("GET", "/v2/_catalog").json()["repositories"] == ["a/b"]


def test_a_log_with_another_name_is_not_written_through_it(home):
    """As a backup by hard links (cp -al) leaves it: the copy stays what it was."""
    with Worker(home) as worker:
        worker.push("a", "v1")
        worker.push("a", "v2")
        log = worker.folder / "store" / "a" / "index.log"
        copy = worker.folder / "copy"
        copy.hardlink_to(log)
        before = copy.read_bytes()
        worker.push("a", "v3")
        assert copy.read_bytes() == before and log.read_bytes() != before
        assert worker.call("GET", "/v2/a/tags/list").json()["tags"] == ["v1", "v2", "v3"]
    with Worker(home) as worker:
        assert worker.call("GET", "/v2/a/tags/list").json()["tags"] == ["v1", "v2", "v3"]


@pytest.mark.parametrize("link", [".uploads", ".uploads/single"])
def test_a_spool_that_is_a_link_is_refused(link, home, tmp_path):
    """It is emptied at start."""
    (home / "store" / ".uploads").mkdir(parents=True)
    other = tmp_path / "other"
    (other / "single").mkdir(parents=True)
    for folder in (other, other / "single"):
        (folder / "kept.upload").write_bytes(b"kept")
    path = home / "store" / link
    if path.exists():
        path.rmdir()
    path.symlink_to(other)
    worker = Worker(home)
    with pytest.raises(AssertionError):
        worker.start()
    worker.process.wait(20)
    assert "is a symbolic link" in worker.text() and "ZOT_SPOOL" in worker.text()
    assert (other / "kept.upload").exists() and (other / "single" / "kept.upload").exists()
