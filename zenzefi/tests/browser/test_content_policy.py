"""The content policy holds on every kind of page, and blocks nothing that the pages of libraries need."""

import httpx
import pytest
from playwright.sync_api import expect

from zenzefi.tests.browser.conftest import Visit
from zenzefi.tests.browser.registry import OPERATOR
from zenzefi.tests.browser.server import Site

ADMIN = [
    "/admin/",
    "/admin/accounts/user/",
    "/admin/accounts/user/add/",
    "/admin/access/accesstoken/",
    "/admin/billing/payment/",
]


@pytest.mark.parametrize("path", ADMIN)
def test_the_admin(visit: Visit, path: str) -> None:
    page = visit(OPERATOR)
    page.goto(path)
    expect(page.locator("#content h1")).to_be_visible()


def test_swagger(visit: Visit) -> None:
    page = visit()
    page.goto("/docs")
    page.get_by_role("button", name="GET /api/v1/tariffs").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table td.response-col_status").last).to_contain_text("200")


def test_redoc(visit: Visit) -> None:
    """Check that Redoc works, and that the logo of its maker, on another host, is blocked."""
    page = visit(may_complain=True)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

    with page.expect_console_message(lambda message: "cdn.redoc.ly" in message.text):
        page.goto("/redoc")

    expect(page.get_by_role("heading", name="Zenzefi API")).to_be_visible()
    assert [text for text in complaints if "cdn.redoc.ly" not in text] == []


def test_what_is_proxied_keeps_its_own(site: Site) -> None:
    response = httpx.get(f"{site.url}/api/v1/proxy/", headers=site.command.credentials, trust_env=False)
    assert (response.status_code, response.headers.get("content-security-policy")) == (200, None)


def test_an_injected_script_does_not_run(visit: Visit) -> None:
    """Check that the policy blocks a script that the test inserts, with an error on the console."""
    page = visit(may_complain=True)
    page.goto("/")
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = true\">')")
    assert page.evaluate("window.ran") is None
