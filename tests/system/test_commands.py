# SPDX-License-Identifier: Apache-2.0
"""Each subcommand of zot-leader that takes the store, once over SQLite and once over Redis: the same words, the same outcome."""
import os
import pathlib
import re
import subprocess

import pytest

from cluster import BUILD, Cluster
from redis_server import RedisServer
from registry import await_true

USER = {"password": "a password 12"}


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def cluster(request):
    """A leader, a worker that has its state, and a backup of the state; the leader may be stopped by a test, which starts it again."""
    with Cluster(workers=1, haproxy=False, leaders=1 if request.param == "redis" else None) as c:
        c.place = c.folder / "put-away.state"
        c.leader.environment |= {"CLUSTER_BACKUP_ENABLED": "true", "CLUSTER_BACKUP_KIND": "file", "CLUSTER_BACKUP_FILE": str(c.place),
                                 "CLUSTER_BACKUP_INSTANCE_CAN_WRITE": "true", "CLUSTER_BACKUP_EVERY": "100ms"}
        c.leader.stop()
        c.leader.start()
        assert make(c, "ann").status_code == 201
        await_true(lambda: figure(c, "zot_leader_backup_revision") == figure(c, "zot_leader_revision"), 30, "a backup of the state")
        await_true(lambda: c.members()[0]["revision"] == figure(c, "zot_leader_revision"), 30, "the state at the worker")
        c.workers[0].stop()  # what it has is on its disk then
        yield c


def figure(cluster, name):
    return next(float(line.split()[-1]) for line in cluster.leader.call("GET", "/metrics").text.splitlines() if line.startswith(name + " "))


def make(cluster, name):
    return cluster.leader.call("POST", "/api/users", json={"id": name, **USER})


def names(cluster):
    return {item["id"] for item in cluster.leader.call("GET", "/api/users").json()["items"]}


def run(cluster, *words, **more):
    """With the leader's own environment."""
    environment = {**cluster.leader.environment, "PORT": "0", **more}
    ended = subprocess.run([str(BUILD / "leader/zot-leader"), *map(str, words)], env=environment, capture_output=True, text=True, timeout=120)
    return ended.returncode, ended.stdout + ended.stderr


def with_leader(cluster, running):
    is_running = cluster.leader.process.poll() is None
    if running and not is_running:
        cluster.leader.start()
    if is_running and not running:
        cluster.leader.stop()


def has(*wanted, lacks=()):
    """When it is started again."""
    def look(cluster, said):
        with_leader(cluster, True)
        there = names(cluster)
        assert set(wanted) <= there and not there & set(lacks), there
    return look


def is_file(name):
    def look(cluster, said):
        assert (cluster.folder / name).stat().st_size > 1000
    return look


def logs_in(cluster, said):
    """With the password that was printed, and with no other."""
    with_leader(cluster, True)
    password = re.search(r'user "admin", password "([^"]+)"', said)[1]
    before, cluster.leader.session.auth = cluster.leader.session.auth, ("admin", password)
    await_true(lambda: cluster.leader.call("GET", "/api/users").status_code == 200, 30, "a login with the password that was printed")
    assert cluster.leader.call("GET", "/api/users", auth=before).status_code == 401
    cluster.user, cluster.password = "admin", password


def copies(cluster, said):
    """To the other kind of store and back, where the same is found."""
    kept = cluster.folder / "kept"
    if cluster.redis:
        cluster.redis.call("FLUSHALL")
        status, back = run(cluster, "copy", "--from", f"sqlite:{kept}", "--to", cluster.redis.url)
        assert status == 0 and "Copied and compared" in back, back
    has("ann", "admin")(cluster, said)


# What is done before (the leader runs or not), the words, the status, what is said, what is so then.
ROWS = [
    ("verify", True, ["verify"], 0, "The settings are good", None),
    ("backup of a leader that runs", True, ["backup", "{folder}/one.db"], 0, "revision", is_file("one.db")),
    ("backup is not replaced", True, ["backup", "{folder}/one.db"], 1, "--force replaces it", None),
    ("backup is replaced", True, ["backup", "--force", "{folder}/one.db"], 0, "revision", is_file("one.db")),
    ("backup of a leader that is stopped", False, ["backup", "{folder}/two.db"], 0, "revision", is_file("two.db")),
    ("backup of nothing", False, ["backup", "{folder}/none.db", "ELSEWHERE"], 1, "", None),
    ("restore of a backup", False, ["restore", "{folder}/one.db"], 0, "Restored", has("ann", lacks=["bob"])),
    ("restore of the state that was put away", False, ["restore", "--from-backup"], 0, "Restored", has("ann")),
    ("restore of a worker's state", False, ["restore", "--from-worker", "{folder}/worker-0/state.bin"], 0, "Restored", has("ann")),
    ("restore of nothing", False, ["restore", "{folder}/no-such-file"], 1, "Nothing has changed", None),
    ("restore of two", False, ["restore", "--from-backup", "--from-worker", "x"], 2, "one of them", None),
    ("copy", False, ["copy"], 0, "Copied and compared", copies),
    ("copy of one end", False, ["copy", "--from", "sqlite:x"], 2, "name both", None),
    ("ctl", True, ["ctl", "members"], 0, "COMPLAINTS", None),
    ("reset-admin", False, ["reset-admin"], 0, 'user "admin"', logs_in),
    ("reset-admin of nothing", False, ["reset-admin", "ELSEWHERE"], 1, "", None),
]


@pytest.mark.parametrize("title, running, words, status, says, then", ROWS, ids=[row[0].replace(" ", "-") for row in ROWS])
def test_a_command(cluster, title, running, words, status, says, then):
    if title == "restore of a backup":
        with_leader(cluster, True)
        make(cluster, "bob")
    with_leader(cluster, running)
    words, more = [word.format(folder=cluster.folder) for word in words], {}
    if words[-1] == "ELSEWHERE":
        words, more = words[:-1], {"ZOT_REDIS_PREFIX": "nobody", "ZOT_LEADER_DATA": str(cluster.folder / "nobody")}
    if words == ["copy"]:
        here = cluster.redis.url if cluster.redis else f"sqlite:{cluster.leader.environment['ZOT_LEADER_DATA']}"
        kept = f"sqlite:{cluster.folder}/kept"
        if not cluster.redis:
            with RedisServer(cluster.folder / "other") as other:
                assert run(cluster, "copy", "--from", here, "--to", other.url)[0] == 0
                words += ["--replace", "--from", other.url, "--to", here]
                got = run(cluster, *words)
        else:
            got = run(cluster, *words, "--from", here, "--to", kept)
    elif words[0] == "ctl":
        got = run(cluster, *words, ZOT_LEADER_URL=cluster.leader.url, ZOT_LEADER_USER=cluster.user, ZOT_LEADER_PASSWORD=cluster.password)
    else:
        got = run(cluster, *words, **more)
    assert got[0] == status and says in got[1], got
    if then:
        then(cluster, got[1])
    if more:
        assert not cluster.redis or not cluster.redis.call("KEYS", "{nobody}*")
        assert not (cluster.folder / "nobody/leader.db").exists()


def test_reset_admin_while_leaders_run(cluster):
    """One that has the folder refuses it; those on a Redis follow it."""
    with_leader(cluster, True)
    status, said = run(cluster, "reset-admin")
    if cluster.redis:
        assert status == 0, said
        logs_in(cluster, said)
    else:
        assert status == 1 and "stop the leader first" in said, said
        assert cluster.leader.call("GET", "/api/users").status_code == 200


def test_the_dump_is_written(cluster):
    """CLUSTER_LEADER_DUMP_PATH: what it has, without secrets."""
    path = pathlib.Path(cluster.folder / "dump.jsonl")
    with_leader(cluster, False)
    cluster.leader.environment["CLUSTER_LEADER_DUMP_PATH"] = os.fspath(path)
    with_leader(cluster, True)
    await_true(lambda: path.exists() and '"ann"' in path.read_text(), 30, "the state in a file")
    assert "$2" not in path.read_text()
