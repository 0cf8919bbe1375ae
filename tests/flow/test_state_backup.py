# SPDX-License-Identifier: Apache-2.0
"""CLUSTER_BACKUP_...: leaders put the state away, workers without a leader start from it, a lost store comes back from it."""
import hashlib
import os
import re
import shutil
import subprocess

import pytest

from leader_process import SECRET, FakeWorker, Leader
from program import BUILD
from registry import free_port
from worker_process import Worker, await_true

KEY = "00112233445566778899aabbccddeeff" * 2
PASSWORD = "a long password"


def where(path, **more):
    return {"CLUSTER_BACKUP_ENABLED": "true", "CLUSTER_BACKUP_FILE": path, "CLUSTER_BACKUP_INSTANCE_CAN_READ": "true",
            "CLUSTER_BACKUP_INSTANCE_CAN_WRITE": "true", "CLUSTER_BACKUP_EVERY": "100ms", **more}


def leader_with(path, **more):
    return Leader(**where(path, **more))


def worker_with(path, **more):
    return Worker(**{**dict(CLUSTER_MODE="worker", CLUSTER_LEADER_URL=f"http://127.0.0.1:{free_port()}", CLUSTER_LEADER_CLIENT_ID="workers",
                            CLUSTER_LEADER_CLIENT_SECRET=SECRET, CLUSTER_WORKER_NAME="one", CLUSTER_RETRY_DELAY="10ms", CLUSTER_WORKER_POLL_EVERY="100ms"),
                     **where(path), **more})


def metric(program, name, **more):
    found = re.search(rf"^{name} (\S+)$", program.session.get(program.url + "/metrics", **more).text, re.M)
    return float(found[1]) if found else None


def of_backup(worker):
    return "of the leaders' backup" in worker.session.get(worker.url + "/readyz").text


def add(leader, name):
    reply = leader.admin("POST", "/api/user", {"id": name, "password": PASSWORD})
    assert reply.status_code == 201, reply.text


def put_away(leader):
    """The backup is of the newest state."""
    await_true(lambda: metric(leader, "zot_leader_backup_revision") == leader.revision(), what="backup")


def command(leader, *arguments, **environment):
    return subprocess.run([str(BUILD / "leader/zot-leader"), *map(str, arguments)], env={**leader.environment, **environment}, capture_output=True, text=True,
                          timeout=120)


def logs_in(worker, name):
    return worker.session.get(worker.url + "/v2/", auth=(name, PASSWORD)).status_code == 200


@pytest.fixture
def path(tmp_path):
    return tmp_path / "away" / "state.backup"


@pytest.fixture
def kept(path):
    """A backup with the user ann, whose leader is gone."""
    with leader_with(path) as leader:
        add(leader, "ann")
        put_away(leader)
    return path


# Leaders write.

def test_each_change_is_put_away_and_the_last_one_always(path):
    with leader_with(path) as leader:
        for i in range(20):
            add(leader, f"user{i}")
        put_away(leader)
        assert metric(leader, "zot_leader_backups_total") >= 1
        assert metric(leader, "zot_leader_backup_age_seconds") < 60
        assert metric(leader, "zot_leader_backup_failures_total") == 0
        assert path.stat().st_mode & 0o777 == 0o600 and path.read_bytes().startswith(b"ZOTBACKUP1")
        assert sorted(one.name for one in path.parent.iterdir()) == ["state.backup", "state.backup.lock"]


def test_what_was_changed_just_before_the_end_is_there(path):
    with leader_with(path, CLUSTER_BACKUP_EVERY="1h") as leader:
        await_true(lambda: path.exists(), what="the first")
        add(leader, "last")
        assert b"last" not in path.read_bytes()
        leader.stop()
        assert b"last" in path.read_bytes()


def test_with_a_key_nothing_in_it_can_be_read(path):
    with leader_with(path, CLUSTER_BACKUP_KEY=KEY) as leader:
        add(leader, "somebody.with.a.name")
        put_away(leader)
        assert b"somebody.with.a.name" not in path.read_bytes()
        assert KEY not in leader.text()


def test_a_leader_of_another_cluster_does_not_overwrite_it(kept):
    before = kept.read_bytes()
    with leader_with(kept, CLUSTER_BACKUP_INSTANCE_CAN_READ="false") as leader:
        await_true(lambda: metric(leader, "zot_leader_backup_failures_total") > 0, what="a refusal")
        assert "backup.refused" in leader.text() and "--from-backup" in leader.text()
    assert kept.read_bytes() == before


def test_a_leader_that_lost_writes_does_not_overwrite_what_has_them(path, tmp_path):
    with leader_with(path) as leader:
        add(leader, "ann")
        leader.kill()
        shutil.copytree(leader.folder / "data", tmp_path / "old")
        leader.start()
        for name in ("ben", "cleo"):
            add(leader, name)
        put_away(leader)
        leader.stop()
        before = path.read_bytes()
        shutil.rmtree(leader.folder / "data")
        shutil.copytree(tmp_path / "old", leader.folder / "data")
        leader.start()
        await_true(lambda: "backup.newer" in leader.text(), what="that a newer one is there")
        assert path.read_bytes() == before
        # And when it has written as much as it lost.
        for i in range(4):
            add(leader, f"other{i}")
        await_true(lambda: "backup.refused" in leader.text(), what="a refusal")
        leader.stop()
        assert path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told_and_tried_again(path):
    path.parent.parent.joinpath("away").write_text("a file")
    with leader_with(path) as leader:
        await_true(lambda: metric(leader, "zot_leader_backup_failures_total") > 1, what="failures")
        assert "backup.failed" in leader.text()
        path.parent.unlink()
        put_away(leader)


# Workers read.

def test_a_worker_that_finds_no_leader_serves_by_it_and_says_so(kept):
    with worker_with(kept) as worker:
        assert logs_in(worker, "ann") and not logs_in(worker, "nobody")
        assert of_backup(worker)
        assert metric(worker, "zot_state_of_backup", auth=("ann", PASSWORD)) == 1
        assert metric(worker, "zot_state_age_seconds", auth=("ann", PASSWORD)) < 600
        assert "state.of_backup" in worker.text()


def test_it_goes_on_asking_and_follows_the_leader_that_comes(path):
    with leader_with(path) as leader:
        add(leader, "ann")
        put_away(leader)
        leader.stop()
        with worker_with(path, CLUSTER_LEADER_URL=leader.url) as worker:
            assert logs_in(worker, "ann")
            leader.start()
            await_true(lambda: not of_backup(worker), what="the leader")
            assert metric(worker, "zot_state_of_backup", auth=("ann", PASSWORD)) == 0
            # What the leader says is the newest is on disk from then on.
            await_true(lambda: (worker.folder / "data/state.bin").exists(), what="state.bin")
            add(leader, "ben")
            await_true(lambda: logs_in(worker, "ben"), what="ben")


def test_the_history_of_a_backup_counts(kept):
    with worker_with(kept) as worker:
        assert logs_in(worker, "ann")
    with Leader() as stranger:
        add(stranger, "eve")
        with worker_with(kept, CLUSTER_LEADER_URL=stranger.url, ZOT_WORKER_DATA=worker.folder / "other") as one:
            # It answers at once, so the backup is not asked.
            assert logs_in(one, "eve") and not of_backup(one)
        stranger.stop()
        with worker_with(kept, CLUSTER_LEADER_URL=stranger.url) as one:
            assert logs_in(one, "ann")
            stranger.start()
            await_true(lambda: "history: " in one.session.get(one.url + "/readyz").text, what="a complaint")
            assert logs_in(one, "ann") and not logs_in(one, "eve")


def test_a_state_on_disk_is_not_replaced_by_one(path):
    with leader_with(path) as leader:
        add(leader, "ann")
        put_away(leader)
        old = path.read_bytes()
        with worker_with(path, CLUSTER_LEADER_URL=leader.url) as worker:
            add(leader, "ben")
            await_true(lambda: logs_in(worker, "ben"), what="ben")
            await_true(lambda: b"ben" in (worker.folder / "data/state.bin").read_bytes(), what="state.bin")
            worker.kill()
            leader.stop()
            path.write_bytes(old)
            worker.start()
            assert logs_in(worker, "ben") and not of_backup(worker)


def flipped(bytes_):
    return bytes_[:-100] + bytes([bytes_[-100] ^ 4]) + bytes_[-99:]


def aged(bytes_, seconds):
    """The same, written so long before."""
    at = bytes_.index(b"written_ms") + len("written_ms")
    assert bytes_[at] == 0xcf
    written = int.from_bytes(bytes_[at + 1:at + 9], "big") - seconds * 1000
    body = bytes_[:at + 1] + written.to_bytes(8, "big") + bytes_[at + 9:-32]
    return body + hashlib.sha256(body).digest()


WRONG = {
    "truncated": (lambda b: b[:-7], {}, "truncated"),
    "flipped": (flipped, {}, "damaged"),
    "newer": (lambda b: b.replace(b"ZOTBACKUP1", b"ZOTBACKUP2", 1), {}, "newer version"),
    "other": (lambda b: b"#!/bin/sh\n", {}, "not a backup"),
    "empty": (lambda b: b"", {}, "not a backup"),
    "too large": (lambda b: b + bytes(3 << 20), {"ZOT_STATE_LIMIT": "1MiB"}, "over 1048576 bytes"),
    "too old": (lambda b: aged(b, 8 * 86400), {}, "CLUSTER_BACKUP_MAX_AGE"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused_with_the_reason(kept, what):
    change, settings, words = WRONG[what]
    worker = worker_with(kept, **settings)
    worker.is_ready = lambda: True
    kept.write_bytes(change(kept.read_bytes()))
    with worker:
        await_true(lambda: "backup.read" in worker.text(), what="a refusal")
        said = next(line for line in worker.text().splitlines() if "backup.read" in line)
        assert words in said, said
        await_true(lambda: worker.session.get(worker.url + "/readyz").status_code == 503, what="/readyz")
        assert not of_backup(worker)


def test_a_sealed_one_opens_with_its_key_alone(path):
    with leader_with(path, CLUSTER_BACKUP_KEY="a passphrase of many words") as leader:
        add(leader, "ann")
        put_away(leader)
    with worker_with(path, CLUSTER_BACKUP_KEY="a passphrase of many words") as worker:
        assert logs_in(worker, "ann")
        assert "a passphrase of many words" not in worker.text()
    for key, words in ((None, "CLUSTER_BACKUP_KEY is not set"), ("another passphrase of words", "is not the one"), (KEY, "with a passphrase")):
        other = worker_with(path, **({"CLUSTER_BACKUP_KEY": key} if key else {}))
        other.is_ready = lambda: True
        with other:
            await_true(lambda: words in other.text(), what=words)  # noqa: B023


# A store that is lost.

def new_store(leader):
    shutil.rmtree(leader.folder / "data")


def test_a_leader_with_an_empty_store_does_not_start_beside_a_backup(kept):
    leader = leader_with(kept)
    done = subprocess.run([str(BUILD / "leader/zot-leader"), "serve"], env=leader.environment, capture_output=True, text=True, timeout=60)
    shutil.rmtree(leader.folder)
    assert done.returncode == 1
    assert "zot-leader restore --from-backup" in done.stdout + done.stderr and "ZOT_CLUSTER_REPLACES=" in done.stdout + done.stderr


def test_a_new_beginning_is_possible_on_purpose(kept):
    cluster = re.search(rb"cluster.?.?([0-9a-f]{32})", kept.read_bytes())[1].decode()
    with leader_with(kept, ZOT_CLUSTER_REPLACES=cluster) as leader:
        put_away(leader)
        assert b"ann" not in kept.read_bytes()


@pytest.mark.parametrize("key", [None, KEY])
def test_a_lost_store_comes_back_with_the_workers_credentials(path, key):
    with leader_with(path, **({"CLUSTER_BACKUP_KEY": key} if key else {})) as leader:
        add(leader, "ann")
        made = leader.admin("POST", "/api/worker", {"id": "one"})
        assert made.status_code == 201, made.text
        put_away(leader)
        told = leader.admin("GET", "/api/cluster/members").json()
        leader.kill()
        new_store(leader)
        said = command(leader, "restore", "--from-backup")
        assert said.returncode == 0, said.stderr
        assert told["cluster"] in said.stdout and "credentials are as they were" in said.stdout
        leader.start()
        again = leader.admin("GET", "/api/cluster/members").json()
        assert again["cluster"] == told["cluster"] and again["generation"] > told["generation"] and again["revision"] >= told["revision"]
        assert leader.admin("GET", "/api/worker/one").status_code == 200
        assert leader.admin("GET", "/api/user/ann").status_code == 200
        # Its own backups go on from there.
        add(leader, "ben")
        put_away(leader)


def test_a_copy_of_one_is_as_good(kept, tmp_path):
    shutil.copy(kept, tmp_path / "copy")
    with Leader() as leader:
        leader.kill()
        said = command(leader, "restore", "--from-backup", tmp_path / "copy")
        assert said.returncode == 0, said.stderr
        leader.start()
        assert leader.admin("GET", "/api/user/ann").status_code == 200


def test_restore_refuses_what_is_wrong(kept, tmp_path):
    with Leader() as leader:
        leader.stop()
        cases = [(flipped(kept.read_bytes()), "damaged"), (kept.read_bytes()[:-5], "truncated"), (b"ZOTBACKUP3", "newer version"), (b"x", "not a backup")]
        for content, words in cases:
            (tmp_path / "wrong").write_bytes(content)
            done = command(leader, "restore", "--from-backup", tmp_path / "wrong")
            assert done.returncode == 1 and words in done.stderr and "Nothing has changed" in done.stderr, done.stderr
        done = command(leader, "restore", "--from-backup")
        assert done.returncode == 1 and "CLUSTER_BACKUP_ENABLED" in done.stderr
        done = command(leader, "restore", "--from-backup", "--from-worker", "x")
        assert done.returncode == 2 and "one of them" in done.stderr
        done = command(leader, "restore", "--from-backup", kept, REDIS_URL="redis://127.0.0.1:1")
        assert done.returncode == 1 and "127.0.0.1:1 does not answer" in done.stderr and "Nothing has changed" in done.stderr
        leader.start()


# Settings.

@pytest.mark.parametrize("wrong, words", [
    ({"CLUSTER_BACKUP_KIND": "S3"}, "CLUSTER_BACKUP_S3_BUCKET"),
    ({"CLUSTER_BACKUP_KIND": "FILE"}, "CLUSTER_BACKUP_FILE"),
    ({"CLUSTER_BACKUP_FILE": "/x/y", "CLUSTER_BACKUP_KEY": "short"}, "CLUSTER_BACKUP_KEY"),
    ({"CLUSTER_BACKUP_S3_BUCKET": "b" * 8, "CLUSTER_BACKUP_S3_ACCESSKEY": "a", "CLUSTER_BACKUP_S3_SECRET": "s", "CLUSTER_BACKUP_S3_V4AUTH": "false"}, "version 4"),
    ({"CLUSTER_BACKUP_S3_BUCKET": "b" * 8, "CLUSTER_BACKUP_S3_ACCESSKEY": "a", "CLUSTER_BACKUP_S3_SECRET": "s", "CLUSTER_BACKUP_S3_ACL": "PublicRead"}, "strangers"),
    ({"CLUSTER_BACKUP_S3_BUCKET": "no/bucket", "CLUSTER_BACKUP_S3_ACCESSKEY": "a", "CLUSTER_BACKUP_S3_SECRET": "s"}, "not a name of a bucket"),
])
def test_settings_that_are_wrong_are_said(wrong, words, tmp_path):
    for program in ("leader/zot-leader", "worker/zot-worker"):
        environment = {"PATH": os.environ["PATH"], "CLUSTER_LEADER_CLIENT_ID": "workers", "CLUSTER_LEADER_CLIENT_SECRET": SECRET,
                       "ZOT_LEADER_DATA": str(tmp_path), "ZOT_WORKER_DATA": str(tmp_path), "ZOT_STORAGE_ROOT": str(tmp_path), "CLUSTER_BACKUP_ENABLED": "true", **wrong}
        done = subprocess.run([str(BUILD / program), "verify"], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode != 0 and words in done.stdout + done.stderr, (program, done.stdout + done.stderr)


def test_credentials_of_workers_are_in_no_workers_state(path):
    with leader_with(path) as leader:
        assert leader.admin("POST", "/api/worker", {"id": "one"}).status_code == 201
        put_away(leader)
        assert FakeWorker(leader, "two").state().status_code == 200
    with worker_with(path) as worker:
        assert of_backup(worker)
