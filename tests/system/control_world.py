# SPDX-License-Identifier: Apache-2.0
"""A leader and workers whose every message, clock, disk and folder a test has in its hands.

    with World(workers=2) as world:
        key = world.key(dailyQuota=100)
        world.roads["worker-0"].rule = lambda question: "lose answer" if question.kind == "counts" else None
        assert world.call(world.workers[0], key) == 200

Each worker speaks to the leader over a Road, which knows the questions and answers and does to them what a test says. All programs
run with tests/faults: their wall clocks and disks are the test's. It is noon when a world begins, so that no test meets midnight
unless it goes there.
"""
import calendar
import contextlib
import errno
import http.client
import http.server
import json
import pathlib
import random
import shutil
import signal
import socketserver
import subprocess
import threading
import time

import requests

from cluster import Cluster
from faults import Faults, fail
from leader_process import FakeWorker
from registry import await_true, free_port

DAY_S = 86400
ANSWER_S = 30


class Question:
    """What a worker asks. kind: state, beat, counts (with rows), final (a boot that is over), other."""

    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.begun = time.monotonic()
        self.push = json.loads(body) if "/api/cluster/quotas" in path else {}
        self.kind = self.name_kind()

    def name_kind(self):
        if not self.push:
            return "state" if "/api/cluster/state" in self.path else "other"
        if self.push.get("usage") or self.push.get("repositories"):
            return "counts"
        return "final" if self.push.get("final") else "beat"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


class RoadServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads, request_queue_size = True, 128

    def handle_error(self, *_):
        pass  # one side is gone


class Road:
    """From one worker to the leaders: each question to any of those that take it, as a balancer does that knows nothing.

    rule(question) says what happens to it: None (nothing), "lose", "lose answer", "twice", ("delay", s): sent so much later,
    ("late", s): sent now, and a copy so much later. edit(question, answer) may change the answer that the worker gets.
    """

    def __init__(self, *to):
        self.to, self.port, self.rule, self.edit = list(to), free_port(), None, None
        self.answered, self.asked, self.ended = [], [], threading.Event()
        self.lock, self.pushes = threading.Lock(), 0  # under way
        road = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                road.serve(self)

            do_PUT = do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = RoadServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def serve(self, handler):
        question = Question(handler.command, handler.path, dict(handler.headers), handler.rfile.read(int(handler.headers.get("Content-Length", 0))))
        self.asked.append(question)
        with self.under_way(question):
            try:
                answer = self.treat(question, self.rule and self.rule(question))
            except (OSError, http.client.HTTPException):
                answer = None
        if not answer:
            handler.close_connection = True
            return
        edited = (self.edit and self.edit(question, answer)) or answer
        handler.send_response(edited.status)
        for name, value in edited.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                handler.send_header(name, value)
        if edited.status not in (204, 304):
            handler.send_header("Content-Length", str(len(edited.body)))
        handler.end_headers()
        handler.wfile.write(edited.body)
        handler.wfile.flush()
        self.answered.append((question, answer.status))

    @contextlib.contextmanager
    def under_way(self, question):
        with self.lock:
            self.pushes += bool(question.push)
        try:
            yield
        finally:
            with self.lock:
                self.pushes -= bool(question.push)

    def treat(self, question, how):
        what, seconds = how if isinstance(how, tuple) else (how, 0)
        if what == "lose":
            return None
        if what == "delay":
            self.ended.wait(seconds)
        if what == "late":
            threading.Thread(target=self.straggle, args=(question, seconds), daemon=True).start()
        answer = self.send(question)
        if what == "twice":
            answer = self.send(question)
        return None if what == "lose answer" else answer

    def send(self, question):
        """To a leader, now; also one of long ago."""
        connection = self.connect()
        try:
            connection.request(question.method, question.path, question.body or None, question.headers)
            reply = connection.getresponse()
            return Answer(reply.status, dict(reply.getheaders()), reply.read())
        finally:
            connection.close()

    def connect(self):
        for port in random.sample(self.to, len(self.to)):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
            with contextlib.suppress(OSError):
                connection.connect()
                return connection
        raise ConnectionRefusedError

    def straggle(self, question, seconds):
        if not self.ended.wait(seconds):
            with self.under_way(question), contextlib.suppress(OSError, http.client.HTTPException):
                self.send(question)

    def await_asked(self, kind, seconds=ANSWER_S):
        """The next question of this kind."""
        before = len(self.asked)
        return await_true(lambda: next((q for q in self.asked[before:] if q.kind == kind), None), seconds, f"a question of the kind {kind}")

    def await_quiet(self):
        """No push is under way."""
        await_true(lambda: not self.pushes, ANSWER_S, "the end of all pushes")

    def await_answers(self, times=2, seconds=ANSWER_S):
        """So many pushes that begin from now on are answered with 200."""
        now = time.monotonic()
        await_true(lambda: sum(status == 200 and q.begun >= now and bool(q.push) for q, status in list(self.answered)) >= times, seconds,
                   f"{times} answered pushes")


def pushes_of(journal):
    """What no leader has acknowledged: counts, and the last words of boots."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [json.loads(line) for line in lines if line.startswith("{")]


class Key:
    def __init__(self, made):
        self.id, self.auth = made["clientId"], (made["clientId"], made["clientSecret"])
        self.head = {"Authorization": requests.auth._basic_auth_str(*self.auth)}


class World(Cluster):
    """workers: so many, called worker-0 and so on. All intervals are short; grants are good for grant_ms."""

    def __init__(self, workers=1, lease_ms=1500, push_ms=200, grant_ms=2000, leaders=None, **worker_environment):
        self.wanted, self.settings = workers, {"leaseMs": lease_ms, "pushEveryMs": push_ms, "grantMs": grant_ms}
        self.roads, self.faults, self.lag = {}, {}, time.time() % DAY_S - DAY_S / 2
        super().__init__(workers=0, haproxy=False, leaders=leaders, worker_environment={
            "ZOT_LOOPS": 2, "CLUSTER_WORKER_PUSH_EVERY": push_ms, "CLUSTER_RETRY_DELAY": 50, "CLUSTER_WORKER_PUSH_TIMEOUT": 1500, **worker_environment})

    def open(self):
        # The base makes the folder in its open(), and asks for the store right after.
        super().open()
        reply = self.admin("PATCH", "/api/settings/cluster", self.settings)
        assert reply.status_code == 200, reply.text
        for i in range(self.wanted):
            self.workers.append(self.worker(f"worker-{i}").start())
        self.await_members(self.wanted)

    def leader_process(self, name, **more):
        return super().leader_process(name, CLUSTER_LEADER_CACHE_STATE_FOR="60000", **self.faulty(name), **more)

    def faulty(self, name):
        """The environment of a program whose clock and disk are ours."""
        self.faults[name] = faults = Faults(self.folder / f"{name}.faults")
        faults.lag(wall=self.lag)
        return faults.environment

    def worker(self, name, folder=None, called=None, **more):
        """called: what it says to be its name; name is that of its road, clock and log."""
        self.roads[name] = road = Road(*(leader.port for leader in self.leaders))
        self.ends.callback(road.close)
        folder = folder or self.folder / name
        process = super().worker(name, **self.by_road(road), ZOT_WORKER_DATA=folder,
                                 ZOT_SPOOL=self.folder / f"{name}.spool", CLUSTER_WORKER_NAME=called or name, **self.faulty(name), **more)
        process.folder, process.road = pathlib.Path(folder), road
        process.journal = lambda: pushes_of(process.folder / "usage.journal")
        return process

    def by_road(self, road):
        return {"CLUSTER_LEADER_URLS" if len(self.leaders) > 1 else "CLUSTER_LEADER_URL": f"http://127.0.0.1:{road.port}"}

    # Time. It is the leader's; each program has its own.

    def set_clock(self, name, days=0.0):
        """So many days from where the world's clock is."""
        self.faults[name].lag(wall=self.lag - days * DAY_S)

    def day(self, days=0):
        return time.strftime("%Y-%m-%d", time.gmtime(time.time() - self.lag + days * DAY_S))

    # The leader: its disk and its copies.

    @contextlib.contextmanager
    def full_disk(self):
        faults = self.faults["leader"]
        rules = [faults.add(call, "leader.db", fail(errno.ENOSPC), times=0) for call in ("pwrite", "write", "ftruncate")]
        try:
            yield
        finally:
            for rule in rules:
                rule.release()

    def pause(self, process):
        process.process.send_signal(signal.SIGSTOP)
        stat = pathlib.Path(f"/proc/{process.process.pid}/stat")
        await_true(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", what="the pause")

    def go_on(self, process):
        process.process.send_signal(signal.SIGCONT)

    def copy_leader(self):
        """As its disk is at this moment."""
        copied = self.folder / "leader.copy"
        shutil.rmtree(copied, ignore_errors=True)
        self.pause(self.leader)
        try:
            shutil.copytree(self.folder / "leader", copied)
        finally:
            self.go_on(self.leader)

    def restore_leader(self):
        """To the copy; who was there is killed first. As an operator does it: a copy that is put back by hand is refused by the workers."""
        self.leader.kill()
        subprocess.run([self.leader.command[0], "restore", str(self.folder / "leader.copy/leader.db")], env=self.leader.environment, check=True, capture_output=True)
        self.leader.start()

    def by_name(self):
        return {m["name"]: m for m in self.admin("GET", "/api/cluster/members").json()["members"]}

    def told_of(self, name):
        """What the leader tells of this member; of one that it does not tell of nothing."""
        return self.by_name().get(name, {})

    def in_ring(self):
        return {m["id"]: m["state"] for m in self.admin("GET", "/api/ring/ring").json()["members"]}

    def live(self):
        return [m for m in self.by_name().values() if m["state"] == "active"]

    def await_members(self, count):
        await_true(lambda: len(self.live()) == count, 30, f"{count} active members")
        self.await_level()

    def await_level(self, seconds=ANSWER_S):
        """Every live member, and every leader, has the same revision: one that has no contact yet tells what it has, which may be older."""
        def level():
            told = [leader.call("GET", "/api/cluster/members").json() for leader in self.leaders]
            live = [m for each in told for m in each["members"] if m["state"] == "active"]
            return len({each["revision"] for each in [*told, *live]}) == 1 and len({m.get("stateDigest") for m in live}) <= 1

        await_true(level, seconds, "the leader's state at all members")

    def admin(self, method, path, body=None, **more):
        """At any of the leaders that run."""
        for leader in random.sample(self.leaders, len(self.leaders)):
            try:
                return leader.call(method, path, json=body, **more)
            except requests.ConnectionError:
                if leader.process.poll() is None:
                    raise
        raise ConnectionRefusedError("no leader runs")

    # Keys and calls.

    def key(self, **fields):
        key = Key(self.new_key(**fields))
        for worker in self.workers:
            await_true(lambda: self.knows(worker, key), ANSWER_S, f"the key at {worker.name}")
        return key

    def knows(self, worker, key):
        """Without a call that would be counted: a wrong secret is another 401 than an unknown key, so the revision is asked."""
        told = self.told_of(worker.environment["CLUSTER_WORKER_NAME"])
        return told.get("revision", 0) >= self.admin("GET", f"/api/apikey/{key.id}").json()["revision"]

    def change(self, key, **fields):
        reply = self.admin("PATCH", f"/api/apikey/{key.id}", fields)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def call(self, worker, key, timeout=20):
        """The status; 0: it was not sent, None: nobody knows what came of it."""
        return self.ask(worker, key, timeout)[0]

    def ask(self, worker, key, timeout=20):
        """(status, headers)"""
        connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=timeout)
        try:
            connection.connect()
        except OSError:
            return 0, {}
        try:
            connection.request("GET", "/v2/", headers=key.head)
            reply = connection.getresponse()
            reply.read()
            return reply.status, dict(reply.getheaders())
        except (OSError, http.client.HTTPException):
            return None, {}
        finally:
            connection.close()

    def hit(self, worker, key, times):
        """Calls that must all be admitted."""
        statuses = [self.call(worker, key) for _ in range(times)]
        assert statuses == [200] * times, statuses

    def spend(self, worker, key, most=100_000, patience=None):
        """Calls until one is refused, and again and again for `patience` s (two times grantMs); how many were admitted."""
        patience = patience or 2 * self.settings["grantMs"] / 1000
        admitted, last = 0, time.monotonic()
        while admitted < most and time.monotonic() - last < patience:
            if self.call(worker, key) == 200:
                admitted, last = admitted + 1, time.monotonic()
            else:
                time.sleep(0.02)  # pace, nothing is awaited by it
        return admitted

    def usage(self, key):
        rows = self.admin("GET", f"/api/usage?apikey={key.id}").json()["usage"]
        return {row["day"]: row for row in rows if "day" in row}

    def calls(self, key):
        return sum(row["calls"] for row in self.usage(key).values())

    def await_calls(self, key, calls, seconds=ANSWER_S):
        try:
            await_true(lambda: self.calls(key) == calls, seconds)
        except AssertionError:
            raise AssertionError(f"the leader has merged {self.calls(key)} calls of a key, {calls} were admitted") from None

    def stays(self, key, calls):
        """So many are merged, and no push of any worker changes that."""
        self.await_calls(key, calls)
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.road.await_answers(3)
        assert self.calls(key) == calls

    def scripted(self, name, **more):
        return Scripted(self.leader, name, **more)


class Scripted(FakeWorker):
    """A worker that is said by hand, with a number in each push."""

    def __init__(self, leader, name, boot=None, process=None):
        super().__init__(leader, name, boot)
        self.session.trust_env = False
        self.process, self.number, self.heard = process or self.process, 0, {}

    def push(self, seq=None, number=None, **more):
        """Names the leader that answered last, and what that one told of its store."""
        if number is None:
            self.number += 1
            number = self.number
        reply = super().push(seq=0 if seq is None else seq, number=number, **{**self.heard, **more})
        if reply.status_code == 200:
            self.heard = {name: reply.json()[name] for name in ("leader", "witness")}
        return reply

    def count(self, key, day, calls, after=None, seq=None, ungranted=0):
        """One push of counts."""
        after = self.seq if after is None else after
        self.seq = seq if seq is not None else after + 1
        return self.push(seq=self.seq, after=after, usage=[{"apikey": key.id, "day": day, "calls": calls, "ungranted": ungranted, "bytes_in": 0, "bytes_out": 0}])

    def demand(self, key, day, granted=0, used=0, want=0, release=False, **more):
        """(status, granted) of the answer."""
        reply = self.push(demands=[{"apikey": key.id, "day": day, "granted": granted, "used": used, "want": want, "release": release}], **more)
        grants = [g for g in reply.json().get("grants", []) if g["apikey"] == key.id and g["day"] == day] if reply.status_code == 200 else []
        return reply.status_code, (grants[0]["granted"] if grants else None)

    def take(self, key, day, want, used=0):
        """As many as there are, up to `want` unused ones: asks until an answer gives nothing more; what it may admit in all then. It is given
        nothing before it has heard this leader."""
        assert self.push().status_code == 200
        granted, before = used, None
        while granted != before and granted < used + want:
            before = granted
            status, given = self.demand(key, day, granted=granted, used=used, want=used + want - granted)
            assert status == 200
            granted = max(granted, given or 0)
        return granted


def meet(*workers):
    """Each has told that it knows of all the others: from then on they are dealt to."""
    for worker in 2 * workers:
        assert worker.push().status_code == 200
