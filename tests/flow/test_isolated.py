# SPDX-License-Identifier: Apache-2.0
"""Each member has a disk of its own, and the cluster looks like one registry."""
import concurrent.futures
import contextlib
import os
import re
import time
import urllib.parse

import pytest

from peer_tokens import Script, claims_of, key_of, proof
from registry import await_true
from test_worker_access import write_htpasswd
from worker_process import CLUSTER_SECRET, Worker, digest, free_port

HASH_KEY = "loremipsumdolors"


def member(folder, ports, at, **more):
    (folder / str(at)).mkdir(exist_ok=True)
    return Worker(folder / str(at), port=ports[at], ZOT_CLUSTER_HASH_KEY=HASH_KEY, ZOT_CLUSTER_SECRET=CLUSTER_SECRET, ZOT_CLUSTER_ISOLATED="true",
                  ZOT_CLUSTER_MEMBERS=",".join(f"127.0.0.1:{port}" for port in ports), **more)


@contextlib.contextmanager
def members(folder, count, **more):
    ports = [free_port() for _ in range(count)]
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(member(folder, ports, at, **more)) for at in range(count)]


def names(reply):
    assert reply.status_code == 200, reply.text
    return reply.json()["repositories"]


def pages(worker, n, **more):
    """All names, page by page, by following the Link."""
    found, path = [], f"/v2/_catalog?n={n}"
    while path:
        reply = worker.call("GET", path, **more)
        found += names(reply)
        assert len(names(reply)) <= n and "Warning" not in reply.headers
        link = reply.headers.get("Link")
        path = re.match(r"<([^>]*)>; rel=\"next\"", link)[1] if link else None
    return found


def owner_of(workers, name):
    """Who has its folder."""
    return [worker for worker in workers if (worker.folder / "store" / name / "index.json").exists()]


def test_one_catalog(tmp_path):
    with members(tmp_path, 3) as workers:
        wanted = sorted(f"team-{n % 3}/app-{n}" for n in range(40)) + ["zz"]
        for at, name in enumerate(wanted):
            workers[at % 3].push(name, "v1")
        for name in wanted:
            assert len(owner_of(workers, name)) == 1
        assert {worker.port for name in wanted for worker in owner_of(workers, name)} == {worker.port for worker in workers}
        for worker in workers:
            assert names(worker.call("GET", "/v2/_catalog")) == wanted
            assert all(pages(worker, n) == wanted for n in (1, 7, 40, 41, 42, 10000))
            # `last` need not exist, and is not among what follows.
            assert names(worker.call("GET", "/v2/_catalog?n=2&last=team-1")) == [n for n in wanted if n > "team-1"][:2]
            assert names(worker.call("GET", "/v2/_catalog?last=zz")) == [] and names(worker.call("GET", "/v2/_catalog?n=0")) == []
            assert worker.call("GET", "/v2/_catalog?n=x").status_code == 400
            for name in wanted[:3]:
                assert worker.call("GET", f"/v2/{name}/tags/list").json()["tags"] == ["v1"]


def test_each_sees_what_it_may(tmp_path):
    write_htpasswd(tmp_path / "htpasswd")
    ports = [free_port(), free_port()]
    cluster = {"members": [f"127.0.0.1:{port}" for port in ports], "hashKey": HASH_KEY, "secret": CLUSTER_SECRET, "isolated": True}
    policies = {"a/**": {"anonymousPolicy": ["read"], "policies": [{"users": ["ann"], "actions": ["read", "create", "update"]}]}, "**": {"policies": [{"users": ["ann"], "actions": ["read", "create", "update"]}]}}
    with contextlib.ExitStack() as stack:
        workers = []
        for at, port in enumerate(ports):
            (tmp_path / str(at)).mkdir()
            workers.append(stack.enter_context(Worker(tmp_path / str(at), port=port, config={
                "cluster": cluster, "http": {"auth": {"htpasswd": {"path": str(tmp_path / "htpasswd")}}, "accessControl": {"repositories": policies}}})))
        workers[0].session.auth = ("ann", "annsecret")
        wanted = [f"{part}/n{n}" for part in "ab" for n in range(10, 22)]
        for name in wanted:
            workers[0].push(name, "v1")
        assert {worker.port for name in wanted for worker in owner_of(workers, name)} == set(ports)
        for worker in workers:
            assert names(worker.call("GET", "/v2/_catalog", auth=("ann", "annsecret"))) == wanted
            assert names(worker.call("GET", "/v2/_catalog", auth=("", ""))) == wanted[:12]
            assert pages(worker, 5, auth=("", "")) == wanted[:12]
            assert names(worker.call("GET", "/v2/_catalog?last=b", auth=("", ""))) == []


def say(connection, request, body, key=key_of(CLUSTER_SECRET)):
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n{proof(key, request)}\r\n{body}".encode())


def silent(connection, request):
    time.sleep(30)
    return "close"


def listing(*repositories):
    return "".join(f"{name}\n" for name in repositories)


ODD = {
    "unsorted": lambda c, r: say(c, r, listing("b", "a")),
    "twice": lambda c, r: say(c, r, listing("b", "b")),
    "not behind last": lambda c, r: say(c, r, listing("a", "x")),
    "no repository": lambda c, r: say(c, r, listing("../etc/passwd")),
    "no list": lambda c, r: say(c, r, "<html>"),
    "JSON, as clients get it": lambda c, r: say(c, r, '{"repositories":["b"]}'),
    "cut within a name": lambda c, r: say(c, r, "b\nc"),
    "others behind none": lambda c, r: say(c, r, "\n"),
    "too many": lambda c, r: say(c, r, listing(*sorted(f"r{n}" for n in range(200)))),
    "too large": lambda c, r: say(c, r, listing("r" + "a" * (1 << 20))),
    "a stranger": lambda c, r: say(c, r, listing("stolen"), key_of("some other secret of a stranger")),
    "500": lambda c, r: c.sendall(f"HTTP/1.1 500 Odd\r\nContent-Length: 0\r\n{proof(key_of(CLUSTER_SECRET), r)}\r\n".encode()),
    "cut": lambda c, r: c.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n{proof(key_of(CLUSTER_SECRET), r)}\r\n{{".encode()) or "close",
    "silent": silent,
}


def own_name(worker, folder, ports):
    """Of a repository that it owns, and has. The other member is there for so long, and has told that it has nothing of this one's."""
    with member(folder, ports, 1) as other:
        for n in range(40):
            worker.push(f"own/{n}", "v1")
            if not owner_of([other], f"own/{n}"):
                return f"own/{n}"
            assert worker.call("DELETE", f"/v2/own/{n}/manifests/v1").status_code == 202
    raise AssertionError("none found")


def ask_until_heard(worker, script):
    """One that said something strange is not asked for a moment. The answer, and the seconds that it took."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        started = time.monotonic()
        reply = worker.call("GET", "/v2/_catalog?n=100&last=a")
        if any("_catalog" in request[0] for request in script.heard):
            return reply, time.monotonic() - started
    raise AssertionError("the other member was not asked")


def test_members_that_answer_odd_things_are_named(tmp_path):
    ports = [free_port(), free_port()]
    with member(tmp_path, ports, 0) as worker:
        own = own_name(worker, tmp_path, ports)
        for what, answer in ODD.items():
            with Script(ports[1], answer) as script:
                reply, took = ask_until_heard(worker, script)
                assert names(reply) == [own] and f"repositories of 127.0.0.1:{ports[1]} are missing" in reply.headers["Warning"], what
                assert reply.headers["Warning"].startswith('299 - "') and "Link" not in reply.headers
                assert what != "silent" or 1.8 < took < 6
                asked = [request for request in script.heard if "_catalog" in request[0]]
                assert asked[-1][0].startswith("GET /v2/_catalog?lines&n=72&last=a HTTP/1.1")
                assert claims_of(asked[-1])[6:8] == ["127.0.0.1", ""] and "Authorization" not in asked[-1][0]
        # Nobody there: it is not asked each time.
        assert f"127.0.0.1:{ports[1]}" in worker.call("GET", "/v2/_catalog").headers["Warning"]
        assert worker.counter("catalog_missing_total") > len(ODD)
        # And one that answers well.
        with Script(ports[1], lambda c, r: say(c, r, listing("b", own, "z"))) as script:
            def whole():
                return "Warning" not in worker.call("GET", "/v2/_catalog").headers
            deadline = time.monotonic() + 20
            while not whole():
                assert time.monotonic() < deadline
            assert names(worker.call("GET", "/v2/_catalog")) == sorted({"b", own, "z"})


def test_who_runs_out_before_the_page_is_full_is_asked_again(tmp_path):
    """And ends the page where it is lost then: what is behind that place is for the next page."""
    ports = [free_port(), free_port()]
    many = sorted(f"many/n{n}" for n in range(1000, 1200))
    answers = {"again": True}

    def answer(connection, request):
        target = request[0].split()[1]
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query, keep_blank_values=True)
        if "_catalog" not in target:
            return say(connection, request, "")
        if "last" in asked and not answers["again"]:
            return say(connection, request, "nonsense")
        rest = [name for name in many if name > asked.get("last", [""])[0]]
        n = int(asked["n"][0])
        return say(connection, request, listing(*rest[:n]) + ("\n" if len(rest) > n else ""))

    with member(tmp_path, ports, 0) as worker, Script(ports[1], answer) as script:
        def ask():
            reply = worker.call("GET", "/v2/_catalog?n=100")
            return reply if "Warning" not in reply.headers else None
        reply = await_true(ask, 20, "an answer of both")
        script.heard.clear()
        reply = worker.call("GET", "/v2/_catalog?n=100")
        asked = [request[0].split()[1] for request in script.heard if "_catalog" in request[0]]
        assert asked == ["/v2/_catalog?lines&n=72", "/v2/_catalog?lines&n=28&last=many%2Fn1071"]
        assert names(reply) == many[:100] and reply.headers["Link"] == '</v2/_catalog?n=100&last=many%2Fn1099>; rel="next"'
        answers["again"] = False
        reply = worker.call("GET", "/v2/_catalog?n=100")
        assert names(reply) == many[:72] and reply.headers["Link"] == '</v2/_catalog?n=100&last=many%2Fn1071>; rel="next"'
        assert "Warning" not in reply.headers


def test_a_client_lists_not_too_often_at_once(tmp_path):
    """What is under way is bounded for each client: with 10000 names of two members four fit into 32 MiB."""
    ports = [free_port(), free_port()]
    with member(tmp_path, ports, 0) as worker, Script(ports[1], silent):
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            replies = list(pool.map(lambda _: worker.call("GET", "/v2/_catalog"), range(24)))
        told = [reply.status_code for reply in replies]
        assert set(told) == {200, 429} and told.count(429) >= 12
        assert all(int(reply.headers["Retry-After"]) > 0 for reply in replies if reply.status_code == 429)
        assert worker.counter("catalog_refused_total") == told.count(429)
        # Over: there is room again.
        assert worker.call("GET", "/v2/_catalog?n=5").status_code == 200


def mount(worker, name, content, source):
    return worker.call("POST", f"/v2/{name}/blobs/uploads/?mount={digest(content)}&from={source}")


def two_names(workers):
    """A repository of each."""
    found = {}
    for n in range(60):
        workers[0].push_blob(f"n{n}", b"%d" % n)
        has = [w.port for w in workers if (w.folder / "store" / f"n{n}" / "blobs").exists()]
        assert len(has) == 1
        found.setdefault(has[0], f"n{n}")
        if len(found) == len(workers):
            return [found[worker.port] for worker in workers]
    raise AssertionError("all names have one owner")


def copied(workers):
    return sum(worker.counter("mounts_copied_total") for worker in workers)


def test_a_mount_from_another_owner(tmp_path):
    with members(tmp_path, 2) as workers:
        one, two = two_names(workers)
        for size in (0, 1, 65536, 65537, 9 << 20):
            content = os.urandom(size)
            workers[0].push_blob(one, content)
            for entry in workers:
                reply = mount(entry, two, content, one)
                assert reply.status_code == 201, (size, reply.text)
                assert reply.headers["Docker-Content-Digest"] == digest(content)
                got = entry.call("GET", f"/v2/{two}/blobs/{digest(content)}")
                assert got.status_code == 200 and got.content == content
        assert copied(workers) == 5
        # Not there, not anywhere, and not a name.
        for source in (one, "nobody/has/it", "..."):
            reply = mount(workers[0], two, b"not there", source)
            assert reply.status_code == 202 and reply.headers["Location"]
        # What many want at once crosses once.
        content, before = os.urandom(12 << 20), copied(workers)
        workers[0].push_blob(one, content)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            told = [reply.status_code for reply in pool.map(lambda _: mount(workers[0], two, content, one), range(8))]
        assert told == [201] * 8 and copied(workers) == before + 1
        # Nothing is left over.
        assert workers[1].counter("uploads_open") == 3


def test_a_mount_from_a_dead_or_lying_owner_is_a_session(tmp_path):
    ports = [free_port(), free_port()]
    content = os.urandom(1000)
    with member(tmp_path, ports, 0) as worker:
        own = own_name(worker, tmp_path, ports)
        with Script(ports[1], ODD["500"]) as script:
            other = next(f"far/{n}" for n in range(40) if worker.call("GET", f"/v2/far/{n}/tags/list").status_code != 404)

            def lies(connection, request):
                body = b"x" * 1000
                head = f"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-999/1000\r\nContent-Length: 1000\r\n{proof(key_of(CLUSTER_SECRET), request)}\r\n"
                connection.sendall(head.encode() + body)

            script.answer = lies
            reply = mount(worker, own, content, other)
            assert reply.status_code == 202 and worker.call("HEAD", f"/v2/{own}/blobs/{digest(content)}").status_code == 404
            asked = next(request[0] for request in script.heard if "judge=1" in request[0])
            assert "range: bytes=0-65535" in asked.lower()
        assert mount(worker, own, content, other).status_code == 202
        assert worker.counter("mounts_copied_total") == 0
        reply = worker.call("GET", f"/v2/{other}/tags/list")
        assert reply.status_code == 503 and int(reply.headers["Retry-After"]) > 0 and f"127.0.0.1:{ports[1]}" in reply.text


def test_a_mount_needs_the_right_to_read(tmp_path):
    write_htpasswd(tmp_path / "htpasswd")
    ports = [free_port(), free_port()]
    cluster = {"members": [f"127.0.0.1:{port}" for port in ports], "hashKey": HASH_KEY, "secret": CLUSTER_SECRET, "isolated": True}

    def rules(anonymous):
        return {"http": {"auth": {"htpasswd": {"path": str(tmp_path / "htpasswd")}}, "accessControl": {"repositories": {
            "open/**": {"anonymousPolicy": ["read", "create"], "policies": [{"users": ["ann"], "actions": ["read", "create"]}]},
            "**": {"anonymousPolicy": anonymous, "policies": [{"users": ["ann"], "actions": ["read", "create"]}]}}}}, "cluster": cluster}

    # The second member's rules are narrower: what the first one thinks is not enough.
    with contextlib.ExitStack() as stack:
        workers = []
        for at, anonymous in enumerate((["read"], [])):
            (tmp_path / str(at)).mkdir()
            workers.append(stack.enter_context(Worker(tmp_path / str(at), port=ports[at], config=rules(anonymous))))
        content = b"a secret layer"
        for worker in workers:
            worker.session.auth = ("ann", "annsecret")

        def lies_at(at, prefix, data):
            for n in range(60):
                workers[0].push_blob(f"{prefix}{n}", data)
                if (workers[at].folder / "store" / f"{prefix}{n}").exists():
                    return f"{prefix}{n}"
            raise AssertionError("all names have one owner")

        closed, target = lies_at(1, "closed/", content), lies_at(0, "open/", b"another")
        path = f"/v2/{target}/blobs/uploads/?mount={digest(content)}&from={closed}"
        # The target's owner thinks that the anonymous may read it, the source's does not.
        for worker in workers:
            assert worker.call("POST", path, auth=("", "")).status_code == 202
            assert worker.call("HEAD", f"/v2/{target}/blobs/{digest(content)}").status_code == 404
        assert workers[0].call("POST", path).status_code == 201
