# SPDX-License-Identifier: Apache-2.0
"""Retention in a cluster: each repository's tags are removed by its owner, once, as soon as a leader says so."""
import json

import pytest

from cluster import Cluster
from registry import await_true

REPOSITORIES = 12


def removed(worker):
    return [json.loads(line) for line in worker.log.read_text().splitlines() if '"retention.removed"' in line]


def tags(worker, name):
    return worker.call("GET", f"/v2/{name}/tags/list").json()["tags"]


@pytest.mark.parametrize("store", ["fs", "own"])
def test_each_tag_is_removed_once_by_the_owner(store):
    with Cluster(store=store, workers=3, haproxy=False) as cluster:
        names = [f"team/app{i}" for i in range(REPOSITORIES)]
        for i, name in enumerate(names):
            for tag in ("v1", "old"):
                cluster.push(name, tag, through=cluster.workers[i % 3])
        reply = cluster.leader.call("POST", "/api/repository", json={"id": "team/**", "retention": {"keepTags": [{"patterns": ["^v"]}]}})
        assert reply.status_code == 201, reply.text
        for i, name in enumerate(names):
            await_true(lambda: all(tags(worker, name) == ["v1"] for worker in cluster.workers), 30, f"the pass over {name}")
        await_true(lambda: sum(len(removed(worker)) for worker in cluster.workers) >= REPOSITORIES, 30, "the lines of the log")
        told = [line["repository"] for worker in cluster.workers for line in removed(worker)]
        assert sorted(told) == sorted(names)
        assert sum(bool(removed(worker)) for worker in cluster.workers) >= 2  # not one for all
