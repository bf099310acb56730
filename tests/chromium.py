"""A real browser for tests: Debian's Chromium, or whichever is installed, without a window and without a network."""

import shutil
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@contextmanager
def browser():
    """The browser; where there is none, the test is skipped, with a sentence."""
    program = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    if program is None:
        pytest.skip("Chromium is not installed; install it to test the pages in a browser")
    playwright = pytest.importorskip("playwright.sync_api").sync_playwright().start()
    found = playwright.chromium.launch(executable_path=program, args=FLAGS)
    yield found
    found.close()
    playwright.stop()


class Opened:
    """A page from the disk, once it says that it is ready; what it asks of a network, and what goes wrong in it."""

    def __init__(self, browser: Any, file: Any, width: int = 1200, scheme: str = "light"):
        self.context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.page: Any = self.context.new_page()
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("body[data-ready]", timeout=60_000)
        self.milliseconds = int(self.page.evaluate("document.body.dataset.ready"))

    def js(self, expression: str, given: Any = None) -> Any:
        """What an expression of JavaScript is; a function is called with what is given."""
        return self.page.evaluate(expression, given)

    def check(self) -> None:
        """Nothing went wrong, nothing was asked for but the file itself, and nothing has to be scrolled sideways."""
        assert not self.wrong, self.wrong
        assert [url[:90] for url in self.asked if not url.startswith(("file:", "data:", "blob:"))] == []
        assert self.js("document.documentElement.scrollWidth <= innerWidth")
        unnamed = """[...document.querySelectorAll("input, select, textarea")].filter(
            (e) => !e.labels.length && !e.ariaLabel).map((e) => e.id)"""
        assert self.js(unnamed) == []
