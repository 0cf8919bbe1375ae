# SPDX-License-Identifier: Apache-2.0
"""zot-leader ctl: the admin API from the command line; for people, for programs, and when leaders are away."""
import fcntl
import http.server
import json
import os
import pty
import re
import struct
import subprocess
import termios
import threading

import pytest

from leader_process import FakeWorker, Leader
from program import BUILD
from registry import free_port
from test_worker_certificates import authority, tls  # noqa: F401 fixtures
from worker_process import await_true

LONG = "a long password"


@pytest.fixture
def leader():
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as one:
        yield one


def environment(leader, **more):
    return {"PATH": os.environ["PATH"], "ZOT_LEADER_URL": leader.url, "ZOT_LEADER_PASSWORD": leader.password, **more}


def ctl(leader, *arguments, status=0, input=None, **more):
    done = subprocess.run([str(BUILD / "leader/zot-leader"), "ctl", *map(str, arguments)], env=environment(leader, **more), capture_output=True, text=True,
                          timeout=60, input=input)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stderr


def table(text):
    """Rows of words in columns that begin where their heads do."""
    heads, *rows = text.splitlines()
    begins = [found.start() for found in re.finditer(r"(?<=  )\S|^\S", heads)]
    return [[row[begin:end].strip() for begin, end in zip(begins, begins[1:] + [None])] for row in (heads, *rows)]


def test_users_are_made_shown_changed_and_deleted(leader, tmp_path):
    (tmp_path / "password").write_text(LONG + "\nanother line\n")
    out = ctl(leader, "create", "user", "ann", 'groups=["dev","ops"]', "metadata.team=core", "metadata.room=12 b", f"password=@{tmp_path}/password")
    assert out.startswith("ann created, revision ")
    ann = leader.admin("GET", "/api/user/ann").json()
    assert (ann["groups"], ann["metadata"], ann["enabled"]) == (["dev", "ops"], {"team": "core", "room": "12 b"}, True)
    assert leader.admin("PATCH", "/api/user/ann", {"roles": ["admin"]}).status_code == 200
    assert ctl(leader, "get", "user", "--user", "ann", ZOT_LEADER_PASSWORD=LONG)

    assert table(ctl(leader, "get", "user")) == [["ID", "ENABLED", "ROLES", "GROUPS"], ["admin", "yes", "admin", "-"], ["ann", "yes", "admin", "dev, ops"]]
    one = dict(row for row in table(ctl(leader, "get", "user", "ann")))
    assert one["id"] == "ann" and one["groups"] == "dev, ops" and one["metadata"] == '{"team":"core","room":"12 b"}'

    assert "ann changed, revision" in ctl(leader, "set", "user", "ann", "enabled=false", "roles=[]")
    ann = leader.admin("GET", "/api/user/ann").json()
    assert ann["enabled"] is False and ann["roles"] == [] and ann["groups"] == ["dev", "ops"]
    ctl(leader, "set", "user", "ann", "-f", "-", "--replace", input='{"groups":["qa"]}')
    assert leader.admin("GET", "/api/user/ann").json()["groups"] == ["qa"]
    assert "412" in ctl(leader, "set", "user", "ann", "enabled=true", "--revision", "1", status=1)
    assert ctl(leader, "delete", "user", "ann") == "ann deleted\n"
    assert leader.admin("GET", "/api/user/ann").status_code == 404


def test_ids_with_slashes_and_texts_that_look_like_json(leader):
    ctl(leader, "create", "policy", "team/**", 'defaultPolicy=["read"]')
    assert ctl(leader, "get", "policy", "team/**", "--json").startswith('{"id":"team/**"')
    ctl(leader, "delete", "policy", "--", "team/**")
    ctl(leader, "create", "apikey", "a-key-of-mine", "owner=admin", 'label="5"', "dailyQuota=5")
    key = leader.admin("GET", "/api/apikey/a-key-of-mine").json()
    assert (key["label"], key["dailyQuota"]) == ("5", 5)


def test_a_secret_is_shown_once_and_keys_are_logins(leader):
    made = dict(row for row in table(ctl(leader, "create", "apikey", "owner=admin", "label=ci").split("\n", 1)[1]))
    as_key = {"ZOT_API_KEY": made["apiKey"], "ZOT_LEADER_PASSWORD": ""}
    assert made["clientId"] in ctl(leader, "get", "apikey", **as_key)
    assert ctl(leader, "get", "apikey", ZOT_API_KEY=f"{made['clientId']}:{made['clientSecret']}", ZOT_LEADER_PASSWORD="")
    rotated = json.loads(ctl(leader, "rotate", made["clientId"], "--grace", "0", "--json"))
    assert rotated["clientSecret"] != made["clientSecret"]
    assert "401" in ctl(leader, "get", "apikey", status=1, **as_key)
    leader.admin("PUT", "/api/apikey/a-key-that-ended", {"owner": "admin", "validUntil": 1000000000})
    assert "over 2001-09-09T01:46:40" in ctl(leader, "get", "apikey")


def test_json_is_what_the_api_answers(leader):
    for path, *arguments in (("/api/user/admin", "get", "user", "admin"), ("/api/user?n=1000", "get", "user"), ("/api/cluster/members", "members"),
                             ("/api/usage?day=2026-11-20", "usage", "--day", "2026-11-20"), ("/api/audit?kind=user&n=5", "audit", "--kind", "user", "--n", 5),
                             ("/api/access?repository=a&action=read&user=admin", "access", "a", "read", "--of", "admin")):
        assert ctl(leader, *arguments, "--json") == leader.admin("GET", path).text, arguments


def test_long_lists_come_whole(leader):
    for n in range(1005):
        leader.admin("POST", "/api/policy", {"id": f"team-{n:04}/**"})
    rows = table(ctl(leader, "get", "policy"))
    assert len(rows) == 1006 and rows[-1][0] == "team-1004/**" and sum(row[0] == "ID" for row in rows) == 1
    pages = ctl(leader, "get", "policy", "--json").splitlines()
    assert [len(json.loads(page)["items"]) for page in pages] == [1000, 5]


def test_chores_are_shown_begun_and_ended(leader):
    worker = FakeWorker(leader, "one")
    rows = [{"name": "fold"}, {"name": "gc", "state": "running", "can_dry_run": True, "run": {"unit": "repositories", "done": 3, "about": 9, "what": "a/b", "removed": 2, "dry_run": True}},
            {"name": "weigh", "last": {"how": "failed", "error": "no disk", "at_s": 1700000000}}]
    assert worker.push(seq=0, number=1, chores=rows, chores_whole=True).status_code == 200
    shown = table(ctl(leader, "chores"))
    assert [row[:3] for row in shown[1:]] == [["one", "fold", "idle"], ["one", "gc", "running"], ["one", "weigh", "idle"]]
    assert shown[2][3] == "3 of about 9 repositories, would remove 2, at a/b" and shown[3][4:] == ["2023-11-14T22:13:20.000Z", "failed: no disk"]
    assert len(table(ctl(leader, "chores", "another"))) <= 1
    assert table(ctl(leader, "chore", "stop", "gc", "one"))[1][0] == "one"
    answer = worker.push(seq=0, number=2).json()
    assert [(one["chore"], one.get("stop")) for one in answer["orders"]] == [("gc", True)]
    assert json.loads(ctl(leader, "chore", "start", "weigh", "--json"))["members"][0]["name"] == "one"
    assert "these have one: gc" in ctl(leader, "chore", "start", "fold", "--dry-run", status=1)
    assert 'did you mean "weigh"?' in ctl(leader, "chore", "start", "wiegh", status=1)
    assert "needs start or stop" in ctl(leader, "chore", "begin", "gc", status=2)


def test_members_usage_audit_and_access(leader):
    leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 1000, "pushEveryMs": 500})
    key = leader.new_key(label="ci")
    FakeWorker(leader, "one").push(usage=[{"apikey": key["clientId"], "day": "2026-11-20", "calls": 7}])
    head, members = ctl(leader, "members").split("\n", 1)
    assert head.startswith("leader zot-leader, cluster ") and table(members)[1][0] == "one" and "http://one:1" in members
    usage = ctl(leader, "usage", "--owner", "admin", "--day", "2026-11-20")
    assert table(usage)[1][:6] == [key["clientId"], "admin", "ci", "2026-11-20", "-", "7"]
    audit = table(ctl(leader, "audit", "--by", "admin", "--kind", "settings"))
    assert audit[1][1:6] == ["admin", "127.0.0.1", "settings", "cluster", "patched"] and '"leaseMs":6000' in audit[1][7] and '"leaseMs":1000' in audit[1][7]
    assert dict(row for row in table(ctl(leader, "access", "a/b", "read", "--of", "admin")))["allowed"] == "yes"
    await_true(lambda: leader.members()["one"]["state"] == "lost")
    assert ctl(leader, "forget", "one") == "one forgotten\n"


def test_what_was_refused_is_said_as_the_api_says_it(leader):
    assert 'did you mean "enabled"?' in ctl(leader, "set", "user", "admin", "enabld=true", status=1)
    assert "(404 unknown)" in ctl(leader, "get", "user", "nobody", status=1)
    refused = json.loads(ctl(leader, "get", "user", "nobody", "--json", status=1))
    assert refused["error"]["code"] == "unknown"
    assert "401" in ctl(leader, "get", "user", status=1, ZOT_LEADER_PASSWORD="wrong")
    leader.admin("POST", "/api/user", {"id": "rita", "password": LONG, "roles": ["reader"]})
    assert "a reader changes nothing" in ctl(leader, "delete", "user", "admin", "--user", "rita", status=1, ZOT_LEADER_PASSWORD=LONG)


@pytest.mark.parametrize("arguments", [
    ("gett",), ("get",), ("get", "user", "a", "b"), ("get", "user", "--users", "x"), ("set", "user", "ann"), ("set", "user", "ann", "enabled"), ("delete", "user"),
    ("rotate",), ("rotate", "x", "--grace", "soon"), ("import",), ("import", "x", "--mode", "some"), ("access", "a"), ("create",), ("forget",), (),
    ("get", "user", "a", "--sort", "id"), ("drain",), ("evacuate",), ("undrain", "a", "--force"), ("rescue",), ("live", "--every", "soon"), ("live", "--every", "0"),
    ("bulk",), ("bulk", "make", "user", "x"), ("bulk", "create", "user"), ("get", "user", "--leader", "leader:8080"), ("get", "user", "--leader", ",")])
def test_a_wrong_use_is_2(leader, arguments):
    ctl(leader, *arguments, status=2)


def test_no_password_is_no_question_where_nobody_is(leader):
    done = subprocess.run([str(BUILD / "leader/zot-leader"), "ctl", "get", "user"], env=environment(leader, ZOT_LEADER_PASSWORD=""), capture_output=True, text=True,
                          timeout=60, start_new_session=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "ZOT_LEADER_PASSWORD" in done.stderr


def test_leaders_that_are_away_are_passed_over(leader):
    away, away_too = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    assert "admin" in ctl(leader, "get", "user", "--leader", f"{away},{leader.url}/")
    assert "ann created" in ctl(leader, "create", "user", "ann", ZOT_LEADER_URL="", CLUSTER_LEADER_URLS=f"{away}, {leader.url}".replace(" ", ""))
    said = ctl(leader, "get", "user", "--leader", f"{away},{away_too}", status=3)
    assert away in said and away_too in said


def test_a_leader_over_tls_is_asked_with_its_ca(tls, authority):  # noqa: F811
    with Leader(verify=authority.ca, ZOT_TLS_CERT=tls["cert"], ZOT_TLS_KEY=tls["key"]) as one:
        assert "admin" in ctl(one, "get", "user", "--ca", authority.ca)
        assert "certificate" in ctl(one, "get", "user", status=3)


def on_a_terminal(leader, arguments, columns=80, say=None, **more):
    """What is written to a terminal that is so wide, on which `say` is typed when something is asked; and the status."""
    pid, fd = pty.fork()
    if not pid:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.execve(BUILD / "leader/zot-leader", ["zot-leader", "ctl", *arguments], environment(leader, **more))
    text = b""
    while True:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        text += piece
        if say and text.endswith(b": "):
            os.write(fd, say.encode() + b"\n")
            say = None
    os.close(fd)
    return text.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_password_is_asked_for_without_echo(leader):
    text, status = on_a_terminal(leader, ["get", "user"], say=leader.password, ZOT_LEADER_PASSWORD="")
    assert status == 0 and "Password of admin: " in text and "ENABLED" in text and leader.password not in text


def test_a_narrow_terminal_gets_narrow_tables_and_no_commands(leader):
    leader.admin("POST", "/api/user", {"id": "ann", "groups": ["g" * 200, "\x1b[2J\x9b\u202e"]})
    text, status = on_a_terminal(leader, ["get", "user"], columns=60)
    lines = text.replace("\r", "").splitlines()
    assert status == 0 and all(len(line) <= 60 for line in lines) and lines[2].endswith("...")
    wide = ctl(leader, "get", "user")
    assert "g" * 200 in wide and "?[2J??" in wide and "\x1b" not in wide


def test_watch_tells_what_happens_and_outlives_a_leader(leader):
    watch = subprocess.Popen([str(BUILD / "leader/zot-leader"), "ctl", "watch"], env=environment(leader), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []

    def read():
        for line in watch.stdout:
            lines.append(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        def seen(*words):
            return any(all(word in line for word in words) for line in list(lines))

        leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 60000, "pushEveryMs": 500})
        worker = FakeWorker(leader, "one")
        worker.push()
        await_true(lambda: seen("member one active, http://one:1"))

        def change_is_seen(name):
            leader.admin("PUT", f"/api/policy/{name}", {"defaultPolicy": ["read"]})
            return seen("change policy", name)

        await_true(lambda: change_is_seen("first"))
        assert seen("change policy first created, by admin from 127.0.0.1")
        leader.kill()
        leader.start()
        await_true(lambda: change_is_seen("second"))
    finally:
        watch.terminate()
        watch.wait(30)
        reader.join(30)


def test_lists_are_filtered_searched_and_sorted(leader):
    for name, groups in (("ann", ["dev"]), ("bob", ["ops"]), ("anton", ["dev", "ops"])):
        leader.admin("POST", "/api/user", {"id": name, "password": LONG, "groups": groups})
    leader.admin("PATCH", "/api/user/bob", {"enabled": False})

    def ids(*arguments):
        return [row[0] for row in table(ctl(leader, "get", "user", *arguments))[1:]]

    assert ids("--filter", "enabled:false") == ["bob"] and ids("--filter", "id:an*,groups:ops") == ["anton"] and ids("--words", "ANT") == ["anton"]
    assert ids("--filter", "id:an*", "--sort=-id") == ["anton", "ann"]
    assert "filter" in ctl(leader, "get", "user", "--filter", "colour:red", status=1)


def test_many_are_written_as_one(leader, tmp_path):
    file = tmp_path / "lines"
    file.write_text('{"id":"ann","groups":["dev"]}\n{"id":"bob"}\n')
    assert table(ctl(leader, "bulk", "create", "user", file)) == [["ID", "HOW", "API KEY"], ["ann", "created", "-"], ["bob", "created", "-"]]
    file.write_text('{"owner":"ann","label":"ci"}\n')
    key, how, secret = table(ctl(leader, "bulk", "create", "apikey", file))[1]
    assert how == "created" and leader.admin("GET", f"/api/apikey/{key}").json()["label"] == "ci" and secret.startswith("zak_")
    file.write_text('{"id":"ann","enabled":false}\n{"id":"nobody","enabled":false}\n')
    assert "line 2" in ctl(leader, "bulk", "set", "user", file, status=1) and leader.admin("GET", "/api/user/ann").json()["enabled"]
    file.write_text('{"id":"ann"}\n{"id":"bob"}\n')
    assert json.loads(ctl(leader, "bulk", "delete", "user", file, "--json"))["items"][1]["how"] == "deleted"
    ctl(leader, "bulk", "delete", "user", tmp_path / "absent", status=1)


def test_a_worker_is_drained_evacuated_and_taken_back(leader):
    leader.admin("PATCH", "/api/settings/cluster", {"leaseMs": 600000})
    workers = [FakeWorker(leader, name) for name in ("one", "a/two")]

    def beat(**more):
        for worker in workers:
            state = worker.state()
            assert worker.push(revision=int(state.headers["Zot-State-Revision"]), state_digest=state.headers["Zot-State-Result"], **more).status_code == 200

    beat()
    await_true(lambda: {row["state"] for row in leader.admin("GET", "/api/cluster/ring").json()["members"]} == {"active"} and beat() is None
               and len(leader.admin("GET", "/api/cluster/ring").json()["members"]) == 2)
    assert ctl(leader, "drain", "a/two") == "a/two drained\n" and leader.members()["a/two"]["drained"]["by"] == "admin"
    assert "no other member is active" in ctl(leader, "drain", "one", status=1)
    assert ctl(leader, "undrain", "a/two") == "a/two undrained\n" and "drained" not in leader.members()["a/two"]
    assert "there is no member" in ctl(leader, "drain", "three", status=1)
    # It waits until all know it.
    asked = subprocess.Popen([str(BUILD / "leader/zot-leader"), "ctl", "evacuate", "a/two"], env=environment(leader), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert "not empty yet" in asked.stderr.readline()
        await_true(lambda: beat() or asked.poll() is not None)
    finally:
        asked.kill()
    assert asked.stdout.read().startswith("a/two evacuated") and asked.wait() == 0
    assert ctl(leader, "drain", "one", "--force") == "one drained\n"
    assert "the id of this cluster" in ctl(leader, "rescue", "0" * 32, status=1)


def test_usage_by_user_and_group(leader):
    leader.admin("POST", "/api/user", {"id": "ann", "password": LONG, "groups": ["dev"]})
    key = leader.new_key(owner="ann")
    FakeWorker(leader, "one").push(usage=[{"apikey": key["clientId"], "day": "2026-11-20", "calls": 3, "bytes_in": 4}])
    assert table(ctl(leader, "usage", "--by", "user", "--day", "2026-11-20"))[1] == ["ann", "1", "3", "4", "0"]
    assert table(ctl(leader, "usage", "--by", "group", "--month", "2026-11"))[1] == ["dev", "1", "3", "4", "0"]


@pytest.mark.parametrize("json_lines", [False, True])
def test_live_tells_figures_and_events_and_outlives_a_leader(leader, json_lines):
    live = subprocess.Popen([str(BUILD / "leader/zot-leader"), "ctl", "live", "--every", "1000", *(["--json"] if json_lines else [])],
                            env=environment(leader), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def until(*words):
        for line in live.stdout:
            if all(word in line for word in words):
                return line
        raise AssertionError(f"it ended before {words}")

    try:
        first = until('"event":"cluster"' if json_lines else "Z cluster active 0, lost 0, rate 0,")
        assert not json_lines or json.loads(first)["data"]["active"] == 0
        leader.admin("PUT", "/api/policy/a", {"defaultPolicy": ["read"]})
        until("changed", "policy")
        leader.kill()
        leader.start()
        # A stream that is new begins with all.
        until('"event":"ring"' if json_lines else "Z ring epoch ")
        FakeWorker(leader, "one").push()
        until('"active":1' if json_lines else "active 1,")
    finally:
        live.kill()
        live.wait(30)


def test_what_was_exported_comes_back(leader, tmp_path):
    leader.admin("POST", "/api/user", {"id": "ann", "password": LONG, "groups": ["dev"]})
    key = leader.admin("POST", "/api/apikey", {"owner": "ann"}).json()
    file = tmp_path / "all.ndjson"
    ctl(leader, "export", file)
    assert LONG not in file.read_text() and key["clientSecret"] not in file.read_text()
    ctl(leader, "delete", "user", "ann")
    ctl(leader, "create", "user", "eve")
    dry = json.loads(ctl(leader, "import", file, "--dry-run", "--mode", "replace", "--json"))
    assert leader.admin("GET", "/api/user/ann").status_code == 404 and leader.admin("GET", "/api/user/eve").status_code == 200, dry
    ctl(leader, "import", file)
    assert leader.admin("GET", "/api/user/ann").json()["groups"] == ["dev"] and leader.admin("GET", "/api/user/eve").status_code == 200
    ctl(leader, "import", file, "--mode", "replace")
    assert leader.admin("GET", "/api/user/eve").status_code == 404
    rows = [(row["kind"], row["id"], row["how"], row["user"]) for row in leader.admin("GET", "/api/audit?n=3").json()["items"]]
    assert ("user", "eve", "deleted", "admin") in rows
    leader.admin("PATCH", "/api/user/ann", {"roles": ["admin"]})
    assert "ann" in ctl(leader, "get", "user", "--user", "ann", ZOT_LEADER_PASSWORD=LONG)
    (tmp_path / "broken").write_text("{}\n{\n")
    assert "line" in ctl(leader, "import", tmp_path / "broken", status=1)
    leader.admin("POST", "/api/user", {"id": "rita", "password": LONG, "roles": ["reader"]})
    assert "403" in ctl(leader, "export", tmp_path / "of-rita", "--user", "rita", status=1, ZOT_LEADER_PASSWORD=LONG)
    assert not (tmp_path / "of-rita").exists()


class Scripted(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Accept"], None))
        if self.server.cut:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"{}\n")
            self.close_connection = True
        else:
            self.answer(200, "application/x-ndjson", self.server.export)

    def do_POST(self):
        self.server.asked.append((self.path, self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer(200, "application/json", b'{"created":1,"changed":0}')

    def log_message(self, *args):
        pass


@pytest.fixture
def scripted():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
        server.asked, server.export, server.cut = [], b'{"kind":"user","entity":{"id":"ann"}}\n' * 100000, False
        server.url, server.password = f"http://127.0.0.1:{server.server_port}", "x"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_export_and_import_are_files_of_any_length(scripted, tmp_path):
    assert ctl(scripted, "export").encode() == scripted.export
    file = tmp_path / "all.ndjson"
    ctl(scripted, "export", file)
    assert file.read_bytes() == scripted.export and file.stat().st_mode & 0o777 == 0o600
    assert scripted.asked[-1][:2] == ("/api/export", "application/x-ndjson")
    assert table(ctl(scripted, "import", file, "--dry-run")) == [["MEMBER", "VALUE"], ["created", "1"], ["changed", "0"]]
    assert scripted.asked[-1] == ("/api/import?mode=merge&dryRun=true", "application/x-ndjson", scripted.export)
    ctl(scripted, "import", file, "--mode", "replace")
    assert scripted.asked[-1][0] == "/api/import?mode=replace"


def test_a_rescue_is_asked_for_by_the_clusters_id(scripted):
    assert ctl(scripted, "rescue", "a b").startswith("a b rescued")
    assert scripted.asked[-1] == ("/api/cluster/rescue?cluster=a%20b", "application/json", b"{}")


def test_an_export_that_was_cut_is_no_file(scripted, tmp_path):
    scripted.cut = True
    ctl(scripted, "export", tmp_path / "all.ndjson", status=1)
    assert list(tmp_path.iterdir()) == []
    ctl(scripted, "import", tmp_path / "absent", status=1)


def test_help_man_and_completion_know_it():
    program = str(BUILD / "leader/zot-leader")

    def text(*arguments):
        return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, check=True).stdout

    assert "zot-leader ctl import" in text("ctl", "help") and "--dry-run" in text("ctl", "import", "--help")
    assert "ctl import" in text("help", "man").replace("\\-", "-") and "no leader was reached" in text("help", "man")

    def complete(*words):
        script = f'{text("help", "bash")}\nCOMP_WORDS=({" ".join(words)} "")\nCOMP_CWORD={len(words)}\n_f() {{ :; }}\n$(complete -p zot-leader | sed "s/.*-F \\([^ ]*\\).*/\\1/")\n'
        return subprocess.run(["bash", "-c", script + 'printf "%s\\n" "${COMPREPLY[@]}"'], capture_output=True, text=True, timeout=30, check=True).stdout.split()

    assert {"ctl", "serve"} <= set(complete("zot-leader"))
    assert {"get", "import", "watch"} <= set(complete("zot-leader", "ctl"))
    assert {"--dry-run", "--mode", "--leader"} <= set(complete("zot-leader", "ctl", "import"))
