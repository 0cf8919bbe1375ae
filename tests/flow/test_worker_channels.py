# SPDX-License-Identifier: Apache-2.0
"""Small calls between workers go over one lasting connection for each peer: what it carries, who may have one, and what a member may say on it."""
import concurrent.futures
import contextlib
import json
import socket
import struct

import pytest

from peer_tokens import Script, Sender, header_of, key_of, proof
from test_worker_access import write_htpasswd
from test_worker_peers import SECRET, ask_until_heard, member, put, refusals
from worker_process import MANIFEST, await_true, digest, free_port, image

BYTES, LAST, ROOM, DROP, AWAY = 1, 2, 3, 4, 5
TARGET = "/cluster/channel"


def frame(kind, call, payload=b""):
    return struct.pack(">BBHI", kind, len(payload) >> 16, len(payload) & 0xffff, call) + payload


def frames(connection):
    """What comes on it, frame by frame, until it is closed."""
    file = connection.makefile("rb")
    while len(head := file.read(8)) == 8:
        kind, high, low, call = struct.unpack(">BBHI", head)
        yield kind, call, file.read(high << 16 | low)


def answer_of(connection, call):
    """Head and body of the answer to this call; None: it was cut."""
    message = b""
    for kind, of, payload in frames(connection):
        if of == call and kind == DROP:
            return None
        message += payload if of == call and kind in (BYTES, LAST) else b""
        if of == call and kind == LAST:
            return message.partition(b"\r\n\r\n")[::2]


def ask_channel(port, more="", upgrade="Connection: Upgrade\r\nUpgrade: zot-channel/1\r\n", target=TARGET):
    """The connection, and the head that answers."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n{upgrade}{more}\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        assert piece, head
        head += piece
    return connection, head.decode()


def line_of(header):
    return "".join(f"{name}: {value}\r\n" for name, value in header.items())


def calls_over_channels(worker):
    return worker.counter("peer_channel_calls_total")


def through_channel(worker, ask):
    """ask() until it went over a channel: the first one opens it."""
    def once():
        before = calls_over_channels(worker)
        reply = ask()
        return calls_over_channels(worker) > before and [reply]
    return await_true(once, what="a call over a channel")[0]


@pytest.fixture
def two(tmp_path):
    """Two members; of the repositories here the first owns golang, the second debian."""
    write_htpasswd(tmp_path / "htpasswd")
    ports = [free_port(), free_port()]
    with member(tmp_path, ports, 0, ZOT_LOG_AUDIT=tmp_path / "audit0") as one, member(tmp_path, ports, 1, ZOT_LOG_AUDIT=tmp_path / "audit1") as other:
        yield one, other


def test_small_calls_share_one_connection(two, tmp_path):
    one, other = two
    body = one.push("debian", "v1")
    through_channel(one, lambda: one.call("GET", "/v2/debian/manifests/v1"))
    before, proxied, served = calls_over_channels(one), one.counter("proxied_total"), other.counter("peer_requests_total")
    tag = digest(body)
    assert one.call("GET", "/v2/debian/manifests/v1").content == body
    assert one.call("HEAD", "/v2/debian/manifests/v1").headers["Content-Length"] == str(len(body))
    assert one.call("GET", "/v2/debian/manifests/v1", headers={"If-None-Match": f'"{tag}"'}).status_code == 304
    assert one.call("PUT", "/v2/debian/manifests/v2", data=body, headers={"Content-Type": MANIFEST}).status_code == 201
    assert one.call("GET", "/v2/debian/tags/list").json()["tags"] == ["v1", "v2"]
    assert one.call("GET", f"/v2/debian/referrers/{tag}").status_code == 200
    assert one.call("GET", "/v2/debian/manifests/none").status_code == 404
    assert one.call("DELETE", "/v2/debian/manifests/v2").status_code == 202
    assert one.call("GET", "/v2/debian/manifests/v2").status_code == 404
    assert calls_over_channels(one) == before + 9 == before + one.counter("proxied_total") - proxied
    assert other.counter("peer_requests_total") == served + 9
    # Each is written down and counted at one side: the client's.
    assert one.counter("peer_channels") in (1, 2) and one.counter("proxy_failed_total") == 0
    await_true(lambda: len([line for line in (tmp_path / "audit1").read_text().splitlines() if json.loads(line)["action"] == "DELETE"]) == 1)
    assert json.loads((tmp_path / "audit1").read_text().splitlines()[-1])["clientIP"] == "127.0.0.1"


def test_answers_and_bodies_larger_than_a_window(two):
    """Manifests of up to 4 MiB both ways, many at a time, and small ones among them."""
    one, _ = two
    bodies = {f"big{n}": image(annotations={"x": "y" * (n * 900_000 + 100)}) for n in range(5)}
    one.push("debian", "v1")
    through_channel(one, lambda: one.call("GET", "/v2/debian/manifests/v1"))
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        for reply in pool.map(lambda tag: one.call("PUT", f"/v2/debian/manifests/{tag}", data=bodies[tag], headers={"Content-Type": MANIFEST}), bodies):
            assert reply.status_code == 201, reply.text
        before = calls_over_channels(one)  # while a loop's own channel is being opened, its calls go without
        for tag, reply in zip(list(bodies) * 4, pool.map(lambda tag: one.call("GET", f"/v2/debian/manifests/{tag}"), list(bodies) * 4)):
            assert reply.content == bodies[tag]
        assert calls_over_channels(one) > before
    assert one.counter("proxy_failed_total") == 0


def test_a_member_of_a_version_before_is_asked_as_before(tmp_path):
    """Its no is remembered: each loop asks once."""
    ports = [free_port(), free_port()]
    asked = []

    def count(connection, request):
        asked.append(request)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def answer(connection, request):
        connection.sendall(b"HTTP/1.1 404 No\r\n" + proof(key_of(SECRET), request).encode() + b"Content-Length: 2\r\n\r\n{}")

    with member(tmp_path, ports, 0, ZOT_LOOPS=1) as one, Script(ports[1], answer, channel=count) as script:
        assert ask_until_heard(one, script, "/v2/debian/tags/list").status_code == 404
        for _ in range(30):
            assert one.call("GET", "/v2/debian/tags/list").status_code == 404
        assert len(asked) == 1 and len(script.heard) == 31
        assert "GET /cluster/channel HTTP/1.1" in asked[0][0] and header_of(asked[0], "Upgrade") == "zot-channel/1"
        assert calls_over_channels(one) == 0 and one.counter("peer_channels_refused_total") == 1


@pytest.mark.parametrize("off", [0, 1])
def test_it_can_be_turned_off(tmp_path, off):
    ports = [free_port(), free_port()]
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(member(tmp_path, ports, at, ZOT_LOOPS=1, **({"ZOT_PEER_CHANNEL": "false"} if at == off else {}))) for at in (0, 1)]
        body = workers[0].push("debian", "v1")
        for _ in range(5):
            assert workers[0].call("GET", "/v2/debian/manifests/v1").content == body
        assert calls_over_channels(workers[0]) == 0
        assert workers[0].counter("peer_channels_refused_total") == off
        assert "peer.unreachable" not in workers[0].text()


# Who may have one.

@pytest.fixture
def first(tmp_path):
    write_htpasswd(tmp_path / "htpasswd")
    with member(tmp_path, [free_port(), free_port()], 0, ZOT_HTPASSWD=tmp_path / "htpasswd", ZOT_LOG_AUDIT=tmp_path / "audit") as worker:
        yield worker


def test_a_stranger_gets_none(first):
    before = refusals(first)
    right, wrong = Sender(SECRET, "member 1 of 2"), Sender("another secret of 32 bytes ......", "member 1 of 2")
    for more in ("", "Authorization: Basic YW5uOndyb25n\r\n", line_of(wrong.header("GET", TARGET)), line_of(right.header("GET", "/v2/")),
                 line_of(Sender(SECRET, "member 2 of 2").header("GET", TARGET)), line_of(right.header("GET", TARGET)) * 2):
        connection, head = ask_channel(first.port, more)
        assert head.startswith("HTTP/1.1 401 "), head
        connection.close()
    token = line_of(right.header("GET", TARGET))
    assert ask_channel(first.port, token)[1].startswith("HTTP/1.1 101 ")
    assert ask_channel(first.port, token)[1].startswith("HTTP/1.1 401 ")
    assert refusals(first) == before + 5


def test_a_user_gets_none(first):
    """Nor who may everything here."""
    connection, head = ask_channel(first.port, "Authorization: Basic YW5uOmEgcGFzc3dvcmQ=\r\n")
    assert head.split(" ")[1] in ("401", "403")


def test_the_words_of_the_protocol_are_needed(first):
    for upgrade in ("", "Upgrade: zot-channel/1\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: zot-channel/2\r\n"):
        connection, head = ask_channel(first.port, line_of(Sender(SECRET, "member 1 of 2").header("GET", TARGET)), upgrade)
        assert head.startswith("HTTP/1.1 426 ") and "\r\nUpgrade: zot-channel/1\r\n" in head


class Channel:
    def __init__(self, connection):
        self.connection, self.sender, self.next = connection, Sender(SECRET, "member 1 of 2"), 0

    def ask(self, target, more=""):
        self.next += 1
        self.connection.sendall(frame(LAST, self.next, f"GET {target} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()))
        return answer_of(self.connection, self.next)


def first_connection(worker):
    connection, head = ask_channel(worker.port, line_of(Sender(SECRET, "member 1 of 2").header("GET", TARGET)))
    assert head.startswith("HTTP/1.1 101 ")
    return connection


def test_an_open_channel_makes_nobody_a_peer(first):
    """Each call on it is judged as one on a connection of its own: by its token, which is good once."""
    sender = Sender(SECRET, "member 1 of 2")
    with first_connection(first) as connection:
        channel = Channel(connection)
        assert channel.ask("/v2/_catalog")[0].startswith(b"HTTP/1.1 401 ")
        token = line_of(sender.header("GET", "/v2/_catalog"))
        assert channel.ask("/v2/golang/tags/list", token)[0].startswith(b"HTTP/1.1 401 ")
        assert channel.ask("/v2/_catalog", token)[0].startswith(b"HTTP/1.1 200 ")
        assert channel.ask("/v2/_catalog", token)[0].startswith(b"HTTP/1.1 401 ")
        wrong = Sender("another secret of 32 bytes ......", "member 1 of 2")
        assert channel.ask("/v2/_catalog", line_of(wrong.header("GET", "/v2/_catalog")))[0].startswith(b"HTTP/1.1 401 ")
        assert channel.ask(TARGET, "Connection: Upgrade\r\nUpgrade: zot-channel/1\r\n" + line_of(sender.header("GET", TARGET)))[0].startswith(b"HTTP/1.1 426 ")
        assert channel.ask("/livez")[0].startswith(b"HTTP/1.1 200 ")
    assert put(first, sender, "v1", image()).status_code == 201


BROKEN = {
    "garbage": b"\x00\x01\x02\x03" * 100,
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a huge length": b"\x01\xff\xff\xff\x00\x00\x00\x01",
    "an unknown type": frame(9, 1, b"x"),
    "a call without a number": frame(LAST, 0, b"x"),
    "a call that never began": frame(DROP, 7),
    "room for what was not sent": frame(BYTES, 1, b"GET /v2/ HT") + frame(ROOM, 1, b"\0\0\0\1"),
    "a call twice": frame(LAST, 1, b"PUT /v2/golang/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n") + frame(BYTES, 1, b"x"),
    "more than the window": frame(BYTES, 1, b"P") + frame(BYTES, 1, b"x" * 16384) * 5,
    "more calls than there may be": b"".join(frame(BYTES, n, b"GET ") for n in range(1, 1026)),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_makes_no_sense_ends_the_channel_alone(first, what):
    with first_connection(first) as connection, first_connection(first) as other:
        connection.sendall(BROKEN[what])
        with contextlib.suppress(ConnectionResetError):
            assert not [kind for kind, _, _ in frames(connection) if kind in (BYTES, LAST)]
        assert Channel(other).ask("/livez")[0].startswith(b"HTTP/1.1 200 ")
    await_true(lambda: first.call("GET", "/livez").status_code == 200)


def test_who_never_reads_costs_a_bounded_amount(first):
    """A thousand calls whose answers nobody fetches: some hundred KiB wait, the rest is not read from the store's memory."""
    sender = Sender(SECRET, "member 1 of 2")
    assert put(first, sender, "v1", image(annotations={"x": "y" * 2_000_000})).status_code == 201
    before = first.peak_rss()
    with first_connection(first) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for n in range(1, 300):
            target = "/v2/golang/manifests/v1"
            connection.sendall(frame(LAST, n, f"GET {target} HTTP/1.1\r\nHost: x\r\n{line_of(sender.header('GET', target))}\r\n".encode()))
        await_true(lambda: first.call("GET", "/livez").status_code == 200)
        assert first.peak_rss() - before < 100


# What a member says on a channel that it has opened: its proof is right.

def opened(then):
    def channel(connection, request):
        connection.sendall((f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: zot-channel/1\r\n{proof(key_of(SECRET), request)}\r\n").encode())
        with contextlib.suppress(OSError):
            for kind, call, payload in frames(connection):
                if kind == LAST and then(connection, call, payload) == "close":
                    return
    return channel


def message(head, call):
    def send(connection, of, payload):
        token = next(line for line in payload.decode().split("\r\n") if line.startswith("Zot-Cluster-Peer: "))
        text = head.replace("\n", "\r\n").replace("PROOF\r\n", proof(key_of(SECRET), (f"x\r\n{token}\r\n", b""))).encode()
        connection.sendall(frame(LAST, of if call is None else call, text))
    return send


HOSTILE = {
    "garbage": lambda connection, call, payload: connection.sendall(b"\xff" * 1000),
    "HTTP": lambda connection, call, payload: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n"),
    "a huge length": lambda connection, call, payload: connection.sendall(b"\x02\xff\xff\xff" + struct.pack(">I", call)),
    "half a frame": lambda connection, call, payload: (connection.sendall(frame(LAST, call, b"x" * 100)[:50]), "close")[1],
    "the end": lambda connection, call, payload: "close",
    "an answer that is cut": lambda connection, call, payload: connection.sendall(frame(DROP, call)),
    "an answer to nobody": message("HTTP/1.1 200 OK\nContent-Length: 2\nPROOF\n\n{}", 99999),
    "no head": lambda connection, call, payload: connection.sendall(frame(LAST, call)),
    "a head that is none": message("what\n\n", None),
    "an answer that nobody signed": message("HTTP/1.1 404 No\nContent-Length: 2\n\n{}", None),
    "less than it said": message("HTTP/1.1 200 OK\nContent-Length: 9\nPROOF\n{}", None),
    "more than it said": message("HTTP/1.1 200 OK\nContent-Length: 1\nPROOF\n{}", None),
    "no length": message("HTTP/1.1 200 OK\nPROOF\n{}", None),
    "a misdirection": message("HTTP/1.1 421 No\nContent-Length: 0\nPROOF\n", None),
    "room for what was not sent": lambda connection, call, payload: connection.sendall(frame(ROOM, call, b"\0\0\1\0")),
    "a head without an end": lambda connection, call, payload: [connection.sendall(frame(BYTES, call, b"X" * 16000)) for _ in range(1000)],
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_member_that_answers_wrongly_on_a_channel_stops_nobody(tmp_path, what):
    """The storage is shared: reads and changes are served by the one that was asked, once."""
    ports, heard = [free_port(), free_port()], []

    def then(connection, call, payload):
        heard.append(payload)
        return HOSTILE[what](connection, call, payload)

    with member(tmp_path, ports, 0, ZOT_LOOPS=1) as one:
        body = one.push("debian", "v1")
        with Script(ports[1], lambda connection, request: "close", channel=opened(then)):
            def ask(method, tag, **more):
                before = len(heard)
                reply = one.call(method, f"/v2/debian/manifests/{tag}", **more)
                return len(heard) > before and [reply]
            assert await_true(lambda: ask("GET", "v1"), what="a call on the channel")[0].content == body
            reply = await_true(lambda: ask("PUT", "v2", data=body, headers={"Content-Type": MANIFEST}), what="a change on the channel")[0]
            assert reply.status_code == 201, reply.text
        assert one.call("GET", "/v2/debian/tags/list").json()["tags"] == ["v1", "v2"]
        assert one.peak_rss() < 400


def test_who_opens_without_a_proof_gets_no_calls(tmp_path):
    """A server that says 101 to everybody, and another member at the address."""
    ports, heard = [free_port(), free_port()], []

    def channel(connection, request):
        heard.append(request)
        line = proof(key_of(SECRET), request, "member 3 of 3") if len(heard) > 1 else ""
        connection.sendall(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: zot-channel/1\r\n{line}\r\n".encode())
        assert not connection.recv(1)

    with member(tmp_path, ports, 0, ZOT_LOOPS=1) as one:
        body = one.push("debian", "v1")
        with Script(ports[1], lambda connection, request: "close", channel=channel):
            await_true(lambda: one.call("GET", "/v2/debian/manifests/v1").content == body and len(heard) == 2)
            await_true(lambda: one.counter("peer_channels_refused_total") >= 2)
        assert calls_over_channels(one) == 0
