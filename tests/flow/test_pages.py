# SPDX-License-Identifier: Apache-2.0
"""The leader's pages in a real browser, with a scripted leader behind: what the page does with each answer and event."""
import pytest

from pages_browser import Browser
from pages_server import PagesServer, member, one_of
from registry import await_true

GC = {"name": "gc", "state": "idle", "canDryRun": True, "last": {"how": "done", "what": "repositories", "done": 10, "removed": 7, "ended": "2026-11-23T02:00:00.000Z", "ms": 1500}}


def signed_in(server, browser, page=""):
    browser.sign_in(server.user, server.password)
    if page:
        browser.open(page)


@pytest.fixture(scope="module")
def browser_pool():
    """One browser for all tests that need nothing special; each has its own server, so its own origin."""
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(browser_pool):
    yield browser_pool
    browser_pool.end_of_test()


def at(server, browser):
    browser.url = server.url
    return browser


def test_a_wrong_password_is_said_in_the_leaders_words(browser):
    with PagesServer() as server:
        at(server, browser).open()
        browser.fill("#user", "admin")
        browser.fill("#password", "wrong")
        browser.click("button", "Sign in")
        browser.wait(".problem", "no such user, or another password")
        assert browser.find("#password").get_attribute("value") == ""


def test_a_broken_stream_is_polled_said_and_taken_up_again(browser):
    with PagesServer() as server:
        signed_in(server, at(server, browser), "cluster")
        browser.wait(".mode", "live")
        server.break_streams()
        browser.wait(".mode", "each 5 s")
        server.members["worker-0"]["state"] = "lost"  # told by no event: only asking shows it
        browser.wait("tbody tr:first-child", "lost")
        server.has_streams = True
        browser.wait(".mode.live", "live")


def test_events_are_shown_as_they_come(browser):
    with PagesServer() as server:
        signed_in(server, at(server, browser), "cluster")
        browser.wait(".mode", "live")
        browser.wait("tbody", "worker-2")
        server.members["new-one"] = member("new-one", complaints=["disk: full"])
        server.tell("members", {"changed": [server.members["new-one"]], "gone": ["worker-2"]})
        browser.wait("tbody", "new-one")
        browser.until(lambda: "worker-2" not in browser.text("tbody"), "worker-2 is gone")
        browser.open("overview")
        browser.wait("main", "disk: full")
        server.tell("cluster", {"t": 4e9, "rate": 98765.0, "active": 3})
        browser.wait(".facts", "98765/s")


def test_who_changes_what_another_has_changed_is_told_and_offered_the_newest(browser):
    with PagesServer() as server:
        server.put("user", "ann", {"groups": ["dev"], "roles": [], "enabled": True, "metadata": {}})
        signed_in(server, at(server, browser), "users/id/ann")
        browser.find("#user-groups")
        server.put("user", "ann", {"groups": ["ops"], "roles": [], "enabled": True, "metadata": {}})
        browser.fill("#user-groups", "mine")
        browser.click("button", "Save")
        browser.wait(".problem", "Somebody else changed it")
        assert server.entities["user"]["ann"][0]["groups"] == ["ops"]
        browser.click("button", "Load the newest")
        browser.until(lambda: browser.find("#user-groups").get_attribute("value") == "ops", "the newest groups")


def test_a_secret_is_shown_once_and_stays_nowhere(browser):
    with PagesServer() as server:
        signed_in(server, at(server, browser), "keys/new")
        browser.fill("#apikey-owner", "admin")
        browser.click("button", "Create")
        browser.find("dialog .copyable")
        browser.click("dialog button", "Copy")
        browser.wait("dialog button", "Copied")
        shown = [e.get_attribute("value") for e in browser.all("dialog input")]
        assert any(value.startswith("secret-of-") for value in shown), shown
        browser.click("dialog button", "I have it")
        browser.wait("h1", "Keys")
        kept = browser.driver.execute_script(
            "return [document.documentElement.outerHTML, location.href, JSON.stringify(localStorage), JSON.stringify(sessionStorage),"
            " ...[...document.querySelectorAll('input')].map(i => i.value)].join(' ')")
        assert "secret-of-" not in kept and "zak_" not in kept


def test_lists_are_taken_a_page_at_a_time(browser):
    with PagesServer() as server:
        for i in range(120):
            server.put("apikey", f"{i:024x}", {"owner": "ann", "label": f"key {i}", "enabled": True})
        signed_in(server, at(server, browser), "keys")
        browser.wait(".pager", "1 to 50 of 120")
        browser.click(".pager button", "Next")
        browser.wait(".pager", "51 to 100 of 120")
        browser.click(".pager button", "Next")
        browser.wait(".pager", "101 to 120 of 120")
        browser.click(".pager button", "Back")
        browser.wait(".pager", "51 to 100 of 120")
        assert all("n=50" in path for method, path in server.calls if path.startswith("/api/apikey"))


def test_a_thousand_members_stay_usable(browser):
    with PagesServer(workers=1000) as server:
        signed_in(server, at(server, browser), "cluster")
        browser.wait(".pager", "1 to 100 of 1,000")
        assert len(browser.all("tbody tr")) == 100
        browser.fill("#member-q", "worker-777")
        browser.click("form button", "Show")
        browser.wait(".pager", "1 in all")
        server.members["worker-777"]["state"] = "lost"
        server.tell("members", {"changed": [server.members["worker-777"]], "gone": []})
        browser.wait("tbody", "lost")


def test_a_new_field_of_the_leaders_description_shows_by_itself(browser):
    user = {"nickname": one_of("string", "What friends say."), "seats": one_of("integer", "How many.", minimum=2, maximum=9)}
    with PagesServer(bodies={"user": user}) as server:
        signed_in(server, at(server, browser), "users/new")
        browser.wait("form", "What friends say.")
        seats = browser.find("#user-seats")
        assert [seats.get_attribute(name) for name in ("min", "max", "value")] == ["2", "9", ""]
        browser.fill("#user-id", "bob")
        browser.fill("#user-nickname", "bobby")
        browser.click("button", "Create")
        browser.wait("tbody", "bob")
        assert server.entities["user"]["bob"][0]["nickname"] == "bobby"
        assert "Keys" not in browser.text("nav"), "this leader described no keys"


def test_a_reader_is_offered_no_change(browser):
    with PagesServer(roles=["reader"]) as server:
        server.members["worker-0"]["chores"] = [GC]
        signed_in(server, at(server, browser), "cluster/worker-0")
        browser.wait("[aria-label=Chores] tbody", "gc")
        assert not browser.all("[aria-label=Chores] button")
        browser.open("users/id/admin")
        browser.find("#user-groups")
        assert not browser.find("#user-groups").is_enabled()
        for page in ("users/id/admin", "users", "cluster/worker-0", "settings"):
            browser.open(page)
            browser.find("h1")
            offered = browser.text("main button") + browser.text("main a.button")
            for word in ("Save", "Delete", "Disable", "New ", "Drain", "Forget"):
                assert word not in offered, (page, offered)


def test_a_key_manager_sees_keys_users_and_usage(browser):
    with PagesServer(roles=["key-manager:dev"]) as server:
        signed_in(server, at(server, browser), "keys")
        browser.wait("main", "New key")
        assert browser.text("nav[aria-label=Main]").split() == ["Users", "Keys", "Usage"]
        browser.open("users")
        browser.wait("h1", "Users")
        assert "New user" not in browser.text("main")
        assert not [path for _, path in server.calls if path.startswith("/api/cluster")], "what the role may not ask is not asked"


def test_the_leaders_refusal_of_a_form_is_shown_and_nothing_is_lost(browser):
    with PagesServer() as server:
        signed_in(server, at(server, browser), "users/new")
        browser.fill("#user-id", "admin")
        browser.click("button", "Create")
        browser.wait(".problem", "it is there already")
        assert browser.find("#user-id").get_attribute("value") == "admin"


def test_a_session_that_is_over_leads_to_the_sign_in(browser):
    with PagesServer() as server:
        signed_in(server, at(server, browser))
        server.signed_in = False
        browser.open("users")
        browser.wait("main.signin", "The session is over")


def test_may_they(browser):
    with PagesServer() as server:
        signed_in(server, at(server, browser), "policies")
        browser.fill("#try-who", "bob")
        browser.fill("#try-repository", "team/closed")
        browser.click("form.line button", "Ask")
        browser.wait(".answer", "may not read team/closed: nothing in the policy that decides allows it.")
        browser.wait(".answer", "team/** (decides)")


def test_a_member_is_drained_taken_back_and_when_lost_forgotten(browser):
    with PagesServer() as server:
        signed_in(server, at(server, browser), "cluster/worker-1")
        browser.click("main button", "Drain")
        browser.click("dialog button", "Drain")
        browser.wait(".facts", "drained by admin since")
        browser.click("main button", "Undrain")
        browser.click("dialog button", "Undrain")
        browser.wait(".facts", "active")
        server.members["worker-1"]["state"] = "lost"
        server.tell("members", {"changed": [server.members["worker-1"]], "gone": []})
        browser.click("main button", "Forget")
        browser.click("dialog button", "Forget")
        browser.until(lambda: "worker-1" not in browser.text("tbody") and browser.all("tbody tr"), "worker-1 is forgotten")


def test_chores_are_seen_begun_tried_dry_and_ended(browser):
    with PagesServer() as server:
        server.members["worker-0"]["chores"] = [GC, {"name": "fold", "state": "idle"}]
        signed_in(server, at(server, browser), "cluster/worker-0")
        browser.wait("[aria-label=Chores] tbody", "done 2026-11-23 02:00:00 UTC: 10 repositories, removed 7")
        browser.check_axe()
        assert len(browser.all("[aria-label^='Dry run of']")) == 1
        browser.click("[aria-label='Dry run of gc']", "Dry run")
        await_true(lambda: server.orders == [("worker-0", {"chore": "gc", "action": "start", "dryRun": True})], what="the order")
        server.members["worker-0"]["chores"] = [{**GC, "state": "running", "run": {"what": "repositories", "done": 3, "about": 10, "at": "team/app", "removed": 2, "dryRun": True}}]
        browser.wait("[aria-label=Chores] tbody", "3 of about 10 repositories, would remove 2, at team/app")
        browser.click("[aria-label='Stop gc']", "Stop")
        await_true(lambda: server.orders[1:] == [("worker-0", {"chore": "gc", "action": "stop"})], what="the order to end")
        server.members["worker-0"]["chores"] = [GC]
        browser.until(lambda: browser.all("[aria-label='Start gc']:not([disabled])"), "it may begin")
        browser.click("[aria-label='Start gc']", "Start")
        await_true(lambda: server.orders[2:] == [("worker-0", {"chore": "gc", "action": "start"})], what="the order to begin")


PAGES = ["overview", "cluster", "cluster/worker-0", "users", "users/id/admin", "groups", "keys", "keys/new", "policies", "policies/new", "workers", "usage", "audit", "settings"]


@pytest.mark.parametrize("width,dark", [(1280, False), (1280, True), (360, False)])
def test_all_pages_fit_and_are_accessible(width, dark):
    with PagesServer() as server, Browser(server.url, width=width, dark=dark) as browser:
        server.audit = [{"number": 1, "at": "2026-11-22T15:00:00Z", "secrets": ["password"], "count": 1, "user": "admin", "from": "10.0.0.1", "how": "patched", "kind": "user", "id": "ann",
                         "old": {"groups": ["dev"]}, "new": {"groups": ["ops"]}}]
        server.put("apikey", "f" * 24, {"owner": "a-user-whose-name-is-rather-long@example.org", "label": "x" * 120, "enabled": False, "validUntil": "2020-01-01T00:00:00Z"})
        server.members["worker-0"]["chores"] = [GC]
        server.members["worker-1"].update(state="lost", lostSince="2026-11-22T15:00:00Z")
        browser.open()
        browser.find("#user")
        browser.check_axe()
        signed_in(server, browser)
        for page in PAGES:
            browser.open(page)
            browser.find("main h1")
            browser.until(lambda: browser.all("main table, main form, main .none, main .plot"), "the page is drawn")
            browser.check_fits()
            browser.check_axe()
            browser.shot(f"scripted-{page.replace('/', '-')}-{width}{'-dark' if dark else ''}")


def test_what_the_checks_of_these_tests_find(browser):
    """The page is spoilt by hand: each check of Browser must say so."""
    with PagesServer() as server:
        signed_in(server, at(server, browser))
        browser.find("main h1")
        browser.driver.execute_script(
            "const image = document.createElement('img'); image.src = '/assets/none.png'; image.style.cssText = 'display:block;width:3000px';"
            "document.querySelector('main').append(image)")
        with pytest.raises(AssertionError, match="image-alt"):
            browser.check_axe()
        with pytest.raises(AssertionError, match="overview|#/"):
            browser.check_fits()
        browser.driver.execute_script("document.body.append(Object.assign(document.createElement('script'), {textContent: '1'}))")
        browser.until(lambda: browser.read_logs() or browser.console, "the console tells of the refused script")
        with pytest.raises(AssertionError, match="Content Security Policy"):
            browser.check_logs()
        browser.console.clear()
        browser.asked.append("https://example.org/x.js")
        with pytest.raises(AssertionError, match="example.org"):
            browser.check_logs()
        browser.asked.remove("https://example.org/x.js")


def test_the_bars_of_quotas_nearest_to_their_end_first(browser):
    with PagesServer() as server:
        key = "a" * 24
        server.put("apikey", key, {"owner": "ann", "label": "ci", "enabled": True})
        server.usage = [{"apikey": key, "owner": "ann", "label": "ci", "month": "2026-11", "calls": 100, "bytesIn": 1024, "bytesOut": 1024}]
        server.quotas = [{"subject": subject, "kind": kind, "window": "", "limit": limit, "used": 1, "granted": 2, "remaining": remaining}
                         for subject, kind, limit, remaining in ((key, "day", 1000, 900), (key, "bytes", 4096, 2048), (key, "second", 10, 10), ("user:ann", "month", 8, 0))]
        server.quotas.sort(key=lambda row: row["remaining"] / row["limit"])
        signed_in(server, at(server, browser), "overview")
        browser.find("[aria-label='8 of 8 calls a month'].full")
        assert [e.text for e in browser.all("#quotas ~ .scroll tbody td:nth-child(2)")] == ["calls a month", "bytes a month", "calls a day", "calls a second"]
        for said in ("Storage\n5.00 GiB", "Repositories\n12", "Fullest quota\n50.0 %"):
            browser.wait(".facts", said)
        # As they move, and a key by what people call it.
        server.tell("quotas", {"quotas": [{**server.quotas[1], "label": "ci", "remaining": 1024}]})
        browser.find("[aria-label='3.00 KiB of 4.00 KiB bytes a month']")
        assert browser.text("#quotas ~ .scroll tbody th") == "ci" and len(browser.all("#quotas ~ .scroll tbody tr")) == 1
        browser.open(f"keys/id/{key}")
        browser.find("[aria-label='2.00 KiB of 4.00 KiB bytes a month']")
        browser.find("[aria-label='100 of 1,000 calls a day']")
        assert "user" not in browser.text("#usage-of ~ .scroll th a")


def test_usage_of_users_is_the_leaders_sum_page_by_page(browser):
    with PagesServer() as server:
        server.usage = [{"apikey": f"key-{name}-{i}", "owner": name, "label": "", "month": "2026-11", "calls": 700, "bytesIn": 1024, "bytesOut": 0} for name in ("ann", "bob", "cat", "dan") for i in range(2)]
        signed_in(server, at(server, browser), "usage?by=user")
        users = "[aria-label='Usage of users'] tbody tr"
        browser.wait("main", "Together: 5,600 calls")
        assert [e.text.split()[:3] for e in browser.all(users)] == [[name, "2", "1,400"] for name in ("ann", "bob", "cat")]
        browser.click("main a", "More")
        browser.wait(users, "dan")
        assert len(browser.all(users)) == 1
        browser.check_axe()
        browser.click("main a", "From the first")
        browser.wait(users, "ann")
        browser.open("usage?by=group")
        browser.wait("main", "Nothing was used")


def test_a_key_is_rotated_and_again_only_after_a_question(browser):
    with PagesServer() as server:
        server.put("apikey", "a" * 24, {"owner": "ann", "label": "ci", "enabled": True})
        signed_in(server, at(server, browser), f"keys/id/{'a' * 24}")
        for again in (False, True):
            browser.click("main button", "Rotate")
            browser.choose("#grace", "3600")
            browser.click("dialog button", "Rotate")
            if again:
                browser.wait("dialog .problem", "a grace runs")
                browser.click("dialog button", "Rotate again all the same")
            browser.wait("dialog h2", "The secret, this once")
            browser.click("dialog button", "I have it")
            browser.wait_gone("dialog")


def test_an_evacuation_is_asked_for_until_it_is_done(browser):
    with PagesServer() as server:
        server.uploads, server.last = 1, True
        signed_in(server, at(server, browser), "cluster/worker-1")
        browser.click("main button", "Evacuate")
        browser.click("dialog button", "Evacuate")
        browser.wait("dialog .problem", "no other member is active")
        browser.click("dialog .check")
        browser.click("dialog button", "Evacuate")
        browser.wait_gone("dialog")
        browser.wait(".facts", "drained by admin since")
        assert server.uploads == 0


def test_a_list_shows_what_another_has_made(browser):
    with PagesServer() as server:
        signed_in(server, at(server, browser), "users")
        browser.wait("tbody", "admin")
        browser.wait(".mode", "live")
        server.put("user", "carol", {"groups": [], "roles": [], "enabled": True, "metadata": {}})
        server.changed("user")
        browser.wait("tbody", "carol")
        browser.click("thead a", "Enabled")
        browser.until(lambda: any("sort=enabled" in path for _, path in server.calls), "the leader was asked to sort")
        browser.fill("input[type=search]", "car")
        browser.click("button", "Search")
        browser.until(lambda: any("q=car" in path for _, path in server.calls), "the leader was asked to search")
