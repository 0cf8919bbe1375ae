# SPDX-License-Identifier: Apache-2.0
"""Two leaders on one Redis, real workers: an operator drains one of them, at one leader, and watches at the other."""
import json

import pytest
import requests

from cluster import Cluster
from registry import MANIFEST, await_true


@pytest.fixture(scope="module")
def cluster():
    with Cluster(store="fs", workers=2, leaders=2, haproxy=False) as one:
        yield one


def ring_at(leader):
    return {row["name"]: row for row in leader.call("GET", "/api/cluster/ring").json()["members"]}


def act(leader, name, verb):
    return leader.call("POST", f"/api/cluster/members/{name}/{verb}", json={})


def events(reply):
    name = None
    for line in reply.iter_lines(chunk_size=1 << 20):
        if line.startswith(b"event: "):
            name = line.removeprefix(b"event: ").decode()
        elif line.startswith(b"data: "):
            yield name, json.loads(line.removeprefix(b"data: "))


def test_a_session_of_one_leader_opens_the_other(cluster):
    first, second = cluster.leaders
    browser = requests.Session()
    browser.trust_env = False
    begun = browser.post(first.url + "/api/session", json={"user": cluster.user, "password": cluster.password}, timeout=30)
    assert begun.status_code == 200, begun.text
    # The same host, so the same cookie.
    assert browser.get(second.url + "/api/session", timeout=30).json() == begun.json()
    made = browser.post(second.url + "/api/user", json={"id": "ann", "password": "a long password"}, headers={"X-CSRF-Token": begun.json()["csrf"]}, timeout=30)
    assert made.status_code == 201, made.text


def test_an_operator_drains_a_worker(cluster):
    first, second = cluster.leaders
    one, two = cluster.workers
    cluster.push("a/b", "v1", through=one)
    with second.session.get(second.url + "/api/cluster/live?every=1000", stream=True, timeout=60) as watched:
        told = events(watched)
        next(data for name, data in told if name == "ring")
        assert act(first, one.name, "drain").status_code == 200
        assert next(data for name, data in told if name == "ring" and any(row["state"] == "draining" for row in data["members"]))
    assert ring_at(second)[one.name]["share"] == 0 and ring_at(second)[two.name]["share"] == 1
    await_true(lambda: not one.is_ready(), 30, "a drained worker that is not ready")
    assert "draining: an operator" in one.call("GET", "/readyz", auth=("", "")).text and two.is_ready()
    # Whoever still reaches it is served.
    cluster.push("c/d", "v1", through=one)
    for worker in (one, two):
        assert worker.call("GET", "/v2/a/b/manifests/v1", headers={"Accept": MANIFEST}).status_code == 200
    await_true(lambda: act(second, one.name, "evacuate").status_code == 200, 30, "a worker that is evacuated")
    assert act(second, two.name, "drain").json()["error"]["code"] == "last"
    # It ends and comes back, and still owns nothing.
    one.stop()
    one.start(wait=False)
    await_true(lambda: ring_at(first).get(one.name, {}).get("state") == "draining", 60, "a drained worker that is back")
    assert not one.is_ready()
    assert act(second, one.name, "undrain").status_code == 200
    one.wait_ready()
    assert ring_at(first)[one.name]["state"] == "active"
