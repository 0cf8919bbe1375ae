# SPDX-License-Identifier: Apache-2.0
"""Quotas of every kind as a worker says them, to leaders that know them and to one of before."""
import collections
import hashlib
import json

import pytest

from scripted_leader import ScriptedLeader, entity
from worker_process import await_true

SECRET = "a secret of this key only"
KEY = ("key-of-ann", SECRET)


class Dealer(ScriptedLeader):
    """Gives each row what it wants, up to `limits` of its (subject, length of the window)."""

    def __init__(self, deals=True, **quotas):
        super().__init__()
        self.deals, self.quotas, self.seen = deals, quotas, []

    def entities(self):
        key = entity("apikey", KEY[0], self.revision, owner="ann", secretHash=hashlib.sha256(SECRET.encode()).hexdigest(), **self.quotas)
        return super().entities() + [entity("user", "ann"), key]

    def good_push(self, call):
        push = json.loads(call.body)
        self.seen.append(push)
        lists = {name: [self.deal(row) for row in push.get(name, [])] for name in ("demands", "quotas")}
        more = {"deals": True, "quotas": lists["quotas"]} if self.deals else {}
        self.answer_push(call, self.good_answer(push, grants=lists["demands"], **more))

    def deal(self, row):
        limit = self.quotas["dailyQuota" if len(row["day"]) == 10 else "monthlyQuota"]
        return {"apikey": row["apikey"], "day": row["day"], "granted": min(limit, max(row["granted"], row["used"]) + row["want"]),
                "used": row["used"], "total": row["used"], "limit": limit, "recall": False}


def ask_many(worker, n):
    return collections.Counter(worker.session.get(worker.url + "/v2/", auth=KEY, timeout=30).status_code for _ in range(n))


def start(leader):
    return leader.worker(CLUSTER_WORKER_POLL_EVERY="200ms", CLUSTER_RETRY_DELAY="20ms", CLUSTER_WORKER_PUSH_EVERY="200ms")


def test_a_month_holds_and_is_said_in_a_list_of_its_own():
    with Dealer(dailyQuota=100, monthlyQuota=20) as leader, start(leader) as worker:
        assert ask_many(worker, 25) == {200: 20, 429: 5}
        reply = worker.session.get(worker.url + "/v2/", auth=KEY)
        assert reply.status_code == 429 and "monthly quota of this API key" in reply.text
        assert reply.headers["RateLimit-Limit"] == "20" and reply.headers["RateLimit-Remaining"] == "0"
        assert int(reply.headers["RateLimit-Reset"]) == int(reply.headers["Retry-After"]) > 0
        assert all(len(row["day"]) == 10 for push in leader.seen for row in push["demands"]), "those of before refuse other windows here"
        assert any(len(row["day"]) == 7 for push in leader.seen for row in push["quotas"])
        await_true(lambda: sum(row["granted_month"] for push in leader.seen for row in push["usage"]) == 20, seconds=60, what="the counts")


def test_under_a_leader_of_before_days_hold_alone():
    with Dealer(deals=False, dailyQuota=30, monthlyQuota=5) as leader, start(leader) as worker:
        await_true(lambda: any(push["leader"] for push in leader.seen), seconds=30, what="a beat that has heard the leader")
        assert ask_many(worker, 35) == {200: 30, 429: 5}


@pytest.mark.parametrize("path", ["/v2/", "/v2/_catalog"])
def test_an_answer_tells_what_is_left(path):
    with Dealer(dailyQuota=1000, monthlyQuota=40) as leader, start(leader) as worker:
        left = [int(worker.session.get(worker.url + path, auth=KEY).headers["RateLimit-Remaining"]) for _ in range(10)]
        assert left == sorted(left, reverse=True) and left[0] <= 40 and left[-1] <= 31, "of the nearest to its end"
        assert worker.session.get(worker.url + path, auth=("", "")).headers.get("RateLimit-Limit") is None
