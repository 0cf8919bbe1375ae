# SPDX-License-Identifier: Apache-2.0
"""Workers that the others do not reach: dead silent, or cut off while clients and leaders still reach them."""
import signal
import time

import requests

import rounds
from registry import await_true


# So many that each of three owns some: whom nobody has to ask is missed by nobody.
NAMES = [f"reach/app{i}" for i in range(40)]


def readyz(worker):
    return requests.get(worker.url + "/readyz", timeout=30)


def test_who_is_cut_off_from_the_others_is_left_alone():
    """It may be the last one alive: the leader knows that it is not. Balancers hear it of the worker itself."""
    with rounds.World() as world:
        world.settle()
        away, other = world.workers[0], world.workers[1]
        names = NAMES
        for name in names:
            world.push(name, "v1", world.front)
        world.cut(away)
        for name in names:
            assert away.call("GET", f"/v2/{name}/manifests/v1").status_code == 200
            assert other.call("GET", f"/v2/{name}/manifests/v1").status_code == 200
        await_true(lambda: readyz(away).status_code == 503, 20, "cut off")
        text = readyz(away).text
        assert "peers: 2 of the 2 other workers cannot be reached from here" in text and "cut: most workers reach each other" in text
        await_true(lambda: not world.is_up_at_haproxy(away), 20, "known to HAProxy")
        assert readyz(other).status_code == 200 and "peers:" not in readyz(other).text
        for i in range(12):
            world.push(f"reach/later{i}", "v1", world.front)  # each in five requests, none of them a second time
        world.mend(away)
        await_true(lambda: readyz(away).status_code == 200, 20, "back")
        world.settle()


def test_all_that_are_cut_off_from_each_other_serve_on():
    with rounds.World() as world:
        world.settle()
        names = NAMES
        for name in names:
            world.push(name, "v1", world.front)
        for worker in world.workers:
            world.cut(worker)
        for worker in world.workers:
            for name in names:
                assert worker.call("GET", f"/v2/{name}/manifests/v1").status_code == 200
        for worker in world.workers:
            await_true(lambda: "peers: 2 of the 2" in readyz(worker).text, 20, "its complaint")
        # Who complained long before the others was told to go, until they did.
        for worker in world.workers:
            await_true(lambda: readyz(worker).status_code == 200, 20, "ready")
        for _ in range(4):
            seen = {m["name"]: m["lastPush"] for m in world.members()}
            await_true(lambda: all(m["lastPush"] != seen[m["name"]] for m in world.members()), 20, "a beat of each")
            for worker in world.workers:
                assert readyz(worker).status_code == 200, readyz(worker).text


def test_who_reaches_nobody_stays_ready_and_is_enough():
    """Neither leader nor peers: first they live and it is cut off, then they are dead and it is all that is left. It cannot tell one from the other."""
    with rounds.World() as world:
        world.settle()
        lonely = world.workers[0]
        names = NAMES
        for name in names:
            world.push(name, "v1", world.front)
        world.leader_gates[lonely.name].shut()
        world.cut(lonely)
        for name in names:
            assert lonely.call("GET", f"/v2/{name}/manifests/v1").status_code == 200
        await_true(lambda: "peers: 2 of the 2" in readyz(lonely).text, 20, "its complaint")
        await_true(lambda: sum(m["state"] == "active" for m in world.members()) == 2, 20, "the leader misses it")
        assert readyz(lonely).status_code == 200 and world.is_up_at_haproxy(lonely)
        world.leader.kill()
        for worker in world.workers[1:]:
            worker.kill()
        await_true(lambda: not any(world.is_up_at_haproxy(worker) for worker in world.workers[1:]), 20, "known to HAProxy")
        for name in names:
            assert world.front.call("GET", f"/v2/{name}/manifests/v1").status_code == 200
            world.push(name, "v2", world.front)
        assert readyz(lonely).status_code == 200


def test_a_frozen_owner_holds_nobody_up():
    """Its port takes connections, and nothing answers. The lease is long here: no leader says that it is gone."""
    with rounds.World(lease_ms=60_000) as world:
        world.settle()
        frozen, other = world.workers[0], world.workers[1]
        names = NAMES
        for name in names:
            world.push(name, "v1", world.front)
        frozen.process.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            for name in names:
                assert other.call("GET", f"/v2/{name}/manifests/v1").status_code == 200
            first = time.monotonic() - began
            for name in names:
                world.push_manifest(name, "v2", other, b"layer")
                assert other.call("GET", f"/v2/{name}/manifests/v2").status_code == 200
            print(f"{len(names)} reads: {first:.1f} s, as many changes and reads after that: {time.monotonic() - began - first:.1f} s")
            assert first < 15, "each of them, or one, waited for the frozen one"
        finally:
            frozen.process.send_signal(signal.SIGCONT)
