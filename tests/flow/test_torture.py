# SPDX-License-Identifier: Apache-2.0
"""Requests that two readers could understand differently, at worker and leader, plain and over TLS: refused, closed, and never two requests.

Each case is what follows or replaces a good request. `SMUGGLED` is what an attacker wants to be taken for a request of its own; whoever answers
it has been fooled. The cases follow the requirements of RFC 9112 and RFC 9110, and what smuggling is made of in the literature."""
import contextlib
import re
import socket
import ssl
import subprocess
import time

import pytest

from leader_process import Leader
from test_worker_certificates import authority, tls  # noqa: F401 fixtures
from worker_process import Worker

SMUGGLED = b"GET /livez?smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def first(line):
    return line + b"\r\nHost: x\r\n\r\n"


def field(lines, body=b"hello"):
    return b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + lines + b"\r\n\r\n" + body


# Each is answered by one of these statuses, and the connection is closed behind it.
REFUSED = {400, 405, 413, 414, 431, 501, 505}
CASES = {
    # The first line.
    "two blanks after the method": first(b"GET  /livez HTTP/1.1"),
    "two blanks after the target": first(b"GET /livez  HTTP/1.1"),
    "a tab after the method": first(b"GET\t/livez HTTP/1.1"),
    "a blank before the method": first(b" GET /livez HTTP/1.1"),
    "a blank behind the version": first(b"GET /livez HTTP/1.1 "),
    "no version": first(b"GET /livez"),
    "no target": first(b"GET HTTP/1.1"),
    "a version without a dot": first(b"GET /livez HTTP/1"),
    "a version with zeros": first(b"GET /livez HTTP/01.01"),
    "a version in small letters": first(b"GET /livez http/1.1"),
    "version 2": first(b"GET /livez HTTP/2.0"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a blank in the target": first(b"GET /liv ez HTTP/1.1"),
    "a fragment": first(b"GET /livez#x HTTP/1.1"),
    "a NUL in the target": first(b"GET /livez\0 HTTP/1.1"),
    "an escaped NUL": first(b"GET /livez%00 HTTP/1.1"),
    "an escaped line end": first(b"GET /livez%0d%0aX:%20y HTTP/1.1"),
    "a broken escape": first(b"GET /livez%zz HTTP/1.1"),
    "no ASCII in the target": first("GET /livez\u00e9 HTTP/1.1".encode()),
    "a target that is no path": first(b"GET livez HTTP/1.1"),
    "an asterisk with GET": first(b"GET * HTTP/1.1"),
    "CONNECT": first(b"CONNECT x:1 HTTP/1.1"),
    "a method that is no token": first(b"GE(T /livez HTTP/1.1"),
    "a method without end": b"A" * 5000,
    "a target without end": b"GET /" + b"a" * 20000,
    "a hello of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
    "binary": bytes(range(256)),
    "blanks alone": b"   \r\n\r\n",
    "three empty lines": b"\r\n\r\n\r\n" + first(b"GET /livez HTTP/1.1"),
    # Ends of lines.
    "line feeds alone": b"GET /livez HTTP/1.1\nHost: x\n\n",
    "a line feed in the head": b"GET /livez HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "carriage returns alone": b"GET /livez HTTP/1.1\rHost: x\r\r" + b"\r\n\r\n",
    "a carriage return in a value": field(b"A: b\rc", b""),
    "an end of a head by a line feed": b"GET /livez HTTP/1.1\r\nHost: x\r\n\n",
    # Fields.
    "a blank before the colon": field(b"Content-Length : 5"),
    "a tab before the colon": field(b"Transfer-Encoding\t: chunked", b"0\r\n\r\n"),
    "a folded line": field(b"A: b\r\n c"),
    "a folded encoding": field(b"Transfer-Encoding:\r\n chunked", b"0\r\n\r\n"),
    "a blank before the first field": b"GET /livez HTTP/1.1\r\n Host: x\r\n\r\n",
    "a field without a name": field(b": x", b""),
    "a field without a colon": field(b"Content-Length 5"),
    "a name that is no token": field(b"Content[Length]: 5"),
    "a name that is no ASCII": field("Content-L\u00e9ngth: 5".encode()),
    "a NUL in a value": field(b"A: b\0c", b""),
    "a NUL in a name": field(b"A\0: b", b""),
    "a control character in a value": field(b"A: b\x08c", b""),
    "a field without end": b"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 30000,
    "a name without end": b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"a" * 30000,
    "a thousand fields": field(b"\r\n".join(b"A%d: b" % i for i in range(1000)), b""),
    # Host.
    "no Host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "the same Host twice": b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "a list of Hosts": b"GET /livez HTTP/1.1\r\nHost: x, y\r\n\r\n",
    "a Host with a user": b"GET /livez HTTP/1.1\r\nHost: a@x\r\n\r\n",
    "a Host with a path": b"GET /livez HTTP/1.1\r\nHost: x/y\r\n\r\n",
    # Where a body ends.
    "a length and chunks": field(b"Content-Length: 6\r\nTransfer-Encoding: chunked", b"0\r\n\r\n" + SMUGGLED),
    "chunks and a length": field(b"Transfer-Encoding: chunked\r\nContent-Length: 4", b"0\r\n\r\n" + SMUGGLED),
    "two lengths": field(b"Content-Length: 5\r\nContent-Length: 50"),
    "the same length twice": field(b"Content-Length: 5\r\nContent-Length: 5"),
    "a list of lengths": field(b"Content-Length: 5, 5"),
    "a length with a plus": field(b"Content-Length: +5"),
    "a negative length": field(b"Content-Length: -5"),
    "minus zero": field(b"Content-Length: -0", SMUGGLED),
    "a length in hex": field(b"Content-Length: 0x5"),
    "a length with zeros": field(b"Content-Length: 005"),
    "two zeros": field(b"Content-Length: 00", SMUGGLED),
    "a length with a blank": field(b"Content-Length: 5 0"),
    "a length with a line": field(b"Content-Length: 5_0"),
    "a length in words": field(b"Content-Length: five"),
    "an empty length": field(b"Content-Length:"),
    "a length over all": field(b"Content-Length: 99999999999999999999999"),
    "an empty encoding": field(b"Transfer-Encoding:", b"0\r\n\r\n"),
    "an unknown encoding": field(b"Transfer-Encoding: xchunked", b"0\r\n\r\n"),
    "identity": field(b"Transfer-Encoding: identity", SMUGGLED),
    "chunked is not last": field(b"Transfer-Encoding: chunked, gzip", b"0\r\n\r\n"),
    "chunked twice": field(b"Transfer-Encoding: chunked, chunked", b"0\r\n\r\n"),
    "two encodings": field(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"0\r\n\r\n"),
    "an encoding with a parameter": field(b"Transfer-Encoding: chunked;x=y", b"0\r\n\r\n"),
    "an encoding with a vertical tab": field(b"Transfer-Encoding: \x0bchunked", b"0\r\n\r\n"),
    "an encoding with a NUL": field(b"Transfer-Encoding: chunked\0", b"0\r\n\r\n"),
    "an encoding in HTTP/1.0": b"POST /livez HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
}
# The head is good, the body is not: where it is read at all, it ends the connection.
BODIES = {
    "a size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size with a line": b"5_\r\nhello\r\n0\r\n\r\n",
    "a blank before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "a blank behind the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "a negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "a size over all": b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "a chunk that is longer": b"5\r\nhelloXX\r\n0\r\n\r\n",
    "no line end behind a chunk": b"5\r\nhello0\r\n\r\n",
    "a line feed behind the size": b"5\nhello\r\n0\r\n\r\n",
    "a line feed behind a chunk": b"5\r\nhello\n0\r\n\r\n",
    "an extension without a name": b"5;\r\nhello\r\n0\r\n\r\n",
    "an extension with a line feed": b"5;a\nhello\r\n0\r\n\r\n",
    "an extension with a carriage return": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "an extension with a NUL": b"5;a\0\r\nhello\r\n0\r\n\r\n",
    "an extension without end": b"5;" + b"a" * 70000,
    "a trailer without end": b"0\r\nA: " + b"a" * 70000,
    "trailers without end": b"0\r\n" + b"A: b\r\n" * 10000,
    "a trailer without a name": b"0\r\n: b\r\n\r\n",
    "a folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "a trailer with a line feed": b"0\r\nA: b\n\r\n",
}


class Target:
    """A server and how to reach it."""

    def __init__(self, process, ca=None):
        self.process, self.port = process, process.port
        self.context = ssl.create_default_context(cafile=ca) if ca else None

    def dial(self):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return self.context.wrap_socket(plain, server_hostname="127.0.0.1") if self.context else plain

    def say(self, text):
        """All that comes back until the server closes."""
        with self.dial() as s:
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                s.sendall(text)
            got = b""
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                while piece := s.recv(65536):
                    got += piece
            return got


@pytest.fixture(scope="module", params=["worker", "leader", "worker over TLS", "leader over TLS"])
def target(request, tls, authority):  # noqa: F811
    if request.param == "worker":
        with Worker(ZOT_LOG_LEVEL="warn") as worker:
            yield Target(worker)
    elif request.param == "leader":
        with Leader(ZOT_LOG_LEVEL="warn") as leader:
            yield Target(leader)
    elif request.param == "worker over TLS":
        with Worker(ZOT_LOG_LEVEL="warn", ZOT_TLS_CERT=tls["cert"], ZOT_TLS_KEY=tls["key"], verify=authority.ca) as worker:
            yield Target(worker, authority.ca)
    else:
        with Leader(ZOT_LOG_LEVEL="warn", ZOT_TLS_CERT=tls["cert"], ZOT_TLS_KEY=tls["key"], verify=authority.ca) as leader:
            yield Target(leader, authority.ca)


def statuses(text):
    return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d{3}) ", text)]


def test_what_has_two_readings_is_refused(target):
    wrong = {}
    for name, text in CASES.items():
        got = target.say(text + SMUGGLED)
        if len(statuses(got)) != 1 or statuses(got)[0] not in REFUSED:
            wrong[name] = got[:200]
    assert not wrong


def test_the_same_after_a_good_request(target):
    """A connection that was kept reads no less strictly."""
    good = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    wrong = {}
    for name, text in CASES.items():
        got = statuses(target.say(good + text + SMUGGLED))
        if len(got) != 2 or got[0] != 200 or got[1] not in REFUSED:
            wrong[name] = got
    assert not wrong


def test_a_broken_body_ends_the_connection(target):
    """/livez answers 405 to a POST without its body; what is behind a body that is none is never a request."""
    wrong = {}
    for name, body in BODIES.items():
        got = statuses(target.say(CHUNKED + body + SMUGGLED))
        if len(got) != 1 or got[0] not in REFUSED:
            wrong[name] = got
    assert not wrong


def test_what_is_right_is_served(target):
    """The same forms, as they should be: nothing above is refused for being unusual."""
    close = b"\r\nConnection: close\r\n\r\n"
    for text in (b"GET /livez HTTP/1.1\r\nHost:x" + close, b"GET /livez HTTP/1.1\r\nhOST: \t x:80 \t" + close, b"\r\nGET /livez HTTP/1.1\r\nHost: x" + close,
                 b"GET http://x/livez HTTP/1.1\r\nHost: x" + close, b"GET /livez?a={b}|c HTTP/1.1\r\nHost: x" + close, b"GET /%6civez HTTP/1.1\r\nHost: x" + close,
                 b"GET /livez HTTP/1.0\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: [::1]:5000" + close,
                 b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
                 b"GET /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\n\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
                 b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 50 + b"GET /livez HTTP/1.1\r\nHost: x" + close):
        got = statuses(target.say(text))
        assert got and set(got) == {200}, (text[:100], got)


def test_a_head_byte_by_byte_is_the_same(target):
    with target.dial() as s:
        for i in b"GET /livez HTTP/1.1\r\nHost: x\r\nA: b\r\nConnection: close\r\n\r\n":
            s.sendall(bytes([i]))
        got = b""
        while piece := s.recv(65536):
            got += piece
        assert statuses(got) == [200]


def test_an_unfinished_chunk_line_leaves_nothing_behind(target):
    """The connection of a client that left in the middle of it ends, and no loop turns for it."""
    before, kept = cpu_s(target.process), descriptors(target.process)  # the test's own
    for _ in range(96):
        with contextlib.suppress(ConnectionError, ssl.SSLError), target.dial() as s:
            s.sendall(b"POST /v2/p/blobs/uploads/?digest=sha256:" + b"0" * 64 + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"a" * 30000)
    assert statuses(target.say(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) == [200]
    gone = time.monotonic() + 20
    while descriptors(target.process) > kept and time.monotonic() < gone:
        time.sleep(0.02)
    assert descriptors(target.process) <= kept
    metrics = target.say(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").decode()
    assert re.search(r"^zot_(leader_)?loop_spins_total 0$", metrics, re.M)
    assert cpu_s(target.process) - before < 15


def test_a_client_cannot_renegotiate(target):
    """Each renegotiation would cost the server a signature and the client nothing."""
    if not target.context:
        return
    said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{target.port}", "-tls1_2"], input=b"R\n", capture_output=True, timeout=30)
    assert b"RENEGOTIATING" in said.stdout + said.stderr and b"no renegotiation" in said.stderr, said


def cpu_s(process):
    parts = open(f"/proc/{process.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / 100


def descriptors(process):
    """Connections of clients that the process still has."""
    port = f":{process.port:04X}"
    lines = open(f"/proc/{process.process.pid}/net/tcp").read().splitlines()[1:]
    return sum(1 for line in lines if line.split()[1].endswith(port) and line.split()[3] in ("01", "08") and line.split()[9] != "0")
