# SPDX-License-Identifier: Apache-2.0
"""Buckets as they are met: keys that are lent and end, redirects to them, hosts with the bucket in them, old signatures."""
import concurrent.futures
import contextlib
import os
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest
import requests

import s3_servers
from cluster import Cluster
from leader_process import Leader
from registry import await_true, digest, free_port
from s3_faults import Faults
from worker_process import BUILD, Worker


@pytest.fixture(scope="module")
def lender():
    with s3_servers.start("moto", keys_seconds=3600) as server:
        yield server


def keys_of(server):
    return {k: v for k, v in server.environment().items() if not k.startswith("ZOT_")}


@pytest.mark.parametrize("source", ["web identity", "container", "machine", "profile", "role by keys"])
def test_sources_of_keys(lender, source, tmp_path):
    environment = lender.lent(source, tmp_path)
    source = "profile" if source == "role by keys" else source
    with Worker(**environment) as worker:
        body = worker.push("a/b", "v1")
        assert worker.call("GET", "/v2/a/b/manifests/v1").content == body
        assert re.search(rf'"s3.credentials","source":"[^"]*{source}', worker.text()), worker.text()[-2000:]
        assert s3_servers.WEB_TOKEN not in worker.text()
    said = subprocess.run([BUILD / "worker/zot-worker", "verify"], env={**worker.environment}, capture_output=True, text=True)
    assert said.returncode == 0 and source in said.stdout, said


def test_keys_end_while_clients_push(tmp_path):
    """Each lives four seconds: nobody waits for the next, and no push fails."""
    with s3_servers.start("moto", keys_seconds=4) as server, Worker(**server.lent("web identity", tmp_path)) as worker:
        begun, pushes = time.monotonic(), 0

        def push(n):
            nonlocal pushes
            while server.times_lent().get("sts", 0) < 3:
                worker.push(f"a/r{n}", "v1", layer=os.urandom(1000))
                pushes += 1

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(push, n) for n in range(4)]:
                done.result()
        assert pushes >= 8 and time.monotonic() - begun >= 3


def test_keys_that_nobody_renews(tmp_path):
    """Good until they end, then 503 and a line that says why, and on it goes by itself."""
    with s3_servers.start("moto", keys_seconds=3) as server, Worker(**server.lent("web identity", tmp_path)) as worker:
        blob = f"/v2/a/b/blobs/{worker.push_blob('a/b', b'x')}"
        assert worker.call("HEAD", blob).status_code == 200
        (tmp_path / "token").write_text("another")
        reply, = await_true(lambda: [r for r in [worker.call("GET", blob)] if r.status_code != 200], what="the end of the keys")
        assert reply.status_code == 503 and "Retry-After" in reply.headers
        assert "AWS" not in reply.text and "token" not in reply.text, reply.text
        await_true(lambda: "InvalidIdentityToken" in worker.text(), what="the reason in the log")
        (tmp_path / "token").write_text(s3_servers.WEB_TOKEN)
        await_true(lambda: worker.call("GET", blob).status_code == 200, what="keys again")


def put_blob(server, name, data):
    """Not through a worker, whose cache would have it."""
    server.client().put_object(Bucket=server.bucket, Key=f"{name}/blobs/{digest(data).replace(':', '/')}", Body=data)
    return f"/v2/{name}/blobs/{digest(data)}"


PULLS = [({}, {}), ({"Range": "bytes=5-9"}, {}), ({"Range": "bytes=0-1,7-8"}, {}), ({}, {"ZOT_CACHE": "cache"})]


@pytest.mark.parametrize("headers,settings", PULLS, ids=["whole", "a part", "two parts", "into a cache"])
def test_keys_that_the_store_calls_ended_when_pulls_begin(lender, headers, settings, tmp_path):
    """Revoked long before their end: others are asked for, once for all, and no pull fails."""
    settings = {name: tmp_path / folder for name, folder in settings.items()}
    datas = [os.urandom(100_000) for _ in range(8)]
    blobs = [put_blob(lender, "ended/a", data) for data in datas]
    with Faults(lender.endpoint) as faults, Worker(**{**lender.lent("web identity", tmp_path), "S3_ENDPOINT": faults.endpoint}, **settings) as worker:
        worker.push("ended/b", "v1")
        before = lender.times_lent()["sts"]
        faults.revoke()
        with concurrent.futures.ThreadPoolExecutor(len(blobs)) as pool:
            replies = list(pool.map(lambda blob: worker.call("GET", blob, headers=headers), blobs))
        for reply, data in zip(replies, datas):
            assert reply.status_code == (206 if headers else 200), reply.text
            assert {"": reply.content == data, "bytes=5-9": reply.content == data[5:10]}.get(headers.get("Range", ""), data[7:9] in reply.content)
        assert sum(kind.startswith("revoked ended/a") for kind in faults.counts) >= 1 and lender.times_lent()["sts"] == before + 1


def test_keys_of_the_settings_that_are_refused_are_sent_once(lender):
    blob = put_blob(lender, "ended/c", b"x")
    with Faults(lender.endpoint) as faults, Worker(**{**keys_of(lender), "S3_ENDPOINT": faults.endpoint}) as worker:
        await_true(worker.is_ready, what="the worker")
        assert worker.call("HEAD", blob).status_code == 200
        faults.revoke()
        reply = worker.call("GET", blob)
        assert reply.status_code == 503 and int(reply.headers["Retry-After"]) > 0, reply.text
        assert sum(n for kind, n in faults.counts.items() if kind.startswith("revoked ended/c/blobs/")) == 1
        faults.revoked.clear()
        assert worker.call("GET", blob).content == b"x"


def test_a_pull_that_the_store_calls_too_old_is_signed_by_its_clock(lender):
    blob = put_blob(lender, "ended/d", b"x")
    with Faults(lender.endpoint) as faults, Worker(**{**keys_of(lender), "S3_ENDPOINT": faults.endpoint}) as worker:
        rule = faults.once("other clock", "^GET ended/d/blobs/")
        assert worker.call("GET", blob).content == b"x" and not rule.left
        assert '"s3.clock"' in worker.text()


@pytest.mark.parametrize("wrong,said", [
    ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere", "AWS_ROLE_ARN": s3_servers.ROLE}, "/nowhere"),
    ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/dev/null", "AWS_ROLE_ARN": s3_servers.ROLE}, "InvalidIdentityToken"),
    ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{endpoint}/keys", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "x"}, "403: no such token"),
    ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/keys"}, "169.254.170.23"),
    ({"AWS_PROFILE": "none"}, "has the profile"),
    ({"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"}, "hop limit"),
    ({}, "AWS_EC2_METADATA_DISABLED is true"),
    ({"AWS_ACCESS_KEY_ID": "a"}, "they go together"),
])
def test_a_start_without_keys(lender, wrong, said, tmp_path):
    environment = {"S3_ENDPOINT": lender.endpoint, "S3_BUCKET": lender.bucket, "HOME": str(tmp_path), "AWS_ENDPOINT_URL_STS": lender.endpoint,
                   "AWS_EC2_METADATA_DISABLED": "true", **{k: v.format(endpoint=lender.endpoint) for k, v in wrong.items()}}
    worker = Worker(**environment)
    done = subprocess.run([BUILD / "worker/zot-worker", "serve"], env=worker.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and said in done.stderr, done.stderr[-2000:]


# Redirects.

def location(worker, path, **more):
    reply = worker.call("GET", path, allow_redirects=False, **more)
    assert reply.status_code == 307, (reply.status_code, reply.text)
    return reply


def test_redirects(lender, tmp_path):
    environment = lender.lent("container", tmp_path)
    with Worker(ZOT_REDIRECT_BLOBS="true", ZOT_REDIRECT_EXPIRY="60s", **environment) as worker:
        data = os.urandom(100_000)
        blob = f"/v2/a/b/blobs/{worker.push_blob('a/b', data)}"
        reply = location(worker, blob)
        assert reply.headers["Docker-Content-Digest"] == digest(data) and reply.headers["Cache-Control"] == "no-store"
        url = reply.headers["Location"]
        assert url.startswith(lender.endpoint) and "X-Amz-Security-Token=" in url and 58 <= int(re.search(r"X-Amz-Expires=(\d+)", url)[1]) <= 61
        assert requests.get(url).content == data
        assert requests.get(url, headers={"Range": "bytes=10-19"}).content == data[10:20]
        assert requests.put(url, data=b"mine").status_code == 403
        followed = worker.call("GET", blob, headers={"Range": "bytes=99990-"})
        assert followed.status_code == 206 and followed.content == data[99990:]
        assert worker.counter("blob_redirects_total") == 2
        head = worker.call("HEAD", blob)
        assert head.status_code == 200 and head.headers["Content-Length"] == "100000"
        assert worker.call("GET", blob, headers={"If-None-Match": f'"{digest(data)}"'}, allow_redirects=False).status_code == 304
        assert worker.call("GET", blob, headers={"Range": "bytes=100000-"}, allow_redirects=False).status_code in (307, 416)
        missing = worker.call("GET", f"/v2/a/b/blobs/{digest(b'none')}", allow_redirects=False)
        assert missing.status_code == 404 and missing.json()["errors"][0]["code"] == "BLOB_UNKNOWN"


def test_a_redirect_ends_with_our_keys(tmp_path):
    with s3_servers.start("moto", keys_seconds=30) as server, Worker(ZOT_REDIRECT_BLOBS="true", **server.lent("machine", tmp_path)) as worker:
        blob = f"/v2/a/b/blobs/{worker.push_blob('a/b', b'x')}"
        url = location(worker, blob).headers["Location"]
        assert int(re.search(r"X-Amz-Expires=(\d+)", url)[1]) <= 31
        # As whoever has it, longer than it is good: it is refused as one that was changed.
        assert requests.get(url.replace("X-Amz-Expires=", "X-Amz-Expires=9")).status_code == 403


@pytest.mark.parametrize("client", ["skopeo", "crane"])
def test_clients_follow(lender, client, tmp_path):
    with Worker(ZOT_REDIRECT_BLOBS="true", S3_REDIRECT_ENDPOINT=lender.endpoint.replace("127.0.0.1", "localhost"), **keys_of(lender)) as worker:
        worker.push(f"clients/{client}", "v1", layer=os.urandom(2000))
        name = f"127.0.0.1:{worker.port}/clients/{client}:v1"
        command = {"skopeo": ["skopeo", "copy", "--src-tls-verify=false", f"docker://{name}", f"dir:{tmp_path}/image"],
                   "crane": ["crane", "pull", "--insecure", "--format=oci", name, str(tmp_path / "image")]}[client]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert worker.counter("blob_redirects_total") >= 2


def test_rights_are_asked_here(lender, tmp_path):
    (tmp_path / "htpasswd").write_text("u:$2y$05$cV9jWjA9wSjTTu/bTIX2Vu4nMFLJjH5nnp2dNF22d5i29qtMEnbJy\n")
    with Worker(ZOT_REDIRECT_BLOBS="true", ZOT_HTPASSWD=str(tmp_path / "htpasswd"), **keys_of(lender)) as worker:
        reply = worker.call("GET", f"/v2/a/b/blobs/{digest(b'x')}", allow_redirects=False)
        assert reply.status_code == 401 and "Location" not in reply.headers


def test_bytes_that_a_quota_counts_pass_through_here():
    with Cluster(store="moto", haproxy=False, workers=1, worker_environment={"ZOT_REDIRECT_BLOBS": "true"}) as cluster:
        worker, data = cluster.workers[0], os.urandom(1 << 20)
        where = worker.call("POST", "/v2/a/b/blobs/uploads/").headers["Location"]
        assert worker.call("PUT", where, params={"digest": digest(data)}, data=data).status_code == 201
        blob = f"/v2/a/b/blobs/{digest(data)}"
        assert worker.call("GET", blob, allow_redirects=False).status_code == 307
        key = cluster.new_key(monthlyBytes=3 << 20)
        login = {"auth": (key["clientId"], key["clientSecret"]), "allow_redirects": False}
        await_true(lambda: worker.call("HEAD", blob, **login).status_code == 200, what="the key at the worker")
        assert [worker.call("GET", blob, **login).status_code for _ in range(4)] == [200, 200, 200, 429]


# Backups of the state.

def test_a_leader_with_lent_keys(lender, tmp_path):
    environment = {"CLUSTER_BACKUP_ENABLED": "true", "CLUSTER_BACKUP_INSTANCE_CAN_WRITE": "true", "CLUSTER_BACKUP_EVERY": "100ms",
                   "CLUSTER_BACKUP_S3_ENDPOINT": lender.endpoint, "CLUSTER_BACKUP_S3_BUCKET": lender.bucket, "CLUSTER_BACKUP_S3_PATH": "state/of/it"}
    with Leader(**environment, **lender.lent("web identity", tmp_path)):
        await_true(lambda: lender.client().list_objects_v2(Bucket=lender.bucket, Prefix="state/of/it").get("KeyCount"), what="a backup")


# TLS.

class TlsBefore:
    """TLS of a certificate that nobody knows, in front of a server that speaks none."""

    def __init__(self, port, folder):
        self.port, self.behind = free_port(), port
        self.certificate, key = str(folder / "cert.pem"), str(folder / "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.certificate], check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with contextlib.suppress(OSError):
            client = self.context.wrap_socket(client, server_side=True)
            behind = socket.create_connection(("127.0.0.1", self.behind))
            threading.Thread(target=self.pump, args=(client, behind), daemon=True).start()
            self.pump(behind, client)

    @staticmethod
    def pump(source, into):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                into.sendall(data)
            into.shutdown(socket.SHUT_WR)


def test_certificates(lender, tmp_path):
    tls = TlsBefore(int(lender.endpoint.rpartition(":")[2]), tmp_path)
    server = {**keys_of(lender), "S3_ENDPOINT": f"https://127.0.0.1:{tls.port}"}
    for trust in {"S3_CA": tls.certificate}, {"S3_SKIP_VERIFY": "true"}:
        with Worker(**server, **trust) as worker:
            data = os.urandom(1000)
            worker.push("tls/a", "v1", layer=data)
            assert worker.call("GET", f"/v2/tls/a/blobs/{digest(data)}").content == data
    done = subprocess.run([BUILD / "worker/zot-worker", "serve"], env={**worker.environment, "S3_SKIP_VERIFY": ""}, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 1 and "certificate" in done.stderr.lower(), done.stderr[-2000:]
    driver = {"name": "s3", "bucket": lender.bucket, "region": lender.region, "regionendpoint": f"127.0.0.1:{tls.port}", "secure": True,
              "accesskey": lender.access_key, "secretkey": lender.secret_key}
    with Worker(config={"storage": {"storageDriver": {**driver, "skipverify": True}}}) as worker:
        worker.push("tls/b", "v1")
    plain = {**driver, "regionendpoint": f"127.0.0.1:{tls.behind}", "secure": False}
    with Worker(config={"storage": {"storageDriver": plain}}) as worker:
        worker.push("tls/c", "v1")


# Buckets of other kinds.

def test_the_bucket_in_the_host(lender):
    port = lender.endpoint.rpartition(":")[2]
    with Worker(**{**keys_of(lender), "S3_ENDPOINT": f"http://localhost:{port}", "S3_PATH_STYLE": "false"}) as worker:
        data = os.urandom(200_000)
        worker.push("hosts/a", "v1", layer=data)
        assert worker.call("GET", f"/v2/hosts/a/blobs/{digest(data)}").content == data
        assert f"{lender.bucket}.localhost" in worker.text()


def test_what_is_said_of_objects(lender):
    settings = {"S3_ENCRYPT": "true", "S3_STORAGE_CLASS": "STANDARD_IA", "S3_ACL": "bucket-owner-full-control"}
    with Worker(**settings, **keys_of(lender)) as worker:
        worker.push("said/a", "v1", layer=os.urandom(100))
        big = os.urandom(65 << 20)
        worker.push_blob("said/a", big)
        mounted = worker.call("POST", "/v2/said/b/blobs/uploads/", params={"mount": digest(big), "from": "said/a"})
        assert mounted.status_code == 201
    s3 = lender.client()
    found = {item["Key"]: s3.head_object(Bucket=lender.bucket, Key=item["Key"])
             for item in s3.list_objects_v2(Bucket=lender.bucket, Prefix="said/")["Contents"]}
    assert any(key.endswith("index.json") for key in found) and f"said/b/blobs/sha256/{digest(big)[7:]}" in found
    for key, head in found.items():
        assert head["ServerSideEncryption"] == "AES256", key
        assert head.get("StorageClass", "STANDARD") == ("STANDARD_IA" if "/blobs/" in key else "STANDARD"), key


def push_and_pull(worker):
    data = os.urandom(70 << 20)
    worker.push("old/a", "v1", layer=data)
    assert worker.call("GET", f"/v2/old/a/blobs/{digest(data)}").content == data
    assert worker.call("GET", "/v2/old/a/tags/list").json()["tags"] == ["v1"]
    assert worker.call("GET", "/v2/_catalog").json()["repositories"] == ["old/a"]
    unused = worker.push_blob("old/a", b"nobody names this")
    assert worker.call("DELETE", f"/v2/old/a/blobs/{unused}").status_code == 202
    assert worker.call("HEAD", f"/v2/old/a/blobs/{unused}").status_code == 404
    assert requests.get(location(worker, f"/v2/old/a/blobs/{digest(data)}").headers["Location"]).content == data


KINDS = ["moto", "radosgw"] if os.environ.get("SCALE") == "full" else ["moto"]


@pytest.mark.parametrize("kind", KINDS)
def test_signatures_of_version_2(kind):
    with s3_servers.start(kind) as server:
        with Worker(S3_V4AUTH="false", ZOT_REDIRECT_BLOBS="true", **keys_of(server)) as worker:
            push_and_pull(worker)
        wrong = {**keys_of(server), "AWS_SECRET_ACCESS_KEY": "another"}
        refused = subprocess.run([BUILD / "worker/zot-worker", "serve"], env={**worker.environment, "S3_V4AUTH": "false", **wrong},
                                 capture_output=True, text=True, timeout=60)
        assert refused.returncode == 1 and "403" in refused.stderr, refused.stderr[-2000:]
