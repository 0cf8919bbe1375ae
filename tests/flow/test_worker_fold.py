# SPDX-License-Identifier: Apache-2.0
"""zot-worker fold: what only the logs have goes into index.json."""
import json
import os
import pty
import subprocess
import threading

from worker_process import BUILD, Worker


def fold(worker):
    return subprocess.run([BUILD / worker.program, "fold"], env=worker.environment, capture_output=True, text=True, timeout=60)


def tags(worker, name):
    """What a tool that knows no logs sees."""
    index = json.loads((worker.folder / "store" / name / "index.json").read_text())
    return {m.get("annotations", {}).get("org.opencontainers.image.ref.name") for m in index["manifests"]}


def test_after_a_crash():
    with Worker() as worker:
        for n in range(5):
            worker.push("a/b", f"v{n}")
            worker.push("c", f"v{n}")
        worker.kill()
        assert tags(worker, "a/b") != {f"v{n}" for n in range(5)}
        done = fold(worker)
        assert done.returncode == 0 and done.stdout == "2 repositories are folded, 0 could not be\n", done
        assert tags(worker, "a/b") == tags(worker, "c") == {f"v{n}" for n in range(5)}
        assert not (worker.folder / "store/a/b/index.log").exists()


def test_one_that_cannot_be_read_is_named_and_the_rest_is_folded():
    with Worker() as worker:
        for name in ("a", "b", "c"):
            worker.push(name, "v1")
            worker.push(name, "v2")
        worker.kill()
        (worker.folder / "store/b/index.json").write_text("{")
        done = fold(worker)
        assert done.returncode == 1 and done.stdout == "2 repositories are folded, 1 could not be\n", done
        assert '"repository":"b"' in done.stderr and "index.json" in done.stderr
        assert tags(worker, "a") == tags(worker, "c") == {"v1", "v2"}


def test_beside_a_worker_that_is_pushed_to():
    with Worker() as worker:
        stop, pushed = threading.Event(), []

        def push():
            while not stop.is_set():
                worker.push("busy", f"v{len(pushed)}")
                pushed.append(f"v{len(pushed)}")

        pusher = threading.Thread(target=push)
        pusher.start()
        try:
            for _ in range(20):
                assert fold(worker).returncode == 0
        finally:
            stop.set()
            pusher.join()
        assert set(worker.call("GET", "/v2/busy/tags/list").json()["tags"]) == set(pushed)
        worker.stop()
        assert tags(worker, "busy") == set(pushed)


def on_a_terminal(worker, command):
    """What standard error, a terminal, was told; and standard output."""
    ours, theirs = pty.openpty()
    done = subprocess.run([BUILD / worker.program, command], env=worker.environment, stdout=subprocess.PIPE, stderr=theirs, timeout=60)
    os.close(theirs)
    said = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0, (done, said)
    return said, done.stdout.decode()


def test_a_terminal_sees_how_far_it_is_and_a_file_does_not():
    with Worker() as worker:
        for n in range(5):
            worker.push(f"app{n}", "v1")
        worker.stop()
        said, out = on_a_terminal(worker, "fold")
        assert "\r\033[K1 of 5 repositories, " in said and said.endswith("\r\033[K") and out == "5 repositories are folded, 0 could not be\n"
        said, out = on_a_terminal(worker, "import")
        assert "\r\033[K1 folders, " in said and out == "0 repositories are new in the catalog\n"
        said, out = on_a_terminal(worker, "gc")
        assert "\r\033[K1 of 5 repositories, " in said and out.startswith("5 repositories, ")
        for command in ("fold", "import", "gc"):
            done = subprocess.run([BUILD / worker.program, command], env=worker.environment, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0 and not done.stderr and "\r" not in done.stdout, done
