"""Denials in a browser: the page of the gateway, its link to the explanation, and the JSON for scripts."""

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from zenzefi.tests.browser.accessibility import findings
from zenzefi.tests.browser.conftest import Visit
from zenzefi.tests.browser.registry import CUSTOMER, LOOKS
from zenzefi.tests.browser.server import Site

DENIED_PATH = "/api/v1/proxy/pages?a=1"
SENTENCES = {
    "en-GB": "The request had no token or an unknown one.",
    "ru-RU": "В запросе нет токена, или этот токен нам неизвестен.",
}


def open_denied(page: Page) -> str:
    """Navigate to a path without a token. Return the id of the request."""
    response = page.goto(DENIED_PATH)
    assert response is not None
    assert (response.status, response.headers["x-zenzefi-error"]) == (401, "invalid_token")
    return response.headers["x-request-id"]


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_the_gateways_page(visit: Visit, look: dict[str, Any]) -> None:
    page = visit(**look)
    open_denied(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(SENTENCES[look["locale"]])
    assert page.locator("html").get_attribute("lang") == look["locale"][:2]
    assert page.evaluate("document.documentElement.scrollWidth") <= look["width"]
    # The style sheets load, although the content policy of this page is stricter than that of the site.
    assert page.evaluate("getComputedStyle(document.querySelector('.btn-primary')).borderRadius") != "0px"
    assert findings(page) == []


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_from_the_denial_to_its_explanation(visit: Visit, scripts: bool) -> None:
    """Check that the page waits for the record: it reloads itself or, without scripts, has a link."""
    page = visit(java_script_enabled=scripts)
    number = open_denied(page)
    page.get_by_role("link", name="Why was access denied?").click()
    expect(page).to_have_url(re.compile(f"/denied/{number}$"))
    heading = page.get_by_role("heading", level=1)
    if not scripts:
        while heading.text_content() != SENTENCES["en-GB"]:
            page.wait_for_timeout(700)
            page.get_by_role("link", name="Check again").click()
    expect(heading).to_have_text(SENTENCES["en-GB"])
    expect(page.get_by_text(number)).to_be_visible()


def test_waiting_for_an_unknown_denial_ends(visit: Visit) -> None:
    page = visit()
    page.goto("/denied/nothing-of-that-name")
    expect(page.get_by_role("heading", level=1)).to_have_text("We have no record of this denial.")


def test_an_owner_opens_a_denial_of_the_list(visit: Visit) -> None:
    page = visit(CUSTOMER)
    page.goto("/denied")
    page.get_by_role("link", name=re.compile("^In use by device …\u206041 until")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"until \d\d:\d\d (CET|CEST)\.$"))


def test_a_script_of_the_page_gets_json(visit: Visit) -> None:
    """Check that requests other than navigations get JSON."""
    page = visit(may_complain=True)
    page.goto("/")
    body = page.evaluate(
        "fetch('/api/v1/proxy/x', {headers: {Accept: 'text/html'}}).then((response) => response.json())"
    )
    assert body["code"] == "invalid_token"


def test_curl_gets_json(site: Site) -> None:
    response = httpx.get(f"{site.url}/api/v1/proxy/x", trust_env=False)
    assert response.json()["code"] == "invalid_token"
