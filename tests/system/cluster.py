# SPDX-License-Identifier: Apache-2.0
"""A whole deployment for a test: one leader (or several on one Redis), some workers, one store, HAProxy; everything on 127.0.0.1.

    with Cluster(store="fs", workers=3) as cluster:
        cluster.push("a/b", "v1", through=cluster.workers[0])

store: "fs" (a folder that all share), "own" (a folder for each worker: isolated), "moto" or "radosgw" (real S3 servers, see s3_servers.py),
"moto that lends keys" (for a web identity, good for 6 seconds). The programs are taken
from $ZOT_BUILD (a CMake build folder, default build/release). Whatever was started is ended, also after a failure.
"""
import contextlib
import csv
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid

import requests

import s3_servers
from redis_server import RedisServer
from registry import MANIFEST, await_true, digest, free_port, image

BUILD = pathlib.Path(os.environ.get("ZOT_BUILD", pathlib.Path(__file__).parents[2] / "build/release"))
LEADER_SECRET = "a secret of the workers only"


class Process:
    """One of ours, with its log and a session of requests."""

    def __init__(self, cluster, name, command, port, environment):
        self.cluster, self.name, self.command, self.port = cluster, name, command, port
        self.environment = {"PATH": os.environ["PATH"], "CLUSTER_DRAIN_DELAY": "0", **{k: str(v) for k, v in environment.items()}}
        self.url = f"{cluster.scheme}://127.0.0.1:{port}"
        self.log = cluster.folder / f"{name}.log"
        self.process = None
        self.session = requests.Session()
        self.session.trust_env = False  # a CA of the environment would be taken instead of ours
        self.session.verify = cluster.ca or True
        self.session.auth = (cluster.user, cluster.password)

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self):
        await_true(self.is_ready, 40, f"{self.name} ready")

    def is_ready(self):
        assert self.process.poll() is None, f"{self.name} ended: {self.log.read_text()[-3000:]}"
        try:
            return self.session.get(self.url + "/readyz", timeout=5, auth=("", "")).status_code == 200
        except requests.RequestException:
            return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        assert status == 0, f"{self.name} ended with {status}: {self.log.read_text()[-3000:]}"

    def end(self):
        if self.process and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def call(self, method, path, **more):
        more.setdefault("timeout", 60)
        return self.session.request(method, self.url + path, **more)


class Cluster:
    user, password = "admin", "a password for tests"

    def __init__(self, store="fs", workers=3, haproxy=True, lease_ms=None, worker_environment=None, tls=False, leader_environment=None,
                 leaders=None, cache=False):
        """leaders: so many on a Redis; None: one, with SQLite. cache: each worker has one before the bucket."""
        self.kind, self.count, self.with_haproxy, self.lease_ms = store, workers, haproxy, lease_ms
        self.extra, self.leader_extra = worker_environment or {}, leader_environment or {}
        self.tls, self.scheme, self.ca, self.shared_environment = tls, "https" if tls else "http", None, {}
        self.leaders_wanted, self.leaders, self.redis = leaders, [], None
        self.cache = cache
        self.ends = contextlib.ExitStack()

    def __enter__(self):
        try:
            self.open()
        except BaseException:
            self.ends.close()
            raise
        return self

    def __exit__(self, kind, *rest):
        if kind:
            for process in self.leaders + self.workers:
                print(f"---- {process.name}\n{process.log.read_text(errors='replace')[-1500:]}")
        self.ends.close()

    def open(self):
        # Podman reads a folder as a reference: mkdtemp()'s names may end in an underscore, which no part of one does.
        self.folder = pathlib.Path(tempfile.gettempdir()) / f"zot-system-{uuid.uuid4().hex[:12]}"
        self.folder.mkdir(mode=0o700)
        self.ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.workers = []
        if self.tls:
            self.make_certificate()
        self.store_environment = self.open_store()
        if self.leaders_wanted:
            self.redis = self.ends.enter_context(RedisServer(self.folder / "redis"))
        for i in range(self.leaders_wanted or 1):
            self.leaders.append(self.leader_process(f"leader-{i}" if self.leaders_wanted else "leader").start())
        if self.lease_ms:
            reply = self.admin("PATCH", "/api/settings/cluster", {"leaseMs": self.lease_ms, "pushEveryMs": max(100, self.lease_ms // 3)})
            assert reply.status_code == 200, reply.text
        for i in range(self.count):
            self.workers.append(self.worker(f"worker-{i}"))
        for worker in self.workers:
            worker.start(wait=False)
        for worker in self.workers:
            worker.wait_ready()
        self.wait_active(self.count)
        if self.with_haproxy:
            self.front = self.open_haproxy()

    def make_certificate(self):
        self.ca, key = str(self.folder / "cert.pem"), str(self.folder / "key.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                        "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.ca], check=True, capture_output=True)
        self.shared_environment = {"ZOT_TLS_CERT": self.ca, "ZOT_TLS_KEY": key, "ZOT_PEER_CA": self.ca}

    def open_store(self):
        if self.kind == "fs":
            return {"ZOT_STORAGE_ROOT": self.folder / "store"}
        if self.kind == "moto that lends keys":
            self.s3 = self.ends.enter_context(s3_servers.start("moto", keys_seconds=6))
            return self.s3.lent("web identity", self.folder)
        if self.kind == "own":
            return {}
        self.s3 = self.ends.enter_context(s3_servers.start(self.kind))
        return {k: v for k, v in self.s3.environment().items() if not k.startswith("ZOT_TEST_")}

    @property
    def leader(self):
        return self.leaders[0]

    def leader_process(self, name, **more):
        port = free_port()
        store = {"REDIS_URL": self.redis.url} if self.redis else {}
        if self.kind == "own":
            store["ZOT_CLUSTER_ISOLATED"] = "true"
        return self.add(Process(self, name, [str(BUILD / "leader/zot-leader"), "serve"], port, {
            "PORT": port, "ZOT_LEADER_ADDRESS": "127.0.0.1", "ZOT_LEADER_DATA": self.folder / name, "CLUSTER_MODE": "leader", **store,
            "CLUSTER_LEADER_NAME": name, "ZOT_ADMIN_USER": self.user, "ZOT_ADMIN_PASSWORD": self.password, "CLUSTER_LEADER_CLIENT_ID": "workers",
            "CLUSTER_LEADER_CLIENT_SECRET": LEADER_SECRET, **self.shared_environment, **self.leader_extra, **more}))

    def add(self, process):
        self.ends.callback(process.end)
        return process

    def worker(self, name, leaders=None, **more):
        """leaders: those that it knows; None: all."""
        port, known = free_port(), leaders or self.leaders
        urls = "CLUSTER_LEADER_URLS" if len(known) > 1 else "CLUSTER_LEADER_URL"
        led = {"CLUSTER_MODE": "worker", urls: ",".join(leader.url for leader in known), "CLUSTER_LEADER_CLIENT_ID": "workers",
               "CLUSTER_LEADER_CLIENT_SECRET": LEADER_SECRET}
        if {**self.extra, **more}.get("CLUSTER_MODE") == "off":
            led = {}
        if self.cache:
            led["ZOT_CACHE"] = self.folder / f"{name}-cache"
        if self.kind == "own":
            led["ZOT_STORAGE_ROOT"] = self.folder / f"store-{name}"
        return self.add(Process(self, name, [str(BUILD / "worker/zot-worker"), "serve"], port, {
            "PORT": port, "ZOT_WORKER_ADDRESS": "127.0.0.1", "ZOT_WORKER_DATA": self.folder / name, **led,
            "CLUSTER_WORKER_NAME": name, "CLUSTER_SELF_ADDRESS": f"{self.scheme}://127.0.0.1:{port}",
            **self.shared_environment, **self.store_environment, **self.extra, **more}))

    def open_haproxy(self):
        port = free_port()
        template = (pathlib.Path(__file__).parents[2] / "deploy/haproxy.cfg").read_text()
        servers = "\n".join(f"    server {w.name} 127.0.0.1:{w.port} check inter 500ms" for w in self.workers)
        kept = [line for line in template.splitlines() if not line.strip().startswith(("server ", "bind "))]
        text = "\n".join(kept).replace("frontend registry", f"frontend registry\n    bind 127.0.0.1:{port}")
        text = text.replace("global\n", f"global\n    stats socket {self.folder}/haproxy.stats\n")
        (self.folder / "haproxy.cfg").write_text(text + "\n" + servers + "\n")
        haproxy = self.add(Process(self, "haproxy", ["haproxy", "-db", "-f", str(self.folder / "haproxy.cfg")], port, {}))
        return haproxy.start()

    def is_up_at_haproxy(self, worker):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.folder / "haproxy.stats"))
            s.sendall(b"show stat\n")
            rows = csv.DictReader(s.makefile().read().lstrip("# ").splitlines())
            return next(row["status"] for row in rows if row["svname"] == worker.name) == "UP"

    # The leader.

    def admin(self, method, path, body=None, **more):
        return self.leader.call(method, path, json=body, **more)

    def members(self):
        return self.admin("GET", "/api/cluster/members").json()["members"]

    def wait_active(self, count):
        await_true(lambda: len(self.active()) == count, 30, f"{count} active members")
        # The ring is published after its members have changed, and heard after that.
        ring = await_true(lambda: self.ring_of(self.active()), 30, "their ring")
        await_true(lambda: all(m["revision"] >= ring["revision"] for m in self.active()), 30, "the ring at all members")

    def active(self):
        return [m for m in self.members() if m["state"] == "active"]

    def ring_of(self, members):
        """The newest one, if it has all of these."""
        ring = self.admin("GET", "/api/ring/ring").json()
        return ring if {m["name"] for m in members} <= {m["id"] for m in ring.get("members", []) if m["state"] == "active"} else None

    def new_key(self, **fields):
        reply = self.admin("POST", "/api/apikey", {"owner": self.user, "label": "test", **fields})
        assert reply.status_code == 201, reply.text
        return reply.json()

    # The registry, spoken by hand; `through` is a Process.

    def push_blob(self, name, data, through):
        reply = through.call("POST", f"/v2/{name}/blobs/uploads/")
        assert reply.status_code == 202, (reply.status_code, reply.text)
        reply = through.call("PUT", reply.headers["Location"], params={"digest": digest(data)}, data=data)
        assert reply.status_code == 201, (reply.status_code, reply.text)

    def push(self, name, tag, through, layer=b"layer"):
        self.push_blob(name, b"{}", through)
        self.push_blob(name, layer, through)
        return self.push_manifest(name, tag, through, layer)

    def push_manifest(self, name, tag, through, layer):
        body = image(layer)
        reply = through.call("PUT", f"/v2/{name}/manifests/{tag}", data=body, headers={"Content-Type": MANIFEST})
        assert reply.status_code == 201, (reply.status_code, reply.text)
        return body

    def owner_of(self, name):
        """Only the owner does not send a question for the tags on. For a moment behind a change of the ring nobody may be."""
        return await_true(lambda: next((worker for worker in self.workers if self.is_owner(worker, name)), None), 30, f"an owner of {name}")

    def is_owner(self, worker, name):
        before = proxied(worker)
        return worker.call("GET", f"/v2/{name}/tags/list").status_code != 503 and proxied(worker) == before


def proxied(worker):
    for line in worker.call("GET", "/metrics").text.splitlines():
        if line.startswith("zot_proxied_total"):
            return float(line.split()[-1])
    raise AssertionError("no zot_proxied_total in /metrics")
