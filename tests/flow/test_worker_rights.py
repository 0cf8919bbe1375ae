# SPDX-License-Identifier: Apache-2.0
"""401, 403 or 404: one table of who asks for what, the same at a worker alone, at a repository's owner and at another member."""
import contextlib
import http.client

import pytest

from test_worker_access import PASSWORDS, write_htpasswd
from test_worker_limits import pair
from worker_process import MANIFEST, Worker, digest, image

ALL = ["read", "create", "update", "delete"]
RULES = {
    "repositories": {
        "**": {"policies": [{"users": ["ann"], "actions": ALL}, {"users": ["bob"], "actions": ["read"]}]},
        "open/**": {"anonymousPolicy": ["read"], "defaultPolicy": ["read", "create"]},
        "drop/**": {"anonymousPolicy": ["create"]},
        "eve/**": {"policies": [{"users": ["eve"], "actions": ["read", "create"]}]}},
    "adminPolicy": {"users": ["root"], "actions": ALL}}

# Who: nobody; a wrong password; eve has no rights in **, bob may read, ann may do everything there, root is the admin.
WHO = ["nobody", "wrong", "eve", "bob", "ann", "root"]
READ = {"known": (401, 401, 403, 200, 200, 200), "new": (401, 401, 403, 404, 404, 404)}
TAG, BLOB = "/v2/{name}/manifests/v1", "/v2/{name}/blobs/" + digest(b"layer")

# method, path, status for each of WHO in a repository that is there, and in one that is not.
TABLE = [
    ("GET", "/v2/{name}/tags/list", READ),
    ("HEAD", "/v2/{name}/tags/list", READ),
    ("GET", TAG, READ),
    ("HEAD", TAG, READ),
    ("GET", BLOB, READ),
    ("HEAD", BLOB, READ),
    ("GET", "/v2/{name}/referrers/" + digest(b"x"), {"known": READ["known"], "new": (401, 401, 403, 200, 200, 200)}),
    ("POST", "/v2/{name}/blobs/uploads/", {"known": (401, 401, 403, 403, 202, 202), "new": (401, 401, 403, 403, 202, 202)}),
    ("DELETE", "/v2/{name}/manifests/none", {"known": (401, 401, 403, 403, 404, 404), "new": (401, 401, 403, 403, 404, 404)}),
    ("DELETE", "/v2/{name}/blobs/" + digest(b"none"), {"known": (401, 401, 403, 403, 404, 404), "new": (401, 401, 403, 403, 404, 404)}),
    ("PUT", "/v2/{name}/manifests/v1", {"known": (401, 401, 403, 403, 201, 201), "new": (401, 401, 403, 403, 404, 404)}),  # 404: no such blobs
]


def login(who):
    return {"nobody": {}, "wrong": {"auth": ("ann", "wrong")}}.get(who) or ({"auth": (who, PASSWORDS[who])} if who in PASSWORDS else {})


@pytest.fixture(scope="module", params=["alone", "owner", "other"])
def place(request, tmp_path_factory):
    """(worker, name of a repository that is there): the worker alone, or one of two that owns it or does not."""
    folder = tmp_path_factory.mktemp("rights")
    write_htpasswd(folder / "htpasswd")
    settings = {"auth": {"htpasswd": {"path": str(folder / "htpasswd")}}, "accessControl": RULES}
    with contextlib.ExitStack() as stack:
        if request.param == "alone":
            worker, name = stack.enter_context(Worker(folder, config={"http": settings, "storage": {"requireBlobs": True}})), "golang"
        else:
            workers, names = pair(folder, stack, settings, storage={"requireBlobs": True})
            worker, name = workers[0], names[request.param == "other"]
        worker.session.auth = ("ann", "annsecret")
        worker.push(name, "v1")
        worker.push_blob(name, b"a blob that is nowhere else")
        worker.session.auth = None
        yield worker, name


def ask(worker, who, method, path, **more):
    body = {"data": image(), "headers": {"Content-Type": MANIFEST}} if method == "PUT" else {}
    return worker.call(method, path, **login(who), **body, **more)


@pytest.mark.parametrize("method,path,expected", TABLE, ids=[f"{row[0]}-{row[1].rsplit('/', 2)[-2]}" for row in TABLE])
def test_who_may_do_what(place, method, path, expected):
    worker, known = place
    for repository, name in (("known", known), ("new", known + "/new/" + method.lower())):
        seen = []
        for who in WHO:
            reply = ask(worker, who, method, path.format(name=name))
            seen.append(reply.status_code)
            if reply.status_code in (401, 403):
                assert reply.headers["WWW-Authenticate"] == 'Basic realm="Authorization Required"'
                assert reply.headers["Content-Type"] == "application/json"
                if method != "HEAD":
                    assert reply.json()["errors"][0]["code"] == {401: "UNAUTHORIZED", 403: "DENIED"}[reply.status_code]
        assert dict(zip(WHO, seen)) == dict(zip(WHO, expected[repository])), repository


def test_the_base(place):
    worker, _ = place
    # Somebody anonymous may read something, so nobody has to log in; the answer says that one can.
    expected = {"nobody": 200, "wrong": 401, "eve": 200, "bob": 200, "ann": 200, "root": 200}
    for who, status in expected.items():
        reply = ask(worker, who, "GET", "/v2/")
        assert (who, reply.status_code) == (who, status)
        assert reply.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert reply.headers["Docker-Distribution-API-Version"] == "registry/2.0"
    assert ask(worker, "nobody", "GET", "/v2/", headers={"User-Agent": "docker/24.0 go/1.20"}).status_code == 401
    assert ask(worker, "ann", "GET", "/v2/", headers={"User-Agent": "docker/24.0 go/1.20"}).status_code == 200
    assert ask(worker, "nobody", "GET", "/v2/", headers={"Authorization": "Basic Og=="}).status_code == 200


def test_what_needs_no_login(place):
    worker, _ = place
    assert [ask(worker, who, "GET", "/v2/x/nothing").status_code for who in WHO] == [404] * 6
    assert [ask(worker, who, "POST", "/v2/_catalog").status_code for who in WHO] == [405] * 6
    assert [ask(worker, who, "GET", "/livez").status_code for who in WHO] == [200] * 6


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Bearer x", "Basic " + "QUFB" * 2000, "Basic YW5u", "basic bm9ib2R5Og=="])
def test_an_odd_login_is_refused(place, header):
    worker, known = place
    for path in ("/v2/", f"/v2/{known}/tags/list", "/v2/_catalog"):
        assert ask(worker, "nobody", "GET", path, headers={"Authorization": header}).status_code == 401


def test_two_logins_are_refused(place):
    worker, known = place
    connection = http.client.HTTPConnection("127.0.0.1", worker.port)
    connection.putrequest("GET", f"/v2/{known}/tags/list")
    for _ in range(2):
        connection.putheader("Authorization", "Basic YW5uOmFubnNlY3JldA==")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()


def test_the_anonymous_where_they_may_something(place):
    worker, _ = place
    assert ask(worker, "nobody", "GET", "/v2/open/x/tags/list").status_code == 404
    assert ask(worker, "nobody", "POST", "/v2/open/x/blobs/uploads/").status_code == 401
    assert ask(worker, "eve", "POST", "/v2/open/x/blobs/uploads/").status_code == 202
    assert ask(worker, "eve", "DELETE", "/v2/open/x/manifests/v1").status_code == 403
    # They may create and not update: moving a tag is 401 for them too.
    for n, status in ((1, 201), (2, 401)):
        data = b"{}", b"layer"
        for one in data:
            assert ask(worker, "nobody", "POST", f"/v2/drop/x{worker.port}/blobs/uploads/?digest={digest(one)}", data=one).status_code == 201
        reply = worker.call("PUT", f"/v2/drop/x{worker.port}/manifests/v1", data=image(annotations={"n": str(n)}), headers={"Content-Type": MANIFEST})
        assert reply.status_code == status
    assert reply.headers["WWW-Authenticate"] and reply.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert ask(worker, "nobody", "GET", f"/v2/drop/x{worker.port}/tags/list").status_code == 401


def test_the_catalog_has_what_one_may_read(place):
    worker, known = place
    worker.session.auth = ("root", PASSWORDS["root"])
    worker.push("open/listed", "v1")
    worker.push("eve/listed", "v1")
    worker.session.auth = None
    names = {who: set(ask(worker, who, "GET", "/v2/_catalog").json()["repositories"]) for who in WHO if who != "wrong"}
    listed = {"open/listed", "eve/listed", known}
    assert names["root"] >= listed
    assert {who: seen & listed for who, seen in names.items() if who != "root"} == {
        "nobody": {"open/listed"}, "eve": {"open/listed", "eve/listed"}, "bob": {"open/listed", known}, "ann": {"open/listed", known}}


def test_a_mount_needs_the_right_to_read_its_source(place):
    worker, known = place
    secret = digest(b"a blob that is nowhere else")
    mount = f"?mount={secret}"
    targets = ("eve/one", "eve/two", "eve/three")  # some are ours, some the other member's
    for target in targets:
        for query in (f"{mount}&from={known}", mount):
            assert ask(worker, "eve", "POST", f"/v2/{target}/blobs/uploads/{query}").status_code == 202
        assert ask(worker, "eve", "HEAD", f"/v2/{target}/blobs/{secret}").status_code == 404
    # Who may read it there mounts it, and from then on so does eve from what is hers.
    assert ask(worker, "root", "POST", f"/v2/{targets[0]}/blobs/uploads/{mount}&from={known}").status_code == 201
    assert ask(worker, "eve", "POST", f"/v2/{targets[1]}/blobs/uploads/{mount}&from={targets[0]}").status_code == 201
    # Without the right to create at the target there is nothing to ask.
    assert ask(worker, "eve", "POST", f"/v2/{known}/blobs/uploads/{mount}&from=eve/one").status_code == 403
    assert ask(worker, "nobody", "POST", f"/v2/eve/one/blobs/uploads/{mount}&from={known}").status_code == 401


GUARDED = {"repositories": {"**": {"policies": [{"users": ["ann"], "actions": [*ALL, "detectManifestCollision"]},
                                               {"groups": ["careful"], "actions": [*ALL, "detectManifestCollision"]},
                                               {"users": ["eve"], "actions": ALL}]}},
           "groups": {"careful": {"users": ["bob"]}}, "adminPolicy": {"users": ["root"], "actions": ALL}}


@pytest.mark.parametrize("kind", ["alone", "owner", "other"])
def test_a_digest_of_several_tags_is_kept_from_who_detects_collisions(kind, tmp_path):
    """skopeo deletes by digest: with detectManifestCollision that does not take tags along that nobody meant."""
    write_htpasswd(tmp_path / "htpasswd")
    settings = {"auth": {"htpasswd": {"path": str(tmp_path / "htpasswd")}}, "accessControl": GUARDED}
    with contextlib.ExitStack() as stack:
        if kind == "alone":
            worker, name = stack.enter_context(Worker(tmp_path, config={"http": settings})), "golang"
        else:
            workers, names = pair(tmp_path, stack, settings)
            worker, name = workers[0], names[kind == "other"]
        worker.session.auth = ("ann", PASSWORDS["ann"])

        def tag(*tags):
            bodies = [worker.push(name, one) for one in tags]
            return f"/v2/{name}/manifests/{digest(bodies[0])}"

        tags = lambda: worker.call("GET", f"/v2/{name}/tags/list").json()["tags"]  # noqa: E731
        path = tag("v1", "v2")
        for who in ("ann", "bob"):
            reply = worker.call("DELETE", path, auth=(who, PASSWORDS[who]))
            assert reply.status_code == 409, reply.text
            assert reply.json()["errors"][0]["code"] == "MANIFEST_INVALID" and "several tags" in reply.text
        assert tags() == ["v1", "v2"]
        # One tag alone may go, and then the digest with what is left.
        assert worker.call("DELETE", f"/v2/{name}/manifests/v1").status_code == 202
        assert worker.call("DELETE", path).status_code == 202
        assert tags() == []
        # Who has no such right, and an admin, deletes them all.
        for who in ("eve", "root"):
            path = tag("v1", "v2")
            assert worker.call("DELETE", path, auth=(who, PASSWORDS[who])).status_code == 202
            assert tags() == []
