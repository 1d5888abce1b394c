"""Fixtures of the browser tests: one gateway for all of them, and pages whose console errors fail a test."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from zenzefi.tests.browser import delays, server
from zenzefi.tests.browser.registry import ANYONE
from zenzefi.tests.browser.server import Site

HERE = Path(__file__).parent
Visit = Callable[..., Page]
# An upper bound for a loaded machine, and Playwright's own for everything else.
expect.set_options(timeout=30_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> Iterator[dict[str, Any]]:
    if not (given := os.environ.get(delays.VARIABLE)):
        yield server.CHROMIUM
        return
    with delays.running(given) as url:
        yield {**server.CHROMIUM, "proxy": {"server": url}}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with server.running(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    """Return a function that opens a page as a user. Console errors, such as policy violations, fail the test."""
    contexts, problems = [], []

    def visit(who: str = ANYONE, *, may_complain: bool = False, **options: Any) -> Page:
        contexts.append(site.open(browser, who, **options))
        page = contexts[-1].new_page()
        if not may_complain:
            page.on("console", lambda message: problems.append(message.text) if _complains(message) else None)
            page.on("pageerror", lambda error: problems.append(str(error)))
        return page

    yield visit
    for context in contexts:
        context.close()
    assert problems == []


def _complains(message: ConsoleMessage) -> bool:
    """Return whether the message is an error other than a 4xx of the page itself, which some tests expect."""
    own = message.location["url"] == (message.page.url if message.page else "")
    return message.type in ("error", "warning") and not (own and "Failed to load resource" in message.text)
