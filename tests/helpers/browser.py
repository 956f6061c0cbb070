"""The Chromium of this machine, driven by playwright, which downloads no browser here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

PROGRAM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
SILENT = (  # no requests of the browser's own
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SECONDS = 60.0  # for whatever is waited for; a busy machine is slow
expect.set_options(timeout=1000 * SECONDS)


def in_a_browser(test: Callable[..., None]) -> Any:
    """Decorates a test that needs Chromium, which is skipped where there is none."""
    missing = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")
    return pytest.mark.browser(missing(test))


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser. While it runs, `asyncio.run` fails in this thread: playwright's own loop
    is there."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=SILENT)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Tab:
    """A page, the address of every request that it made, and whatever went wrong in it: what it
    threw, what it logged as an error, and what the browser refused it."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda line: self.errors.append(line.text) if line.type == "error" else None,
        )

    def text(self, selector: str) -> str:
        """What a reader sees of the first such element."""
        return self.page.locator(selector).first.inner_text()


@contextmanager
def open_tab(browser: Browser) -> Iterator[Tab]:
    """An empty page with cookies and storage of its own."""
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    context.set_default_timeout(1000 * SECONDS)
    try:
        yield Tab(context.new_page())
    finally:
        context.close()
