# SPDX-License-Identifier: Apache-2.0
"""The header that says who a worker asks for (proto/peer_token.h), written by hand; and members of a cluster that are scripts."""
import base64
import contextlib
import hashlib
import hmac
import itertools
import os
import re
import socket
import threading
import time

PURPOSE = b"calls between workers v2, cluster secret"


def key_of(secret, purpose=PURPOSE):
    """HKDF-SHA256, one block."""
    extracted = hmac.digest(b"zot-cluster", secret.encode(), "sha256")
    return hmac.digest(extracted, purpose + b"\1", "sha256")


class Sender:
    """Who knows the secret, and is whom it says."""

    def __init__(self, secret, receiver, sender="member 2 of 2"):
        self.key, self.receiver, self.sender = key_of(secret), receiver, sender
        self.process, self.numbers = os.urandom(8).hex(), itertools.count()

    def header(self, method, target, body=b"", headers=(), length=None, **claims):
        """claims: those that are not as usual. headers: pairs that are signed, in the order that both sides know."""
        said = {"sender": self.sender, "receiver": self.receiver, "process": self.process, "sequence": next(self.numbers),
                "issued": int(time.time() * 1000), "ring": 1, "client": "203.0.113.5", "user": "", "apikey": "", "flags": 1,
                "digest": hashlib.sha256(body).hexdigest(), **claims}
        texts = [str(text).encode() for text in said.values()]
        plain = base64.urlsafe_b64encode(b"".join(b"%d:%s" % (len(text), text) for text in texts)).rstrip(b"=")
        lines = "".join(f"{name}: {value}\n" for name, value in headers)
        signed = f"{method} {target} {len(body) if length is None else length}\n{lines}".encode() + plain
        return {"Zot-Cluster-Peer": f"v2 {plain.decode()} {hmac.new(self.key, signed, 'sha256').hexdigest()}"}


def read_request(connection):
    """Head and body, or None at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        piece = connection.recv(65536)
        if not piece:
            return None
        body += piece
    return head.decode(), body


NO_CHANNEL = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Script:
    """A member that is a script: answer(connection, request) for each request; what came is kept. It is of a version that knows no channels, but for channel(connection, request)."""

    def __init__(self, port, answer, channel=None):
        self.answer, self.channel, self.heard, self.open, self.threads = answer, channel, [], [], []
        self.listener = socket.create_server(("127.0.0.1", port))

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.open.append(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError), connection:
            while request := read_request(connection):
                if request[0].startswith("GET /cluster/channel "):
                    if self.channel:
                        self.channel(connection, request)
                        return
                    connection.sendall(NO_CHANNEL)
                    continue
                self.heard.append(request)
                if self.answer(connection, request) == "close":
                    return

    def __exit__(self, *exc):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def header_of(request, name):
    return re.search(rf"(?im)^{re.escape(name)}: (.*?)\r?$", request[0])[1]


def claims_of(request):
    """Of the token that came."""
    text = header_of(request, "Zot-Cluster-Peer").split(" ")[1]
    plain, claims = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), []
    while plain:
        size, plain = plain.split(b":", 1)
        claims, plain = claims + [plain[:int(size)].decode()], plain[int(size):]
    return claims


def proof(key, request, name=None, process="00" * 8):
    """The line of an answer that says which member makes it; the one that was asked, if not another."""
    who = base64.urlsafe_b64encode((name or claims_of(request)[1]).encode()).rstrip(b"=").decode() + " " + process
    signed = f"answer {who} {header_of(request, 'Zot-Cluster-Peer')[-64:]}"
    return f"Zot-Cluster-Answer: v1 {who} {hmac.new(key, signed.encode(), 'sha256').hexdigest()}\r\n"
