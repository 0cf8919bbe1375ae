# SPDX-License-Identifier: Apache-2.0
"""Two leaders on one Redis: to everybody else they are one."""
import concurrent.futures
import datetime
import json
import threading
import time

import pytest
import requests

from cluster import LEADER_SECRET, Cluster
from control_world import World
from gates import Gate
from registry import await_true


def asked(leader, method, path, body=None, **more):
    reply = leader.call(method, path, json=body, **more)
    assert reply.status_code < 400, (leader.name, reply.status_code, reply.text)
    return reply


def members_at(leader):
    return {m["name"]: m for m in asked(leader, "GET", "/api/cluster/members").json()["members"]}


def metric(leader, name):
    return next(float(line.split()[-1]) for line in leader.call("GET", "/metrics").text.splitlines() if line.startswith(name + " "))


@pytest.fixture(scope="module")
def pair():
    """Two leaders; each worker knows the second alone."""
    with Cluster(workers=0, haproxy=False, leaders=2) as cluster:
        for i in range(3):
            cluster.workers.append(cluster.worker(f"worker-{i}", leaders=cluster.leaders[1:]).start())
        cluster.wait_active(3)
        yield cluster


def test_who_beats_at_one_leader_has_its_lease_at_the_other(pair):
    begin = time.monotonic()
    lease_s = asked(pair.leaders[0], "GET", "/api/cluster/members").json()["leaseMs"] / 1000
    while time.monotonic() - begin < 1.5 * lease_s:
        assert {name: m["state"] for name, m in members_at(pair.leaders[0]).items()} == {f"worker-{i}": "active" for i in range(3)}
    assert {m["name"] for m in asked(pair.leaders[0], "GET", "/api/cluster/members").json()["leaders"]} == {"leader-1"}


def test_two_admins_change_the_same_entity(pair):
    """At two leaders at once, with the same ETag: one of them gets 412."""
    for n in range(100):
        user = {"id": f"both-{n}", "password": "a password of hers"}
        tag = asked(pair.leaders[0], "POST", "/api/user", user).headers["ETag"]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            replies = list(pool.map(lambda leader: leader.call("PATCH", f"/api/user/both-{n}", json={"metadata": {"by": leader.name}},
                                                               headers={"If-Match": tag}), pair.leaders))
        assert sorted(r.status_code for r in replies) == [200, 412], [r.text for r in replies]
        winner = pair.leaders[[r.status_code for r in replies].index(200)]
        for leader in pair.leaders:
            await_true(lambda: asked(leader, "GET", f"/api/user/both-{n}").json()["metadata"] == {"by": winner.name}, what="the winner's change")


def test_both_leaders_have_the_same_state(pair):
    """Whatever is written at both at once, with nobody losing anything."""
    def write(which):
        leader, session = pair.leaders[which], requests.Session()
        session.trust_env, session.auth = False, (pair.user, pair.password)
        for n in range(100):
            reply = session.post(leader.url + "/api/policy", json={"id": f"team-{which}-{n}/**", "defaultPolicy": ["read"]}, timeout=30)
            assert reply.status_code == 201, reply.text

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    wanted = {f"team-{which}-{n}/**" for which in range(2) for n in range(100)}
    for leader in pair.leaders:
        await_true(lambda: wanted <= {p["id"] for p in asked(leader, "GET", "/api/policy?n=1000").json()["items"]}, what="all policies")
    revisions = [asked(leader, "GET", "/api/cluster/members").json()["revision"] for leader in pair.leaders]
    assert revisions[0] == revisions[1]


def test_usage_by_user_and_the_nearest_quotas_are_the_same_at_both(pair):
    first, second = pair.leaders
    users, day = ("by-ann", "by-bob", "by-eve"), datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    for user in users:
        assert asked(first, "POST", "/api/user", {"id": user, "password": "a long password", "groups": ["by-all"]}).status_code == 201
    keys = [f"by-key-{i:04}" for i in range(1100)]
    lines = "\n".join(json.dumps({"id": key, "owner": users[i % 3], "dailyQuota": 5000}) for i, key in enumerate(keys))
    made = first.call("POST", "/api/apikey/_bulk", data=lines, headers={"Content-Type": "application/x-ndjson"})
    assert made.status_code == 200, made.text
    for seq, part in enumerate((keys[:600], keys[600:]), 1):
        rows = [{"apikey": key, "day": day, "calls": int(key[7:]) + 1, "ungranted": int(key[7:]) + 1} for key in part]
        body = {"worker": "by-hand", "process": "4" * 32, "boot": "5" * 32, "seq": seq, "url": "http://by-hand:1", "state": "joining", "usage": rows}
        reply = first.call("PUT", "/api/cluster/quotas", auth=("workers", LEADER_SECRET), json=body)
        assert reply.status_code == 200, reply.text
    wanted = {user: sum(range(at + 1, 1101, 3)) for at, user in enumerate(users)}
    for leader in (second, first):
        told = asked(leader, "GET", f"/api/usage?by=user&day={day}").json()
        assert {row["user"]: (row["keys"], row["calls"]) for row in told["users"]} == {user: (len(keys[at::3]), wanted[user]) for at, user in enumerate(users)} and not told["more"]
        [row] = asked(leader, "GET", f"/api/usage?by=group&day={day}&n=1").json()["groups"]
        assert (row["group"], row["calls"]) == ("by-all", sum(wanted.values()))
        await_true(lambda: [row["subject"] for row in asked(leader, "GET", "/api/cluster/figures?member=").json()["quotas"]] == keys[:-21:-1], 60, "the nearest quotas")  # noqa: B023


def test_a_quota_through_workers_of_different_leaders():
    """Each worker's beats go to any of the leaders: not one call too many, and none is lost."""
    with World(workers=3, leaders=2) as world:
        for quota in (1, 100, 1000):
            key = world.key(dailyQuota=quota)
            with concurrent.futures.ThreadPoolExecutor(6) as pool:
                admitted = sum(pool.map(lambda i: world.spend(world.workers[i % 3], key), range(6)))
            assert admitted == quota
            world.await_calls(key, quota)


def test_a_leader_that_dies_is_not_noticed():
    with Cluster(leaders=2, haproxy=False) as cluster:
        key = cluster.new_key(dailyQuota=100_000)
        auth, halt, statuses, errors = (key["clientId"], key["clientSecret"]), threading.Event(), [], []

        def calls(worker):
            session = requests.Session()
            session.trust_env = False
            while not halt.is_set():
                try:
                    statuses.append(session.get(worker.url + "/v2/", auth=auth, timeout=30).status_code)
                except requests.RequestException as error:
                    errors.append(repr(error))

        for worker in cluster.workers:
            await_true(lambda: worker.call("GET", "/v2/", auth=auth).status_code == 200, what="the key")
        before = sum(row["calls"] for row in asked(cluster.leader, "GET", f"/api/usage?apikey={auth[0]}").json()["usage"] if "day" in row)
        threads = [threading.Thread(target=calls, args=(worker,)) for worker in cluster.workers]
        for thread in threads:
            thread.start()
        try:
            for i in range(4):
                victim, other = cluster.leaders[i % 2], cluster.leaders[(i + 1) % 2]
                victim.kill()
                asked(other, "PATCH", "/api/user/admin", {"metadata": {"round": str(i)}})
                await_true(lambda: all(m["state"] == "active" for m in members_at(other).values()) and len(members_at(other)) == 3, 20, "all active")
                count = len(statuses)
                await_true(lambda: len(statuses) > count + 50, 60, "calls that go on")
                victim.start()
        finally:
            halt.set()
            for thread in threads:
                thread.join()
        assert not errors and set(statuses) == {200}, (errors[:3], set(statuses))
        made = len(statuses) + 3
        await_true(lambda: sum(row["calls"] for row in asked(cluster.leader, "GET", f"/api/usage?apikey={auth[0]}").json()["usage"] if "day" in row)
                   == made, 30, f"{made} calls merged")
        assert before <= 3


def test_all_leaders_and_redis_are_down():
    """Everybody is served; who starts does so from its disk; what was counted arrives once."""
    with Cluster(leaders=2, haproxy=False) as cluster:
        body = cluster.push("team/app", "v1", cluster.workers[0])
        key = cluster.new_key()
        auth = (key["clientId"], key["clientSecret"])
        for worker in cluster.workers:
            await_true(lambda: worker.call("GET", "/v2/", auth=auth).status_code == 200, what="the key")
        for leader in cluster.leaders:
            leader.kill()
        cluster.redis.kill()
        cluster.workers[2].stop()
        cluster.workers[2].start()
        for n in range(300):
            reply = cluster.workers[n % 3].call("GET", "/v2/team/app/manifests/v1", auth=auth)
            assert (reply.status_code, reply.content) == (200, body)
        cluster.push("team/app", "v2", cluster.workers[1], layer=b"another")
        cluster.redis.start()
        for leader in cluster.leaders:
            leader.start(wait=False)
        for leader in cluster.leaders:
            leader.wait_ready()
        await_true(lambda: sum(row["calls"] for row in asked(cluster.leader, "GET", f"/api/usage?apikey={auth[0]}").json()["usage"] if "day" in row)
                   == 303, 60, "303 calls merged")
        cluster.wait_active(3)


def test_redis_is_away():
    """Leaders go on with what they have: states are served, writes and reports refused, and nobody is lost when it is back."""
    with Cluster(leaders=2, haproxy=False) as cluster:
        cluster.redis.kill()
        for leader in cluster.leaders:
            reply = leader.call("PATCH", "/api/user/admin", json={"metadata": {"a": "b"}})
            assert reply.status_code == 503, reply.text
            assert "store" in reply.json()["error"]["message"]
            assert asked(leader, "GET", "/api/user/admin").json()["id"] == "admin"
            assert leader.call("GET", "/api/cluster/state?since=0&wait=0").status_code == 200
            await_true(lambda: leader.call("GET", "/readyz").json().get("storeAwayMs", 0) > 1000, what="that the store is away")
            assert leader.call("GET", "/readyz").status_code == 200
        cluster.push("team/app", "v1", cluster.workers[0])
        epoch = asked(cluster.leader, "GET", "/api/ring/ring").json()["epoch"]
        cluster.redis.start()
        for leader in cluster.leaders:
            await_true(lambda: leader.call("PATCH", "/api/user/admin", json={"metadata": {"a": leader.name}}).status_code == 200, 30, "a write")
        lost = metric(cluster.leaders[0], "zot_leader_members_lost_total") + metric(cluster.leaders[1], "zot_leader_members_lost_total")
        cluster.wait_active(3)
        assert (lost, asked(cluster.leader, "GET", "/api/ring/ring").json()["epoch"]) == (0, epoch)


def test_one_leader_is_cut_off_from_redis():
    """It gives no leases, so its workers turn to the other one, and the ring stays."""
    with Cluster(workers=0, haproxy=False, leaders=1) as cluster:
        gate = Gate(cluster.redis.port)
        try:
            cut = cluster.leader_process("leader-cut", REDIS_URL=f"redis://127.0.0.1:{gate.port}").start()
            cluster.leaders.append(cut)
            for i in range(2):
                cluster.workers.append(cluster.worker(f"worker-{i}", leaders=[cut, cluster.leader]).start())
            cluster.wait_active(2)
            epoch = asked(cluster.leader, "GET", "/api/ring/ring").json()["epoch"]
            gate.shut()
            await_true(lambda: cut.call("GET", "/readyz").json().get("storeAwayMs", 0) > 1000, what="that the store is away")
            lease_s, begin = asked(cluster.leader, "GET", "/api/cluster/members").json()["leaseMs"] / 1000, time.monotonic()
            while time.monotonic() - begin < 1.5 * lease_s:
                assert all(m["state"] == "active" for m in members_at(cluster.leader).values())
            assert asked(cluster.leader, "GET", "/api/ring/ring").json()["epoch"] == epoch
            gate.open()
            asked(cluster.leader, "PATCH", "/api/user/admin", {"metadata": {"back": "yes"}})
            await_true(lambda: asked(cut, "GET", "/api/user/admin").json()["metadata"] == {"back": "yes"}, 30, "what was written meanwhile")
        finally:
            gate.shut()
