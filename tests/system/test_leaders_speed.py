# SPDX-License-Identifier: Apache-2.0
"""How fast a change is everywhere, with two leaders on one Redis."""
import time

import requests

from cluster import Cluster


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p / 100))]


def enforced(workers, session, auth, status):
    """Until each of them answers so."""
    for worker in workers:
        while session.get(worker.url + "/v2/", auth=auth, timeout=20).status_code != status:
            pass


def test_a_change_at_one_leader_is_enforced_at_the_workers_of_the_other():
    """A thousand changes: from the moment that the change is sent until each of three workers obeys it."""
    with Cluster(workers=0, haproxy=False, leaders=2) as cluster:
        for i in range(3):
            cluster.workers.append(cluster.worker(f"worker-{i}", leaders=cluster.leaders[1:]).start())
        cluster.wait_active(3)
        took = change_often(cluster)
    print(f"p99 of a change, from PATCH at one leader to enforced at three workers of the other: {percentile(took, 99):.1f} ms, "
          f"median {percentile(took, 50):.1f} ms, 1000 changes")
    assert percentile(took, 99) < 50


def change_often(cluster):
    made = cluster.new_key()
    auth, took, session = (made["clientId"], made["clientSecret"]), [], requests.Session()
    session.trust_env = False
    enforced(cluster.workers, session, auth, 200)
    for n in range(1000):
        begin = time.monotonic()
        assert cluster.leaders[0].call("PATCH", f"/api/apikey/{auth[0]}", json={"enabled": n % 2 == 1}).status_code == 200
        enforced(cluster.workers, session, auth, 200 if n % 2 else 401)
        took.append((time.monotonic() - begin) * 1000)
    return took
