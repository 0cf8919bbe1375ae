# SPDX-License-Identifier: Apache-2.0
"""The rounds of test_control_checker.py with three leaders on one Redis: each question of a worker goes to any of them, and leaders and
Redis are killed and stopped. What was seen must be what one leader that never ends would have done.

    ZOT_CONTROL_SEED=7    this round alone, again
    SCALE=full            a hundred rounds
"""
import os

import pytest
import requests

from registry import await_true
from test_control_checker import GRANT_MS, HEAL_S, Round


def seeds():
    one = os.environ.get("ZOT_CONTROL_SEED")
    return [int(one)] if one else range(101, 101 + (100 if os.environ.get("SCALE") == "full" else 8))


class SharedRound(Round):
    leaders = 3

    def of_leaders(self):
        return {self.leader_kill: 3, self.leader_stop: 2, self.leader_pause: 2, self.redis_kill: 3, self.redis_pause: 2, self.storm: 2}

    def leader_kill(self, worker, dice):
        """The others go on, and so do the admins."""
        leader = dice.choice(self.world.leaders)
        with self.leader_lock:
            leader.kill()
        self.end.wait(dice.uniform(0, 1.5))
        with self.leader_lock:
            leader.start()

    def leader_stop(self, worker, dice):
        leader = dice.choice(self.world.leaders)
        with self.leader_lock:
            leader.stop()
        with self.leader_lock:
            leader.start()

    def leader_pause(self, worker, dice):
        """Also so long that it must have lost contact, and others have judged meanwhile."""
        leader = dice.choice(self.world.leaders)
        with self.leader_lock:
            self.world.pause(leader)
            self.end.wait(dice.choice([0.2, 1, 1.3 * GRANT_MS / 1000]))
            self.world.go_on(leader)

    def redis_kill(self, worker, dice):
        with self.leader_lock:
            self.world.redis.kill()
            self.end.wait(dice.uniform(0, 1.5))
            self.world.redis.start()
            self.await_writes()

    def redis_pause(self, worker, dice):
        with self.leader_lock:
            self.world.redis.pause()
            self.end.wait(dice.choice([0.1, 0.5, 1.5]))
            self.world.redis.go_on()
            self.await_writes()

    def await_writes(self):
        """At each leader: an admin who is refused is no part of this."""
        for leader in self.world.leaders:
            await_true(lambda: leader.call("PATCH", "/api/user/admin", json={"metadata": {"by": leader.name}}).status_code == 200, HEAL_S,
                       f"a write at {leader.name}")


@pytest.mark.parametrize("seed", seeds())
def test_leaders_on_a_redis_are_one(seed):
    one = SharedRound(seed)
    try:
        problems = one.run()
        assert not problems, "\n".join(problems[:10])
    except (AssertionError, requests.RequestException, OSError):
        print(f"ZOT_CONTROL_SEED={seed}\n" + "\n".join(one.done))
        raise
