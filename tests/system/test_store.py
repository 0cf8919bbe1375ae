# SPDX-License-Identifier: Apache-2.0
"""The suites of stores and of indexes, the same as for a folder, against real S3 servers, under the sanitizers; and a worker whose S3 goes away."""
import contextlib
import os
import pathlib
import socket
import threading

import pytest

import s3_servers
from registry import await_true
from worker_process import Worker

ASAN = pathlib.Path(os.environ.get("ZOT_BUILD_ASAN", pathlib.Path(__file__).parents[2] / "build/asan"))


@pytest.mark.parametrize("kind", ["moto", "radosgw"])
@pytest.mark.parametrize("suite", ["test_store_s3", "test_worker_indexes"])
def test_the_suite_on(suite, kind):
    assert s3_servers.run(kind, [str(ASAN / "tests/unit/worker" / suite)]) == 0


class Gate:
    """A port that leads to another one, until it is shut: then nothing listens, and what was open is cut."""

    def __init__(self, to):
        self.to, self.port, self.sockets, self.listener = to, 0, [], None
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.to))
                self.sockets += [client, server]
                for a, b in ((client, server), (server, client)):
                    threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    @staticmethod
    def pump(a, b):
        with contextlib.suppress(OSError):
            while piece := a.recv(65536):
                b.sendall(piece)
        with contextlib.suppress(OSError):
            b.shutdown(socket.SHUT_WR)

    def shut(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
        self.sockets = []


def test_an_s3_that_goes_away_is_told_and_found_again():
    with s3_servers.start("moto") as server:
        gate = Gate(int(server.endpoint.rsplit(":", 1)[1]))
        environment = {k: v for k, v in server.environment().items() if not k.startswith("ZOT_TEST")}
        with Worker(**{**environment, "S3_ENDPOINT": f"http://127.0.0.1:{gate.port}"}) as worker:
            worker.push("lib/app", "v1")
            ready = worker.call("GET", "/readyz")
            assert ready.status_code == 200 and "storage: ok" in ready.text
            gate.shut()
            await_true(lambda: worker.call("GET", "/readyz").status_code == 503, 60, "not ready")
            ready = worker.call("GET", "/readyz").text
            assert "storage: ok" not in ready and "spool: ok" in ready and "data: ok" in ready, ready
            assert worker.call("GET", "/livez").status_code == 200
            assert worker.call("GET", "/v2/lib/other/tags/list").status_code == 503
            gate.open()
            await_true(lambda: worker.call("GET", "/readyz").status_code == 200, 60, "ready again")
            worker.push("lib/app", "v2")
