"""A part of a page that needs a script is visible only after this script has run, so that no click is lost."""

import re

import pytest
from playwright.sync_api import Route, expect

from zenzefi.tests.browser.conftest import Visit
from zenzefi.tests.browser.registry import CUSTOMER, NEWCOMER
from zenzefi.tests.browser.server import Site

# A page, its user, a script of it, and what does nothing without this script.
PARTS = [
    ("/topup", NEWCOMER, "presets", "[data-preset='50']"),
    ("/tokens/buy", NEWCOMER, "options", ".outcomes"),
    ("/tokens/buy", CUSTOMER, "options", ".outcomes"),
    ("/tokens/{token}/extend", CUSTOMER, "options", ".outcomes"),
    ("/dashboard", CUSTOMER, "chart", "[data-chart=traffic]"),
    ("/usage", CUSTOMER, "chart", "[data-chart=by-time]"),
    ("/connect", CUSTOMER, "site", "[data-copy]"),
]


@pytest.mark.parametrize(("path", "who", "script", "part"), PARTS)
def test_a_part_waits_for_its_script(visit: Visit, site: Site, path: str, who: str, script: str, part: str) -> None:
    held: list[Route] = []
    url = re.compile(rf"/{script}\.[0-9a-f]+\.js$")
    page = visit(who)

    def hold(route: Route) -> None:
        held.append(route)

    page.route(url, hold)
    with page.expect_request(url):
        page.goto(path.format(**site.names), wait_until="commit")
    expect(page.locator("footer")).to_be_visible()
    expect(page.locator(part).first).to_be_attached()
    expect(page.locator(part).first).to_be_hidden()

    (route,) = held
    route.continue_()

    expect(page.locator(part).first).to_be_visible()
