# SPDX-License-Identifier: Apache-2.0
"""A bucket whose server means harm: answers without end, lengths that lie, lists in circles, junk. What it does to one repository is refused
and told, costs little, and the others go on."""
import asyncio
import concurrent.futures
import re
import socket
import time

import pytest
import requests

from registry import await_true
from s3_faults import Answer, Faults, date
from s3_memory import Memory
from worker_process import Worker, digest

MIB = 1 << 20
END = b'</ListBucketResult>'


class Hostile(Faults):
    """script: an async function of (request, writer) that answers those requests whose words match; True: the connection goes on."""

    def __init__(self, server):
        super().__init__(server)
        self.pattern, self.script, self.met = None, None, 0

    def turn_bad(self, pattern, script):
        self.pattern, self.script, self.met = re.compile(pattern), script, 0

    async def suffer(self, kind, chance, hold, rule, request, reader, writer):
        if self.script and self.pattern.search(f"{request.method} {request.what()}"):
            self.met += 1
            return await self.script(request, writer)
        return await super().suffer(kind, chance, hold, rule, request, reader, writer)


def head(*headers, status=200):
    lines = [f"HTTP/1.1 {status} X", f"Date: {date()}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def send(writer, *parts):
    for part in parts:
        writer.write(part)
        await writer.drain()


def endless(status=200, piece=b"x" * 65536, begin=b"", length=None):
    async def script(request, writer):
        await send(writer, head('ETag: "e"', *([f"Content-Length: {length}"] if length else []), status=status), begin)
        for _ in range(1024 * MIB // len(piece)):
            await send(writer, piece)
        return False
    return script


def whole(body, *headers, status=200, length=None):
    async def script(request, writer):
        await send(writer, head(f"Content-Length: {len(body) if length is None else length}", *headers, status=status),
                   b"" if request.method == "HEAD" else body)
        return False
    return script


def page(keys, token, folders=()):
    keys = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys)
    folders = "".join(f"<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>" for folder in folders)
    return (f"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>{keys}{folders}"
            ).encode() + END


def circles(make):
    """make(n): the n-th page."""
    pages = iter(range(10 ** 9))

    async def script(request, writer):
        body = make(next(pages), request)
        await send(writer, head(f"Content-Length: {len(body)}"), body)
        return True
    return script


@pytest.fixture
def bad():
    memory = Memory(delay_s=0)
    with Hostile(memory) as server:
        server.memory = memory
        yield server


@pytest.fixture
def worker(bad):
    with Worker(**bad.memory.environment(bad.endpoint), ZOT_INDEX_CACHE="1MiB", ZOT_MANIFEST_CACHE="1MiB") as one:
        one.push("good", "v1")
        one.push("bad", "v1")
        yield one


def resident(worker):
    return int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{worker.process.pid}/status").read()).group(1)) / 1024


def anew(worker):
    """Nothing in memory any more."""
    worker.stop()
    worker.start()
    await_true(worker.is_ready, what="the worker")


XML = b'<?xml version="1.0"?>'
READS = [
    ("endless", endless()),
    ("endless with a length", endless(length=1 << 40)),
    ("an endless error", endless(500, begin=XML + b"<Error><Code>")),
    ("an endless refusal", endless(403, begin=XML + b"<Error><Code>A</Code><Message>")),
    ("shorter than it says", whole(b"{}", 'ETag: "e"', length=1000)),
    ("longer than it says", whole(b'{"schemaVersion":2,"manifests":[]}garbage', 'ETag: "e"', length=5)),
    ("no length and cut", whole(b"{", 'ETag: "e"', length="")),
    ("lengths that contradict", whole(b"{}", 'ETag: "e"', "Content-Length: 7")),
    ("a length that is none", whole(b"{", 'ETag: "e"', length="99999999999999999999999")),
    ("junk", whole(b"\x00\xff<<<>>>" * 100, 'ETag: "e"')),
    ("an ETag without end", whole(b"{}", f'ETag: "{"e" * 60000}"')),
    ("an ETag of junk", whole(b"{}", 'ETag: "\x01\x7f\x80"')),
    ("no ETag", whole(b"{}")),
    ("a redirect", None),
    ("not HTTP", lambda request, writer: send(writer, b"SSH-2.0-x\r\n" * 1000)),
    ("heads without end", lambda request, writer: send(writer, *[b"HTTP/1.1 100 Continue\r\n\r\n"] * 200000)),
    ("a header without end", lambda request, writer: send(writer, b"HTTP/1.1 200 OK\r\n", *[b"X-A: b\r\n" * 1000] * 10000)),
    ("nothing", lambda request, writer: send(writer)),
]


@pytest.mark.parametrize("name,script", READS, ids=[name for name, _ in READS])
def test_what_it_answers_to_reads(bad, worker, name, script):
    elsewhere = socket.create_server(("127.0.0.1", 0))
    if name == "a redirect":
        script = whole(b"", f"Location: http://127.0.0.1:{elsewhere.getsockname()[1]}/stolen", status=307)
    before = resident(worker)
    # Before it starts: chores read each repository then, and what they have read is answered from memory.
    worker.stop()
    bad.turn_bad("(GET|HEAD) bad/", script)
    worker.start()
    await_true(worker.is_ready, what="the worker")
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        begun = time.monotonic()
        asked = [pool.submit(worker.call, method, path) for method, path in [
            ("GET", "/v2/bad/tags/list"), ("GET", "/v2/bad/manifests/v1"), ("HEAD", f"/v2/bad/blobs/{digest(b'layer')}")] * 3]
        good = pool.submit(worker.call, "GET", "/v2/good/manifests/v1")
        assert good.result(60).status_code == 200, good.result().text
        worker.push("good", "v2", layer=b"more")
        for reply in asked:
            # A HEAD may be answered from what the server's headers say.
            assert reply.result(100).status_code >= 500 or reply.result().request.method == "HEAD", reply.result().text
        assert time.monotonic() - begun < 90
    assert bad.met
    bad.script = None
    # 9 requests, an index may be read up to its 128 MiB by one at a time.
    assert resident(worker) - before < 9 * 130
    assert worker.call("GET", "/v2/bad/manifests/v1").status_code == 200
    elsewhere.setblocking(False)
    with pytest.raises(BlockingIOError):
        elsewhere.accept()


@pytest.mark.parametrize("script", [endless(), endless(500), endless(200, length=1 << 50), whole(b"x" * 10, length=1000),
                                    whole(b"", 'ETag: "\x01"'), whole(b"", f'ETag: "{"e" * 60000}"'), whole(b"")],
                         ids=["endless", "endless error", "endless with a length", "short", "junk ETag", "long ETag", "no ETag"])
def test_what_it_answers_to_writes(bad, worker, script):
    before = resident(worker)
    bad.turn_bad("PUT bad/", script)
    reply = worker.call("POST", f"/v2/bad/blobs/uploads/?digest={digest(b'new')}", data=b"new")
    assert reply.status_code >= 500 or (reply.status_code == 201 and bad.met), reply.text
    body = worker.call("GET", "/v2/good/manifests/v1").content
    reply = worker.call("PUT", "/v2/bad/manifests/v2", data=body, headers={"Content-Type": "application/vnd.oci.image.manifest.v1+json"})
    assert reply.status_code >= 500, reply.text
    worker.push("good", "v2")
    assert resident(worker) - before < 64


CIRCLES = [
    ("the same page", lambda n, request: page(["_catalog/a"], "same")),
    ("empty pages", lambda n, request: page([], f"t{n}")),
    ("keys in deeper folders", lambda n, request: page([f"_catalog/x/{n:012}"], f"t{n}")),
    ("keys that were not asked for", lambda n, request: page([f"elsewhere/{n:012}"], f"t{n}")),
    ("a token that is long", lambda n, request: page([f"_catalog/x/{n:012}"], "t" * 100000)),
    ("keys that are long", lambda n, request: page(["_catalog/" + "k" * 100000], f"t{n}")),
]


@pytest.mark.parametrize("name,make", CIRCLES, ids=[name for name, _ in CIRCLES])
def test_lists_that_go_in_circles(bad, worker, name, make):
    bad.turn_bad("GET _catalog/", circles(make))
    before = resident(worker)
    begun = time.monotonic()
    assert worker.call("GET", "/v2/_catalog?n=1000").status_code >= 500
    assert time.monotonic() - begun < 60 and bad.met < 100
    worker.push("good", "v2")
    assert resident(worker) - before < 64


@pytest.mark.parametrize("make", [lambda n, request: page([], "same", ["a/"]), lambda n, request: page([], f"t{n}", ["a/", "b/"]),
                                  lambda n, request: page([], f"t{n}", [])], ids=["the same page", "the same folders", "empty pages"])
def test_folders_that_go_in_circles(bad, worker, make):
    """The walk that gives repositories of others their place in the catalog, in the background of a start."""
    for key in [key for key in bad.memory.objects if key == "_catalog/.imported"]:
        bad.memory.remove(key)
    worker.stop()
    bad.turn_bad("GET $", circles(make))
    worker.start()
    await_true(lambda: "store.import" in worker.text(), what="the end of the walk")
    assert bad.met < 100
    assert worker.call("GET", "/v2/good/manifests/v1").status_code == 200


@pytest.mark.parametrize("when", ["Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 0001 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT",
                                  "junk", "Mon, 99 Foo 99999999999999999999 99:99:99 GMT"])
def test_dates_of_junk(bad, worker, when):
    """What is believed of the store's clock is what clocks say: with the right date again everything works."""
    answer = bad.memory.answer

    async def wrong(request):
        found = await answer(request)
        return Answer(found.status, [(k, when if k == "Date" else v) for k, v in found.headers], found.body, found.announced)
    bad.memory.answer = wrong
    anew(worker)
    for method, path in [("GET", "/v2/bad/tags/list"), ("DELETE", f"/v2/bad/blobs/{digest(b'layer')}")]:
        worker.call(method, path)
    assert worker.process.poll() is None
    bad.memory.answer = answer
    worker.call("GET", "/v2/good/tags/list")
    worker.push("good", "v3")
    assert worker.call("GET", "/v2/good/manifests/v3").status_code == 200


@pytest.mark.parametrize("name", ["endless error", "shorter than it says", "a redirect", "not HTTP", "nothing", "a header without end", "twice the length"])
def test_what_it_answers_to_pulls(bad, worker, name):
    """A blob streams: the client gets an error, or a connection that is cut, never bytes that look whole."""
    script = {"endless error": endless(500), "shorter than it says": whole(b"lay", length=5), "a redirect": whole(b"", "Location: http://127.0.0.1:1/", status=307),
              "not HTTP": lambda request, writer: send(writer, b"SSH-2.0-x\r\n"), "nothing": lambda request, writer: send(writer),
              "a header without end": lambda request, writer: send(writer, b"HTTP/1.1 200 OK\r\n", *[b"X-A: b\r\n" * 1000] * 10000),
              "twice the length": whole(b"layerlayer", "Content-Length: 5", length=10)}[name]
    before = resident(worker)
    bad.turn_bad("GET bad/blobs/", script)
    try:
        reply = worker.call("GET", f"/v2/bad/blobs/{digest(b'layer')}")
        assert reply.status_code >= 500 or digest(reply.content) == digest(b"layer") or name == "twice the length", reply.text
    except requests.RequestException:
        pass
    assert bad.met
    bad.script = None
    assert worker.call("GET", f"/v2/bad/blobs/{digest(b'layer')}").content == b"layer"
    assert worker.call("GET", "/v2/good/manifests/v1").status_code == 200
    assert resident(worker) - before < 32
