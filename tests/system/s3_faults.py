# SPDX-License-Identifier: Apache-2.0
"""A proxy before an S3 server that does to requests what networks and servers do to them.

    with Faults(server.endpoint, seed=7, harms=lambda method, key: key.startswith("lib/")) as faults:
        faults.endpoint                            for S3_ENDPOINT
        faults.rates = {"503": 0.02, "late": 0.01} chances of each kind, may be set at any time
        rule = faults.once("cut", "PUT .*/index.log/", hold=event)    the next one that matches, whatever the rates
        faults.counts                              how many of each kind there were
    faults.revoke()                            from now on keys that were met so far are called ended

    503, 500      refused, nothing was done
    other clock   403 RequestTimeTooSkewed, from a store whose clock is an hour ahead
    500 after     done, but the answer is a 500
    cut           done, and the connection is closed without an answer
    silent        done, and the connection stays open without an answer
    twice, twice first    sent twice; the answer of the second, of the first
    late          the connection is closed; the request arrives some time later
    slow          the answer comes in drips
    truncated     half of the answer's body, then the connection is closed
    old list      a list is answered as it was some time ago

`harms` says which requests may be harmed: a list counts as its prefix. What the n-th of those suffers follows from the seed and n. A presigned request that
arrives after its end is answered 403, as AWS does, whatever the server behind thinks of it.
The server behind may also be an object in this process that has `async answer(request)` (s3_memory.py).
"""
import asyncio
import collections
import datetime
import random
import re
import threading
import time
import urllib.parse

from registry import await_true

KINDS = ["503", "500", "other clock", "500 after", "cut", "silent", "twice", "twice first", "late", "slow", "truncated", "old list"]
IDLE_S = 300


class Request:
    def __init__(self, method, target, lines, headers, body):
        self.method, self.target, self.lines, self.headers, self.body = method, target, lines, headers, body
        path, _, query = target.partition("?")
        self.path, self.query = urllib.parse.unquote(path), dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        # /bucket/key
        self.key = self.path.lstrip("/").partition("/")[2]

    def is_list(self):
        return self.method == "GET" and "list-type" in self.query

    def what(self):
        """What rules and `harms` look at."""
        return self.query.get("prefix", "") if self.is_list() else self.key

    def bytes(self):
        return b"\r\n".join([f"{self.method} {self.target} HTTP/1.1".encode(), *self.lines, b"", b""]) + self.body

    def access_key(self):
        found = re.search(r"Credential=([^/,]+)/", self.headers.get("authorization", ""))
        return found and found[1]

    def is_expired(self):
        signed, seconds = self.query.get("X-Amz-Date"), self.query.get("X-Amz-Expires")
        if not signed or not seconds:
            return False
        begin = datetime.datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        return time.time() > begin.timestamp() + int(seconds)


class Answer:
    def __init__(self, status, headers, body=b"", announced=None):
        """announced: the length that an answer to HEAD tells."""
        self.status, self.headers, self.body, self.announced = status, headers, body, announced

    def parts(self):
        kept = [(k, v) for k, v in self.headers if k.lower() not in ("content-length", "transfer-encoding", "connection", "keep-alive")]
        if self.status not in (204, 304):
            kept.append(("Content-Length", str(self.announced if self.announced is not None else len(self.body))))
        head = "".join([f"HTTP/1.1 {self.status} X\r\n", *[f"{k}: {v}\r\n" for k, v in kept], "\r\n"])
        return head.encode("latin-1"), self.body


def date(ahead_s=0):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=ahead_s)).strftime("%a, %d %b %Y %H:%M:%S GMT")


def refusal(status, code, method="GET", when=None):
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'.encode()
    return Answer(status, [("Content-Type", "application/xml"), ("Date", when or date())], b"" if method == "HEAD" else body)


async def read_head(reader):
    """First line, raw lines, headers in lower case; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head[:-4].split(b"\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
    return first.decode("latin-1"), lines, headers


async def read_chunked(reader):
    pieces = []
    while True:
        size = int((await reader.readline()).split(b";")[0], 16)
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
        if not size:
            return b"".join(pieces)


class Upstream:
    """The real server; connections are kept."""

    def __init__(self, endpoint):
        url = urllib.parse.urlsplit(endpoint)
        self.host, self.port, self.idle = url.hostname, url.port, []

    async def answer(self, request):
        for reader, writer in [self.idle.pop()] if self.idle else []:
            try:
                return await self.exchange(reader, writer, request)
            except (OSError, asyncio.IncompleteReadError):
                writer.close()
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
        return await self.exchange(reader, writer, request)

    async def exchange(self, reader, writer, request):
        writer.write(request.bytes())
        head = await read_head(reader)
        if not head:
            raise ConnectionResetError("the server closed the connection")
        first, lines, headers = head
        status = int(first.split(" ")[1])
        named = [tuple(part.strip() for part in line.decode("latin-1").split(":", 1)) for line in lines]
        answer = Answer(status, named)
        keep = headers.get("connection", "").lower() != "close" and first.startswith("HTTP/1.1")
        if request.method == "HEAD":
            answer.announced = int(headers.get("content-length", 0))
        elif status in (204, 304):
            pass
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            answer.body = await read_chunked(reader)
        elif "content-length" in headers:
            answer.body = await reader.readexactly(int(headers["content-length"]))
        else:
            answer.body, keep = await reader.read(), False
        if keep:
            self.idle.append((reader, writer))
        else:
            writer.close()
        return answer


class Rule:
    """What happens to requests that match. hold: an event; the answer is not given before it is set, a late request does not arrive before."""

    def __init__(self, kind, pattern, times=1, hold=None):
        self.kind, self.pattern, self.left, self.hold = kind, re.compile(pattern), times, hold
        self.met, self.arrived = threading.Event(), threading.Event()


class Faults:
    def __init__(self, server, seed=0, harms=None, rates=None, late_s=(1, 6), silent_s=3, old_s=3):
        """late_s: least and most seconds of lateness. silent_s: after which a silent connection is closed (None: by the client)."""
        self.upstream = Upstream(server) if isinstance(server, str) else server
        self.seed, self.harms, self.rates = seed, harms or (lambda method, key: True), dict(rates or {})
        self.late_s, self.silent_s, self.old_s = late_s, silent_s, old_s
        self.counts, self.seen, self.rules, self.lists, self.under_way = collections.Counter(), 0, [], {}, 0
        self.connections, self.tasks = set(), set()
        self.keys, self.revoked = set(), set()
        self.ready = threading.Event()

    # Life.

    def __enter__(self):
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)
        self.thread.start()
        assert self.ready.wait(20)
        return self

    def __exit__(self, *exc):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(20)

    async def serve(self):
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.ready.set()
        await self.over.wait()
        server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def once(self, kind, pattern, times=1, hold=None):
        rule = Rule(kind, pattern, times, hold)
        self.rules.append(rule)
        return rule

    def revoke(self):
        self.revoked = set(self.keys)

    def drain(self, seconds=90):
        """Until nothing is on its way any more."""
        await_true(lambda: not self.under_way, seconds, "the last late request")

    def __str__(self):
        return ", ".join(f"{kind} {n}" for kind, n in sorted(self.counts.items()) if kind != "requests") or "none"

    # One connection.

    async def connection(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        try:
            while await self.turn(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    async def turn(self, reader, writer):
        head = await read_head(reader)
        if not head:
            return False
        first, lines, headers = head
        method, target, _ = first.split(" ", 2)
        if headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            lines = [line for line in lines if not line.lower().startswith(b"expect:")]
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(method, target, lines, headers, body)
        self.counts["requests"] += 1
        kind, chance, hold, rule = self.choose(request)
        if kind:
            self.counts[kind] += 1
        try:
            return await self.suffer(kind, chance, hold, rule, request, reader, writer)
        finally:
            if rule and kind != "late":
                rule.arrived.set()

    def choose(self, request):
        """Which kind, a number that goes with it, an event to wait for."""
        words = f"{request.method} {request.what()}"
        for rule in self.rules:
            if rule.left and rule.pattern.search(words):
                rule.left -= 1
                return rule.kind, 0.5, rule.hold, rule
        if not self.rates or not self.harms(request.method, request.what()):
            return None, 0, None, None
        self.seen += 1
        dice = random.Random(f"{self.seed}:{self.seen}")
        at, chance = dice.random(), dice.random()
        for kind in KINDS:
            rate = self.rates.get(kind, 0)
            if at < rate:
                return (kind if kind != "old list" or request.is_list() else None), chance, None, None
            at -= rate
        return None, 0, None, None

    async def suffer(self, kind, chance, hold, rule, request, reader, writer):
        """True: the connection goes on."""
        if kind in ("503", "500"):
            answer = refusal(int(kind), "SlowDown" if kind == "503" else "InternalError", request.method)
        elif kind == "other clock":
            answer = refusal(403, "RequestTimeTooSkewed", request.method, date(3600))
        elif kind == "late":
            self.spawn(self.arrive(request, chance, hold, rule))
            return False
        elif kind == "old list":
            answer = await self.old_list(request)
        else:
            answer = await self.forward(request)
        if kind == "twice":
            answer = await self.forward(request)
        elif kind == "twice first":
            await self.forward(request)
        if rule:
            rule.met.set()
        if hold:
            await self.loop.run_in_executor(None, hold.wait, 120)
        if kind == "500 after":
            answer = refusal(500, "InternalError", request.method)
        if kind == "silent":
            await asyncio.wait_for(reader.read(1), self.silent_s)
            return False
        if kind == "cut":
            return False
        head, body = answer.parts()
        if kind == "truncated" and len(body) > 1:
            writer.write(head + body[:len(body) // 2])
            await writer.drain()
            return False
        if kind == "slow" and body:
            writer.write(head)
            for at in range(0, len(body), max(1, -(-len(body) // 4))):
                await asyncio.sleep(0.05)
                writer.write(body[at:at + max(1, -(-len(body) // 4))])
            return True
        writer.write(head + body)
        await writer.drain()
        return True

    def spawn(self, coroutine):
        self.under_way += 1
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.done)

    def done(self, task):
        self.tasks.discard(task)
        self.under_way -= 1

    async def arrive(self, request, chance, hold, rule):
        if rule:
            rule.met.set()
        if hold:
            await self.loop.run_in_executor(None, hold.wait, 120)
        else:
            await asyncio.sleep(self.late_s[0] + chance * (self.late_s[1] - self.late_s[0]))
        try:
            answer = await self.forward(request)
            self.counts[f"late {request.method} answered {answer.status}"] += 1
        finally:
            if rule:
                rule.arrived.set()

    async def forward(self, request):
        self.keys.add(request.access_key())
        if request.access_key() in self.revoked:
            self.counts[f"revoked {request.what()}"] += 1
            return refusal(400, "ExpiredToken", request.method)
        if request.is_expired():
            self.counts["expired"] += 1
            return refusal(403, "AccessDenied", request.method)
        answer = await self.upstream.answer(request)
        if request.is_list() and self.rates.get("old list"):
            self.keep_list(request, answer)
        return answer

    # Lists that lag.

    @staticmethod
    def list_of(request):
        return tuple(sorted((k, v) for k, v in request.query.items() if not k.startswith("X-Amz-")))

    def keep_list(self, request, answer):
        kept = self.lists.setdefault(self.list_of(request), collections.deque(maxlen=16))
        kept.append((time.monotonic(), answer))

    async def old_list(self, request):
        now = time.monotonic()
        fit = [answer for at, answer in self.lists.get(self.list_of(request), []) if now - at <= self.old_s]
        return fit[0] if fit else await self.forward(request)
