# SPDX-License-Identifier: Apache-2.0
"""Stars and bookmarks, in every deployment: zot's request and answers, exact whoever is asked, and made once however often it is sent."""
import json
import secrets
import subprocess
import time

import pytest
import requests

from leader_process import SECRET, Leader
from peer_tokens import Sender
from scripted_leader import ScriptedLeader, entity
from test_self_service import PASSWORD, add, led
from test_worker_access import PASSWORDS, push, write_htpasswd
from worker_process import CLUSTER_SECRET, Worker, await_true, free_port

PREFS = "/v2/_zot/ext/userprefs"


def toggle(worker, repo="team/app", user="ann", action="toggleStar", password=None, **more):
    return requests.put(worker.url + PREFS, params={"action": action, "repo": repo}, timeout=60,
                        auth=(user, password or PASSWORDS[user]) if user else None, **more)


def turned(worker, repo="team/app", user="ann", **more):
    """"on" or "off"."""
    reply = toggle(worker, repo, user, **more)
    assert reply.status_code == 200 and reply.content == b"", reply.text
    return reply.headers["Zot-Toggled"]


def rules(folder, **more):
    write_htpasswd(folder / "htpasswd")
    return {"http": {"auth": {"htpasswd": {"path": str(folder / "htpasswd")}},
                     "accessControl": {"repositories": {
                         "**": {"defaultPolicy": ["read"], "anonymousPolicy": ["read"]},
                         "team/**": {"policies": [{"users": ["ann", "bob"], "actions": ["read", "create", "update", "delete"]}]}}}},
            "extensions": more or {"userprefs": {"enable": True}}}


# Alone.

def test_zots_answers(tmp_path):
    with Worker(tmp_path, config=rules(tmp_path, search={"enable": True}, ui={"enable": True})) as worker:
        assert push(worker, "ann", "team/app", "v1") == 201
        zot, = [e for e in worker.call("GET", "/v2/_oci/ext/discover").json()["extensions"] if e["name"] == "_zot"]
        assert PREFS in zot["endpoints"]
        assert [turned(worker), turned(worker), turned(worker)] == ["on", "off", "on"]
        # One is not the other; nobody's is another's; the body is nothing.
        assert turned(worker, action="toggleBookmark", data=b"{junk") == "on" and turned(worker, user="bob") == "on"
        for query in ("", "?action=toggleStar", "?repo=team/app", "?action=star&repo=team/app", "?action=&repo=team/app",
                      "?action=toggleStar&repo=A", "?action=toggleStar&repo=team/app&repo=b", "?action=toggleStar&repo=" + "a" * 300):
            assert worker.call("PUT", PREFS + query, auth=("ann", PASSWORDS["ann"])).status_code == 400, query
        assert toggle(worker, "").status_code == 404
        for action in ("toggleStar", "toggleBookmark"):
            assert toggle(worker, "none/here", action=action).status_code == 404
        assert toggle(worker, user=None).status_code == 403           # anybody may look here
        assert toggle(worker, user="eve").status_code == 403 and toggle(worker, "team/none", user="eve").status_code == 403
        assert toggle(worker, password="not hers").status_code == 401
        assert worker.call("GET", PREFS).status_code == 405
        assert toggle(worker, data=b"x" * 10000).status_code == 413
        assert toggle(worker, headers={"Origin": "https://other.example"}).status_code == 403
        assert turned(worker) == "off"


def test_off_is_off(tmp_path):
    for number, extensions in enumerate(({"search": {"enable": True}}, {"ui": {"enable": True}},
                                         {"search": {"enable": True}, "ui": {"enable": True}, "userprefs": {"enable": False}})):
        (tmp_path / str(number)).mkdir()
        with Worker(tmp_path / str(number), config=rules(tmp_path, **extensions)) as worker:
            assert toggle(worker).status_code == 404
            assert not (worker.folder / "data/prefs.db").exists()


def test_a_star_is_durable_and_goes_with_its_user(tmp_path):
    worker = Worker(tmp_path, config=rules(tmp_path))
    with worker:
        assert push(worker, "ann", "team/app", "v1") == 201
        assert turned(worker) == "on" and turned(worker, user="bob") == "on"
        worker.kill()
        worker.start()
        assert turned(worker) == "off" and turned(worker) == "on"
        # The repository goes; what was starred can be taken back, and not be starred again.
        assert worker.call("DELETE", "/v2/team/app/manifests/v1", auth=("ann", PASSWORDS["ann"])).status_code == 202
        worker.stop()
        lines = (tmp_path / "htpasswd").read_text().splitlines(True)
        (tmp_path / "htpasswd").write_text("".join(line for line in lines if not line.startswith("ann:")))
        worker.start()
        assert turned(worker, user="bob") == "off"
        assert "prefs.gone" in worker.text()
        worker.stop()
        (tmp_path / "htpasswd").write_text("".join(lines))
        worker.start()
        assert push(worker, "ann", "team/app", "v1") == 201
        assert turned(worker) == "on"


def test_one_user_does_not_write_all_the_time(tmp_path):
    with Worker(tmp_path, config=rules(tmp_path)) as worker:
        assert push(worker, "ann", "team/app", "v1") == 201
        with requests.Session() as session:
            session.auth = ("ann", PASSWORDS["ann"])
            replies = [session.put(f"{worker.url}{PREFS}?action=toggleStar&repo=team/app", timeout=60) for _ in range(125)]
        assert [reply.status_code for reply in replies[:120]] == [200] * 120 and replies[-1].status_code == 429
        assert replies[-1].headers["Retry-After"] == "60" and turned(worker, user="bob") == "on"


# A static cluster.

def member(folder, ports, at, isolated):
    (folder / str(at)).mkdir(exist_ok=True)
    config = rules(folder / str(at))
    config["storage"] = {"rootDirectory": str(folder / str(at) / "store" if isolated else folder / "store")}
    config["cluster"] = {"members": [f"127.0.0.1:{port}" for port in ports], "hashKey": "loremipsumdolors", "secret": CLUSTER_SECRET, "isolated": isolated}
    return Worker(folder / str(at), port=ports[at], config=config)


@pytest.mark.parametrize("isolated", [True, False])
def test_in_a_static_cluster_the_owner_has_them(tmp_path, isolated):
    """Through either it is the same. Without the owner nobody answers, and nobody makes one of his own."""
    ports = [free_port(), free_port()]
    with member(tmp_path, ports, 0, isolated) as first, member(tmp_path, ports, 1, isolated) as second:
        names = [f"team/app-{at}" for at in range(6)]
        for name in names:
            assert push(first, "ann", name, "v1") == 201
        for name in names:
            assert [turned(one, name) for one in (first, second, second, first, first)] == ["on", "off", "on", "off", "on"]
        second.kill()
        replies = {name: toggle(first, name) for name in names}
        of_second = {name for name, reply in replies.items() if reply.status_code == 503}
        assert of_second and all(reply.headers["Zot-Toggled"] == "off" for name, reply in replies.items() if name not in of_second), replies
        second.start()
        await_true(lambda: first.call("GET", "/readyz").status_code == 200)
        for name in names:
            reply = await_true(lambda name=name: (r := toggle(first, name)).status_code == 200 and r)
            assert reply.headers["Zot-Toggled"] == ("off" if name in of_second else "on"), name


def test_what_a_peer_sends_again_is_made_once(tmp_path):
    """Its answer was lost; the owner was killed in between."""
    ports = [free_port(), free_port()]
    with member(tmp_path, ports, 0, True) as worker:
        sender = Sender(CLUSTER_SECRET, "member 1 of 2")
        with member(tmp_path, ports, 1, True):
            for at in range(12):
                assert push(worker, "ann", f"team/app-{at}", "v1") == 201
        mine = next((tmp_path / "0/store/team").iterdir()).name
        target = f"{PREFS}?action=toggleStar&repo=team%2F{mine}"

        def send(call):
            claims = {"user": "ann", "flags": 0, "call": f"\1call:{call}:0:0:{int(time.time() * 1000)}"}
            reply = worker.call("PUT", target, headers=sender.header("PUT", target, **claims))
            assert reply.status_code == 200, (reply.status_code, reply.text)
            return reply.headers["Zot-Toggled"]

        first, other = "11" * 16, "22" * 16
        assert [send(first), send(first)] == ["on", "on"]
        worker.kill()
        worker.start()
        assert [send(first), send(other), send(other), send(first)] == ["on", "off", "off", "off"]


# With leaders.

@pytest.fixture(scope="module")
def leader():
    with Leader() as one:
        for name in ("ann", "ben", "gone", "full"):
            add(one, name)
        one.admin("PUT", "/api/policy/**", {"defaultPolicy": ["read", "create", "update", "delete"]})
        one.admin("PUT", "/api/policy/closed/**", {"policies": [{"users": ["ben"], "actions": ["read", "create"]}]})
        yield one


@pytest.fixture(scope="module")
def worker(leader):
    with led(leader, ZOT_USERPREFS="true") as one:
        await_true(lambda: requests.get(one.url + "/v2/", auth=("full", PASSWORD), timeout=60).status_code == 200, what="the users")
        one.session.auth = ("ben", PASSWORD)
        for name in ("team/app", "team/b", "closed/app"):
            one.push(name, "v1")
        yield one


def kept(leader, user, kind="star"):
    """The leader's list, None: there is none."""
    reply = leader.admin("GET", f"/api/{kind}/{user}")
    return reply.json()["repositories"] if reply.status_code == 200 else None


def own(worker, *args, **more):
    return turned(worker, *args, password=PASSWORD, **more)


def test_the_leaders_have_them(leader, worker):
    assert own(worker) == "on" and own(worker, "team/b") == "on" and own(worker, action="toggleBookmark") == "on"
    assert kept(leader, "ann") == ["team/app", "team/b"] and kept(leader, "ann", "bookmark") == ["team/app"]
    assert "calls" not in leader.admin("GET", "/api/star/ann").text
    assert own(worker) == "off" and kept(leader, "ann") == ["team/b"]
    for path, status in (("none/here", 404), ("closed/app", 403)):
        assert toggle(worker, path, password=PASSWORD).status_code == status
    assert toggle(worker, user=None).status_code == 401        # nothing is open to the anonymous
    assert toggle(worker, user="nobody", password="x" * 10).status_code == 401
    # It is a list as others for an administrator, who may not write nonsense.
    assert leader.admin("PUT", "/api/star/ann", {"repositories": ["b", "a"]}).status_code == 400
    # Nothing of it is in the audit, which anybody who may log in could fill.
    assert "star" not in leader.admin("GET", "/api/audit?kind=star").text.replace('"kind":"star"', "")


def test_a_call_is_made_once_by_the_leader(leader):
    def send(call, there="true", **more):
        return requests.put(leader.url + "/api/cluster/self/prefs", auth=("workers", SECRET), timeout=60, json={}, params={
            "user": "ben", "repository": "a/b", "action": "toggleStar", "there": there, "call": call, **more})
    first = secrets.token_hex(16)
    assert [send(first).json(), send(first).json()] == [{"on": True}] * 2
    assert kept(leader, "ben") == ["a/b"]
    assert send(secrets.token_hex(16), there="false").json() == {"on": False} and send(first).json() == {"on": False}
    assert send(secrets.token_hex(16), there="false").status_code == 404
    for wrong in ({"call": "x"}, {"call": first.upper()}, {"action": "star"}, {"repository": "A"}, {"user": ""}):
        assert send(**{"call": first, **wrong}).status_code == 400, wrong
    assert send(first, user="stranger").status_code == 403


def test_a_list_has_an_end(leader, worker):
    names = sorted(f"app-{n}" for n in range(1000))
    assert leader.admin("PUT", "/api/star/full", {"repositories": names + ["b", "c"]}).status_code in (400, 413)
    assert leader.admin("PUT", "/api/star/full", {"repositories": names}).status_code in (200, 201)
    reply = toggle(worker, user="full", password=PASSWORD)
    assert reply.status_code == 409 and "1000" in reply.text, reply.text
    assert own(worker, "app-7", user="full") == "off" and own(worker, user="full") == "on"


def test_they_go_with_their_user(leader, worker):
    assert own(worker, user="gone") == "on" and own(worker, user="gone", action="toggleBookmark") == "on"
    assert leader.admin("DELETE", "/api/user/gone").status_code in (200, 204)
    await_true(lambda: kept(leader, "gone") is None and kept(leader, "gone", "bookmark") is None, what="the end of the lists")
    assert kept(leader, "ann") is not None
    add(leader, "gone")
    await_true(lambda: requests.get(worker.url + "/v2/", auth=("gone", PASSWORD), timeout=60).status_code == 200)
    assert own(worker, user="gone") == "on"


def test_whose_answer_was_lost_is_asked_again_under_the_same_id():
    with ScriptedLeader() as leader:
        user = entity("user", "ann", passwordHash=subprocess.run(["htpasswd", "-nbB", "ann", PASSWORD], check=True, capture_output=True, text=True).stdout.strip().partition(":")[2], enabled=True)
        good, asked = leader.good_push, []
        entities = leader.entities
        leader.entities = lambda: [*entities(), user]

        def answer(call):
            if "/self/prefs" not in call.path:
                return good(call)
            asked.append(call.query)
            if len(asked) == 1:
                call.handler.connection.close()
            else:
                body = json.dumps({"on": True}).encode()
                call.answer(200, body, {"Content-Type": "application/json"})
        leader.push = answer
        with leader.worker(ZOT_USERPREFS="true") as worker:
            worker.push("team/app", "v1")
            assert turned(worker, password=PASSWORD) == "on"
        assert len(asked) == 2 and asked[0] == asked[1] and len(asked[0]["call"]) == 32 and asked[0]["there"] == "true"
