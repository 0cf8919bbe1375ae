# SPDX-License-Identifier: Apache-2.0
"""What a worker does without being asked: repositories of other tools come into the catalog, and nothing keeps it from ending."""
import json
import os
import re
import subprocess
import time

import pytest

from scripted_leader import ScriptedLeader
from test_worker_access import write_htpasswd
from worker_process import BUILD, MANIFEST, Worker, await_true, digest, image


def leave(worker, name, tag="v1"):
    """A repository as zot makes it."""
    folder = worker.folder / "store" / name
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    body = image(b"layer")
    for data in (body, b"{}", b"layer"):
        (blobs / digest(data).split(":")[1]).write_bytes(data)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [{
        "mediaType": MANIFEST, "digest": digest(body), "size": len(body),
        "annotations": {"org.opencontainers.image.ref.name": tag}}]}))


def catalog(worker):
    return worker.call("GET", "/v2/_catalog").json()["repositories"]


def figure(worker, name, chore):
    text = worker.call("GET", "/metrics").text
    return int(re.search(rf'^zot_chore_{name}{{chore="{chore}"}} (\d+)$', text, re.M).group(1))


def test_repositories_that_zot_made_meanwhile():
    """A store that was opened here, went back to zot and comes again."""
    with Worker() as worker:
        worker.push("ours", "v1")
        await_true(lambda: figure(worker, "runs_total", "import") == 1)
        worker.stop()
        leave(worker, "late")
        leave(worker, "deep/down/late")
        worker.start()
        await_true(lambda: catalog(worker) == ["deep/down/late", "late", "ours"])
        assert worker.call("GET", "/v2/deep/down/late/manifests/v1").content == image(b"layer")


def test_repositories_that_are_made_while_it_runs():
    with Worker(ZOT_IMPORT_EVERY="100ms") as worker:
        await_true(lambda: figure(worker, "runs_total", "import") >= 2)
        leave(worker, "ours/late")
        await_true(lambda: catalog(worker) == ["ours/late"])


def test_it_looks_again_only_when_it_is_time():
    with Worker() as worker:
        await_true(lambda: figure(worker, "runs_total", "import") == 1)
        leave(worker, "late")
        time.sleep(1)
        assert catalog(worker) == [] and figure(worker, "runs_total", "import") == 1


def run_import(worker):
    return subprocess.run([BUILD / worker.program, "import"], env=worker.environment, capture_output=True, text=True, timeout=60)


def test_the_command():
    with Worker() as worker:
        await_true(lambda: figure(worker, "runs_total", "import") == 1)
        leave(worker, "late")
        done = run_import(worker)
        assert done.returncode == 0 and done.stdout == "late\n1 repositories are new in the catalog\n", done
        assert catalog(worker) == ["late"]
        done = run_import(worker)
        assert done.returncode == 0 and done.stdout == "0 repositories are new in the catalog\n", done


def test_the_command_says_what_is_wrong():
    with Worker() as worker:
        await_true((worker.folder / "store/_catalog/.imported").exists)
        worker.stop()
        (worker.folder / "store/_catalog/.imported").unlink()
        (worker.folder / "store/_catalog/.imported").mkdir()
        done = run_import(worker)
        assert done.returncode == 1 and "store.import" in done.stderr, done


def test_the_end_waits_for_no_chore():
    with Worker() as worker:
        worker.stop()
        for n in range(20000):
            (worker.folder / "store" / f"r{n // 100}" / f"s{n % 100}").mkdir(parents=True)
        worker.start()
        assert figure(worker, "running", "import") == 1
        begun = time.monotonic()
        worker.stop()
        assert time.monotonic() - begun < 2
        assert "store.imported" not in worker.text()
        worker.start()


def test_a_failure_is_told_once():
    with Worker(ZOT_IMPORT_EVERY="50ms") as worker:
        mark = worker.folder / "store/_catalog/.imported"
        await_true(mark.exists)
        worker.stop()
        mark.unlink()
        mark.mkdir()
        worker.start()
        await_true(lambda: figure(worker, "failures_total", "import") >= 5)
        assert worker.text().count("chore.failed") == 1
        mark.rmdir()
        await_true(lambda: "chore.works" in worker.text())
        leave(worker, "late")
        await_true(lambda: catalog(worker) == ["late"])


def test_all_are_seen():
    with Worker() as worker:
        for chore in ("fold", "trim", "import", "retention", "sweep", "weigh", "dedupe"):
            await_true(lambda: figure(worker, "last_end_seconds", chore) > 0)
        assert figure(worker, "runs_total", "expire") == 0
        await_true(lambda: figure(worker, "runs_total", "fold") >= 2)
        text = worker.call("GET", "/metrics").text
        assert "zot_scheduler_generators_total 10\n" in text
        assert 'zot_scheduler_generators_status{priority="low",state="done"} 1\n' in text
        assert 'zot_scheduler_tasksqueue_length{priority="low"} ' in text


def test_the_leader_hears_of_them():
    """What runs, and what failed."""
    heard = []
    with ScriptedLeader() as leader:
        def push(call):
            heard.append(json.loads(call.body)["stats"])
            leader.good_push(call)

        leader.push = push
        with leader.worker(ZOT_IMPORT_EVERY="50ms") as worker:
            mark = worker.folder / "store/_catalog/.imported"
            await_true(lambda: heard and heard[-1]["chore_failures"] == 0 and mark.exists())
            worker.stop()
            mark.unlink()
            mark.mkdir()
            worker.start()
            await_true(lambda: heard[-1]["chore_failures"] > 2 and heard[-1]["chore_failed_ms"] < 10000)
            mark.rmdir()
            for n in range(20000):
                (worker.folder / "store" / f"r{n // 100}" / f"s{n % 100}").mkdir(parents=True)
            await_true(lambda: heard[-1]["chores"] and heard[-1]["chore"] == "import" and heard[-1]["chore_ms"])


# What runs is seen, begun and ended.

ANN = ("ann", "annsecret")


@pytest.fixture
def open_to_ann(tmp_path):
    """Who has a name may do everything."""
    write_htpasswd(tmp_path / "htpasswd")

    def start(policies=None, gc="1s", **storage):
        http = {"auth": {"htpasswd": {"path": str(tmp_path / "htpasswd")}}, **({"accessControl": policies} if policies else {})}
        worker = Worker(tmp_path, config={"http": http, "storage": {"gc": True, "gcDelay": gc, "gcInterval": "24h", **storage}, "log": {"audit": str(tmp_path / "audit")}})
        worker.session.auth = ANN
        return worker
    return start


def rows(worker):
    reply = worker.call("GET", "/zot/chores")
    assert reply.status_code == 200, reply.text
    return {row["name"]: row for row in reply.json()["chores"]}


def order(worker, chore, action="start", **more):
    return worker.call("POST", "/zot/chores", json={"chore": chore, "action": action, **more})


def last_of(worker, chore, how="done", **is_so):
    """When the last run is such."""
    def find():
        last = rows(worker)[chore].get("last", {})
        return last if last.get("how") == how and all(last.get(key) == value for key, value in is_so.items()) else None
    return await_true(find, what=f"{chore} {how} {is_so}")


def test_a_dry_run_of_gc_removes_nothing_and_a_run_does(open_to_ann):
    with open_to_ann() as worker:
        last_of(worker, "gc")  # the first, which it begins by itself; the next is a day away
        worker.push("app", "v1")
        worker.push_blob("app", b"nobody names this")
        blob = worker.folder / "store/app/blobs/sha256" / digest(b"nobody names this").partition(":")[2]
        await_true(lambda: order(worker, "gc", dryRun=True).status_code == 202
                   and last_of(worker, "gc", dryRun=True).get("removed") == 1, what="the blob that is old enough")
        assert blob.exists() and "gc.would_remove" in worker.text() and '"gc.removed"' not in worker.text()
        assert worker.counter("gc_walks_total") == 1
        assert order(worker, "gc").status_code == 202
        last = last_of(worker, "gc", removed=1, dryRun=None)
        assert last["done"] == 1 and last["what"] == "repositories" and last["bytes"] == 17 and last["ended"].endswith("Z")
        assert not blob.exists()
        await_true(lambda: ("ann", "POST", "/zot/chores", 202) in {
            (one["subject"], one["action"], one["object"], one["status"]) for one in map(json.loads, (worker.folder / "audit").read_text().splitlines())}, what="the audit")


def test_gc_is_not_begun_while_clients_may_rely_on_what_they_were_told(open_to_ann):
    with open_to_ann(gc="1h") as worker:
        worker.push("app", "v1")
        assert order(worker, "gc").status_code == 202
        last = last_of(worker, "gc", "refused")
        assert "storage.gcDelay" in last["error"] and "a dry run may come now" in last["error"]
        assert figure(worker, "failures_total", "gc") == 0
        assert order(worker, "gc", dryRun=True).status_code == 202
        assert last_of(worker, "gc", dryRun=True)["done"] == 1


def test_retention_is_tried_dry(open_to_ann):
    policies = {"delay": "0s", "policies": [{"repositories": ["**"], "keepTags": [{"patterns": ["keep"]}]}]}
    with open_to_ann(retention=policies) as worker:
        last_of(worker, "retention")
        worker.push("app", "keep", b"kept")
        worker.push("app", "gone", b"gone")
        assert order(worker, "retention", dryRun=True).status_code == 202
        assert last_of(worker, "retention", dryRun=True)["removed"] >= 1
        assert set(worker.call("GET", "/v2/app/tags/list").json()["tags"]) == {"keep", "gone"}
        assert order(worker, "retention").status_code == 202
        await_true(lambda: worker.call("GET", "/v2/app/tags/list").json()["tags"] == ["keep"], what="the end of the tag")


def test_sweep_and_dedupe_are_tried_dry(open_to_ann):
    data = bytes(range(256)) * 512
    with open_to_ann() as worker:
        last_of(worker, "sweep")
        worker.push_blob("one", data)
        twin = worker.folder / "store/two/blobs/sha256" / digest(data).partition(":")[2]
        twin.parent.mkdir(parents=True)
        (worker.folder / "store/two/index.json").write_text('{"schemaVersion": 2, "manifests": []}')
        (worker.folder / "store/two/oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        twin.write_bytes(data)
        left = worker.folder / "store/one/.tmp-left"
        left.write_bytes(b"of a killed process")
        os.utime(left, (1, 1))
        assert order(worker, "import").status_code == 202
        await_true(lambda: "two" in catalog(worker), what="the other's repository")
        for chore, path in (("sweep", left), ("dedupe", twin)):
            await_true(lambda chore=chore: order(worker, chore, dryRun=True).status_code == 202, what=f"{chore} is free")
            assert last_of(worker, chore, dryRun=True).get("removed") == 1, rows(worker)[chore]
            assert path.exists() and path.stat().st_nlink == 1
            assert [line["what"] for line in map(json.loads, worker.text().splitlines())
                    if line.get("message") == "chore.would" and line["chore"] == chore] != [], worker.text()[-2000:]
        assert order(worker, "dedupe").status_code == 202
        await_true(lambda: twin.stat().st_nlink > 1, what="the link")
        assert order(worker, "sweep").status_code == 202
        await_true(lambda: not left.exists(), what="the end of the temp file")
        for chore in ("trim", "expire"):
            await_true(lambda chore=chore: order(worker, chore, dryRun=True).status_code == 202, what=f"{chore} is free")
            assert last_of(worker, chore, dryRun=True)["what"] in ("connections", "uploads")


def test_a_run_is_ended_and_tells_how_far_it_was(open_to_ann):
    with open_to_ann() as worker:
        worker.stop()
        for n in range(4000):
            (worker.folder / "store" / f"r{n // 100}" / f"s{n % 100}").mkdir(parents=True)
        worker.start()
        await_true(lambda: rows(worker)["import"]["state"] == "running", what="the walk that begins at the start")
        run = rows(worker)["import"].get("run", {})
        assert run == {} or (run["what"] == "new repositories" and run["began"].endswith("Z"))
        reply = order(worker, "import")
        assert reply.status_code == 409 and "runs already" in reply.text
        assert order(worker, "import", "stop").status_code == 202
        last_of(worker, "import", "stopped")
        assert "chore.stopped" in worker.text() and figure(worker, "failures_total", "import") == 0
        reply = order(worker, "import", "stop")
        assert reply.status_code == 409 and "does not run" in reply.text
        assert order(worker, "import").status_code == 202
        last_of(worker, "import")


def test_what_cannot_be_asked_is_said(open_to_ann):
    with open_to_ann() as worker:
        for body, status, says in (
                ({"chore": "wiegh", "action": "start"}, 404, 'did you mean \\"weigh\\"?'),
                ({"chore": "weigh", "action": "start", "dryRun": True}, 400, "these have one: trim, expire, retention, sweep, dedupe, gc"),
                ({"chore": "weigh", "action": "go"}, 400, "action: needed"),
                ({"action": "start"}, 400, "chore: needed"),
                ([], 400, "must be a JSON object"),
                ({"chore": "x" * 2000, "action": "start"}, 413, "")):
            reply = worker.call("POST", "/zot/chores", json=body)
            assert reply.status_code == status and says in reply.text, (body, reply.status_code, reply.text)


def test_who_is_no_administrator_neither_sees_nor_begins_any(open_to_ann):
    rules = {"repositories": {"**": {"policies": [{"users": ["ann", "bob"], "actions": ["read", "create", "update", "delete"]}], "anonymousPolicy": ["read"]}},
             "adminPolicy": {"users": ["root"], "actions": ["read", "create", "update", "delete"]}}
    with open_to_ann(rules) as worker:
        for auth, status in ((None, 401), (ANN, 403), (("root", "rootsecret"), 200)):
            worker.session.auth = auth
            assert worker.call("GET", "/zot/chores").status_code == status
            assert order(worker, "weigh").status_code == (202 if status == 200 else status)


def test_nobody_without_a_name_may():
    with Worker() as worker:
        assert worker.call("GET", "/zot/chores").status_code in (401, 403)
        assert order(worker, "weigh").status_code in (401, 403)


def test_zots_histogram_of_tasks(open_to_ann):
    with open_to_ann() as worker:
        last_of(worker, "weigh")
        text = worker.call("GET", "/metrics").text
        name = "zot_scheduler_workers_tasks_duration_seconds"
        bounds = re.findall(rf'^{name}_bucket{{name="weigh",le="([^"]+)"}} (\d+)$', text, re.M)
        assert [bound for bound, _ in bounds] == ["0.05", "0.5", "1", "5", "30", "60", "600", "+Inf"]
        assert int(bounds[-1][1]) >= 1 and sorted(int(n) for _, n in bounds) == [int(n) for _, n in bounds]
        assert re.search(rf'^{name}_count{{name="abandoned"}}', text, re.M) is None
        assert f"# TYPE {name} histogram\n" in text


def test_the_leader_hears_what_is_new_and_its_orders_are_done_once():
    heard, answers = [], [{}]
    with ScriptedLeader() as leader:
        def push(call):
            said = json.loads(call.body)
            heard.append(said)
            leader.answer_push(call, leader.good_answer(said, **(answers[0] if not said["seq"] else {})))

        leader.push = push
        with leader.worker() as worker:
            def beats():
                return [said for said in heard if not said["seq"]]

            def row(name):
                return [row for said in beats() for row in said.get("chores", []) if row["name"] == name][-1]

            await_true(lambda: any(said.get("chores_whole") for said in beats()))
            assert {row["name"] for row in next(said for said in beats() if said.get("chores_whole"))["chores"]} >= {"fold", "gc", "weigh", "retention"}
            await_true(lambda: "chores" not in beats()[-1], what="a beat without a word of chores")
            answers[0] = {"orders": [{"id": 77, "chore": "weigh"}]}
            await_true(lambda: row("weigh").get("order") == 77 and row("weigh")["last"]["how"] == "done")
            ended = row("weigh")["last"]["at_s"]
            runs = len(beats())
            await_true(lambda: len(beats()) > runs + 3)  # the same order is in all of the answers
            assert sum(one.get("order") == 77 for said in beats() for one in said.get("chores", []) if one["name"] == "weigh" and one.get("last", {}).get("at_s", 0) > ended) == 0
            answers[0] = {"orders": [{"id": 78, "chore": "weigh", "dry_run": True}, {"id": 79, "chore": "nothing"}]}
            await_true(lambda: row("weigh").get("order") == 78)
            assert row("weigh")["last"]["how"] == "refused" and "has no dry run" in row("weigh")["last"]["error"]
            answers[0] = {"tell_chores": True}
            count = len(beats())
            await_true(lambda: any(said.get("chores_whole") for said in beats()[count + 1:]))
