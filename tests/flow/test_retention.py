# SPDX-License-Identifier: Apache-2.0
"""storage.retention: what verify-feature says of a folder, what the chore removes, and what changes while a worker runs."""
import json
import signal
import subprocess

import pytest

from leader_process import SECRET, Leader
from worker_process import BUILD, MANIFEST, Worker, await_true, digest, free_port, image

INDEX = "application/vnd.oci.image.index.v1+json"
KEEP_V = {"policies": [{"repositories": ["team/**"], "keepTags": [{"patterns": ["^v"]}]}]}


def put(worker, name, reference, body, kind=MANIFEST):
    reply = worker.call("PUT", f"/v2/{name}/manifests/{reference}", data=body, headers={"Content-Type": kind})
    assert reply.status_code == 201, reply.text
    return digest(body)


def noted(worker, name, tag, note):
    """An image with a manifest of its own."""
    worker.push(name, tag, annotations={"note": note})
    return digest(image(annotations={"note": note}))


def index_of(*members):
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                       "manifests": [{"mediaType": MANIFEST, "digest": member, "size": 9} for member in members]}).encode()


def tags(worker, name):
    reply = worker.call("GET", f"/v2/{name}/tags/list")
    return reply.json()["tags"] if reply.status_code == 200 else None


def is_there(worker, name, reference):
    return worker.call("HEAD", f"/v2/{name}/manifests/{reference}").status_code == 200


def lines(worker, event):
    return [json.loads(line) for line in worker.text().splitlines() if f'"{event}"' in line]


def config(retention, **storage):
    return {"storage": {"retention": retention, **storage}, "log": {"level": "debug"}}


def verify(folder, settings, *options):
    (folder / "verify.json").write_text(json.dumps(settings))
    return subprocess.run([BUILD / "worker/zot-worker", "verify-feature", "retention", *options, folder / "verify.json"], env={},
                          capture_output=True, text=True, timeout=60)


def fill(worker):
    """In team/app: v1, old, an index of its own whose members have tags of no use; other/app is for nobody."""
    for name in ("team/app", "other/app"):
        noted(worker, name, "v1", "one")
        noted(worker, name, "same", "one")
        noted(worker, name, "old", "two")
        put(worker, name, "v2", index_of(noted(worker, name, "member", "three")), INDEX)
        put(worker, name, "gone", index_of(noted(worker, name, "part", "four")), INDEX)


def test_what_is_wrong_is_named(tmp_path):
    retention = {"policies": [{"repositories": ["**"], "keepTags": [{"patterns": ["v(1"]}]}]}
    done = verify(tmp_path, {"storage": {"rootDirectory": str(tmp_path), "retention": retention,
                                         "subPaths": {"/a": {"rootDirectory": "/b", "retention": {"delay": "1 day"}}}}})
    assert done.returncode == 1
    assert 'storage.retention (ZOT_RETENTION): policies: [0]: keepTags: [0]: patterns: [0]: "v(1": byte 2: a \')\' is missing' in done.stderr
    assert 'storage.subPaths./a.retention: delay: "1 day" is no duration' in done.stderr
    done = subprocess.run([BUILD / "worker/zot-worker", "verify"], capture_output=True, text=True, timeout=60,
                          env={"ZOT_STORAGE_ROOT": str(tmp_path), "ZOT_RETENTION": '{"policy":[]}'})
    assert done.returncode == 1 and 'unknown key "policy"; did you mean "policies"?' in done.stderr


def test_verify_feature_says_what_would_go_and_why(tmp_path):
    with Worker(folder=tmp_path, config=config(None)) as worker:
        fill(worker)
        worker.stop()
    root = str(tmp_path / "store")
    before = {path: path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()}
    done = verify(tmp_path, {"storage": {"rootDirectory": root, "retention": KEEP_V}})
    assert done.returncode == 0, done
    told = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()[:-1]}
    assert told == {f"{name}:{tag}": "stays" if name == "other/app" or tag in ("v1", "v2") else "goes"
                    for name in ("team/app", "other/app") for tag in ("v1", "same", "old", "v2", "member", "gone", "part")}
    assert f"goes   team/app:old  {digest(image(annotations={'note': 'two'}))}  policies[0].keepTags: no entry has a pattern for it\n" in done.stdout
    assert "stays  other/app:old  " in done.stdout and "no policy is for the repository, tags stay" in done.stdout
    assert done.stdout.endswith("2 repositories: 9 tags stay, 5 go; 9 manifests stay, 3 go\n")
    done = verify(tmp_path, {"storage": {"rootDirectory": root, "retention": KEEP_V}}, "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows[-1] == {"repositories": 2, "tags": {"stay": 9, "go": 5}, "manifests": {"stay": 9, "go": 3}}
    assert {"repository": "team/app", "tag": "gone", "digest": digest(index_of(digest(image(annotations={"note": "four"})))), "stays": False,
            "reason": "policies[0].keepTags: no entry has a pattern for it"} in rows
    assert {path: path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file()} == before


def test_verify_feature_makes_no_folder_and_names_what_it_cannot_read(tmp_path):
    done = verify(tmp_path, {"storage": {"rootDirectory": str(tmp_path / "none"), "retention": KEEP_V}})
    assert done.returncode == 1 and "storage folder" in done.stderr and not (tmp_path / "none").exists()
    (tmp_path / "empty").mkdir()
    done = verify(tmp_path, {"storage": {"rootDirectory": str(tmp_path / "empty"), "retention": KEEP_V}})
    assert done.returncode == 0 and "the catalog is empty" in done.stderr
    with Worker(folder=tmp_path, config=config(None)) as worker:
        noted(worker, "team/a", "v1", "one")
        noted(worker, "team/b", "v1", "one")
        worker.stop()
    (tmp_path / "store/team/a/index.json").write_text("{")
    done = verify(tmp_path, {"storage": {"rootDirectory": str(tmp_path / "store"), "retention": KEEP_V}})
    assert done.returncode == 1 and "error: repository team/a:" in done.stderr
    assert "stays  team/b:v1" in done.stdout and done.stdout.endswith("1 repositories: 1 tags stay, 0 go; 1 manifests stay, 0 go\n")


def check_kept(worker):
    """After a pass over what fill() made: nothing but what no pattern has is gone."""
    await_true(lambda: tags(worker, "team/app") == ["v1", "v2"], what="the pass")
    await_true(lambda: lines(worker, "retention.repository"), what="the sum")
    assert len(tags(worker, "other/app")) == 7
    assert is_there(worker, "team/app", digest(image(annotations={"note": "three"})))  # a tag of it is gone, an index names it
    for note in ("two", "four"):
        assert not is_there(worker, "team/app", digest(image(annotations={"note": note})))
        assert is_there(worker, "other/app", digest(image(annotations={"note": note})))


def test_the_chore_removes_what_no_policy_keeps(tmp_path):
    with Worker(folder=tmp_path, config=config(None)) as worker:
        fill(worker)
        worker.stop()
    with Worker(folder=tmp_path, config=config(KEEP_V)) as worker:
        check_kept(worker)
        assert {(line["repository"], line["tag"]) for line in lines(worker, "retention.removed")} == {
            ("team/app", tag) for tag in ("same", "old", "member", "gone", "part")}
        assert all("no entry has a pattern" in line["reason"] for line in lines(worker, "retention.removed"))
        [line] = lines(worker, "retention.repository")
        assert (line["tags"], line["manifests"], line["left"]) == (5, 3, False)


def test_a_dry_run_removes_nothing_and_a_change_of_the_file_is_obeyed(tmp_path):
    settings = config({"dryRun": True, **KEEP_V})
    with Worker(folder=tmp_path, config=settings) as worker:
        fill(worker)
        settings["storage"]["retention"]["delay"] = "48h"
        (tmp_path / "config.json").write_text(json.dumps(settings))
        worker.process.send_signal(signal.SIGHUP)
        await_true(lambda: len(lines(worker, "retention.would_remove")) >= 5, what="a dry run")
        assert len(tags(worker, "team/app")) == 7 and not lines(worker, "retention.removed")
        wrong = {**settings, "storage": {**settings["storage"], "retention": {"policies": [{"repositories": ["["]}]}}}
        (tmp_path / "config.json").write_text(json.dumps(wrong))
        await_true(lambda: "policies: [0]: repositories: [0]" in worker.text(), what="a word about what is wrong")
        settings["storage"]["retention"]["dryRun"] = False
        (tmp_path / "config.json").write_text(json.dumps(settings))
        check_kept(worker)
        assert any(line.get("key") == "storage.retention" and "restart" not in json.dumps(line) for line in lines(worker, "reload.settings"))


def test_each_root_has_its_own(tmp_path):
    storage = {"subPaths": {"/team": {"rootDirectory": str(tmp_path / "second"),
                                      "retention": {"policies": [{"repositories": ["**"], "keepTags": [{"patterns": ["^v"]}]}]}}}}
    with Worker(folder=tmp_path, config=config(None, **storage)) as worker:
        fill(worker)
        worker.stop()
    with Worker(folder=tmp_path, config=config({"policies": [{"repositories": ["**"], "keepTags": [{"patterns": ["^old$"]}]}]}, **storage)) as worker:
        await_true(lambda: tags(worker, "team/app") == ["v1", "v2"], what="the pass in the second root")
        await_true(lambda: tags(worker, "other/app") == ["old"], what="the pass in the first root")
    done = verify(tmp_path, {"storage": {"rootDirectory": str(tmp_path / "store"), "retention": KEEP_V, **storage}})
    assert done.returncode == 0 and "stays  team/app:v1" in done.stdout and "no policy is for the repository" in done.stdout


@pytest.fixture
def led():
    port = free_port()
    with Leader() as leader, Worker(port=port, CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers",
                                    CLUSTER_LEADER_CLIENT_SECRET=SECRET, CLUSTER_WORKER_NAME="one", ZOT_RETENTION=json.dumps(
                                        {"dryRun": True, "policies": [{"repositories": ["**"], "keepTags": [{"patterns": ["^old$"]}]}]}),
                                    CLUSTER_SELF_ADDRESS=f"http://127.0.0.1:{port}") as worker:
        worker.session.auth = (leader.user, leader.password)
        yield leader, worker


def test_a_leader_says_it_while_workers_run(led):
    """An entity's goes before the settings'; a wrong one is refused with the word of who reads it; tags that are immutable stay."""
    leader, worker = led
    fill(worker)
    retention = {"keepTags": [{"patterns": ["^v"]}]}
    reply = leader.admin("POST", "/api/repository", {"id": "team/**", "retention": {"keepTags": [{"patterns": ["v["]}]}})
    assert reply.status_code == 400 and 'retention: keepTags: [0]: patterns: [0]: \\"v[\\": byte 2' in reply.text, reply.text
    reply = leader.admin("POST", "/api/repository", {"id": "team/**", "retention": {"policies": []}})
    assert reply.status_code == 400 and "unknown key" in reply.text
    reply = leader.admin("POST", "/api/repository", {"id": "team/**", "immutableTags": ["old"], "retention": retention})
    assert reply.status_code == 201 and reply.json()["retention"] == retention
    await_true(lambda: tags(worker, "team/app") == ["old", "v1", "v2"], what="what the entity says")
    assert len(tags(worker, "other/app")) == 7
    reply = leader.admin("PATCH", "/api/repository/team/**", {"immutableTags": []})
    assert reply.status_code == 200 and reply.json()["retention"] == retention
    await_true(lambda: tags(worker, "team/app") == ["v1", "v2"], what="what may be removed now")
    assert leader.admin("PATCH", "/api/repository/team/**", {"retention": None}).json()["retention"] is None
    await_true(lambda: any(line["repository"] == "team/app" and line["tag"] == "v1" for line in lines(worker, "retention.would_remove")),
               what="the settings' own, again")
    assert tags(worker, "team/app") == ["v1", "v2"]


def test_rules_ask_the_statistics(tmp_path):
    """What was pushed last, what was pulled last, what has lost its tag: by what the index says of each."""
    with Worker(folder=tmp_path, config=config(None)) as worker:
        for name in ("count/app", "pulled/app"):
            for n in range(1, 5):
                worker.push(name, f"v{n}", annotations={"n": str(n)})
        assert worker.call("GET", "/v2/pulled/app/manifests/v2").status_code == 200
        before = worker.push("bare/app", "v1", annotations={"n": "before"})
        worker.push("bare/app", "v1", annotations={"n": "behind"})
        worker.stop()
    rules = {"delay": "1s", "policies": [{"repositories": ["count/*"], "keepTags": [{"mostRecentlyPushedCount": 2}]},
                                         {"repositories": ["pulled/*"], "keepTags": [{"mostRecentlyPulledCount": 1}]}]}
    with Worker(folder=tmp_path, config={"storage": {**config(rules)["storage"], "gcInterval": "1s"}}) as worker:
        await_true(lambda: tags(worker, "count/app") == ["v3", "v4"], what="the two that were pushed last")
        await_true(lambda: tags(worker, "pulled/app") == ["v2"], what="the one that was pulled")
        await_true(lambda: worker.call("GET", f"/v2/bare/app/manifests/{digest(before)}").status_code == 404, what="the end of what has no tag")
        assert tags(worker, "bare/app") == ["v1"] and tags(worker, "pulled/app") == ["v2"]
