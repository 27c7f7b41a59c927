"""A real browser for the pages: headless Chromium whose console and network are written down."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome


@contextmanager
def headless() -> Iterator[Chrome]:
    """Chromium without a window; skips the test where it, or its driver, is not installed."""
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs Chromium and chromedriver; on Debian: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage"):  # fmt: skip  # noqa: E501
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


def show(browser: Chrome, path: Path, width: int = 1200, scheme: str = "light", height: int = 900) -> None:
    """Open a page and wait until its figures are drawn; what was logged before is thrown away."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    logged(browser, "browser")
    logged(browser, "performance")
    browser.get(path.as_uri())
    wait_for_figures(browser)


def wait_for_figures(browser: Chrome) -> None:
    """Until every figure that is shown is drawn."""
    from selenium.webdriver.support.wait import WebDriverWait

    drawn = "return [...document.querySelectorAll('.plotly-graph-div')].every(figure => figure.querySelector('.main-svg'))"
    WebDriverWait(browser, 30).until(lambda chrome: chrome.execute_script(drawn))


def logged(browser: Chrome, log: str) -> list[dict[str, Any]]:
    """What the browser wrote down since the last call."""
    entries: list[dict[str, Any]] = browser.get_log(log)  # type: ignore[no-untyped-call]
    return entries


def requests(browser: Chrome) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in logged(browser, "performance")]
    return [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]


def count(browser: Chrome, selector: str) -> Any:
    return browser.execute_script("return document.querySelectorAll(arguments[0]).length", selector)


def unfold(browser: Chrome) -> None:
    """Open everything that is folded, what is inside of it too."""
    for _ in range(3):
        browser.execute_script("document.querySelectorAll('details').forEach(each => { each.open = true })")
        browser.execute_async_script("setTimeout(arguments[0], 50)")
    wait_for_figures(browser)
