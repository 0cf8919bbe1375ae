# SPDX-License-Identifier: Apache-2.0
"""The suites of stores and of indexes, the same as for a folder, against real S3 servers, under the sanitizers."""
import os
import pathlib

import pytest

import s3_servers

ASAN = pathlib.Path(os.environ.get("ZOT_BUILD_ASAN", pathlib.Path(__file__).parents[2] / "build/asan"))


@pytest.mark.parametrize("kind", ["moto", "radosgw"])
@pytest.mark.parametrize("suite", ["test_store_s3", "test_worker_indexes"])
def test_the_suite_on(suite, kind):
    assert s3_servers.run(kind, [str(ASAN / "tests/unit/worker" / suite)]) == 0
