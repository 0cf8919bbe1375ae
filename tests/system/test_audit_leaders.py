# SPDX-License-Identifier: Apache-2.0
"""Two leaders on one Redis: one audit, one row for what is over, and zot-leader ctl that asks whichever is there."""
import subprocess
import time

import pytest

from leader_process import Leader
from program import BUILD
from redis_server import RedisServer
from worker_process import await_true


@pytest.fixture
def leaders(tmp_path):
    with RedisServer(tmp_path / "redis") as redis, Leader(REDIS_URL=redis.url, CLUSTER_LEADER_NAME="a") as first, Leader(
            REDIS_URL=redis.url, CLUSTER_LEADER_NAME="b") as second:
        yield first, second


def audit(leader, query=""):
    return leader.admin("GET", "/api/audit" + query).json()["items"]


def test_what_was_changed_at_one_is_told_by_all(leaders):
    for n, leader in enumerate(leaders):
        assert leader.admin("POST", "/api/user", {"id": f"user-{n}", "groups": ["dev"]}).status_code == 201
    for leader in leaders:
        assert [(row["id"], row["new"]["groups"]) for row in audit(leader, "?kind=user&n=2")] == [("user-1", ["dev"]), ("user-0", ["dev"])]
        numbers = [row["number"] for row in audit(leader)]
        assert numbers == sorted(set(numbers), reverse=True)


def test_what_is_over_is_told_once_by_two(leaders):
    ends = int(time.time()) + 3
    for n in range(8):
        leaders[n % 2].admin("PUT", f"/api/apikey/key-that-ends-{n}", {"owner": "admin", "validUntil": ends})

    def told(leader):
        return sorted(row["id"] for row in audit(leader, "?kind=apikey") if row["how"] == "expired")

    every = [f"key-that-ends-{n}" for n in range(8)]
    await_true(lambda: told(leaders[0]) == every)
    # Both have looked again when what ends later is told.
    later = int(time.time()) + 2
    for n, leader in enumerate(leaders):
        leader.admin("PUT", f"/api/apikey/later-{n}-that-ends", {"owner": "admin", "validUntil": later + n})
    await_true(lambda: told(leaders[1]) == [*every, "later-0-that-ends", "later-1-that-ends"])
    assert told(leaders[0]) == told(leaders[1])
    assert sum(leader.text().count('"credential.expired"') for leader in leaders) == 10


def test_ctl_goes_on_at_the_other_leader(leaders):
    environment = {"ZOT_LEADER_URL": ",".join(leader.url for leader in leaders), "ZOT_LEADER_PASSWORD": leaders[0].password}

    def ctl(*arguments):
        return subprocess.run([str(BUILD / "leader/zot-leader"), "ctl", *arguments], env=environment, capture_output=True, text=True, timeout=60)

    assert ctl("create", "user", "ann").returncode == 0
    leaders[0].kill()
    done = ctl("set", "user", "ann", "enabled=false")
    assert done.returncode == 0 and leaders[0].url in done.stderr, done.stderr
    assert leaders[1].admin("GET", "/api/user/ann").json()["enabled"] is False
    assert [row["how"] for row in audit(leaders[1], "?id=ann")] == ["patched", "created"]
    leaders[0].start()
