# SPDX-License-Identifier: Apache-2.0
"""Whether the checker of the protocol says yes and no where it must: histories made by hand, each wrong one with one fault."""
import pytest

from control_histories import Call, Change, History, Kill, Window, check_access, check_patience, check_quotas, check_same, check_spent, check_sums

KEY, DAY = "key", "2026-11-20"


class Story:
    """Calls one after the other, each a tenth of a second."""

    def __init__(self, quota=0, enabled=True):
        self.history, self.now = History(), 0.0
        self.change(quota, enabled)

    def change(self, quota=None, enabled=True, takes=0.5, known=True, applied=True):
        begin, end = self.now, self.now + takes
        self.history.changes.append(Change(KEY, begin, begin + takes / 2, quota, enabled, end if applied else None, known))
        self.now = end
        return self

    def call(self, status=200, times=1, worker="a", day=DAY):
        for _ in range(times):
            self.history.calls.append(Call(KEY, worker, day, self.now, self.now + 0.1, status))
            self.now += 0.1
        return self

    def wait(self, seconds):
        self.now += seconds
        return self

    def kill(self, calls, worker="a"):
        """The last calls were not written down."""
        self.history.kills.append(Kill(worker, self.now - 0.1 * calls + 0.05, self.now))
        return self

    def put_back(self, calls):
        self.history.lacking[KEY, DAY] += calls
        return self

    def starts(self, worker="a", takes=1.0):
        self.history.windows.append(Window(worker, self.now - 0.1, self.now, self.now + takes))
        return self

    def problems(self, merged=None):
        merged = {(KEY, DAY): merged} if merged is not None else {}
        return check_quotas(self.history) + check_access(self.history) + (check_sums(self.history, merged) if merged else [])


# A story, and what the leader has merged in the end.
RIGHT = {
    "all merged": (Story().call(times=5), 5),
    "missing manifests count": (Story().call().call(404), 2),
    "refused ones do not": (Story(2).call(times=2).call(429, 3), 2),
    "unknown, and it was done": (Story().call(None).call(), 2),
    "unknown, and it was not": (Story().call(None).call(), 1),
    "killed before it was written down": (Story().call(times=5).kill(2), 3),
    "put back": (Story().call(times=5).put_back(5), 0),
    "the quota, exactly": (Story(5).call(times=5).call(429), 5),
    "raised": (Story(5).call(times=5).change(7).call(times=2).call(429), 7),
    "lowered below what was used": (Story(9).call(times=5).change(3).call(429), 5),
    "lowered, still some": (Story(9).call(times=5).change(7).call(times=2).call(429), 7),
    "lowered, on its way": (Story(9).call(times=5).change(3, applied=False).call(times=4), 9),
    "nobody knows whether it was lowered": (Story(9).call(times=5).change(3, known=False).call(times=4), 9),
    "no quota, then one": (Story().call(times=30).wait(6).change(40).call(times=10).call(429), 40),
    "each day has its own": (Story(3).call(times=3).call(times=3, day="2026-11-21"), None),
    "disabled, then enabled": (Story().call().change(0, False).call(401, 3).change(0).call(), 2),
    "a worker that has just started": (Story().change(0, False).starts().call(), 1),
}
WRONG = {
    "double count": (Story().call(times=5), 6, "counted twice"),
    "double count of an unknown one": (Story().call(None).call(), 3, "counted twice"),
    "refused, and counted": (Story(1).call().call(429), 2, "counted twice"),
    "lost count": (Story().call(times=5), 4, "lost"),
    "lost at a worker that was not killed": (Story().call(times=5).kill(2, "b"), 3, "lost"),
    "lost more than a kill may cost": (Story().call(times=5).kill(2), 2, "lost"),
    "over quota": (Story(5).call(times=6), 6, "over"),
    "over quota while something else is changed": (Story(5).call(times=4).change(5, applied=False).call(times=2).change(5), 6, "over"),
    "over quota at two workers": (Story(5).call(times=3).call(times=3, worker="b"), 6, "over"),
    "over after it was raised": (Story(5).call(times=5).change(7).call(times=3), 8, "over"),
    "over after it was lowered": (Story(9).call(times=5).change(7).call(times=3), 8, "over"),
    "one more after it was lowered below what was used": (Story(9).call(times=5).change(3).call(), 6, "over"),
    "no quota, then one, over": (Story().call(times=30).wait(6).change(40).call(times=11), 41, "over"),
    "admitted while disabled": (Story().change(0, False).call(401).call(), 1, "back"),
    "not let in while enabled": (Story().call(401), 0, "back"),
    "a worker that has started long ago": (Story().change(0, False).starts(takes=0.05).wait(1).call(), 1, "back"),
    "another worker that has just started": (Story().change(0, False).starts("b").call(), 1, "back"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_histories_have_no_problem(name):
    story, merged = RIGHT[name]
    assert story.problems(merged) == []


@pytest.mark.parametrize("name", WRONG)
def test_each_fault_is_found(name):
    story, merged, fault = WRONG[name]
    problems = story.problems(merged)
    assert problems and all(problem.endswith(f": {fault}") for problem in problems), problems


def test_a_call_belongs_to_its_day():
    """But for those of a worker that has just started."""
    story = Story().call(times=3).wait(0.2).starts(takes=0.15).call(times=2)
    assert check_sums(story.history, {(KEY, DAY): 3, (KEY, "2026-11-19"): 2}) == []
    assert check_sums(story.history, {(KEY, DAY): 3, (KEY, "2026-11-19"): 3})[0].endswith("counted twice")
    assert check_sums(story.history, {(KEY, DAY): 2, (KEY, "2026-11-19"): 2})[0].endswith("lost")
    assert [p.split(": ")[-1] for p in check_sums(story.history, {(KEY, DAY): 2, (KEY, "2026-11-19"): 3})] == ["counted twice", "lost"]


def test_what_a_store_forgot_of_another_day_is_excused_once():
    """Who had just started counted two of five for the next day, and the store was put back to before."""
    story = Story().starts().call(times=5)
    story.history.lacking[KEY, "2026-11-21"] += 2
    assert check_sums(story.history, {(KEY, DAY): 3}) == []
    assert check_sums(story.history, {(KEY, DAY): 2}) == [f"{KEY}: 2 calls merged, 5 were admitted (2 may be lost, 0 another day's): lost"]


def test_refusals_that_last_are_found():
    assert check_patience(KEY, "a", 1, 10.0, 11.9, 2.0) == []
    assert check_patience(KEY, "a", 0, 10.0, None, 2.0) == []
    for admitted in (12.1, None):
        assert check_patience(KEY, "a", 1, 10.0, admitted, 2.0)[0].endswith("refused for long")


def test_calls_that_are_lost_to_a_quota_are_found():
    spent = Story(5).call(times=4).call(429)
    assert check_spent(spent.history, KEY, DAY, 4) == []
    assert check_spent(spent.history, KEY, DAY, 5)[0].endswith("lost to the quota")
    assert check_spent(spent.call(None).history, KEY, DAY, 5) == []
    started = Story(5).starts(takes=0.05).call().wait(1).call(times=3)
    assert check_spent(started.history, KEY, DAY, 5) == []
    assert check_spent(started.history, KEY, DAY, 6)[0].endswith("lost to the quota")


def test_states_that_differ_are_found():
    assert check_same("quota of key", 5, {"a": 5, "b": 5}) == []
    assert check_same("quota of key", 5, {"a": 5, "b": 6}) == ["quota of key at b: 6, at the leader 5: state differs"]
