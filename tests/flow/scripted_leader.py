# SPDX-License-Identifier: Apache-2.0
"""A leader that says whatever a test makes it say.

    with ScriptedLeader() as leader, leader.worker() as worker:
        leader.state = lambda call: call.answer(200, b"junk", leader.head(b"junk"))

`state` and `push` get a Call for each question; both begin with what a good leader says.
"""
import functools
import gzip
import hashlib
import http.server
import json
import socketserver
import struct
import threading
import time
import zlib

import msgpack

from worker_process import Worker, free_port

STATE = "application/vnd.zot.state+msgpack"
POLICY = {"defaultPolicy": ["read", "create", "update", "delete"], "anonymousPolicy": ["read", "create", "update", "delete"]}


def entity(kind, id, revision=1, **body):
    return {"kind": kind, "id": id, "revision": revision, "body": body}


def digest_of(entities):
    """Of a state: the sum of the hashes of its entities, as four numbers of 64 bits."""
    sums = [0] * 4
    for one in entities:
        for i, lane in enumerate(struct.unpack("<4Q", hashlib.sha256(msgpack.packb(one)).digest())):
            sums[i] = (sums[i] + lane) % 2**64
    return struct.pack("<4Q", *sums)


class Call:
    def __init__(self, handler, body, claim):
        self.handler, self.body, self.path, self.claim = handler, body, handler.path, claim
        self.query = dict(item.split("=") for item in self.path.partition("?")[2].split("&") if item)

    def begin(self, status, headers):
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()

    def send(self, data):
        self.handler.wfile.write(data)
        self.handler.wfile.flush()

    def answer(self, status, body=b"", headers=None):
        self.begin(status, {**(self.claim if status == 304 else {}), **(headers or {}), **({} if status == 304 else {"Content-Length": str(len(body))})})
        self.send(body)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads, request_queue_size = True, 64

    def handle_error(self, *_):
        pass  # a worker that ends, or that has had enough


class ScriptedLeader:
    def __init__(self):
        self.revision, self.member, self.stopped = 5, None, threading.Event()
        self.polls = self.pushes = 0
        self.state, self.push = self.good_state, self.good_push
        self.cluster, self.generation = "5c" * 16, 1
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                owner.polls += 1
                owner.state(Call(self, b"", owner.claim()))

            def do_PUT(self):
                owner.pushes += 1
                owner.push(Call(self, self.rfile.read(int(self.headers["Content-Length"])), owner.claim()))

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.server.shutdown()
        self.server.server_close()

    def worker(self, **more):
        """A worker whose leader is this one."""
        port = free_port()
        self.member = {"id": "one", "url": f"http://127.0.0.1:{port}", "state": "active"}
        worker = Worker(port=port, **{
            "CLUSTER_MODE": "worker", "CLUSTER_LEADER_URL": self.url, "CLUSTER_LEADER_CLIENT_ID": "workers",
            "CLUSTER_LEADER_CLIENT_SECRET": "a secret of the workers only", "CLUSTER_WORKER_NAME": "one", "CLUSTER_SELF_ADDRESS": self.member["url"], **more})
        worker.in_a_hurry = True
        return worker

    # What a good one says.

    def entities(self):
        return [entity("policy", "**", **POLICY), entity("settings", "cluster", leaseMs=6000, pushEveryMs=500, pollWaitMs=20000),
                entity("ring", "ring", epoch=1, hashKey="0" * 32, members=[self.member])]

    def document(self, entities=None, **more):
        entities = self.entities() if entities is None else entities
        digest = digest_of(entities) if isinstance(entities, list) else bytes(32)
        return msgpack.packb({"v": 2, "kind": "full", "from": 0, "revision": self.revision, **self.history(), "entities": entities, "digest": digest, **more})

    def delta(self, since, revision, changed, results):
        """Of these, after which all entities are `results`."""
        return msgpack.packb({"v": 2, "kind": "delta", "from": since, "revision": revision, **self.history(), "entities": changed, "digest": digest_of(results)})

    def history(self):
        return {"cluster": self.cluster, "generation": self.generation}

    def claim(self, position="known"):
        """What each answer says of its history."""
        return {"Zot-Cluster-Id": self.cluster, "Zot-Cluster-Generation": str(self.generation), "Zot-State-Position": position,
                "Zot-State-Revision": str(self.revision)}

    def head(self, document, **more):
        return {"Content-Type": STATE, "Zot-State-Kind": "full", "Zot-State-Digest": "sha256:" + hashlib.sha256(document).hexdigest(), **self.claim(), **more}

    def say(self, call, document, packed=None):
        """A state, compressed when `packed` is there."""
        more = {"Content-Encoding": "gzip"} if packed else {}
        call.answer(200, packed or document, self.head(document, **more))

    def good_state(self, call):
        if call.query.get("digest") == digest_of(self.entities()).hex() and int(call.query["since"]) == self.revision and "whole" not in call.query:
            self.stopped.wait(min(int(call.query["wait"]) / 1000, 1))
            call.answer(304)
        else:
            self.say(call, self.document())

    def good_push(self, call):
        self.answer_push(call, self.good_answer(json.loads(call.body)))

    def good_answer(self, push, **more):
        return {"seq": push["seq"], "number": push["number"], "leader": "leader-1", "witness": "life-1:1", "now_ms": int(time.time() * 1000), "lease_ms": 6000,
                "push_every_ms": 500, "grant_ms": 60000, "hold_ms": 0, "ring_epoch": 1, "revision": self.revision, "grants": [], **more}

    @staticmethod
    def answer_push(call, answer):
        call.answer(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})


@functools.cache
def bomb(size):
    """So many bytes of zeros, compressed: one MiB of them as often as it takes."""
    zeros = b"\0" * (1 << 20)
    assert size % len(zeros) == 0
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = deflate.compress(zeros) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = functools.reduce(lambda crc, _: zlib.crc32(zeros, crc), range(size // len(zeros)), 0)
    head = gzip.compress(b"")[:10]
    return head + block * (size // len(zeros)) + deflate.flush() + struct.pack("<II", checksum, size)
