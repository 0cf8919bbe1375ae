# SPDX-License-Identifier: Apache-2.0
"""storage.maxRepos: the first push to one repository too many is refused; those that are there go on, and room that comes back is used."""
import concurrent.futures
import json
import signal

import requests

from worker_process import MANIFEST, Worker, await_true, digest, image

SOON = {"ZOT_GC_DELAY": "200ms", "ZOT_GC_INTERVAL": "200ms"}


def names(worker):
    return worker.call("GET", "/v2/_catalog").json()["repositories"]


def put(worker, name, tag="v1", layer=b"layer"):
    for data in (b"{}", layer):
        worker.push_blob(name, data)
    return worker.call("PUT", f"/v2/{name}/manifests/{tag}", data=image(layer), headers={"Content-Type": MANIFEST})


def expect_refused(reply, limit):
    assert reply.status_code == 429, reply.text
    assert reply.json()["errors"] == [{"code": "TOOMANYREQUESTS", "message": "too many requests", "detail": {"limit": str(limit)}}]


def test_one_too_many_is_refused_and_room_that_comes_back_is_used():
    with Worker() as before:
        body = before.push("a", "v1")
        before.push("lib/b", "v1")
        before.stop()
        room_that_comes_back(before.folder, body)


def room_that_comes_back(folder, body):
    with Worker(folder=folder, ZOT_MAX_REPOS=2, **SOON) as worker:
        expect_refused(put(worker, "c"), 2)
        assert put(worker, "a", "v2", b"other").status_code == 201 and names(worker) == ["a", "lib/b"]
        assert worker.call("GET", "/v2/c/tags/list").status_code == 404
        for found in (digest(body), digest(image(b"other"))):
            assert worker.call("DELETE", f"/v2/a/manifests/{found}").status_code == 202
        await_true(lambda: names(worker) == ["lib/b"], what="the end of a")
        assert put(worker, "c").status_code == 201
        expect_refused(put(worker, "a"), 2)
        assert names(worker) == ["c", "lib/b"]


def test_it_changes_while_it_runs():
    worker = Worker(config={"storage": {"maxRepos": 1}})
    with worker:
        worker.push("a", "v1")
        assert (worker.counter("storage_repositories_limit"), worker.counter("repository_limit_refused_total")) == (1, 0)
        expect_refused(put(worker, "b"), 1)
        await_true(lambda: worker.counter("storage_repositories") == 1, what="the count beside the limit")
        config = worker.folder / "config.json"
        text = json.loads(config.read_text())
        text["storage"]["maxRepos"] = 2
        config.write_text(json.dumps(text))
        worker.process.send_signal(signal.SIGHUP)
        await_true(lambda: "key=storage.maxRepos" in worker.text() or '"storage.maxRepos"' in worker.text(), what="the reload")
        assert put(worker, "b").status_code == 201
        expect_refused(put(worker, "c"), 2)
        assert (worker.counter("storage_repositories_limit"), worker.counter("repository_limit_refused_total")) == (2, 2)


def test_several_on_one_folder_make_no_more():
    with Worker(ZOT_MAX_REPOS=6) as first, Worker(
            ZOT_MAX_REPOS=6, ZOT_STORAGE_ROOT=first.folder / "store", ZOT_SPOOL=first.folder / "spool2") as second:
        def one(n):
            return put([first, second][n % 2], f"r{n}").status_code

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(one, range(16)))
        assert sorted(answers) == [201] * 6 + [429] * 10, answers
        assert names(first) == names(second) == sorted(f"r{n}" for n in range(16) if answers[n] == 201)


def test_who_is_killed_on_the_way_makes_no_more():
    """One of two is killed again and again while both make repositories: what was acknowledged is listed, and no more than may be."""
    with Worker(ZOT_MAX_REPOS=12) as first, Worker(
            ZOT_MAX_REPOS=12, ZOT_STORAGE_ROOT=first.folder / "store", ZOT_SPOOL=first.folder / "spool2") as second:
        done = []

        def one(n):
            try:
                if put([first, second][n % 2], f"r{n}").status_code == 201:
                    done.append(f"r{n}")
            except (requests.RequestException, AssertionError):
                assert n % 2

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for kill in range(4):
                work = [pool.submit(one, n) for n in range(kill * 6, kill * 6 + 6)]
                concurrent.futures.wait(work, return_when=concurrent.futures.FIRST_COMPLETED)
                second.process.kill()
                second.process.wait()
                for each in work:
                    each.result()
                second.start()
        listed = names(first)
        assert set(done) <= set(listed) and len(listed) <= 12 and len(done) >= 6, (done, listed)
