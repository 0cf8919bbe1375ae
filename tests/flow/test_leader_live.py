# SPDX-License-Identifier: Apache-2.0
"""The cluster as it is watched: events, figures, the ring; and what an operator does to a member."""
import base64
import contextlib
import datetime
import json
import socket
import time

import pytest
import requests

from leader_process import SECRET, FakeWorker, Leader
from worker_process import await_true


@pytest.fixture
def leader():
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as one:
        yield one


class Stream:
    """The events of one watcher, in their order."""

    def __init__(self, leader, query="?every=1000", session=None, **how):
        self.reply = (session or leader.session).get(leader.url + "/api/cluster/live" + query, stream=True, timeout=30, **how)
        self.lines = self.reply.iter_lines(chunk_size=1 << 20)
        self.head = []

    def __iter__(self):
        name = None
        for line in self.lines:
            text = line.decode()
            if text.startswith("event: "):
                name = text.removeprefix("event: ")
            elif text.startswith("data: "):
                yield name, json.loads(text.removeprefix("data: "))
            elif text:
                self.head.append(text)

    def until(self, wanted, means=lambda data: True):
        """The data of the next such event; those before it are passed over."""
        end = time.monotonic() + 120
        for name, data in self:
            if name == wanted and means(data):
                return data
            assert time.monotonic() < end, f"no such {wanted} came, but {name}: {data}"
        raise AssertionError(f"the stream ended before {wanted}")

    def close(self):
        self.reply.close()


def watching(leader, *args, **how):
    return contextlib.closing(Stream(leader, *args, **how))


def names(rows):
    return [row["name"] for row in rows]


def stats(uptime_ms, **more):
    return {"stats": {"uptime_ms": uptime_ms, **more}}


def test_a_watcher_gets_all_and_then_what_is_new(leader):
    one, two = FakeWorker(leader, "one"), FakeWorker(leader, "two")
    one.push()
    two.push()
    with watching(leader) as stream:
        assert stream.reply.status_code == 200 and stream.reply.headers["Content-Type"] == "text/event-stream"
        assert stream.reply.headers["Cache-Control"] == "no-store"
        events = iter(stream)
        first = dict(next(events) for _ in range(4))
        assert stream.head == ["retry: 2000"]
        assert names(first["members"]["changed"]) == ["one", "two"] and "gone" not in first["members"]
        assert first["changed"] == {"revision": leader.revision(), "kinds": []} and first["cluster"]["active"] >= 0
        assert names(first["ring"]["members"]) == names(leader.admin("GET", "/api/cluster/ring").json()["members"])
        two.push(state="draining")
        stream.until("members", lambda data: any(row["name"] == "two" and row["state"] == "draining" for row in data["changed"]))
        leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password"})
        assert "user" in stream.until("changed", lambda data: "user" in data["kinds"])["kinds"]
        one.push(state="left")
        assert stream.until("members", lambda data: data["gone"])["gone"] == ["one"]


def test_a_ring_that_is_another_is_told(leader):
    FakeWorker(leader, "one").push()
    with watching(leader) as stream:
        stream.until("ring", lambda ring: names(ring["members"]) == ["one"] and ring["members"][0]["share"] == 1)
        FakeWorker(leader, "two").push()
        told = stream.until("ring", lambda ring: names(ring["members"]) == ["one", "two"])
        assert sum(row["share"] for row in told["members"]) == pytest.approx(1) and all(0.3 < row["share"] < 0.7 for row in told["members"])
        assert told["epoch"] == leader.admin("GET", "/api/cluster/members").json()["ringEpoch"]


def test_who_may_watch_and_how_often(leader):
    leader.admin("POST", "/api/user", {"id": "eve", "password": "a long password"})
    for auth, status in ((None, 401), (("eve", "a long password"), 403), (("workers", SECRET), 403)):
        assert requests.get(leader.url + "/api/cluster/live", auth=auth, timeout=30).status_code == status
    for query in ("?every=999", "?every=10001", "?every=x", "?every=1000&every=1000", "?evry=1000", "?every=-1"):
        assert leader.admin("GET", "/api/cluster/live" + query).status_code == 400, query
    assert leader.admin("POST", "/api/cluster/live", {}).status_code == 405


def test_there_are_64_watchers_at_most(leader):
    with contextlib.ExitStack() as all_of_them:
        for _ in range(64):
            assert all_of_them.enter_context(watching(leader, "?every=10000")).reply.status_code == 200
        late = leader.admin("GET", "/api/cluster/live")
        assert late.status_code == 503 and late.headers["Retry-After"] == "1"
        assert leader.admin("GET", "/api/user").status_code == 200
    # Those who went make room.
    await_true(lambda: room(leader))


def room(leader):
    with watching(leader) as stream:
        return stream.reply.status_code == 200


def logged_in(leader, user, password):
    session = requests.Session()
    session.trust_env = False
    assert session.post(leader.url + "/api/session", json={"user": user, "password": password}, timeout=30).status_code == 200
    return session


@pytest.mark.parametrize("end", ({"enabled": False}, {"roles": []}, {"password": "another long password"}, None))
def test_a_stream_ends_when_the_login_is_over(leader, end):
    leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password", "roles": ["admin"]})
    key = leader.admin("POST", "/api/apikey", {"owner": "ann"}).json()
    with contextlib.ExitStack() as streams:
        by_cookie = streams.enter_context(watching(leader, session=logged_in(leader, "ann", "a long password")))
        by_password = streams.enter_context(watching(leader, session=requests, auth=("ann", "a long password")))
        by_key = streams.enter_context(watching(leader, session=requests, auth=("ann", key["apiKey"])))
        admins = streams.enter_context(watching(leader))
        for stream in (by_cookie, by_password, by_key, admins):
            stream.until("cluster")
        if end is None:
            leader.admin("DELETE", "/api/user/ann")
        else:
            leader.admin("PATCH", "/api/user/ann", end)
        for stream in (by_cookie, by_password):
            assert list(stream) is not None
        if end is None or "password" not in end:
            assert list(by_key) is not None
        admins.until("cluster")
        if end and "password" in end:
            by_key.until("changed", lambda data: "user" in data["kinds"])
            by_key.until("cluster")


def test_streams_end_when_the_leader_does(leader):
    with watching(leader, "?every=10000") as stream:
        stream.until("quotas")
        leader.stop()
        assert not [name for name, _ in stream]


def metric(leader, name):
    text = leader.admin("GET", "/metrics").text
    return int(next(line for line in text.splitlines() if line.startswith(name + " ")).split()[1])


@contextlib.contextmanager
def not_reading(leader):
    """A watcher that takes a few bytes and then no more."""
    login = base64.b64encode(f"{leader.user}:{leader.password}".encode()).decode()
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", leader.port))
        one.sendall(f"GET /api/cluster/live?every=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\n\r\n".encode())
        yield one


def test_who_does_not_read_is_cut_off_and_holds_up_nobody(leader):
    workers = [FakeWorker(leader, f"worker-{i:03}") for i in range(150)]
    text = "x: " + "long " * 1600
    with not_reading(leader), watching(leader) as quick:
        quick.until("cluster")
        await_true(lambda: metric(leader, "zot_leader_watchers") == 2)

        def one_is_given_up():
            for worker in workers:
                assert worker.push(complaints=text).status_code == 200
            quick.until("members", lambda data: data["changed"])
            return metric(leader, "zot_leader_watchers_cut_total") == 1
        await_true(one_is_given_up, 120)
        quick.until("cluster")


def test_figures_are_rates_of_what_members_tell(leader):
    one, two = FakeWorker(leader, "one"), FakeWorker(leader, "two")
    one.push(**stats(1000, requests=10, bytes_out=0, open_requests=3, p50_us=100, p99_us=900))
    two.push(**stats(1000, requests=500000, p50_us=300, p99_us=700))
    with watching(leader) as stream:
        # The first beat of a process tells no rate, however much it had counted.
        seen = stream.until("cluster", lambda now: now["active"] == 2)
        assert seen["rate"] == 0 and seen["p99"] == 900 and seen["open"] == 3 and seen["p50"] is None
        one.push(**stats(3000, requests=210, bytes_out=4000, errors=20, open_requests=1, p50_us=100, p99_us=900))
        seen = stream.until("cluster", lambda now: now["rate"] > 0)
        assert (seen["rate"], seen["bytesOut"], seen["errors"], seen["open"], seen["p50"]) == (100, 2000, 10, 1, 100)
        two.push(**stats(3000, requests=500600, p50_us=300, p99_us=700))
        seen = stream.until("cluster", lambda now: now["rate"] > 100)
        assert (seen["rate"], seen["p50"], seen["p99Mean"], seen["p99"]) == (400, 250, 750, 900)


def test_a_restart_makes_no_spike_and_the_lost_count_no_more():
    with Leader() as leader:
        leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 2000, "pushEveryMs": 200})
        one = FakeWorker(leader, "one")
        one.push(**stats(1000, requests=1000000))
        one.push(**stats(2000, requests=1000100))
        with watching(leader) as stream:
            assert stream.until("cluster", lambda now: now["active"] == 1)["rate"] >= 0
            one.push(state="left")
            again = FakeWorker(leader, "one")
            again.push(**stats(100, requests=5))
            seen = stream.until("cluster", lambda now: now["active"] == 1 and now["rate"] != 100)
            assert seen["rate"] == 0
            seen = stream.until("cluster", lambda now: now["lost"] == 1)
            assert seen["active"] == 0 and seen["rate"] == 0


def test_storage_is_the_sum_of_what_members_own(leader):
    leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 600000})
    one, two, old = (FakeWorker(leader, name) for name in ("one", "two", "old"))

    def weighed(uptime_ms, bytes, repositories):
        counts = dict(counted=True, storage_blobs=9 * repositories, storage_manifests=3 * repositories, storage_tags=2 * repositories)
        return stats(uptime_ms, weighed=True, storage_bytes=bytes, storage_repositories=repositories, **counts)

    def holds(bytes, repositories):
        return stream.until("cluster", lambda now: [now[key] for key in ("storage", "repositories", "blobs", "manifests", "tags")] == [bytes] + [n * repositories for n in (1, 9, 3, 2)])

    with watching(leader) as stream:
        old.push(**stats(1000))
        assert stream.until("cluster", lambda now: now["active"] == 1)["storage"] is None
        one.push(**weighed(1000, 5 << 40, 7))
        two.push(**weighed(1000, 1 << 20, 1))
        holds((5 << 40) + (1 << 20), 8)
        row = leader.members()["one"]["stats"]
        assert (row["storageBytes"], row["storageRepositories"]) == (5 << 40, 7) and "storageBytes" not in leader.members()["old"]["stats"]
        assert [row[key] for key in ("storageBlobs", "storageManifests", "storageTags")] == [63, 21, 14]
        assert "storageTags" not in leader.members()["old"]["stats"]
        # What has left owns nothing.
        one.push(state="left")
        holds(1 << 20, 1)
        two.push(**weighed(2000, 0, 0))
        holds(0, 0)


def test_a_process_that_has_not_weighed_yet_owns_what_the_one_before_it_did():
    with Leader() as leader, watching(leader) as stream:
        leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 2000, "pushEveryMs": 200})
        FakeWorker(leader, "one").push(**stats(1000, weighed=True, storage_bytes=9000, storage_repositories=3))
        assert stream.until("cluster", lambda now: now["lost"] == 1)["storage"] is None
        leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 600000})
        one = FakeWorker(leader, "one")
        one.push(**stats(10))
        assert stream.until("cluster", lambda now: now["active"] == 1)["storage"] == 9000
        one.push(**stats(20, weighed=True, storage_bytes=1, storage_repositories=1))
        stream.until("cluster", lambda now: now["storage"] == 1)


def test_the_quotas_nearest_to_their_end_are_told_live_of_however_many(leader):
    """1,501 quotas, of which a step looks at 500."""
    leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 600000})
    leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password", "dailyQuota": 1000})
    for part in range(2):
        lines = "\n".join(json.dumps({"id": f"key-{i:04}", "owner": "ann", "label": f"no {i}", "monthlyQuota": 1000}) for i in range(750 * part, 750 * part + 750))
        made = leader.session.post(leader.url + "/api/apikey/_bulk", data=lines, headers={"Content-Type": "application/x-ndjson"}, timeout=60)
        assert made.status_code == 200, made.text
    day = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    worker = FakeWorker(leader, "one")
    # Thirty of them are used, the first and the last; twenty are kept.
    used = {f"key-{i:04}": 10 + i % 15 * 30 + i // 750 for i in [*range(15), *range(1485, 1500)]}

    def told(data):
        return [(row["subject"], row["kind"], row["used"]) for row in data["quotas"]]

    def is_quota_of(first):
        return lambda data: bool(data["quotas"]) and data["quotas"][0]["subject"] == first

    with watching(leader) as stream:
        assert told(stream.until("quotas")) == []
        worker.push(usage=[{"apikey": key, "day": day, "calls": calls, "ungranted": calls} for key, calls in used.items()])
        wanted = sorted(((key, "month", calls) for key, calls in used.items()), key=lambda row: (-row[2], row[0]))[:20]
        stream.until("quotas", lambda data: told(data) == wanted)
        figures = leader.admin("GET", "/api/cluster/figures").json()
        assert told(figures) == wanted and figures["quotas"][0]["label"] == f"no {int(wanted[0][0][4:])}"
        first = figures["quotas"][0]
        assert first["remaining"] == 1000 - first["used"] and first["reset"][:7] > first["window"]
        stream.until("cluster", lambda now: now["quotaMost"] == first["used"] / 1000)
        # One that is kept moves with the next step; one whose limit is gone is gone.
        worker.push(usage=[{"apikey": wanted[19][0], "day": day, "calls": 500, "ungranted": 500}])
        leader.admin("PATCH", f"/api/apikey/{wanted[0][0]}", {"monthlyQuota": 0})
        now = told(stream.until("quotas", lambda data: is_quota_of(wanted[19][0])(data) and wanted[0] not in told(data)))
        assert now[0][2] == wanted[19][2] + 500


def test_the_last_hour_is_kept_in_steps_of_ten_seconds(leader):
    one = FakeWorker(leader, "one")
    one.push(**stats(1000, requests=10))

    def figures():
        one.push(**stats(1000 + 10 * one.seq, requests=10 * one.seq))
        return leader.admin("GET", "/api/cluster/figures").json()

    def has_two_points():
        points = figures()["sums"]
        # In the first one the first beat has told no rate yet.
        return len(points["t"]) >= 2 and points["rate"][-1] > 900
    await_true(has_two_points, 120)
    told = figures()
    sums, own = told["sums"], told["members"]["one"]
    assert told["everySeconds"] == 10 and {len(values) for values in sums.values()} == {len(sums["t"])}
    assert sums["t"][1] - sums["t"][0] == 10 and abs(sums["t"][-1] - time.time()) < 60 and own["t"] == sums["t"]
    assert own["rate"][-1] == pytest.approx(1000) and sums["rate"][-1] == pytest.approx(1000) and sums["active"][-1] == 1
    assert set(own) == {"t", "rate", "errors", "bytesIn", "bytesOut", "p50", "p99", "open"}
    FakeWorker(leader, "two").push()
    await_true(lambda: "two" in figures()["members"], 20)
    assert list(leader.admin("GET", "/api/cluster/figures?member=one").json()["members"]) == ["one"]
    assert leader.admin("GET", "/api/cluster/figures?member=nobody").json()["members"] == {}
    assert leader.admin("GET", "/api/cluster/figures?members=one").status_code == 400


def ring_of(leader):
    return {row["name"]: (row["state"], row["share"]) for row in leader.admin("GET", "/api/cluster/ring").json()["members"]}


def act(leader, name, verb, query=""):
    return leader.admin("POST", f"/api/cluster/members/{name}/{verb}{query}", {})


def test_a_drained_member_owns_nothing_until_it_is_undrained(leader):
    one, two = FakeWorker(leader, "one"), FakeWorker(leader, "two")
    one.push()
    two.push()
    await_true(lambda: set(ring_of(leader)) == {"one", "two"})
    told = act(leader, "one", "drain")
    assert told.status_code == 200 and told.json()["drained"] is True, told.text
    # At once, for whoever has the answer.
    assert ring_of(leader)["one"] == ("draining", 0) and ring_of(leader)["two"] == ("active", 1)
    row = leader.members()["one"]
    assert row["state"] == "active" and row["drained"]["by"] == "admin" and "since" in row["drained"] and "drained" not in leader.members()["two"]
    revision = leader.revision()
    assert act(leader, "one", "drain").status_code == 200 and leader.revision() == revision
    # Neither the member's restart nor the leader's ends it.
    one.push(state="left")
    await_true(lambda: set(ring_of(leader)) == {"two"})
    leader.stop()
    leader.start()
    two.push()
    FakeWorker(leader, "one").push()
    await_true(lambda: ring_of(leader).get("one") == ("draining", 0))
    assert act(leader, "one", "undrain").json()["drained"] is False
    assert ring_of(leader)["one"][0] == "active" and "drained" not in leader.members()["one"]
    assert act(leader, "one", "undrain").status_code == 200
    told = [line["how"] for line in leader.admin("GET", "/api/audit?kind=drain").json()["items"]]
    assert sorted(told) == ["drained", "undrained"]


def test_what_is_no_drain(leader):
    FakeWorker(leader, "one").push()
    leader.admin("POST", "/api/user", {"id": "rea", "password": "a long password", "roles": ["reader"]})
    assert act(leader, "two", "drain").status_code == 404 and act(leader, "one", "drein").status_code == 405
    assert leader.admin("POST", "/api/cluster/members/one", {}).status_code == 405
    assert act(leader, "one", "drain", "?force=maybe").status_code == 400 and act(leader, "one", "drain", "?forse=true").status_code == 400
    refused = requests.post(leader.url + "/api/cluster/members/one/drain", json={}, auth=("rea", "a long password"), timeout=30)
    assert refused.status_code == 403
    for path in ("ring", "figures", "members"):
        assert requests.get(f"{leader.url}/api/cluster/{path}", auth=("rea", "a long password"), timeout=30).status_code == 200
    with watching(leader, session=requests, auth=("rea", "a long password")) as stream:
        stream.until("cluster")


def test_isolated_members_are_drained_by_force_alone(leader):
    leader.admin("PATCH", "/api/settings/cluster", {"isolated": True})
    FakeWorker(leader, "one").push()
    FakeWorker(leader, "two").push()
    await_true(lambda: set(ring_of(leader)) == {"one", "two"})
    refused = act(leader, "one", "drain")
    assert refused.status_code == 409 and refused.json()["error"]["code"] == "isolated" and "evacuate" in refused.text
    assert ring_of(leader)["one"][0] == "active"
    assert act(leader, "one", "drain", "?force=true").status_code == 200 and ring_of(leader)["one"] == ("draining", 0)
    assert act(leader, "one", "undrain").status_code == 200 and ring_of(leader)["one"][0] == "active"


def test_isolated_members_are_evacuated_when_nothing_is_left(leader):
    """By what they say of the ring of now: what they said by the one before does not count."""
    leader.admin("PATCH", "/api/settings/cluster", {"isolated": True})
    one, two = FakeWorker(leader, "one"), FakeWorker(leader, "two")
    one.push(**stats(1, moves=True, moves_epoch=1, moves_held=0))
    two.push()
    await_true(lambda: set(ring_of(leader)) == {"one", "two"})
    assert act(leader, "one", "evacuate").status_code == 202 and ring_of(leader)["one"] == ("draining", 0)
    ring = leader.admin("GET", "/api/ring/ring").json()
    two.push(revision=ring["revision"])
    one.push(revision=ring["revision"], **stats(1, moves=True, moves_epoch=1, moves_held=0))
    assert act(leader, "one", "evacuate").status_code == 202
    one.push(revision=ring["revision"], **stats(1, moves=True, moves_epoch=ring["epoch"], moves_held=3))
    waits = act(leader, "one", "evacuate")
    assert waits.status_code == 202 and waits.json()["members"][0]["stats"]["movesHeld"] == 3
    one.push(revision=ring["revision"], **stats(1, moves=True, moves_epoch=ring["epoch"], moves_held=0))
    assert act(leader, "one", "evacuate").json()["evacuated"] is True
    assert act(leader, "two", "evacuate").json()["error"]["code"] == "last"


def test_a_member_is_evacuated_when_all_know_it_and_it_has_no_upload(leader):
    one, two = FakeWorker(leader, "one"), FakeWorker(leader, "two")
    one.push(**stats(1, uploads=2))
    two.push()
    first = act(leader, "one", "evacuate")
    assert first.status_code == 202 and first.json()["evacuated"] is False and first.json()["members"][0]["stats"]["uploads"] == 2
    assert ring_of(leader)["one"] == ("draining", 0)
    revision = leader.revision()
    one.push(revision=revision, **stats(2, uploads=2))
    two.push(revision=revision)
    assert act(leader, "one", "evacuate").status_code == 202
    # Whose clients have not gone on with them for some seconds are not waited for.
    one.push(revision=revision, **stats(3, uploads=2, uploads_rest=True))
    assert act(leader, "one", "evacuate").status_code == 200
    one.push(revision=revision, **stats(3, uploads=1, uploads_rest=False))
    assert act(leader, "one", "evacuate").status_code == 202
    one.push(revision=revision, **stats(3, uploads=0))
    done = act(leader, "one", "evacuate")
    assert done.status_code == 200 and done.json()["evacuated"] is True
    # One that does not know the ring yet may send it something.
    FakeWorker(leader, "three").push()
    assert act(leader, "one", "evacuate").status_code == 202
    assert leader.admin("DELETE", "/api/cluster/members/one").status_code == 409
    one.push(state="left")
    assert leader.admin("DELETE", "/api/cluster/members/one").status_code in (204, 404)


def test_a_worker_takes_itself_out_and_nobody_else(leader):
    """`zot-worker evacuate`: by the credential of all workers it is who it says; by one of its own it is who that is of."""
    one, two = FakeWorker(leader, "one"), FakeWorker(leader, "two")
    one.push()
    two.push()
    await_true(lambda: set(ring_of(leader)) == {"one", "two"})
    made = leader.admin("POST", "/api/worker", {"id": "two"}).json()

    def ask(name, verb, said, auth=one.session.auth):
        return requests.post(f"{leader.url}/api/cluster/members/{name}/{verb}", json={}, headers={"Zot-Worker-Name": said}, auth=auth, timeout=30)

    own = (made["clientId"], made["clientSecret"])
    for name, verb, said, auth in (("one", "drain", "one", one.session.auth), ("one", "evacuate?force=true", "one", one.session.auth),
                                   ("one", "evacuate", "", one.session.auth), ("one", "evacuate", "two", one.session.auth), ("one", "evacuate", "one", own)):
        assert ask(name, verb, said, auth).status_code == 403, (name, verb, said)
    assert requests.delete(f"{leader.url}/api/cluster/members/one", auth=one.session.auth, headers={"Zot-Worker-Name": "one"}, timeout=30).status_code == 403
    assert {state for state, _ in ring_of(leader).values()} == {"active"}
    assert ask("one", "evacuate", "one").status_code in (200, 202) and ring_of(leader)["one"][0] == "draining"
    assert leader.members()["one"]["drained"]["by"] == "one"
    assert ask("one", "undrain", "one").status_code == 200 and ring_of(leader)["one"][0] == "active"
    assert ask("two", "evacuate", "one", own).status_code in (200, 202) and ring_of(leader)["two"][0] == "draining"
