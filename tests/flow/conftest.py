# SPDX-License-Identifier: Apache-2.0
import pytest

from worker_process import Worker


@pytest.fixture
def worker():
    with Worker() as one:
        yield one
