# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: who is told to go elsewhere is served meanwhile, who is in the middle of something may end it; and what a service manager hears."""
import http.client
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest
import requests

from leader_process import FakeWorker, Leader
from program import BUILD
from worker_process import Worker, await_true, digest

LONG = "1h"  # until the second signal


@pytest.fixture
def manager(tmp_path):
    """What systemd listens at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(tmp_path / "notify"))
        s.settimeout(60)
        yield s


def heard(manager, line):
    while (got := manager.recv(4096).decode()) != line:
        assert got == "WATCHDOG=1", got


def drain(process):
    """Until it says so itself."""
    process.process.send_signal(signal.SIGTERM)
    await_true(lambda: ready(process).status_code == 503, what="not ready")


def ready(process):
    return requests.get(process.url + "/readyz", timeout=30)


def ends(process, *signals):
    for one in signals:
        process.process.send_signal(one)
    assert process.process.wait(60) == 0, process.text()[-3000:]


def on_a_kept_connection(connection, path):
    """Status, and whether it is the last one there."""
    connection.request("GET", path)
    reply = connection.getresponse()
    reply.read()
    return reply.status, reply.getheader("Connection")


def test_a_worker_that_drains_serves_all_and_keeps_no_connection():
    with Worker(CLUSTER_DRAIN_DELAY=LONG) as worker:
        worker.push("a/b", "v1")
        kept = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=60)
        assert on_a_kept_connection(kept, "/v2/a/b/tags/list") == (200, None)
        drain(worker)
        assert "\ndraining\n" in ready(worker).text and ready(worker).text.startswith("not ready\n")
        assert on_a_kept_connection(kept, "/v2/a/b/tags/list") == (200, "close")
        fresh = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=60)
        assert on_a_kept_connection(fresh, "/v2/a/b/manifests/v1") == (200, "close")
        worker.push("a/b", "v2", b"pushed meanwhile")
        assert requests.get(worker.url + "/livez", timeout=30).status_code == 200
        ends(worker, signal.SIGTERM)
        with pytest.raises(requests.ConnectionError):
            ready(worker)


def test_a_client_in_the_middle_of_a_push_ends_it():
    layer = b"of several requests"
    with Worker(CLUSTER_DRAIN_DELAY=LONG) as worker:
        place = worker.start_upload("a/b")
        half = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=60)
        half.putrequest("PATCH", place)
        half.putheader("Content-Length", str(len(layer)))
        half.endheaders(layer[:5])
        drain(worker)
        worker.process.send_signal(signal.SIGTERM)  # in a hurry: what is open is waited for, no more is begun
        await_true(lambda: worker.call("POST", "/v2/a/b/blobs/uploads/").status_code == 503, what="no more uploads")
        reply = worker.call("POST", "/v2/a/b/blobs/uploads/")
        assert reply.status_code == 503
        assert reply.headers["Retry-After"] and reply.json()["errors"][0]["code"] == "UNAVAILABLE"
        half.send(layer[5:])
        assert half.getresponse().status == 202
        assert worker.call("PUT", place, params={"digest": digest(layer)}).status_code == 201
        assert worker.process.wait(60) == 0
        worker.environment["CLUSTER_DRAIN_DELAY"] = "0"
        worker.start()
        assert worker.call("GET", f"/v2/a/b/blobs/{digest(layer)}").content == layer


def test_an_upload_that_nobody_goes_on_with_is_not_waited_for_for_ever():
    with Worker(CLUSTER_DRAIN_DELAY="1ms") as worker:
        worker.start_upload("a/b")
        ends(worker, signal.SIGTERM)


@pytest.mark.parametrize("kind", [Worker, Leader])
def test_a_third_signal_ends_all(kind):
    """And the second only the delay: an upload is waited for, in a leader nothing."""
    with kind(CLUSTER_DRAIN_DELAY=LONG) as process:
        drain(process)
        if kind is Worker:
            process.start_upload("a/b")
        ends(process, signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("kind", [Worker, Leader])
def test_a_person_who_types_control_c_does_not_wait(kind):
    with kind(CLUSTER_DRAIN_DELAY=LONG) as process:
        ends(process, signal.SIGINT)


def test_a_leader_that_drains_serves_all():
    with Leader(CLUSTER_DRAIN_DELAY=LONG) as leader:
        worker = FakeWorker(leader, "one")
        assert worker.push().status_code == 200
        drain(leader)
        assert ready(leader).json()["status"] == "stopping"
        reply = worker.push()
        assert reply.status_code == 200 and reply.headers["Connection"] == "close"
        assert leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"}).status_code == 201
        assert worker.state().status_code == 200
        ends(leader, signal.SIGTERM)
        leader.environment["CLUSTER_DRAIN_DELAY"] = "0"
        leader.start()
        assert leader.admin("GET", "/api/user/ann").status_code == 200


def test_a_led_worker_that_drains_leaves_the_ring_first():
    with Leader() as leader, Worker(CLUSTER_DRAIN_DELAY=LONG, CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers",
                                    CLUSTER_LEADER_CLIENT_SECRET=leader.environment["CLUSTER_LEADER_CLIENT_SECRET"],
                                    CLUSTER_WORKER_NAME="one") as worker:
        def in_ring():
            return {m["id"]: m.get("state", "active") for m in leader.admin("GET", "/api/ring/ring").json()["members"]}

        await_true(lambda: in_ring() == {"one": "active"}, what="in the ring")
        drain(worker)
        await_true(lambda: in_ring() == {"one": "draining"}, what="owner of nothing")
        assert worker.call("GET", "/v2/", auth=(leader.user, leader.password)).status_code == 200
        ends(worker, signal.SIGTERM)
        await_true(lambda: in_ring() == {}, what="gone")


@pytest.mark.parametrize("kind", [Worker, Leader])
def test_a_service_manager_hears_of_begin_and_end(kind, tmp_path, manager):
    """And in between, again and again, that what serves turns."""
    with kind(CLUSTER_DRAIN_DELAY=LONG, NOTIFY_SOCKET=tmp_path / "notify", WATCHDOG_USEC=4_000_000) as process:
        heard(manager, "READY=1")
        for _ in range(3):
            assert manager.recv(4096) == b"WATCHDOG=1"
        drain(process)
        heard(manager, "STOPPING=1")
        assert manager.recv(4096) == b"WATCHDOG=1"  # it still serves
        ends(process, signal.SIGTERM)


def test_nobody_is_pinged_who_does_not_watch(tmp_path, manager):
    with Worker(NOTIFY_SOCKET=tmp_path / "notify", WATCHDOG_USEC=4_000_000, WATCHDOG_PID=1) as worker:
        assert manager.recv(4096) == b"READY=1"
        ends(worker, signal.SIGTERM)
        assert manager.recv(4096) == b"STOPPING=1"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd")
@pytest.mark.parametrize("kind", [Worker, Leader])
def test_the_unit_of_each_program_is_right(kind, tmp_path):
    unit = pathlib.Path(__file__).parents[2] / "deploy" / f"{pathlib.Path(kind.program).name}.service"
    text = unit.read_text()
    assert f"\nExecStart=/usr/local/bin/{unit.stem} serve\n" in text and "\nType=notify\n" in text and "\nWatchdogSec=" in text
    (tmp_path / unit.name).write_text(text.replace("/usr/local", str(tmp_path)))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / unit.stem).symlink_to(BUILD / kind.program)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / unit.name], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and unit.name not in done.stderr, done.stderr
    # Hardened: an exposure of 2.5 at the most, of 10.
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=25", tmp_path / unit.name], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stdout[-300:]
