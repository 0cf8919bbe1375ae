# SPDX-License-Identifier: Apache-2.0
"""s3_sink.c, built and run: a bucket that is never what a measurement waits for, or a strict one.

    with Sink("check", "refuse-unsigned") as sink:
        sink.environment()      for a worker
        sink.stats()
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from registry import free_port  # noqa: E402

OURS = ["buf", "check", "crc32c", "crypto", "error", "log", "str", "clock", "ip", "gentle"]


def build(source, folder):
    """A program of this folder, which may use what is in OURS."""
    program = pathlib.Path(folder) / source
    sources = [ROOT / f"tests/bench/{source}.c", *(ROOT / f"common/{name}.c" for name in OURS)]
    subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-I", str(ROOT), "-o", str(program),
                    *map(str, sources), "-lcrypto", "-lpthread"], check=True)
    return program


class Sink:
    def __init__(self, *how):
        self.how, self.port = how, free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.folder = tempfile.TemporaryDirectory(prefix="zot-sink-")

    def __enter__(self):
        program = build("s3_sink", self.folder.name)
        self.process = subprocess.Popen([str(program), str(self.port), *self.how])
        for _ in range(500):
            try:
                self.stats()
                return self
            except OSError:
                time.sleep(0.01)
        raise RuntimeError("the sink does not answer")

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()

    def environment(self):
        return {"S3_ENDPOINT": self.endpoint, "S3_BUCKET": "sink", "AWS_ACCESS_KEY_ID": "sink", "AWS_SECRET_ACCESS_KEY": "sink",
                "AWS_REGION": "us-east-1"}

    def stats(self):
        with urllib.request.urlopen(self.endpoint + "/stats", timeout=5) as reply:
            return json.load(reply)
