# SPDX-License-Identifier: Apache-2.0
"""A worker that reaches none of the others, and what its leader says of that."""
import json

from registry import await_true, free_port
from scripted_leader import ScriptedLeader


class Leader(ScriptedLeader):
    """Of three workers, two of which nobody reaches. So many beats as `cuts` says are answered that most others reach each other."""

    def __init__(self):
        super().__init__()
        self.cuts = 0
        self.others = [{"id": name, "url": f"http://127.0.0.1:{free_port()}", "state": "active"} for name in ("three", "two")]

    def entities(self):
        entities = super().entities()
        entities[-1]["body"]["members"] = [self.member, *self.others]
        return entities

    def good_push(self, call):
        cut = self.cuts > 0
        self.cuts -= cut
        self.answer_push(call, self.good_answer(json.loads(call.body), cut=cut))


def beats(leader, n=2):
    """The last but one of them was answered, and the answer was heard."""
    before = leader.pushes
    await_true(lambda: leader.pushes >= before + n, 30, "beats")


def test_who_is_told_once_that_it_is_cut_off_stays_ready():
    with Leader() as leader, leader.worker() as worker:
        def ready():
            return worker.call("GET", "/readyz").status_code == 200

        await_true(ready, 30, "the state")
        for n in range(12):  # some of them are another's
            worker.call("GET", f"/v2/cut/app{n}/tags/list")
        await_true(lambda: "peers: 2 of the 2" in worker.call("GET", "/readyz").text, 30, "its complaint")
        # Who complains first of many is told so once: the others were slower.
        for _ in range(2):
            leader.cuts = 1
            beats(leader, 3)
            assert leader.cuts == 0 and ready()
        assert '"kind":"cut"' not in worker.text()
        leader.cuts = 10 ** 6
        await_true(lambda: not ready(), 30, "not ready")
        assert "cut: most workers reach each other" in worker.call("GET", "/readyz").text
        leader.cuts = 0
        await_true(ready, 30, "ready again")
        # Nobody says anything any more: it may be the last one alive.
        leader.push = lambda call: call.answer(503)
        leader.state = lambda call: call.answer(503)
        beats(leader)
        assert ready() and "peers: 2 of the 2" in worker.call("GET", "/readyz").text
