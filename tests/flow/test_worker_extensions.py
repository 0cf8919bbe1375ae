# SPDX-License-Identifier: Apache-2.0
"""zot's small extensions: mgmt and the list of what there is."""
import contextlib

import requests

from leader_process import SECRET, Leader
from test_worker_access import write_htpasswd
from worker_process import Worker, await_true, free_port

MGMT = "/v2/_zot/ext/mgmt"


def zots(worker, **more):
    """What discover lists of zot's; None: the extension is not there."""
    found = [e for e in worker.call("GET", "/v2/_oci/ext/discover", **more).json()["extensions"] if e["name"] == "_zot"]
    return found[0]["endpoints"] if found else None


# Mgmt.

def test_without_search_there_is_none():
    with Worker() as worker:
        assert worker.call("GET", MGMT).status_code == 404 and zots(worker) is None
        assert worker.call("OPTIONS", MGMT).status_code == 404


def test_an_open_registry_has_no_logins():
    with Worker(config={"extensions": {"search": {"enable": True}}}) as worker:
        reply = worker.call("GET", MGMT)
        assert reply.status_code == 200 and reply.headers["Content-Type"] == "application/json", reply.text
        told = reply.json()
        assert set(told) == {"distSpecVersion", "commit", "releaseTag", "binaryType", "http"}
        assert told["http"] == {"auth": {}} and told["distSpecVersion"] == "1.1.1" and told["releaseTag"].startswith("v") and told["binaryType"] == "zot-worker"
        assert zots(worker) == [MGMT]
        # As zot spells it, for zli, which takes the entry whole.
        one, = [e for e in worker.call("GET", "/v2/_oci/ext/discover").json()["extensions"] if e["name"] == "_zot"]
        assert one["description"] == "zot registry extensions" and one["url"].startswith("https://")
        worker.push("a", "v1")
        assert [e["name"] for e in worker.call("GET", "/v2/a/_oci/ext/discover").json()["extensions"]] == ["_oci"]
        assert worker.call("HEAD", MGMT).status_code == 200
        assert worker.call("POST", MGMT).status_code == 405 and worker.call("GET", MGMT + "/x").status_code == 404


def test_who_is_to_log_in_is_told_how(tmp_path):
    """Nobody else is: with a query, or a password that is wrong, it is as any other path. Nothing of who there is is told."""
    write_htpasswd(tmp_path / "htpasswd")
    with Worker(ZOT_SEARCH="true", ZOT_HTPASSWD=tmp_path / "htpasswd", ZOT_APIKEY="true", ZOT_FAIL_DELAY="0") as worker:
        told = worker.call("GET", MGMT)
        assert told.status_code == 200 and told.json()["http"] == {"auth": {"htpasswd": {}, "apikey": True}}
        assert "ann" not in told.text and str(tmp_path) not in told.text
        # zli sends a login of nobody.
        assert worker.call("GET", MGMT, headers={"Authorization": "Basic Og=="}).status_code == 200
        assert worker.call("GET", MGMT + "?a=b").status_code == 401
        assert worker.call("GET", MGMT, auth=("ann", "not it")).status_code == 401
        assert worker.call("GET", "/v2/_oci/ext/discover").status_code == 401
        # A page of another site reads it, without cookies or logins.
        before = worker.call("OPTIONS", MGMT, headers={"Origin": "https://other.example", "Access-Control-Request-Method": "GET"})
        assert before.status_code == 204 and before.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in before.headers and "X-ZOT-API-CLIENT" in before.headers["Access-Control-Allow-Headers"]
        assert told.headers["Access-Control-Allow-Origin"] == "*"


def test_strangers_are_counted_in_the_rate_limit(tmp_path):
    with Worker(config={"extensions": {"search": {"enable": True}}, "http": {"ratelimit": {"rate": 5}}}) as worker:
        assert 429 in {worker.call("GET", MGMT).status_code for _ in range(200)}


def test_a_led_worker_tells_of_the_leaders_users():
    with Leader() as leader:
        settings = dict(CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers", CLUSTER_LEADER_CLIENT_SECRET=SECRET,
                        CLUSTER_WORKER_NAME="one", ZOT_SEARCH="true")
        with Worker(**settings) as worker:
            assert worker.call("GET", MGMT).json()["http"] == {"auth": {"htpasswd": {}, "apikey": True}}
    # Who has no state does not say that nobody need log in.
    worker = Worker(**{**settings, "CLUSTER_LEADER_URL": f"http://127.0.0.1:{free_port()}", "CLUSTER_WORKER_NAME": "two"})
    worker.in_a_hurry, worker.is_ready = True, lambda: True
    with worker:
        def ask():
            with contextlib.suppress(requests.RequestException):
                return worker.call("GET", MGMT).status_code
        assert await_true(ask) == 503
