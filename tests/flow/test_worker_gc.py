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


def names(worker):
    return worker.call("GET", "/v2/_catalog").json()["repositories"]


def test_an_empty_repository_leaves_the_catalog_and_comes_back():
    with Worker(**SOON) as worker:
        worker.push("kept", "v1")
        for _ in range(2):
            body = worker.push("lib/app", "v1")
            assert names(worker) == ["kept", "lib/app"]
            assert worker.call("DELETE", f"/v2/lib/app/manifests/{digest(body)}").status_code == 202
            await_true(lambda: names(worker) == ["kept"], what="its end in the catalog")
            reply = worker.call("GET", "/v2/lib/app/tags/list")
            assert reply.status_code == 404 and reply.json()["errors"][0]["code"] == "NAME_UNKNOWN", reply.text
            assert worker.call("HEAD", f"/v2/lib/app/manifests/{digest(body)}").status_code == 404
        await_true(lambda: worker.counter("gc_vacated_total") == 2, what="both told")
        assert "gc.vacated" in worker.text()
        # A walk for what other tools made does not bring it back, folded or not; what another tool makes in it does.
        worker.stop()
        done = subprocess.run([BUILD / worker.program, "import"], env=worker.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and done.stdout.startswith("0 repositories are new"), done
        (worker.folder / "store/lib/app/index.json").write_text('{"schemaVersion":2,"manifests":[]}')
        done = subprocess.run([BUILD / worker.program, "import"], env=worker.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and done.stdout.startswith("lib/app\n1 repositories are new"), done


def test_blobs_of_a_repository_that_never_got_a_manifest_go():
    with Worker(ZOT_GC_DELAY="200ms", ZOT_GC_INTERVAL="200ms") as worker:
        worker.push_blob("deep/er/one", b"nobody came back")
        assert names(worker) == []
        await_true(lambda: not file_of(worker, "deep/er/one", b"nobody came back").exists(), what="its end")
        assert names(worker) == [] and worker.call("GET", "/v2/deep/er/one/tags/list").status_code == 404
        body = push_again(worker, "v1", b"first")
        assert names(worker) == ["busy"] and worker.call("GET", "/v2/busy/manifests/v1").content == body


def test_the_command_finds_what_is_empty_and_what_is_not_listed():
    with Worker() as worker:
        body = worker.push("gone", "v1")
        worker.push("stays", "v1")
        worker.push_blob("never/pushed", b"alone")
        assert worker.call("DELETE", f"/v2/gone/manifests/{digest(body)}").status_code == 202
        young = gc(worker)
        assert young.returncode == 0 and "0 are empty and left the catalog" in young.stdout and names(worker) == ["gone", "stays"], young
        assert file_of(worker, "never/pushed", b"alone").exists()
        dry = gc(worker, "--dry-run", ZOT_GC_DELAY="0")
        assert dry.returncode == 0 and names(worker) == ["gone", "stays"], dry
        real = gc(worker, ZOT_GC_DELAY="0")
        assert real.returncode == 0 and names(worker) == ["stays"] and not file_of(worker, "never/pushed", b"alone").exists(), real
        assert sorted(dry.stdout.splitlines()[:-1]) == sorted(real.stdout.splitlines()[:-1])
        assert {"gone -", f"never/pushed {digest(b'alone')} 5"} <= set(real.stdout.splitlines()), real
        assert "1 are empty and would leave the catalog" in dry.stdout and "1 are empty and left the catalog" in real.stdout
        again = gc(worker, ZOT_GC_DELAY="0")
        assert again.stdout.startswith("1 repositories, 3 blobs: 0 are removed"), again
        worker.push("gone", "v1")
        assert names(worker) == ["gone", "stays"] and gc(worker, ZOT_GC_DELAY="0").returncode == 0 and names(worker) == ["gone", "stays"]


def test_a_pull_under_way_is_not_cut_by_its_end():
    """An open file stays what it is: who has begun to read a layer reads it to its end, though image and layer are gone."""
    layer = bytes(range(256)) * 256 * 1024  # more than sockets hold
    with Worker(**SOON) as worker:
        body = worker.push("app", "v1", layer)
        worker.push("app", "kept")
        with worker.session.get(f"{worker.url}/v2/app/blobs/{digest(layer)}", stream=True, timeout=60) as pull:
            assert pull.status_code == 200
            parts = pull.iter_content(65536)
            read = [next(parts)]
            assert worker.call("DELETE", f"/v2/app/manifests/{digest(body)}").status_code == 202
            await_true(lambda: not file_of(worker, "app", layer).exists(), what="the end of the layer")
            read += parts
        assert digest(b"".join(read)) == digest(layer)
        assert not there(worker, "app", layer)
