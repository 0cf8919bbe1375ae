# SPDX-License-Identifier: Apache-2.0
"""Where secrets are not: in files that others may read, logs, metrics, answers, arguments, and the memory that others see."""
import base64
import contextlib
import os
import pathlib
import re
import stat
import subprocess

import pytest
import requests

from leader_process import SECRET, FakeWorker, Leader
from worker_process import BUILD, Worker, await_true

NOBODY = 65534


@contextlib.contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def led(leader, **more):
    return Worker(CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers",
                  CLUSTER_LEADER_CLIENT_SECRET=SECRET, CLUSTER_WORKER_NAME="one", **more)


def modes(folder):
    """path -> mode, of the files in it"""
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}


def test_files_with_secrets_are_for_the_owner_alone(tmp_path):
    """Whatever the umask, in a folder that is there already and that others may read."""
    with umask(0):
        (tmp_path / "data").mkdir()
        with Leader(CLUSTER_LEADER_DUMP_PATH=tmp_path / "data/dump", ZOT_LEADER_DATA=tmp_path / "data") as leader, led(leader) as worker:
            key = leader.new_key()
            worker.session.auth = (key["clientId"], key["clientSecret"])
            await_true(lambda: worker.call("GET", "/v2/_catalog").status_code == 200, what="the key at the worker")
            worker.push("app", "v1")
            await_true(lambda: (tmp_path / "data/dump").exists(), what="the dump")
            await_true(lambda: "state.bin" in modes(worker.folder / "data"), what="the state on disk")
            await_true(lambda: "usage.journal" in modes(worker.folder / "data"), what="the journal")
            found = {**modes(tmp_path / "data"), **modes(worker.folder / "data"), **modes(worker.folder / "store")}
            assert {"leader.db", "leader.db-wal", "dump", "state.bin", "usage.journal"} <= set(found)
            assert {path: oct(mode) for path, mode in found.items() if mode & 0o077} == {}
        assert {path: oct(mode) for path, mode in modes(tmp_path / "data").items() if mode & 0o077} == {}


def test_files_that_others_could_read_are_tightened():
    with Leader() as leader, led(leader) as worker:
        await_true(lambda: "state.bin" in modes(worker.folder / "data"), what="the state on disk")
        FakeWorker(leader, "two").push()
        files = [leader.folder / "data/leader.db", leader.folder / "data/leader.db-wal", worker.folder / "data/state.bin"]
        leader.kill()
        worker.kill()
        for path in files:
            path.chmod(0o644)
        leader.start()
        worker.start()
        assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * 3
        for path, program in zip(files, (leader, leader, worker)):
            lines = [line for line in program.text().splitlines() if "file.tightened" in line and path.name + '"' in line]
            assert len(lines) == 1 and "0644" in lines[0], (path, lines)


def variants(secret):
    """As it is, and as it would stand in a header."""
    yield secret
    yield secret.encode().hex()
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + secret.encode()).decode()
        yield text[4 if shift else 0:len(text) - 4]


def test_no_secret_is_told(tmp_path):
    """All that the two programs say, at the most talkative level, with logins that are right and wrong."""
    dump = tmp_path / "dump"
    config = {"ZOT_CLUSTER_SECRET": "the secret of peers, long enough", "CLUSTER_LEADER_DUMP_PATH": dump}
    with Leader(**config) as leader, led(leader, ZOT_CLUSTER_SECRET=config["ZOT_CLUSTER_SECRET"]) as worker:
        key = leader.new_key(label="ci")
        leader.admin("POST", "/api/user", {"id": "ann", "password": "the password of ann"})
        secrets = [leader.password, SECRET, config["ZOT_CLUSTER_SECRET"], key["clientSecret"], "the password of ann", "a wrong password"]
        said = []
        for url, path in ((leader.url, "/api/user"), (leader.url, "/api/cluster/state"), (worker.url, "/v2/_catalog"), (worker.url, "/metrics")):
            for user, word in (("admin", leader.password), ("workers", SECRET), (key["clientId"], key["clientSecret"]), ("ann", "the password of ann"),
                               ("ann", "a wrong password"), ("any", "zak_" + key["clientSecret"]), ("nobody", "a wrong password")):
                if (path, user) == ("/api/cluster/state", "workers"):
                    continue
                reply = requests.get(url + path, auth=(user, word), timeout=30)
                said += [reply.text, str(reply.headers)]
        for body in ({"id": "ann", "pasword": "the password of ann"}, {"id": "bob", "password": ["the password of ann"]},
                     {"id": "bob", "passwordHash": "the password of ann"}):
            said.append(leader.admin("POST", "/api/user", body).text)
        said += [leader.admin("GET", path).text for path in ("/api/users", "/api/apikeys", "/api/settings", "/api/ring", "/api/cluster/members",
                                                              "/api/usage", "/metrics", "/readyz")]
        said += [worker.call("GET", path).text for path in ("/metrics", "/readyz", "/livez")]
        said += [pathlib.Path(f"/proc/{p.process.pid}/cmdline").read_text() for p in (leader, worker)]
        await_true(lambda: '"ann"' in dump.read_text(), what="the dump")
        said += [dump.read_text(), leader.text(), worker.text()]
    said += [leader.environment["PORT"]]
    for text in said:
        for secret in secrets:
            for form in variants(secret):
                assert form not in text, (secret, text[max(0, text.find(form) - 200):][:500])
        assert not re.search(r"\$2b\$\d|\$[56]\$[^ ]", text), text[:500]


WRONG = {"leader": {"CLUSTER_LEADER_CLIENT_SECRET": "tooshortsecret", "ZOT_ADMIN_PASSWORD": "short7!", "CLUSTER_LEADER_CLIENT_ID": "w"},
         "worker": {"CLUSTER_LEADER_CLIENT_SECRET": "tooshortsecret", "AWS_SECRET_ACCESS_KEY": "aws-word-of-mine", "ZOT_CLUSTER_SECRET": "peer-word",
                    "ZOT_STORAGE_ROOT": "/x", "PORT": "wrong"}}


@pytest.mark.parametrize("program", list(WRONG))
def test_verify_tells_no_secret(program):
    done = subprocess.run([str(BUILD / program / f"zot-{program}"), "verify"], env=WRONG[program], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    for name, value in WRONG[program].items():
        assert "SECRET" not in name and "PASSWORD" not in name or value not in done.stdout + done.stderr, name


@pytest.mark.parametrize("program", ["leader", "worker"])
@pytest.mark.parametrize("told", [False, True])
def test_programs_of_the_same_user_see_no_environment(tmp_path, program, told):
    """Nor memory, nor is there a core file: the kernel has one switch for all of it."""
    made = Leader() if program == "leader" else Worker()
    if told:
        made.environment["ZOT_CORE_DUMPS"] = "true"
    user = NOBODY if os.geteuid() == 0 else os.geteuid()
    made.environment["SECRET_OF_THIS_TEST"] = "x"
    os.chown(made.folder, user, -1)
    made.user_of_process = user
    with made:
        look = subprocess.run(["cat", f"/proc/{made.process.pid}/environ"], capture_output=True, user=user)
        assert (b"SECRET_OF_THIS_TEST" in look.stdout) == told, (look.stdout[:200], look.stderr)
        # It sees what it needs of itself.
        reply = requests.get(made.url + "/metrics", timeout=10)
        assert reply.status_code == 200 and "process_resident_memory_bytes" in reply.text
