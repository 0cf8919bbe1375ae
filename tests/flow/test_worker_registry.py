# SPDX-License-Identifier: Apache-2.0
"""What a registry answers: one worker, a folder, requests by hand."""
import concurrent.futures
import json
import subprocess

import pytest

from worker_process import MANIFEST, Worker, await_true, digest, image


def code(reply):
    return reply.json()["errors"][0]["code"]


def test_what_was_pushed_is_pulled_byte_for_byte(worker):
    body = worker.push("lib/app", "v1", layer=b"some layer")
    for reference in ("v1", digest(body)):
        reply = worker.call("GET", f"/v2/lib/app/manifests/{reference}")
        assert reply.status_code == 200 and reply.content == body
        assert reply.headers["Docker-Content-Digest"] == digest(body)
        assert reply.headers["Content-Type"] == MANIFEST
        head = worker.call("HEAD", f"/v2/lib/app/manifests/{reference}")
        assert head.status_code == 200 and head.headers["Content-Length"] == str(len(body))
    blob = worker.call("GET", f"/v2/lib/app/blobs/{digest(b'some layer')}")
    assert blob.content == b"some layer" and blob.headers["Docker-Content-Digest"] == digest(b"some layer")


def test_a_restart_keeps_everything(worker):
    body = worker.push("lib/app", "v1")
    worker.kill()
    worker.start()
    assert worker.call("GET", "/v2/lib/app/manifests/v1").content == body
    assert worker.call("GET", "/v2/_catalog").json() == {"repositories": ["lib/app"]}


def test_skopeo_reads_the_folder_as_an_oci_layout(worker):
    body = worker.push("lib/app", "v1")
    out = subprocess.run(["skopeo", "inspect", "--raw", f"oci:{worker.folder}/store/lib/app:v1"], capture_output=True, check=True)
    assert out.stdout == body


def test_sha512_content(worker):
    data = b"sixty-four bytes of digest"
    name = worker.push_blob("lib/app", data, "sha512")
    reply = worker.call("GET", f"/v2/lib/app/blobs/{name}")
    assert reply.content == data and reply.headers["Docker-Content-Digest"] == name


def test_tags_are_listed_in_pages(worker):
    for tag in ("c", "a", "B", "d"):
        worker.push("lib/app", tag)
    assert worker.call("GET", "/v2/lib/app/tags/list").json() == {"name": "lib/app", "tags": ["B", "a", "c", "d"]}
    first = worker.call("GET", "/v2/lib/app/tags/list?n=3")
    assert first.json()["tags"] == ["B", "a", "c"]
    assert first.links["next"]["url"].startswith("/v2/lib/app/tags/list?")
    assert worker.call("GET", worker.url + first.links["next"]["url"]).json()["tags"] == ["d"]
    assert "Link" not in worker.call("GET", "/v2/lib/app/tags/list?n=0").headers


def test_chunks_in_order_and_out_of_order(worker):
    where = worker.start_upload("lib/app")

    def patch(data, first):
        return worker.call("PATCH", where, data=data, headers={"Content-Range": f"{first}-{first + len(data) - 1}"})

    assert patch(b"hello ", 0).headers["Range"] == "0-5"
    assert patch(b"world", 7).status_code == 416
    assert patch(b"hello ", 0).status_code == 416
    status = worker.call("GET", where)
    assert status.status_code == 204 and status.headers["Range"] == "0-5"
    assert patch(b"world", 6).headers["Range"] == "0-10"
    assert worker.call("PUT", where, params={"digest": digest(b"other")}).status_code == 400
    where = worker.start_upload("lib/app")
    patch(b"hello world", 0)
    assert worker.call("PUT", where, params={"digest": digest(b"hello world")}).status_code == 201


def test_a_cancelled_upload_is_gone(worker):
    where = worker.start_upload("lib/app")
    assert worker.call("DELETE", where).status_code == 204
    assert code(worker.call("GET", where)) == "BLOB_UPLOAD_UNKNOWN"


def test_mount(worker):
    name = worker.push_blob("lib/one", b"shared")
    reply = worker.call("POST", f"/v2/lib/two/blobs/uploads/?mount={name}&from=lib/one")
    assert reply.status_code == 201
    assert worker.call("GET", f"/v2/lib/two/blobs/{name}").content == b"shared"
    absent = worker.call("POST", f"/v2/lib/two/blobs/uploads/?mount={digest(b'no')}&from=lib/one")
    assert absent.status_code == 202 and "Location" in absent.headers


def test_referrers(worker):
    body = worker.push("lib/app", "v1")
    empty = worker.call("GET", f"/v2/lib/none/referrers/{digest(body)}")
    assert empty.status_code == 200 and empty.json()["manifests"] == []
    subject = {"mediaType": MANIFEST, "digest": digest(body), "size": len(body)}
    bill = image(artifactType="application/sbom", subject=subject, annotations={"a": "b"})
    reply = worker.call("PUT", f"/v2/lib/app/manifests/{digest(bill)}", data=bill, headers={"Content-Type": MANIFEST})
    assert reply.status_code == 201 and reply.headers["OCI-Subject"] == digest(body)
    worker.kill()
    worker.start()
    listed = worker.call("GET", f"/v2/lib/app/referrers/{digest(body)}").json()["manifests"]
    assert [(m["digest"], m["artifactType"], m["annotations"]) for m in listed] == [(digest(bill), "application/sbom", {"a": "b"})]
    other = worker.call("GET", f"/v2/lib/app/referrers/{digest(body)}?artifactType=x")
    assert other.json()["manifests"] == [] and other.headers["OCI-Filters-Applied"] == "artifactType"


def test_deletes(worker):
    body = worker.push("lib/app", "v1", layer=b"to go")
    assert worker.call("DELETE", f"/v2/lib/app/blobs/{digest(b'to go')}").status_code == 405
    assert worker.call("DELETE", "/v2/lib/app/manifests/v1").status_code == 202
    assert worker.call("HEAD", "/v2/lib/app/manifests/v1").status_code == 404
    assert worker.call("GET", f"/v2/lib/app/manifests/{digest(body)}").status_code == 200
    assert worker.call("DELETE", f"/v2/lib/app/manifests/{digest(body)}").status_code == 202
    assert code(worker.call("GET", f"/v2/lib/app/manifests/{digest(body)}")) == "MANIFEST_UNKNOWN"
    assert worker.call("DELETE", f"/v2/lib/app/blobs/{digest(b'to go')}").status_code == 202
    assert worker.call("HEAD", f"/v2/lib/app/blobs/{digest(b'to go')}").status_code == 404


@pytest.mark.parametrize("header,status,part", [
    ("bytes=2-4", 206, slice(2, 5)), ("bytes=7-", 206, slice(7, 10)), ("bytes=-3", 206, slice(7, 10)),
    ("bytes=5-99", 206, slice(5, 10)), ("bytes=10-", 416, None), ("bytes=5-2", 416, None), ("lines=1-2", 200, slice(0, 10))])
def test_ranges(worker, header, status, part):
    name = worker.push_blob("lib/app", b"0123456789")
    reply = worker.call("GET", f"/v2/lib/app/blobs/{name}", headers={"Range": header})
    assert reply.status_code == status
    if part:
        assert reply.content == b"0123456789"[part]
    else:
        assert reply.headers["Content-Range"] == "bytes */10"


def test_bad_input_is_refused_with_a_code(worker):
    worker.push("lib/app", "v1")
    for method, path, body, status, wanted in [
            ("GET", "/v2/Lib/app/manifests/v1", None, 400, "NAME_INVALID"),
            ("GET", "/v2/lib/app/manifests/sha256:short", None, 400, "DIGEST_INVALID"),
            ("GET", "/v2/no/such/manifests/v1", None, 404, "NAME_UNKNOWN"),
            ("GET", "/v2/lib/app/manifests/v2", None, 404, "MANIFEST_UNKNOWN"),
            ("PUT", "/v2/lib/app/manifests/v3", b"{", 400, "MANIFEST_INVALID"),
            ("PUT", "/v2/lib/app/manifests/" + digest(b"x"), image(), 400, "DIGEST_INVALID"),
            ("GET", "/v2/lib/app/tags/list?n=x", None, 400, None)]:
        reply = worker.call(method, path, data=body, headers={"Content-Type": MANIFEST})
        assert reply.status_code == status, (method, path, reply.status_code, reply.text)
        assert wanted is None or code(reply) == wanted, reply.text
    big = worker.call("PUT", "/v2/lib/app/manifests/v4", data=b"x" * (4 * 1024 * 1024 + 1), headers={"Content-Type": MANIFEST})
    assert big.status_code == 413


def test_images_with_missing_layers(worker):
    """Sparse images are taken unless they are asked not to be."""
    worker.push("lib/app", "v1")
    sparse = image(b"never pushed")
    assert worker.call("PUT", "/v2/lib/app/manifests/v2", data=sparse, headers={"Content-Type": MANIFEST}).status_code == 201
    assert worker.call("GET", "/v2/lib/app/manifests/v2").content == sparse
    with Worker(ZOT_REQUIRE_BLOBS="true") as strict:
        strict.push("lib/app", "v1")
        reply = strict.call("PUT", "/v2/lib/app/manifests/v2", data=sparse, headers={"Content-Type": MANIFEST})
        assert reply.status_code == 404 and code(reply) == "MANIFEST_BLOB_UNKNOWN"


def test_a_mount_finds_the_blob_by_itself(tmp_path):
    worker = Worker(tmp_path)
    with worker:
        blob = b"shared by all" * 10_000
        name = worker.push_blob("lib/one", blob)
        reply = worker.call("POST", f"/v2/lib/two/blobs/uploads/?mount={name}")
        assert reply.status_code == 201 and worker.call("GET", f"/v2/lib/two/blobs/{name}").content == blob
        # One that comes again is the same file.
        worker.push_blob("lib/three", blob)
        inodes = {(worker.folder / f"store/lib/{repo}/blobs/sha256/{name[7:]}").stat().st_ino for repo in ("one", "two", "three")}
        assert len(inodes) == 1
        for repo in ("one", "two", "three"):
            worker.call("DELETE", f"/v2/lib/{repo}/blobs/{name}")
        assert worker.call("POST", f"/v2/lib/four/blobs/uploads/?mount={name}").status_code == 202


def test_a_mount_finds_only_what_may_be_read(tmp_path):
    subprocess.run(["htpasswd", "-Bbc", str(tmp_path / "htpasswd"), "ann", "secret"], check=True, capture_output=True)
    subprocess.run(["htpasswd", "-Bb", str(tmp_path / "htpasswd"), "bob", "secret"], check=True, capture_output=True)
    all_of_it = {"actions": ["read", "create", "update", "delete"]}
    config = {"http": {"auth": {"htpasswd": {"path": str(tmp_path / "htpasswd")}}, "accessControl": {"repositories": {
        "ann/**": {"policies": [{"users": ["ann"], **all_of_it}]}, "bob/**": {"policies": [{"users": ["bob"], **all_of_it}]}}}}}
    with Worker(tmp_path, config=config) as worker:
        data = b"hers alone"
        ann, bob = {"auth": ("ann", "secret")}, {"auth": ("bob", "secret")}
        assert worker.call("POST", f"/v2/ann/app/blobs/uploads/?digest={digest(data)}", data=data, **ann).status_code == 201
        assert worker.call("POST", f"/v2/bob/app/blobs/uploads/?mount={digest(data)}", **bob).status_code == 202
        assert worker.call("POST", f"/v2/ann/other/blobs/uploads/?mount={digest(data)}", **ann).status_code == 201


def test_sixteen_at_once_into_one_repository(worker):
    worker.push("lib/app", "v0")

    def one(i):
        body = image(annotations={"n": str(i)})
        reply = worker.call("PUT", f"/v2/lib/app/manifests/t{i:03}", data=body, headers={"Content-Type": MANIFEST})
        return reply.status_code == 201

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(one, range(160)))
    tags = worker.call("GET", "/v2/lib/app/tags/list").json()["tags"]
    assert len(tags) == 161
    # What rests goes into index.json, so that others who know no log see it too.
    index = worker.folder / "store/lib/app/index.json"
    await_true(lambda: len(json.loads(index.read_text())["manifests"]) == 161, what="the fold")
    await_true(lambda: not index.with_name("index.log").exists(), what="the removal of the folded log")
    worker.push("lib/app", "last")
    worker.stop()
    assert len(json.loads(index.read_text())["manifests"]) == 162
    out = subprocess.run(["skopeo", "inspect", "--raw", f"oci:{index.parent}:last"], capture_output=True, check=True)
    assert out.stdout == image()
    worker.start()


def test_htpasswd(tmp_path):
    subprocess.run(["htpasswd", "-Bbc", str(tmp_path / "htpasswd"), "ann", "secret"], check=True, capture_output=True)
    with Worker(tmp_path, ZOT_HTPASSWD=tmp_path / "htpasswd") as worker:
        assert worker.call("GET", "/v2/").status_code == 401
        reply = worker.call("POST", "/v2/team/app/blobs/uploads/", auth=("ann", "wrong"))
        assert reply.status_code == 401 and reply.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert worker.call("POST", "/v2/team/app/blobs/uploads/", auth=("ann", "secret")).status_code == 202
