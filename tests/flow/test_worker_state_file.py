# SPDX-License-Identifier: Apache-2.0
"""A worker's file of the state: changes are added to it, and whatever becomes of the process, the disk or the bytes, the last good state is what a start has.

LD_PRELOAD and AddressSanitizer do not go together: a release build.
"""
import errno

import pytest

from faults import Faults, fail, short
from leader_process import SECRET, Leader
from worker_process import Worker, await_true, free_port


class Pair:
    """A leader and a worker that follows it; `key` opens the worker until it is revoked."""

    def __init__(self, leader, worker):
        self.leader, self.worker, self.path = leader, worker, worker.folder / "data" / "state.bin"
        await_true(self.path.exists, what="the file")
        self.key = self.make_key()

    def make_key(self):
        """In the file, and with it all that was before."""
        key = self.leader.new_key()
        await_true(lambda: self.opens(key), what="the key, at the worker")
        await_true(lambda: key["clientId"].encode() in self.path.read_bytes(), what="the key, in the file")
        return key

    def opens(self, key):
        return self.worker.call("GET", "/v2/", auth=(key["clientId"], key["clientSecret"])).status_code == 200

    def revoke(self):
        assert self.leader.admin("PATCH", f"/api/apikey/{self.key['clientId']}", {"enabled": False}).status_code == 200
        await_true(lambda: not self.opens(self.key), what="that the worker refuses it")

    def size(self):
        return self.path.stat().st_size

    def inode(self):
        return self.path.stat().st_ino

    def alone_again(self):
        """Killed, and started without a leader."""
        self.worker.kill()
        self.leader.kill()
        self.worker.start()

    def log(self, message):
        return [line for line in self.worker.text().splitlines() if f'"message":"{message}"' in line]


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path / "faults")


@pytest.fixture
def pair(faults):
    port = free_port()
    with Leader() as leader, Worker(port=port, CLUSTER_MODE="worker", CLUSTER_LEADER_URL=leader.url, CLUSTER_LEADER_CLIENT_ID="workers",
                                    CLUSTER_LEADER_CLIENT_SECRET=SECRET, CLUSTER_WORKER_NAME="one", CLUSTER_RETRY_DELAY="20ms",
                                    CLUSTER_SELF_ADDRESS=f"http://127.0.0.1:{port}", **faults.environment) as worker:
        # The ring is published behind that; from then on the state changes only where a test changes it.
        await_true(lambda: leader.members().get("one", {}).get("state") == "active", what="the member")
        await_true(lambda: "one" in [m["id"] for m in leader.admin("GET", "/api/ring/ring").json().get("members", []) if m["state"] == "active"], what="its ring")
        yield Pair(leader, worker)


def test_a_revocation_that_is_on_disk_outlasts_a_kill(pair):
    before, inode = pair.size(), pair.inode()
    pair.revoke()
    await_true(lambda: pair.size() > before, what="the change in the file")
    assert pair.size() - before < 1000 and pair.inode() == inode
    pair.alone_again()
    assert not pair.opens(pair.key)
    assert pair.log("state.loaded") and not pair.log("state.cut")


def test_an_end_that_was_cut_is_left_out_and_told(pair):
    before = pair.size()
    pair.revoke()
    await_true(lambda: pair.size() > before, what="the change in the file")
    pair.worker.kill()
    with open(pair.path, "r+b") as file:
        file.truncate(pair.size() - 1)
    inode = pair.inode()
    pair.leader.kill()
    pair.worker.start()
    assert pair.opens(pair.key)
    [line] = pair.log("state.cut")
    assert f"offset={before}" in line or f'"offset":{before}' in line, line
    assert not list(pair.path.parent.glob("state.bin.damaged-*"))
    # The next change is behind something that is whole.
    pair.leader.start()
    await_true(lambda: not pair.opens(pair.key), what="that the worker has heard of it")
    await_true(lambda: pair.inode() != inode, what="a whole file")
    pair.alone_again()
    assert not pair.opens(pair.key) and len(pair.log("state.cut")) == 1


def test_damage_in_the_middle_is_kept_for_people(pair):
    before = pair.size()
    pair.revoke()
    await_true(lambda: pair.size() > before, what="the change in the file")
    pair.make_key()
    pair.worker.kill()
    data = bytearray(pair.path.read_bytes())
    data[before + 100] ^= 1
    pair.path.write_bytes(data)
    pair.leader.kill()
    pair.worker.start()
    assert pair.opens(pair.key) and pair.log("state.cut") and pair.log("file.unread")
    [kept] = pair.path.parent.glob("state.bin.damaged-*")
    assert kept.read_bytes() == data
    assert kept.name in pair.worker.call("GET", "/readyz").text


@pytest.mark.parametrize("call, what", [("pwrite", short(30, errno.ENOSPC)), ("fdatasync", fail(errno.EIO))], ids=["full", "sync"])
def test_a_change_that_cannot_be_added_is_written_whole(pair, faults, call, what):
    inode = pair.inode()
    rule = faults.add(call, "/state.bin$", what)
    pair.revoke()
    rule.await_moment("fail")
    await_true(lambda: pair.inode() != inode, what="a whole file")
    assert any("writing it whole" in line for line in pair.log("state.save"))
    pair.alone_again()
    assert not pair.opens(pair.key) and not pair.log("state.cut")


def test_a_disk_that_takes_nothing_leaves_the_last_good_state(pair, faults):
    data = pair.path.read_bytes()
    for call in ("pwrite", "write"):
        faults.add(call, "/state.bin", short(30, errno.ENOSPC) if call == "pwrite" else fail(errno.ENOSPC), times=0)
    pair.revoke()
    await_true(lambda: any("trying again" in line for line in pair.log("state.save")), what="that it failed")
    assert pair.path.read_bytes() == data
    pair.alone_again()
    assert pair.opens(pair.key) and pair.log("state.loaded") and not pair.log("state.cut")
