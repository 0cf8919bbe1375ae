# SPDX-License-Identifier: Apache-2.0
"""The first password is shown by who has the port; and the way back for who has lost it."""
import os
import re
import socket
import subprocess

import pytest
import requests

from leader_process import Leader
from program import BUILD
from worker_process import Worker

FIRST = re.compile(r'First admin: user "(\w+)", password "(\w{24})"')


def run(leader, *arguments, **environment):
    return subprocess.run([BUILD / "leader/zot-leader", *arguments], env={**leader.environment, **environment}, capture_output=True, text=True,
                          timeout=120)


def reset(leader, **environment):
    """The password that was printed."""
    done = run(leader, "reset-admin", **environment)
    assert done.returncode == 0, done.stderr
    user, password = re.fullmatch(r'user "(\w+)", password "(\w{24})"\n', done.stdout).groups()
    assert user == environment.get("ZOT_ADMIN_USER", leader.user)
    assert '"admin.reset"' in done.stderr and password not in done.stderr
    return password


def login(leader, user, password):
    return requests.get(leader.url + "/api/user", auth=(user, password), timeout=60).status_code


@pytest.mark.parametrize("kind", [Leader, Worker])
def test_a_taken_port_is_told_once_and_shows_no_password(kind):
    with kind() as process:
        process.stop()
        with socket.create_server(("127.0.0.1", process.port)):
            done = subprocess.run([BUILD / process.program, "serve"], env=process.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 1
        assert done.stderr.count(f"listen on 127.0.0.1 port {process.port}") == 1 and "Address already in use" in done.stderr


def test_the_first_password_is_shown_once_the_port_is_there():
    fresh = Leader()
    del fresh.environment["ZOT_ADMIN_PASSWORD"]
    with socket.create_server(("127.0.0.1", fresh.port)):
        done = run(fresh, "serve")
    assert done.returncode == 1 and "First admin" not in done.stdout + done.stderr
    with fresh:
        (user, password), = FIRST.findall(fresh.text())
        assert user == "admin" and login(fresh, user, password) == 200
        fresh.stop()
        fresh.start()
        assert len(FIRST.findall(fresh.text())) == 1 and login(fresh, user, password) == 200


def test_a_password_that_was_lost():
    with Leader() as leader:
        leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
        leader.admin("PATCH", "/api/user/admin", {"metadata": {"phone": "12"}, "groups": ["dev"]})
        revision = leader.revision()
        running = run(leader, "reset-admin")
        assert running.returncode == 1 and not running.stdout and "stop the leader first" in running.stderr
        assert login(leader, "admin", leader.password) == 200
        leader.stop()
        first, password = reset(leader), reset(leader)
        leader.start()
        assert first != password
        assert [login(leader, "admin", p) for p in (leader.password, first, password)] == [401, 401, 200]
        assert login(leader, "ann", "a long password") == 403  # she is there, and is no admin
        leader.session.auth = ("admin", password)
        me = leader.admin("GET", "/api/user/admin").json()
        assert (me["metadata"], me["groups"], me["roles"], me["enabled"]) == ({"phone": "12"}, ["dev"], ["admin"], True)
        assert leader.revision() == revision + 2


def test_who_is_named_becomes_an_admin():
    with Leader() as leader:
        reply = leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password", "groups": ["dev"], "enabled": False})
        assert reply.status_code == 201, reply.text
        leader.stop()
        ann, new = reset(leader, ZOT_ADMIN_USER="ann"), reset(leader, ZOT_ADMIN_USER="new")
        leader.start()
        assert login(leader, "ann", ann) == 200 and login(leader, "new", new) == 200 and login(leader, "admin", leader.password) == 200
        she = leader.admin("GET", "/api/user/ann").json()
        assert (she["groups"], she["roles"], she["enabled"]) == (["dev"], ["admin"], True)


def test_a_wrong_use_changes_nothing(tmp_path):
    with Leader() as leader:
        leader.stop()
        elsewhere = run(leader, "reset-admin", ZOT_LEADER_DATA=str(tmp_path / "none"))
        assert elsewhere.returncode == 1 and "no leader's store" in elsewhere.stderr and not elsewhere.stdout
        assert not os.path.exists(tmp_path / "none")
        for arguments in (["reset-admin", "--user", "ann"], ["reset-admin", "a", "b"]):
            done = run(leader, *arguments)
            assert done.returncode == 2 and not done.stdout
        assert "reset-admin" in run(leader, "help").stdout
        leader.start()
        assert login(leader, "admin", leader.password) == 200
