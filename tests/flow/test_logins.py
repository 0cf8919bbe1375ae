# SPDX-License-Identifier: Apache-2.0
"""Passwords cost nobody else anything: what they are verified by is slow on purpose, and bounded."""
import base64
import contextlib
import json
import selectors
import socket
import subprocess
import time

import pytest
import requests

from leader_process import SECRET, Leader
from worker_process import Worker, await_true, digest

PASSWORDS = {"ann": "annsecret", "bob": "bobsecret", "eve": "evesecret"}


def write_htpasswd(path, cost=10):
    path.touch()
    for name, password in PASSWORDS.items():
        subprocess.run(["htpasswd", "-Bb", "-C", str(cost), str(path), name, password], check=True, capture_output=True)


@pytest.fixture
def guarded(tmp_path):
    write_htpasswd(tmp_path / "htpasswd")
    with Worker(tmp_path, ZOT_HTPASSWD=tmp_path / "htpasswd", ZOT_LOG_LEVEL="warn") as worker:
        yield worker


class Clients:
    """Connections of their own, from addresses of their own; their answers come in any order."""

    def __init__(self, port):
        self.port, self.selector, self.open, self.answered = port, selectors.DefaultSelector(), [], set()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for client in self.open:
            client.close()

    def ask(self, user, password, path="/v2/", method="GET", address="127.0.0.1", head="", body=b"", keep=None):
        client = keep or socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=(address, 0))
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        client.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\n{head}\r\n".encode() + body)
        if not keep:
            self.open.append(client)
            self.selector.register(client, selectors.EVENT_READ)
        return client

    def answers(self, n):
        """The next n, as (client, status, text)."""
        found = []
        while len(found) < n:
            ready = self.selector.select(60)
            assert ready, f"{len(found)} of {n} answers came"
            for key, _ in ready:
                text = key.fileobj.recv(65536).decode()
                if not text and key.fileobj in self.answered:  # it was told, and its body has not come in time
                    self.selector.unregister(key.fileobj)
                    continue
                assert text.startswith("HTTP/1.1 "), text
                self.answered.add(key.fileobj)
                found.append((key.fileobj, int(text[9:12]), text))
        return found

    def statuses(self, n):
        return [status for _, status, _ in self.answers(n)]


def leader_counter(leader, name):
    for line in requests.get(leader.url + "/metrics", timeout=30).text.splitlines():
        if line.startswith(f"zot_leader_{name} "):
            return int(line.split()[1])
    raise AssertionError(f"no {name}")


def fail_until_told_to_wait(clients, path, address):
    """Head and body of the first 429: after 30 failures, and those that may be had for the time that they took."""
    for n in range(1000):
        clients.ask(f"user{n}", "guess", path, address=address)
        (_, status, text), = clients.answers(1)
        assert status == 401 or n >= 30 and status == 429
        if status == 429:
            return text.split("\r\n\r\n", 1)
    raise AssertionError("1000 failures, and nobody says stop")


# One account, many connections.

def test_a_fleet_of_one_account_is_verified_once(guarded):
    with Clients(guarded.port) as fleet:
        for _ in range(64):
            fleet.ask("ann", PASSWORDS["ann"])
        assert fleet.statuses(64) == [200] * 64
        assert guarded.counter("logins_verified_total", auth=("ann", PASSWORDS["ann"])) == 1


def test_a_password_in_use_is_renewed_before_its_time_is_over(tmp_path):
    write_htpasswd(tmp_path / "htpasswd")
    with Worker(tmp_path, ZOT_HTPASSWD=tmp_path / "htpasswd", ZOT_LOG_LEVEL="warn", ZOT_LOGIN_REMEMBER="2s") as worker, Clients(worker.port) as fleet:
        ann = ("ann", PASSWORDS["ann"])
        begun = time.monotonic()
        for _ in range(64):
            fleet.ask(*ann)
        while worker.counter("logins_renewed_total", auth=ann) < 3:
            for client, status, _ in fleet.answers(64):
                assert status == 200
                fleet.ask(*ann, keep=client)
        assert set(fleet.statuses(64)) == {200}
        # One for all 64, and not before three quarters of the time of the one before were over.
        assert worker.counter("logins_verified_total", auth=ann) <= 1 + (time.monotonic() - begun) / 1.5


def test_eight_connections_of_one_administrator():
    with Leader() as leader, Clients(leader.port) as clients:
        before = leader_counter(leader, "logins_verified_total")
        for _ in range(40):
            clients.ask(leader.user, leader.password, "/api/user")
        assert clients.statuses(40) == [200] * 40
        assert leader_counter(leader, "logins_verified_total") - before == 1


# Guessing.

def test_wrong_logins_do_not_delay_others(guarded):
    """200 at once: a mount of somebody else is answered before most of them. With a pool full of passwords it would begin when at
    most as many as there are threads (32) are left."""
    ann = ("ann", PASSWORDS["ann"])
    assert guarded.call("POST", f"/v2/from/app/blobs/uploads/?digest={digest(b'layer')}", data=b"layer", auth=ann).status_code == 201
    with Clients(guarded.port) as guesses, Clients(guarded.port) as others:
        for n in range(200):
            guesses.ask(f"user{n}", "guess", address=f"127.0.1.{n % 4 + 1}")
        others.ask(*ann, f"/v2/to/app/blobs/uploads/?mount={digest(b'layer')}&from=from/app", "POST", head="Content-Length: 0\r\n")
        assert others.statuses(1) == [201]
        ready = len(guesses.selector.select(0))
        assert ready < 160
        assert set(guesses.statuses(200)) == {401, 429}


def test_who_fails_often_waits_and_nobody_else_does(guarded):
    ann, bob, eve = (tuple([name, PASSWORDS[name]]) for name in ("ann", "bob", "eve"))
    assert guarded.call("GET", "/v2/", auth=ann).status_code == 200
    with Clients(guarded.port) as clients:
        head, body = fail_until_told_to_wait(clients, "/v2/", "127.0.0.2")
        assert json.loads(body)["errors"][0]["code"] == "TOOMANYREQUESTS"
        retry = [line for line in head.splitlines() if line.lower().startswith("retry-after:")]
        assert 1 <= int(retry[0].split(":")[1]) <= 60
        # Remembered: passes from there too. Anybody else: from elsewhere.
        clients.ask(*ann, address="127.0.0.2")
        clients.ask(*bob, address="127.0.0.3")
        assert clients.statuses(2) == [200, 200]
        # The account that is guessed at from many places is open to its owner, in a new place too.
        for n in range(60):
            clients.ask("eve", f"guess{n}", address=f"127.0.2.{n % 12 + 1}")
        assert set(clients.statuses(60)) <= {401, 429}
        clients.ask(*eve, address="127.0.0.4")
        assert clients.statuses(1) == [200]
    assert guarded.counter("logins_limited_total", auth=ann) >= 1


def test_slow_bodies_of_wrong_logins_keep_no_administrator_out():
    with Leader() as leader, Clients(leader.port) as slow, Clients(leader.port) as admin:
        for n in range(60):
            slow.ask(f"user{n % 6}", f"guess{n}", "/api/user", "POST", f"127.0.0.{n % 6 + 2}", "Content-Type: application/json\r\nContent-Length: 1000\r\n", b"{")
        admin.ask(leader.user, leader.password, "/api/user")
        assert admin.statuses(1) == [200]
        # It is known who sends them although none of the bodies has come.
        assert slow.statuses(60) == [401] * 60


def test_slow_bodies_of_an_administrator_keep_no_other_out():
    with Leader() as leader, Clients(leader.port) as clients:
        for n in range(3):
            assert leader.admin("POST", "/api/user", {"id": f"admin{n}", "password": f"a long password {n}", "roles": ["admin"]}).status_code == 201
        slow = [clients.ask("admin0", "a long password 0", "/api/user", "POST", "127.0.0.2", "Content-Type: application/json\r\nContent-Length: 1000\r\n", b"{") for _ in range(60)]
        await_true(lambda: leader_counter(leader, "open_requests") > 60, what="requests whose bodies are awaited")
        clients.ask("admin1", "a long password 1", "/api/user", address="127.0.0.3")
        (client, status, _), = clients.answers(1)
        assert status == 200 and client not in slow


def test_the_leader_says_when_to_come_again():
    with Leader() as leader, Clients(leader.port) as clients:
        head, body = fail_until_told_to_wait(clients, "/api/user", "127.0.0.2")
        assert "Retry-After:" in head and json.loads(body)["error"]["code"] == "too_many_requests"
        assert leader.admin("GET", "/api/user").status_code == 200  # from elsewhere


# What can be told by time.

def work_of(counter, ask, n):
    """Verifications, and the least processor time (ms) that one of n took."""
    times = []
    before = counter("logins_verified_total")
    for i in range(n):
        begun = counter("logins_work_seconds_total")
        ask(i)
        times.append(1000 * (counter("logins_work_seconds_total") - begun))
    return counter("logins_verified_total") - before, min(times)


def test_names_cannot_be_told_by_the_work_for_them(tmp_path):
    write_htpasswd(tmp_path / "htpasswd", cost=5)
    hashed = subprocess.run(["openssl", "passwd", "-6", "shasecret"], check=True, capture_output=True, text=True).stdout
    with open(tmp_path / "htpasswd", "a") as file:
        file.write(f"sha:{hashed}")
    with Worker(tmp_path, ZOT_HTPASSWD=tmp_path / "htpasswd", ZOT_LOG_LEVEL="warn") as worker:
        counter = lambda name: worker.counter(name, auth=("ann", PASSWORDS["ann"]))  # noqa: E731
        counter("logins_verified_total")
        work = {}
        for name in ("nobody", "bob", "sha"):
            work[name] = work_of(counter, lambda n: worker.call("GET", "/v2/", auth=(name, f"guess{n}")), 5)
            assert work[name][0] == 5
        least, most = min(ms for _, ms in work.values()), max(ms for _, ms in work.values())
        assert most < 1.5 * least + 2, work


def test_ids_of_keys_cannot_be_told_by_the_work_for_them():
    with contextlib.ExitStack() as stack:
        leader = stack.enter_context(Leader())
        disabled, enabled, mine = leader.new_key(), leader.new_key(), leader.new_key()
        assert leader.admin("PATCH", f"/api/apikey/{disabled['clientId']}", {"enabled": False}).status_code == 200
        assert leader.admin("POST", "/api/user", {"id": "off", "password": "a long password", "enabled": False}).status_code == 201
        worker = stack.enter_context(Worker(CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_WORKER_NAME="one", ZOT_LOG_LEVEL="warn",
                                            CLUSTER_LEADER_CLIENT_ID="workers", CLUSTER_LEADER_CLIENT_SECRET=SECRET))
        worker.session.auth = (mine["clientId"], mine["clientSecret"])
        assert await_true(lambda: worker.call("GET", "/v2/").status_code == 200, what="the state")
        wrong = {"nobody": ("nobody", "guess"), "disabled key": (disabled["clientId"], disabled["clientSecret"]), "unknown key": ("0" * 24, "guess"),
                 "wrong secret": (enabled["clientId"], "guess"), "disabled user": ("off", "a long password"), "wrong password": ("admin", "guess")}
        work = {}
        for what, login in wrong.items():
            before = worker.counter("logins_verified_total")
            # A fleet that keeps coming with it is refused from memory.
            for _ in range(10):
                assert worker.call("GET", "/v2/", auth=login).status_code == 401, what
            assert worker.counter("logins_verified_total") - before == 1, what
            # What others do in the meantime is not counted: the least of several.
            work[what] = work_of(worker.counter, lambda n: worker.call("GET", "/v2/", auth=(login[0], f"guess{n}")), 3)
            assert work[what][0] == 3, what
        least, most = min(ms for _, ms in work.values()), max(ms for _, ms in work.values())
        assert most < 1.5 * least + 2, work
        # API keys that are right need no verification.
        before = worker.counter("logins_verified_total")
        assert worker.call("GET", "/v2/").status_code == 200
        assert worker.call("GET", "/v2/", auth=("admin", mine["apiKey"])).status_code == 200
        # As a password it is its owner's alone.
        assert worker.call("GET", "/v2/", auth=("somebody", mine["apiKey"])).status_code == 401
        assert worker.call("GET", "/v2/", auth=("admin", "zak_" + "0" * 64)).status_code == 401
        assert worker.counter("logins_verified_total") == before
