# SPDX-License-Identifier: Apache-2.0
"""What a worker does without being asked: repositories of other tools come into the catalog, and nothing keeps it from ending."""
import json
import re
import subprocess
import time

from scripted_leader import ScriptedLeader
from worker_process import BUILD, MANIFEST, Worker, await_true, digest, image


def leave(worker, name, tag="v1"):
    """A repository as zot makes it."""
    folder = worker.folder / "store" / name
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    body = image(b"layer")
    for data in (body, b"{}", b"layer"):
        (blobs / digest(data).split(":")[1]).write_bytes(data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [{
        "mediaType": MANIFEST, "digest": digest(body), "size": len(body),
        "annotations": {"org.opencontainers.image.ref.name": tag}}]}))


def catalog(worker):
    return worker.call("GET", "/v2/_catalog").json()["repositories"]


def figure(worker, name, chore):
    text = worker.call("GET", "/metrics").text
    return int(re.search(rf'^zot_chore_{name}{{chore="{chore}"}} (\d+)$', text, re.M).group(1))


def test_repositories_that_zot_made_meanwhile():
    """A store that was opened here, went back to zot and comes again."""
    with Worker() as worker:
        worker.push("ours", "v1")
        await_true(lambda: figure(worker, "runs_total", "import") == 1)
        worker.stop()
        leave(worker, "late")
        leave(worker, "deep/down/late")
        worker.start()
        await_true(lambda: catalog(worker) == ["deep/down/late", "late", "ours"])
        assert worker.call("GET", "/v2/deep/down/late/manifests/v1").content == image(b"layer")


def test_repositories_that_are_made_while_it_runs():
    with Worker(ZOT_IMPORT_EVERY="100ms") as worker:
        await_true(lambda: figure(worker, "runs_total", "import") >= 2)
        leave(worker, "ours/late")
        await_true(lambda: catalog(worker) == ["ours/late"])


def test_it_looks_again_only_when_it_is_time():
    with Worker() as worker:
        await_true(lambda: figure(worker, "runs_total", "import") == 1)
        leave(worker, "late")
        time.sleep(1)
        assert catalog(worker) == [] and figure(worker, "runs_total", "import") == 1


def run_import(worker):
    return subprocess.run([BUILD / worker.program, "import"], env=worker.environment, capture_output=True, text=True, timeout=60)


def test_the_command():
    with Worker() as worker:
        await_true(lambda: figure(worker, "runs_total", "import") == 1)
        leave(worker, "late")
        done = run_import(worker)
        assert done.returncode == 0 and done.stdout == "late\n1 repositories are new in the catalog\n", done
        assert catalog(worker) == ["late"]
        done = run_import(worker)
        assert done.returncode == 0 and done.stdout == "0 repositories are new in the catalog\n", done


def test_the_command_says_what_is_wrong():
    with Worker() as worker:
        await_true((worker.folder / "store/_catalog/.imported").exists)
        worker.stop()
        (worker.folder / "store/_catalog/.imported").unlink()
        (worker.folder / "store/_catalog/.imported").mkdir()
        done = run_import(worker)
        assert done.returncode == 1 and "store.import" in done.stderr, done


def test_the_end_waits_for_no_chore():
    with Worker() as worker:
        worker.stop()
        for n in range(20000):
            (worker.folder / "store" / f"r{n // 100}" / f"s{n % 100}").mkdir(parents=True)
        worker.start()
        assert figure(worker, "running", "import") == 1
        begun = time.monotonic()
        worker.stop()
        assert time.monotonic() - begun < 2
        assert "store.imported" not in worker.text()
        worker.start()


def test_a_failure_is_told_once():
    with Worker(ZOT_IMPORT_EVERY="50ms") as worker:
        mark = worker.folder / "store/_catalog/.imported"
        await_true(mark.exists)
        worker.stop()
        mark.unlink()
        mark.mkdir()
        worker.start()
        await_true(lambda: figure(worker, "failures_total", "import") >= 5)
        assert worker.text().count("chore.failed") == 1
        mark.rmdir()
        await_true(lambda: "chore.works" in worker.text())
        leave(worker, "late")
        await_true(lambda: catalog(worker) == ["late"])


def test_all_are_seen():
    with Worker() as worker:
        for chore in ("fold", "trim", "import", "retention", "sweep", "weigh", "dedupe"):
            await_true(lambda: figure(worker, "last_end_seconds", chore) > 0)
        assert figure(worker, "runs_total", "expire") == 0
        await_true(lambda: figure(worker, "runs_total", "fold") >= 2)
        text = worker.call("GET", "/metrics").text
        assert "zot_scheduler_generators_total 10\n" in text
        assert 'zot_scheduler_generators_status{priority="low",state="done"} 1\n' in text
        assert 'zot_scheduler_tasksqueue_length{priority="low"} ' in text


def test_the_leader_hears_of_them():
    """What runs, and what failed."""
    heard = []
    with ScriptedLeader() as leader:
        def push(call):
            heard.append(json.loads(call.body)["stats"])
            leader.good_push(call)

        leader.push = push
        with leader.worker(ZOT_IMPORT_EVERY="50ms") as worker:
            mark = worker.folder / "store/_catalog/.imported"
            await_true(lambda: heard and heard[-1]["chore_failures"] == 0 and mark.exists())
            worker.stop()
            mark.unlink()
            mark.mkdir()
            worker.start()
            await_true(lambda: heard[-1]["chore_failures"] > 2 and heard[-1]["chore_failed_ms"] < 10000)
            mark.rmdir()
            for n in range(20000):
                (worker.folder / "store" / f"r{n // 100}" / f"s{n % 100}").mkdir(parents=True)
            await_true(lambda: heard[-1]["chores"] and heard[-1]["chore"] == "import" and heard[-1]["chore_ms"])
