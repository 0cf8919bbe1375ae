# SPDX-License-Identifier: Apache-2.0
"""Channels between workers of a real cluster: an owner that dies with a thousand calls on them, secrets and rings that change under load."""
import asyncio
import base64
import itertools
import re
import signal
import threading
import time

import pytest
import requests

from cluster import Cluster
from registry import MANIFEST, await_true, digest, image

READS, WRITES = 900, 100


def counter(worker, name):
    return int(re.search(rf"^zot_{name} (\d+)$", worker.call("GET", "/metrics").text, re.M)[1])


def of_a_peer(worker, prefix):
    """Names of repositories that another worker owns: this one sends requests for them on."""
    for n in itertools.count():
        before = counter(worker, "proxied_total")
        worker.call("GET", f"/v2/{prefix}{n}/tags/list")
        if counter(worker, "proxied_total") > before:
            yield f"{prefix}{n}"


def open_channels(worker, name):
    """Each of the worker's loops has one: a connection is served by the loop that accepted it."""
    def ask():
        before = counter(worker, "peer_channel_calls_total")
        for _ in range(20):
            requests.get(worker.url + f"/v2/{name}/tags/list", auth=worker.session.auth, verify=worker.session.verify, timeout=30)
        return counter(worker, "peer_channel_calls_total") == before + 20
    await_true(ask, what="channels of all loops")


async def call(worker, method, path, body=b""):
    """Status and body of one call on a connection of its own."""
    login = base64.b64encode(":".join(worker.session.auth).encode()).decode()
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nContent-Type: {MANIFEST}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                 .encode() + body)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def calls_while(worker, calls, then):
    """All of them at once; then() runs when the worker has sent all on."""
    before = counter(worker, "peer_channel_calls_total")
    tasks = [asyncio.ensure_future(call(worker, *one)) for one in calls]
    while await asyncio.to_thread(counter, worker, "peer_channel_calls_total") < before + len(calls):
        await asyncio.sleep(0.05)
    then()
    return await asyncio.gather(*tasks)


def test_an_owner_is_killed_with_a_thousand_calls_on_its_channels():
    with Cluster(workers=2, haproxy=False) as cluster:
        entry, owner = cluster.workers
        name = next(of_a_peer(entry, "killed/r"))
        cluster.push(name, "v1", entry)
        body = entry.call("GET", f"/v2/{name}/manifests/v1").content
        open_channels(entry, name)
        bodies = {f"t{n}": image(annotations={"n": str(n)}) for n in range(WRITES)}
        calls = [("GET", f"/v2/{name}/manifests/v1")] * READS + [("PUT", f"/v2/{name}/manifests/{tag}", data) for tag, data in bodies.items()]
        owner.process.send_signal(signal.SIGSTOP)  # it takes calls and answers none
        answers = asyncio.run(calls_while(entry, calls, owner.kill))
        assert [answer for answer in answers[:READS] if answer != (200, body)] == []
        assert [answer for answer in answers[READS:] if answer[0] != 201] == []
        for tag, data in bodies.items():
            assert entry.call("GET", f"/v2/{name}/manifests/{tag}").content == data
        assert sorted(entry.call("GET", f"/v2/{name}/tags/list").json()["tags"]) == sorted([*bodies, "v1"])
        assert counter(entry, "peer_channels_lost_total") >= 1 and counter(entry, "peer_channels") == 0
        # It comes back, and so do the channels.
        owner.start()
        cluster.wait_active(2)
        open_channels(entry, name)


class Load(threading.Thread):
    """Reads and writes manifests through one worker, without a second try, until it is told to stop."""

    def __init__(self, worker, name, number):
        super().__init__()
        self.worker, self.name_of_it, self.number, self.rounds, self.failed, self.halt = worker, name, number, 0, [], threading.Event()
        self.session = requests.Session()
        self.session.trust_env, self.session.auth, self.session.verify = False, worker.session.auth, worker.session.verify

    def run(self):
        while not self.halt.is_set():
            try:
                self.once(f"/v2/{self.name_of_it}/manifests/load{self.number}", image(annotations={"n": str(self.rounds)}))
                self.rounds += 1
            except (requests.RequestException, AssertionError) as error:
                self.failed.append(repr(error))

    def once(self, path, body):
        reply = self.session.put(self.worker.url + path, data=body, headers={"Content-Type": MANIFEST}, timeout=60)
        assert reply.status_code == 201, (reply.status_code, reply.text)
        for method in ("GET", "HEAD"):
            reply = self.session.request(method, self.worker.url + path, timeout=60)
            assert reply.status_code == 200 and reply.headers["Docker-Content-Digest"] == digest(body), (method, reply.status_code, reply.text)


def change_secret(cluster):
    """A worker's own credential ends: from then on all sign with another secret."""
    reply = cluster.admin("POST", "/api/worker", {"id": "one-that-goes"})
    assert reply.status_code == 201, reply.text
    assert cluster.admin("DELETE", "/api/worker/one-that-goes").status_code in (200, 204)


@pytest.mark.parametrize("tls", [False, True])
def test_nobody_notices_another_secret_or_ring(tls):
    with Cluster(workers=3, haproxy=False, tls=tls) as cluster:
        entry = cluster.workers[0]
        names = [name for name, _ in zip(of_a_peer(entry, "changed/r"), range(4))]
        for name in names:
            cluster.push(name, "v1", entry)
            open_channels(entry, name)
        clients = [Load(entry, name, number) for number, name in enumerate(names)]
        before = counter(entry, "peer_channel_calls_total")
        for client in clients:
            client.start()

        def all_go_on():
            rounds = [client.rounds + len(client.failed) for client in clients]
            await_true(lambda: all(client.rounds + len(client.failed) > r + 3 for client, r in zip(clients, rounds)), 60, "some rounds of each client")

        try:
            all_go_on()
            change_secret(cluster)
            signed_since = time.monotonic()
            all_go_on()
            for worker in cluster.workers[1:]:
                for way, ready in (("drain", False), ("undrain", True)):
                    reply = cluster.admin("POST", f"/api/cluster/members/{worker.name}/{way}", {})
                    assert reply.status_code == 200, reply.text
                    await_true(lambda: worker.is_ready() == ready, 30, f"{worker.name} to {way}")
                    all_go_on()
            # The new secret signs ten seconds after it was made (peer_keys.h).
            await_true(lambda: time.monotonic() - signed_since > 12, what="the time until the new secret signs")
            all_go_on()
        finally:
            for client in clients:
                client.halt.set()
            for client in clients:
                client.join()
        assert [client.failed for client in clients] == [[]] * len(clients)
        assert counter(entry, "peer_channel_calls_total") > before + sum(client.rounds for client in clients)
        assert counter(entry, "proxy_failed_total") == 0 and 0 == sum(counter(w, "peer_refused_total") for w in cluster.workers)
