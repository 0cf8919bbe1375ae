# SPDX-License-Identifier: Apache-2.0
"""On shared storage an upload is where its first bytes come: they cross to no other worker."""
import base64
import concurrent.futures
import contextlib
import os
import re
import socket
import time

import pytest

from peer_tokens import Script, Sender, header_of, key_of, proof
from worker_process import CLUSTER_SECRET, Worker, await_true, digest, free_port

DATA = b"a layer of some bytes"


def members(folder, count=3, **more):
    ports = [free_port() for _ in range(count)]
    stack = contextlib.ExitStack()
    workers = []
    for at, port in enumerate(ports):
        (folder / str(at)).mkdir(parents=True)
        workers.append(stack.enter_context(Worker(
            folder / str(at), port=port, **{"ZOT_STORAGE_ROOT": folder / "store", "ZOT_CLUSTER_ISOLATED": "false", **more}, ZOT_CLUSTER_HASH_KEY="loremipsumdolors", ZOT_CLUSTER_SECRET=CLUSTER_SECRET,
            ZOT_CLUSTER_MEMBERS=",".join(f"127.0.0.1:{port}" for port in ports))))
    return stack, workers


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    stack, workers = members(tmp_path_factory.mktemp("three"))
    with stack:
        yield workers


def path_of(reply):
    return re.sub(r"^https?://[^/]+", "", reply.headers["Location"])


def begin(worker, name="a/b", **more):
    reply = worker.call("POST", f"/v2/{name}/blobs/uploads/", **more)
    assert reply.status_code == 202, reply.text
    return path_of(reply)


def holder_of(path):
    return path.rpartition("-")[2]


def session_of(path):
    return re.search(r"/uploads/([0-9a-f]{31})[0-9a-f]-", path)[1]


def proxied_bytes(workers):
    return sum(worker.counter("proxied_bytes_total") for worker in workers)


def taken(worker):
    return worker.counter("uploads_taken_total")


def has_blob(worker, data, name="a/b", algorithm="sha256"):
    return worker.call("GET", f"/v2/{name}/blobs/{digest(data, algorithm)}").content == data


@pytest.mark.parametrize("way", ["patch", "put", "chunked"])
def test_bytes_stay_where_they_come(three, way):
    a, b, c = three
    data = os.urandom(3_000_000)
    before, took = proxied_bytes(three), taken(b)
    path = begin(a)
    if way == "put":
        assert b.call("PUT", path, params={"digest": digest(data)}, data=data).status_code == 201
    else:
        reply = b.call("PATCH", path, data=data if way == "patch" else iter([data[:5], data[5:]]))
        assert reply.status_code == 202 and reply.headers["Range"] == f"0-{len(data) - 1}"
        there = path_of(reply)
        assert session_of(there) == session_of(path) and holder_of(there) != holder_of(path) == holder_of(begin(a))
        assert c.call("PUT", there, params={"digest": digest(data)}).status_code == 201
    assert taken(b) == took + 1
    assert proxied_bytes(three) == before
    assert all(has_blob(worker, data) for worker in three)


def test_what_was_named_at_its_start_moves_with_it(three):
    a, b, _ = three
    path = begin(a, params={"digest-algorithm": "sha512"})
    reply = b.call("PATCH", path, data=DATA)
    assert b.call("PUT", path_of(reply), params={"digest": digest(DATA, "sha512")}).status_code == 201
    assert has_blob(b, DATA, algorithm="sha512")


def test_one_without_a_byte_outlives_the_worker_that_began_it(tmp_path):
    """Nothing is lost by beginning it anew, under its id. One with bytes is where they are."""
    stack, (a, b, c) = members(tmp_path)
    with stack:
        fresh, long, later, begun = (begin(a, **more) for more in ({}, {"params": {"digest-algorithm": "sha512"}}, {}, {}))
        begun = path_of(a.call("PATCH", begun, data=DATA))
        a.kill()
        for path, algorithm in ((fresh, "sha256"), (long, "sha512")):
            reply = b.call("PATCH", path, data=DATA)
            assert reply.status_code == 202 and reply.headers["Range"] == f"0-{len(DATA) - 1}", reply.text
            there = path_of(reply)
            assert session_of(there) == session_of(path) and there != path
            assert c.call("GET", there).headers["Range"] == reply.headers["Range"]
            assert c.call("PUT", there, params={"digest": digest(DATA, algorithm)}).status_code == 201
            assert has_blob(c, DATA, algorithm=algorithm)
        # What is no beginning, and what had begun.
        for path, more in ((later, {"headers": {"Content-Range": f"5-{len(DATA) + 4}"}}), (begun, {})):
            reply = b.call("PATCH", path, data=DATA, **more)
            assert reply.status_code == 503 and reply.headers["Retry-After"] == "3" and "start it again" in reply.text, reply.text
        assert b.call("PUT", begun, params={"digest": digest(DATA)}).status_code == 503
        assert b.call("GET", begun).status_code == 503


def test_who_asks_at_the_old_place_finds_it(three):
    a, b, c = three
    path = begin(a)
    here = path_of(b.call("PATCH", path, data=DATA))
    for worker in three:
        for place in (path, here):
            reply = worker.call("GET", place)
            assert reply.status_code == 204 and reply.headers["Range"] == f"0-{len(DATA) - 1}" and path_of(reply) == here, (worker.url, place)
            # A client that did not hear the answer begins again at 0.
            reply = worker.call("PATCH", place, data=DATA, headers={"Content-Range": f"0-{len(DATA) - 1}"})
            assert reply.status_code == 416 and reply.headers["Range"] == f"0-{len(DATA) - 1}" and path_of(reply) == here
    for n, worker in enumerate(three):
        reply = worker.call("PATCH", path, data=DATA, headers={"Content-Range": f"{(n + 1) * len(DATA)}-{(n + 2) * len(DATA) - 1}"} if n else {})
        assert reply.status_code == 202 and path_of(reply) == here
    assert c.call("PUT", path, params={"digest": digest(DATA * 4)}).status_code == 201
    assert has_blob(a, DATA * 4)
    for worker in three:
        assert worker.call("GET", path).status_code == worker.call("GET", here).status_code == 404


def test_one_of_many_first_ones_wins(three):
    """A client, or its proxy, that sends the same again while the first is under way."""
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for _ in range(20):
            path = begin(three[0])
            data = os.urandom(1000)
            replies = list(pool.map(lambda n: three[n % 3].call("PATCH", path, data=data, headers={"Content-Range": "0-999"}), range(6)))
            statuses = [reply.status_code for reply in replies]
            assert statuses.count(202) == 1 and set(statuses) <= {202, 416, 429, 503}, statuses
            won = path_of(replies[statuses.index(202)])
            assert {path_of(reply) for reply in replies if reply.status_code == 416} <= {won}
            assert three[1].call("PUT", won, params={"digest": digest(data)}).status_code == 201
            assert has_blob(three[2], data)


def test_one_that_is_cancelled_is_cancelled_everywhere(three):
    a, b, c = three
    for moves in (False, True):
        path = begin(a)
        if moves:
            assert b.call("PATCH", path, data=DATA).status_code == 202
        else:
            assert c.call("GET", path).headers["Range"] == "0-0"
        assert c.call("DELETE", path).status_code == 204
        for worker in three:
            reply = worker.call("PATCH", path, data=DATA)
            assert reply.status_code == 404 and reply.json()["errors"][0]["code"] == "BLOB_UPLOAD_UNKNOWN"


def leave_without_a_byte(worker, path):
    """A client that says that bytes will come, until this worker has the session for them."""
    took = taken(worker)
    with socket.create_connection(("127.0.0.1", worker.port)) as s:
        s.sendall(f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n".encode())
        await_true(lambda: taken(worker) == took + 1, what="the session at this worker")


def test_a_client_that_leaves_without_a_byte_may_come_back(three):
    """Its session is then at the worker that it reached; the next one takes it from there."""
    a, b, c = three
    path = begin(a)
    leave_without_a_byte(b, path)
    for worker in (c, a, b):
        await_true(lambda: worker.call("GET", path).status_code == 204, what="a session that nobody holds")
    for worker in (c, a):
        reply = await_true(lambda: (r := worker.call("PATCH", path, data=b"")).status_code == 202 and r)
    reply = c.call("PATCH", path, data=DATA)
    assert reply.status_code == 202 and reply.headers["Range"] == f"0-{len(DATA) - 1}"
    assert taken(c) >= 1
    assert a.call("PUT", path, params={"digest": digest(DATA)}).status_code == 201


def test_it_comes_back_to_where_it_began(three):
    a, b, _ = three
    path = begin(a)
    leave_without_a_byte(b, path)
    took = taken(a)
    reply = await_true(lambda: (r := a.call("PATCH", path, data=DATA)).status_code == 202 and r)
    assert holder_of(path_of(reply)) == holder_of(path) and taken(a) == took + 1
    assert b.call("PUT", path, params={"digest": digest(DATA)}).status_code == 201


def test_where_there_is_no_place_the_bytes_go_on(tmp_path):
    """And sessions that went elsewhere are in nobody's way."""
    stack, (a, b) = members(tmp_path, 2, ZOT_UPLOADS_PER_CLIENT=2)
    with stack:
        for n in range(5):
            data = os.urandom(100)
            assert b.call("PUT", begin(a), params={"digest": digest(data)}, data=data).status_code == 201
        assert taken(b) == 5 and a.counter("uploads_open") == 0
        full = [begin(b), begin(b)]
        path = begin(a)
        assert b.call("PATCH", path, data=DATA).status_code == 202
        assert taken(b) == 5 and b.counter("proxied_bytes_total") == len(DATA)
        assert b.call("PUT", path, params={"digest": digest(DATA)}).status_code == 201
        assert all(b.call("DELETE", path).status_code == 204 for path in full)


def test_isolated_members_send_on(tmp_path):
    (tmp_path / "x").mkdir()
    ports = [free_port(), free_port()]
    with contextlib.ExitStack() as stack:
        a, b = [stack.enter_context(Worker(tmp_path / "x" / str(at), port=ports[at], ZOT_CLUSTER_ISOLATED="true", ZOT_CLUSTER_HASH_KEY="loremipsumdolors",
                                           ZOT_CLUSTER_SECRET=CLUSTER_SECRET, ZOT_CLUSTER_MEMBERS=",".join(f"127.0.0.1:{port}" for port in ports)))
                for at in range(2) if not (tmp_path / "x" / str(at)).mkdir()]
        path = begin(a)
        other = next(worker for worker in (a, b) if begin(worker) and taken(worker) == 0 and holder_of(begin(worker)) == holder_of(path))
        assert other
        for worker in (a, b):
            path = begin(worker)
            reply = worker.call("PATCH", path, data=DATA)
            assert reply.status_code == 202 and session_of(path_of(reply)) == session_of(path) and holder_of(path_of(reply)) == holder_of(path)
        assert taken(a) == taken(b) == 0


def test_the_holder_is_killed(tmp_path):
    """Its bytes are gone with it, for all that the others know for as long as it does not answer."""
    stack, (a, b, c) = members(tmp_path)
    with stack:
        path = begin(a)
        here = path_of(b.call("PATCH", path, data=DATA))
        b.kill()
        for worker in (a, c):
            for method, more in (("GET", {}), ("PATCH", {"data": DATA}), ("PUT", {"params": {"digest": digest(DATA)}})):
                reply = worker.call(method, here, **more)
                assert reply.status_code == 503 and reply.headers["Retry-After"] == "3", (method, reply.text)
        assert a.push_blob("a/b", DATA)


def test_a_client_takes_nothing(three):
    """What a peer asks for, a client that knows how cannot, neither itself nor through a worker."""
    a, b, c = three
    path = begin(a)
    session = path.rpartition("/")[2]
    for worker in three:
        for headers in ({}, {"Zot-Upload-Takes": "1"}):
            reply = worker.call("PATCH", path, params={"holder": session}, data=b"", headers=headers)
            assert reply.status_code == 202 and "Zot-Upload-Given" not in reply.headers
            assert path_of(worker.call("GET", path)) == path
    assert b.call("PATCH", path, params={"holder": session}, data=DATA).status_code == 202
    assert c.call("DELETE", path).status_code == 204


# One real worker, and a member that is a script.

@pytest.fixture
def lone(tmp_path):
    ports = [free_port(), free_port()]
    with Worker(tmp_path, port=ports[0], ZOT_CLUSTER_ISOLATED="false", ZOT_CLUSTER_HASH_KEY="loremipsumdolors", ZOT_CLUSTER_SECRET=CLUSTER_SECRET,
                ZOT_CLUSTER_MEMBERS=",".join(f"127.0.0.1:{port}" for port in ports)) as worker:
        worker.other = ports[1]
        yield worker


def other_id(worker):
    """Of a session at the other member."""
    name = base64.urlsafe_b64encode(f"127.0.0.1:{worker.other}".encode()).rstrip(b"=").decode()
    return f"{os.urandom(16).hex()[:31]}1-{name}"


def answers(*texts):
    """Each request gets the next, proven; a head's end is added."""
    waiting = list(texts)

    def answer(connection, request):
        text = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        connection.sendall(f"HTTP/1.1 {text}\r\n".replace("\n", "\r\n").replace("\r\r", "\r").encode() + proof(key_of(CLUSTER_SECRET), request).encode() + b"Content-Length: 0\r\n\r\n")
    return answer


def patch(worker, script, session):
    """Until the script has heard of it: a member that could not be reached is left alone for a second."""
    def ask():
        reply = worker.call("PATCH", f"/v2/a/b/blobs/uploads/{session}", data=DATA)
        return script.heard and [reply]
    return await_true(ask, what="a call to the other member")[0]


def test_a_worker_of_before_gets_the_bytes(lone):
    session = other_id(lone)
    with Script(lone.other, answers(f"202 Accepted\nLocation: /v2/a/b/blobs/uploads/{session}\nRange: 0-0", f"202 Accepted\nLocation: /v2/a/b/blobs/uploads/{session}\nRange: 0-{len(DATA) - 1}")) as script:
        reply = patch(lone, script, session)
    assert reply.status_code == 202 and reply.headers["Range"] == f"0-{len(DATA) - 1}"
    (asked, nothing), (sent, body) = script.heard
    assert asked.startswith(f"PATCH /v2/a/b/blobs/uploads/{session}?holder={session[:32]}-") and not nothing
    assert header_of((asked, b""), "Zot-Upload-Takes") == "1"
    assert "holder=" not in sent and "Zot-Upload-Takes" not in sent and body == DATA
    assert lone.counter("uploads_open") == 0 and taken(lone) == 0


WRONG = {
    "an algorithm that is none": (["202 Accepted\nZot-Upload-Given: md5", "404 Not Found"], 404),
    "given with another status": (["200 OK\nZot-Upload-Given: sha256", "404 Not Found"], 404),
    "at another one who is nobody": (["421 No\nZot-Upload-Holder: {other}bm9ib2R5"], 404),
    "at ourselves": (["421 No\nZot-Upload-Holder: {self}"], 404),
    "of another session": (["421 No\nZot-Upload-Holder: " + "0" * 32 + "-bm9ib2R5"], 404),
    "what is no id": (["421 No\nZot-Upload-Holder: " + "x" * 3000], 404),
    "round and round": (["421 No\nZot-Upload-Holder: {there}"], 404),
    "nothing": (["404 Not Found"], 404),
    "not now": (["429 Too Many\nRetry-After: 1"], 429),
}


@pytest.mark.parametrize("what", WRONG)
def test_whatever_the_other_says_nothing_is_left(lone, what):
    session = other_id(lone)
    self = base64.urlsafe_b64encode(f"127.0.0.1:{lone.port}".encode()).rstrip(b"=").decode()
    texts, status = WRONG[what]
    texts = [text.replace("{other}", session[:33]).replace("{self}", session[:33] + self).replace("{there}", session) for text in texts]
    with Script(lone.other, answers(*texts)) as script:
        assert patch(lone, script, session).status_code == status
        assert len(script.heard) <= 4
    assert lone.counter("uploads_open") == 0 and taken(lone) == 0
    assert lone.push_blob("a/b", DATA)


def test_a_member_that_hangs_is_not_waited_for_long(lone):
    """The client is told before an hour, and what was kept for it is given back."""
    session = other_id(lone)

    def hang(connection, request):
        time.sleep(0.2)
        return "close"

    with Script(lone.other, hang) as script:
        reply = patch(lone, script, session)
    assert reply.status_code == 503
    assert lone.counter("uploads_open") == 0


def test_who_may_take_is_signed(three):
    a, b, _ = three
    path = begin(a)
    target = f"{path}?holder={session_of(path)}-bm9ib2R5"
    sender = Sender(CLUSTER_SECRET, "member 1 of 3", sender="member 2 of 3")
    token = sender.header("PATCH", path, body=b"", digest="")
    assert a.call("PATCH", target, data=b"", headers={**token, "Zot-Upload-Takes": "1"}).status_code == 401
    for wrong in ("x" * 300, "0" * 32 + "-bm9ib2R5", ""):
        one = f"{path}?holder={wrong}"
        reply = a.call("PATCH", one, data=b"", headers={**sender.header("PATCH", one, digest=""), "Zot-Upload-Takes": "1"})
        assert reply.status_code in (400, 404) and "Zot-Upload-Given" not in reply.headers
    assert b.call("PATCH", path, data=DATA).status_code == 202
    reply = a.call("PATCH", target, data=b"", headers={**sender.header("PATCH", target, digest=""), "Zot-Upload-Takes": "1"})
    assert reply.status_code == 421 and session_of("/uploads/" + reply.headers["Zot-Upload-Holder"]) == session_of(path)
