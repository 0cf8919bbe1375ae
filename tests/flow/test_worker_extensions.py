# SPDX-License-Identifier: Apache-2.0
"""zot's small extensions: mgmt and the list of what there is, and lint."""
import contextlib
import json
import pathlib
import subprocess
import sys

import pytest
import requests

sys.path.append(str(pathlib.Path(__file__).parents[1] / "system"))

import s3_servers  # noqa: E402
from leader_process import SECRET, Leader  # noqa: E402
from test_isolated import member  # noqa: E402
from test_s3_push import s3_of  # noqa: E402
from test_worker_access import write_htpasswd  # noqa: E402
from worker_process import BUILD, MANIFEST, Worker, await_true, digest, free_port, image  # noqa: E402

MGMT = "/v2/_zot/ext/mgmt"
VENDOR, LICENSES = "org.opencontainers.image.vendor", "org.opencontainers.image.licenses"


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
        assert zots(worker) == ["/v2/_zot/ext/search", MGMT]
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


# Lint.

def named(*keys, **more):
    return image(annotations={key: "x" for key in keys}, **more)


def put(worker, name, tag, body):
    return worker.call("PUT", f"/v2/{name}/manifests/{tag}", data=body, headers={"Content-Type": MANIFEST})


def lint(worker, through=None, name="lib/app"):
    """Refused is what lacks a key, and then nothing of it is there; taken is what has all of them, here or there."""
    through = through or worker
    through.push_blob(name, b"{}")
    through.push_blob(name, b"layer")
    reply = put(through, name, "v1", named(VENDOR))
    assert reply.status_code == 400, reply.text
    error, = reply.json()["errors"]
    said = error["detail"] if isinstance(error.get("detail"), str) else json.dumps(error)
    assert error["code"] == "MANIFEST_INVALID" and LICENSES in said and VENDOR not in said
    assert worker.call("GET", f"/v2/{name}/manifests/v1").status_code == 404
    assert worker.call("GET", f"/v2/{name}/manifests/{digest(named(VENDOR))}").status_code == 404
    assert put(through, name, "v1", named(VENDOR, LICENSES)).status_code == 201
    labels = json.dumps({"config": {"Labels": {LICENSES: "MIT", "other": "y"}}}).encode()
    through.push_blob(name, labels)
    body = json.loads(named(VENDOR))
    body["config"].update(digest=digest(labels), size=len(labels))
    assert put(through, name, "v2", json.dumps(body).encode()).status_code == 201
    assert put(through, name, f"sha256-{'0' * 64}.sig", image()).status_code == 201


DEMANDS = {"ZOT_LINT_ANNOTATIONS": f"{VENDOR},{LICENSES}"}


def test_images_say_what_is_demanded():
    with Worker(config={"extensions": {"lint": {"enable": True, "mandatoryAnnotations": [VENDOR, LICENSES]}}}) as worker:
        lint(worker)
        # An index is of images that were looked at.
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
        reply = worker.call("PUT", "/v2/lib/app/manifests/all", data=json.dumps(index), headers={"Content-Type": index["mediaType"]})
        assert reply.status_code == 201, reply.text


def test_off_is_off():
    for more in ({}, {**DEMANDS, "ZOT_LINT": "false"}):
        with Worker(**more) as worker:
            worker.push("a", "v1")


def test_a_bucket_and_a_proxy_change_nothing(tmp_path):
    """The owner judges, whoever was asked; on a bucket the config is fetched from there."""
    with s3_servers.start("moto") as s3, Worker(**s3_of(s3), **DEMANDS) as worker:
        lint(worker)
    ports = [free_port(), free_port()]
    with member(tmp_path, ports, 0, **DEMANDS) as first, member(tmp_path, ports, 1, **DEMANDS) as second:
        for at in range(4):
            lint(second, first, f"lib/app-{at}")
        assert first.counter("proxied_total") > 0


@pytest.mark.parametrize("wrong, says", [
    ({"enable": True}, "extensions.lint.mandatoryAnnotations"), ({"mandatoryAnnotations": [""]}, "is empty"),
    ({"mandatoryAnnotations": [f"a{n}" for n in range(101)]}, "at most 100"), ({"mandatoryAnnotation": ["a"]}, "mandatoryAnnotations")])
def test_wrong_demands_are_named(wrong, says):
    worker = Worker(config={"extensions": {"lint": wrong}})
    worker.folder.mkdir(exist_ok=True)
    done = subprocess.run([BUILD / worker.program, "verify", str(worker.folder / "config.json")], env=worker.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and says in done.stderr, done
