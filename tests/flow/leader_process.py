# SPDX-License-Identifier: Apache-2.0
"""One real zot-leader in a folder of its own, and scripted workers that talk to it.

    with Leader() as leader:
        leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
        worker = FakeWorker(leader, "one")
        worker.push()
"""
import os
import pathlib
import secrets
import tempfile

import requests

from program import Program, without_drain
from registry import free_port

SECRET = "a secret of the workers only"


class Leader(Program):
    program, own = "leader/zot-leader", True
    user, password = "admin", "a password for tests"

    def __init__(self, verify=None, **environment):
        """verify: a CA file, the port speaks TLS."""
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="zot-leader-"))
        self.port = free_port()
        self.url = f"{'https' if verify else 'http'}://127.0.0.1:{self.port}"
        self.environment = {
            "PATH": os.environ["PATH"], "PORT": str(self.port), "ZOT_LEADER_ADDRESS": "127.0.0.1", "CLUSTER_MODE": "leader",
            "ZOT_LEADER_DATA": str(self.folder / "data"), "ZOT_ADMIN_USER": self.user, "ZOT_ADMIN_PASSWORD": self.password,
            "CLUSTER_LEADER_CLIENT_ID": "workers", "CLUSTER_LEADER_CLIENT_SECRET": SECRET, "ZOT_LOG_LEVEL": "debug",
            **without_drain(self.program),
            **{k: str(v) for k, v in environment.items()}}
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = verify or True
        self.session.auth = (self.user, self.password)
        self.process = None

    def admin(self, method, path, body=None, **more):
        return self.session.request(method, self.url + path, json=body, timeout=60, **more)

    def members(self):
        return {m["name"]: m for m in self.admin("GET", "/api/cluster/members").json()["members"]}

    def revision(self):
        return self.admin("GET", "/api/cluster/members").json()["revision"]

    def new_key(self, **fields):
        reply = self.admin("POST", "/api/apikey", {"owner": self.user, **fields})
        assert reply.status_code == 201, reply.text
        return reply.json()

    def usage_of(self, key):
        """(calls, bytes in, bytes out) of this key, over all days."""
        rows = self.admin("GET", f"/api/usage?apikey={key['clientId']}").json()["usage"]
        return tuple(sum(row[name] for row in rows if "day" in row) for name in ("calls", "bytesIn", "bytesOut"))


class FakeWorker:
    """What a worker says to its leader, said by hand."""

    def __init__(self, leader, name, boot=None):
        self.leader, self.name, self.boot, self.seq = leader, name, boot or secrets.token_hex(16), 0
        self.process = secrets.token_hex(16)
        self.digests = {}  # of the states that it was told
        self.session = requests.Session()
        self.session.auth = ("workers", SECRET)

    def push(self, seq=None, **more):
        """One push; `seq` repeats an old one. Returns the reply."""
        if seq is None:
            self.seq += 1
            seq = self.seq
        body = {"worker": self.name, "process": self.process, "boot": self.boot, "seq": seq, "url": f"http://{self.name}:1", "state": "active",
                **more}
        return self.session.put(self.leader.url + "/api/cluster/quotas", json=body, timeout=30)

    def state(self, since=0, wait=0, digest=None, more="", **how):
        """Asks with the digest of that revision, if it was told; `more` ends the question."""
        digest = digest or self.digests.get(since)
        query = f"since={since}&wait={wait}" + (f"&digest={digest}" if digest else "") + more
        reply = self.session.get(f"{self.leader.url}/api/cluster/state?{query}", timeout=60, **how)
        if reply.status_code == 200:
            self.digests[int(reply.headers["Zot-State-Revision"])] = reply.headers["Zot-State-Result"]
        return reply
