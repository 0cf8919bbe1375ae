# SPDX-License-Identifier: Apache-2.0
"""storage.gc: what no manifest needs goes while the worker serves; what somebody needs, or was told of, stays."""
import concurrent.futures
import json
import subprocess

import pytest

from worker_process import BUILD, MANIFEST, Worker, await_true, digest, image

SOON = {"ZOT_GC_DELAY": "1s", "ZOT_GC_INTERVAL": "1s"}


def gc(worker, *options, **environment):
    return subprocess.run([BUILD / worker.program, "gc", *options], env={**worker.environment, **environment}, capture_output=True, text=True, timeout=60)


def there(worker, name, data):
    """By a question that keeps nothing."""
    return worker.call("GET", f"/v2/{name}/blobs/{digest(data)}").status_code == 200


def file_of(worker, name, data):
    return worker.folder / "store" / name / "blobs/sha256" / digest(data).partition(":")[2]


def test_what_no_manifest_names_goes_and_what_one_names_stays():
    with Worker(**SOON) as worker:
        body = worker.push("lib/app", "v1")
        worker.push_blob("lib/app", b"nobody names this")
        await_true(lambda: not there(worker, "lib/app", b"nobody names this"), what="its end")
        assert not file_of(worker, "lib/app", b"nobody names this").exists()
        assert there(worker, "lib/app", b"layer") and there(worker, "lib/app", b"{}")
        assert worker.call("GET", "/v2/lib/app/manifests/v1").content == body
        assert worker.counter("gc_deleted_total") == 1 and worker.counter("gc_deleted_bytes_total") == 17
        line = [json.loads(line) for line in worker.text().splitlines() if '"gc.removed"' in line]
        assert [(one["repository"], one["digest"], one["bytes"]) for one in line] == [("lib/app", digest(b"nobody names this"), 17)], line


def test_an_image_that_was_deleted_goes_and_comes_back():
    with Worker(**SOON) as worker:
        worker.push("app", "kept", b"shared")
        body = worker.push("app", "gone", b"its own")
        assert worker.call("DELETE", f"/v2/app/manifests/{digest(body)}").status_code == 202
        await_true(lambda: not there(worker, "app", b"its own"), what="its end")
        await_true(lambda: not file_of(worker, "app", body).exists(), what="the end of its manifest")
        assert there(worker, "app", b"shared") and there(worker, "app", b"{}")
        assert worker.push("app", "gone", b"its own") == body
        assert worker.call("GET", f"/v2/app/manifests/{digest(body)}").content == body
        assert there(worker, "app", b"its own")


def test_who_was_told_that_it_is_there_may_rely_on_it():
    with Worker(ZOT_GC_DELAY="2s", ZOT_GC_INTERVAL="1s") as worker:
        worker.push("app", "v1")
        for data in (b"asked for", b"not asked for"):
            worker.push_blob("app", data)

        def is_over():
            assert worker.call("HEAD", f"/v2/app/blobs/{digest(b'asked for')}").status_code == 200
            return not there(worker, "app", b"not asked for")

        await_true(is_over, what="the end of what nobody asked for")
        worker.push("app", "v2", b"asked for")
        assert there(worker, "app", b"asked for")


def push_again(worker, tag, layer):
    """Who pushes in the moment in which what he sends is removed is told so, and sends it again."""
    for _ in range(5):
        for data in (b"{}", layer):
            worker.push_blob("busy", data)
        reply = worker.call("PUT", f"/v2/busy/manifests/{tag}", data=image(layer), headers={"Content-Type": MANIFEST})
        if reply.status_code != 404:
            break
    assert reply.status_code == 201, reply.text
    return image(layer)


def test_pushes_that_go_on_lose_nothing():
    """Each image is deleted right behind its push, by another client, and pushed again: whatever is answered 201 is whole."""
    with Worker(**SOON) as worker:
        def work(n):
            layer = b"layer %d" % n
            for _ in range(40):
                body = push_again(worker, f"v{n}", layer)
                assert worker.call("GET", f"/v2/busy/manifests/{digest(body)}").content == body
                assert there(worker, "busy", layer)
                assert worker.call("DELETE", f"/v2/busy/manifests/{digest(body)}").status_code == 202

        worker.push("busy", "always")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        await_true(lambda: not any(there(worker, "busy", b"layer %d" % n) for n in range(4)), what="the end of all")
        assert there(worker, "busy", b"layer") and worker.call("GET", "/v2/busy/manifests/always").status_code == 200


def test_the_command_tells_and_removes():
    with Worker() as worker:
        worker.push("a", "v1")
        worker.push("b/c", "v1")
        worker.push_blob("b/c", b"alone")
        young = gc(worker)
        assert young.returncode == 0 and "1 that nothing needs are younger than storage.gcDelay" in young.stdout, young
        dry = gc(worker, "--dry-run", ZOT_GC_DELAY="0")
        assert dry.returncode == 0 and there(worker, "b/c", b"alone"), dry
        real = gc(worker, ZOT_GC_DELAY="0")
        assert real.returncode == 0 and not there(worker, "b/c", b"alone"), real
        assert dry.stdout.splitlines()[0] == real.stdout.splitlines()[0] == f"b/c {digest(b'alone')} 5"
        assert "2 repositories, 7 blobs: 1 would go, 5 bytes" in dry.stdout and "1 are removed, 5 bytes" in real.stdout, (dry, real)
        assert gc(worker, ZOT_GC_DELAY="0").stdout.startswith("2 repositories, 6 blobs: 0 are removed, 0 bytes")
        assert there(worker, "a", b"layer")


def test_a_repository_whose_manifest_cannot_be_read_is_left_alone():
    with Worker() as worker:
        body = worker.push("app", "v1")
        worker.push_blob("app", b"alone")
        worker.stop()
        file_of(worker, "app", body).write_bytes(b"rotten")
        done = gc(worker, ZOT_GC_DELAY="0")
        assert done.returncode == 1 and "1 could not be looked through" in done.stdout and "nothing is collected while" in done.stderr, done
        assert file_of(worker, "app", b"alone").exists() and file_of(worker, "app", b"layer").exists()


def test_it_can_be_turned_off():
    with Worker(ZOT_GC="false", **SOON) as worker:
        assert 'chore="gc"' not in worker.call("GET", "/metrics").text and 'chore="fold"' in worker.call("GET", "/metrics").text
        worker.push("app", "v1")
        worker.push_blob("app", b"alone")
        done = gc(worker, ZOT_GC_DELAY="0")
        assert done.stdout.startswith("0 repositories, 0 blobs") and "1 repositories left alone" in done.stdout
        assert there(worker, "app", b"alone")


@pytest.mark.parametrize("wrong", ["22:30", "24:00-01:00", "01:00-01:00", "1:00-2:00", "at night"])
def test_a_window_that_is_none_is_named(wrong):
    with_window = Worker(ZOT_GC_TIME_WINDOW=wrong)
    done = subprocess.run([BUILD / with_window.program, "verify"], env=with_window.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "storage.gcTimeWindow (ZOT_GC_TIME_WINDOW)" in done.stderr and wrong in done.stderr, done


def test_each_root_has_its_own():
    folder = Worker().folder
    storage = {"gcDelay": 0, "subPaths": {
        "/kept": {"rootDirectory": str(folder / "kept"), "gc": False}, "/later": {"rootDirectory": str(folder / "later"), "gcDelay": "1h"}}}
    with Worker(folder=folder, config={"storage": storage}) as worker:
        for name in ("kept/app", "later/app", "app"):
            worker.push(name, "v1")
            worker.push_blob(name, b"alone")
        done = gc(worker, str(folder / "config.json"))
        assert done.stdout.startswith(f"app {digest(b'alone')} 5\n2 repositories, 8 blobs: 1 are removed, 5 bytes; 1 that nothing needs"), done
        assert "; 1 repositories left alone, 0 could" in done.stdout, done
        assert there(worker, "kept/app", b"alone") and there(worker, "later/app", b"alone")
