# SPDX-License-Identifier: Apache-2.0
"""One real zot-worker in a folder of its own, and a small client for it.

    with Worker() as worker:
        worker.push("a/b", "v1")

The program is taken from $ZOT_BUILD (a CMake build folder). Whatever a test leaves running is ended.
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import requests

BUILD = pathlib.Path(os.environ.get("ZOT_BUILD", pathlib.Path(__file__).parents[2] / "build/asan"))
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def digest(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def image(layer=b"layer", **more):
    """Bytes of a manifest for this layer and the config {}."""
    def descriptor(kind, data):
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    return json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", b"{}"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)], **more}).encode()


def await_true(question, seconds=30, what="it"):
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"{what} did not come true in {seconds} s"
        time.sleep(0.01)


class Worker:
    """config: zot's JSON as a dict, instead of variables for address, port and store. verify: a CA file, the port speaks TLS."""

    def __init__(self, folder=None, port=None, config=None, verify=None, **environment):
        self.own = folder is None
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="zot-flow-"))
        self.port = port or free_port()
        self.url = f"{'https' if verify else 'http'}://127.0.0.1:{self.port}"
        self.arguments = ["serve"]
        self.environment = {
            "PATH": os.environ["PATH"], "PORT": str(self.port), "ZOT_WORKER_ADDRESS": "127.0.0.1",
            "ZOT_STORAGE_ROOT": str(self.folder / "store"), "ZOT_WORKER_DATA": str(self.folder / "data"),
            "ZOT_LOG_LEVEL": "debug", **{k: str(v) for k, v in environment.items()}}
        if config is not None:
            for name in ("PORT", "ZOT_WORKER_ADDRESS", "ZOT_STORAGE_ROOT"):
                del self.environment[name]
            config.setdefault("storage", {}).setdefault("rootDirectory", str(self.folder / "store"))
            config.setdefault("http", {}).update(address="127.0.0.1", port=str(self.port))
            (self.folder / "config.json").write_text(json.dumps(config))
            self.arguments.append(str(self.folder / "config.json"))
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = verify or True
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        try:
            if self.process and self.process.poll() is None:
                self.stop()
        finally:
            if self.own:
                shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen([str(BUILD / "worker/zot-worker"), *self.arguments], env=self.environment, stdout=self.log,
                                        stderr=self.log, start_new_session=True)
        await_true(self.is_ready, what="the worker")

    def is_ready(self):
        assert self.process.poll() is None, self.text()
        try:
            return self.session.get(self.url + "/readyz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def text(self):
        return (self.folder / "log").read_text(errors="replace")

    def stop(self):
        """An orderly stop; sanitizers' complaints make the status non-zero."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        assert status == 0, self.text()[-6000:]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def peak_rss(self):
        """MiB"""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) / 1024

    def counter(self, name):
        text = self.session.get(self.url + "/metrics").text
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
