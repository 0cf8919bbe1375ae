# SPDX-License-Identifier: Apache-2.0
"""Clients that do random things to a few repositories through several workers, and write down what they did and what they were told.

What a client does follows from the seed and its number, not from what it is told; how much of it, from how much the others do until all is done.
The clients of one process are threads; run_clients() is made for a process of its own. An operation counts when its request was sent.
"""
import base64
import contextlib
import dataclasses
import json
import random
import socket
import threading
import time

from histories import NEVER, OK, REFUSED, UNKNOWN, Operation
from registry import MANIFEST, digest, image

CONFIG = b"{}"
REPOSITORIES = ["his/a", "his/b", "his/c"]
TAGS = ["v0", "v1", "v2", "v3"]
LAYERS = [f"a layer that many share, number {n}".encode() for n in range(6)]
SHARED = [image(LAYERS[n % 6], annotations={"shared": str(n)}) for n in range(6)]
OWN_MANIFESTS = 6  # of a client in a repository, before it deletes older ones
ANSWER_S = 90
NOBODY_S = 90  # without anybody who listens
ALLOWED = {
    "put": {201, 404}, "delete tag": {202, 404}, "delete digest": {202, 404, 405}, "get": {200, 404}, "list": {200, 404},
    "push blob": {201}, "delete blob": {202, 404, 405}, "get blob": {200, 404}, "mount": {201, 202}}
# How often what is done.
MIX = {
    "get tag": 18, "head tag": 6, "get digest": 7, "list": 5, "get blob": 7, "put shared": 11, "put own": 9, "put again": 5, "move tag": 7,
    "delete tag": 6, "delete digest": 5, "delete own digest": 5, "delete blob": 5, "push blob": 6, "mount": 3}


class NotSent(Exception):
    """Nothing of the request can have arrived."""


class Lost(Exception):
    """The request was sent; what became of it is not known."""


class Connection:
    """HTTP/1.1 to one worker, kept open; as little as it takes, since it is the clients' speed that counts."""

    def __init__(self, port, authorization=""):
        self.port, self.socket, self.rest = port, None, b""
        self.lines = f"Host: 127.0.0.1:{port}\r\n" + (f"Authorization: {authorization}\r\n" if authorization else "")

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def open(self):
        if self.socket:
            with contextlib.suppress(BlockingIOError):
                self.socket.setblocking(False)
                try:
                    self.socket.recv(1, socket.MSG_PEEK)
                    self.close()  # its end, or bytes that nobody asked for
                except ConnectionError:
                    self.close()
        if not self.socket:
            try:
                self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=2)
            except OSError as error:
                raise NotSent() from error
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(ANSWER_S)
        self.rest = b""

    def call(self, method, path, body=None, headers=""):
        self.open()
        length = f"Content-Length: {len(body)}\r\n" if body is not None else ""
        try:
            self.socket.sendall(f"{method} {path} HTTP/1.1\r\n{self.lines}{length}{headers}\r\n".encode() + (body or b""))
            return self.answer(method)
        except (OSError, ValueError) as error:
            self.close()
            raise Lost() from error

    def until(self, mark):
        while mark not in self.rest:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionResetError
            self.rest += piece
        found, self.rest = self.rest.split(mark, 1)
        return found

    def exactly(self, n):
        while len(self.rest) < n:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionResetError
            self.rest += piece
        found, self.rest = self.rest[:n], self.rest[n:]
        return found

    def answer(self, method):
        first, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if method == "HEAD" or status in (204, 304):
            return status, headers, b""
        if headers.get("transfer-encoding", "") == "chunked":
            body = b""
            while size := int(self.until(b"\r\n"), 16):
                body += self.exactly(size)
                self.exactly(2)
            self.exactly(2)
        else:
            body = self.exactly(int(headers.get("content-length", 0)))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, headers, body


@dataclasses.dataclass
class Door:
    """A worker as clients see it. lease: seconds that its reads may be old."""
    name: str
    port: int
    lease: float = 0.0


@dataclasses.dataclass
class Plan:
    seed: str
    doors: list
    operations: int
    clients: int
    user: str = ""
    password: str = ""


class Speaker:
    """The operations, each written down."""

    def __init__(self, plan, name):
        authorization = ""
        if plan.user:
            authorization = "Basic " + base64.b64encode(f"{plan.user}:{plan.password}".encode()).decode()
        self.name, self.doors = name, plan.doors
        self.connections = [Connection(door.port, authorization) for door in plan.doors]
        self.operations, self.images, self.complaints = [], {}, []

    def close(self):
        for connection in self.connections:
            connection.close()

    def do(self, door, kind, repository, method, path, body=None, headers="", **what):
        """(operation, answer) of one request; (None, None) where it was not sent. Outcome and what was found are set by who asks."""
        begin = time.monotonic()
        try:
            answer = self.connections[door].call(method, f"/v2/{repository}/{path}", body, headers)
        except NotSent:
            return None, None
        except Lost:
            answer = None
        end = time.monotonic()
        operation = Operation(kind, repository, begin, end, UNKNOWN, client=self.name, worker=self.doors[door].name, **what)
        if kind in ("get", "list"):
            operation.lease = self.doors[door].lease
        if answer:
            status = operation.status = answer[0]
            if status not in ALLOWED[kind] and status < 500:
                self.complaints.append(f"{method} {repository}/{path} was answered {status}: {answer[2][:300]!r}")
            operation.outcome = UNKNOWN if status >= 500 else OK if status < 300 else REFUSED
        elif kind.startswith(("get", "list")):
            operation.end = NEVER
        self.operations.append(operation)
        return operation, answer

    # Pushes and deletions.

    def push_blob(self, door, repository, data):
        return self.do(door, "push blob", repository, "POST", f"blobs/uploads/?digest={digest(data)}", data,
                       "Content-Type: application/octet-stream\r\n", digest=digest(data))[0]

    def put(self, door, repository, body, tag=None):
        manifest = json.loads(body)
        self.images[digest(body)] = [d["digest"] for d in [manifest["config"], *manifest["layers"]]]
        return self.do(door, "put", repository, "PUT", f"manifests/{tag or digest(body)}", body, f"Content-Type: {MANIFEST}\r\n",
                       tag=tag, digest=digest(body))[0]

    def delete_tag(self, door, repository, tag):
        return self.do(door, "delete tag", repository, "DELETE", f"manifests/{tag}", tag=tag)[0]

    def delete_digest(self, door, repository, of):
        return self.do(door, "delete digest", repository, "DELETE", f"manifests/{of}", digest=of)[0]

    def delete_blob(self, door, repository, of):
        return self.do(door, "delete blob", repository, "DELETE", f"blobs/{of}", digest=of)[0]

    def mount(self, door, repository, of, source):
        operation, answer = self.do(door, "mount", repository, "POST", f"blobs/uploads/?mount={of}&from={source}", b"", digest=of)
        if answer and answer[0] == 202:
            operation.outcome = REFUSED
            with contextlib.suppress(NotSent, Lost):
                self.connections[door].call("DELETE", answer[1]["location"])
        return operation

    # Reads.

    def get(self, door, repository, tag=None, of=None, method="GET"):
        operation, answer = self.do(door, "get", repository, method, f"manifests/{tag or of}", None, f"Accept: {MANIFEST}\r\n", tag=tag, digest=of)
        if answer and answer[0] == 200:
            operation.found = answer[1].get("docker-content-digest")
            if method == "GET" and digest(answer[2]) != operation.found or of and operation.found != of:
                self.complaints.append(f"{repository}/manifests/{tag or of} was answered with bytes of another digest")
        return operation

    def list(self, door, repository):
        operation, answer = self.do(door, "list", repository, "GET", "tags/list")
        if answer and answer[0] in (200, 404):
            operation.outcome = OK
            operation.found = frozenset(json.loads(answer[2])["tags"]) if answer[0] == 200 else frozenset()
        return operation

    def get_blob(self, door, repository, of, method="GET"):
        operation, answer = self.do(door, "get blob", repository, method, f"blobs/{of}", digest=of)
        if answer and answer[0] == 200 and method == "GET" and digest(answer[2]) != of:
            self.complaints.append(f"{repository}/blobs/{of} was answered with other bytes")
        return operation


class Budget:
    """Operations that the clients of a process still have to do."""

    def __init__(self, left):
        self.left, self.lock = left, threading.Lock()

    def spend(self, n):
        with self.lock:
            self.left -= n


class Client(Speaker):
    """One that acts at random."""

    def __init__(self, plan, number, budget):
        super().__init__(plan, f"client {number}")
        self.dice, self.budget = random.Random(f"{plan.seed}:{number}"), budget
        self.own, self.made, self.last = {name: [] for name in REPOSITORIES}, 0, None

    def run(self):
        kinds, weights = list(MIX), list(MIX.values())
        last = time.monotonic()
        while self.budget.left > 0:
            before = len(self.operations)
            kind = self.dice.choices(kinds, weights)[0]
            getattr(self, "do_" + kind.replace(" ", "_"))(self.dice.randrange(len(self.doors)), self.dice.choice(REPOSITORIES))
            sent = len(self.operations) - before
            self.budget.spend(sent)
            if sent:
                last = time.monotonic()
                continue
            time.sleep(0.002)  # nobody listens there just now
            assert time.monotonic() - last < NOBODY_S, "no worker listens"

    def tag(self):
        return self.dice.choice(TAGS)

    def any_digest(self, name):
        return self.dice.choice([digest(body) for body in SHARED] + [digest(body) for body in self.own[name]])

    def any_layer(self):
        return self.dice.choice(LAYERS)

    def do_get_tag(self, door, name):
        self.get(door, name, self.tag())

    def do_head_tag(self, door, name):
        self.get(door, name, self.tag(), method="HEAD")

    def do_get_digest(self, door, name):
        self.get(door, name, of=self.any_digest(name), method=self.dice.choice(["GET", "HEAD"]))

    def do_list(self, door, name):
        self.list(door, name)

    def do_get_blob(self, door, name):
        self.get_blob(door, name, digest(self.any_layer()), self.dice.choice(["GET", "HEAD"]))

    def do_put_shared(self, door, name):
        self.put_last(door, name, self.dice.choice(SHARED), self.tag())

    def do_put_own(self, door, name):
        """A new image, pushed as clients do: what it needs first."""
        self.made += 1
        layer = self.any_layer() if self.dice.random() < 0.7 else f"a layer of {self.name}, {self.made}".encode()
        body = image(layer, annotations={"by": f"{self.name}-{self.made}"})
        self.push_blob(door, name, layer)
        self.own[name].append(body)
        self.put_last(door, name, body, self.tag() if self.dice.random() < 0.85 else None)

    def do_put_again(self, door, name):
        if self.last:
            self.put(door, *self.last)

    def do_move_tag(self, door, name):
        own = self.own[name]
        self.put_last(door, name, self.dice.choice(own) if own else SHARED[0], self.tag())

    def put_last(self, door, name, body, tag):
        self.last = (name, body, tag)
        self.put(door, name, body, tag)

    def do_delete_tag(self, door, name):
        self.delete_tag(door, name, self.tag())

    def do_delete_digest(self, door, name):
        self.delete_digest(door, name, digest(self.dice.choice(SHARED)))

    def do_delete_own_digest(self, door, name):
        own = self.own[name]
        while len(own) > OWN_MANIFESTS:
            self.delete_digest(door, name, digest(own.pop(0)))

    def do_delete_blob(self, door, name):
        self.delete_blob(door, name, digest(self.any_layer()))

    def do_push_blob(self, door, name):
        self.push_blob(door, name, self.any_layer())

    def do_mount(self, door, name):
        self.mount(door, name, digest(self.any_layer()), self.dice.choice([r for r in REPOSITORIES if r != name]))


def run_clients(plan, numbers, operations, pipe):
    """In a process of its own; what was done goes through the pipe at the end."""
    budget, failures = Budget(operations), []
    clients = [Client(plan, number, budget) for number in numbers]

    def run(client):
        try:
            client.run()
        except Exception as error:  # the test must know, not only this thread
            failures.append(f"{client.name}: {error!r}")
        finally:
            client.close()

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send(([o for c in clients for o in c.operations], {d: b for c in clients for d, b in c.images.items()},
               failures + [text for c in clients for text in c.complaints]))
    pipe.close()
