# SPDX-License-Identifier: Apache-2.0
"""A worker keeps its state where a leader has one of another history, says so, and goes on with what is meant to follow."""
import hashlib
import json

import msgpack
import pytest
import requests

from leader_process import FakeWorker, Leader
from scripted_leader import ScriptedLeader, digest_of, entity
from worker_process import Worker, await_true, free_port

OTHER = "0f" * 16
NOBODY = {"defaultPolicy": ["read"], "anonymousPolicy": []}


@pytest.fixture
def leader():
    with ScriptedLeader() as one:
        yield one


@pytest.fixture
def worker(leader):
    with leader.worker(CLUSTER_WORKER_POLL_EVERY="100ms", CLUSTER_RETRY_DELAY="20ms", CLUSTER_WORKER_PUSH_EVERY="200ms") as one:
        yield one


def allowed(worker):
    status = worker.call("GET", "/v2/app/manifests/v1").status_code
    assert status in (404, 401), status
    return status == 404


def ready(worker):
    reply = worker.call("GET", "/readyz")
    return reply.status_code, reply.text


def complains(worker):
    return "\nhistory: " in ready(worker)[1]


def shut(leader):
    """From now on nobody may do anything, says the leader."""
    before = leader.entities
    leader.entities = lambda: [entity("policy", "**", 1, **NOBODY), *before()[1:]]


def says(leader, position):
    """The leader gives a state, whatever it is asked, and says that about the pair."""
    def state(call):
        document = leader.document()
        call.answer(200, document, {**leader.head(document), **leader.claim(position)})

    leader.state = state


def foreign(leader):
    leader.cluster, leader.revision = OTHER, 3
    says(leader, "unknown")


def rewound(leader):
    leader.revision = 3
    says(leader, "unknown")


def restored_over(leader):
    leader.generation, leader.revision = 1, 7
    says(leader, "known")


def silent(leader):
    leader.revision = 7
    leader.state = lambda call: call.answer(200, leader.document(), {
        name: value for name, value in leader.head(leader.document()).items() if not name.startswith("Zot-Cluster")})


def refusing(leader):
    """As a real one does."""
    leader.cluster, leader.revision = OTHER, 3
    leader.state = lambda call: call.answer(409, b"{}", leader.claim("unknown"))


@pytest.mark.parametrize("what", [foreign, rewound, restored_over, silent, refusing])
def test_what_does_not_follow_is_refused(what):
    with ScriptedLeader() as leader:
        leader.generation = 4
        with leader.worker(CLUSTER_WORKER_POLL_EVERY="100ms", CLUSTER_RETRY_DELAY="20ms") as worker:
            await_true(lambda: "state.applied" in worker.text(), seconds=60, what="the first state")
            assert allowed(worker) and not complains(worker)
            was = leader.cluster
            shut(leader)
            what(leader)
            await_true(lambda: complains(worker), seconds=60, what="the complaint")
            before = leader.polls
            await_true(lambda: leader.polls >= before + 3, seconds=60, what="that it asks on")
            assert allowed(worker), "what it has is served on"
            status, text = ready(worker)
            assert status == 200 and leader.url in text and was in text and "revision 5" in text
            assert '"kind":"history"' in worker.text().replace(" ", "") or "kind=history" in worker.text()
            # It is on the disk, too, with nothing of the other.
            worker.stop()
            worker.start()
            await_true(lambda: complains(worker), seconds=60, what="the complaint")
            assert allowed(worker)


def test_the_way_out_is_said(leader, worker):
    was = leader.cluster
    foreign(leader)
    await_true(lambda: complains(worker), seconds=60, what="the complaint")
    text = ready(worker)[1]
    assert "zot-leader restore" in text and f"ZOT_CLUSTER_REPLACES={was}" in text and OTHER in text


def test_a_leader_that_is_good_again_ends_the_complaint(leader, worker):
    cluster, good = leader.cluster, leader.good_state
    foreign(leader)
    await_true(lambda: complains(worker), seconds=60, what="the complaint")
    leader.cluster, leader.revision, leader.state = cluster, 5, good
    await_true(lambda: not complains(worker), seconds=60, what="its end")


def test_a_higher_generation_is_followed_and_a_new_beginning_too(leader, worker):
    was = leader.cluster
    assert allowed(worker)
    leader.generation, leader.revision = 2, 3
    says(leader, "unknown")
    shut(leader)
    await_true(lambda: not allowed(worker), seconds=60, what="the restored state")
    leader.cluster, leader.generation = OTHER, 1
    await_true(lambda: complains(worker), seconds=60, what="the complaint")
    before = leader.claim
    leader.claim = lambda position="known": {**before(position), "Zot-Cluster-Replaces": was}
    # Whoever has followed is known; otherwise it would complain of a leader that went back.
    says(leader, "known")
    await_true(lambda: not complains(worker), seconds=60, what="the new beginning")
    # Its data is lost once more; the setting is still there, and names what was given up before.
    leader.cluster = "aa" * 16
    await_true(lambda: complains(worker), seconds=60, what="the complaint about the third")
    assert OTHER in ready(worker)[1]


def test_a_generation_is_noted_though_nothing_changed(leader, worker):
    """The state is the same after the restore: a copy from before it is refused from then on."""
    await_true(lambda: "state.applied" in worker.text(), seconds=60, what="the first state")
    leader.generation = 9
    before = worker.text().count("state.applied")
    await_true(lambda: worker.text().count("state.applied") > before, seconds=60, what="the state again")
    leader.generation = 8
    await_true(lambda: complains(worker), seconds=60, what="the complaint")


def test_counts_wait_for_their_own_leader(leader, worker):
    """A leader that says 409 about the history gets them later, unchanged; they are not put aside."""
    def refuse(call):
        call.answer(409, json.dumps({"error": {"code": "history", "message": "another"}}).encode(), leader.claim("unknown"))

    good, counted = leader.good_push, []
    leader.push = refuse
    before = leader.pushes
    worker.push("app", "v1")
    await_true(lambda: leader.pushes >= before + 4, seconds=60, what="reports that are refused")

    def take(call):
        body = json.loads(call.body)
        counted.extend(row for row in body.get("repositories", []) if row["name"] == "app")
        good(call)

    leader.push = take
    await_true(lambda: sum(row["pushes"] for row in counted) == 1, seconds=60, what="the push, once")
    assert not (worker.folder / "data" / "usage.refused").exists()


def test_of_two_leaders_the_one_of_another_history_is_left(leader):
    with ScriptedLeader() as second:
        second.cluster, second.revision = OTHER, 9
        second.state = second.good_state
        both = {"CLUSTER_WORKER_POLL_EVERY": "100ms", "CLUSTER_RETRY_DELAY": "20ms"}
        with leader.worker(**both) as worker:
            second.member = leader.member
            await_true(lambda: "state.applied" in worker.text(), seconds=60, what="the first state")
            worker.stop()
            del worker.environment["CLUSTER_LEADER_URL"]
            worker.environment["CLUSTER_LEADER_URLS"] = f"{second.url},{leader.url}"
            leader.state = lambda call: call.answer(503)
            worker.start()
            await_true(lambda: complains(worker), seconds=60, what="the complaint")
            assert second.url in ready(worker)[1] and allowed(worker)
            leader.state = leader.good_state
            before = leader.polls
            await_true(lambda: leader.polls >= before + 2, seconds=60, what="its own leader")
            assert complains(worker), "as long as the other is one of its leaders"


# Before the first state.


class Unready(Worker):
    """One that is not waited for until it is ready."""

    def is_ready(self):
        assert self.process.poll() is None, self.text()
        try:
            return self.call("GET", "/livez").status_code == 200
        except requests.ConnectionError:
            return False


@pytest.mark.parametrize("what, named", [(lambda leader: None, "CLUSTER_LEADER_URL"), (lambda leader: lambda call: call.answer(401), "CLUSTER_LEADER_CLIENT_SECRET")],
                         ids=["no leader", "a wrong secret"])
def test_without_any_state_nothing_is_served(leader, what, named):
    leader.state = what(leader) or leader.state
    wrong = {} if what(leader) else {"CLUSTER_LEADER_URL": f"http://127.0.0.1:{free_port()}"}
    port = free_port()
    leader.member = {"id": "one", "url": f"http://127.0.0.1:{port}", "state": "active"}
    environment = {"CLUSTER_MODE": "worker", "CLUSTER_LEADER_URL": leader.url, "CLUSTER_LEADER_CLIENT_ID": "workers",
                   "CLUSTER_LEADER_CLIENT_SECRET": "a secret of the workers only", "CLUSTER_WORKER_NAME": "one",
                   "CLUSTER_WORKER_POLL_EVERY": "100ms", "CLUSTER_RETRY_DELAY": "20ms", **wrong}
    with Unready(port=port, **environment) as worker:
        await_true(lambda: named in ready(worker)[1], seconds=60, what="what is wrong")
        status, text = ready(worker)
        assert status == 503 and "\nstate: none yet" in text
        for method, path in [("GET", "/v2/"), ("GET", "/v2/app/manifests/v1"), ("POST", "/v2/app/blobs/uploads/")]:
            reply = worker.call(method, path)
            assert reply.status_code == 503 and int(reply.headers["Retry-After"]) > 0, (method, path)
            assert reply.json()["errors"][0]["code"] == "UNAVAILABLE"
        assert "kind=state" in worker.text() or '"kind":"state"' in worker.text()
        if not wrong:
            leader.state = leader.good_state
            await_true(lambda: ready(worker)[0] == 200, seconds=60, what="ready, with the state")
            assert allowed(worker) and "none yet" not in ready(worker)[1]


# On the disk.


def test_a_damaged_file_is_replaced_by_the_state_before_it(leader):
    with leader.worker(CLUSTER_WORKER_POLL_EVERY="100ms", CLUSTER_RETRY_DELAY="20ms") as worker:
        path = worker.folder / "data" / "state.bin"
        await_true(path.exists, seconds=60, what="the file")
        shut(leader)
        leader.revision = 6
        older = path.with_name("state.bin.1")
        await_true(older.exists, seconds=60, what="the older file")
        await_true(lambda: not allowed(worker), seconds=60, what="the newer state")
        worker.stop()
        path.write_bytes(path.read_bytes()[:-1])
        leader.state = lambda call: call.answer(500)
        worker.start()
        assert allowed(worker) and "damaged" in worker.text()


def test_a_file_of_before_takes_the_cluster_of_who_knows_it(leader):
    """It has no cluster in it. The leader that knows its pair is its own; one that does not is not."""
    with leader.worker(CLUSTER_WORKER_POLL_EVERY="100ms", CLUSTER_RETRY_DELAY="20ms") as worker:
        path = worker.folder / "data" / "state.bin"
        await_true(path.exists, seconds=60, what="the file")
        worker.stop()
        entities = leader.entities()
        old = msgpack.packb({"v": 2, "kind": "full", "from": 0, "revision": 5, "entities": entities, "digest": digest_of(entities)})
        path.write_bytes(b"ZOTSTATE1" + hashlib.sha256(old).digest() + old)
        refuse = lambda call: call.answer(409, b"{}", leader.claim("unknown"))
        leader.state = refuse
        worker.start()
        await_true(lambda: complains(worker), seconds=60, what="the complaint")
        assert allowed(worker)
        leader.state = leader.good_state
        await_true(lambda: not complains(worker), seconds=60, what="that it knows its leader")
        await_true(lambda: leader.cluster.encode() in path.read_bytes(), seconds=60, what="the cluster in the file")


# The leader's side, a real one.


def test_a_leader_says_whose_it_is_and_refuses_strangers():
    with Leader() as leader:
        own = FakeWorker(leader, "own")
        reply = own.state()
        cluster = reply.headers["Zot-Cluster-Id"]
        members = leader.admin("GET", "/api/cluster/members").json()
        assert members["cluster"] == cluster and members["generation"] == 1 == int(reply.headers["Zot-Cluster-Generation"]) and members["estranged"] == []
        revision, digest = int(reply.headers["Zot-State-Revision"]), reply.headers["Zot-State-Result"]
        assert own.state(since=revision, more=f"&cluster={cluster}&generation=1").status_code == 304
        head = {"Zot-Worker-Name": "two", "Zot-Worker-Id": "process-of-two"}
        for cluster_of, generation, since, said in [(OTHER, 1, revision, "another cluster"), (cluster, 2, revision, "from before a restore"),
                                                    (cluster, 1, revision + 9, "has lost what")]:
            refused = own.state(since=since, digest=digest, more=f"&cluster={cluster_of}&generation={generation}", headers=head)
            assert refused.status_code == 409 and said in refused.json()["error"]["message"]
            assert refused.headers["Zot-Cluster-Id"] == cluster
        seen, = leader.admin("GET", "/api/cluster/members").json()["estranged"]
        assert seen["name"] == "two" and seen["revision"] == revision + 9 and seen["complaints"][0].startswith("history: ")
        assert "zot_leader_estranged_workers 1" in leader.session.get(leader.url + "/metrics").text and "history.refused" in leader.text()
        # A report of such a worker is not merged; when it follows again, it is.
        stranger = FakeWorker(leader, "two")
        pushed = stranger.push(revision=revision + 9, state_digest="ab" * 32, cluster=cluster, generation=1, repositories=[{"name": "app", "pulls": 3}])
        assert pushed.status_code == 409 and pushed.headers["Zot-State-Position"] == "unknown" and pushed.json()["error"]["code"] == "history"
        assert "two" not in leader.members() and leader.admin("GET", "/api/usage?repository=app").json()["repositories"] == []
        assert stranger.push(revision=revision, state_digest=digest, cluster=cluster, generation=1, repositories=[{"name": "app", "pulls": 3}]).status_code == 200
        assert [row["name"] for row in leader.admin("GET", "/api/cluster/members").json()["estranged"]] == ["two"], "the process that asked"


@pytest.mark.parametrize("question", ["cluster=abc&generation=1", "cluster=" + "ab" * 16, "generation=3", "cluster=" + "ab" * 16 + "&generation=0"])
def test_a_history_that_is_none_is_told(question):
    with Leader() as leader:
        reply = FakeWorker(leader, "one").session.get(f"{leader.url}/api/cluster/state?{question}", timeout=10)
        assert reply.status_code == 400 and "cluster is 32 hex digits" in reply.text


def test_a_leader_remembers_over_its_restart_what_it_has_written():
    """Of a state that is not its newest it says after a restart, too, that it is its own, and gives the delta."""
    with Leader() as leader:
        worker = FakeWorker(leader, "one")
        old = int(worker.state().headers["Zot-State-Revision"])
        cluster = worker.state().headers["Zot-Cluster-Id"]
        for n in range(3):
            leader.admin("PATCH", "/api/user/admin", {"metadata": {"n": str(n)}})
        leader.kill()
        leader.start()
        reply = worker.state(since=old, more=f"&cluster={cluster}&generation=1")
        assert reply.headers["Zot-State-Position"] == "known" and reply.headers["Zot-State-Kind"] == "delta"
