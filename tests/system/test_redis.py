# SPDX-License-Identifier: Apache-2.0
"""Leaders on a real Redis that goes away, is full, is emptied; and a store that moves between Redis and SQLite."""
import contextlib
import os
import pathlib
import re
import subprocess
import time

import pytest
from cluster import BUILD, LEADER_SECRET, Cluster
from redis_server import RedisServer
from registry import await_true, free_port

USER = {"password": "a password 12"}
ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def cluster():
    with Cluster(workers=1, haproxy=False, leaders=2) as c:
        yield c


def make(cluster, leader, name):
    return cluster.leaders[leader].call("POST", "/api/users", json={"id": name, **USER})


def names(leader):
    return {item["id"] for item in leader.call("GET", "/api/users").json()["items"]}


def command(cluster, *words, data="other", **more):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ZOT_", "CLUSTER_"))}
    environment |= {"REDIS_URL": cluster.redis.url, "ZOT_LEADER_DATA": str(cluster.folder / data), "CLUSTER_LEADER_CLIENT_ID": "workers",
                    "CLUSTER_LEADER_CLIENT_SECRET": LEADER_SECRET, "PORT": "0", **more}
    ended = subprocess.run([str(BUILD / "leader/zot-leader"), *map(str, words)], env=environment, capture_output=True, text=True, timeout=120)
    return ended.returncode, ended.stdout + ended.stderr


def test_what_was_acknowledged_outlives_a_killed_redis(cluster):
    assert make(cluster, 0, "ann").status_code == 201
    cluster.redis.kill()
    reply = make(cluster, 0, "bob")
    assert reply.status_code == 503, reply.text
    cluster.redis.start()
    await_true(lambda: make(cluster, 1, "eve").status_code == 201, 30, "a leader that writes again")
    await_true(lambda: {"ann", "eve"} <= names(cluster.leaders[0]), 30, "the same at the other leader")


def test_a_leader_that_has_not_followed_yet_writes_on_what_the_other_wrote(cluster):
    """Redis is back: leaders may store before they are in contact with each other, and do not read ahead then."""
    assert make(cluster, 0, "ann").status_code == 201
    for n in range(3):
        cluster.redis.kill()
        await_true(lambda: all(leader.call("GET", "/readyz").json().get("storeAwayMs", 0) > 1000 for leader in cluster.leaders), 30, "no contact")
        cluster.redis.start()
        replies, end = [], time.monotonic() + 2
        while time.monotonic() < end:
            replies += [leader.call("PATCH", "/api/user/ann", json={"metadata": {leader.name: str(n)}}) for leader in cluster.leaders]
        assert replies[-1].status_code == 200, replies[-1].text
        # Nobody else changes it.
        assert not [reply.text for reply in replies if '"busy"' in reply.text]


def test_a_full_redis_is_said_and_nothing_is_half_stored(cluster):
    cluster.redis.call("CONFIG", "SET", "maxmemory", "1")
    reply = make(cluster, 0, "ann")
    assert reply.status_code == 507, reply.text
    cluster.redis.call("CONFIG", "SET", "maxmemory", "0")
    await_true(lambda: make(cluster, 1, "ann").status_code == 201, 30, "a write after there is room")
    assert "maxmemory" in cluster.leaders[0].log.read_text()


def test_an_emptied_redis_is_refused_and_a_backup_restores_it(cluster):
    assert make(cluster, 0, "ann").status_code == 201
    status, text = command(cluster, "backup", cluster.folder / "backup")
    assert status == 0, text
    cluster.redis.call("FLUSHALL")
    await_true(lambda: make(cluster, 0, "bob").status_code == 503, 30, "a refusal")
    await_true(lambda: "store.rewound" in cluster.leaders[0].log.read_text(), 30, "a line in the log")
    for leader in cluster.leaders:
        leader.end()
    status, text = command(cluster, "restore", cluster.folder / "backup")
    assert status == 0 and "generation" in text, text
    for leader in cluster.leaders:
        leader.start()
    assert "ann" in names(cluster.leaders[1])
    cluster.wait_active(1)


def test_a_leader_puts_what_it_has_into_an_emptied_redis(cluster):
    key = cluster.new_key(dailyQuota=10)
    auth = (key["clientId"], key["clientSecret"])
    await_true(lambda: cluster.workers[0].call("GET", "/v2/", auth=auth).status_code == 200, what="a call out of a grant")
    first, second = cluster.leaders
    told = first.call("GET", "/api/cluster/members").json()
    path = f"/api/cluster/rescue?cluster={told['cluster']}"
    assert first.call("POST", path, json={}).status_code == 409  # nothing is lost
    cluster.redis.call("FLUSHALL")
    await_true(lambda: make(cluster, 0, "bob").status_code == 503, 30, "a refusal")
    assert first.call("POST", "/api/cluster/rescue?cluster=another", json={}).status_code == 400
    reply = first.call("POST", path, json={})
    assert reply.status_code == 200 and reply.json()["generation"] > told["generation"], reply.text
    await_true(lambda: first.is_ready() and make(cluster, 0, "bob").status_code == 201, 30, "the leader that starts anew")
    # The other one has another history.
    assert make(cluster, 1, "eve").status_code == 503
    second.end()
    second.start()
    assert "bob" in names(second) and make(cluster, 1, "eve").status_code == 201
    cluster.wait_active(1)
    # What was granted is still taken; what was used before is what the worker says.
    statuses = []
    await_true(lambda: statuses.append(cluster.workers[0].call("GET", "/v2/", auth=auth).status_code) or statuses[-1] == 200, 60, "a call")
    for _ in range(30):
        statuses.append(cluster.workers[0].call("GET", "/v2/", auth=auth).status_code)
    assert statuses.count(200) <= 9


def test_a_store_moves_to_sqlite_and_back(cluster):
    assert make(cluster, 0, "ann").status_code == 201
    here, there = cluster.redis.url, f"sqlite:{cluster.folder}/moved"
    status, text = command(cluster, "copy", "--from", here, "--to", there)
    assert status == 1 and "stop all of them" in text, text
    for leader in cluster.leaders:
        leader.end()
    status, text = command(cluster, "copy", "--from", here, "--to", there)
    assert status == 0 and "Copied and compared" in text, text
    status, text = command(cluster, "copy", "--from", there, "--to", here)
    assert status == 1 and "--replace" in text, text
    cluster.redis.call("FLUSHALL")
    # A platform that sets REDIS_URL by itself begins nothing anew beside a store.
    status, text = command(cluster, "serve", data="moved")
    assert status == 1 and "zot-leader copy" in text, text
    status, text = command(cluster, "copy", "--from", there, "--to", here)
    assert status == 0, text
    for leader in cluster.leaders:
        leader.start()
    assert "ann" in names(cluster.leaders[0])
    cluster.wait_active(1)


@contextlib.contextmanager
def sentinel_of(folder, master, *lines, login=()):
    """A sentinel that watches this master; asked here with `login`."""
    port = free_port()
    folder.mkdir()
    (folder / "sentinel.conf").write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {master.port} 1\n"
                                          "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
                                          + "".join(f"{line}\n" for line in lines))
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(["redis-server", str(folder / "sentinel.conf"), "--sentinel"], stdout=log, stderr=log, cwd=folder)
    try:
        yield RedisServer(folder, port, login)
    finally:
        process.kill()
        process.wait()


def says(server, section, text):
    with contextlib.suppress(OSError, RuntimeError):
        return text in server.call("INFO", section)


@pytest.fixture
def sentinel(tmp_path):
    """A master, its replica, and a sentinel; (master, replica, address)."""
    with RedisServer(tmp_path / "master") as master, RedisServer(tmp_path / "replica") as replica:
        replica.call("REPLICAOF", "127.0.0.1", master.port)
        await_true(lambda: says(replica, "replication", b"master_link_status:up"), 30, "a replica that has it all")
        with sentinel_of(tmp_path / "sentinel", master) as watcher:
            await_true(lambda: says(watcher, "sentinel", b"slaves=1"), 30, "a sentinel that knows the replica")
            yield master, replica, f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{watcher.port}/main"


def test_a_failover_of_sentinel_is_followed(sentinel):
    master, replica, url = sentinel
    with Cluster(workers=1, haproxy=False, leader_environment={"REDIS_URL": url}) as cluster:
        def make_one(name):
            return cluster.leader.call("POST", "/api/users", json={"id": name, **USER}).status_code
        assert make_one("ann") == 201
        await_true(lambda: replica.call("HEXISTS", "{zot}:entities", "user:ann") == 1, 30, "what was stored, at the replica")
        master.kill()
        await_true(lambda: make_one("bob") in (201, 409), 60, "a write at the new master")
        assert {"ann", "bob"} <= names(cluster.leader)
        assert replica.call("HEXISTS", "{zot}:entities", "user:bob") == 1


@pytest.mark.parametrize("user, lines", [("", ["requirepass hidden1"]),
                                         ("watch", ["user watch on >hidden1 -@all +auth +sentinel|get-master-addr-by-name +ping +info", "user default off"])])
def test_sentinels_have_a_login_of_their_own(tmp_path, user, lines):
    """That of Redis is another one."""
    login = {"ZOT_REDIS_SENTINEL_PASSWORD": "hidden1", **({"ZOT_REDIS_SENTINEL_USER": user} if user else {})}
    with RedisServer(tmp_path / "master", login=("hidden2",), requirepass="hidden2") as master, \
            sentinel_of(tmp_path / "sentinel", master, "sentinel auth-pass main hidden2", *lines, login=(user, "hidden1") if user else ("hidden1",)) as watcher:
        await_true(lambda: says(watcher, "sentinel", b"status=ok"), 30, "a sentinel that knows the master")
        url = f"redis+sentinel://:hidden2@127.0.0.1:{watcher.port}/main"
        with Cluster(workers=0, haproxy=False, leader_environment={"REDIS_URL": url, **login}) as cluster:
            assert make(cluster, 0, "ann").status_code == 201
            assert master.call("HEXISTS", "{zot}:entities", "user:ann") == 1
            cluster.redis = master
            for wrong in ({**login, "ZOT_REDIS_SENTINEL_PASSWORD": "hidden3"}, {}):
                status, text = command(cluster, "serve", REDIS_URL=url, **wrong)
                assert status == 1 and "the sentinels' own login, which is not that of Redis" in text and "hidden" not in text, text


def certificate(folder, name, *more):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem"), *more],
                   check=True, capture_output=True)
    (folder / f"{name}.both").write_text((folder / f"{name}.key").read_text() + (folder / f"{name}.pem").read_text())
    return folder / name


def test_redis_behind_tls(tmp_path):
    """The recipe of docs/configuration.md: HAProxy beside the leader, which verifies Redis and is known by a certificate."""
    server, client, port, tls_port = certificate(tmp_path, "redis.test"), certificate(tmp_path, "leader.test"), free_port(), free_port()
    settings = {"tls_port": tls_port, "tls_cert_file": f"{server}.pem", "tls_key_file": f"{server}.key", "tls_ca_cert_file": f"{client}.pem"}
    recipe = re.search(r"```\n(listen redis\n.*?)```", (ROOT / "docs/configuration.md").read_text(), re.S)[1]
    for there, here in (("127.0.0.1:6379", f"127.0.0.1:{port}"), ("redis.example.com:6380", f"127.0.0.1:{tls_port}"), ("/etc/ssl/redis-ca.pem", f"{server}.pem"),
                        ("redis.example.com", "redis.test"), ("/etc/ssl/leader.pem", f"{client}.both")):
        assert there in recipe, there
        recipe = recipe.replace(there, here)
    (tmp_path / "haproxy.cfg").write_text(recipe)
    with RedisServer(tmp_path / "redis", **settings) as redis:
        haproxy = subprocess.Popen(["haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")])
        try:
            await_true(lambda: says(RedisServer(tmp_path, port), "server", b"redis_version"), 30, "Redis through the proxy")
            with Cluster(workers=0, haproxy=False, leader_environment={"REDIS_URL": f"redis://127.0.0.1:{port}"}) as cluster:
                assert make(cluster, 0, "ann").status_code == 201
                assert redis.call("HEXISTS", "{zot}:entities", "user:ann") == 1
                cluster.redis = redis
                status, text = command(cluster, "verify", REDIS_URL=f"rediss://127.0.0.1:{tls_port}")
                assert status == 1 and "rediss:// (TLS) is not built in" in text, text
        finally:
            haproxy.kill()
            haproxy.wait()


def test_a_redis_user_of_few_rights_is_enough(cluster):
    rights = ["on", ">secret", "~{zot}:*", "+@all", "-@admin", "-@dangerous", "+info", "+config|get"]
    cluster.redis.call("ACL", "SETUSER", "zot", *rights)
    url = cluster.redis.url.replace("redis://", "redis://zot:secret@")
    third = cluster.leader_process("third", REDIS_URL=url).start()
    cluster.leaders.append(third)
    assert make(cluster, 2, "ann").status_code == 201
    wrong = command(cluster, "serve", REDIS_URL=url.replace("secret", "hidden"))
    assert wrong[0] == 1 and "user and password are not right" in wrong[1] and "hidden" not in wrong[1], wrong
