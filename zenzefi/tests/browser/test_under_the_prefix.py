"""Applications that use absolute paths work in a browser under the path prefix."""

import re

from playwright.sync_api import ConsoleMessage, Page, expect

from zenzefi.tests.browser.conftest import Visit
from zenzefi.tests.browser.registry import CUSTOMER
from zenzefi.tests.browser.server import Site

PREFIX = "/api/v1/proxy"


def opened(visit: Visit, site: Site) -> Page:
    """Return the demo upstream's first page, opened by the button on the page of a token after a device reset."""
    page = visit(CUSTOMER, may_complain=True)  # Chromium requests an icon at the root
    page.goto("/tokens/{token}/reset-device".format(**site.names))
    page.locator("main form button").click()
    page.goto("/tokens/{token}".format(**site.names))
    page.get_by_role("button", name="Open in this browser").click()
    expect(page).to_have_url(f"{site.url}{PREFIX}/")
    return page


def complaint(message: ConsoleMessage) -> str:
    """Return the text of a console message that is an error, else an empty text."""
    if message.type not in ("error", "warning") or message.location["url"] == f"{origin(message)}/favicon.ico":
        return ""
    return message.text


def origin(message: ConsoleMessage) -> str:
    return "/".join((message.page.url if message.page else "").split("/")[:3])


def test_the_first_page_of_the_demo(visit: Visit, site: Site) -> None:
    page = opened(visit, site)
    for state, text in (("info", "Received"), ("socket", "Connected"), ("events", "Complete")):
        expect(page.locator(f"#{state}-state")).to_have_text(text)
    page.get_by_role("link", name="Certificates").first.click()
    expect(page).to_have_url(f"{site.url}{PREFIX}/certificates")


# case C52
def test_everything_by_absolute_paths_under_any_policy(visit: Visit, site: Site) -> None:
    page = opened(visit, site)
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(complaint(message)))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for policy in ("", "strict", "nonce", "default"):
        page.goto(f"{PREFIX}/absolute?policy={policy}")
        works(page, site)
    page.goto(f"{PREFIX}/absolute")
    expect(page.locator("#checks-state")).to_have_text("All work")
    page.get_by_role("button", name="Go to the certificates").click()
    expect(page).to_have_url(re.compile(f"{PREFIX}/certificates$"))
    strays = [url for url in asked if not url.startswith(f"{site.url}{PREFIX}/")]
    assert strays == []
    assert list(filter(None, complaints)) == []


def works(page: Page, site: Site) -> None:
    expect(page.locator("#checks-state")).to_have_text("All work")
    expect(page.locator("dd[data-check=good]")).to_have_count(15)
    assert page.evaluate("document.getElementById('picture').naturalWidth") > 0
    # The style sheet imported by that of the page, and its picture.
    assert page.evaluate("getComputedStyle(document.querySelector('main')).display") == "grid"
    picture = "getComputedStyle(document.getElementById('checks-title')).backgroundImage"
    assert f"{PREFIX}/static/favicon.svg" in page.evaluate(picture)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("body")).to_contain_text('"path": "/echo/form"')
    expect(page).to_have_url(f"{site.url}{PREFIX}/echo/form")
