# SPDX-License-Identifier: Apache-2.0
"""The leader's pages as people use them: a real leader, real workers, a real browser."""
import datetime

import pytest
from selenium.webdriver.common.keys import Keys

from cluster import Cluster
from pages_browser import Browser
from registry import await_true

LEASE_MS = 2000
PAGES = ["overview", "cluster", "users", "users/id/admin", "users/new", "groups", "groups/new", "keys", "keys/new", "policies", "policies/new", "repositories", "repositories/new", "workers", "workers/new",
         "usage", "audit", "settings"]


@pytest.fixture(scope="module")
def cluster():
    with Cluster(workers=3, haproxy=False, lease_ms=LEASE_MS) as cluster:
        yield cluster


@pytest.fixture
def browser(cluster):
    with Browser(cluster.leader.url) as browser:
        browser.sign_in(cluster.user, cluster.password)
        yield browser


def state_of(browser, name):
    return browser.driver.execute_script(
        "return [...document.querySelectorAll('tbody tr')].filter(r => r.cells[0].innerText.startsWith(arguments[0])).map(r => r.cells[1].innerText)[0]", name)


def share_of(browser, name):
    return browser.driver.execute_script(
        "return [...document.querySelectorAll('tbody tr')].filter(r => r.cells[0].innerText.startsWith(arguments[0])).map(r => r.cells[4].innerText)[0]", name)


def calls_of(browser):
    """What the page of a key says it has called, in all days and months that it shows."""
    return browser.driver.execute_script(
        "return [...document.querySelectorAll('#usage-of ~ [aria-label=\"Usage of keys\"] tbody tr')].reduce((n, r) => n + Number(r.cells[3].innerText.replaceAll(',', '')), 0)")


def new_key(browser, owner, label):
    """Made by the form; (client id, secret) as they were shown."""
    browser.open("keys/new")
    browser.fill("#apikey-owner", owner)
    browser.fill("#apikey-label", label)
    browser.fill("#apikey-dailyQuota", "1000")
    browser.click("button", "Create")
    browser.find("dialog .copyable")
    browser.check_axe()
    key, secret = [e.get_attribute("value") for e in browser.all("dialog input")][:2]
    browser.click("dialog button", "I have it")
    browser.wait("h1", "Keys")
    assert secret not in browser.driver.page_source
    return key, secret


def test_a_key_is_made_pushed_with_and_its_usage_moves(cluster, browser):
    key, secret = new_key(browser, cluster.user, "made by a click")
    browser.wait("tbody", "made by a click")
    browser.click("tbody a", key)
    browser.wait("h1", key)
    worker = cluster.workers[0]
    worker.session.auth = (key, secret)
    seen = 0
    try:
        for tag in ("v1", "v2"):
            cluster.push("pages/app", tag, worker)
            browser.until(lambda: calls_of(browser) > seen, f"the calls of {tag} are counted before somebody's eyes")
            seen = calls_of(browser)
    finally:
        worker.session.auth = (cluster.user, cluster.password)
    browser.find("#usage-of ~ [aria-label=Quotas] [aria-label$='of 1,000 calls a day']")
    browser.open("usage?by=repository")
    browser.wait("main", "pages/app")
    browser.shot("usage")


def test_the_overview_has_what_the_storage_holds_and_the_quota_that_is_used_most(cluster, browser):
    for name in ("storage/a", "storage/b", "storage/c"):
        cluster.push(name, "v1", cluster.workers[0])
    key = cluster.admin("POST", "/api/apikey", {"owner": cluster.user, "label": "nearly over", "dailyQuota": 40}).json()

    def held():
        """Each repository's files, whoever owns it; what is for all of them alone is nobody's."""
        index = [path.parent for path in (cluster.folder / "store").rglob("index.json")]
        return sum(path.stat().st_size for folder in index for path in [*folder.iterdir(), *folder.glob("blobs/*/*")] if path.is_file())

    await_true(lambda: sum(member["stats"].get("storageBytes", 0) for member in cluster.members()) == held(), 60, "the storage of all")
    for _ in range(30):
        await_true(lambda: cluster.workers[0].call("GET", "/v2/", auth=(key["clientId"], key["clientSecret"])).status_code == 200, 30, "the key")
    browser.open("overview")
    browser.wait(".facts", "Storage")
    browser.wait("#quotas ~ .scroll tbody", "nearly over")
    browser.find("#quotas ~ .scroll [aria-label$='of 40 calls a day']")
    browser.find("[role=img][aria-label^='Storage: all now']")
    browser.check_axe()
    browser.shot("overview-storage")


def test_a_worker_is_drained_and_taken_back_and_another_window_follows(cluster, browser):
    with Browser(cluster.leader.url) as other:
        other.sign_in(cluster.user, cluster.password)
        other.open("cluster")
        other.until(lambda: "%" in (share_of(other, "worker-0") or ""), "worker-0 has a share")
        browser.open("cluster/worker-0")
        browser.click("main button", "Drain")
        browser.click("dialog button", "Drain")
        browser.wait(".facts", "drained by admin")
        other.until(lambda: "drained" in state_of(other, "worker-0") and "%" not in share_of(other, "worker-0"), "the other window shows it")
        other.wait(".mode", "live")
        other.shot("cluster-drained")
        browser.click("main button", "Undrain")
        browser.click("dialog button", "Undrain")
        other.until(lambda: "%" in share_of(other, "worker-0"), "it owns again")


def test_a_killed_member_is_shown_as_lost_within_a_lease(cluster, browser):
    browser.open("cluster")
    browser.until(lambda: state_of(browser, "worker-2") == "active", "worker-2 is active")
    cluster.workers[2].kill()
    browser.until(lambda: state_of(browser, "worker-2") == "lost", "worker-2 is lost")
    row = next(m for m in cluster.members() if m["name"] == "worker-2")
    lost = [datetime.datetime.fromisoformat(row[name].replace("Z", "+00:00")) for name in ("lastPush", "lostSince")]
    assert lost[1] - lost[0] < datetime.timedelta(milliseconds=LEASE_MS + 2000), row
    browser.open("overview")
    browser.wait("#wrong ~ ul", "worker-2 is lost")
    browser.shot("overview-lost")
    cluster.workers[2].start()
    browser.open("cluster")
    browser.until(lambda: state_of(browser, "worker-2") == "active", "worker-2 is back")


def test_a_walk_by_the_keyboard_alone(cluster):
    with Browser(cluster.leader.url) as browser:
        browser.open()
        browser.find("#user")
        browser.tab_to("#user")
        browser.press(cluster.user, Keys.TAB, cluster.password, Keys.ENTER)
        browser.wait("header .who", cluster.user)
        browser.tab_to("a[href='#/users']")
        browser.press(Keys.ENTER)
        browser.wait("h1", "Users")
        browser.tab_to("a[href='#/users/new']")
        browser.press(Keys.ENTER)
        browser.wait("h1", "New user")
        browser.tab_to("#user-id")
        browser.press("typed")
        browser.tab_to("#user-password")
        browser.press("a long password", Keys.ENTER)
        browser.wait("tbody", "typed")
        browser.tab_to("a[href='#/users/id/typed']")
        browser.press(Keys.ENTER)
        browser.wait("h1", "typed")
        browser.tab_to("main button.danger")
        browser.press(Keys.ENTER)
        browser.find("dialog[open]")
        browser.press(Keys.ESCAPE)
        browser.wait_gone("dialog")
        assert browser.focused().text == "Delete", "the focus is where it was before the dialog"
        browser.press(Keys.ENTER)
        browser.tab_to("dialog button.danger")
        browser.press(Keys.ENTER)
        browser.wait("h1", "Users")
        browser.until(lambda: "typed" not in browser.text("tbody"), "the user is gone")
        assert cluster.admin("GET", "/api/user/typed").status_code == 404


@pytest.mark.parametrize("width,dark", [(1280, False), (1280, True), (360, False)])
def test_each_page_fits_and_has_no_fault_of_accessibility(cluster, width, dark):
    with Browser(cluster.leader.url, width=width, dark=dark) as browser:
        browser.open()
        browser.find("#user")
        browser.check_axe()
        browser.sign_in(cluster.user, cluster.password)
        for page in PAGES + ["cluster/worker-0"]:
            browser.open(page)
            browser.until(lambda: browser.all("main table, main form, main .none, main .plot"), "the page is drawn")
            assert not browser.all(".problem"), (page, browser.text(".problem"))
            browser.check_fits()
            browser.check_axe()
            browser.shot(f"{page.replace('/', '-')}-{width}{'-dark' if dark else ''}")
        ground = "return getComputedStyle(document.body).backgroundColor"
        before = browser.driver.execute_script(ground)
        assert (before == "rgb(255, 255, 255)") != dark
        browser.click("header button", "Light" if dark else "Dark")
        assert browser.driver.execute_script(ground) != before
        browser.driver.refresh()
        browser.find("header .who")
        assert browser.driver.execute_script(ground) != before, "the switch is kept"
