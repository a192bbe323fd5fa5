"""A real Chromium without a window, and what a person does with it. Tests are skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import wait_until

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
HOW = "install Debian's chromium and chromium-driver, and the development packages"
PATIENCE_S = 30.0

ROWS = """
return [...document.querySelectorAll("#rows tr")].map((row) =>
  [row.querySelector(".name"), ...[...row.cells].slice(1)].map((cell) => cell.textContent));
"""

DESKTOP, PHONE = (1280, 900), (390, 844)


class Browser:
    """One page. Its console must stay empty of errors: a blocked style or script is one."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        """Go to an address."""
        self._driver.get(url)

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns."""
        return self._driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        """The text of the first element that a CSS selector finds, empty where there is none."""
        return str(self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that a CSS selector finds."""
        script = "return [...document.querySelectorAll(arguments[0])].map((node) => node.textContent)"
        return [str(text) for text in self.run(script, selector)]

    def wait_for(self, selector: str, is_right: Callable[[str], bool] | str) -> str:
        """Wait until an element's text is this, or `is_right` of it."""
        expected = is_right if callable(is_right) else is_right.__eq__

        def look() -> bool:
            return bool(expected(self.text(selector)))

        wait_until(look, f"{selector} is {is_right}, not {self.text(selector)!r}", PATIENCE_S)
        return self.text(selector)

    def rows(self) -> dict[str, list[str]]:
        """The table `#rows`: the first cell's name, and the texts of the cells after it."""
        return {row[0]: row[1:] for row in self.run(ROWS)}

    def press(self, *keys: str) -> None:
        """Keys, to whatever has the focus."""
        from selenium.webdriver import ActionChains

        actions = ActionChains(self._driver)
        for key in keys:
            actions = actions.send_keys(key)
        actions.perform()

    def looks(self, *, dark: bool = False, size: tuple[int, int] = DESKTOP, calm: bool = True) -> None:
        """What the reader's system is like; `calm`: no motion."""
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"},
        ]
        self._command("Emulation.setEmulatedMedia", features=features)
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self._command("Emulation.setDeviceMetricsOverride", **metrics)

    def violations(self) -> list[str]:
        """What axe-core finds to be inaccessible."""
        from axe_core_python.selenium import Axe

        found = Axe().run(self._driver)["violations"]
        return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]

    def errors(self) -> list[str]:
        """What the console has complained of since this was asked last."""
        return [str(entry["message"]) for entry in self._driver.get_log("browser")]

    def photograph(self, file: Path, *, whole: bool = False) -> None:
        """Write what is seen, or the whole page, into a PNG file."""
        import base64

        shot = self._command("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))

    def _command(self, name: str, **arguments: Any) -> Any:
        return self._driver.execute_cdp_cmd(name, arguments)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; skips the test where none can be started."""
    selenium = pytest.importorskip("selenium.webdriver", reason=f"no browser: {HOW}")
    pytest.importorskip("axe_core_python", reason=f"no browser: {HOW}")
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    driver = shutil.which(DRIVER)
    if program is None or driver is None:
        pytest.skip(f"no browser: {HOW}")
    options = selenium.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "SEVERE"})
    # No sandbox: it needs rights that a container's root does not have, and the pages are our own.
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        "--hide-scrollbars",
    ):
        options.add_argument(argument)
    running = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    try:
        yield Browser(running)
    finally:
        running.quit()
