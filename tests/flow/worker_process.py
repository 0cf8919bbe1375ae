# SPDX-License-Identifier: Apache-2.0
"""One real zot-worker in a folder of its own, and a small client for it.

    with Worker() as worker:
        worker.push("a/b", "v1")
"""
import json
import os
import pathlib
import re
import tempfile

import requests

from program import BUILD, Program, without_drain
from registry import CLUSTER_SECRET, MANIFEST, await_true, digest, free_port, image

__all__ = ["BUILD", "CLUSTER_SECRET", "MANIFEST", "Worker", "await_true", "digest", "free_port", "image"]


class Worker(Program):
    """config: zot's JSON as a dict, instead of variables for address, port and store. verify: a CA file, the port speaks TLS."""

    program = "worker/zot-worker"

    def __init__(self, folder=None, port=None, config=None, verify=None, **environment):
        self.own = folder is None
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="zot-flow-"))
        self.port = port or free_port()
        self.url = f"{'https' if verify else 'http'}://127.0.0.1:{self.port}"
        self.environment = {
            "PATH": os.environ["PATH"], "PORT": str(self.port), "ZOT_WORKER_ADDRESS": "127.0.0.1",
            "ZOT_STORAGE_ROOT": str(self.folder / "store"), "ZOT_WORKER_DATA": str(self.folder / "data"),
            "ZOT_LOG_LEVEL": "debug", **without_drain(self.program), **{k: str(v) for k, v in environment.items()}}
        if config is not None:
            for name in ("PORT", "ZOT_WORKER_ADDRESS", "ZOT_STORAGE_ROOT"):
                del self.environment[name]
            config.setdefault("storage", {}).setdefault("rootDirectory", str(self.folder / "store"))
            config.setdefault("http", {}).update(address="127.0.0.1", port=str(self.port))
            (self.folder / "config.json").write_text(json.dumps(config))
            self.arguments = ["serve", str(self.folder / "config.json")]
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = verify or True
        self.process = None

    def peak_rss(self):
        """MiB"""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024

    def counter(self, name, **more):
        text = self.session.get(self.url + "/metrics", **more).text
        return float(re.search(rf"^zot_{name}(?:{{[^}}]*}})? (\S+)$", text, re.M).group(1))

    # The registry, spoken by hand.

    def call(self, method, path, **more):
        return self.session.request(method, path if path.startswith("http") else self.url + path, timeout=120, **more)

    def start_upload(self, name):
        reply = self.call("POST", f"/v2/{name}/blobs/uploads/")
        assert reply.status_code == 202, reply.text
        return self.url + reply.headers["Location"]

    def push_blob(self, name, data, algorithm="sha256"):
        reply = self.call("PUT", self.start_upload(name), params={"digest": digest(data, algorithm)}, data=data)
        assert reply.status_code == 201, reply.text
        return digest(data, algorithm)

    def push(self, name, tag, layer=b"layer", **more):
        self.push_blob(name, b"{}")
        self.push_blob(name, layer)
        body = image(layer, **more)
        reply = self.call("PUT", f"/v2/{name}/manifests/{tag}", data=body, headers={"Content-Type": MANIFEST})
        assert reply.status_code == 201, reply.text
        return body
