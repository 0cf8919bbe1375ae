# SPDX-License-Identifier: Apache-2.0
"""A browser for the tests of the leader's pages: Debian's chromium without a screen, driven by selenium.

    with Browser(leader.url) as browser:
        browser.sign_in("admin", password)
        browser.open("keys")
        browser.wait("h1", "Keys")
        browser.shot("keys")
        browser.check_axe()
    # at its end: no error in the console, no request to another host

A screenshot is kept in build/logs/pages/NAME.png.
"""
import json
import pathlib

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

ROOT = pathlib.Path(__file__).parents[1]
SHOTS = ROOT / "build/logs/pages"
AXE = ROOT / "build/axe/node_modules/axe-core/axe.min.js"
# Told by the browser for each answer of 400 and more; what a test expects of them it checks by itself.
ANSWERS = "Failed to load resource: the server responded with a status of"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]


class Browser:
    def __init__(self, url="", width=1280, height=900, dark=False, patience=20):
        self.url, self.patience = url, patience
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking",
                         "--disable-component-update", "--no-first-run", f"--window-size={max(width, 500)},{height}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
        self.driver.set_script_timeout(patience)
        self.console, self.asked = [], []
        if width < 500:
            self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True)
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        try:
            if kind:
                self.shot("failed")
                print(self.text("body")[:1500])
            elif self.asked or self.url:
                self.end_of_test()
        finally:
            self.driver.quit()

    def end_of_test(self):
        """Checks what the pages of self.url told and asked for; leaves them."""
        self.read_logs()
        self.check_logs()
        self.driver.get("about:blank")
        self.read_logs()
        self.console, self.asked, self.url = [], [], ""

    def cdp(self, command, **parameters):
        return self.driver.execute_cdp_cmd(command, parameters)

    # What was told and asked.

    def read_logs(self):
        self.console += [line for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]
        for line in self.driver.get_log("performance"):
            message = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.asked.append(message["params"]["request"]["url"])

    def check_logs(self):
        errors = [line["message"] for line in self.console if ANSWERS not in line["message"]]
        assert not errors, errors
        assert self.asked, "the browser told of no request"
        strangers = {url for url in self.asked if not url.startswith((self.url + "/", "data:", "about:"))}
        assert not strangers, strangers

    # Going about.

    def open(self, page=""):
        self.driver.get(f"{self.url}/#/{page}")

    def sign_in(self, user, password):
        self.open()
        self.find("#user").send_keys(user)
        self.find("#password").send_keys(password, Keys.ENTER)
        self.wait("header .who", user)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def find(self, css):
        return self.until(lambda: (self.all(css) or [None])[0], f"{css} is there")

    def text(self, css):
        return self.driver.execute_script("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText).join(' ')", css)

    def until(self, holds, what):
        """What holds() answers, once that is something; a part that was drawn anew meanwhile is looked for again."""
        try:
            return WebDriverWait(self.driver, self.patience, 0.1, ignored_exceptions=[StaleElementReferenceException]).until(lambda _: holds())
        except TimeoutException:
            raise AssertionError(f"never: {what}; the page says: {self.text('main')[:800]}") from None

    def wait(self, css, text):
        self.until(lambda: text in self.text(css), f"{text!r} in {css}")

    def wait_gone(self, css):
        self.until(lambda: not self.all(css), f"{css} is gone")

    def click(self, css, text=""):
        self.until(lambda: next((e for e in self.all(css) if text in e.text and e.is_enabled()), None), f"{text!r} to click in {css}").click()

    def fill(self, css, text):
        element = self.find(css)
        element.clear()
        element.send_keys(text)

    def choose(self, css, value):
        Select(self.find(css)).select_by_value(value)

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self):
        return self.driver.execute_script("return document.activeElement")

    def tab_to(self, css, most=80):
        """By the keyboard alone."""
        for _ in range(most):
            if self.driver.execute_script("return document.activeElement.matches(arguments[0])", css):
                return self.focused()
            self.press(Keys.TAB)
        raise AssertionError(f"{css} is not reached by {most} presses of Tab")

    # Looking at it.

    def shot(self, name):
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(SHOTS / f"{name}.png"))

    def check_fits(self):
        """Nothing makes the page itself wider than the window."""
        wide, window = self.driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide <= window, (self.driver.current_url, wide, window)

    def check_axe(self):
        # Through the protocol, since the pages' own policy lets no other script in.
        self.cdp("Runtime.evaluate", expression=AXE.read_text())
        run = f"axe.run(document, {{runOnly: {json.dumps(RULES)}}}).then(r => JSON.stringify(r.violations))"
        told = self.cdp("Runtime.evaluate", expression=run, awaitPromise=True, returnByValue=True)
        faults = [{"id": f["id"], "impact": f["impact"], "at": [n["target"] for n in f["nodes"]][:3]}
                  for f in json.loads(told["result"]["value"]) if f["impact"] in ("serious", "critical")]
        assert not faults, (self.driver.current_url, faults)
