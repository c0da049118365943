"""A real headless Chromium, which tests drive as a user would.

Tests that need it are skipped if Debian's packages chromium and chromium-driver are not installed.
With REQUIRE_CHROMIUM=1 they fail instead; .ci/run installs the packages and sets the variable.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from loopback import LOOPBACK, reserved_port
from needs import missing_programs, skip_where
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.remote_connection import ChromeRemoteConnection
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

DEADLINE_S = 90.0

needs_chromium = skip_where(
    missing_programs("chromium", "chromedriver"), variable="REQUIRE_CHROMIUM"
)
"""Marks a test, or a whole file as its `pytestmark`."""

_SWITCHES = (
    "--headless=new",
    # Not a port of localhost, because some machines cannot resolve that name.
    "--remote-debugging-pipe",
    *("--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    # Chromium's sandbox does not work for root, and containers run as root.
    "--no-sandbox",
)


class Browser:
    """One browser window."""

    def __init__(self, driver: webdriver.Remote) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script and return its result; a promise is awaited."""
        return self.driver.execute_script(script, *arguments)

    def cdp(self, command: str, **parameters: object) -> Any:
        words = {"cmd": command, "params": parameters}
        return self.driver.execute("executeCdpCommand", words)["value"]

    def look(self, *, width: int = 1280, height: int = 860, dark: bool = False) -> None:
        """Emulate a screen of this size, with a preference for light or dark."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.cdp("Emulation.setEmulatedMedia", features=[scheme])

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        with contextlib.suppress(StaleElementReferenceException):
            return " ".join(one.text for one in self.driver.find_elements("css selector", selector))
        return ""

    def type(self, *keys: str) -> None:
        """Press keys; they go to the element with the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def tab_to(self, selector: str, most: int = 60) -> None:
        """Press Tab until an element that matches `selector` has the focus."""
        for _ in range(most):
            if self.run("return document.activeElement.matches(arguments[0])", selector):
                return
            self.type(Keys.TAB)
        raise AssertionError(f"the keyboard does not reach {selector}")

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + DEADLINE_S
        while not (found := condition()):
            assert time.monotonic() < deadline, f"waited too long for: {what}; {self.messages()}"
            time.sleep(0.1)
        return found

    def messages(self) -> list[str]:
        """The errors and warnings of the console since the last call."""
        entries = self.driver.execute("getLog", {"type": "browser"})["value"]
        return [one["message"] for one in entries if one["level"] in ("SEVERE", "WARNING")]


@contextlib.contextmanager
def chromium() -> Iterator[Callable[..., Browser]]:
    """Yield a function that opens windows; all of them are closed in the end."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(reserved_port())
        driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)
        stack.callback(driver.wait)
        stack.callback(driver.kill)
        _wait_for(f"http://{LOOPBACK}:{port}/status")

        def open_window(*switches: str) -> Browser:
            options = webdriver.ChromeOptions()
            options.binary_location = shutil.which("chromium")
            for switch in (*_SWITCHES, *switches):
                options.add_argument(switch)
            options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
            connection = ChromeRemoteConnection(f"http://{LOOPBACK}:{port}")
            window = webdriver.Remote(connection, options=options)
            stack.callback(window.quit)
            window.set_script_timeout(DEADLINE_S)
            return Browser(window)

        yield open_window


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
