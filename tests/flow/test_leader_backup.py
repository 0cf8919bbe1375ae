# SPDX-License-Identifier: Apache-2.0
"""zot-leader backup and restore: while it runs and while it does not, what they refuse, and what comes back."""
import shutil
import sqlite3
import subprocess
import threading

import pytest

from leader_process import SECRET, FakeWorker, Leader
from program import BUILD
from worker_process import Worker, await_true

OTHER = "0f" * 16


@pytest.fixture
def leader():
    with Leader() as one:
        yield one


def command(leader, *arguments, **environment):
    return subprocess.run([str(BUILD / "leader/zot-leader"), *map(str, arguments)], env={**leader.environment, **environment}, capture_output=True, text=True,
                          timeout=120)


def good(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(done, *words):
    assert done.returncode != 0 and "zot-leader: error: " in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    return done.stderr


def identity(leader):
    told = leader.admin("GET", "/api/cluster/members").json()
    return told["cluster"], told["generation"], told["revision"]


def users(leader):
    return {user["id"] for user in leader.admin("GET", "/api/user").json()["items"]}


def add(leader, name):
    assert leader.admin("POST", "/api/user", {"id": name, "password": "a long password"}).status_code == 201


def follows(worker, **more):
    """A worker that has a state there."""
    port = None
    return Worker(port=port, CLUSTER_MODE="worker", CLUSTER_LEADER_URL=worker.url, CLUSTER_LEADER_CLIENT_ID="workers", CLUSTER_LEADER_CLIENT_SECRET=SECRET,
                  CLUSTER_WORKER_NAME="one", CLUSTER_RETRY_DELAY="20ms", CLUSTER_WORKER_POLL_EVERY="200ms", **more)


def test_a_backup_of_a_running_leader_is_whole_and_says_what_it_is(leader, tmp_path):
    add(leader, "ann")
    cluster, generation, revision = identity(leader)
    said = good(command(leader, "backup", tmp_path / "copy"))
    assert cluster in said and f"revision {revision} " in said and f"generation {generation}" in said
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]
    with sqlite3.connect(tmp_path / "copy") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT id, generation FROM cluster").fetchone() == (cluster, generation)
    db.close()
    assert not list((leader.folder / "data").glob("leader.db.backup*"))
    # It is there already.
    before = (tmp_path / "copy").read_bytes()
    refused(command(leader, "backup", tmp_path / "copy"), "exists", "--force")
    assert (tmp_path / "copy").read_bytes() == before
    add(leader, "ben")
    assert f"revision {revision + 1} " in good(command(leader, "backup", tmp_path / "copy", "--force"))


def test_a_backup_while_it_is_written_is_of_one_moment(leader, tmp_path):
    """Of two entities that always change together each copy has both or none."""
    stop, made = threading.Event(), []

    def write():
        n = 0
        while not stop.is_set():
            n += 1
            add(leader, f"u{n}")
            made.append(n)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for i in range(3):
            at_least = len(made)
            good(command(leader, "backup", tmp_path / f"copy{i}"))
            with sqlite3.connect(tmp_path / f"copy{i}") as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                revision, newest = db.execute("SELECT (SELECT number FROM meta WHERE name = 'revision'), (SELECT max(revision) FROM entity)").fetchone()
                assert revision == newest == db.execute("SELECT max(revision) FROM pair").fetchone()[0]
                assert db.execute("SELECT count(*) FROM entity WHERE id LIKE 'u%'").fetchone()[0] >= at_least
    finally:
        stop.set()
        thread.join()


def test_a_backup_of_a_leader_that_does_not_run(leader, tmp_path):
    cluster, generation, revision = identity(leader)
    leader.stop()
    assert f"revision {revision} of cluster {cluster}, generation {generation}" in good(command(leader, "backup", tmp_path / "copy"))
    leader.start()


def test_only_admins_and_commands_here_are_given_the_store(leader):
    path = leader.url + "/api/cluster/backup"
    assert leader.session.get(path).content[:15] == b"SQLite format 3"
    worker = FakeWorker(leader, "one")
    assert worker.session.get(path).status_code == 403
    nobody = type(leader.session)()
    nobody.trust_env = False
    assert nobody.get(path).status_code == 401
    url, secret = (leader.folder / "data" / "leader.local").read_text().split()
    assert url == leader.url and (leader.folder / "data" / "leader.local").stat().st_mode & 0o777 == 0o600
    bearer = {"Authorization": f"Bearer {secret}"}
    assert nobody.get(path, headers=bearer).status_code == 200
    assert nobody.get(path, headers={"Authorization": f"Bearer {secret[:-1]}x"}).status_code == 401
    assert nobody.get(leader.url + "/api/user", headers=bearer).status_code == 401, "and nothing else"


def test_a_restored_backup_is_followed(leader, tmp_path):
    add(leader, "ann")
    key = leader.new_key()
    good(command(leader, "backup", tmp_path / "copy"))
    cluster, _, revision = identity(leader)
    with follows(leader) as worker:
        add(leader, "ben")
        leader.admin("PATCH", f"/api/apikey/{key['clientId']}", {"enabled": False})
        login = (key["clientId"], key["clientSecret"])
        await_true(lambda: worker.call("GET", "/v2/", auth=login).status_code == 401, seconds=60, what="the disabled key")
        leader.stop()
        said = good(command(leader, "restore", tmp_path / "copy"))
        assert cluster in said and f"revision {revision}" in said and "leader.db.before-" in said
        leader.start()
        now = identity(leader)
        assert now[0] == cluster and now[1] > 1 and users(leader) == {"admin", "ann"}
        await_true(lambda: worker.call("GET", "/v2/", auth=login).status_code == 200, seconds=60, what="the restored key at the worker")
        assert "history: " not in worker.call("GET", "/readyz").text
        # What was there is not gone.
        aside, = [path for path in (leader.folder / "data").glob("leader.db.before-*") if not path.name.endswith("-wal")]
        with sqlite3.connect(aside) as db:
            assert db.execute("SELECT count(*) FROM entity WHERE id = 'ben'").fetchone() == (1,)
        leader.stop()
        good(command(leader, "restore", aside))
        leader.start()
        assert users(leader) == {"admin", "ann", "ben"} and identity(leader)[1] > now[1]
        await_true(lambda: worker.call("GET", "/v2/", auth=login).status_code == 401, seconds=60, what="the key that was disabled")


def test_what_is_no_backup_changes_nothing(leader, tmp_path):
    add(leader, "ann")
    good(command(leader, "backup", tmp_path / "copy"))
    refused(command(leader, "restore", tmp_path / "copy"), "running zot-leader")
    leader.stop()
    whole = (tmp_path / "copy").read_bytes()
    (tmp_path / "junk").write_bytes(b"junk" * 10000)
    (tmp_path / "half").write_bytes(whole[:len(whole) // 2])
    (tmp_path / "empty").write_bytes(b"")
    damaged = bytearray(whole)
    damaged[8192:20000] = bytes(11808)
    (tmp_path / "damaged").write_bytes(damaged)
    shutil.copy(tmp_path / "copy", tmp_path / "newer")
    with sqlite3.connect(tmp_path / "newer") as db:
        db.execute("PRAGMA user_version = 77")
    db.close()
    with sqlite3.connect(tmp_path / "other") as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    before = (leader.folder / "data" / "leader.db").read_bytes()
    for name, word in [("junk", ""), ("half", ""), ("empty", "not a leader's store"), ("damaged", ""), ("newer", "77"), ("other", "not a leader's store"), ("absent", "")]:
        refused(command(leader, "restore", tmp_path / name), "Nothing has changed", word)
    refused(command(leader, "restore"), "name a file")
    refused(command(leader, "restore", tmp_path / "copy", "--from-worker", tmp_path / "copy"), "one of them")
    assert (leader.folder / "data" / "leader.db").read_bytes() == before
    assert not list((leader.folder / "data").glob("*restoring*"))
    leader.start()
    assert users(leader) == {"admin", "ann"}


def test_a_leader_that_runs_is_not_started_twice(leader):
    done = command(leader, "serve", PORT="0")
    assert done.returncode == 1 and "another process" in done.stderr + done.stdout


# From a worker.


@pytest.fixture
def lost(leader):
    """A worker that has the state, and a leader whose data is gone: it does not run."""
    add(leader, "ann")
    key = leader.new_key()
    with follows(leader) as worker:
        login = (key["clientId"], key["clientSecret"])
        await_true(lambda: worker.call("GET", "/v2/", auth=login).status_code == 200, seconds=60, what="the key at the worker")
        before = identity(leader)
        await_true(lambda: f'"revision":{before[2]}' in worker.text() and (worker.folder / "data" / "state.bin").exists(), seconds=60, what="the newest state there")
        leader.stop()
        shutil.rmtree(leader.folder / "data")
        worker.login, worker.was = login, before
        yield worker


def comes_back(leader, lost, said):
    assert lost.was[0] in said and "sign in as before" in said and "/api/worker" in said
    leader.start()
    cluster, generation, revision = identity(leader)
    assert cluster == lost.was[0] and generation > lost.was[1] and revision >= lost.was[2]
    assert users(leader) == {"admin", "ann"}, "with their passwords: it was asked as the admin of before"
    await_true(lambda: "one" in leader.members() and leader.members()["one"]["state"] == "active", seconds=60, what="the worker among the members")
    leader.admin("POST", "/api/user", {"id": "ben", "password": "a long password"})
    await_true(lambda: lost.call("GET", "/v2/", auth=("ben", "a long password")).status_code == 200, seconds=60, what="a new user at the worker")
    assert lost.call("GET", "/v2/", auth=lost.login).status_code == 200
    assert "history: " not in lost.call("GET", "/readyz").text


def test_a_worker_s_file_brings_the_state_back(leader, lost):
    comes_back(leader, lost, good(command(leader, "restore", "--from-worker", lost.folder / "data" / "state.bin", ZOT_ADMIN_PASSWORD="another, not used")))


def test_a_worker_that_runs_gives_the_state_to_who_has_the_secret(leader, lost):
    refused(command(leader, "restore", "--from-worker", lost.url, CLUSTER_LEADER_CLIENT_SECRET="another secret, not theirs"), "401")
    assert lost.call("GET", "/cluster/state").status_code == 401
    comes_back(leader, lost, good(command(leader, "restore", "--from-worker", lost.url + "/")))
    assert "state.told" in lost.text()


def test_with_a_secret_of_the_cluster_that_one_is_asked_for(leader):
    secret = "the secret of the cluster, itself"
    with follows(leader, ZOT_CLUSTER_SECRET=secret) as worker:
        revision = identity(leader)[2]
        await_true(lambda: "state.applied" in worker.text(), seconds=60, what="the state")
        leader.stop()
        refused(command(leader, "restore", "--from-worker", worker.url), "401")
        assert "Restored" in good(command(leader, "restore", "--from-worker", worker.url, ZOT_CLUSTER_SECRET=secret))
        leader.start()
        assert identity(leader)[2] >= revision


def test_a_damaged_file_of_a_worker_is_refused(leader, lost, tmp_path):
    whole = (lost.folder / "data" / "state.bin").read_bytes()
    (tmp_path / "half").write_bytes(whole[:100])  # not a delta of its end, which may be missing
    (tmp_path / "junk").write_bytes(b"junk")
    (tmp_path / "newer").write_bytes(whole[:8] + b"7" + whole[9:])
    for name, word in [("half", "damaged"), ("junk", "not a state file"), ("newer", "version 7")]:
        refused(command(leader, "restore", "--from-worker", tmp_path / name), word, "Nothing has changed")
    leader.start()
