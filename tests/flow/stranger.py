# SPDX-License-Identifier: Apache-2.0
"""One stranger: the most connections of one kind that a client without credentials keeps open or makes, from one address, as a program of its own.

    python stranger.py KIND PORT SECONDS CONNECTIONS tls|plain

It prints how many connections it held or made. Its address is 127.0.0.2, so that it is not the one of those who are served meanwhile."""
import base64
import contextlib
import os
import resource
import selectors
import socket
import ssl
import struct
import sys
import time

HOST = b"Host: x\r\n"
CHUNKED = b"POST /v2/p/blobs/uploads/?digest=sha256:" + b"0" * 64 + b" HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /v2/ HTTP/1.1\r\n" + HOST + b"\r\n"


def wrong_login(n):
    return b"GET /v2/ HTTP/1.1\r\n" + HOST + b"Authorization: Basic " + base64.b64encode(b"ann:wrong %d" % n) + b"\r\n\r\n"


class Kind:
    """What is said at first, and again each second; refills: what is said whenever there is room for it."""

    def __init__(self, first=b"", again=b"", flood=None, reset=False, half=False, read=True, hello=False):
        self.first, self.again, self.flood, self.reset, self.half, self.read, self.hello = first, again, flood, reset, half, read, hello


KINDS = {
    "idle": Kind(),
    "kept": Kind(first=GET),
    "slow heads": Kind(first=b"GET /v2/ HTTP/1.1\r\n" + HOST + b"X-Slow: ", again=b"a"),
    "large heads": Kind(first=b"GET /v2/ HTTP/1.1\r\n" + HOST + b"X-Slow: " + b"a" * 15000, again=b"a"),
    "slow bodies": Kind(first=b"PUT /v2/p/manifests/t HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n", again=b"a"),
    "slow uploads": Kind(first=b"POST /v2/p/blobs/uploads/?digest=sha256:" + b"0" * 64 + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n", again=b"a"),
    "slow usage": Kind(first=b"PUT /api/cluster/quotas HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n", again=b"a"),
    "chunk lines": Kind(first=CHUNKED + b"5;" + b"a" * 200, again=b"a"),
    "trailers": Kind(first=CHUNKED + b"0\r\nA: b\r\n", again=b"A: b\r\n"),
    "pipelines": Kind(flood=lambda n: GET * 50),
    "many fields": Kind(flood=lambda n: b"GET /v2/ HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: %s\r\n" % (i, b"v" * 100) for i in range(95)) + b"\r\n"),
    "wrong passwords": Kind(flood=wrong_login),
    "long polls": Kind(first=b"GET /api/cluster/state?since=0&wait=60s HTTP/1.1\r\n" + HOST + b"\r\n"),
    "no readers": Kind(first=GET * 200, read=False),
    "resets": Kind(first=GET[:20], reset=True),
    "half closed": Kind(first=GET[:20], half=True),
    "handshakes left": Kind(hello=True, reset=True),
    "handshakes begun": Kind(hello=True),
}


def client_hello():
    """The first bytes that a client of TLS says: to answer them costs the server a signature."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    session = context.wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


class Stranger:
    def __init__(self, kind, port, most, context):
        self.kind, self.port, self.most, self.context = kind, port, most, context
        self.selector, self.open, self.made, self.said = selectors.DefaultSelector(), {}, 0, 0
        self.hello = client_hello() if kind.hello else b""

    def dial(self):
        s = socket.socket()
        s.bind(("127.0.0.2", 0))
        s.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            s.connect(("127.0.0.1", self.port))
        if self.context and not self.kind.hello:
            s = self.context.wrap_socket(s, server_hostname="127.0.0.1", do_handshake_on_connect=False)
        self.open[s] = None  # what is still to be said; None: not begun
        self.selector.register(s, selectors.EVENT_WRITE | selectors.EVENT_READ)
        self.made += 1

    def drop(self, s):
        self.open.pop(s, None)
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(s)
        s.close()

    def say(self, s):
        rest = self.open[s]
        if rest is None:
            if isinstance(s, ssl.SSLSocket):
                s.do_handshake()
            rest = self.hello or (self.kind.first if not self.kind.flood else self.kind.flood(self.said))
            self.said += 1
        elif not rest and self.kind.flood:
            rest = self.kind.flood(self.said)
            self.said += 1
        sent = s.send(rest) if rest else 0
        self.open[s] = rest[sent:]
        if self.open[s]:
            return
        if self.kind.reset:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.drop(s)
        elif not self.kind.flood:
            if self.kind.half:
                s.shutdown(socket.SHUT_WR)
            self.selector.modify(s, selectors.EVENT_READ) if self.kind.read else self.selector.unregister(s)

    def event(self, s, mask):
        try:
            if mask & selectors.EVENT_READ and self.open[s] is not None and self.kind.read:
                while piece := s.recv(65536):
                    if len(piece) < 65536:
                        break
                else:
                    self.drop(s)
                    return
            if mask & selectors.EVENT_WRITE:
                self.say(s)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.drop(s)

    def once_more(self):
        for s in list(self.open):
            if self.open[s] == b"":
                try:
                    s.send(self.kind.again)
                except (BlockingIOError, ssl.SSLError):
                    pass
                except OSError:
                    self.drop(s)

    def run(self, seconds):
        end, again = time.monotonic() + seconds, time.monotonic() + 1
        while time.monotonic() < end:
            for _ in range(min(500, self.most - len(self.open))):
                self.dial()
            for key, mask in self.selector.select(0.01):
                if key.fileobj in self.open:
                    self.event(key.fileobj, mask)
            if self.kind.again and time.monotonic() > again:
                self.once_more()
                again = time.monotonic() + 1
        print(f"{self.made} made, {len(self.open)} open, {self.said} said", flush=True)


def main():
    name, port, seconds, most, tls = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "tls"
    os.nice(19)  # the machine is shared: what is measured is the server, not who gets a core
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = ssl.create_default_context() if tls else None
    if context:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    Stranger(KINDS[name], port, min(most, hard - 100), context).run(seconds)


if __name__ == "__main__":
    main()
