# SPDX-License-Identifier: Apache-2.0
"""A worker's state is its leader's: known by revision and digest, never half of one, and what the leader has now where it lost its own."""
import os
import re
import shutil
import signal

import pytest

from leader_process import SECRET, Leader
from scripted_leader import ScriptedLeader, digest_of, entity
from worker_process import Worker, await_true


@pytest.fixture
def leader():
    with ScriptedLeader() as one:
        yield one


def worker_of(leader, **more):
    return leader.worker(CLUSTER_WORKER_POLL_EVERY="100ms", CLUSTER_RETRY_DELAY="20ms", **more)


def applied(worker):
    return [int(n) for n in re.findall(r'state\.applied.*?revision"?[=:]"?(\d+)', worker.text())]


def awaits(worker, revision):
    await_true(lambda: applied(worker)[-1:] == [revision], seconds=60, what=f"revision {revision}")


def allowed(worker):
    """Whether anybody may read, which the policy says."""
    status = worker.call("GET", "/v2/app/manifests/v1").status_code
    assert status in (404, 401), status
    return status == 404


NOBODY = {"defaultPolicy": ["read"], "anonymousPolicy": []}


def keep_questions(leader):
    """The queries of all questions from now on."""
    asked, before = [], leader.state

    def state(call):
        asked.append(call.query)
        before(call)

    leader.state = state
    return asked


def test_a_worker_says_which_state_it_has(leader):
    asked = keep_questions(leader)
    with worker_of(leader):
        await_true(lambda: len(asked) >= 2, seconds=60, what="the second question")
    assert asked[0]["since"] == "0" and "digest" not in asked[0] and "whole" not in asked[0]
    assert asked[1]["since"] == str(leader.revision) and asked[1]["digest"] == digest_of(leader.entities()).hex() and "whole" not in asked[1]


def test_a_delta_that_leads_elsewhere_is_dropped_and_the_whole_is_asked_for(leader):
    """The worker has the revision and lacks something of it: what comes of the delta is not what the leader has."""
    with worker_of(leader) as worker:
        awaits(worker, 5)
        assert allowed(worker)
        more, told = [entity("user", "ann", 7, enabled=True)], []
        before = leader.entities
        leader.entities = lambda: [entity("policy", "**", 6, **NOBODY), *before()[1:], *more]

        def state(call):
            told.append(call.query)
            if "whole" not in call.query and call.query["since"] == "5":
                leader.revision = 7
                leader.say(call, leader.delta(5, 7, more, leader.entities()))
            else:
                leader.good_state(call)

        leader.state = state
        awaits(worker, 7)
        assert not allowed(worker)
        whole = next(query for query in told if "whole" in query)
        assert whole["since"] == "5" and whole["digest"] == told[0]["digest"]
        assert applied(worker) == [5, 7] and "digest" in re.search(r"state\.refused.*", worker.text())[0]
        await_true(lambda: "whole" not in told[-1], seconds=60, what="a question for a delta again")


@pytest.mark.parametrize("revision", [3, 5], ids=["an older one", "the same revision"])
def test_a_worker_follows_a_leader_that_was_restored(leader, revision):
    """A higher generation says that it was on purpose."""
    with worker_of(leader) as worker:
        awaits(worker, 5)
        assert allowed(worker)
        before = leader.entities
        leader.entities = lambda: [entity("policy", "**", 2, **NOBODY), *before()[1:]]
        leader.revision, leader.generation = revision, 2
        await_true(lambda: not allowed(worker), seconds=60, what="what the leader has now")
        awaits(worker, revision)
        # It stays with that, over its own end too.
        worker.stop()
        leader.state = lambda call: call.answer(500)
        worker.start()
        assert not allowed(worker)


def test_a_worker_refuses_revisions_that_come_a_second_time(tmp_path):
    """A real leader. The leader has lost a write, and makes another one of that revision while the worker is away."""
    with Leader() as leader:
        key = leader.new_key()
        login = (key["clientId"], key["clientSecret"])
        leader.stop()
        shutil.copytree(leader.folder / "data", tmp_path / "copy")
        leader.start()
        with Worker(CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers", CLUSTER_LEADER_CLIENT_SECRET=SECRET,
                    CLUSTER_WORKER_NAME="one", CLUSTER_RETRY_DELAY="20ms") as worker:
            await_true(lambda: len(leader.admin("GET", "/api/ring/ring").json()["members"]) == 1, what="the ring")
            leader.admin("PATCH", f"/api/apikey/{key['clientId']}", {"enabled": False})
            lost = leader.revision()
            awaits(worker, lost)
            assert worker.call("GET", "/v2/", auth=login).status_code == 401
            os.kill(worker.process.pid, signal.SIGSTOP)
            try:
                leader.kill()
                shutil.rmtree(leader.folder / "data")
                shutil.copytree(tmp_path / "copy", leader.folder / "data")
                leader.start()
                while leader.revision() < lost:
                    leader.admin("PATCH", f"/api/apikey/{key['clientId']}", {"label": f"of {leader.revision()}"})
            finally:
                os.kill(worker.process.pid, signal.SIGCONT)
            await_true(lambda: "history: " in worker.call("GET", "/readyz").text, seconds=60, what="the complaint")
            assert worker.call("GET", "/readyz").status_code == 200 and worker.call("GET", "/v2/", auth=login).status_code == 401
            assert applied(worker)[-1] == lost and "history.refused" in leader.text()
