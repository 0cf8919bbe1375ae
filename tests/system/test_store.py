# SPDX-License-Identifier: Apache-2.0
"""The suites of stores and of indexes, the same as for a folder, against real S3 servers, under the sanitizers; and a worker whose S3 goes away."""
import os
import pathlib

import pytest

import s3_servers
from gates import Gate
from registry import await_true
from worker_process import Worker

ASAN = pathlib.Path(os.environ.get("ZOT_BUILD_ASAN", pathlib.Path(__file__).parents[2] / "build/asan"))


@pytest.mark.parametrize("kind", ["moto", "radosgw"])
@pytest.mark.parametrize("suite", ["test_store_s3", "test_worker_index_indexes"])
def test_the_suite_on(suite, kind):
    assert s3_servers.run(kind, [str(ASAN / "tests/unit/worker" / suite)]) == 0


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
