# SPDX-License-Identifier: Apache-2.0
"""What a repository may hold, by the leaders' `repository` entities: bytes, tags, and tags that stay as they are."""
import concurrent.futures
import contextlib
import functools
import hashlib
import http.client
import json
import socket
import subprocess

import pytest

from leader_process import SECRET, Leader
from scripted_leader import ScriptedLeader, entity
from worker_process import MANIFEST, Worker, await_true, digest, free_port, image

INDEX = "application/vnd.oci.image.index.v1+json"


@functools.cache
def users():
    """ann, and root, who is an admin; their passwords are their names and "secret". Nobody needs one but for metrics."""
    def user(name, **more):
        line = subprocess.run(["htpasswd", "-nbB", name, name + "secret"], check=True, capture_output=True, text=True).stdout
        return entity("user", name, passwordHash=line.strip().partition(":")[2], enabled=True, **more)

    return [user("ann"), user("root", roles=["admin"])]


def count(worker, name):
    return worker.counter(name, auth=("root", "rootsecret"))


class Limited(ScriptedLeader):
    """Its state has `repositories`: {glob: limits}."""

    repositories = {}

    def entities(self):
        return super().entities() + users() + [entity("repository", id, **limits) for id, limits in sorted(self.repositories.items())]

    def limit(self, *workers, **repositories):
        """By name with __ for a slash, and none other; returns when the workers obey."""
        self.repositories = {name.replace("__", "/").replace("ALL", "**"): limits for name, limits in repositories.items()}
        self.revision += 1
        for worker in workers:
            await_true(lambda: count(worker, "state_revision") == self.revision, what="the new limits")


@contextlib.contextmanager
def limited(**more):
    with Limited() as leader, leader.worker(**more) as worker:
        yield leader, worker


@pytest.fixture
def place():
    with limited() as made:
        yield made


def put(worker, name, tag, body, **more):
    return worker.call("PUT", f"/v2/{name}/manifests/{tag}", data=body, headers={"Content-Type": MANIFEST}, **more)


def offer_blob(worker, name, data):
    """As clients do: asked for first, then a session. What is answered last."""
    asked = worker.call("HEAD", f"/v2/{name}/blobs/{digest(data)}")
    if asked.status_code == 200:
        return asked
    start = worker.call("POST", f"/v2/{name}/blobs/uploads/")
    if start.status_code != 202:
        return start
    return worker.call("PUT", start.headers["Location"], params={"digest": digest(data)}, data=data)


def offer(worker, name, tag, layer, **more):
    """Its blobs, then the manifest: what is answered to that, or what was refused before."""
    for blob in (b"{}", layer):
        reply = offer_blob(worker, name, blob)
        if reply.status_code >= 400:
            return reply
    return put(worker, name, tag, image(layer, **more))


def why(reply):
    [error] = reply.json()["errors"]
    assert (reply.status_code, error["code"]) == (403, "DENIED"), reply.text
    return reply.headers["Zot-Refused"], error["message"]


def size_of(*layers, **more):
    """Bytes of a repository with these layers, an image each."""
    return 2 + sum(map(len, set(layers))) + sum(len(image(layer, **more)) for layer in layers)


def layer_at(i, size=1000):
    return f"layer {i} ".encode().ljust(size, b".")


def test_bytes_are_counted_once(place):
    leader, worker = place
    first, second = layer_at(1), layer_at(2)
    leader.limit(worker, team__app={"byteQuota": size_of(first, second)})
    for tag in ("v1", "v2", "v1"):  # the same manifest
        assert offer(worker, "team/app", tag, first).status_code == 201
    assert offer(worker, "team/app", "v3", second).status_code == 201
    # Not even one that shares all of its layers fits: its own bytes count.
    reply = offer(worker, "team/app", "v4", first, annotations={"a": "b"})
    there = size_of(first, second)
    would = there + len(image(first, annotations={"a": "b"}))
    assert why(reply) == ("byte_quota", f"the byteQuota of team/app is {there} bytes: the repository holds {there}, and would hold {would}")
    assert worker.call("GET", "/v2/team/app/tags/list").json()["tags"] == ["v1", "v2", "v3"]
    # What is there may be tagged anew.
    assert put(worker, "team/app", "again", image(first)).status_code == 201
    # Another repository has its own.
    assert offer(worker, "team/other", "v4", layer_at(4)).status_code == 201


def test_a_deletion_makes_room(place):
    leader, worker = place
    first, second, third = map(layer_at, range(3))
    leader.limit(worker, ALL={"byteQuota": size_of(first, second)})
    assert offer(worker, "app", "v1", first).status_code == 201
    assert offer(worker, "app", "v2", second).status_code == 201
    assert offer(worker, "app", "v3", third).status_code == 403
    # A tag alone leaves its manifest.
    assert worker.call("DELETE", "/v2/app/manifests/v1").status_code == 202
    assert offer(worker, "app", "v3", third).status_code == 403
    assert worker.call("DELETE", f"/v2/app/manifests/{digest(image(first))}").status_code == 202
    assert offer(worker, "app", "v3", third).status_code == 201
    assert offer(worker, "app", "v4", first).status_code == 403


def ask(worker, method, path, length=None):
    """The head alone: what is answered before a byte of the body has come."""
    with socket.create_connection(("127.0.0.1", worker.port), timeout=30) as connection:
        length = "" if length is None else f"Content-Length: {length}\r\n"
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{length}\r\n".encode())
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        text = reply.read()
        return reply.status, json.loads(text)["errors"][0]["message"] if reply.status >= 400 else text.decode()


def test_a_full_repository_refuses_before_bytes_move(place):
    leader, worker = place
    layer, other, new = layer_at(1), layer_at(2), layer_at(3)
    assert offer(worker, "app", "v1", layer).status_code == 201
    worker.push_blob("app", other)  # there, and no manifest names it
    worker.push_blob("elsewhere", new)
    full = size_of(layer)
    leader.limit(worker, ALL={"byteQuota": full})
    says = f"the byteQuota of ** is {full} bytes: the repository holds {full}, and would hold "
    uploads = "/v2/app/blobs/uploads/"
    before = count(worker, "byte_quota_refused_total")
    assert why(worker.call("POST", uploads)) == ("byte_quota", says + "more")
    assert ask(worker, "POST", f"{uploads}?digest={digest(new)}", 10**6) == (403, f"{says}{full + 10**6}")
    mount = {"mount": digest(new), "from": "elsewhere"}
    assert why(worker.call("POST", uploads, params=mount)) == ("byte_quota", f"{says}{full + 1000}")
    assert why(worker.call("POST", uploads, params={"mount": digest(new)}))[0] == "byte_quota"
    assert count(worker, "byte_quota_refused_total") == before + 4
    assert worker.call("HEAD", f"/v2/app/blobs/{digest(new)}").status_code == 404
    # What is counted passes, and what is there.
    for data in (layer, other):
        assert worker.call("POST", uploads, params={"digest": digest(data)}, data=data).status_code == 201
        assert worker.call("POST", uploads, params={"mount": digest(data)}).status_code == 201
    # Another repository is not full.
    assert worker.call("POST", "/v2/more/blobs/uploads/").status_code == 202
    assert worker.call("DELETE", f"/v2/app/manifests/{digest(image(layer))}").status_code == 202
    assert worker.call("POST", uploads).status_code == 202


def test_a_session_of_before_is_judged_by_what_is_known_of_it(place):
    """Its digest is known at the end: until then it may be any content that is counted."""
    leader, worker = place
    layer, new = layer_at(1), layer_at(3)
    assert offer(worker, "app", "v1", layer).status_code == 201
    starts = [worker.start_upload("app") for _ in range(5)]
    full = size_of(layer)
    leader.limit(worker, ALL={"byteQuota": full})
    says = f"the byteQuota of ** is {full} bytes: the repository holds {full}, and would hold "
    # One as large as what is counted goes on, and passes where it is that.
    for start, data, status in ((starts[0], layer, 201), (starts[1], new, 403)):
        assert worker.call("PATCH", start, data=data[:600]).status_code == 202
        assert worker.call("PATCH", start, data=(part for part in (data[600:], b""))).status_code == 202
        assert worker.call("PUT", start, params={"digest": digest(data)}).status_code == status
    # A larger one is nothing that is counted.
    assert ask(worker, "PATCH", starts[2], 1001) == (403, f"{says}{full + 1001}")
    assert worker.call("GET", starts[2]).status_code == 404, "the session is over"
    assert ask(worker, "PUT", f"{starts[3]}?digest={digest(new)}", 1000) == (403, f"{says}{full + 1000}")
    assert worker.call("PUT", starts[4], params={"digest": digest(layer)}, data=layer).status_code == 201
    assert worker.call("HEAD", f"/v2/app/blobs/{digest(new)}").status_code == 404
    # With room for it the same passes.
    leader.limit(worker, ALL={"byteQuota": full + 1000})
    assert offer_blob(worker, "app", new).status_code == 201


def test_twenty_pushes_at_once(place):
    """Exactly as many as fit, and also over a restart, when the index is loaded from its log."""
    leader, worker = place
    layers = [layer_at(i) for i in range(20)]
    leader.limit(worker, ALL={"byteQuota": size_of(*layers[:7])})
    for layer in [b"{}", *layers]:
        worker.push_blob("app", layer)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        seen = list(pool.map(lambda i: put(worker, "app", f"v{i}", image(layers[i])).status_code, range(20)))
    assert sorted(seen) == [201] * 7 + [403] * 13
    assert count(worker, "byte_quota_refused_total") == 13
    kept = [i for i in range(20) if seen[i] == 201]
    out = seen.index(403)
    for how in ("kill", "stop"):
        getattr(worker, how)()
        worker.start()
        assert len(worker.call("GET", "/v2/app/tags/list").json()["tags"]) == 7
        assert why(put(worker, "app", "more", image(layers[out])))[0] == "byte_quota"
        gone = kept.pop()
        assert worker.call("DELETE", f"/v2/app/manifests/{digest(image(layers[gone]))}").status_code == 202
        assert put(worker, "app", "more", image(layers[out])).status_code == 201
        kept.insert(0, out)
        out = gone


def test_two_workers_that_both_own_it(tmp_path):
    """What one writes the other one counts: the check is made where the record is written."""
    layers = [layer_at(i) for i in range(24)]
    store = {"ZOT_STORAGE_ROOT": tmp_path / "store"}
    with limited(**store) as (first_leader, first), limited(CLUSTER_WORKER_NAME="two", **store) as (second_leader, second):
        second_leader.member["id"] = "two"
        quotas = {"byteQuota": size_of(*layers[:9]), "tagLimit": 100}
        first_leader.limit(first, ALL=quotas)
        second_leader.limit(second, ALL=quotas)
        for layer in [b"{}", *layers]:
            first.push_blob("app", layer)
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            seen = list(pool.map(lambda i: put((first, second)[i % 2], "app", f"v{i}", image(layers[i])).status_code, range(24)))
        assert sorted(seen) == [201] * 9 + [403] * 15
        # And by tags, each of a manifest that is there.
        for leader, worker in ((first_leader, first), (second_leader, second)):
            leader.limit(worker, ALL={"tagLimit": 15})
        body = image(layers[seen.index(201)])
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            seen = list(pool.map(lambda i: put((first, second)[i % 2], "app", f"t{i}", body).status_code, range(24)))
        assert sorted(seen) == [201] * 6 + [403] * 18


def test_a_limit_that_was_lowered(place):
    """What is there stays; nothing is added before there is room."""
    leader, worker = place
    assert offer(worker, "app", "v1", layer_at(1)).status_code == 201
    leader.limit(worker, ALL={"byteQuota": 10, "tagLimit": 1})
    assert put(worker, "app", "v1", image(layer_at(1))).status_code == 201
    assert why(offer(worker, "app", "v1", layer_at(2)))[0] == "byte_quota"
    assert why(put(worker, "app", "v2", image(layer_at(1))))[0] == "tag_limit"
    leader.limit(worker)
    assert offer(worker, "app", "v2", layer_at(2)).status_code == 201


def test_sizes_are_not_believed(place):
    """What is counted must be there, and have the size that the manifest says."""
    leader, worker = place
    leader.limit(worker, ALL={"byteQuota": 5000})
    body = json.loads(image(layer_at(1, 3000)))
    for blob in (b"{}", layer_at(1, 3000)):
        worker.push_blob("app", blob)
    body["layers"][0]["size"] = 3
    reply = put(worker, "app", "v1", json.dumps(body))
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (400, "SIZE_INVALID")
    assert "has 3000 bytes, the manifest says 3" in reply.text
    body = json.loads(image(b"nobody has it"))
    body["config"]["mediaType"] = "application/vnd.example.artifact"
    reply = put(worker, "app", "v1", json.dumps(body))
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (404, "MANIFEST_BLOB_UNKNOWN")


def test_what_is_not_held_does_not_count(place):
    """Layers that are not distributed; and members of an index count as the manifests that they are."""
    leader, worker = place
    body = json.loads(image(layer_at(1)))
    body["layers"].append({"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": digest(b"far"), "size": 10**9})
    member = json.dumps(body).encode()
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{"mediaType": MANIFEST, "digest": digest(member), "size": len(member)}]}).encode()
    leader.limit(worker, ALL={"byteQuota": 2 + 1000 + len(member) + len(index)})
    for blob in (b"{}", layer_at(1)):
        worker.push_blob("app", blob)
    assert put(worker, "app", digest(member), member).status_code == 201
    assert worker.call("PUT", "/v2/app/manifests/all", data=index, headers={"Content-Type": INDEX}).status_code == 201
    assert why(put(worker, "app", "v2", json.dumps(body, indent=1)))[0] == "byte_quota"


def test_a_manifest_that_cannot_be_read_counts_for_itself(place):
    leader, worker = place
    assert offer(worker, "app", "v1", layer_at(1)).status_code == 201
    worker.stop()
    path = worker.folder / "store" / "app" / "blobs" / "sha256" / digest(image(layer_at(1))).partition(":")[2]
    path.write_bytes(b"damaged")
    worker.start()
    leader.limit(worker, ALL={"byteQuota": size_of(layer_at(1), layer_at(2))})
    assert offer(worker, "app", "v2", layer_at(2)).status_code == 201
    assert offer(worker, "app", "v3", layer_at(3, 3000)).status_code == 403


def test_tags(place):
    leader, worker = place
    leader.limit(worker, team__ALL={"tagLimit": 2})
    for tag in ("v1", "v2"):
        assert offer(worker, "team/app", tag, layer_at(1)).status_code == 201
    assert why(put(worker, "team/app", "v3", image(layer_at(1)))) == (
        "tag_limit", "the tagLimit of team/** is 2: the repository has 2 tags, and would have 3")
    assert offer(worker, "team/app", "v2", layer_at(2)).status_code == 201  # moved
    assert put(worker, "team/app", digest(image(layer_at(1))), image(layer_at(1))).status_code == 201  # by digest: no tag
    reply = put(worker, "team/app", digest(image(layer_at(1))), image(layer_at(1)), params={"tag": ["v1", "v4"]})
    assert why(reply)[0] == "tag_limit"
    assert worker.call("DELETE", "/v2/team/app/manifests/v1").status_code == 202
    assert put(worker, "team/app", "v3", image(layer_at(1))).status_code == 201


def test_immutable_tags(place):
    leader, worker = place
    leader.limit(worker, ALL={"immutableTags": ["v*", "latest"]})
    for _ in range(2):
        assert offer(worker, "app", "v1", layer_at(1)).status_code == 201
    assert why(offer(worker, "app", "v1", layer_at(2))) == (
        "immutable_tag", "the tag v1 is immutable (immutableTags of **): it names another manifest, and is not moved")
    assert offer(worker, "app", "main", layer_at(1)).status_code == 201
    assert offer(worker, "app", "main", layer_at(2)).status_code == 201
    for reference in ("v1", digest(image(layer_at(1)))):
        assert why(worker.call("DELETE", f"/v2/app/manifests/{reference}")) == (
            "immutable_tag", "the tag v1 is immutable (immutableTags of **): only an admin may delete it")
    assert worker.call("DELETE", "/v2/app/manifests/v9").status_code == 404
    assert worker.call("DELETE", "/v2/app/manifests/main").status_code == 202
    assert worker.call("DELETE", f"/v2/app/manifests/{digest(image(layer_at(2)))}").status_code == 202
    assert count(worker, "immutable_tag_refused_total") == 3


def test_the_first_of_many_keeps_an_immutable_tag(place):
    leader, worker = place
    leader.limit(worker, ALL={"immutableTags": ["*"]})
    for blob in [b"{}", *map(layer_at, range(12))]:
        worker.push_blob("app", blob)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        seen = list(pool.map(lambda i: put(worker, "app", "v1", image(layer_at(i))).status_code, range(12)))
    assert sorted(seen) == [201] + [403] * 11
    assert worker.call("GET", "/v2/app/manifests/v1").content == image(layer_at(seen.index(201)))


def test_an_admin_deletes_what_is_immutable(place):
    leader, worker = place
    leader.limit(worker, ALL={"immutableTags": ["*"]})
    worker.session.auth = ("root", "rootsecret")
    assert offer(worker, "app", "v1", layer_at(1)).status_code == 201
    assert why(offer(worker, "app", "v1", layer_at(2)))[0] == "immutable_tag"  # moved it is by nobody
    path = f"/v2/app/manifests/{digest(image(layer_at(1)))}"
    assert worker.call("DELETE", path, auth=("ann", "annsecret")).status_code == 403
    assert worker.call("DELETE", "/v2/app/manifests/v1", auth=("ann", "annsecret")).status_code == 403
    assert worker.call("DELETE", path).status_code == 202
    assert offer(worker, "app", "v1", layer_at(2)).status_code == 201


def test_the_longest_pattern_decides_alone(place):
    leader, worker = place
    leader.limit(worker, ALL={"tagLimit": 1}, team__ALL={"byteQuota": 10**6}, team__app={"immutableTags": ["*"]})
    for name, limits in (("other", "tag_limit"), ("team/x", None), ("team/app", "immutable_tag")):
        assert offer(worker, name, "v1", layer_at(1)).status_code == 201
        reply = offer(worker, name, "v1" if limits == "immutable_tag" else "v2", layer_at(2))
        assert reply.status_code == (403 if limits else 201) and reply.headers.get("Zot-Refused") == limits


def lines(worker):
    return [json.loads(text) for text in worker.text().splitlines() if '"request.refused"' in text]


def test_the_log_names_the_entity(place):
    leader, worker = place
    leader.limit(worker, team__ALL={"tagLimit": 1})
    assert offer(worker, "team/app", "v1", layer_at(1)).status_code == 201
    assert put(worker, "team/app", "v2", image(layer_at(1))).status_code == 403
    await_true(lambda: lines(worker), what="the line of the refusal")
    [line] = lines(worker)
    assert {key: line.get(key) for key in ("status", "reason", "repository", "entity")} == {
        "status": 403, "reason": "tag_limit", "repository": "team/app", "entity": "team/**"}


def test_a_refused_push_leaves_nothing(place):
    leader, worker = place
    leader.limit(worker, ALL={"byteQuota": 2000})
    assert offer(worker, "app", "v1", layer_at(1)).status_code == 201
    body = image(layer_at(1), annotations={"note": "x" * 2000})
    assert why(put(worker, "app", "v2", body))[0] == "byte_quota"
    assert not (worker.folder / "store" / "app" / "blobs" / "sha256" / hashlib.sha256(body).hexdigest()).exists()


def test_a_leader_keeps_them():
    """The API of the kind, and a worker that obeys what it says."""
    port = free_port()
    with Leader() as leader, Worker(port=port, CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers",
                                    CLUSTER_LEADER_CLIENT_SECRET=SECRET, CLUSTER_WORKER_NAME="one",
                                    CLUSTER_SELF_ADDRESS=f"http://127.0.0.1:{port}") as worker:
        worker.session.auth = (leader.user, leader.password)
        reply = leader.admin("POST", "/api/repository", {"id": "team/**", "tagLimit": 1, "description": "one each"})
        assert reply.status_code == 201
        assert {"byteQuota": 0, "immutableTags": []}.items() <= reply.json().items()
        assert [row["id"] for row in leader.admin("GET", "/api/repositories").json()["items"]] == ["team/**"]
        reply = leader.admin("PATCH", "/api/repository/team/**", {"immutableTags": ["[v"]})
        assert reply.status_code == 400 and "immutableTags: [0]" in reply.text
        await_true(lambda: worker.counter("state_revision") >= leader.revision(), what="the limits at the worker")
        assert offer(worker, "team/app", "v1", layer_at(1)).status_code == 201
        assert why(put(worker, "team/app", "v2", image(layer_at(1))))[0] == "tag_limit"
        assert leader.admin("DELETE", "/api/repository/team/**").status_code == 204
        await_true(lambda: put(worker, "team/app", "v2", image(layer_at(1))).status_code == 201, what="no limit any more")
