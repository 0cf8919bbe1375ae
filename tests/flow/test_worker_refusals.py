# SPDX-License-Identifier: Apache-2.0
"""Each refusal of a worker has a line in its log that says why, and no secret."""
import json

from test_worker_access import as_user, guarded, push  # noqa: F401
from worker_process import MANIFEST, Worker, await_true, image


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
