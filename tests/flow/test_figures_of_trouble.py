# SPDX-License-Identifier: Apache-2.0
"""What the alert rules look at is told when it happens, and no longer when it is over."""
import contextlib
import itertools

import pytest

from figures import make_certificate, parse
from leader_process import SECRET, Leader
from test_worker_disk import disk, fill  # noqa: F401 a fixture
from worker_process import Worker, await_true


def figures(program):
    return parse(program.session.get(program.url + "/metrics", timeout=60).text)


def figure(program, name, **labels):
    family = figures(program).get(name)
    return family and family.samples.get(("", tuple(sorted(labels.items()))))


@pytest.fixture
def pair():
    with contextlib.ExitStack() as stack:
        leader = stack.enter_context(Leader())
        worker = stack.enter_context(Worker(CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers",
                                            CLUSTER_LEADER_CLIENT_SECRET=SECRET, CLUSTER_WORKER_NAME="one", CLUSTER_RETRY_DELAY="100ms"))
        worker.session.auth = (leader.user, leader.password)
        await_true(lambda: worker.call("GET", "/v2/").status_code == 200, what="the state")
        yield leader, worker


def test_a_used_up_quota_and_a_leader_that_is_away(pair):
    leader, worker = pair
    key = leader.new_key(dailyQuota=3)
    login = (key["clientId"], key["clientSecret"])
    await_true(lambda: worker.call("GET", "/v2/", auth=login).status_code == 200, what="the key")
    assert figure(worker, "zot_quota_refused_total") == 0
    await_true(lambda: worker.call("GET", "/v2/", auth=login).status_code == 429, what="the end of the quota")
    assert figure(worker, "zot_quota_refused_total") == 1 and figure(worker, "zot_rate_limited_total") == 0
    await_true(lambda: figure(worker, "zot_usage_unacknowledged_seconds") == 0, what="the acknowledgement")

    leader.kill()
    worker.push("lib/app", "v1")
    await_true(lambda: figure(worker, "zot_usage_unacknowledged_seconds") > 1, what="counts that nobody has")
    await_true(lambda: figure(worker, "zot_lease_left_seconds") == 0, 30, "the end of the lease")
    assert figure(worker, "zot_state_age_seconds") > 1
    leader.start()
    await_true(lambda: figure(worker, "zot_usage_unacknowledged_seconds") == 0, 30, "the acknowledgement")
    await_true(lambda: figure(worker, "zot_lease_left_seconds") > 0, 30, "the lease")


def test_a_full_disk_of_the_leader(disk):  # noqa: F811
    with Leader(ZOT_LEADER_DATA=disk / "data") as leader:
        assert figure(leader, "zot_leader_errors_total") == 0
        fill(disk)
        names = itertools.count()
        await_true(lambda: leader.admin("POST", "/api/user", {"id": f"user{next(names)}", "password": "a long password"}).status_code == 507, 30, "507")
        assert figure(leader, "zot_leader_errors_total") >= 1
        (disk / "filler").unlink()


def test_checks_of_disks_are_told_though_nobody_asks_readyz():
    with Worker(ZOT_SPOOL_SHARE=100, ZOT_SPOOL_LIMIT=1 << 20) as worker:
        await_true(lambda: figure(worker, "zot_check_ok", check="spool") == 1, what="the first answer")
        assert {figure(worker, "zot_check_ok", check=name) for name in ("storage", "spool", "data")} == {1}
        where = worker.start_upload("lib/app")
        assert worker.call("PATCH", where, data=bytes(1 << 20)).status_code == 202
        await_true(lambda: figure(worker, "zot_check_ok", check="spool") == 0, what="the full spool")
        assert figure(worker, "zot_check_ok", check="storage") == 1
        assert worker.call("DELETE", where).status_code == 204
        await_true(lambda: figure(worker, "zot_check_ok", check="spool") == 1, what="room")


def test_when_a_certificate_ends(tmp_path):
    tls, cert = make_certificate(tmp_path)
    with Worker(verify=cert, **tls) as worker:
        end = figure(worker, "zot_certificate_end_timestamp_seconds")
        start = figure(worker, "process_start_time_seconds")
        assert abs(end - start - 2 * 86400) < 600
    with Worker() as worker:
        assert figure(worker, "zot_certificate_end_timestamp_seconds") is None
