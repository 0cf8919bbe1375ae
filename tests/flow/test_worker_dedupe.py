# SPDX-License-Identifier: Apache-2.0
"""storage.dedupe in a folder: the same blob in several repositories is one file."""
import json
import shutil

from worker_process import Worker, await_true, digest, image

LARGE = bytes(range(256)) * 1024
KEY = digest(LARGE).partition(":")[2]


def blob(worker, name):
    return worker.folder / "store" / name / "blobs/sha256" / KEY


def one_file(worker, *names):
    return len({blob(worker, name).stat().st_ino for name in names}) == 1


def saved(worker):
    return worker.counter("storage_dedupe_saved_bytes")


def await_first_walk(worker):
    """What it counts is told before it leaves its mark."""
    await_true((worker.folder / "store/_dedupe/.shared").exists, what="the first walk")


def as_zot_leaves_it(worker, name):
    """A repository whose files are its own."""
    place = worker.folder / "store" / name
    (place / "blobs/sha256").mkdir(parents=True)
    body = image(LARGE)
    for data in (LARGE, body, b"{}"):
        (place / "blobs/sha256" / digest(data).partition(":")[2]).write_bytes(data)
    (place / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(body), "size": len(body),
         "annotations": {"org.opencontainers.image.ref.name": "v1"}}]}))


def test_the_same_blob_is_one_file():
    with Worker() as worker:
        await_first_walk(worker)
        for name in ("one", "two/deep", "three"):
            worker.push(name, "v1", LARGE)
        assert one_file(worker, "one", "two/deep", "three") and saved(worker) == 2 * len(LARGE)
        assert worker.call("POST", "/v2/four/blobs/uploads/", params={"mount": digest(LARGE), "from": "one"}).status_code == 201
        assert one_file(worker, "one", "four") and saved(worker) == 3 * len(LARGE)
        assert worker.call("DELETE", f"/v2/four/blobs/{digest(LARGE)}").status_code == 202
        assert worker.call("GET", f"/v2/one/blobs/{digest(LARGE)}").content == LARGE
        # A kill loses nothing, nor does the loss of the index.
        worker.kill()
        shutil.rmtree(worker.folder / "store/_dedupe")
        worker.start()
        worker.push("five", "v1", LARGE)
        assert worker.call("GET", f"/v2/five/blobs/{digest(LARGE)}").content == LARGE
        assert worker.call("GET", "/v2/_catalog").json()["repositories"] == ["five", "one", "three", "two/deep"]


def test_what_zot_wrote_becomes_one_file_and_stays_when_it_is_off():
    with Worker() as worker:
        for name in ("a", "b", "c/d"):
            as_zot_leaves_it(worker, name)
        assert not one_file(worker, "a", "b")
        worker.stop()
        worker.start()
        await_true(lambda: "store.imported" in worker.text(), what="the import")
        # Whether the import or the walk comes first, a start later both are done.
        await_true(lambda: worker.counter('chore_runs_total{chore="dedupe"}') or one_file(worker, "a", "b"), what="the chore")
        worker.stop()
        (worker.folder / "store/_dedupe/.shared").unlink(missing_ok=True)
        worker.start()
        await_true(lambda: one_file(worker, "a", "b", "c/d") and saved(worker) == 2 * len(LARGE), what="one file")
        for name in ("a", "b", "c/d"):
            assert worker.call("GET", f"/v2/{name}/blobs/{digest(LARGE)}").content == LARGE
        worker.stop()
        worker.environment["ZOT_DEDUPE"] = "false"
        worker.start()
        await_true(lambda: not list((worker.folder / "store/_dedupe").rglob(KEY)), what="the end of the index")
        assert one_file(worker, "a", "b", "c/d")
        worker.push("own", "v1", LARGE)
        assert not one_file(worker, "a", "own") and saved(worker) == 0
