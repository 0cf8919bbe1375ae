# SPDX-License-Identifier: Apache-2.0
"""Whether the checker of histories says yes and no where it must: histories made by hand, and many small random ones against trying every order."""
import itertools
import random

import pytest

import histories
from histories import ABSENT, ANY, CLEAR, CLEAR_IF, IS, KEEP, NEVER, NOT, OK, PRESENT, REFUSED, SET, UNKNOWN, History, Operation, Step, Violation

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
X = f"sha256:{'1' * 64}"


class Story:
    """Operations one after the other, unless a time is given."""

    def __init__(self):
        self.history, self.now = History(), 0.0

    def do(self, kind, outcome=OK, at=None, **more):
        start, end = at or (self.now + 1, self.now + 2)
        self.now = max(self.now, end)
        self.history.add(Operation(kind, "lib/a", float(start), float(end), outcome, **more))
        return self

    def put(self, digest, **more):
        return self.do("put", tag="v1", digest=digest, **more)

    def get(self, found, **more):
        return self.do("get", OK if found else REFUSED, tag="v1", found=found, **more)

    def problems(self, images=None):
        return histories.check(self.history, images)[0]


def right():
    return Story().get(None).put(A).get(A).put(B, at=(10, 20)).get(A, at=(11, 12)).get(B, at=(13, 14)).get(B) \
        .do("delete digest", digest=B).get(None).do("delete tag", REFUSED, tag="v1", status=404).put(A).do("list", found={"v1"}) \
        .do("delete tag", tag="v1").do("list", found=set())


RIGHT = {
    "one after the other": right(),
    "two at once, either last": Story().put(A, at=(1, 5)).put(B, at=(2, 6)).get(A),
    "unknown, and it was done": Story().put(A).put(B, outcome=UNKNOWN).get(B),
    "unknown, and it was not": Story().put(A).put(B, outcome=UNKNOWN).get(A).get(A),
    "unknown, done late": Story().put(A).put(B, outcome=UNKNOWN).get(A).put(C).get(C).get(B),
    "unknown deletion, done late": Story().put(A).do("delete tag", UNKNOWN, tag="v1").get(A).put(B).get(B).get(None),
    "unknown push, then a deletion that found it": Story().put(A, outcome=UNKNOWN).do("delete tag", tag="v1").get(None),
    "old within the lease": Story().put(A, at=(1, 2)).put(B, at=(3, 4)).get(A, at=(8, 9), lease=5),
    "old, new, old within the lease": Story().put(A, at=(1, 2)).put(B, at=(3, 4)).get(B, at=(5, 6), lease=5).get(A, at=(8, 9), lease=5),
    "unknown push removed by its digest": Story().put(A).put(B, outcome=UNKNOWN, at=(3, 4)).do("delete digest", digest=B, at=(5, 6)).get(None),
}
WRONG = {
    "lost update": Story().put(A).put(B).get(A),
    "read going back": Story().put(A).put(B, at=(10, 20)).get(B, at=(11, 12)).get(A, at=(13, 14)),
    "done twice": Story().put(A, at=(1, 20)).get(A, at=(2, 3)).put(B, at=(4, 5)).get(B, at=(6, 7)).get(A, at=(21, 22)),
    "unknown, done twice": Story().put(A, outcome=UNKNOWN).get(A).put(B).get(A).put(C).get(A),
    "old beyond the lease": Story().put(A, at=(1, 2)).put(B, at=(3, 4)).get(A, at=(10, 11), lease=5),
    "resurrected": Story().put(A).do("delete tag", tag="v1").get(A),
    "resurrected by its digest": Story().put(A).do("delete digest", digest=A).get(A),
    "deletion found nothing": Story().put(A).do("delete tag", REFUSED, tag="v1", status=404),
    "deletion found what is not there": Story().put(A).do("delete tag", tag="v1").do("delete tag", tag="v1"),
    "a value that nobody wrote": Story().put(A).get(B),
    "refused, and done": Story().put(A).put(B, outcome=REFUSED, status=412).get(B),
    "missing in a list": Story().put(A).do("list", found=set()),
    "a digest that is there was not found to be deleted": Story().put(A).do("delete digest", REFUSED, digest=A, status=404),
    "a manifest is gone": Story().put(A).do("get", REFUSED, digest=A, status=404),
}


@pytest.mark.parametrize("story", RIGHT)
def test_right(story):
    assert RIGHT[story].problems() == []


@pytest.mark.parametrize("story", WRONG)
def test_wrong(story):
    problems = WRONG[story].problems()
    assert problems and "lib/a" in problems[0], problems
    assert "> " in problems[0]


BLOB = dict(digest=X)
BLOBS_RIGHT = {
    "pushed, deleted, pushed": Story().do("push blob", **BLOB).do("get blob", **BLOB).do("delete blob", **BLOB).do("get blob", REFUSED, status=404, **BLOB)
    .do("push blob", **BLOB).do("get blob", **BLOB),
    "deleted beside a push": Story().do("push blob", at=(1, 5), **BLOB).do("delete blob", at=(2, 6), **BLOB).do("get blob", **BLOB),
    "unknown deletion, late": Story().do("push blob", **BLOB).do("delete blob", UNKNOWN, **BLOB).do("get blob", **BLOB)
    .do("get blob", REFUSED, status=404, **BLOB),
    "unknown push": Story().do("push blob", UNKNOWN, **BLOB).do("get blob", REFUSED, status=404, **BLOB).do("get blob", **BLOB),
}
BLOBS_WRONG = {
    "gone": Story().do("push blob", **BLOB).do("get blob", REFUSED, status=404, **BLOB),
    "deletion that arrived late": Story().do("push blob", **BLOB).do("delete blob", **BLOB).do("push blob", **BLOB)
    .do("get blob", REFUSED, status=404, **BLOB),
    "resurrected": Story().do("push blob", **BLOB).do("delete blob", **BLOB).do("get blob", **BLOB),
    "never pushed": Story().do("get blob", **BLOB),
}


@pytest.mark.parametrize("story", BLOBS_RIGHT)
def test_blobs_right(story):
    assert BLOBS_RIGHT[story].problems() == []


@pytest.mark.parametrize("story", BLOBS_WRONG)
def test_blobs_wrong(story):
    assert len(BLOBS_WRONG[story].problems()) == 1


def test_images():
    pushed = Story().do("push blob", **BLOB)
    assert pushed.put(A).problems({A: [X]}) == []
    assert "a blob was deleted" in pushed.do("delete blob", **BLOB).problems({A: [X]})[0]
    gone = Story().do("push blob", **BLOB).do("delete blob", **BLOB).put(A)
    assert "an image was taken" in gone.problems({A: [X]})[0]
    refused = Story().do("push blob", **BLOB).put(A, outcome=REFUSED, status=404)
    assert "an image was refused" in refused.problems({A: [X]})[0]
    removed = Story().do("push blob", **BLOB).put(A).do("delete digest", digest=A).do("delete blob", **BLOB)
    assert removed.problems({A: [X]}) == []


# ---- against trying everything ----

def every_order(steps):
    """Whether some order of some optional ones and all others explains the answers."""
    must = [s for s in steps if not s.optional]
    may = [s for s in steps if s.optional]
    for n in range(len(may) + 1):
        for taken in itertools.combinations(may, n):
            if search(frozenset(must + list(taken)), None, set()):
                return True
    return False


def search(left, value, failed):
    if not left:
        return True
    if (left, value) in failed:
        return False
    first_end = min(s.end for s in left)
    for step in left:
        if step.start <= first_end and step.fits(value) and search(left - {step}, step.after(value), failed):
            return True
    failed.add((left, value))
    return False


def random_steps(dice):
    steps = []
    for _ in range(dice.randint(2, 7)):
        start = dice.randint(0, 12)
        end = start + dice.randint(1, 6)
        value = dice.choice("AB")
        needs, need, does = dice.choice([(ANY, None, SET), (ANY, None, SET), (PRESENT, None, CLEAR), (ABSENT, None, KEEP), (ANY, None, CLEAR_IF),
                                         (NOT, value, KEEP), (IS, value, KEEP), (IS, value, KEEP), (PRESENT, None, KEEP)])
        optional = does is not KEEP and dice.random() < 0.35
        if optional:
            needs, end = ANY, NEVER
        steps.append(Step(start, end, needs, need, does, value if does in (SET, CLEAR_IF) else None, optional, None))
    return steps


def test_small_random_histories_against_every_order():
    dice, said = random.Random(5), {True: 0, False: 0}
    for _ in range(30000):
        steps = random_steps(dice)
        try:
            histories.search(steps)
            found = True
        except Violation:
            found = False
        said[found] += 1
        assert found == every_order(steps), [(s.start, s.end, s.needs, s.need, s.does, s.value, s.optional) for s in steps]
    assert min(said.values()) > 2000, said
