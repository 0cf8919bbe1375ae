#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long beats, small writes and questions for the state take while many keys are imported, against how long they take without.

    python3 tests/bench/imports.py BUILD [--keys 100000] [--redis] [--most 100] [--bulk LINES]

BUILD is a build folder (build/release). A worker beats all the time, another client writes a user, a third one asks whether there is a newer state; first for three seconds
by themselves, then beside one import. With --redis two leaders share a Redis, and the beats go to the one that does not import too. Ends with status 1 where the p99 of
a beat beside the import is more than --most ms, or any of them was refused.
"""
import argparse
import contextlib
import os
import pathlib
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "flow"), str(HERE.parent / "system")]


class Series:
    """One client that asks again and again, on a thread of its own."""

    def __init__(self, name, ask, rest=0.0):
        self.name, self.ask, self.rest, self.ms, self.refused, self.stopped = name, ask, rest, [], [], False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopped:
            started = time.monotonic()
            reply = self.ask()
            self.ms.append((time.monotonic() - started) * 1e3)
            if reply.status_code >= 300 and reply.status_code != 304:
                self.refused.append(reply.text)
            time.sleep(self.rest)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped = True
        self.thread.join()

    def p99(self):
        return sorted(self.ms)[int(len(self.ms) * 0.99)]

    def say(self, when):
        ms = sorted(self.ms)
        print(f"{when:8} {self.name:16} {len(ms):6} times: p50 {ms[len(ms) // 2]:6.1f}, p99 {self.p99():7.1f}, most {ms[-1]:7.1f} ms, refused {len(self.refused)}"
              + (f" {self.refused[0][:120]}" if self.refused else ""), flush=True)


def series_of(leaders):
    from leader_process import FakeWorker

    asked = []
    for leader, name in zip(leaders, "ab"):
        worker = FakeWorker(leader, f"worker-{name}")
        assert worker.push().status_code == 200
        number = iter(range(1, 1 << 40))
        asked.append(Series(f"beat at {name}", lambda w=worker, n=number: w.push(seq=0, number=next(n)), 0.002))
    user = {"id": "ann", "passwordHash": "$2b$10$" + "a" * 53}
    assert leaders[0].admin("POST", "/api/user", user).status_code == 201
    turn = iter(range(1 << 40))
    session = leaders[0].another_session()
    asked.append(Series("write", lambda: session.patch(leaders[0].url + "/api/worker/w", json={"description": str(next(turn))}, timeout=60), 0.02))
    assert leaders[0].admin("POST", "/api/worker", {"id": "w"}).status_code == 201
    poller = FakeWorker(leaders[0], "worker-p")
    asked.append(Series("question", lambda: poller.session.get(leaders[0].url + "/api/cluster/members", auth=leaders[0].session.auth, timeout=60), 0.02))
    return asked


def beside(leaders, work, when):
    asked = series_of(leaders) if not hasattr(beside, "asked") else [Series(s.name, s.ask, s.rest) for s in beside.asked]
    beside.asked = asked
    with contextlib.ExitStack() as stack:
        for one in asked:
            stack.enter_context(one)
        started = time.monotonic()
        work()
        seconds = time.monotonic() - started
    for one in asked:
        one.say(when)
    return asked, seconds


def run(keys, redis, lines):
    from leader_process import Leader
    from redis_server import RedisServer
    import requests
    from writes import export_of, rss_mib

    def another_session(leader):
        session = requests.Session()
        session.trust_env, session.auth = False, leader.session.auth
        return session

    Leader.another_session = another_session
    with contextlib.ExitStack() as stack:
        more = [{}]
        if redis:
            server = stack.enter_context(RedisServer(pathlib.Path(tempfile.mkdtemp()) / "redis"))
            more = [{"REDIS_URL": server.url, "CLUSTER_LEADER_NAME": name} for name in "ab"]
        leaders = [stack.enter_context(Leader(ZOT_LOG_LEVEL="warn", **one)) for one in more]
        body = b"".join(export_of(keys))

        def work():
            path = "/api/import?mode=merge"
            sent = body
            if lines:
                path, sent = "/api/apikey/_bulk", b"".join(body.splitlines(True)[1:lines + 1]).replace(b'"kind": "apikey", ', b"")
            reply = leaders[0].session.post(leaders[0].url + path, data=sent, headers={"Content-Type": "application/x-ndjson"}, timeout=1200)
            assert reply.status_code == 200, reply.text

        beside(leaders, lambda: time.sleep(3), "alone")
        asked, seconds = beside(leaders, work, "beside")
        print(f"{lines or keys} keys: {seconds:.1f} s, MiB of the leader {rss_mib(leaders[0])}", flush=True)
        return asked


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--keys", type=int, default=100000)
    parser.add_argument("--redis", action="store_true")
    parser.add_argument("--bulk", type=int, default=0)
    parser.add_argument("--most", type=float, default=100)
    asked = parser.parse_args()
    os.environ["ZOT_BUILD"] = str(pathlib.Path(asked.build).resolve())
    found = run(asked.keys, asked.redis, asked.bulk)
    sys.exit(any(one.refused or (one.name.startswith("beat") and one.p99() > asked.most) for one in found))


if __name__ == "__main__":
    main()
