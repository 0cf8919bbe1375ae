# SPDX-License-Identifier: Apache-2.0
"""Rounds in which a part of the cluster is taken away while clients push and pull through a balancer that knows nothing.

    ROUNDS_SEED=7       the events follow from it (default: a fixed one; "random": another one each time)
    ROUNDS=100          so many of each kind (SCALE=full: 100)

Storage is shared here: whatever is taken away, a client that tries each step once more sees no error, and what was acknowledged is there.
"""
import os
import random
import time

import rounds
from registry import await_true

FULL = os.environ.get("SCALE") == "full"
ROUNDS = int(os.environ.get("ROUNDS", 100 if FULL else 20))
SEED = os.environ.get("ROUNDS_SEED", "1")
SEED = str(random.SystemRandom().randrange(10**6)) if SEED == "random" else SEED
CLIENTS = 8


def events(seed):
    """Each kind as often as each other, in another order each time."""
    how = random.Random(seed)
    while True:
        for event in how.sample(rounds.EVENTS, len(rounds.EVENTS)):
            yield event, how


def test_what_is_taken_away_is_not_noticed():
    print(f"ROUNDS_SEED={SEED}")
    with rounds.World() as world:
        world.settle()
        pushed = []
        clients = [rounds.Pusher(world, i, pushed) for i in range(CLIENTS)]
        for client in clients:
            client.start()
        await_true(lambda: len(pushed) >= CLIENTS, 60, "the first pushes")
        pullers = [rounds.Puller(world, i, pushed) for i in range(CLIENTS)]
        for client in pullers:
            client.start()
        clients += pullers
        problems, seen = [], 0
        for n, (event, how) in zip(range(ROUNDS), events(SEED)):
            worker, began = how.choice(world.workers), time.monotonic()
            before = {client: (len(client.failed), len(client.retried)) for client in clients}
            getattr(world, event)(worker, how)
            world.settle()
            rounds.all_go_on(clients)
            failed = [f"{client.name}: {what}" for client in clients for _, what in client.failed[before[client][0]:]]
            retried = [f"{client.name}: {what}" for client in clients for what in client.retried[before[client][1]:]]
            print(f"{n:3} {event} {worker.name}: {time.monotonic() - began:.1f} s, {len(pushed)} pushed, {len(retried)} steps once more, {len(failed)} in vain",
                  flush=True)
            for line in failed + retried[:6]:
                print("     ", line)
            problems += [f"{n} {event} {worker.name}: {line}" for line in failed]
            problems += rounds.check(world, pushed[seen:], how.choice(world.workers))
            seen = len(pushed)
        for client in clients:
            client.halt.set()
        for client in clients:
            client.join(60)
        for worker in world.workers:
            problems += rounds.check(world, pushed, worker)
        print(f"{len(pushed)} pushes, {sum(c.rounds for c in pullers)} pulls, {sum(len(c.retried) for c in clients)} steps once more")
        assert not problems, "\n".join(problems[:40])
