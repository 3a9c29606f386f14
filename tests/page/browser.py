"""A real Chromium for the tests of the page, and what it is watched for.

The browser is the machine's own (Debian's package chromium); Playwright, which drives it, is
installed by `environments` as it is wanted nowhere else. Without one of them a test is skipped,
but fails where the environment says ``CI=true``.
"""

import contextlib
import importlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from environments import python_with

_REQUIREMENTS = Path(__file__).parents[1] / "page-requirements.txt"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WAIT_MS = 30_000
_VIOLATIONS = """
window.violations = [];
addEventListener("securitypolicyviolation", (event) => {
    window.violations.push(event.violatedDirective);
});
"""


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Gives a running browser of Playwright's."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        reason = f"there is no browser here: none of {', '.join(_NAMES)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    flags = ["--disable-dev-shm-usage", "--font-render-hinting=none"]
    if os.geteuid() == 0:  # whose processes Chromium does not isolate
        flags.append("--no-sandbox")
    with _playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield running
        finally:
            running.close()


def _playwright() -> Any:
    python = python_with("page", _REQUIREMENTS)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = str(python.parents[1] / "lib" / version / "site-packages")
    if packages not in sys.path:
        sys.path.append(packages)
    return importlib.import_module("playwright.sync_api").sync_playwright()


class Tab:
    """A page of the browser, watched: no error, no other origin, nothing that the policy forbids.

    Args:
        browser: Of `chromium`.
        url: The server's.
        options: Of the browser's context: ``locale``, ``color_scheme``, ``viewport``, …
    """

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self._context = browser.new_context(
            **{"locale": "en-GB", "viewport": {"width": 1200, "height": 900}, **options}
        )
        self._context.add_init_script(_VIOLATIONS)
        self.page = self._context.new_page()
        self.page.set_default_timeout(_WAIT_MS)
        self.url = url
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", self._hear)
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _hear(self, message: Any) -> None:
        # A refusal is told to the console too, and is the page's business.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.wrong.append(f"console: {message.text}")

    def open(self, model: str = "") -> Any:
        """Goes to the page, and to a model's form if one is named; returns Playwright's page."""
        self.page.goto(f"{self.url}/#{model}" if model else self.url)
        if model:
            self.page.wait_for_selector("#state")
        return self.page

    def violations(self) -> list[str]:
        """Returns what the page did that its policy forbids."""
        found: list[str] = self.page.evaluate("window.violations")
        return found

    def answer(self) -> str:
        """Waits for an answer, and returns its first line."""
        return str(self.page.locator("#answer .headline").inner_text())

    def problem(self) -> str:
        """Waits until the page tells a problem, and returns all it says."""
        return str(self.page.locator(".notice.bad").inner_text())

    def close(self) -> None:
        """Ends it, and checks what it was watched for."""
        try:
            assert self.wrong == []
            assert self.violations() == []
            of_server = urlsplit(self.url).netloc
            others = [url for url in self.asked if urlsplit(url).netloc not in ("", of_server)]
            assert others == []
        finally:
            self._context.close()
