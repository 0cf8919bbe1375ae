# SPDX-License-Identifier: Apache-2.0
"""Nobody speaks for a worker: what is signed is good once, for one member, and for what was signed; and what a member may answer."""
import base64
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import time

import pytest
import requests

from peer_tokens import Script, Sender, claims_of, header_of, key_of, proof
from test_worker_access import write_htpasswd
from worker_process import CLUSTER_SECRET, MANIFEST, Worker, await_true, digest, free_port, image

SECRET = CLUSTER_SECRET
KEY = "loremipsumdolors"


def member(folder, ports, at, **more):
    (folder / str(at)).mkdir(exist_ok=True)
    return Worker(folder / str(at), port=ports[at], ZOT_STORAGE_ROOT=more.pop("store", folder / "store"), ZOT_CLUSTER_HASH_KEY=KEY,
                  ZOT_CLUSTER_SECRET=SECRET, ZOT_CLUSTER_MEMBERS=",".join(f"127.0.0.1:{port}" for port in ports), **{"ZOT_CLUSTER_ISOLATED": "false", **more})


@pytest.fixture
def first(tmp_path):
    """The first of two members; the other one is nobody. Who may log in is configured, so the anonymous may nothing."""
    write_htpasswd(tmp_path / "htpasswd")
    with member(tmp_path, [free_port(), free_port()], 0, ZOT_HTPASSWD=tmp_path / "htpasswd", ZOT_LOG_AUDIT=tmp_path / "audit") as worker:
        yield worker


def put(worker, sender, tag, body, more=None, **claims):
    target = f"/v2/golang/manifests/{tag}"
    signed = [("Content-Type", MANIFEST)]
    return worker.call("PUT", target, data=body, headers={**sender.header("PUT", target, body, signed, **claims), **dict(signed), **(more or {})})


def refusals(worker):
    """The metric may be read by who logs in only, and so by a peer."""
    target = "/metrics"
    reply = worker.call("GET", target, headers=Sender(SECRET, "member 1 of 2").header("GET", target))
    assert reply.status_code == 200
    return int(re.search(r"^zot_peer_refused_total (\d+)$", reply.text, re.M)[1])


def test_a_member_is_believed_and_written_down(first, tmp_path):
    sender = Sender(SECRET, "member 1 of 2")
    assert first.call("GET", "/v2/_catalog").status_code == 401
    assert put(first, sender, "v1", image(), user="ann").status_code == 201
    await_true(lambda: (tmp_path / "audit").exists() and (tmp_path / "audit").read_text().count("\n") == 1, what="a line of the audit")
    line = json.loads((tmp_path / "audit").read_text())
    assert (line["peer"], line["clientIP"], line["subject"], line["action"]) == ("member 2 of 2", "203.0.113.5", "ann", "PUT")
    # What says of itself who the client is, and is not signed, is nothing.
    assert put(first, sender, "v2", image(), {"X-Forwarded-For": "198.51.100.66"}).status_code == 201
    await_true(lambda: (tmp_path / "audit").read_text().count("\n") == 2)
    assert "198.51.100.66" not in (tmp_path / "audit").read_text() + first.text()


# A call that is like a right one but for one thing.
WRONG = {
    "no secret": {"secret": "another secret of 32 bytes ......"},
    "the hash key": {"secret": KEY},
    "another member": {"receiver": "member 2 of 2"},
    "nobody": {"receiver": ""},
    "late": {"issued": int(time.time() * 1000) - 3600_000},
    "in a hundred years": {"issued": int(time.time() * 1000) + 100 * 365 * 86400_000},
    "no digest": {"digest": ""},
    "another digest": {"digest": "00" * 32},
    "another length": {"length": 5},
    "chunked": {"length": "chunked"},
    "far": {"sequence": 2**48},
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_as_signed_is_refused(first, what):
    wrong = dict(WRONG[what])
    sender = Sender(wrong.pop("secret", SECRET), "member 1 of 2")
    before = refusals(first)
    reply = put(first, sender, "v1", image(), **wrong)
    assert reply.status_code == 401 and reply.headers["Zot-Cluster-Refused"] == "refused"
    assert reply.headers["WWW-Authenticate"].startswith("Basic") and reply.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert refusals(first) == before + 1
    right = Sender(SECRET, "member 1 of 2")
    assert first.call("GET", "/v2/golang/manifests/v1", headers=right.header("GET", "/v2/golang/manifests/v1")).status_code == 404


def test_method_target_and_head_are_signed(first):
    sender = Sender(SECRET, "member 1 of 2")
    body = image()
    assert put(first, sender, "v1", body).status_code == 201
    token = sender.header("GET", "/v2/golang/manifests/v1")
    assert first.call("DELETE", "/v2/golang/manifests/v1", headers=token).status_code == 401
    assert first.call("GET", "/v2/golang/tags/list", headers=token).status_code == 401
    assert first.call("GET", "/v2/golang/manifests/v1", headers={**token, "If-None-Match": "*"}).status_code == 401
    # Nothing of that used it up.
    assert first.call("GET", "/v2/golang/manifests/v1", headers=token).content == body
    other = sender.header("PUT", "/v2/golang/manifests/v2", body, [("Content-Type", MANIFEST)])
    assert first.call("PUT", "/v2/golang/manifests/v2", data=body, headers={**other, "Content-Type": "text/plain"}).status_code == 401


def test_a_call_is_good_once(first):
    sender = Sender(SECRET, "member 1 of 2")
    token = sender.header("GET", "/v2/_catalog")
    assert first.call("GET", "/v2/_catalog", headers=token).status_code == 200
    again = first.call("GET", "/v2/_catalog", headers=token)
    assert again.status_code == 401 and again.headers["Zot-Cluster-Refused"] == "used"
    assert all(first.call("GET", "/v2/_catalog", headers=sender.header("GET", "/v2/_catalog")).status_code == 200 for _ in range(50))
    # Nor to the process after this one, which has seen nothing.
    unused = sender.header("GET", "/v2/_catalog")
    first.stop()
    first.start()
    for caught in (token, unused):
        assert first.call("GET", "/v2/_catalog", headers=caught).status_code == 401
    assert first.call("GET", "/v2/_catalog", headers=sender.header("GET", "/v2/_catalog")).status_code == 200
    assert first.call("GET", "/v2/_catalog", headers=unused).status_code == 401


def test_what_is_caught_at_a_dead_members_port_opens_nobody(tmp_path):
    """A manifest is pushed for a repository whose owner is dead; who listens at its port hears the call and tells nothing."""
    ports = [free_port() for _ in range(3)]
    rules = {"repositories": {"**": {"policies": [{"users": ["ann"], "actions": ["read", "create", "update", "delete"]}]}}}
    write_htpasswd(tmp_path / "htpasswd")

    def start(at):
        (tmp_path / str(at)).mkdir()
        cluster = {"members": [f"127.0.0.1:{port}" for port in ports], "hashKey": KEY, "isolated": False}
        http = {"accessControl": rules, "auth": {"htpasswd": {"path": str(tmp_path / "htpasswd")}}}
        return Worker(tmp_path / str(at), port=ports[at], ZOT_CLUSTER_SECRET=SECRET,
                      config={"storage": {"rootDirectory": str(tmp_path / "store")}, "cluster": cluster, "http": http})

    def replay(worker, request, body):
        method, target, _ = request[0].split("\r\n")[0].split(" ")
        headers = {"Zot-Cluster-Peer": header_of(request, "Zot-Cluster-Peer"), "Content-Type": MANIFEST}
        return worker.call(method, target, data=body, headers=headers).status_code

    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(start(at)) for at in range(2)]
        with Script(ports[2], lambda connection, request: "close") as dead:
            workers[0].session.auth = ("ann", "annsecret")
            for n in range(100):
                reply = workers[0].call("PUT", f"/v2/lib/app{n}/manifests/v1", data=image(), headers={"Content-Type": MANIFEST})
                assert reply.status_code == 201
                caught = [request for request in dead.heard if request[0].startswith("PUT")]
                if len(caught) >= 2:
                    break
            assert caught[0][1] == image()
        # Sent twice under the same id, with a token each: none of them opens another member, with this body or another.
        assert header_of(caught[0], "Zot-Cluster-Peer") != header_of(caught[1], "Zot-Cluster-Peer")
        for request in caught:
            assert replay(workers[1], request, image(b"another")) == 401
            assert replay(workers[1], request, image()) == 401
            assert replay(workers[0], request, image()) == 401
        # Nor the member itself, once it is there again.
        back = stack.enter_context(start(2))
        for request in caught:
            assert replay(back, request, image()) == 401


def test_one_that_knows_nothing_costs_little(first):
    sender, started = Sender("no secret of this cluster", "member 1 of 2"), time.monotonic()
    token = sender.header("GET", "/v2/_catalog")["Zot-Cluster-Peer"]
    odd = ["", "v2", "v2  ", "v1 x y", "v2 " + "A" * 8000 + " " + "0" * 64, "v2 " + "A" * 8124 + " " + "0" * 64, "A" * 12000, token, token[:-1],
           "v1" + token[2:], token.replace(" ", "  ", 1)]
    for _ in range(10):
        for text in odd:
            reply = first.call("GET", "/v2/_catalog", headers={"Zot-Cluster-Peer": text})
            assert reply.status_code == 401 and reply.headers["Zot-Cluster-Refused"] == "refused"
    many = first.call("GET", "/v2/_catalog", headers={f"X-{n}": "y" * 10 for n in range(500)} | {"Zot-Cluster-Peer": token})
    assert many.status_code in (401, 431)
    connection = http.client.HTTPConnection("127.0.0.1", first.port, timeout=60)
    connection.putrequest("GET", "/v2/_catalog")
    right = Sender(SECRET, "member 1 of 2").header("GET", "/v2/_catalog")["Zot-Cluster-Peer"]
    for text in (right, token):
        connection.putheader("Zot-Cluster-Peer", text)
    connection.endheaders()
    assert connection.getresponse().status == 401
    told = first.text().count("peer.refused")
    assert 1 <= told <= time.monotonic() - started + 2
    assert refusals(first) >= 111


# ---- A member of the cluster, with the secret and everything, that answers what it likes ----

def signed(text, request):
    """As the member answers that was asked: the proof stands behind the first line."""
    first, rest = text.replace("\n", "\r\n").split("\r\n", 1)
    return (first + "\r\n" + proof(key_of(SECRET), request) + rest).encode()


def say(text):
    def answer(connection, request):
        connection.sendall(signed(text, request))
    return answer


def endless(head):
    """Until nobody listens."""
    def answer(connection, request):
        connection.sendall(signed(head, request))
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"x" * 65536)
        return "close"
    return answer


def interim(connection, request):
    with contextlib.suppress(OSError):
        for _ in range(200000):
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n")
        connection.sendall(b"HTTP/1.1 777 What\r\nContent-Length: 0\r\n\r\n")
    return "close"


def lines_of_a_head(connection, request):
    connection.sendall(signed("HTTP/1.1 200 OK\n", request))
    with contextlib.suppress(OSError):
        for n in range(1 << 24):
            connection.sendall(b"X-%d: %s\r\n" % (n, b"y" * 1000))
    return "close"


ANOTHER_CALL = "\r\nZot-Cluster-Peer: v2 x " + "0" * 64


def not_found(connection, line=""):
    connection.sendall(f"HTTP/1.1 404 Not Found\r\n{line}Content-Length: 2\r\n\r\n{{}}".encode())


HOSTILE = {
    "a body without an end": endless("HTTP/1.1 200 OK\n\n"),
    "a misdirection without an end": endless("HTTP/1.1 421 No\n\n"),
    "a refusal without an end": endless("HTTP/1.1 401 No\nZot-Cluster-Refused: refused\n\n"),
    "a refusal": say("HTTP/1.1 401 No\nZot-Cluster-Refused: refused\nContent-Length: 2\n\n{}"),
    "a refusal that is none": say("HTTP/1.1 401 No\nZot-Cluster-Refused: \nContent-Length: 2\n\n{}"),
    "a header line without an end": endless("HTTP/1.1 200 OK\nX: "),
    "a head without an end": lines_of_a_head,
    "heads without an end": interim,
    "chunks of an odd size": say("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nfffffffffffffffff\nabc"),
    "a status that is none": say("HTTP/1.1 777 What\nContent-Length: 2\n\nxx"),
    "a status of four digits": say("HTTP/1.1 2000 OK\nContent-Length: 2\n\nxx"),
    "no status": say("HTTP/1.1 abc OK\nContent-Length: 2\n\nxx"),
    "no HTTP": endless("\0\1\2\3\n\n"),
    "two lengths": say("HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: x\n\nxx"),
    "a negative length": say("HTTP/1.1 200 OK\nContent-Length: -2\n\nxx"),
    "a length that is none": say("HTTP/1.1 200 OK\nContent-Length: 99999999999999999999999\n\nxx"),
    "less than it said": lambda connection, request: (connection.sendall(signed("HTTP/1.1 200 OK\nContent-Length: 20\n\nxx", request)), "close")[1],
    "nothing": lambda connection, request: "close",
    "somebody else's 404": lambda connection, request: not_found(connection),
    "somebody else's 200": lambda connection, request: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
    "another member's 404": lambda connection, request: not_found(connection, proof(key_of(SECRET), request, "member 3 of 3")),
    "a proof by another secret": lambda connection, request: not_found(connection, proof(key_of("another secret of 32 bytes ......"), request)),
    "a proof of another call": lambda connection, request: not_found(connection, proof(key_of(SECRET), (ANOTHER_CALL,), "member 2 of 2")),
}


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """The first member, with an image of a repository that the second one owns, while nobody is there."""
    folder, ports = tmp_path_factory.mktemp("beside"), [free_port(), free_port()]
    with member(folder, ports, 0) as worker:
        worker.body = worker.push("debian", "v1")
        worker.other = ports[1]
        yield worker


def ask_until_heard(worker, script, path="/v2/debian/manifests/v1", method="GET", **more):
    """The first answer for which the other member was asked: after a failed connection it is left alone for a second."""
    def ask():
        before = len(script.heard)
        reply = worker.call(method, path, **more)
        return len(script.heard) > before and [reply]
    return await_true(ask, what="a call to the other member")[0]


@pytest.mark.parametrize("what", HOSTILE)
def test_a_member_that_answers_wrongly_stops_nobody(beside, what):
    """The storage is shared: what the owner does not answer, the one that was asked does."""
    with Script(beside.other, HOSTILE[what]) as script:
        reply = ask_until_heard(beside, script, stream=True)
        assert reply.status_code == 200 and reply.raw.read(len(beside.body) + 1) == beside.body
        assert beside.call("GET", f"/v2/debian/blobs/{digest(b'layer')}").content == b"layer"
    assert "peer.unreachable" in beside.text()
    # Sanitizers keep what was freed for a while.
    assert beside.peak_rss() < 400


def test_more_than_it_said_is_cut(beside):
    with Script(beside.other, lambda connection, request: (connection.sendall(
            signed("HTTP/1.1 200 OK\nContent-Length: 3\nX-A: b\n\n" + "abcdef" * 10000, request)), "close")[1]) as script:
        reply = ask_until_heard(beside, script)
        assert reply.content == b"abc" and reply.headers["X-A"] == "b"


def test_a_change_that_is_answered_oddly_is_made_once(beside):
    """It may have been made there; it is made here under the same id."""
    with Script(beside.other, HOSTILE["a status that is none"]) as script:
        reply = ask_until_heard(beside, script, "/v2/debian/manifests/v2", "PUT", data=beside.body, headers={"Content-Type": MANIFEST})
        assert reply.status_code == 201
        tokens = [header_of(request, "Zot-Cluster-Peer") for request in script.heard if request[0].startswith("PUT")]
    assert len(tokens) == 2 == len(set(tokens))
    assert beside.call("GET", "/v2/debian/tags/list").json()["tags"] == ["v1", "v2"]


def dribble(connection, head):
    """A byte of the body from time to time, and of the head before it a line."""
    with contextlib.suppress(OSError):
        for line in head:
            connection.sendall(line)
            time.sleep(0.2)
        while True:
            connection.sendall(b"x")
            time.sleep(0.2)


SLOW = {
    "/v2/debian/manifests/v1": lambda connection, request: None,
    "/v2/debian/tags/list": lambda connection, request: dribble(connection, [signed("HTTP/1.1 200 OK\n", request), b"Content-Length: 60000\r\n", b"\r\n"]),
    "/v2/debian/tags/list?n=5": lambda connection, request: dribble(
        connection, [signed("HTTP/1.1 200 OK\n", request)] + [b"X-%d: y\r\n" % n for n in range(10000)]),
}


def test_a_member_that_is_slow_is_not_waited_for_long(beside):
    """20 s for a read, silent or not: it can be served here."""
    def answer(connection, request):
        target = request[0].split(" ")[1]
        return SLOW[target](connection, request) if target in SLOW else say("HTTP/1.1 404 No\nContent-Length: 2\n\n{}")(connection, request)

    with Script(beside.other, answer) as script, concurrent.futures.ThreadPoolExecutor(len(SLOW)) as pool:
        assert ask_until_heard(beside, script, "/v2/debian/tags/list?n=1").status_code == 404
        started, before = time.monotonic(), len(script.heard)
        replies = list(pool.map(lambda target: requests.get(beside.url + target, timeout=120), SLOW))
        assert [reply.status_code for reply in replies] == [200] * len(SLOW)
        assert replies[0].content == beside.body and "v1" in replies[1].json()["tags"]
        assert len(script.heard) == before + len(SLOW)
    assert time.monotonic() - started > 15
    assert "has not answered in 20 s" in beside.text()


def test_isolated_members_that_quarrel_are_503(tmp_path):
    ports = [free_port(), free_port()]
    with member(tmp_path, ports, 0, ZOT_CLUSTER_ISOLATED="true") as worker:
        with Script(ports[1], HOSTILE["a refusal"]) as script:
            for method, body in (("GET", None), ("PUT", image())):
                reply = ask_until_heard(worker, script, "/v2/debian/manifests/v1", method, data=body, headers={"Content-Type": MANIFEST})
                assert reply.status_code == 503 and int(reply.headers["Retry-After"]) > 0
                assert "Zot-Cluster-Refused" not in reply.headers
            # Each attempt is signed anew, and once more after a refusal.
            tokens = [header_of(request, "Zot-Cluster-Peer") for request in script.heard]
            assert len(tokens) == len(set(tokens)) >= 4
        assert "does not believe this worker" in worker.text()


def test_what_passes_through_a_member_is_as_it_was_signed(tmp_path):
    """Bodies of a length and without, collected ones and none, headers of all kinds: nobody refuses anybody."""
    ports = [free_port(), free_port()]
    with member(tmp_path, ports, 0) as one, member(tmp_path, ports, 1) as two:
        for entry, holder in ((one, two), (two, one)):
            start = holder.start_upload("debian")[len(holder.url):]
            # One that has bytes stays where it is.
            assert holder.call("PATCH", start, data=b"012").status_code == 202
            for n, body in enumerate((b"abc", iter([b"de", b"f" * 100000]), b"")):
                more = {"Content-Range": "3-5"} if n == 0 else {}
                reply = entry.call("PATCH", start, data=body, headers={"Content-Type": "application/octet-stream", **more})
                assert reply.status_code == 202, reply.text
                start = reply.headers["Location"]
            assert entry.call("GET", start).status_code == 204
            content = b"012abcde" + b"f" * 100000 + holder.url.encode()
            assert entry.call("PUT", start, params={"digest": digest(content)}, data=holder.url.encode()).status_code == 201
            for name in ("debian", "golang"):
                body = entry.push(name, "v1")
                tag = entry.call("HEAD", f"/v2/{name}/manifests/v1").headers["ETag"]
                assert entry.call("GET", f"/v2/{name}/manifests/v1", headers={"If-None-Match": f'"x", {tag}'}).status_code == 304
                assert entry.call("PUT", f"/v2/{name}/manifests/v1", data=b"", headers={"Content-Type": MANIFEST}).status_code == 400
                assert entry.call("PUT", f"/v2/{name}/manifests/v1", data=body, headers={"Content-Type": MANIFEST, "If-Match": "*", "Range": "bytes=0-1"}).status_code == 201
                assert entry.call("GET", f"/v2/{name}/tags/list", params={"n": 1}).json()["tags"] == ["v1"]
                assert entry.call("DELETE", f"/v2/{name}/manifests/v1", data=b"a body that nobody wants").status_code == 202
        assert one.counter("peer_requests_total") > 10 and two.counter("peer_requests_total") > 10
        assert one.counter("peer_refused_total") == two.counter("peer_refused_total") == 0


def test_members_of_two_secrets_serve_on_shared_storage(tmp_path):
    """While a secret is changed, worker by worker."""
    ports = [free_port(), free_port()]
    with member(tmp_path, ports, 0) as old, member(tmp_path, ports, 1) as new:
        new.stop()
        new.environment["ZOT_CLUSTER_SECRET"] = os.urandom(32).hex()
        new.start()
        for n, name in enumerate(["golang", "debian"] * 3):
            body = (old if n % 2 else new).push(name, f"v{n}")
            for worker in (old, new):
                assert worker.call("GET", f"/v2/{name}/manifests/v{n}").content == body
        assert "is not signed with our secret" in old.text() + new.text()
        assert old.counter("peer_refused_total") + new.counter("peer_refused_total") > 0


def test_what_a_member_says_is_bound_to_its_clients_request(beside):
    """The first member, which we are, signs: who the client is, the length, the digest of what it has whole."""
    with Script(beside.other, say("HTTP/1.1 201 Created\nContent-Length: 0\n\n")) as script:
        ask_until_heard(beside, script, "/v2/debian/manifests/v9", "PUT", data=beside.body, headers={"Content-Type": MANIFEST})
        request = next(request for request in script.heard if request[0].startswith("PUT"))
    version, claims = header_of(request, "Zot-Cluster-Peer").split(" ")[0], claims_of(request)
    assert version == "v2" and claims[:2] == ["member 1 of 2", "member 2 of 2"]
    assert abs(int(claims[4]) - time.time() * 1000) < 60000
    assert claims[6] == "127.0.0.1" and claims[10] == digest(beside.body).split(":")[1]
    assert "X-Forwarded-For" not in request[0]
