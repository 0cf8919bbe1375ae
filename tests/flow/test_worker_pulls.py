# SPDX-License-Identifier: Apache-2.0
"""When and by whom something was pushed, and how often it was pulled, lies with the repository: zot-worker statistics."""
import contextlib
import json
import subprocess
import threading
import time

import pytest

from registry import CLUSTER_SECRET, MANIFEST, await_true, digest, free_port, image
from worker_process import BUILD, Worker


def statistics(worker, name):
    done = subprocess.run([BUILD / worker.program, "statistics", "--repository", name], env=worker.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row.get("tag", row["digest"]): row for row in rows}


def pulls(worker, name, *keys):
    told = statistics(worker, name)
    return [told[key]["pulls"] for key in keys]


def get(worker, name, reference, status=200, method="GET", **more):
    reply = worker.call(method, f"/v2/{name}/manifests/{reference}", **more)
    assert reply.status_code == status, reply.text


def written(worker):
    return worker.counter("pulls_written_total")


def test_an_orderly_stop_loses_nothing():
    """What is asked for is counted, whoever asks; not what only looks."""
    with Worker() as worker:
        body = worker.push("a/b", "v1")
        worker.push("a/b", "v2", layer=b"another")
        worker.push("never/pulled", "v1")
        get(worker, "a/b", "v1")
        get(worker, "a/b", digest(body))
        get(worker, "a/b", "v1", headers={"Accept": MANIFEST})
        get(worker, "a/b", "v1", method="HEAD")
        get(worker, "a/b", "v1", status=304, headers={"If-None-Match": f'"{digest(body)}"'})
        get(worker, "a/b", "none", status=404)
        assert worker.counter("pulls_waiting_rows") > 0 and written(worker) == 0
        assert pulls(worker, "a/b", "v1", digest(body)) == [0, 0]
        worker.stop()
        assert pulls(worker, "a/b", "v1", digest(body), "v2") == [2, 3, 0]
        assert "pulled" not in statistics(worker, "a/b")["v2"] and pulls(worker, "never/pulled", "v1") == [0]
        # index.json alone has it, as after every orderly stop.
        assert not (worker.folder / "store/a/b/index.log").exists()
        assert json.loads((worker.folder / "store/a/b/index.json").read_text())["io.zot.pulls"]["v1"][0] == 2
        worker.start()
        get(worker, "a/b", "v1")
        worker.stop()
        assert pulls(worker, "a/b", "v1", digest(body), "v2") == [3, 4, 0]


def test_a_kill_loses_what_was_not_written():
    """Once in pullsEvery at most: here a second, so that the test need not take minutes."""
    with Worker(ZOT_PULLS_EVERY="1s") as worker:
        body = worker.push("a/b", "v1")
        for n in range(3):
            get(worker, "a/b", "v1")
        await_true(lambda: written(worker) == 3, what="the pulls are written")
        worker.kill()
        assert pulls(worker, "a/b", "v1", digest(body)) == [3, 3]
        worker.start()
        assert worker.call("GET", "/v2/a/b/tags/list").json()["tags"] == ["v1"]
        get(worker, "a/b", digest(body))
        worker.stop()
        assert pulls(worker, "a/b", "v1", digest(body)) == [3, 4]


def test_they_are_written_seldom():
    with Worker(ZOT_PULLS_EVERY="1h") as worker:
        worker.push("a/b", "v1")
        # The push ends in a fold; what is written behind it would be pulls.
        await_true(lambda: not (worker.folder / "store/a/b/index.log").exists() or
                   (worker.folder / "store/a/b/index.log").stat().st_size < 100, what="the fold")
        before, runs = worker.counter("index_writes_total"), runs_of(worker)
        for n in range(100):
            get(worker, "a/b", "v1")
        await_true(lambda: runs_of(worker) >= runs + 2, what="two looks at what is due")
        assert worker.counter("index_writes_total") == before and written(worker) == 0
        worker.stop()
        assert pulls(worker, "a/b", "v1") == [100]


def runs_of(worker):
    text = worker.call("GET", "/metrics").text
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith('zot_chore_runs_total{chore="pulls"}'))


def test_they_may_be_left_out():
    with Worker(ZOT_PULLS_EVERY="0") as worker:
        worker.push("a/b", "v1")
        get(worker, "a/b", "v1")
        assert "zot_pulls" not in worker.call("GET", "/metrics").text
        worker.stop()
        assert pulls(worker, "a/b", "v1") == [0]


def test_who_pushed_and_when(tmp_path):
    subprocess.run(["htpasswd", "-cBb", "-C", "5", tmp_path / "htpasswd", "ann", "secret"], check=True, capture_output=True)
    before = time.time()
    with Worker(ZOT_HTPASSWD=tmp_path / "htpasswd") as worker:
        worker.session.auth = ("ann", "secret")
        body = worker.push("a/b", "v1")
        again = worker.call("PUT", "/v2/a/b/manifests/v2", data=body, headers={"Content-Type": MANIFEST})
        assert again.status_code == 201
        first = statistics(worker, "a/b")
        # The same once more changes nothing.
        assert worker.push("a/b", "v1") == body
        assert statistics(worker, "a/b") == first
        moved = worker.push("a/b", "v1", layer=b"another")
        told = statistics(worker, "a/b")
        assert {row["by"] for row in told.values()} == {"ann"}
        assert told["v2"] == first["v2"] and told[digest(body)] == first[digest(body)]
        assert first["v1"]["pushed"] == first[digest(body)]["pushed"] < first["v2"]["pushed"] <= told["v1"]["pushed"] == told[digest(moved)]["pushed"]
        assert stamp(before) <= first["v1"]["pushed"] and told["v1"]["pushed"] <= stamp(time.time() + 1)
        worker.stop()
        worker.start()
        assert statistics(worker, "a/b") == told


def stamp(at):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + ".000Z"


def test_one_that_is_not_there():
    with Worker() as worker:
        for name, status in (("none", 1), ("NO name", 2), (None, 2)):
            more = ["--repository", name] if name else []
            done = subprocess.run([BUILD / worker.program, "statistics", *more], env=worker.environment, capture_output=True, text=True, timeout=60)
            assert done.returncode == status and not done.stdout and "statistics" in done.stderr, done


@contextlib.contextmanager
def members(folder, ports, **more):
    with contextlib.ExitStack() as ends:
        yield [ends.enter_context(Worker(
            folder / str(at), port=port, ZOT_CLUSTER_HASH_KEY="loremipsumdolors", ZOT_CLUSTER_SECRET=CLUSTER_SECRET,
            ZOT_CLUSTER_MEMBERS=",".join(f"127.0.0.1:{p}" for p in ports), **{k: v(at) for k, v in more.items()})) for at, port in enumerate(ports)]


def ask(worker, path, **more):
    """What is 503 is asked again."""
    return await_true(lambda: (lambda reply: reply if reply.status_code != 503 else None)(worker.call("GET", path, **more)), 30, path)


@pytest.fixture
def two(tmp_path):
    for at in range(3):
        (tmp_path / str(at)).mkdir()
    return tmp_path, [free_port(), free_port()]


def test_two_workers_on_one_store(two):
    """Whoever is asked, and whoever counts: the sums are right, also of one whose owner is away for a while."""
    folder, ports = two
    names, calls = [f"shared/r{n}" for n in range(6)], 8
    with members(folder, ports, ZOT_STORAGE_ROOT=lambda at: folder / "store", ZOT_CLUSTER_ISOLATED=lambda at: "false",
                 ZOT_PULLS_EVERY=lambda at: "1s") as workers:
        for n, name in enumerate(names):
            workers[n % 2].push(name, "v1")
        def pull(worker):
            for n in range(calls):
                for name in names:
                    get(worker, name, "v1")
        threads = [threading.Thread(target=pull, args=(worker,)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        workers[1].stop()
        # All of them are served by the one that is left, which counts those that are not its own too.
        pull(workers[0])
        workers[0].stop()
        for name in names:
            assert pulls(workers[0], name, "v1") == [3 * calls], name


def test_a_repository_that_moves_takes_them_along(two):
    """What its owner of before has counted and not written is given with the index."""
    folder, ports = two
    names = [f"grown/r{n}" for n in range(12)]
    more = {"ZOT_CLUSTER_ISOLATED": lambda at: "true", "ZOT_MOVE_GRACE": lambda at: "0", "ZOT_PULLS_EVERY": lambda at: "1h",
            "ZOT_STORAGE_ROOT": lambda at: folder / f"disk{at}"}
    with members(folder, ports, **more) as workers:
        for name in names:
            workers[0].push(name, "v1")
            for worker in workers:
                get(worker, name, "v1")
    ports.append(free_port())
    with members(folder, ports, **more) as workers:
        for n, name in enumerate(names):
            assert ask(workers[n % 3], f"/v2/{name}/manifests/v1").status_code == 200
        for worker in workers:
            worker.stop()
        moved = 0
        for name in names:
            told = [pulls(worker, name, "v1")[0] for worker in workers if (worker.folder.parent / f"disk{worker.folder.name}" / name / "index.json").exists()]
            assert max(told) == 3, (name, told)
            moved += (folder / "disk2" / name).exists()
        assert moved
