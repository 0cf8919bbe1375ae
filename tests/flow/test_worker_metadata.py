# SPDX-License-Identifier: Apache-2.0
"""extensions.search: what a search needs follows pushes and deletions, survives kills and the loss of its file, and passes over what is broken."""
import hashlib
import json
import shutil

from worker_process import MANIFEST, Worker, await_true, digest

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
SEARCH = {"ZOT_SEARCH": "true"}


def told(worker):
    """The figures of the metadata, without their prefix."""
    lines = worker.session.get(worker.url + "/metrics").text.splitlines()
    return {line.split()[0].removeprefix("zot_metadata_"): float(line.split()[1]) for line in lines if line.startswith("zot_metadata_")}


def await_told(worker, **wanted):
    await_true(lambda: all(told(worker)[key] == value for key, value in {"behind": 0, "catching_up": 0, **wanted}.items()),
               what=lambda: f"{wanted}; there is {told(worker)}")


def push(worker, name, tag, config, claimed=None):
    """With this config; claimed: the size that the manifest says it has."""
    worker.push_blob(name, config)
    worker.push_blob(name, b"layer")
    body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                       "config": {"mediaType": CONFIG, "digest": digest(config), "size": claimed or len(config)},
                       "layers": [{"mediaType": LAYER, "digest": digest(b"layer"), "size": 5}]}).encode()
    reply = worker.call("PUT", f"/v2/{name}/manifests/{tag}", data=body, headers={"Content-Type": MANIFEST})
    assert reply.status_code == 201, reply.text
    return body


def chore(worker):
    rows = worker.session.get(worker.url + "/metrics").text
    return "zot_chore_runs_total{chore=\"metadata\"}" in rows


def test_it_costs_nothing_where_nobody_asked_for_it():
    with Worker() as worker:
        worker.push("app", "v1")
        assert not told(worker)
        assert not chore(worker)
        assert not (worker.folder / "data/metadata").exists()


def test_pushes_and_deletions_are_followed():
    with Worker(**SEARCH) as worker:
        await_told(worker, repositories=0, images=0)
        assert chore(worker)
        body = push(worker, "a/b", "v1", b'{"os": "linux"}')
        push(worker, "a/b", "v2", b'{"os": "windows"}')
        push(worker, "c", "v1", b"{}")
        await_told(worker, repositories=2, images=3, manifests_total=3, skipped_total=0)
        assert worker.call("DELETE", "/v2/a/b/manifests/v2").status_code == 202
        await_told(worker, images=2)
        assert worker.call("DELETE", f"/v2/a/b/manifests/{digest(body)}").status_code == 202
        await_told(worker, images=1, manifests_total=3, failures_total=0)
        assert (worker.folder / "data/metadata/search.db").stat().st_mode & 0o777 == 0o600


def test_a_kill_loses_nothing_and_nothing_is_read_twice():
    worker = Worker(**SEARCH)
    with worker:
        for n in range(20):
            push(worker, f"r{n}", "v1", b"{}")
        await_told(worker, repositories=20)
        worker.process.kill()
        worker.process.wait()
        worker.start()
        await_told(worker, repositories=20, images=20, manifests_total=0, rebuilt_total=0)
        # What was not derived yet when it was killed is, by the walk.
        push(worker, "late", "v1", b"{}")
        worker.process.kill()
        worker.process.wait()
        worker.start()
        await_told(worker, repositories=21)


def test_the_folder_may_go_at_any_time():
    with Worker(**SEARCH) as worker:
        for n in range(5):
            push(worker, f"r{n}", "v1", b"{}")
        await_told(worker, repositories=5)
        shutil.rmtree(worker.folder / "data/metadata")
        await_told(worker, repositories=5, images=5, rebuilt_total=1, manifests_total=10)
        push(worker, "r0", "v2", b"{}")
        await_told(worker, images=6)
        assert (worker.folder / "data/metadata/search.db").exists()
        assert worker.text().count("metadata.anew") == 1


def test_what_is_broken_is_passed_over():
    with Worker(**SEARCH) as worker:
        push(worker, "app", "good", b'{"os": "linux"}')
        push(worker, "app", "broken", b'{"os": ')
        push(worker, "app", "wrong", b'{"os": 7, "history": {}}')
        push(worker, "app", "large", b'{"os": "' + b"x" * (10 << 20) + b'"}')
        # Whatever size the manifest says.
        push(worker, "app", "liar", b'{"os": "' + b"y" * (5 << 20) + b'"}', claimed=100)
        await_told(worker, images=5, skipped_total=4, failures_total=0)
        # A manifest whose bytes rot: the others are derived, and so is it, without its facts.
        body = push(worker, "other", "v1", b'{"os": "linux"}')
        await_told(worker, images=6)
        worker.process.kill()
        worker.process.wait()
        path = worker.folder / "store/other/blobs/sha256" / hashlib.sha256(body).hexdigest()
        path.write_bytes(b"{}")
        shutil.rmtree(worker.folder / "data/metadata")
        worker.start()
        await_told(worker, images=6, skipped_total=5, failures_total=0)


def test_what_another_tool_brings_is_found():
    worker = Worker(**SEARCH)
    with worker:
        push(worker, "here", "v1", b"{}")
        await_told(worker, repositories=1)
        worker.stop()
        shutil.copytree(worker.folder / "store/here", worker.folder / "store/brought")
        worker.start()
        await_told(worker, repositories=2, images=2)
