# SPDX-License-Identifier: Apache-2.0
"""Calls below the store fail, one at a time: what was acknowledged stays, what is not sure is not acknowledged.

The rules in brackets are those of docs/storage-protocol.md. LD_PRELOAD and AddressSanitizer do not go together: a release build.
"""
import contextlib
import errno
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest

from disks import Disks
from faults import GRANT, HOLD, WAIT, Faults, fail, late, short
from faults.power import Power
from storage_cases import Call, Pushed, Watcher, delete, get, get_blob, manifest, member, mount, put, put_blob, single, tags, told
from worker_process import BUILD, MANIFEST, Worker, await_true, digest, free_port

LOG = "/index.log$"
NAME = "lib/app"
MARK = 12  # bytes behind each entry of a log
SYNCS = ("fsync", "fdatasync", "syncfs")
UNSYNCED = pytest.mark.parametrize("size_stays", [True, False], ids=["zeros", "short"])


@pytest.fixture
def store(tmp_path):
    path = pathlib.Path(os.path.realpath(tmp_path)) / "store"
    path.mkdir()
    return path


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path / "faults")


@pytest.fixture
def disks(tmp_path):
    with Disks(tmp_path) as some:
        yield some


def log_of(store, name=NAME):
    return store / name / "index.log"


def aside(store, kind, name=NAME):
    """What was put aside."""
    return sorted((store / name).glob(f"index.log.{kind}-*"))


def first_pushes(worker, name=NAME, n=3):
    """The second of them begins the log."""
    pushed = Pushed(name)
    for i in range(n):
        assert pushed.put(worker, f"base{i}", manifest(f"base{i}")) == 201
    return pushed


def check_anew(tmp_path, store, *all_pushed, name="anew", **more):
    """What a worker sees that has never been there; then from index.json alone."""
    with member(tmp_path, name, store, **more) as worker:
        for pushed in all_pushed:
            pushed.check(worker)
            assert pushed.put(worker, "anew", manifest(f"{name} anew")) == 201
        worker.stop()  # folds
        worker.start()
        for pushed in all_pushed:
            pushed.check(worker)


def check_after_cut(tmp_path, power, size_stays, *all_pushed):
    after = tmp_path / f"cut{len(list(tmp_path.glob('cut*')))}"
    power.cut(after, size_stays)
    check_anew(tmp_path, after, *all_pushed, name=after.name + "-worker")


# ---- [F1] an entry that is not whole ----

@pytest.mark.parametrize("size", [1, 300, 1300, 2600])
def test_a_write_that_fails_half_way_while_others_read(tmp_path, store, faults, size):
    with member(tmp_path, "one", store, faults) as one, member(tmp_path, "two", store) as two:
        pushed = first_pushes(one)
        pushed.check(two)
        # While a push is held two more wait, and go out together.
        held = faults.add("pwrite", LOG, WAIT, hold=HOLD)
        calls = [Call(pushed.put, one, "hold", manifest("hold"))]
        held.await_moment("hold")
        together = Pushed(NAME)
        names = faults.add("rename", "/blobs/", "trace", times=0)
        calls += [Call(together.put, one, f"g{i}", manifest(f"g{i}", 400 * i)) for i in (1, 2)]
        with contextlib.suppress(AssertionError):
            names.await_moment("made", 2, seconds=2)
        threading.Event().wait(0.2)  # nothing tells that they stand in the queue
        half = faults.add("pwrite", LOG, short(size, errno.ENOSPC), hold=HOLD, least=100)  # no mark
        held.release()
        half.await_moment("hold")
        assert calls[0].answer() == 201
        with Watcher(two, NAME) as watcher:
            await_true(lambda: watcher.rounds >= 3, what="reads while a write is under way")
            assert pushed.check(two) == {"base0", "base1", "base2", "hold"}
            half.release()
            assert [call.answer() for call in calls[1:]] in ([507, 507], [503, 503], [500, 500])
            assert pushed.put(one, "ack1", manifest("ack1", 900)) == 201
            assert pushed.check(two) == set(pushed.there)
            assert pushed.put(two, "ack2", manifest("ack2")) == 201
            assert pushed.check(one) == set(pushed.there)
            assert pushed.put(one, "ack3", manifest("ack3")) == 201
            assert pushed.check(one) == pushed.check(two) == set(pushed.there)
        assert not watcher.wrong, watcher.wrong
        one.kill()
        two.kill()
    check_anew(tmp_path, store, pushed)


@pytest.mark.parametrize("call, what, moment", [
    ("pwrite", short(1, errno.EIO), "hold"), ("pwrite", short(500, errno.EIO), "hold"), ("fdatasync", WAIT, "hold")],
    ids=["one byte", "half", "all, not synced"])
def test_a_writer_that_dies_before_its_entry_counts(tmp_path, store, faults, call, what, moment):
    with member(tmp_path, "one", store, faults) as one, member(tmp_path, "two", store) as two:
        pushed = first_pushes(one)
        pushed.check(two)
        rule = faults.add(call, LOG, what, hold=HOLD)
        Call(pushed.put, one, "lost", manifest("lost", 1000))
        rule.await_moment(moment)
        assert pushed.check(two) == {"base0", "base1", "base2"}, "it is not durable yet"
        one.kill()
        pushed.check(two)
        with Watcher(two, NAME) as watcher:
            for n in range(3):
                assert pushed.put(two, f"after{n}", manifest(f"after{n}")) == 201
                pushed.check(two)
        assert not watcher.wrong, watcher.wrong
        if call == "pwrite":
            await_true(lambda: aside(store, "cut"), 5, "what was left of the entry, put aside")
            assert told(two, "index.log.cut-"), two.text()[-3000:]
        two.kill()
    check_anew(tmp_path, store, pushed)


# ---- [F2] a sync that fails is final ----

def fill(path):
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_failed_sync_then_pushes_then_a_power_cut(tmp_path):
    """With a real error of a real file system: the disk below it has no room."""
    with Disks(tmp_path, room="40m") as disks:
        disk = disks.make("ext4-bare", 400)
        store = disk.path / "store"
        with member(tmp_path, "one", store) as one:
            pushed = first_pushes(one)
            os.sync()
            fill(disks.below / "filler")
            # Some may find room that the disk gave them before.
            bad = [pushed.put(one, f"bad{n}", manifest(f"bad{n}", 30000)) for n in range(6)]
            assert max(bad) >= 500, bad
            os.truncate(disks.below / "filler", (disks.below / "filler").stat().st_size - 8 * 1024 * 1024)
            for n in (1, 2):
                await_true(lambda n=n: pushed.put(one, f"ack{n}", manifest(f"ack{n}")) == 201, 20, "a push, now that there is room")
            pushed.check(one)
            os.kill(one.process.pid, signal.SIGSTOP)
            # Of the same disk, as it is after the power came back.
            image = tmp_path / "cut"
            subprocess.run(["cp", "--sparse=always", disk.image, image], check=True)
            one.kill()
        disks.drop(disk)
        subprocess.run(["e2fsck", "-fy", image], capture_output=True)
        cut = disks.mount(disk.kind, image)
        check_anew(tmp_path, cut.path / "store", pushed)


@UNSYNCED
@pytest.mark.parametrize("pad", [0, 3000, 40000])
def test_a_failed_sync_of_a_log(tmp_path, store, faults, pad, size_stays):
    power = Power(faults, store)
    with member(tmp_path, "one", store, faults) as one, member(tmp_path, "two", store) as two:
        pushed = first_pushes(one)
        rule = faults.add("fdatasync", LOG, fail(errno.EIO))
        with Watcher(two, NAME) as watcher:
            pushed.put(one, "bad", manifest("bad", pad))
            assert rule.events("fail"), "no fdatasync of the log"
            for n in range(3):
                assert pushed.put(one, f"ack{n}", manifest(f"ack{n}", 100)) == 201
            pushed.check(two)
        assert not watcher.wrong, watcher.wrong
        one.kill()
        two.kill()
    check_after_cut(tmp_path, power, size_stays, pushed)


def test_a_disk_whose_syncs_fail_for_a_while(tmp_path, store, faults):
    """Nothing is acknowledged while nothing is durable; afterwards all goes on."""
    power = Power(faults, store)
    with member(tmp_path, "one", store, faults) as one:
        pushed = first_pushes(one)
        rules = [faults.add(call, str(store), fail(errno.EIO), times=0) for call in SYNCS]
        for n in range(4):
            assert pushed.put(one, f"bad{n}", manifest(f"bad{n}", 1000)) >= 500
            assert put_blob(one, NAME, b"blob%d" % n) >= 500
            assert delete(one, NAME, "base0") >= 500, "what is gone from memory is not gone"
        assert one.call("GET", "/livez").status_code == 200
        for rule in rules:
            rule.release()
        assert pushed.put(one, "good", manifest("good")) == 201
        if "base0" not in tags(one, NAME):  # its deletion was not acknowledged, and may have been done
            del pushed.there["base0"]
        pushed.check(one)
        one.kill()
    check_after_cut(tmp_path, power, True, pushed)


@pytest.mark.parametrize("moment", ["first", "later"])
def test_a_failed_sync_of_the_log_when_it_is_settled(tmp_path, store, faults, moment):
    """What lies behind the last mark is acknowledged only when it is durable: it may have been left by a sync that failed."""
    with member(tmp_path, "one", store) as one:
        pushed = first_pushes(one)
        pushed.put(one, "last", manifest("last", 5000))
        one.kill()
    os.truncate(log_of(store), log_of(store).stat().st_size - MARK)
    rules = [faults.add(call, LOG, fail(errno.EIO), after=0 if moment == "first" else 1) for call in ("fsync", "fdatasync")]
    with member(tmp_path, "two", store, faults) as two:
        for n in range(5):
            found = tags(two, NAME)
            assert isinstance(found, int) and found >= 500 or found >= set(pushed.there), found
            pushed.put(two, f"more{n}", manifest(f"more{n}"))
        assert any(rule.events("fail") for rule in rules), "the log was not synced"
        pushed.check(two)
        two.kill()
    check_anew(tmp_path, store, pushed)


# ---- [F7] the syncs of a push, of a fold ----

def unsound(faults, rule):
    """Why what was acknowledged behind this failure is not durable; None: it is, as far as can be said. A file that was written and
    whose sync failed is not to be used; the sync of a folder is made again. What a syncfs has left is for a power cut to show. What a chore
    notes of shared blobs is no part of a push.
    """
    events = faults.events()
    bad = next(e for e in events if e.rule == rule.number and e.moment == "fail")
    behind = events[events.index(bad) + 1:]
    if bad.call == "syncfs" or "/_dedupe" in bad.path:
        return None
    again = [e for e in behind if e.call in SYNCS and e.moment == "made" and e.result == 0 and (e.inode == bad.inode or e.call == "syncfs")]
    if os.path.isdir(bad.path):
        return None if again else f"{bad.path} was never synced"
    before = [e for e in events[:events.index(bad)] if e.inode == bad.inode and e.moment == "made" and e.result >= 0]
    dirty = [e.call for e in before if e.call in ("write", "pwrite", *SYNCS)][-1:] in (["write"], ["pwrite"])
    still = os.path.exists(bad.path) and os.stat(bad.path).st_ino == bad.inode
    return f"the sync of {bad.path} failed, and it is in use" if dirty and still and bad.call == "fsync" else None


@pytest.mark.parametrize("how", [fail(errno.EIO), late(errno.EIO)], ids=["not done", "done"])
def test_each_sync_of_a_first_push_fails_once(tmp_path, store, faults, how):
    power = Power(faults, store)
    all_pushed, statuses, wrong = [], [], []
    with member(tmp_path, "one", store, faults, ZOT_REQUIRE_BLOBS="true") as one:
        for call in SYNCS:
            for n in range(40):
                name = f"first/{call}{n}"
                rule = faults.add(call, str(store), how, after=n)
                for blob in (b"{}", b"layer"):
                    await_true(lambda name=name, blob=blob: put_blob(one, name, blob) == 201, 5, "a blob")
                    why = unsound(faults, rule) if rule.events("fail") else None
                    if why and "/_catalog" not in why:  # a blob alone is not listed
                        wrong.append(f"{call} {n}: 201 for a blob, but {why}")
                pushed = Pushed(name)
                status = pushed.put(one, "v1", manifest(name))
                rule.release()
                if not rule.events("fail"):
                    break
                statuses.append(status)
                at = rule.events("fail")[0].path.removeprefix(str(store))
                why = unsound(faults, rule) if status == 201 else None
                if why:
                    wrong.append(f"{call} {n} of {at}: 201, but {why}")
                # A refused one is made again; what the failure left must not be in the way.
                await_true(lambda pushed=pushed, name=name: pushed.put(one, "v1", manifest(name)) == 201, 5, f"{name}: the same push again")
                assert pushed.put(one, "v2", manifest(name + "2")) == 201
                pushed.check(one)
                all_pushed.append(pushed)
            else:
                raise AssertionError("the faults have no end")
        assert len(all_pushed) >= 4 and max(statuses) >= 500, statuses
        one.kill()
    assert not wrong, "\n".join(wrong)
    check_after_cut(tmp_path, power, True, *all_pushed)


@pytest.mark.parametrize("call", ["fsync", "syncfs", "fdatasync", "rename", "unlink", "create", "pwrite", "write", "ftruncate"])
@pytest.mark.parametrize("how", [fail, late], ids=["not done", "done"])
def test_each_call_of_a_fold_fails_once(tmp_path, store, faults, call, how):
    """Among them the sync of the folder behind the rename of index.json."""
    if how is late and call in ("pwrite", "write", "create"):
        how = lambda number: short(10, number) if call != "create" else fail(number)  # noqa: E731
    power = Power(faults, store)
    all_pushed, wrong = [], []
    with member(tmp_path, "one", store, faults, ZOT_INDEX_LOG=4096) as one, member(tmp_path, "two", store) as two:
        for n in range(40):
            name = f"fold/{call}{n}"
            pushed = first_pushes(one, name, 2)
            rule = faults.add(call, name, how(errno.EIO), after=n)
            before = (store / name / "index.json").stat().st_ino
            for i in range(30):
                status = pushed.put(one, f"v{i}", manifest(f"{name} {i}", 700))
                why = unsound(faults, rule) if status == 201 and call in SYNCS and rule.events("fail") else None
                if why:
                    wrong.append(f"{call} {n}: 201, but {why}")
                if rule.events("fail") or (store / name / "index.json").stat().st_ino != before:
                    break
            fired = rule.events("fail")
            rule.release()
            pushed.check(two)
            assert pushed.put(two, "other", manifest(name + "other")) == 201, "another worker is not kept from it"
            assert pushed.put(one, "more", manifest(name + "more")) == 201
            pushed.check(one)
            pushed.check(two)
            all_pushed.append(pushed)
            if not fired:
                break
        else:
            raise AssertionError("the faults have no end")
        one.kill()
        two.kill()
    assert not wrong, "\n".join(wrong)
    for pushed in all_pushed:
        json.loads((store / pushed.name / "index.json").read_text())
    # What the other one wrote was not traced: no power cut on paper where it wrote; kill -9 must do.
    check_anew(tmp_path, store, *all_pushed)
    assert power.replay()


@UNSYNCED
@pytest.mark.parametrize("call", ["fsync", "fdatasync", "rename", "unlink", "syncfs"])
def test_a_power_cut_before_each_call_of_a_fold(tmp_path, store, faults, call, size_stays):
    power = Power(faults, store)
    for n in range(40):
        pushed = Pushed(f"fold/{call}{n}")
        with member(tmp_path, "one", store, faults, ZOT_INDEX_LOG=4096) as one:
            for i in range(2):
                assert pushed.put(one, f"base{i}", manifest(f"base{i}")) == 201
            before = (store / pushed.name / "index.json").stat().st_ino
            # syncfs is of the whole file system.
            rule = faults.add(call, str(store) if call == "syncfs" else f"{store}/{pushed.name}", WAIT, after=n, hold=HOLD)
            for i in range(20):
                Call(pushed.put, one, f"v{i}", manifest(f"v{i}", 600)).join(1)
                if rule.events("hold") or (store / pushed.name / "index.json").stat().st_ino != before:
                    break
            held = rule.events("hold")
            one.kill()
        check_after_cut(tmp_path, power, size_stays, pushed)
        if not held:
            break
    else:
        raise AssertionError("the calls have no end")


# ---- [F8] what was written lazily ----

def lazy_cases(worker):
    """Manifests become known as blobs in three ways; returns what was answered before: (repository, digest, bytes)."""
    for name in ("lazy/a", "lazy/b", "lazy/c", "lazy/d"):
        assert put(worker, name, "base", manifest(name)) == 201
        assert put_blob(worker, name, b"{}") == 201
    mounted, uploaded, both = manifest("mounted", 20000), manifest("uploaded", 20000), manifest("both", 3000)
    assert put(worker, "lazy/a", "m", mounted) == 201
    assert mount(worker, "lazy/b", digest(mounted), "lazy/a") == 201
    assert put(worker, "lazy/c", "n", uploaded) == 201
    assert put_blob(worker, "lazy/c", uploaded) == 201
    assert delete(worker, "lazy/c", digest(uploaded)) == 202
    assert put(worker, "lazy/d", "o", both) == 201
    assert mount(worker, "lazy/a", digest(both), "lazy/d") == 201
    assert delete(worker, "lazy/d", digest(both)) == 202
    asked = [("lazy/b", mounted), ("lazy/c", uploaded), ("lazy/a", both)]
    found = [(name, data) for name, data in asked if get_blob(worker, name, digest(data)) == data]
    assert len(found) >= 2
    return found, [("lazy/a", "m", mounted)]


def check_lazy(worker, blobs, manifests):
    wrong = []
    for name, tag, body in manifests:
        if get(worker, name, tag) != body:
            wrong.append(f"manifest {name}:{tag}")
    for name, data in blobs:
        found = get_blob(worker, name, digest(data))
        if found != data:
            wrong.append(f"blob of {name}: {found if isinstance(found, int) else f'{len(found)} wrong bytes'} of {len(data)}")
        # Who pushes it again must not be told that it is there when it is not.
        if put_blob(worker, name, data) != 201 or get_blob(worker, name, digest(data)) != data:
            wrong.append(f"blob of {name}, pushed again")
    assert not wrong, wrong


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_lazy_manifest_known_as_a_blob_then_a_power_cut(tmp_path, disks, kind):
    disk = disks.make(kind)
    with member(tmp_path, "one", disk.path / "store") as one:
        blobs, manifests = lazy_cases(one)
        os.kill(one.process.pid, signal.SIGSTOP)
        cut = disks.cut(disk)
        one.kill()
    with member(tmp_path, "two", cut.path / "store") as two:
        check_lazy(two, blobs, manifests)


@UNSYNCED
def test_a_lazy_manifest_known_as_a_blob_then_a_power_cut_on_paper(tmp_path, store, faults, size_stays):
    power = Power(faults, store)
    with member(tmp_path, "one", store, faults) as one:
        blobs, manifests = lazy_cases(one)
        one.kill()
    power.cut(tmp_path / "after", size_stays)
    with member(tmp_path, "two", tmp_path / "after") as two:
        check_lazy(two, blobs, manifests)


@UNSYNCED
@pytest.mark.parametrize("how", ["mount", "push"])
def test_a_lazy_manifest_whose_sync_failed_becomes_no_blob(tmp_path, store, faults, how, size_stays):
    """The sync fails once, and goes well when it is asked for again: that says nothing of what the first one forgot."""
    power, body = Power(faults, store), manifest("lazy", 20000)
    with member(tmp_path, "one", store, faults) as one:
        for name in ("lazy/a", "lazy/b"):
            for n in range(2):
                assert put(one, name, f"base{n}", manifest(f"{name} {n}")) == 201
        assert put(one, "lazy/a", "m", body) == 201
        target = "lazy/b" if how == "mount" else "lazy/a"
        faults.add("fsync", "/blobs/sha256/", fail(errno.EIO))
        answers = []
        for _ in range(3):
            answers.append(mount(one, target, digest(body), "lazy/a") if how == "mount" else put_blob(one, target, body))
            if answers[-1] == 201:
                break
        known = get_blob(one, target, digest(body)) == body
        one.kill()
    power.cut(tmp_path / "after", size_stays)
    with member(tmp_path, "two", tmp_path / "after") as two:
        assert get(two, "lazy/a", "m") == body
        if 201 in answers or known:
            assert get_blob(two, target, digest(body)) == body, answers


@UNSYNCED
@pytest.mark.parametrize("who", ["the same", "another"])
def test_a_failed_syncfs_at_a_fold_then_a_power_cut(tmp_path, store, faults, who, size_stays):
    """The error is told once; what the next syncfs says is of what was written since."""
    power = Power(faults, store)
    with member(tmp_path, "one", store, faults, ZOT_INDEX_LOG=4096) as one:
        pushed = first_pushes(one)
        rule = faults.add("syncfs", "*", fail(errno.EIO))
        for n in range(40):
            pushed.put(one, f"v{n}", manifest(f"v{n}", 500))
            if rule.events("fail"):
                break
        assert rule.events("fail"), "no syncfs at a fold"
        rule.release()
        if who == "another":
            one.kill()
            one.start()
        for n in range(20):
            assert pushed.put(one, f"w{n}", manifest(f"w{n}", 500)) == 201
        pushed.check(one)
        one.stop()
    assert not log_of(store).exists()
    check_after_cut(tmp_path, power, size_stays, pushed)


# ---- [F2] blobs ----

@pytest.mark.parametrize("where", ["in the store", "elsewhere"])
@pytest.mark.parametrize("how", ["chunks", "at once"])
def test_each_sync_of_a_blob_fails_once(tmp_path, store, faults, where, how):
    power = Power(faults, store)
    kept = []
    spool = store / ".uploads" if where == "in the store" else tmp_path / "store-spool"
    with member(tmp_path, "one", store, faults, ZOT_SPOOL=spool) as one:
        first_pushes(one, n=1)
        for n in range(20):
            data = random.Random(n).randbytes(50_000)
            rule = faults.add("fsync", str(store), fail(errno.EIO), after=n)
            if how == "chunks":
                place = one.start_upload(NAME)
                assert one.call("PATCH", place, data=data[:20_000]).status_code == 202
                status = one.call("PUT", place, params={"digest": digest(data)}, data=data[20_000:]).status_code
            else:
                place, status = None, put_blob(one, NAME, data)
            every = rule.events("fail")
            # The repository gets its place in the catalog, and a chore notes what it has shared, beside this, whenever that comes.
            fired = [event for event in every if not event.path.startswith((str(store / "_catalog"), str(store / "_dedupe")))]
            rule.release()
            again = None
            if status != 201 and place:
                again = one.call("PUT", place, params={"digest": digest(data)}).status_code
                # That file is no good any more, whatever its next sync says.
                assert again != 201 or not (fired and fired[0].path.endswith(".upload")), "the file whose sync failed is the blob"
            if 201 in (status, again):
                assert not fired or not unsound(faults, rule), (n, status, again, fired)
                kept.append(data)
            else:
                assert status >= 500, status
            if not every:
                break
            data += b"again"
            assert put_blob(one, NAME, data) == 201
            kept.append(data)
        else:
            raise AssertionError("the faults have no end")
        assert n >= 1, "no fsync was seen"
        one.kill()
    power.cut(tmp_path / "after", True)
    with member(tmp_path, "two", tmp_path / "after") as two:
        for data in kept:
            assert get_blob(two, NAME, digest(data)) == data


def test_a_blob_whose_sync_failed_is_pushed_again(tmp_path, store, faults):
    """What the failed one has left in the store, if anything, must not be taken for the blob."""
    power = Power(faults, store)
    data = random.Random(7).randbytes(100_000)
    with member(tmp_path, "one", store, faults, ZOT_SPOOL=store / ".uploads") as one:
        first_pushes(one, n=1)
        for n in range(2):
            faults.add("fsync", f"{store}", fail(errno.EIO), after=n)
            put_blob(one, NAME, data)
        await_true(lambda: put_blob(one, NAME, data) == 201, 5, "the blob, now that nothing fails")
        one.kill()
    power.cut(tmp_path / "after", True)
    with member(tmp_path, "two", tmp_path / "after") as two:
        assert get_blob(two, NAME, digest(data)) == data


# ---- [F10] somebody else writes index.json ----

def write_index(store, name, *entries):
    """As zot does it: a new file under the name, none of our annotations."""
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
        {"mediaType": MANIFEST, "digest": digest(body), "size": len(body),
         "annotations": {"org.opencontainers.image.ref.name": tag}} for tag, body in entries]}
    for _, body in entries:
        (store / name / "blobs/sha256" / digest(body).removeprefix("sha256:")).write_bytes(body)
    (store / name / "other.tmp").write_text(json.dumps(index))
    os.rename(store / name / "other.tmp", store / name / "index.json")


@pytest.mark.parametrize("who", ["running", "started again", "another"])
def test_an_index_that_another_tool_wrote_beside_a_log(tmp_path, store, who):
    base, foreign = manifest("base"), manifest("foreign")
    with member(tmp_path, "one", store) as one, member(tmp_path, "two", store) as two:
        for tag, body in (("base", base), ("a", manifest("a")), ("b", manifest("b"))):
            assert put(one, NAME, tag, body) == 201
        lost = log_of(store).read_bytes()
        write_index(store, NAME, ("base", base), ("foreign", foreign))
        if who == "started again":
            one.kill()
            one.start()
        writer = two if who == "another" else one
        assert put(writer, NAME, "d", manifest("d")) == 201
        # index.json is what counts; what the log had is not thrown away, and not kept a secret.
        kept = aside(store, "orphan")
        assert len(kept) == 1 and kept[0].read_bytes() == lost, (sorted(p.name for p in (store / NAME).iterdir()), tags(writer, NAME))
        assert told(writer, NAME, "index.log.orphan-", levels=("error",)), writer.text()[-3000:]
        for worker in (one, two):
            assert tags(worker, NAME) == {"base", "foreign", "d"}
            assert get(worker, NAME, "foreign") == foreign
        one.kill()
        two.kill()
    with member(tmp_path, "three", store) as three:
        assert tags(three, NAME) == {"base", "foreign", "d"}
        assert aside(store, "orphan") == kept


def test_an_index_that_another_tool_wrote_is_read_at_once(tmp_path, store):
    with member(tmp_path, "one", store) as one:
        first_pushes(one)
        for n in range(3):
            write_index(store, NAME, (f"foreign{n}", manifest(f"foreign{n}")))
            assert tags(one, NAME) == {f"foreign{n}"}
            for tag in ("mine", "more"):
                assert put(one, NAME, tag, manifest(tag)) == 201
            assert tags(one, NAME) == {f"foreign{n}", "mine", "more"}
        assert len(aside(store, "orphan")) == 3


# ---- a log that is not as it was written ----

def killed_with_a_log(tmp_path, store, n=6):
    with member(tmp_path, "one", store) as one:
        pushed = first_pushes(one, n=n)
        one.kill()
    assert log_of(store).stat().st_size > 1000
    return pushed


def torn_tails():
    rest = random.Random(3)
    return {"zeros": bytes(5000), "ones": b"\xff" * 100, "one byte": b"x", "noise": rest.randbytes(3000), "half of itself": None}


@pytest.mark.parametrize("kind", list(torn_tails()))
@pytest.mark.parametrize("first", ["read", "push"])
def test_a_torn_tail_is_put_aside_and_told(tmp_path, store, kind, first):
    pushed = killed_with_a_log(tmp_path, store)
    log = log_of(store)
    whole = log.read_bytes()
    tail = torn_tails()[kind] or whole[len(whole) // 2:]
    log.write_bytes(whole + tail)
    with member(tmp_path, "two", store) as two:
        if first == "read":
            pushed.check(two)
        assert pushed.put(two, "more", manifest("more")) == 201
        pushed.check(two)
        kept = aside(store, "cut")
        assert len(kept) == 1 and kept[0].read_bytes() == tail, [(p.name, p.stat().st_size) for p in (store / NAME).iterdir()]
        assert told(two, NAME, "index.log.cut-"), two.text()[-3000:]
        two.kill()
    check_anew(tmp_path, store, pushed)


@pytest.mark.parametrize("first", ["read", "push", "delete"])
def test_a_log_whose_last_mark_is_lost(tmp_path, store, first):
    """The mark is not synced: a power cut may take it, and the entry may have been acknowledged."""
    pushed = killed_with_a_log(tmp_path, store)
    os.truncate(log_of(store), log_of(store).stat().st_size - MARK)
    with member(tmp_path, "two", store) as two, member(tmp_path, "three", store) as three:
        if first == "push":
            assert pushed.put(two, "more", manifest("more")) == 201
        if first == "delete":
            assert delete(two, NAME, "base1") == 202
            del pushed.there["base1"]
        pushed.check(two)
        pushed.check(three)
        assert not aside(store, "cut")
        assert pushed.put(three, "last", manifest("last")) == 201
        pushed.check(two)
        two.kill()
        three.kill()
    check_anew(tmp_path, store, pushed)


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.9])
def test_a_byte_that_has_changed_in_a_log_is_not_silent(tmp_path, store, where):
    pushed = killed_with_a_log(tmp_path, store, 8)
    log = log_of(store)
    whole = bytearray(log.read_bytes())
    at = int(len(whole) * where) or 2
    whole[at] ^= 0x10
    log.write_bytes(whole)
    with member(tmp_path, "two", store) as two:
        found = tags(two, NAME)
        assert isinstance(found, int) and found >= 500 or found >= {"base0"}, found
        if isinstance(found, set) and found >= set(pushed.there):
            two.kill()  # it was in a mark, and the entry before it is whole
            check_anew(tmp_path, store, pushed)
            return
        status = put(two, NAME, "more", manifest("more"))
        kept = aside(store, "cut") + aside(store, "orphan")
        if isinstance(found, int) and status >= 500:
            kept.append(log)  # it may be left to the operator, as it is
        assert kept, sorted(p.name for p in (store / NAME).iterdir())
        assert any(path.read_bytes() in bytes(whole) and len(path.read_bytes()) >= len(whole) - at for path in kept)
        assert told(two, NAME, "index.log"), two.text()[-3000:]
        two.kill()
    assert set(pushed.there) >= (found if isinstance(found, set) else set())


# ---- a view is trusted for reads only [F3] ----

def test_what_changes_nothing_is_proven_before_it_is_acknowledged(tmp_path, store):
    with single(tmp_path, "one", store) as one, single(tmp_path, "two", store) as two:
        a, b, c = (manifest(letter) for letter in "abc")
        assert put(one, NAME, "v1", a) == 201
        assert put(two, NAME, "v1", b) == 201
        assert put(one, NAME, "v1", a) == 201
        with single(tmp_path, "three", store) as three:
            assert get(three, NAME, "v1") == a
        assert put(one, NAME, digest(c), c) == 201
        assert delete(two, NAME, digest(c)) == 202
        assert put(one, NAME, digest(c), c) == 201
        with single(tmp_path, "four", store) as four:
            assert get(four, NAME, digest(c)) == c
        assert delete(two, NAME, "v1") == 202
        assert delete(one, NAME, "v1") == 404


# ---- [F10] two that exclude each other ----

def blob_manifest(data):
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(data), "size": len(data)}}).encode()


def not_both(worker, deleted, pushed, data):
    there = get_blob(worker, NAME, digest(data)) == data
    named = get(worker, NAME, "v1") == blob_manifest(data)
    assert not (pushed == 201 and not there), f"the manifest was acknowledged, its blob is gone (deletion: {deleted})"
    assert not (deleted == 202 and there), "the deletion was acknowledged, the blob is there"
    assert named == (pushed == 201), (named, pushed)


@pytest.mark.parametrize("held", ["unlink", "pwrite"])
def test_a_blob_that_is_deleted_and_named_at_once(tmp_path, store, faults, held):
    data = b"a config " + os.urandom(8).hex().encode()
    more = {"ZOT_REQUIRE_BLOBS": "true"}
    with member(tmp_path, "one", store, faults, **more) as one, member(tmp_path, "two", store, **more) as two:
        for n in range(2):
            assert put_blob(one, NAME, b"pad%d" % n) == 201
            assert put(one, NAME, f"pad{n}", blob_manifest(b"pad%d" % n)) == 201
        assert put_blob(one, NAME, data) == 201
        if held == "unlink":
            rule = faults.add("unlink", digest(data).removeprefix("sha256:") + "$", WAIT, hold=HOLD)
            deleting = Call(one.call, "DELETE", f"/v2/{NAME}/blobs/{digest(data)}")
        else:
            rule = faults.add("pwrite", LOG, WAIT, hold=HOLD)
            pushing = Call(put, one, NAME, "v1", blob_manifest(data))
        rule.await_moment("hold")
        if held == "unlink":
            pushing = Call(put, two, NAME, "v1", blob_manifest(data))
        else:
            deleting = Call(two.call, "DELETE", f"/v2/{NAME}/blobs/{digest(data)}")
        (pushing if held == "unlink" else deleting).join(1)  # it may wait for the lock of the folder
        rule.release()
        not_both(two, deleting.answer().status_code, pushing.answer(), data)
        not_both(one, deleting.answer().status_code, pushing.answer(), data)


def test_a_deletion_by_one_that_knows_an_old_index(tmp_path, store):
    with single(tmp_path, "one", store) as one, single(tmp_path, "two", store) as two:
        data = b"layer" + os.urandom(6)
        assert put(one, NAME, "other", manifest("other")) == 201
        assert put_blob(two, NAME, data) == 201
        assert put(two, NAME, "v1", blob_manifest(data)) == 201
        assert one.call("DELETE", f"/v2/{NAME}/blobs/{digest(data)}").status_code in (405, 409)
        assert get_blob(two, NAME, digest(data)) == data


def test_a_blob_that_another_worker_deleted_is_not_known_any_more(tmp_path, store):
    more = {"ZOT_REQUIRE_BLOBS": "true"}
    with member(tmp_path, "one", store, **more) as one, member(tmp_path, "two", store, **more) as two:
        data = b"config" + os.urandom(6)
        assert put_blob(one, NAME, data) == 201
        assert two.call("DELETE", f"/v2/{NAME}/blobs/{digest(data)}").status_code == 202
        assert put(one, NAME, "v1", blob_manifest(data)) in (400, 404)


# ---- clocks ----

def test_a_worker_that_was_paused_does_no_harm(tmp_path, store, faults):
    """Its clocks know nothing of the time in which the other one went on, and folded the log often."""
    with member(tmp_path, "one", store, faults) as one, member(tmp_path, "two", store, ZOT_INDEX_LOG=4096) as two:
        pushed = first_pushes(one)
        a, b, data = manifest("a"), manifest("b"), b"config" + os.urandom(6)
        assert put_blob(one, NAME, data) == 201
        assert pushed.put(one, "moving", a) == 201
        os.kill(one.process.pid, signal.SIGSTOP)
        since = time.monotonic()
        for n in range(60):
            assert pushed.put(two, f"n{n}", manifest(f"n{n}", 200)) == 201
        assert pushed.put(two, "moving", b) == 201
        assert pushed.put(two, "names", blob_manifest(data)) == 201
        assert delete(two, NAME, "n3") == 202
        del pushed.there["n3"]
        behind = time.monotonic() - since
        faults.lag(clocks=behind, wall=behind)
        os.kill(one.process.pid, signal.SIGCONT)
        assert get(one, NAME, "moving") == b
        assert get(one, NAME, "n3") == 404
        assert one.call("DELETE", f"/v2/{NAME}/blobs/{digest(data)}").status_code == 405
        assert pushed.put(one, "moving", a) == 201
        pushed.check(two)
        for n in range(5):
            assert pushed.put(one, f"m{n}", manifest(f"m{n}")) == 201
            assert pushed.put(two, f"n{n}", manifest(f"changed{n}")) == 201
            pushed.check(one)
            pushed.check(two)
        one.kill()
        two.kill()
    check_anew(tmp_path, store, pushed)


@pytest.mark.parametrize("clocks, wall", [(3600, 0), (0, 3600), (0, -3600), (-3600, -3600)])
def test_clocks_that_differ_by_an_hour(tmp_path, store, faults, clocks, wall):
    faults.lag(clocks, wall)
    with member(tmp_path, "one", store, faults) as one, member(tmp_path, "two", store) as two:
        pushed = first_pushes(one)
        for n in range(12):
            writer, reader = (one, two) if n % 2 else (two, one)
            assert pushed.put(writer, f"n{n % 5}", manifest(f"n{n}", 800)) == 201
            pushed.check(reader)
        data = b"blob" + os.urandom(8)
        assert put_blob(one, NAME, data) == 201
        assert two.call("DELETE", f"/v2/{NAME}/blobs/{digest(data)}").status_code in (202, 503)
        one.kill()
        two.kill()
    check_anew(tmp_path, store, pushed)


# ---- a folder that does not do what the store needs ----

def refuses_to_start(worker, *words):
    with open(worker.folder / "log", "ab") as log:
        process = subprocess.Popen([BUILD / worker.program, "serve"], env=worker.environment, stdout=log, stderr=log, start_new_session=True)
    try:
        status = process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"it runs\n{worker.text()[-2000:]}") from None
    assert status > 0, (status, worker.text()[-2000:])
    lines = worker.text().splitlines()
    assert any(all(word in line for word in words) for line in lines), worker.text()[-2000:]


@pytest.mark.parametrize("what", [fail(errno.ENOLCK), fail(errno.ENOSYS), GRANT], ids=["ENOLCK", "ENOSYS", "granted to everyone"])
def test_a_file_system_without_locks_is_refused(tmp_path, store, faults, what):
    faults.add("flock", str(store), what, times=0)
    refuses_to_start(member(tmp_path, "one", store, faults), "lock", str(store))


def test_two_processes_on_one_spool(tmp_path, store):
    with single(tmp_path, "one", store) as one:
        place = one.start_upload(NAME)
        data = os.urandom(100_000)
        assert one.call("PATCH", place, data=data[:50_000]).status_code == 202
        second = single(tmp_path, "second", store, ZOT_SPOOL=one.environment["ZOT_SPOOL"])
        refuses_to_start(second, "spool", "in use")
        # One whose spool is its own looks for what dead ones have left, and leaves this.
        with single(tmp_path, "third", store) as third:
            assert put_blob(third, NAME, b"x") == 201
        assert one.call("PATCH", place, data=data[50_000:]).status_code == 202
        assert one.call("PUT", place, params={"digest": digest(data)}).status_code == 201
        assert get_blob(one, NAME, digest(data)) == data


# ---- a disk that is full again and again ----

def test_a_disk_with_little_room_under_two_workers(tmp_path, disks):
    """Groups of pushes through one, whose writes fail half way now and then; the other one reads, and pushes too."""
    disk = disks.make("ext4", 64)
    store, halt, name = disk.path / "store", threading.Event(), "full/app"
    with member(tmp_path, "one", store) as one, member(tmp_path, "two", store) as two:
        pushed, mine = first_pushes(one, name), [Pushed(name) for _ in range(7)]

        def push(k):
            rest, n = random.Random(k), 0
            while not halt.wait(0.002 if n % 2 else 0.01):
                n += 1
                mine[k].put(two if k == 6 else one, f"p{k}-{n % 30}", manifest(f"{k} {n}", rest.choice([0, 2000, 9000, 30000])))

        def fill_up():
            rest, filler = random.Random(11), disk.path / "filler"
            while not halt.is_set():
                with open(filler, "ab", buffering=0) as file, contextlib.suppress(OSError):
                    while not halt.is_set():
                        file.write(bytes(rest.choice([4096, 65536])))
                halt.wait(rest.random() * 0.2)
                with contextlib.suppress(OSError):
                    os.truncate(filler, max(0, filler.stat().st_size - rest.choice([16, 48, 120, 300]) * 1024))
                halt.wait(rest.random() * 0.15)

        threads = [threading.Thread(target=push, args=(k,)) for k in range(7)] + [threading.Thread(target=fill_up)]
        with Watcher(two, name) as watcher:
            for thread in threads:
                thread.start()
            threading.Event().wait(8)
            halt.set()
            for thread in threads:
                thread.join()
        (disk.path / "filler").unlink()
        for some in mine:
            pushed.there.update(some.there)
            pushed.perhaps.update(some.perhaps)
        print("acknowledged", len(pushed.there), "not sure", sum(map(len, pushed.perhaps.values())), "wrong reads", len(watcher.wrong))
        assert not watcher.wrong, watcher.wrong[:5]
        for worker in (one, two):
            pushed.check(worker)
        one.kill()
        two.kill()
        check_anew(tmp_path, store, pushed)


# ---- odd manifests ----

ODD = ["", "a", "\u0000", "\u0001\u001f", "\U0001f600", "é" * 50, "x" * 5000, "\\", '"', "\n\r\t", "\u2028", "\x7f", " ", "/", "a=b", "\ufffe",
       "x" * 70000]


def odd_manifest(rest, n, subject):
    body = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "n": n, "config": {
        "mediaType": rest.choice(["application/x.c", "application/vnd.oci.empty.v1+json", "a/b", "x", "A/B+c;d=1", "a" * 200 + "/b"]),
        "digest": digest(b"{}"), "size": rest.choice([2, 0, 2 ** 53, 2 ** 63 - 1])}}
    if rest.random() < .7:
        body["subject"] = {"mediaType": rest.choice([MANIFEST, "", "q"]), "digest": subject, "size": 7}
    if rest.random() < .6:
        body["artifactType"] = rest.choice(["application/x", "", "x", "a/b c", "é", "a" * 300, "a/" + "b" * 250])
    body["annotations"] = {rest.choice(ODD[:12]) + str(j): rest.choice(ODD) for j in range(rest.choice([0, 1, 3, 60]))}
    for key in ("org.opencontainers.image.ref.name", "io.zot.subject", "io.zot.complete", "io.zot.annotations", "io.zot.log", "io.zot.held",
                "io.zot.removals"):
        if rest.random() < .15:
            body["annotations"][key] = rest.choice(["v1", subject, "1", "{}", "{bad"])
    return json.dumps(body, ensure_ascii=rest.random() < .5).encode("utf-8", "surrogatepass")


def all_of(worker, name, references, subject):
    referrers = worker.call("GET", f"/v2/{name}/referrers/{subject}").json()["manifests"]
    return ({r: get(worker, name, r) for r in references}, sorted(json.dumps(m, sort_keys=True) for m in referrers), tags(worker, name))


def test_odd_manifests_are_the_same_live_from_the_log_and_from_a_fold(tmp_path, store):
    rest, subject, references, refused = random.Random(5), digest(b"subject"), {}, 0
    with member(tmp_path, "one", store) as one:
        for n in range(500):
            body = odd_manifest(rest, n, subject)
            reference = rest.choice([f"t{n}", digest(body, rest.choice(["sha256", "sha512"]))])
            status = put(one, NAME, reference, body)
            if status == 201:
                references[reference] = body
            refused += status != 201
        assert len(references) > 100 and refused > 10
        live = all_of(one, NAME, references, subject)
        one.kill()
    assert all(live[0][r] == body for r, body in references.items())
    assert len(live[1]) > 50
    with member(tmp_path, "two", store) as two:
        assert all_of(two, NAME, references, subject) == live
        two.stop()
        assert subprocess.run([BUILD / two.program, "fold"], env=two.environment, capture_output=True, timeout=60).returncode == 0
    assert not log_of(store).exists()
    with member(tmp_path, "three", store) as three:
        assert all_of(three, NAME, references, subject) == live
