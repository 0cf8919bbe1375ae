# SPDX-License-Identifier: Apache-2.0
"""What a worker finds in its data folder and cannot read: it is told, kept aside, and the worker serves."""
import json

import pytest

from scripted_leader import ScriptedLeader
from worker_process import await_true


@pytest.fixture
def leader():
    with ScriptedLeader() as one:
        yield one


def report(seq, **more):
    return {"worker": "one", "process": "p0", "boot": "p0", "number": 1, "after": seq - 1, "seq": seq, "final": False, "all": False, "state": "active",
            "usage": [{"apikey": "key", "day": "2026-11-20", "calls": 3}], "repositories": [], "demands": [], **more}


def finder(leader, name, data):
    """A worker that finds this file, once it is started."""
    worker = leader.worker()
    folder = worker.folder / "data"
    folder.mkdir()
    (folder / name).write_bytes(data)
    return worker, folder


def kept(folder, name, word="damaged"):
    return sorted(folder.glob(f"{name}.{word}-*"))


def said(worker):
    return [line for line in worker.text().splitlines() if '"message":"file.unread"' in line]


@pytest.mark.parametrize("name, data, why", [
    ("state.bin", b"ZOTSTATE1" + bytes(40), "its digest does not match"),
    ("state.bin", b"ZOTSTATE2" + bytes(40), "it ends within a document"),
    ("state.bin", b"", "not a state file"),
    ("usage.ceilings", b"nonsense\n", "the first line is not"),
    ("usage.journal", b"nonsense\n", "1 lines cannot be read, the first: "),
], ids=["state", "cut-state", "empty-state", "ceilings", "journal"])
def test_a_damaged_file_is_kept_and_told(leader, name, data, why):
    worker, folder = finder(leader, name, data)
    with worker:
        [line] = said(worker)
        [file] = kept(folder, name)
        assert name in line and why in line and file.name in line, line
        assert file.read_bytes() == data
        assert worker.call("GET", "/v2/").status_code == 200
        await_true(lambda: f"\nfiles: could not be read at the start and is kept: {file.name};" in worker.call("GET", "/readyz").text, what="a line of /readyz")
        assert worker.call("GET", "/readyz").status_code == 200


@pytest.mark.parametrize("name, data, known", [("state.bin", b"ZOTSTATE3" + bytes(40), 2), ("usage.ceilings", b"zot ceilings 3 b1\n", 2),
                                               ("usage.journal", b'{"journal":2}\n{"what": "nobody knows"}\n', 1)],
                         ids=["state", "ceilings", "journal"])
def test_a_file_of_a_newer_version_is_refused_and_kept(leader, name, data, known):
    worker, folder = finder(leader, name, data)
    with worker:
        [line] = said(worker)
        [file] = kept(folder, name, "newer")
        assert file.read_bytes() == data
        assert f"{name}: of format {known + 1}, written by a newer zot-worker; this one (" in line and f") reads {known} at most: start the newer one again" in line, line
        assert worker.call("GET", "/v2/").status_code == 200


def test_the_good_lines_of_a_damaged_journal_are_sent(leader):
    told, good = [], leader.push
    leader.push = lambda call: (told.append(json.loads(call.body)), good(call))
    data = b"\n".join([json.dumps(report(1)).encode(), b'{"worker": "on', json.dumps(report(2)).encode(), b""])
    worker, folder = finder(leader, "usage.journal", data)
    with worker:
        await_true(lambda: {1, 2} <= {one["seq"] for one in told if one["boot"] == "p0"}, what="both reports")
        [file] = kept(folder, "usage.journal")
        assert file.read_bytes() == data
        await_true(lambda: (folder / "usage.journal").read_bytes() == b"", what="an empty journal")


def test_the_newest_three_are_kept_and_the_next_start_has_nothing_to_tell(leader):
    worker, folder = finder(leader, "usage.ceilings", b"nonsense 0\n")
    with worker:
        for i in range(1, 5):
            worker.stop()
            (folder / "usage.ceilings").write_text(f"nonsense {i}\n")
            worker.start()
        assert [file.read_text() for file in kept(folder, "usage.ceilings")] == ["nonsense 2\n", "nonsense 3\n", "nonsense 4\n"]
        assert len(said(worker)) == 5
        worker.stop()
        worker.start()
        assert len(said(worker)) == 5


@pytest.mark.parametrize("change", ["log", "index"])
def test_a_repository_that_a_newer_version_wrote_is_refused_by_name_and_stays(worker, change):
    for name, tag in (("new/er", "v0"), ("new/er", "v1"), ("oth/er", "v1")):
        worker.push(name, tag)
    worker.kill()
    folder = worker.folder / "store/new/er"
    if change == "log":
        text = (folder / "index.log").read_bytes().replace(b"ZOTLOG2", b"ZOTLOG3", 1)
        (folder / "index.log").write_bytes(text)
    else:
        text = json.dumps({**json.loads((folder / "index.json").read_text()), "io.zot.format": 3}).encode()
        (folder / "index.json").write_bytes(text)
    worker.start()
    for method in ("GET", "DELETE"):
        assert worker.call(method, "/v2/new/er/manifests/v1").status_code == 500
    assert worker.call("GET", "/v2/oth/er/manifests/v1").status_code == 200
    why = f"index.{'log' if change == 'log' else 'json'}: of format 3"
    await_true(lambda: f"{why}, written by a newer zot-worker; this one (" in worker.text(), what="the reason, in the log")
    assert (folder / ("index.log" if change == "log" else "index.json")).read_bytes() == text
