# SPDX-License-Identifier: Apache-2.0
"""Chores of workers, asked for at a leader: with two leaders, at the one to which the worker does not talk."""
import pytest
from cluster import Cluster
from registry import await_true


@pytest.fixture
def cluster():
    with Cluster(workers=2, haproxy=False, leaders=2, worker_environment={"ZOT_GC_DELAY": "1h"}) as c:
        yield c


def chores(leader):
    return {m["name"]: {row["name"]: row for row in m["chores"]} for m in leader.call("GET", "/api/cluster/members").json()["members"]}


def test_each_leader_shows_and_orders(cluster):
    first, second = cluster.leaders
    workers = {worker.name for worker in cluster.workers}
    for leader in (first, second):
        await_true(lambda leader=leader: all("gc" in chores(leader).get(name, {}) for name in workers), 90, "the chores of all")
    cluster.push("team/app", "v1", cluster.workers[0])
    for leader in (first, second):
        reply = leader.call("POST", "/api/cluster/chores", json={"chore": "gc", "action": "start", "dryRun": True})
        assert reply.status_code == 202, reply.text
        orders = {row["name"]: row["order"] for row in reply.json()["members"]}
        assert set(orders) == workers
        for asked in (first, second):
            await_true(lambda asked=asked, orders=orders: all(
                chores(asked)[name]["gc"].get("order") == order and chores(asked)[name]["gc"]["last"]["how"] == "done" for name, order in orders.items()),
                30, "what became of it")
    done = [chores(first)[name]["gc"]["last"] for name in workers]
    assert all(last["dryRun"] for last in done) and sum(last["done"] for last in done) == 1
    reply = second.call("POST", f"/api/cluster/members/{cluster.workers[0].name}/chores", json={"chore": "gc", "action": "start"})
    assert reply.status_code == 202
    await_true(lambda: chores(first)[cluster.workers[0].name]["gc"]["last"]["how"] == "refused", 30, "a refusal")
