# SPDX-License-Identifier: Apache-2.0
"""Three workers with a disk each, under a leader: one of them is killed and comes back."""
import time

from cluster import Cluster
from registry import await_true


def names(reply):
    assert reply.status_code == 200, reply.text
    return reply.json()["repositories"]


def has(cluster, worker, name):
    return (cluster.folder / f"store-{worker.name}" / name / "index.json").exists()


def test_a_member_dies_and_comes_back():
    with Cluster(store="own", haproxy=False, lease_ms=1500) as cluster:
        wanted = sorted(f"app-{n}" for n in range(18))
        bodies = {name: cluster.push(name, "v1", cluster.workers[n % 3], layer=name.encode()) for n, name in enumerate(wanted)}
        place = {name: [w for w in cluster.workers if has(cluster, w, name)] for name in wanted}
        assert all(len(owners) == 1 for owners in place.values())
        owner = {name: owners[0] for name, owners in place.items()}
        assert len(set(worker.name for worker in owner.values())) == 3
        for worker in cluster.workers:
            reply = worker.call("GET", "/v2/_catalog")
            assert names(reply) == wanted and "Warning" not in reply.headers

        dead, left = cluster.workers[2], cluster.workers[:2]
        dead.kill()
        rest = [name for name in wanted if owner[name] is not dead]
        for worker in left:
            for name in wanted:
                started = time.monotonic()
                reply = worker.call("GET", f"/v2/{name}/manifests/v1")
                if owner[name] is dead:
                    assert reply.status_code == 503 and int(reply.headers["Retry-After"]) > 0 and dead.name in reply.text
                    assert reply.json()["errors"][0]["code"]
                else:
                    assert reply.content == bodies[name]
                # Nobody waits for the dead one.
                assert time.monotonic() - started < 3
            reply = worker.call("GET", "/v2/_catalog")
            assert names(reply) == rest and f"repositories of {dead.name} are missing" in reply.headers["Warning"]
            reply = worker.call("GET", f"/v2/_catalog?n={len(rest) - 1}")
            assert names(reply) == rest[:-1] and dead.name in reply.headers["Warning"] and "Link" in reply.headers
            assert worker.call("DELETE", f"/v2/{rest[0]}/manifests/none").status_code == 404

        dead.start()
        await_true(lambda: all("Warning" not in worker.call("GET", "/v2/_catalog").headers for worker in left), 20, "a whole catalog")
        for worker in cluster.workers:
            assert names(worker.call("GET", "/v2/_catalog")) == wanted
            for name in wanted:
                await_true(lambda: worker.call("GET", f"/v2/{name}/manifests/v1").content == bodies[name], 10, name)
