# SPDX-License-Identifier: Apache-2.0
"""A real program in a folder of its own; what a worker and a leader have in common. The programs are taken from
$ZOT_BUILD (a CMake build folder). Whatever a test leaves running is ended.
"""
import functools
import os
import pathlib
import shutil
import signal
import subprocess

import requests

from registry import await_true

BUILD = pathlib.Path(os.environ.get("ZOT_BUILD", pathlib.Path(__file__).parents[2] / "build/asan"))


@functools.cache
def without_drain(program):
    """What is stopped ends at once. A build of a version before knows no such variable, and does not need it."""
    return {"CLUSTER_DRAIN_DELAY": "0"} if b"CLUSTER_DRAIN_DELAY" in (BUILD / program).read_bytes() else {}


class Program:
    """Who derives from it sets: folder, own (removed at the end), url, environment, session, process = None."""

    program = None  # "worker/zot-worker"
    arguments = ["serve"]
    user_of_process = None  # another user's id, where the tests are root's
    in_a_hurry = False  # at the end of a test nothing is waited for: its leader takes no member out of a ring

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        try:
            if self.process and self.process.poll() is None:
                self.end(*[signal.SIGTERM, signal.SIGINT][:2 if self.in_a_hurry else 1])
        finally:
            if self.own:
                shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([str(BUILD / self.program), *self.arguments], env=self.environment, stdout=log, stderr=log,
                                            start_new_session=True, user=self.user_of_process)
        await_true(self.is_ready, what=self.program)

    def program_path(self):
        return BUILD / self.program

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
        self.end(signal.SIGTERM)

    def end(self, *signals):
        for number in signals:
            self.process.send_signal(number)
        status = self.process.wait(60)
        assert status == 0, self.text()[-6000:]

    def kill(self):
        self.process.kill()
        self.process.wait()
