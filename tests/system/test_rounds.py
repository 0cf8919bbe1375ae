# SPDX-License-Identifier: Apache-2.0
"""Rounds in which a part of the cluster is taken away while clients push and pull through a balancer that knows nothing.

    ROUNDS_SEED=7       the events follow from it (default: a fixed one; "random": another one each time)
    ROUNDS=100          so many on a shared folder (SCALE=full: 100), half as many where each has its own storage (and, in full, on a bucket)

On shared storage a client that tries each step once more sees no error, whatever is taken away, and what was acknowledged is there.
"""
import os
import random
import time

import pytest

import rounds
from registry import await_true
from s3_memory import Memory

FULL = os.environ.get("SCALE") == "full"
ROUNDS = int(os.environ.get("ROUNDS", 100 if FULL else 20))
SEED = os.environ.get("ROUNDS_SEED", "1")
SEED = str(random.SystemRandom().randrange(10**6)) if SEED == "random" else SEED
ON_BUCKET = ROUNDS // 2 if FULL or "ROUNDS" in os.environ else 4
CLIENTS = 8


def events(seed, kinds):
    """Each kind as often as each other, in another order each time."""
    how = random.Random(seed)
    while True:
        for event in how.sample(kinds, len(kinds)):
            yield event, how


def start_clients(world, pushed):
    pushers = [rounds.Pusher(world, i, pushed) for i in range(CLIENTS)]
    for client in pushers:
        client.start()
    await_true(lambda: len(pushed) >= CLIENTS, 60, "the first pushes")
    pullers = [rounds.Puller(world, i, pushed) for i in range(CLIENTS)]
    for client in pullers:
        client.start()
    return pushers + pullers


def stop_clients(clients):
    for client in clients:
        client.halt.set()
    for client in clients:
        client.join(60)


def play(world, clients, pushed, n, event, how):
    """One round: (the worker, what failed in spite of a second try)."""
    worker, began = how.choice(world.workers), time.monotonic()
    before = {client: (len(client.failed), len(client.retried)) for client in clients}
    getattr(world, event)(worker, how)
    world.settle()
    rounds.all_go_on(clients)
    failed = [f"{client.name}: {what}" for client in clients for _, what in client.failed[before[client][0]:]]
    retried = [f"{client.name}: {what}" for client in clients for what in client.retried[before[client][1]:]]
    print(f"{n:3} {event} {worker.name}: {time.monotonic() - began:.1f} s, {len(pushed)} pushed, {len(retried)} steps once more, {len(failed)} in vain", flush=True)
    for line in failed + retried[:6]:
        print("     ", line)
    return worker, failed


@pytest.mark.parametrize("bucket,count", [(None, ROUNDS), (Memory(), ON_BUCKET)], ids=["folder", "bucket"])
def test_what_is_taken_away_is_not_noticed(bucket, count):
    print(f"ROUNDS_SEED={SEED}")
    with rounds.World(bucket=bucket, cache=bucket is not None) as world:
        world.settle()
        pushed, problems, seen = [], [], 0
        clients = start_clients(world, pushed)
        for n, (event, how) in zip(range(count), events(SEED, rounds.EVENTS)):
            worker, failed = play(world, clients, pushed, n, event, how)
            problems += [f"{n} {event} {worker.name}: {line}" for line in failed]
            problems += rounds.check(world, pushed[seen:], how.choice(world.workers))
            seen = len(pushed)
        stop_clients(clients)
        for worker in world.workers:
            problems += rounds.check(world, pushed, worker)
        print(f"{len(pushed)} pushes, {sum(len(c.retried) for c in clients)} steps once more")
        assert not problems, "\n".join(problems[:40])


def test_only_what_was_taken_away_is_missing():
    """Each worker has its own storage: what fails names the worker that was taken away, and what was acknowledged is there when it is back."""
    print(f"ROUNDS_SEED={SEED}")
    with rounds.World(isolated=True) as world:
        world.settle()
        pushed, problems = [], []
        clients = start_clients(world, pushed)
        for n, (event, how) in zip(range(ROUNDS // 2), events(SEED, rounds.ISOLATED_EVENTS)):
            worker, failed = play(world, clients, pushed, n, event, how)
            cut = event in ("cut_from_peers", "cut_from_all")
            problems += [f"{n} {event} {worker.name}: {line}" for line in failed if not rounds.is_of(world, line, worker, cut)]
        stop_clients(clients)
        for worker in world.workers:
            problems += rounds.check(world, pushed, worker)
        print(f"{len(pushed)} pushes, {sum(len(c.failed) for c in clients)} in vain")
        assert not problems, "\n".join(problems[:40])
