# SPDX-License-Identifier: Apache-2.0
"""Each refusal of a worker has a line in its log that says why, and no secret."""
import contextlib
import itertools
import json
import subprocess

import requests

from test_worker_access import as_user, guarded, push  # noqa: F401
from test_worker_certificates import Authority
from worker_process import BUILD, MANIFEST, Worker, await_true, image


def lines(program, event):
    found = [json.loads(line) for line in program.text().splitlines() if line.startswith("{")]
    return [line for line in found if line["message"] == event]


def refused(program, call):
    """What the log says of the one request that call() makes."""
    before = len(lines(program, "request.refused"))
    call()
    await_true(lambda: len(lines(program, "request.refused")) > before)
    [line] = lines(program, "request.refused")[before:]
    return line


def test_a_policy_that_refuses_is_named(guarded):  # noqa: F811
    line = refused(guarded, lambda: push(guarded, "eve", "team/app", "v1"))
    assert {name: line[name] for name in ("level", "status", "reason", "user", "from", "method", "repository", "action", "policy", "of")} == {
        "level": "warn", "status": 403, "reason": "no_rule", "user": "eve", "from": "127.0.0.1", "method": "POST", "repository": "team/app",
        "action": "create", "policy": "team/**", "of": "file"}
    assert push(guarded, "eve", "public/app", "v1") == 201
    # Moving a tag is an update: which of the two it must be is known only behind the body.
    line = refused(guarded, lambda: push(guarded, "eve", "public/app", "v1", image(annotations={"n": "2"})))
    assert (line["action"], line["policy"], line["reason"], line["method"]) == ("update", "public/*", "no_rule", "PUT")
    line = refused(guarded, lambda: guarded.call("GET", "/v2/team/app/tags/list"))
    assert (line["status"], line["reason"], line["user"], line["policy"], line["level"]) == (401, "no_rule", "", "team/**", "info")


def test_a_login_that_is_refused_says_why_and_no_secret(guarded):  # noqa: F811
    get = lambda *auth: guarded.call("GET", "/v2/team/app/tags/list", auth=auth)  # noqa: E731
    line = refused(guarded, lambda: get("ann", "not her password"))
    assert (line["status"], line["reason"], line["user"], line["path"]) == (401, "password_wrong", "ann", "/v2/team/app/tags/list")
    assert refused(guarded, lambda: get("mallory", "a guess"))["reason"] == "user_unknown"
    line = refused(guarded, lambda: get("ann", "zak_0123456789abcdef0123456789abcdef"))
    assert line["reason"] == "apikey_unknown"
    # A password in the place of the name.
    line = refused(guarded, lambda: get("Tr0ub4dor&3 is what I typed here", "ann"))
    assert (line["user"], line["reason"]) == ("Tr0ub4dor&3 is w...", "user_unknown")
    assert refused(guarded, lambda: get("zak_00112233445566778899", "x"))["user"] == "zak_..."
    line = refused(guarded, lambda: guarded.call("GET", "/v2/team/app/tags/list", headers={"Authorization": "Bearer eyJhbGciOi"}))
    assert line["reason"] == "login_malformed"
    text = guarded.text()
    for secret in ("not her password", "a guess", "0123456789abcdef", "what I typed", "00112233445566778899", "eyJhbGciOi"):
        assert secret not in text


def test_the_client_learns_nothing_more(guarded):  # noqa: F811
    """One body and one set of headers, whatever the reason."""
    def told(user, password):
        reply = guarded.call("GET", "/v2/team/app/tags/list", auth=(user, password))
        return reply.status_code, reply.content, sorted(name for name in reply.headers if name != "Date"), reply.headers["WWW-Authenticate"]

    assert told("ann", "wrong") == told("nobody-of-that-name", "wrong") == told("ann", "zak_wrong")
    assert told("ann", "wrong")[0] == 401


def test_lines_are_few_and_the_others_are_counted(guarded):  # noqa: F811
    for _ in range(25):
        assert guarded.call("GET", "/v2/team/app/tags/list", **as_user("eve")).status_code == 403
    await_true(lambda: lines(guarded, "refusals.suppressed"), what="the number of those that were not told")
    assert len(lines(guarded, "request.refused")) == 10
    assert lines(guarded, "refusals.suppressed")[0]["count"] >= 1
    # Who is only told to log in takes nothing of what refusals have.
    line = refused(guarded, lambda: guarded.call("GET", "/v2/team/app/tags/list"))
    assert line["status"] == 401


def test_who_asks_too_often_is_told_of(tmp_path):
    with Worker(tmp_path, config={"http": {"ratelimit": {"rate": 1}}}) as worker:
        for _ in range(10):
            worker.call("GET", "/v2/")
        await_true(lambda: lines(worker, "request.refused"))
        line = lines(worker, "request.refused")[0]
        assert (line["status"], line["reason"], line["path"]) == (429, "rate_limit", "/v2/")


def test_a_page_of_another_site_is_told_of(guarded):  # noqa: F811
    line = refused(guarded, lambda: guarded.call("PUT", "/v2/team/app/manifests/v1", data=b"{}", headers={
        "Content-Type": MANIFEST, "Sec-Fetch-Site": "cross-site"}, **as_user("ann")))
    assert (line["status"], line["reason"]) == (403, "another_site")


def test_a_refused_certificate_is_told_of(tmp_path, tmp_path_factory):
    authority, stranger = (Authority(tmp_path_factory.mktemp("certificates") / name) for name in ("right", "other"))
    cert, key = authority.give("server", "/CN=127.0.0.1", "IP:127.0.0.1", "serverAuth")
    with Worker(tmp_path, config={"http": {"tls": {"cert": cert, "key": key, "cacert": authority.ca}}}, verify=authority.ca) as worker:
        for name, certificate, why in (("mallory", stranger.give("mallory", "/CN=mallory"), "unable to get local issuer certificate: /CN=mallory"),
                                       ("late", authority.give("late", "/CN=late", expired=True), "certificate has expired: /CN=late")):
            with contextlib.suppress(requests.exceptions.RequestException), requests.Session() as session:
                session.trust_env, session.verify = False, authority.ca
                session.get(worker.url + "/v2/", cert=certificate, timeout=30)
            await_true(lambda: any(line["why"] == why for line in lines(worker, "certificate.refused")), what=f"{name}: {why}")
        assert {line["from"] for line in lines(worker, "certificate.refused")} == {"127.0.0.1"}
        # One that verifies and names nobody is as good as none.
        with requests.Session() as session:
            session.trust_env, session.verify = False, authority.ca
            line = refused(worker, lambda: session.get(worker.url + "/v2/", cert=authority.give("nameless", "/O=acme"), timeout=30))
        assert (line["status"], line["reason"], line["level"]) == (401, "certificate_names_nobody", "warn")


# zot-worker access.

def ask(config, *arguments, **environment):
    """(status, what it prints to stdout, and to stderr)"""
    done = subprocess.run([str(BUILD / "worker/zot-worker"), "access", *arguments, str(config)], capture_output=True, text=True, timeout=60, env=environment)
    return done.returncode, done.stdout, done.stderr


def test_the_command_explains_what_is_served(guarded):  # noqa: F811
    """Everybody, everywhere, everything; reading and pushing by what the worker answers."""
    config = guarded.folder / "config.json"
    push(guarded, "root", "team/app", "v1")
    push(guarded, "root", "public/app", "v1")
    push(guarded, "root", "other/app", "v1")
    for user, name in itertools.product((None, "ann", "bob", "eve", "root"), ("team/app", "public/app", "other/app")):
        for action, call in (("read", lambda: guarded.call("GET", f"/v2/{name}/tags/list", **as_user(user))),
                             ("delete", lambda: guarded.call("DELETE", f"/v2/{name}/manifests/none", **as_user(user))),
                             ("create", lambda: guarded.call("POST", f"/v2/{name}/blobs/uploads/", **as_user(user)))):
            arguments = ["--repository", name, "--action", action, *(["--user", user] if user else [])]
            served = call().status_code not in (401, 403)
            assert ask(config, *arguments)[0] == (0 if served else 1), (user, name, action, served)


def test_the_command_says_which_policy_decides(guarded):  # noqa: F811
    config = guarded.folder / "config.json"
    status, said, _ = ask(config, "--user=ann", "--repository=team/app", "--action=create")
    assert status == 0 and said == ('allowed: a rule of the policy that decides allows it\nreason:  rule\npolicy:  "team/**", rule 0\n'
                                    'matches: "team/**" decides\nmatches: "**"\n')
    status, said, _ = ask(config, "--user=eve", "--repository=team/app", "--action=read")
    assert status == 1 and said.startswith("refused: nothing in the policy") and 'policy:  "team/**"\n' in said
    assert ask(config, "--user=eve", "--groups=dev,ops", "--repository=team/app", "--action=read")[0] == 0
    status, said, _ = ask(config, "--user=nobody", "--repository=public/app", "--action=read")
    assert status == 1 and "reason:  user_unknown" in said
    for arguments, told in ((["--repository=a"], "--repository and --action are needed"), (["--repository=a", "--action=push"], "--action: is one of read"),
                            (["--repository=A B", "--action=read"], "--repository"), (["--key=x", "--repository=a", "--action=read"], "API keys are the leader's"),
                            (["--repo=a"], "there is no option")):
        status, said, error = ask(config, *arguments)
        assert status == 2 and told in error and not said, (arguments, error)


def test_the_command_of_a_led_worker_says_who_decides(tmp_path):
    (tmp_path / "open.json").write_text(json.dumps({"storage": {"rootDirectory": str(tmp_path)}}))
    status, said, _ = ask(tmp_path / "open.json", "--user=ann", "--repository=a", "--action=delete")
    assert status == 0 and said.startswith("note:    nobody can log in")
    status, said, error = ask(tmp_path / "open.json", "--user=ann", "--repository=a", "--action=read", CLUSTER_MODE="worker", CLUSTER_WORKER_NAME="one",
                              CLUSTER_LEADER_URL="http://127.0.0.1:1", CLUSTER_LEADER_CLIENT_ID="workers",
                              CLUSTER_LEADER_CLIENT_SECRET="a secret of the workers only", CLUSTER_SELF_ADDRESS="http://127.0.0.1:5000")
    assert status == 2 and "GET /api/access" in error and not said, error
