# SPDX-License-Identifier: Apache-2.0
"""How often a client may ask, and who the client is behind load balancers."""
import contextlib
import subprocess

from worker_process import CLUSTER_SECRET, Worker, await_true, free_port, image

PROXY = {"ZOT_TRUSTED_PROXIES": "10.0.0.0/8,127.0.0.1"}


def statuses(worker, n, method="GET", path="/v2/", **more):
    return [worker.call(method, path, **more).status_code for _ in range(n)]


def test_a_client_that_asks_too_often_is_told_when_to_come_again(tmp_path):
    with Worker(tmp_path, config={"http": {"ratelimit": {"rate": 2}}}) as worker:
        seen = statuses(worker, 40)
        assert seen[0] == seen[1] == 200
        assert seen.count(429) > 20
        reply = await_true(lambda: [r for r in [worker.call("GET", "/v2/a/b/tags/list")] if r.status_code == 429])[0]
        error = reply.json()["errors"][0]
        assert error["code"] == "TOOMANYREQUESTS" and "2 requests" in reply.text
        assert reply.headers["Retry-After"] == "1" and reply.headers["RateLimit-Limit"] == "2"
        assert reply.headers["RateLimit-Remaining"] == "0" and int(reply.headers["RateLimit-Reset"]) >= 1
        # What watches us is not limited, and the bucket fills again.
        assert statuses(worker, 20, path="/livez") == [200] * 20
        assert worker.counter("rate_limited_total") >= seen.count(429)
        await_true(lambda: worker.call("GET", "/v2/").status_code == 200, what="a token")


def test_methods_are_limited_by_themselves():
    with Worker(ZOT_RATE_LIMIT_METHODS="PUT=1,DELETE=1000") as worker:
        assert statuses(worker, 30) == [200] * 30
        assert 429 in statuses(worker, 5, "PUT", "/v2/a/b/manifests/v1", data=image())
        assert 429 not in statuses(worker, 30, "DELETE", "/v2/a/b/manifests/v1")


def test_a_flood_of_passwords_costs_no_bcrypt(tmp_path):
    (tmp_path / "htpasswd").touch()
    subprocess.run(["htpasswd", "-Bb", str(tmp_path / "htpasswd"), "ann", "annsecret"], check=True, capture_output=True)
    with Worker(tmp_path, ZOT_HTPASSWD=tmp_path / "htpasswd", ZOT_RATE_LIMIT=1) as worker:
        seen = statuses(worker, 30, auth=("ann", "wrong"))
        assert seen[0] == 401 and seen.count(429) > 15
        # A header that pretends to be a peer's opens no way around.
        seen = statuses(worker, 30, headers={"Zot-Cluster-Peer": "v2 bm8 00"})
        assert 200 not in seen and seen.count(429) > 15


def by(address):
    return {"X-Forwarded-For": address}


def test_what_a_client_says_of_itself_does_not_count():
    with Worker(ZOT_RATE_LIMIT=1) as worker:
        seen = [worker.call("GET", "/v2/", headers=by(f"198.51.100.{n}")).status_code for n in range(30)]
        assert seen.count(429) > 15
        await_true(lambda: '"from":"127.0.0.1"' in worker.text(), what="the log")
        assert "198.51.100" not in worker.text()


def test_clients_behind_a_trusted_proxy_are_told_apart():
    with Worker(ZOT_RATE_LIMIT=1, **PROXY) as worker:
        assert all(worker.call("GET", "/v2/", headers=by(f"1.1.1.1, 198.51.100.{n}, 10.1.1.1")).status_code == 200 for n in range(30))
        seen = [worker.call("GET", "/v2/", headers=by(f"1.1.1.{n}, 203.0.113.9")).status_code for n in range(30)]
        assert seen.count(429) > 15
        await_true(lambda: '"from":"203.0.113.9"' in worker.text() and '"from":"198.51.100.29"' in worker.text(), what="the log")


def pair(tmp_path, stack, http=None, log=None, verify=None, cluster_tls=None, storage=None):
    """Two members of a static cluster on one store, and for each a repository that it owns. {folder} in log: a member's own."""
    ports = [free_port() for _ in range(2)]
    cluster = {"members": [f"127.0.0.1:{port}" for port in ports], "hashKey": "loremipsumdolors", "secret": CLUSTER_SECRET, "isolated": False,
               **({"tls": cluster_tls} if cluster_tls else {})}
    workers = []
    for port in ports:
        folder = tmp_path / str(port)
        folder.mkdir()
        config = {"storage": {"rootDirectory": str(tmp_path / "store"), **(storage or {})}, "cluster": dict(cluster), "http": dict(http or {}),
                  "log": {key: value.format(folder=folder) for key, value in (log or {}).items()}}
        workers.append(stack.enter_context(Worker(folder, port=port, config=config, verify=verify)))
    # By SipHash with this key: golang belongs to the first, busybox too, debian and repo to the second of two.
    return workers, ["golang", "debian"]


def test_a_request_is_counted_where_it_came_in(tmp_path):
    with contextlib.ExitStack() as stack:
        workers, names = pair(tmp_path, stack, {"ratelimit": {"rate": 10}, "trustedProxies": ["127.0.0.1"]})
        first, owner = workers
        before = owner.counter("peer_requests_total")
        for client in range(8):
            for worker in (first, owner):  # each has a bucket of ten for this client
                seen = [worker.call("GET", f"/v2/{names[1]}/tags/list", headers=by(f"198.51.100.{client}")).status_code for _ in range(10)]
                assert seen == [404] * 10
        await_true(lambda: owner.counter("peer_requests_total") - before == 80 + first.counter("peer_channels_opened_total"),
                   what="80 requests of a peer that are over, and those that opened channels")
        assert owner.counter("rate_limited_total") == 0
        await_true(lambda: '"from":"198.51.100.7"' in owner.text(), what="the client's address at the owner")
