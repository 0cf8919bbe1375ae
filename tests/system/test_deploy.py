# SPDX-License-Identifier: Apache-2.0
"""deploy/up and deploy/down, as a user runs them; the first push is the one that it prints."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import pytest
import requests

import s3_servers
from registry import await_true, free_port

HERE = pathlib.Path(__file__).parents[2]


def free_base():
    """Ports in a row, for all that it may start."""
    return free_port(in_a_row=9)


def run(script, environment, check=True):
    done = subprocess.run([str(HERE / "deploy" / script)], env={**os.environ, "CLUSTER_DRAIN_DELAY": "0", **environment}, capture_output=True, text=True,
                          timeout=300)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("store", ["folder", "moto"])
def test_up_twice_and_down(store, tmp_path):
    environment = {"ZOT_DATA": str(tmp_path / "data"), "BASE_PORT": str(free_base()), "TMPDIR": str(tmp_path)}
    if store == "folder":
        up_and_down(environment, tmp_path)
    else:
        with s3_servers.start("moto") as server:
            up_and_down({**environment, **{k: v for k, v in server.environment().items() if not k.startswith("ZOT_")}}, tmp_path)
            assert server.client().list_objects_v2(Bucket=server.bucket)["KeyCount"] > 4


def test_it_comes_up_on_a_busy_machine(tmp_path):
    """A process that has been forked and is not yet the program is no process that has ended."""
    environment = {"ZOT_DATA": str(tmp_path / "data"), "BASE_PORT": str(free_base()), "TMPDIR": str(tmp_path)}
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(4 * os.cpu_count())]
    try:
        for _ in range(3):
            run("up", environment)
            run("down", environment)
    finally:
        run("down", environment)
        for process in busy:
            process.kill()
            process.wait()


def test_who_is_not_root_knows_what_runs():
    """The programs hide their environment and their file from everybody but root."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="zot-deploy-"))
    try:
        for file in (HERE / "deploy" / "running", pathlib.Path(os.environ.get("ZOT_BUILD", HERE / "build" / "release")) / "leader" / "zot-leader"):
            shutil.copy(file, folder)
        (folder / "run").mkdir()
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
        for path in (folder, folder / "run") if as_nobody else ():
            os.chown(path, 65534, 65534)
        out = subprocess.run([*as_nobody, "bash", "-c", AS_NOBODY], cwd=folder, capture_output=True,
                             text=True, timeout=60, env={"PATH": os.environ["PATH"], "PORT": str(free_base())})
        assert out.stdout.split() == ["ready", "known", "ended"], out.stdout + out.stderr
    finally:
        shutil.rmtree(folder)


AS_NOBODY = """
data=$PWD
. ./running
ZOT_LEADER_ADDRESS=127.0.0.1 ZOT_LEADER_DATA=$PWD/leader ZOT_ADMIN_USER=admin ZOT_ADMIN_PASSWORD=of-this-test-alone \
    CLUSTER_DRAIN_DELAY=0 CLUSTER_LEADER_CLIENT_ID=workers CLUSTER_LEADER_CLIENT_SECRET=of-this-test-alone-and-long ./zot-leader serve > log 2>&1 &
begun_of $! > run/leader.start
echo $! > run/leader.pid
until grep -q leader.ready log; do kill -0 $! || exit; done
echo ready
[ "$(pid_of leader)" = $! ] && echo known
kill $!
wait $!
pid_of leader || echo ended
"""


def up_and_down(environment, folder):
    try:
        text = run("up", environment).stdout
        commands = re.findall(r"^  ((?:deploy/example-image|skopeo|curl) .*)$", text, re.M)
        assert len(commands) == 3
        for command in commands:
            out = subprocess.run(command, shell=True, cwd=HERE, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)
            assert out.returncode == 0, command + out.stdout + out.stderr
        assert out.stdout == '{"name":"hello/world","tags":["v1"]}'
        pids = {p.name: p.read_text() for p in pathlib.Path(environment["ZOT_DATA"], "run").glob("*.pid")}
        assert len(pids) == 4
        assert (pathlib.Path(environment["ZOT_DATA"]) / "secrets").stat().st_mode & 0o777 == 0o600
        again = run("up", environment).stdout
        assert "starting" not in again and re.findall("password .*", again) == re.findall("password .*", text)
        assert pids == {p.name: p.read_text() for p in pathlib.Path(environment["ZOT_DATA"], "run").glob("*.pid")}
        other = run("up", {**environment, "S3_BUCKET": "another", "S3_ENDPOINT": "http://127.0.0.1:1"}, check=False)
        assert other.returncode != 0 and "deploy/down first" in other.stderr
    finally:
        run("down", environment)
    assert not any(s3_servers.is_alive(int(pid)) for pid in pids.values())
    run("down", environment)
    run("up", environment)
    try:
        out = subprocess.run(commands[2], shell=True, cwd=HERE, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)
        assert out.stdout == '{"name":"hello/world","tags":["v1"]}'
    finally:
        run("down", environment)


def test_two_leaders_on_a_redis(tmp_path):
    """One of them, and what was written at it, may go: the other one and the workers go on. So does all of it after down and up."""
    base = free_base()
    environment = {"ZOT_DATA": str(tmp_path / "data"), "BASE_PORT": str(base), "TMPDIR": str(tmp_path), "LEADERS": "2"}
    try:
        text = run("up", environment).stdout
        first, second = re.search(r"leaders +(\S+) +(\S+)", text).groups()
        front = re.search(r"front +(\S+)", text)[1]
        auth = ("admin", re.search(r"password +(\S+)", text)[1])
        assert requests.post(first + "/api/user", json={"id": "ann", "password": "a password of hers"}, auth=auth, timeout=30).status_code == 201
        os.kill(int((tmp_path / "data/run/leader.pid").read_text()), 9)
        assert requests.get(second + "/api/user/ann", auth=auth, timeout=30).status_code == 200
        assert requests.patch(second + "/api/user/ann", json={"metadata": {"by": "the other"}}, auth=auth, timeout=30).status_code == 200
        ann = ("ann", "a password of hers")
        await_true(lambda: requests.get(front + "/v2/", auth=ann, timeout=30).status_code == 200, what="her login through the front")
        run("up", environment)
        assert requests.get(first + "/api/user/ann", auth=auth, timeout=30).json()["metadata"] == {"by": "the other"}
        run("down", environment)
        run("up", environment)
        assert requests.get(first + "/api/user/ann", auth=auth, timeout=30).json()["metadata"] == {"by": "the other"}
        other = run("up", {**environment, "LEADERS": "1"}, check=False)
        assert other.returncode != 0 and "deploy/down first" in other.stderr
    finally:
        run("down", environment)
    assert run("up", {**environment, "LEADERS": "4"}, check=False).returncode == 1


def test_a_port_that_is_taken_leaves_nothing_behind(tmp_path):
    base = free_base()
    environment = {"ZOT_DATA": str(tmp_path / "data"), "BASE_PORT": str(base), "TMPDIR": str(tmp_path)}
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", base + 2))
        taken.listen()
        done = run("up", environment, check=False)
    assert done.returncode == 1 and f"port {base + 2}" in done.stderr and "BASE_PORT" in done.stderr
    assert not list((tmp_path / "data/run").glob("*.pid"))
    for port in (base, base + 1, base + 3):
        with socket.socket() as s:
            assert s.connect_ex(("127.0.0.1", port)) != 0


def test_on_all_addresses_with_settings_of_ones_own(tmp_path):
    """Workers tell each other an address that is one; what the programs know is passed on, and nothing else."""
    base = free_base()
    environment = {"ZOT_DATA": str(tmp_path / "data"), "BASE_PORT": str(base), "TMPDIR": str(tmp_path), "ADDRESS": "0.0.0.0",
                   "ZOT_REALM": "the realm of this test", "ZOT_NO_SUCH_THING": "1"}
    try:
        done = run("up", environment)
        assert "ZOT_NO_SUCH_THING is not known" in done.stderr
        password = re.search(r"password +(\S+)", done.stdout)[1]
        members = requests.get(f"http://127.0.0.1:{base}/api/cluster/members", auth=("admin", password), timeout=30).json()["members"]
        assert len(members) == 3 and not any("0.0.0.0" in m["url"] for m in members)
        assert "the realm of this test" in requests.get(f"http://127.0.0.1:{base + 1}/v2/", timeout=30).headers["WWW-Authenticate"]
        # Not with other settings while it runs.
        assert run("up", {**environment, "ZOT_REALM": "another"}, check=False).returncode == 1
    finally:
        run("down", environment)


def test_what_a_platform_runs(tmp_path):
    """Each line of the Procfile, with a port and what the platform's environment says: nothing else."""
    build = pathlib.Path(os.environ.get("ZOT_BUILD", HERE / "build" / "release"))
    lines = dict(line.split(": ", 1) for line in (HERE / "deploy" / "Procfile").read_text().splitlines())
    assert sorted(lines) == ["leader", "web"]
    everywhere = {"PATH": f"{build / 'leader'}:{build / 'worker'}:{os.environ['PATH']}", "CLUSTER_LEADER_CLIENT_ID": "workers",
                  "CLUSTER_LEADER_CLIENT_SECRET": "a secret of this test alone", "CLUSTER_DRAIN_DELAY": "0"}
    ports = {"leader": free_port(), "web": free_port()}
    own = {"leader": {"CLUSTER_MODE": "leader", "ZOT_ADMIN_PASSWORD": "of this test alone"},
           "web": {"CLUSTER_MODE": "worker", "CLUSTER_LEADER_URL": f"http://127.0.0.1:{ports['leader']}", "CLUSTER_SELF_ADDRESS": f"127.0.0.1:{ports['web']}",
                   "ZOT_STORAGE_ROOT": "registry"}}
    started = []
    try:
        for name, command in lines.items():
            (tmp_path / name).mkdir()
            started.append(subprocess.Popen(["sh", "-c", command], cwd=tmp_path / name, env={**everywhere, **own[name], "PORT": str(ports[name])},
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        await_true(lambda: is_up(ports["leader"]) and is_up(ports["web"]), 60, "both")
    finally:
        for process in started:
            process.terminate()
        assert [process.wait(60) for process in started] == [0, 0]


def is_up(port):
    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except requests.RequestException:
        return False
