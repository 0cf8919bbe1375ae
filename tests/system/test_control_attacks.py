# SPDX-License-Identifier: Apache-2.0
"""What is done to the leader and its workers by lost, doubled and late messages, kills, restores, copied folders, full disks and wrong clocks:
each rule of docs/cluster-protocol.md is attacked by a story of its own. The tags [X1] to [X12] are those of that page.
"""
import re
import shutil
import socket
import threading
import time

import pytest

from control_world import Answer, World, meet
from registry import await_true, digest, image

COUNTS = ("counts", "final")
FULL = (503, 507)  # what a leader answers that could not store


def loses_answers(kinds):
    return lambda question: "lose answer" if question.kind in kinds else None


def rows_of(worker, key):
    """Calls that no leader has acknowledged."""
    return sum(row["calls"] for push in worker.journal() for row in push["usage"] if row["apikey"] == key.id)


# Counts.

def test_a_renamed_worker_counts_nothing_twice():
    """[X3] The leader has merged, its answer was lost; the folder goes on under another name."""
    with World() as world:
        key, worker = world.key(dailyQuota=1000), world.workers[0]
        worker.road.rule = loses_answers(COUNTS)
        world.hit(worker, key, 8)
        await_true(lambda: world.calls(key) and rows_of(worker, key) == 8, what="all in the journal, and some merged")
        worker.kill()
        renamed = world.worker("renamed", folder=worker.folder).start()
        await_true(lambda: not renamed.journal(), what="the end of the journal")
        world.workers = [renamed]
        world.stays(key, 8)
        assert world.spend(renamed, key, most=5) == 5
        world.stays(key, 13)


def test_an_old_copy_of_a_folder_counts_nothing_twice():
    """[X3] Taken while a push was unanswered, put back later under the same name."""
    with World() as world:
        key, worker = world.key(), world.workers[0]
        world.hit(worker, key, 5)
        world.await_calls(key, 5)
        worker.road.rule = loses_answers(COUNTS)
        world.hit(worker, key, 7)
        await_true(lambda: world.calls(key) > 5 and rows_of(worker, key) == 7, what="all in the journal, and some merged")
        copied = world.folder / "copied"
        shutil.copytree(worker.folder, copied)
        worker.road.rule = None
        world.hit(worker, key, 9)
        world.await_calls(key, 21)
        worker.road.await_answers(2)
        worker.kill()
        shutil.rmtree(worker.folder)
        shutil.copytree(copied, worker.folder)
        worker.start()
        world.hit(worker, key, 3)
        world.stays(key, 24)


def test_kills_with_unanswered_pushes_count_nothing_twice_and_lose_nothing():
    """[X3] What the leader has merged and what it has not, both in the journal at the kill."""
    with World(lease_ms=1000) as world:
        key, worker, calls = world.key(), world.workers[0], 0
        for n in range(4):
            await_true(lambda: not worker.journal(), what="an empty journal")
            worker.road.rule = lambda question: ("lose answer" if n % 2 else "lose") if question.kind in COUNTS else None
            world.hit(worker, key, 20)
            calls += 20
            worker.road.await_asked("counts")
            await_true(lambda: rows_of(worker, key) >= 20, what="all calls in the journal")
            worker.kill()
            worker.road.rule = None
            worker.start()
            world.await_calls(key, calls)
        world.stays(key, calls)


def test_a_twin_with_a_folder_of_its_own_is_counted_once_and_spends_no_quota_twice():
    """[X3] Two processes with one name: the second one is refused while the lease of the first lasts, and counts all the same."""
    with World() as world:
        first = world.workers[0]
        free, bounded = world.key(), world.key(dailyQuota=100)
        twin = world.worker("twin", called="worker-0").start(wait=False)
        await_true(lambda: world.call(twin, free) == 200, what="an admitted call at the twin")
        world.hit(twin, free, 9)
        assert [world.call(twin, bounded) for _ in range(3)] == [429] * 3
        world.hit(first, bounded, 3)
        assert "report.refused" in twin.log.read_text()
        assert world.told_of("worker-0").get("url") == first.environment["CLUSTER_SELF_ADDRESS"]
        first.stop()
        world.workers = [twin]
        await_true(lambda: world.told_of("worker-0").get("url") == twin.environment["CLUSTER_SELF_ADDRESS"], what="the twin as the member")
        world.stays(free, 10)
        assert world.spend(twin, bounded) == 97
        world.stays(bounded, 100)


def test_two_processes_cannot_have_one_folder():
    with World() as world:
        second = world.worker("second", folder=world.workers[0].folder).start(wait=False)
        assert second.process.wait(20) != 0
        assert str(world.workers[0].folder) in second.log.read_text()
        world.hit(world.workers[0], world.key(), 3)


LONG = "project-with-a-longer-name-" * 8


def count_uploads(worker, key, first, last):
    """One call for each repository, many at a time on one connection."""
    with socket.create_connection(("127.0.0.1", worker.port)) as s, s.makefile("rb") as replies:
        for begin in range(first, last, 50):
            names = range(begin, min(begin + 50, last))
            s.sendall("".join(f"POST /v2/team/{LONG}{n:06}/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nAuthorization: {key.head['Authorization']}\r\n"
                              "Content-Length: 0\r\n\r\n" for n in names).encode())
            for _ in names:
                assert replies.readline().split()[1] == b"202"
                length = 0
                while (line := replies.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                replies.read(length)


def test_no_usage_is_too_much_to_be_pushed():
    """[X4] More repositories than one push can name, while no push arrives: all is counted, the member stays, and a restart changes nothing."""
    calls = 32_000  # 8 MiB of names
    with World(lease_ms=3000, ZOT_UPLOADS_PER_CLIENT=100_000) as world:
        key, worker = world.key(), world.workers[0]
        worker.road.rule = lambda question: "lose" if question.push else None
        threads = [threading.Thread(target=count_uploads, args=(worker, key, n * calls // 4, (n + 1) * calls // 4)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        worker.road.rule = None
        world.await_members(1)
        world.await_calls(key, calls, 90)
        worker.road.await_answers(3)
        assert "worker-0" in world.in_ring() and world.told_of("worker-0").get("state") == "active"
        worker.stop()
        worker.start()
        world.hit(worker, key, 1)
        world.stays(key, calls + 1)


# Members.

def test_a_straggler_brings_nobody_back():
    """[X5] A copy of a push of before comes when its process has left; also after a restart of the leader."""
    with World(workers=2) as world:
        gone = world.workers.pop()
        early = gone.road.await_asked("beat")
        gone.stop()
        await_true(lambda: list(world.in_ring()) == ["worker-0"], what="the ring of the one that stays")
        for _ in range(2):
            gone.road.send(early)
            assert world.told_of("worker-1").get("state") in (None, "left")
            world.workers[0].road.await_answers(3)
            assert list(world.in_ring()) == ["worker-0"]
            world.leader.kill()
            world.leader.start()
            world.workers[0].road.await_answers(1)
        other = world.scripted("worker-1")
        assert other.push().status_code == 200
        gone.road.send(early)
        assert world.told_of("worker-1").get("process") == other.process


def test_a_straggler_does_not_undo_a_drain():
    """[X5]"""
    with World(workers=0, lease_ms=20000) as world:
        worker = world.scripted("one")
        assert worker.push().status_code == 200
        assert worker.push(state="draining").status_code == 200
        await_true(lambda: world.in_ring().get("one") == "draining", what="the drain in the ring")
        worker.push(number=1)
        assert world.told_of("one").get("state") == "draining"
        other = world.scripted("two")
        assert other.push().status_code == 200
        await_true(lambda: "two" in world.in_ring(), what="the other one in the ring")
        assert world.in_ring() == {"one": "draining", "two": "active"}


def test_a_member_that_could_not_be_stored_is_in_the_ring_afterwards():
    """[X6]"""
    with World(workers=0, lease_ms=20000) as world:
        old, new, late = (world.scripted(name) for name in ("old", "new", "late"))
        assert old.push().status_code == 200
        await_true(lambda: list(world.in_ring()) == ["old"], what="the ring")
        with world.full_disk():
            for _ in range(3):
                assert new.push().status_code in FULL
                assert old.push().status_code == 200
            assert old.push(state="draining").status_code in FULL
            assert world.told_of("old").get("state") == "active"
        assert new.push().status_code == 200
        await_true(lambda: world.in_ring() == {"old": "active", "new": "active"}, 10, "both in the ring")
        with world.full_disk():
            assert late.push().status_code in FULL
        assert old.push(state="draining").status_code == 200
        await_true(lambda: world.in_ring() == {"old": "draining", "new": "active"}, 10, "the drain in the ring")


def test_grants_that_could_not_be_stored_are_not_given():
    """[X6]"""
    with World(workers=0, lease_ms=20000) as world:
        key, day, a, b = world.key(dailyQuota=150), world.day(), world.scripted("a"), world.scripted("b")
        meet(a, b)
        with world.full_disk():
            assert {a.demand(key, day, want=100)[0] for _ in range(10)} <= set(FULL)
            assert a.push().status_code == 200
        assert world.usage(key).get(day, {}).get("granted", 0) == 0
        assert a.take(key, day, 100) == 100
        assert b.take(key, day, 100) == 50
        with world.full_disk():
            assert a.demand(key, day, granted=10, used=10, release=True)[0] in FULL
        assert b.demand(key, day, granted=50, want=100) == (200, 50)
        assert a.demand(key, day, granted=10, used=10, release=True) == (200, 10)
        assert b.take(key, day, 100, used=50) == 140


def lease_left(worker):
    return float(re.search(r"^zot_lease_left_seconds (\S+)$", worker.call("GET", "/metrics").text, re.M).group(1)) * 1000


def test_a_full_disk_of_the_leader_takes_no_lease():
    """[X4, X6] Calls of a key with a quota go on from what was granted, and are counted when there is room again."""
    with World(workers=2) as world:
        key = world.key(dailyQuota=1_000_000)
        calls = sum(world.spend(worker, key, most=50) for worker in world.workers)
        assert calls == 100
        with world.full_disk():
            admitted = 0
            for _ in range(3):
                for worker in world.workers:
                    admitted += sum(world.call(worker, key) == 200 for _ in range(5))
                for worker in world.workers:
                    for _ in range(5):
                        worker.road.await_asked("beat")
                    assert lease_left(worker) > 0, "its own lease goes on too"
                assert {m["state"] for m in world.by_name().values()} == {"active"}
        assert "member.lost" not in world.leader.log.read_text()
        for worker in world.workers:
            assert world.spend(worker, key, most=1) == 1
        world.stays(key, calls + admitted + 2)


def test_a_ring_is_never_too_large():
    """[X7] Rows that are too long are refused; who is good joins and drains."""
    with World(workers=0, lease_ms=60000) as world:
        good = world.scripted("good")
        assert good.push().status_code == 200
        for n in range(140):
            reply = world.scripted(f"evil{n}").push(url="http://" + "a" * 2040)
            assert reply.status_code in (400, 409, 413), reply.text
        assert world.scripted("late").push().status_code == 200
        assert good.push(state="draining").status_code == 200
        await_true(lambda: world.in_ring() == {"good": "draining", "late": "active"}, 10, "the ring of the good ones")


def test_a_member_for_whom_the_ring_has_no_room_is_told():
    """[X7] All names, zones and addresses as long as they may be."""
    with World(workers=0, lease_ms=60000) as world:
        good, many = world.scripted("good"), []
        assert good.push().status_code == 200
        while True:
            name = f"{len(many):04}".ljust(255, "n")
            worker = world.scripted(name)
            reply = worker.push(url="http://" + name[:240], zone="z" * 255)
            if reply.status_code != 200:
                break
            many.append(worker)
            assert len(many) < 2000
        assert reply.status_code == 409 and "ring" in reply.text
        assert len(many) > 100
        assert good.push(state="draining").status_code == 200
        await_true(lambda: world.in_ring().get("good") == "draining" and len(world.in_ring()) == len(many) + 1, 20, "the ring")
        assert many[0].push(url="http://left", state="left").status_code == 200
        assert worker.push(url="http://" + name[:240], zone="z" * 255).status_code == 200


# The state.

def test_revisions_that_are_given_twice_are_not_mistaken_for_each_other():
    """[X1] A restored leader gives the same revisions to other changes, while the worker does not look."""
    with World() as world:
        worker, key = world.workers[0], world.key()
        world.copy_leader()
        lost = world.change(key, enabled=False)["revision"]
        await_true(lambda: world.call(worker, key) == 401, what="the refusal of the disabled key")
        world.pause(worker)
        world.restore_leader()
        others = []
        while world.admin("GET", "/api/cluster/members").json()["revision"] <= lost:
            others.append(world.admin("POST", "/api/apikey", {"owner": world.user}).json())
        world.go_on(worker)
        keys = [key] + [type(key)(made) for made in others]
        for _ in range(2):
            await_true(lambda: [world.call(worker, k) for k in keys] == [200] * len(keys), 20, "what the restored leader says, at the worker")
            worker.stop()
            worker.start()
        await_true(lambda: [world.call(worker, k) for k in keys] == [200] * len(keys), 20, "the same after its restart")


def spoilt(question, answer):
    half = len(answer.body) // 2
    return Answer(answer.status, answer.headers, answer.body[:half] + bytes([answer.body[half] ^ 1]) + answer.body[half + 1:])


def test_a_disabled_key_never_comes_back():
    """[X10] A worker whose delta was spoilt asks for the whole, and the leader keeps one for others that is older than what the worker has."""
    with World() as world:
        worker, key, spoiled, later = world.workers[0], world.key(), [], world.key()
        world.leader.kill()  # it keeps no whole any more
        world.leader.start()
        worker.road.await_answers(1)
        assert world.scripted("asker").state().status_code == 200  # this one is kept
        world.change(key, enabled=False)
        await_true(lambda: world.call(worker, key) == 401, what="the refusal of the disabled key")

        def edit(question, answer):
            if question.kind == "state" and answer.status == 200 and answer.body and not spoiled:
                spoiled.append(question)
                return spoilt(question, answer)

        def rule(question):
            return ("delay", 0.5) if spoiled and question.kind == "state" and "since=0" not in question.path and "whole=1" not in question.path else None

        seen, end = [], threading.Event()

        def look():
            while not end.is_set():
                seen.append(world.call(worker, key))

        worker.road.edit, worker.road.rule = edit, rule
        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            world.change(later, enabled=False)
            await_true(lambda: spoiled, what="a spoilt answer")
            assert world.call(worker, world.key()) == 200
        finally:
            end.set()
            watcher.join()
        assert set(seen) == {401}


def test_many_askers_of_a_large_state_take_no_lease():
    """Some thousand keys, six that ask for the whole again and again, and changes meanwhile."""
    with World(lease_ms=4000, push_ms=500) as world:
        worker, key, end, wholes = world.workers[0], world.key(), threading.Event(), []
        for _ in range(3000):
            assert world.admin("POST", "/api/apikey", {"owner": "admin", "label": "x" * 200}).status_code == 201

        def ask():
            asker = world.scripted("asker")
            while not end.is_set():
                wholes.append(asker.state().status_code)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        try:
            for n in range(20):
                world.change(key, label=f"x{n}")
            await_true(lambda: len(wholes) >= 30, 60, "thirty whole states")
            worker.road.await_answers(4)
        finally:
            end.set()
            for thread in threads:
                thread.join()
        assert set(wholes) == {200}
        world.change(key, enabled=False)
        await_true(lambda: world.call(worker, key) == 401, what="the last change")
        assert "member.lost" not in world.leader.log.read_text()


# Quotas.

def test_a_worker_with_a_wrong_clock_spends_no_quota_twice():
    """[X2] Its day goes on by one and comes back."""
    with World() as world:
        key, worker = world.key(dailyQuota=200), world.workers[0]
        admitted = world.spend(worker, key)
        assert admitted == 200
        for days in (1, -1, 40, 0):
            world.set_clock("worker-0", days)
            assert world.spend(worker, key, patience=2) == 0
        world.stays(key, 200)
        assert list(world.usage(key)) == [world.day()]


def test_a_leader_whose_clock_goes_over_midnight_and_back_forgets_nothing():
    """[X2] The day is the leader's: the next one has a quota of its own, the first one is still spent."""
    with World() as world:
        key, worker = world.key(dailyQuota=60), world.workers[0]
        assert world.spend(worker, key) == 60
        world.set_clock("leader", 1)
        worker.road.await_answers(2)
        assert world.spend(worker, key) == 60
        world.await_calls(key, 120)
        world.set_clock("leader", 0)
        worker.road.await_answers(2)
        assert world.spend(worker, key) == 0
        world.stays(key, 120)
        assert {day: row["calls"] for day, row in world.usage(key).items()} == {world.day(): 60, world.day(1): 60}


def test_a_lowered_quota_counts_at_once():
    """[X8] The worker holds far more than the new quota leaves."""
    with World() as world:
        key, worker = world.key(dailyQuota=1_000_000), world.workers[0]
        admitted = world.spend(worker, key, most=1500)
        held = lambda: world.usage(key).get(world.day(), {}).get("granted", 0) > admitted + 50  # noqa: E731
        while not held() and admitted < 20_000:
            admitted += world.spend(worker, key, most=500)
        assert held(), "the worker never held more than what it used"
        world.change(key, dailyQuota=admitted + 10)
        world.await_level()
        assert world.spend(worker, key) == 10
        world.stays(key, admitted + 10)


def test_a_quota_is_used_up_wherever_its_calls_come():
    """One worker holds unused what the other needs: no call of the other is refused before the hundredth was admitted, and none waits for a beat."""
    with World(workers=2, lease_ms=15000, push_ms=3000, grant_ms=15000) as world:
        key, (holder, needy) = world.key(dailyQuota=100), world.workers
        world.hit(holder, key, 3)
        for n in range(97):
            begun = time.monotonic()
            assert world.call(needy, key) == 200, f"the call number {3 + n + 1} of 100 was refused"
            assert time.monotonic() - begun < 1
        for worker in (needy, holder):
            status, headers = world.ask(worker, key)
            assert status == 429 and int(headers["Retry-After"]) > 3600
        assert any(p["release"] for q in list(holder.road.asked) for p in q.push.get("demands", [])), "the holder gave nothing back"
        world.await_calls(key, 100)


def ceiling(worker):
    """How far it may admit calls of the one key that it has."""
    lines = (worker.folder / "usage.ceilings").read_text().splitlines()[1:]
    return int(lines[-1].split()[2]) if lines else None


def test_kills_do_not_use_up_a_quota():
    """[X9] Each comes after one call and a rest, and costs at most one more: what is left can still be used."""
    with World(lease_ms=1000, grant_ms=1500) as world:
        key, worker = world.key(dailyQuota=25), world.workers[0]
        for n in range(6):
            await_true(lambda: world.call(worker, key) == 200, 15, f"an admitted call after {n} kills")
            await_true(lambda: world.usage(key).get(world.day(), {}).get("calls", 0) >= n + 1, what="its count")
            worker.road.await_answers(2)
            await_true(lambda: ceiling(worker) in (1, 2), what="the ceiling of a key at rest")
            worker.kill()
            worker.start()
        world.await_calls(key, 6)
        await_true(lambda: not worker.journal(), what="the last words of all that were killed, at the leader")
        rest = world.spend(worker, key)
        assert 13 <= rest <= 19, f"{rest} of 19 calls could be used after 6 kills"
        world.stays(key, 6 + rest)


def test_a_restored_leader_gives_nothing_twice():
    """[X11] Its copy is of before a grant: it hears first what all hold."""
    with World(workers=0, lease_ms=20000, grant_ms=4000) as world:
        key, day, a, b = world.key(dailyQuota=1000), world.day(), world.scripted("a"), world.scripted("b")
        meet(a, b)
        world.copy_leader()
        assert a.take(key, day, 500) == 500
        world.restore_leader()
        reply = b.push(demands=[{"apikey": key.id, "day": day, "granted": 0, "used": 0, "want": 1000, "release": False}])
        assert reply.status_code == 200 and reply.json()["hold_ms"] > 0 and not any(g["granted"] for g in reply.json()["grants"])
        assert a.demand(key, day, granted=500, used=200, all=True) == (200, 500)
        await_true(lambda: a.demand(key, day, granted=500, used=200, all=True) == (200, 500) and b.take(key, day, 1000), 20, "grants for the other one")
        assert b.take(key, day, 1000) == 500
        assert a.demand(key, day, granted=500, used=500, want=100) == (200, 500)
        assert b.take(key, day, 1000, used=500) == 500


def test_after_a_restore_workers_spend_the_quota_exactly():
    """[X11] Real ones; what they used since the copy is not used again."""
    with World(workers=2) as world:
        key = world.key(dailyQuota=600)
        admitted = world.spend(world.workers[0], key, most=50)
        world.await_calls(key, 50)
        world.copy_leader()
        admitted += world.spend(world.workers[0], key, most=200) + world.spend(world.workers[1], key, most=100)
        world.await_calls(key, 350)
        world.restore_leader()
        while more := sum(world.spend(worker, key, patience=3) for worker in world.workers):
            admitted += more
        assert admitted == 600


def test_calls_without_a_quota_count_when_one_is_set():
    """[X11] Five hundred calls were made while there was none: a quota of a hundred leaves nothing, one of 510 leaves ten."""
    with World(workers=0, lease_ms=20000) as world:
        key, day, a = world.key(), world.day(), world.scripted("a")
        assert a.push().status_code == 200
        assert a.count(key, day, 500, ungranted=500).status_code == 200
        world.change(key, dailyQuota=100)
        assert a.take(key, day, 50) == 0
        world.change(key, dailyQuota=510)
        assert a.take(key, day, 50) == 10


def test_what_is_used_and_not_yet_counted_is_not_granted_again():
    """[X11] Fifty calls were made while there was no quota; what is admitted of one of a hundred reaches the leader late."""
    with World(workers=2) as world:
        key = world.key()
        world.hit(world.workers[0], key, 50)
        world.await_calls(key, 50)
        world.change(key, dailyQuota=100)
        world.await_level()
        for worker in world.workers:
            worker.road.rule = lambda question: "lose" if question.kind in COUNTS else None
        assert sum(world.spend(worker, key) for worker in world.workers) == 50
        for worker in world.workers:
            worker.road.rule = None
        world.stays(key, 100)


# Pauses.

def put_tag(worker, name, n):
    try:
        return worker.call("PUT", f"/v2/{name}/manifests/t", data=image(annotations={"n": str(n)}), timeout=5,
                           headers={"Content-Type": "application/vnd.oci.image.manifest.v1+json"}).status_code
    except OSError:
        return None


def test_a_worker_that_was_stopped_over_a_lease_says_nothing_old():
    """Another one owns its repositories meanwhile and writes there; it goes on and must not answer from its memory of before."""
    with World(workers=2, lease_ms=1000, push_ms=200) as world:
        names = [f"stopped/app{n}" for n in range(4)]
        for name in names:
            world.push_blob(name, b"{}", world.workers[0])
            world.push_blob(name, b"layer", world.workers[0])
            assert put_tag(world.workers[0], name, "first") == 201
        for n in range(4):
            stopped, other = world.workers[n % 2], world.workers[1 - n % 2]
            before = [stopped.call("GET", f"/v2/{name}/manifests/t").content for name in names]
            world.pause(stopped)
            for name in names:
                await_true(lambda: put_tag(other, name, n) == 201, 20, "a write while the owner is stopped")
            world.go_on(stopped)
            for name, old in zip(names, before):
                now = stopped.call("GET", f"/v2/{name}/manifests/t").content
                assert digest(now) == digest(image(annotations={"n": str(n)})) and now != old
            world.await_members(2)


@pytest.mark.parametrize("kill", [False, True], ids=["goes on", "is killed"])
def test_a_worker_that_was_stopped_beyond_its_grants_spends_none_of_them(kill):
    """What it held was given to nobody else, or is not used by it any more: the sum is the quota, whoever uses it."""
    with World(workers=2, lease_ms=1000, grant_ms=1500) as world:
        key, (stopped, other) = world.key(dailyQuota=400), world.workers
        admitted = world.spend(stopped, key, most=120)
        world.await_calls(key, 120)
        world.pause(stopped)
        await_true(lambda: world.told_of(stopped.name).get("state") == "lost", what="the loss of the stopped one")
        admitted += world.spend(other, key)
        if kill:
            stopped.kill()
            stopped.start()
        else:
            world.go_on(stopped)
        while more := sum(world.spend(worker, key, patience=4) for worker in world.workers):
            admitted += more
        assert admitted <= 400 and (kill or admitted == 400)
        world.stays(key, admitted)
