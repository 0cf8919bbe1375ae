# SPDX-License-Identifier: Apache-2.0
"""Logging in as a browser does: a cookie, its csrf, and when it is over."""
import base64

import pytest
import requests

from leader_process import SECRET, FakeWorker, Leader

PAGES = {"X-Requested-With": "zot-pages"}


@pytest.fixture
def leader():
    with Leader(CLUSTER_LEADER_CACHE_STATE_FOR=0) as one:
        yield one


def browser():
    session = requests.Session()
    session.trust_env = False
    return session


def log_in(leader, user=Leader.user, password=Leader.password, **headers):
    """(the browser, the reply to its login)"""
    one = browser()
    return one, one.post(leader.url + "/api/session", json={"user": user, "password": password}, headers={**PAGES, **headers}, timeout=30)


def opens(leader, one, path="/api/user"):
    return one.get(leader.url + path, headers=PAGES, timeout=30).status_code


def test_a_session_opens_what_a_password_does(leader):
    one, reply = log_in(leader)
    told = reply.json()
    assert reply.status_code == 200 and (told["user"], told["roles"]) == ("admin", ["admin"]) and len(told["csrf"]) == 64
    cookie = reply.headers["Set-Cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200")) and "Secure" not in cookie
    assert reply.headers["Cache-Control"] == "no-store" and Leader.password not in cookie
    assert opens(leader, one) == 200 and opens(leader, one, "/api/cluster/members") == 200
    again = one.get(leader.url + "/api/session", timeout=30)
    assert again.status_code == 200 and again.json() == told and "Set-Cookie" not in again.headers
    assert opens(leader, browser()) == 401 and browser().get(leader.url + "/api/session", timeout=30).status_code == 401
    assert "session.begun" in leader.text() and told["csrf"] not in leader.text() and one.cookies["zot_session"] not in leader.text()


def test_a_change_needs_the_csrf_of_the_session(leader):
    one, reply = log_in(leader)
    other, _ = log_in(leader)
    body, url = {"id": "ann", "password": "a long password"}, leader.url + "/api/user"
    for wrong in ({}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": other.get(leader.url + "/api/session", timeout=30).json()["csrf"]}):
        refused = one.post(url, json=body, headers=wrong, timeout=30)
        assert refused.status_code == 403 and refused.json()["error"]["code"] == "csrf", refused.text
    csrf = {"X-CSRF-Token": reply.json()["csrf"]}
    assert one.post(url, json=body, headers=csrf, timeout=30).status_code == 201
    # The check of another site's page stays.
    assert one.post(url, json={**body, "id": "bob"}, headers={**csrf, "Origin": "http://elsewhere.example"}, timeout=30).status_code == 403
    assert one.delete(leader.url + "/api/session", timeout=30).status_code == 403 and opens(leader, one) == 200
    # By password no csrf is asked for.
    assert leader.admin("DELETE", "/api/user/ann").status_code == 204
    assert '"reason":"no_csrf"' in leader.text()


def test_logging_out_clears_the_cookie(leader):
    one, reply = log_in(leader)
    ended = one.delete(leader.url + "/api/session", headers={"X-CSRF-Token": reply.json()["csrf"]}, timeout=30)
    assert ended.status_code == 204 and "Max-Age=0" in ended.headers["Set-Cookie"] and not one.cookies
    assert opens(leader, one) == 401
    assert one.delete(leader.url + "/api/session", timeout=30).status_code == 204


def test_a_session_survives_a_restart_and_is_over_with_its_user(leader):
    leader.admin("POST", "/api/user", {"id": "ann", "password": "a long password", "roles": ["admin"]})
    one, _ = log_in(leader, "ann", "a long password")
    leader.stop()
    leader.start()
    assert opens(leader, one) == 200
    leader.admin("PATCH", "/api/user/ann", {"enabled": False})
    assert opens(leader, one) == 401
    leader.admin("PATCH", "/api/user/ann", {"enabled": True})
    assert opens(leader, one) == 200
    leader.admin("PATCH", "/api/user/ann", {"roles": []})
    assert opens(leader, one) == 403 and opens(leader, one, "/api/session") == 401
    leader.admin("PATCH", "/api/user/ann", {"roles": ["admin"], "password": "another long password"})
    assert opens(leader, one) == 401
    two, _ = log_in(leader, "ann", "another long password")
    assert opens(leader, two) == 200
    leader.admin("DELETE", "/api/user/ann")
    assert opens(leader, two) == 401
    assert '"reason":"session_over"' in leader.text()


def test_a_cookie_that_was_touched_opens_nothing(leader):
    one, _ = log_in(leader)
    leader.admin("POST", "/api/user", {"id": "bob", "password": "a long password", "roles": ["admin"]})
    identity, until, seal, user = one.cookies["zot_session"].split(".", 3)
    assert user == "admin"
    for bad in (f"{identity}.{until}.{seal}.bob", f"{identity}.{int(until) + 1}.{seal}.{user}", f"{identity[:-1]}x.{until}.{seal}.{user}",
                f"{identity}.{until}.{'0' * 64}.{user}", f"{identity}.{until}.{seal}", "", "....", "x" * 4000, f"{identity}.{until}.{seal}.{user}x"):
        reply = browser().get(leader.url + "/api/user", headers={"Cookie": f"other=1; zot_session={bad}"}, timeout=30)
        assert reply.status_code == 401, bad
    good = browser().get(leader.url + "/api/user", headers={"Cookie": f"a=b; zot_session={identity}.{until}.{seal}.{user}; c=d"}, timeout=30)
    assert good.status_code == 200


def test_no_dialog_of_the_browser_for_pages(leader):
    one, _ = log_in(leader)
    over = {"Cookie": "zot_session=x.1.y.z"}
    for headers, dialog in (({}, True), (PAGES, False), (over, False)):
        reply = browser().get(leader.url + "/api/user", headers=headers, timeout=30)
        assert reply.status_code == 401 and ("WWW-Authenticate" in reply.headers) == dialog, headers
    _, wrong = log_in(leader, password="not the password")
    assert wrong.status_code == 401 and "WWW-Authenticate" not in wrong.headers and "Set-Cookie" not in wrong.headers
    assert '"reason":"password_wrong"' in leader.text() and "not the password" not in leader.text()


def test_secure_where_tls_ends_at_a_proxy_that_is_trusted():
    def is_secure(leader, said):
        _, reply = log_in(leader, **({"X-Forwarded-Proto": said} if said else {}))
        return "; Secure" in reply.headers["Set-Cookie"]

    with Leader(ZOT_TRUSTED_PROXIES="127.0.0.0/8") as trusting:
        assert is_secure(trusting, "https") and is_secure(trusting, "HTTPS")
        assert not is_secure(trusting, "http") and not is_secure(trusting, None)
    with Leader(ZOT_TRUSTED_PROXIES="10.0.0.0/8") as leader:
        assert not is_secure(leader, "https")


def test_who_gets_no_session(leader):
    key = leader.new_key()
    leader.admin("POST", "/api/user", {"id": "eve", "password": "a long password"})
    for user, password, status in (("workers", SECRET, 403), ("admin", key["apiKey"], 403), ("eve", "a long password", 403), ("nobody", "a long password", 401)):
        _, reply = log_in(leader, user, password)
        assert reply.status_code == status and "Set-Cookie" not in reply.headers, (user, reply.text)
    for body in (b"", b"[]", b"{}", b'{"user":"admin"}', b'{"user":"a:b","password":"x"}', b'{"user":1,"password":"x"}', b'{"user":"' + b"a" * 300 + b'","password":"x"}'):
        reply = browser().post(leader.url + "/api/session", data=body, headers={"Content-Type": "application/json"}, timeout=30)
        assert reply.status_code == 400, body
    assert browser().post(leader.url + "/api/session", data=b" " * 5000, headers={"Content-Type": "application/json"}, timeout=30).status_code == 413
    assert browser().post(leader.url + "/api/session", data={"user": "admin", "password": Leader.password}, timeout=30).status_code == 415


def test_guessing_is_slowed_as_elsewhere(leader):
    codes = [log_in(leader, "nobody", f"guess {i}")[1].status_code for i in range(40)]
    assert codes[0] == 401 and codes[-1] == 429
    _, late = log_in(leader, "nobody", "another guess")
    assert int(late.headers["Retry-After"]) > 0
    header = "Basic " + base64.b64encode(b"nobody:yet another").decode()
    assert browser().get(leader.url + "/api/user", headers={"Authorization": header}, timeout=30).status_code == 429


def test_workers_do_not_get_what_sessions_are_signed_with(leader):
    worker = FakeWorker(leader, "one")
    worker.push()
    told = worker.state().content
    assert b"sessionkey" not in told and b"ring" in told
    kept = leader.admin("GET", "/api/sessionkey").json()["items"]
    assert [one["id"] for one in kept] == ["session"] and "secret" not in kept[0]
    assert leader.admin("DELETE", "/api/sessionkey/session").status_code == 405


POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
          "form-action 'self'; frame-ancestors 'none'")


def test_pages_come_to_everybody_and_say_what_they_never_do(leader):
    index = browser().get(leader.url + "/", timeout=30)
    assert index.status_code == 200 and index.text.lower().startswith("<!doctype html>") and index.headers["Content-Type"] == "text/html; charset=utf-8"
    assert index.headers["Content-Security-Policy"] == POLICY and index.headers["X-Content-Type-Options"] == "nosniff"
    assert index.headers["Referrer-Policy"] == "no-referrer" and index.headers["Cache-Control"] == "no-cache"
    known = browser().get(leader.url + "/", headers={"If-None-Match": f'"x", W/{index.headers["ETag"]}'}, timeout=30)
    assert known.status_code == 304 and known.headers["ETag"] == index.headers["ETag"]
    plain = browser().get(leader.url + "/assets/index.html", headers={"Accept-Encoding": "identity"}, timeout=30)
    assert plain.text == index.text and "Content-Encoding" not in plain.headers and plain.headers["Vary"] == "Accept-Encoding"
    assert browser().head(leader.url + "/", timeout=30).headers["Content-Length"] and browser().post(leader.url + "/", json={}, timeout=30).status_code == 405
    for path in ("/members", "/assets", "/assets/", "/assets/../index.html", "/assets/no.js", "/index.html", "/assets/%2e%2e/files.c"):
        assert browser().get(leader.url + path, timeout=30).status_code == 404, path


def test_without_pages_there_is_the_api_alone():
    with Leader(ZOT_LEADER_PAGES="false") as leader:
        assert browser().get(leader.url + "/", timeout=30).status_code == 404
        assert leader.admin("GET", "/api/user").status_code == 200
