# SPDX-License-Identifier: Apache-2.0
"""Stars and bookmarks through all workers of a cluster with two leaders, while workers and leaders are killed: none lost, none made twice."""
import concurrent.futures
import os
import random
import threading

import pytest
import requests

from cluster import Cluster
from registry import await_true

PASSWORD = "a password of theirs"
FULL = os.environ.get("SCALE") == "full"
USERS, REPOSITORIES, TOGGLES = 8, 5, 110 if FULL else 60  # of each user; so many in a minute are allowed


class User:
    """Toggles one after the other, and knows of each whether it is on: True, False, or None where no answer came."""

    def __init__(self, cluster, name):
        self.cluster, self.name, self.random = cluster, name, random.Random(name)
        self.on, self.answered, self.unknown = {}, 0, 0

    def toggle(self, made):
        pair = (self.random.choice(("toggleStar", "toggleBookmark")), f"team/app-{self.random.randrange(REPOSITORIES)}")
        worker = self.random.choice(self.cluster.workers)
        before = self.on.get(pair, False)
        try:
            reply = requests.put(f"{worker.url}/v2/_zot/ext/userprefs", params={"action": pair[0], "repo": pair[1]}, auth=(self.name, PASSWORD), timeout=60)
        except requests.ConnectionError:
            reply = None
        if reply is None or reply.status_code == 503:
            self.on[pair], self.unknown = None, self.unknown + 1
        else:
            assert reply.status_code == 200, (reply.status_code, reply.text)
            now = reply.headers["Zot-Toggled"] == "on"
            assert before is None or now != before, (self.name, pair, before, now)
            self.on[pair], self.answered = now, self.answered + 1
        made.release()

    def list_of(self, action):
        return {repo for (which, repo), on in self.on.items() if which == action and on}

    def unknown_of(self, action):
        return {repo for (which, repo), on in self.on.items() if which == action and on is None}


def kept(leader, kind, user):
    reply = leader.call("GET", f"/api/{kind}/{user}")
    return set(reply.json()["repositories"]) if reply.status_code == 200 else set()


@pytest.mark.parametrize("store", ["fs", "own"])
def test_toggles_over_kills(store):
    with Cluster(store=store, workers=3, haproxy=False, leaders=2, lease_ms=2000, worker_environment={"ZOT_USERPREFS": "true"}) as cluster:
        for repository in range(REPOSITORIES):
            cluster.push(f"team/app-{repository}", "v1", cluster.workers[repository % 3])
        cluster.admin("PUT", "/api/policy/**", {"defaultPolicy": ["read"]})
        users = [User(cluster, f"user-{n}") for n in range(USERS)]
        for user in users:
            assert cluster.admin("POST", "/api/user", {"id": user.name, "password": PASSWORD}).status_code == 201
        for worker in cluster.workers:
            await_true(lambda: requests.get(worker.url + "/v2/", auth=(users[-1].name, PASSWORD), timeout=60).status_code == 200, what="the users")
        made = threading.Semaphore(0)

        def work(user):
            for _ in range(TOGGLES):
                user.toggle(made)

        def wait(share):
            for _ in range(int(share * USERS * TOGGLES)):
                assert made.acquire(timeout=120)

        with concurrent.futures.ThreadPoolExecutor(USERS) as pool:
            runs = [pool.submit(work, user) for user in users]
            for process in (cluster.leaders[0], cluster.workers[1], cluster.leaders[1]):
                wait(0.15)
                process.kill()
                wait(0.1)
                process.start()
            for run in runs:
                run.result()
        answered = sum(user.answered for user in users)
        assert answered > USERS * TOGGLES / 2, (answered, sum(user.unknown for user in users))
        for user in users:
            for kind, action in (("star", "toggleStar"), ("bookmark", "toggleBookmark")):
                for leader in cluster.leaders:
                    def is_as_answered(leader=leader, kind=kind, action=action, user=user):
                        return kept(leader, kind, user.name) - user.unknown_of(action) == user.list_of(action)
                    await_true(is_as_answered, what=f"the {kind}s of {user.name} as they were answered, at {leader.name}")
        print(f"{store}: {answered} toggles answered, {sum(user.unknown for user in users)} not known")
