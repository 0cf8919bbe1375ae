# SPDX-License-Identifier: Apache-2.0
"""What releases said and wrote (tests/recorded, made by tools/record), given to the programs of today: a leader and a worker that are one minor
version apart understand each other, and what an older one left is read."""
import json
import pathlib
import re
import shutil
import subprocess

import msgpack
import pytest

from leader_process import FakeWorker, Leader
from scripted_leader import ScriptedLeader
from worker_process import BUILD, Worker, await_true

RECORDED = pathlib.Path(__file__).parents[1] / "recorded"


def version_of(text):
    return tuple(int(n) for n in text.split("."))


OURS = version_of(subprocess.run([BUILD / "worker/zot-worker", "version"], stdout=subprocess.PIPE, text=True).stdout.split()[1]) if (
    BUILD / "worker/zot-worker").exists() else None
# With the build of an older version ($ZOT_BUILD) also of the one after it.
VERSIONS = sorted(p.name for p in RECORDED.iterdir() if OURS and version_of(p.name)[0] == OURS[0] and abs(OURS[1] - version_of(p.name)[1]) <= 1)


class Recording:
    def __init__(self, version):
        self.folder = RECORDED / version
        self.about = self.json("about")

    def bytes(self, name):
        return (self.folder / name).read_bytes()

    def json(self, name):
        return json.loads((self.folder / f"{name}.json").read_text())

    def login(self):
        return self.about["user"], self.about["password"]


@pytest.fixture(params=VERSIONS)
def recording(request):
    return Recording(request.param)


class Replay(ScriptedLeader):
    """Says what the recorded leader said: its whole state, then its delta, and its answer to every report."""

    def __init__(self, recording):
        super().__init__()
        self.recording, self.whole, self.told = recording, msgpack.unpackb(recording.bytes("state.msgpack")), []
        self.after = msgpack.unpackb(recording.bytes("delta.msgpack"))
        self.may_go_on = False
        self.state, self.push = self.recorded_state, self.recorded_answer

    def recorded_state(self, call):
        since = int(call.query["since"])
        if since < self.whole["revision"] or "whole" in call.query:
            call.answer(200, self.recording.bytes("state.msgpack"), self.recording.json("state"))
        elif since == self.whole["revision"] and self.may_go_on:
            call.answer(200, self.recording.bytes("delta.msgpack"), self.recording.json("delta"))
        else:
            self.stopped.wait(0.2)
            call.answer(304, b"", {k: v for k, v in self.recording.json("state").items() if k.startswith("Zot-Cluster-")})

    def recorded_answer(self, call):
        """Its own numbers, which name the report."""
        report = json.loads(call.body)
        self.told.append(report)
        self.answer_push(call, {**self.recording.json("answer"), "seq": report["seq"], "number": report["number"]})


def test_there_is_a_recording_of_this_minor_version():
    assert any(version_of(v)[:2] == OURS[:2] for v in VERSIONS), "run tools/record"


def test_the_newest_of_the_changelog_is_this_version():
    text = (RECORDED.parents[1] / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[(\d+\.\d+\.\d+)\]", text, re.M).group(1) == ".".join(map(str, OURS))


def test_a_worker_follows_a_recorded_leader(recording):
    with Replay(recording) as leader, leader.worker() as worker:
        await_true(lambda: f'"revision":{leader.whole["revision"]}' in worker.text(), what="the whole state")
        assert worker.call("GET", "/v2/", auth=recording.login()).status_code == 200
        assert worker.call("GET", "/v2/", auth=(recording.about["user"], "another")).status_code == 401
        leader.may_go_on = True
        await_true(lambda: any(report["revision"] == leader.after["revision"] for report in leader.told), what="the delta, in a report")
        for refusal in ("state.refused", "report.answer", "leader.lost"):
            assert f'"{refusal}"' not in worker.text()


def calls_at(leader):
    return sum(row["calls"] for row in leader.admin("GET", "/api/usage").json()["usage"] if "day" in row and row.get("apikey"))


def test_a_leader_goes_on_with_the_database_and_the_worker_of_a_recorded_one(recording):
    """What it has merged is not merged again; what was in the worker's journal when the leader had gone is."""
    leader = Leader()
    (leader.folder / "data").mkdir()
    shutil.copy(recording.folder / "leader/leader.db", leader.folder / "data/leader.db")
    with leader:
        worker, told = FakeWorker(leader, "one"), recording.json("counts")
        before = calls_at(leader)
        assert before >= sum(row["calls"] for row in told["usage"]) > 0
        assert leader.members()["one"]["version"] == told["version"] == recording.folder.name
        assert leader.admin("GET", f"/api/user/{recording.about['user']}").status_code == 200
        for name in ("beat.json", "counts.json"):
            reply = worker.session.put(leader.url + "/api/cluster/quotas", data=recording.bytes(name), headers={"Content-Type": "application/json"}, timeout=30)
            assert reply.status_code == 200, reply.text
        assert calls_at(leader) == before
        rest = [line for line in recording.bytes("data/usage.journal").split(b"\n") if line]
        for line in rest:
            reply = worker.session.put(leader.url + "/api/cluster/quotas", data=line, headers={"Content-Type": "application/json"}, timeout=30)
            assert reply.status_code == 200, reply.text
        assert calls_at(leader) == before + sum(row["calls"] for line in rest for row in json.loads(line)["usage"]) > before


def test_a_worker_goes_on_with_the_data_folder_of_a_recorded_one(recording):
    """Its state serves without a leader; what it counted reaches one, under the boot that counted it."""
    with ScriptedLeader() as leader:
        told, good = [], leader.push
        leader.push = lambda call: (told.append(json.loads(call.body)), good(call))
        leader.state = lambda call: call.answer(503)
        worker = leader.worker()
        shutil.copytree(recording.folder / "data", worker.folder / "data")
        shutil.copytree(recording.folder / "store", worker.folder / "store")
        boot = json.loads(recording.bytes("data/usage.journal").split(b"\n")[0])["boot"]
        with worker:
            assert worker.call("GET", "/v2/", auth=recording.login()).status_code == 200
            await_true(lambda: any(report["boot"] == boot and report["usage"] for report in told), what="its counts")
            await_true(lambda: any(report["boot"] == boot and report["final"] for report in told), what="its grants, closed at their ceilings")
            assert "file.unread" not in worker.text()


def test_a_recorded_store_is_served(recording):
    with Worker() as worker:
        worker.stop()
        shutil.rmtree(worker.folder / "store", ignore_errors=True)
        shutil.copytree(recording.folder / "store", worker.folder / "store")
        worker.start()
        name = recording.about["repository"]
        assert worker.call("GET", f"/v2/{name}/tags/list").json()["tags"] == recording.about["tags"]
        for tag in recording.about["tags"]:
            assert worker.call("GET", f"/v2/{name}/manifests/{tag}").status_code == 200
        worker.push(name, "v3")
        assert worker.call("GET", f"/v2/{name}/tags/list").json()["tags"] == [*recording.about["tags"], "v3"]


@pytest.mark.parametrize("theirs,lasts", [("+2", True), ("+1", False), ("", False), ("-", False)])
def test_a_leader_more_than_a_minor_version_apart_is_a_complaint(theirs, lasts):
    version = f"{OURS[0]}.{OURS[1] + int(theirs)}.0" if theirs in ("+1", "+2") else theirs
    with ScriptedLeader() as leader:
        reports, good = [], leader.good_answer
        leader.good_answer = lambda push: (reports.append(push), good(push, **({} if version == "-" else {"version": version})))[1]
        with leader.worker() as worker:
            await_true(lambda: len(reports) > 3, what="a few beats")
            if lasts:
                await_true(lambda: f"and its leader of {version}" in reports[-1]["complaints"], what="the complaint, in a beat")
                await_true(lambda: "\nversion: this worker is of version " in worker.call("GET", "/readyz").text, what="a line of /readyz")
            assert ("of version" in worker.call("GET", "/readyz").text) == lasts
            assert worker.call("GET", "/readyz").status_code == 200


def test_a_state_of_a_newer_format_is_refused_by_name():
    with ScriptedLeader() as leader, leader.worker() as worker:
        old = leader.revision
        leader.revision += 1
        leader.state = lambda call: leader.say(call, leader.document(v=3))
        await_true(lambda: "v: is 3, of a newer zot-leader; this one (" in worker.text() and "needs an upgrade" in worker.text(), what="the reason, in the log")
        assert f'"state.applied","revision":{old}' in worker.text() and f'"state.applied","revision":{leader.revision}' not in worker.text()
        assert worker.call("GET", "/v2/").status_code == 200
