# SPDX-License-Identifier: Apache-2.0
"""What the leader decides is true at all workers: keys at once, quotas exactly."""
import collections
import concurrent.futures
import json
import statistics
import threading
import time

import requests

from cluster import Cluster
from registry import MANIFEST, await_true, image

CHANGES = 200


def test_a_disabled_key_is_refused_everywhere():
    with Cluster(haproxy=False) as cluster:
        key = cluster.new_key()
        auth = (key["clientId"], key["clientSecret"])
        sessions = [requests.Session() for _ in cluster.workers]

        def wait_for(worker, session, status):
            while session.get(worker.url + "/v2/", auth=auth, timeout=10).status_code != status:
                pass
            return time.perf_counter()

        times = []
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for n in range(CHANGES):
                enabled = n % 2 == 1
                waits = [pool.submit(wait_for, w, s, 200 if enabled else 401) for w, s in zip(cluster.workers, sessions)]
                begun = time.perf_counter()
                assert cluster.admin("PATCH", f"/api/apikey/{key['clientId']}", {"enabled": enabled}).status_code == 200
                answered = time.perf_counter()
                last = max(wait.result() for wait in waits)
                times.append((max(0, last - answered), last - begun))
        after, whole = ([1000 * t[i] for t in times] for i in (0, 1))
        for title, values in (("after the answer of the admin API", after), ("from the request on", whole)):
            values.sort()
            print(f"p99 {values[int(len(values) * 0.99)]:.1f} ms, median {statistics.median(values):.1f} ms, {CHANGES} changes, "
                  f"until all three workers obey, {title}")
        assert after[int(len(after) * 0.99)] < 1000


def test_the_scopes_of_a_key_hold_at_every_member():
    with Cluster(workers=2, haproxy=False) as cluster:
        key = cluster.new_key(scopes=["team/**:read,update"])
        auth = (key["clientId"], key["clientSecret"])
        cluster.push("team/app", "v1", cluster.workers[0])
        for worker in cluster.workers:
            await_true(lambda: worker.call("GET", "/v2/", auth=auth).status_code == 200, what="the key")
        # Whether a tag is there is seen at the owner, so it is asked there what the key may do.
        for n, worker in enumerate(cluster.workers):
            put = lambda tag: worker.call("PUT", f"/v2/team/app/manifests/{tag}", data=image(annotations={"n": str(n)}), auth=auth,  # noqa: E731
                                          headers={"Content-Type": MANIFEST}).status_code
            assert put("v1") == 201
            assert put("v2") == 403
            assert worker.call("GET", "/v2/other/app/tags/list", auth=auth).status_code == 403


class From(requests.adapters.HTTPAdapter):
    """Connections come from this address."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *arguments, **more):
        super().init_poolmanager(*arguments, source_address=(self.address, 0), **more)


def test_clients_behind_a_load_balancer_are_limited_one_by_one():
    with Cluster(workers=2, worker_environment={"ZOT_TRUSTED_PROXIES": "127.0.0.1", "ZOT_RATE_LIMIT": "20"}) as cluster:
        seen = {}
        for address in ("127.0.0.2", "127.0.0.3"):
            with requests.Session() as session:
                session.trust_env = False
                session.mount("http://", From(address))
                session.auth = (cluster.user, cluster.password)
                assert session.get(cluster.front.url + "/v2/", timeout=10).status_code == 200
                seen[address] = collections.Counter(session.get(cluster.front.url + "/v2/", timeout=10).status_code for _ in range(
                    400 if address == "127.0.0.2" else 5))
        assert seen["127.0.0.2"][429] > 200  # one that floods
        assert seen["127.0.0.3"] == {200: 5}  # does not take from another
        logs = "".join(worker.log.read_text() for worker in cluster.workers)
        assert '"from":"127.0.0.2"' in logs


def test_a_daily_quota_is_met_exactly():
    with Cluster() as cluster:
        key = cluster.new_key(dailyQuota=1000)
        auth = (key["clientId"], key["clientSecret"])
        statuses, lock, end = collections.Counter(), threading.Lock(), threading.Event()

        def hammer():
            session = requests.Session()
            while not end.is_set():
                reply = session.get(cluster.front.url + "/v2/", auth=auth, timeout=30)
                if reply.status_code == 429:
                    assert int(reply.headers["Retry-After"]) > 0
                with lock:
                    statuses[reply.status_code] += 1

        # Until the key is known everywhere its calls are refused with 401, which are not counted.
        threads = [threading.Thread(target=hammer) for _ in range(16)]
        for thread in threads:
            thread.start()
        await_true(lambda: statuses[200] >= 1000, 60, "1,000 admitted calls")
        refused = statuses[429]
        await_true(lambda: statuses[429] >= refused + 2000, 60, "2,000 refused calls")
        end.set()
        for thread in threads:
            thread.join()
        print(dict(statuses))
        assert statuses[200] == 1000
        assert set(statuses) <= {200, 401, 429}

        def counted():
            rows = cluster.admin("GET", f"/api/usage?apikey={key['clientId']}").json()["usage"]
            return sum(row["calls"] for row in rows if "day" in row)

        await_true(lambda: counted() == 1000, 20, "the usage at the leader")


def test_a_worker_comes_and_goes_without_a_failed_request():
    with Cluster(workers=2) as cluster:
        for n in range(12):
            cluster.push(f"resize/app{n}", "v1", cluster.front)
        failed, done, end = [], [0], threading.Event()

        def pull():
            session = requests.Session()
            session.auth = (cluster.user, cluster.password)
            n = 0
            while not end.is_set():
                n += 1
                reply = session.get(f"{cluster.front.url}/v2/resize/app{n % 12}/manifests/v1", timeout=30)
                done[0] += 1
                if reply.status_code != 200:
                    failed.append((reply.status_code, reply.text))

        threads = [threading.Thread(target=pull) for _ in range(4)]
        for thread in threads:
            thread.start()
        third = cluster.worker("worker-2")
        third.start()
        cluster.wait_active(3)
        before = done[0]
        await_true(lambda: done[0] > before + 200, 30, "pulls with three workers")
        third.stop()
        cluster.wait_active(2)
        before = done[0]
        await_true(lambda: done[0] > before + 200, 30, "pulls with two workers")
        end.set()
        for thread in threads:
            thread.join()
        assert not failed, failed[:3]


def test_tls_between_all():
    """The same certificate on all ports; a peer or a leader that it does not prove is not talked to."""
    with Cluster(tls=True, haproxy=False) as cluster:
        for n in range(4):
            body = cluster.push(f"tls/app{n}", "v1", cluster.workers[n % 3], layer=bytes(300000))
            for worker in cluster.workers:
                assert worker.call("GET", f"/v2/tls/app{n}/manifests/v1").content == body
        stranger = cluster.worker("stranger", ZOT_PEER_CA="")
        stranger.start(wait=False)
        await_true(lambda: "leader.lost" in stranger.log.read_text(), 20, "the refusal of the leader's certificate")
        assert not any(m["name"] == "stranger" for m in cluster.members())


def test_a_leader_that_starts_deals_when_its_workers_have_told_all():
    """Killed and started, stopped and started: it does not hear for the whole of grantMs, and what it deals after it is within the quota."""
    with Cluster(workers=2, haproxy=False) as cluster:
        key = cluster.new_key(dailyQuota=400)
        auth, admitted = (key["clientId"], key["clientSecret"]), 0

        def call(worker):
            nonlocal admitted
            status = worker.call("GET", "/v2/", auth=auth).status_code
            admitted += status == 200
            return status

        def proofs():
            lines = [json.loads(line) for line in cluster.leader.log.read_text().splitlines() if line.startswith("{")]
            return len([line for line in lines if line["message"] == "grants.dealing" and line["why"] == "proof"])

        def restart(end):
            before = proofs()
            end()
            cluster.leader.start()
            await_true(lambda: proofs() == before + 1, 20, "proof of its workers")

        for end in (None, cluster.leader.kill, cluster.leader.stop):
            if end:
                restart(end)
            for worker in cluster.workers:
                await_true(lambda: call(worker) == 200, 20, "a call that is admitted")
        for worker in cluster.workers:
            await_true(lambda: call(worker) == 429, 60, "the end of the quota")
        assert admitted == 400
