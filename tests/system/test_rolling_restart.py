# SPDX-License-Identifier: Apache-2.0
"""All workers, and their leader, are restarted one after the other, again and again: no client has one request that fails."""
import os
import threading

import requests

from cluster import Cluster
from registry import MANIFEST, await_true, digest, image
from rounds import all_go_on

RESTARTS = 50 if os.environ.get("SCALE") == "full" else 15
# HAProxy looks each 500 ms and believes the second look (cluster.py, deploy/haproxy.cfg): after a second it sends nothing more.
DELAY = "2s"


class Client(threading.Thread):
    """Does one thing again and again, without a second try, until it is told to stop."""

    def __init__(self, cluster, number):
        super().__init__(name=f"{type(self).__name__}-{number}")
        self.number, self.front, self.rounds, self.failed, self.halt = number, cluster.front.url, 0, [], threading.Event()
        self.session = requests.Session()
        self.session.trust_env, self.session.auth = False, (cluster.user, cluster.password)

    def call(self, method, path, expected, **more):
        reply = self.session.request(method, path if "://" in path else self.front + path, timeout=60, **more)
        assert reply.status_code == expected, (method, path, reply.status_code, reply.text)
        return reply

    def run(self):
        while not self.halt.is_set():
            try:
                self.once()
                self.rounds += 1
            except (requests.RequestException, AssertionError) as error:
                self.failed.append(repr(error))


class Puller(Client):
    def once(self):
        name = f"rolling/app{self.rounds % 4}"
        manifest = self.call("GET", f"/v2/{name}/manifests/v1", 200).json()
        for descriptor in [manifest["config"], *manifest["layers"]]:
            body = self.call("GET", f"/v2/{name}/blobs/{descriptor['digest']}", 200).content
            assert digest(body) == descriptor["digest"]
        assert "v1" in self.call("GET", f"/v2/{name}/tags/list", 200).json()["tags"]
        self.call("HEAD", f"/v2/{name}/manifests/v1", 200)


class Pusher(Client):
    """As docker does it: a layer by POST, PATCH and PUT, each of which may reach another worker."""

    def once(self):
        name, layer = f"rolling/pushed{self.number}", os.urandom(20_000)
        for data in (b"{}", layer):
            place = self.call("POST", f"/v2/{name}/blobs/uploads/", 202).headers["Location"]
            place = self.call("PATCH", place, 202, data=data).headers["Location"]
            self.call("PUT", place, 201, params={"digest": digest(data)})
        self.call("PUT", f"/v2/{name}/manifests/v{self.rounds}", 201, data=image(layer), headers={"Content-Type": MANIFEST})


def restart(cluster, worker):
    worker.stop()
    worker.start()
    await_true(lambda: cluster.is_up_at_haproxy(worker), 60, f"{worker.name} up at HAProxy")
    cluster.wait_active(3)


def test_no_request_fails_in_a_rolling_restart():
    with Cluster(worker_environment={"CLUSTER_DRAIN_DELAY": DELAY}, leader_environment={"CLUSTER_DRAIN_DELAY": "100ms"}) as cluster:
        for worker in cluster.workers:
            await_true(lambda: cluster.is_up_at_haproxy(worker), 60, "all up")
        for i in range(4):
            cluster.push(f"rolling/app{i}", "v1", cluster.front)
        clients = [Puller(cluster, i) for i in range(3)] + [Pusher(cluster, i) for i in range(3)]
        for client in clients:
            client.start()
        try:
            for i in range(RESTARTS):
                all_go_on(clients)
                if i % 10 == 5:
                    cluster.leader.stop()
                    cluster.leader.start()
                    cluster.wait_active(3)
                restart(cluster, cluster.workers[i % 3])
        finally:
            for client in clients:
                client.halt.set()
            for client in clients:
                client.join()
        assert not [(client.name, client.failed) for client in clients if client.failed]
        for client in clients[3:]:
            for n in range(client.rounds):
                client.call("GET", f"/v2/rolling/pushed{client.number}/manifests/v{n}", 200)
        print(f"{RESTARTS} restarts, {sum(c.rounds for c in clients[:3])} pulls and {sum(c.rounds for c in clients[3:])} pushes, none failed")
