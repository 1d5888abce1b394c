"""The upstream on PROXY_HOST: the button leads there, and its pages work as without a gateway."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from zenzefi.tests.browser import server
from zenzefi.tests.browser.accessibility import findings
from zenzefi.tests.browser.registry import CUSTOMER, LOOKS
from zenzefi.tests.browser.server import Site
from zenzefi.tests.support.command import ROOT, free_port

UNKNOWN = "The request had no token or an unknown one."
USED = "This link to the server was already used, or is older than a minute."

# One test process runs them all, so that they share one gateway.
pytestmark = pytest.mark.xdist_group("own host")


@contextmanager
def running(folder: Path, **given: str) -> Iterator[tuple[Site, str]]:
    """Yield a gateway and the origin of PROXY_HOST. Chromium resolves names that end in `.localhost` to loopback."""
    port = free_port()
    host = f"proxy.localhost:{port}"
    with server.running(folder, PORT=str(port), PROXY_HOST=host, **given) as site:
        yield site, f"http://{host}"


@pytest.fixture(scope="module")
def own_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    with running(tmp_path_factory.mktemp("own-host")) as own_host:
        yield own_host


@pytest.fixture(params=[True, False], ids=["with scripts", "without"])
def scripts(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def page(scripts: bool, browser: Browser, own_host: tuple[Site, str]) -> Iterator[Page]:
    """Yield the page of Alice's token, in the same browser each time. Console errors fail the test."""
    site, _origin = own_host
    context = site.open(browser, CUSTOMER, java_script_enabled=scripts)
    context.add_cookies([{"name": "zenzefi_device", "value": "browser-of-alice", "url": site.url}])
    page, problems = context.new_page(), []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto("/tokens/{token}".format(**site.names))
    yield page
    context.close()
    assert [problem for problem in problems if "401 (Unauthorized)" not in problem] == []


def press(page: Page, *, scripts: bool) -> None:
    """Press the button on the page of the token and, without scripts, the one on the handoff page."""
    page.get_by_role("button", name="Open in this browser").click()
    if not scripts:
        page.get_by_role("button", name="Open the server").click()


def test_the_server_opens_with_its_absolute_paths(page: Page, scripts: bool, own_host: tuple[Site, str]) -> None:
    _site, origin = own_host
    loaded: dict[str, int] = {}
    page.on("response", lambda response: loaded.update({response.url: response.status}))
    press(page, scripts=scripts)
    expect(page).to_have_url(f"{origin}/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Zenzefi demo server")
    page.wait_for_load_state()
    assert loaded[f"{origin}/static/style.css"] == 200
    if scripts:  # fetch, WebSocket and EventSource at absolute paths, admitted by the cookie
        expect(page.locator("#info-state")).to_have_text("Received")
        expect(page.locator("#socket-log .received")).to_have_text("Hello from the browser")
        expect(page.locator("#events-state")).to_have_text("Complete")
    # The cookie is limited to that host, and scripts cannot read it.
    (cookie,) = [each for each in page.context.cookies() if each["name"] == "zenzefi_access"]
    assert (cookie["domain"], cookie["path"], cookie["httpOnly"]) == ("proxy.localhost", "/", True)
    assert not [url for url in loaded if cookie["value"] in url]
    page.goto(f"{origin}/certificates")
    expect(page).to_have_url(f"{origin}/certificates")
    assert page.locator("tbody tr").count() == 25


def test_back_leads_to_the_page_of_the_token(browser: Browser, own_host: tuple[Site, str]) -> None:
    """Check it also if the form is sent so late that its page is in the history."""
    site, origin = own_host
    script = (ROOT / "static/js/handoff.js").read_text()
    late = f"addEventListener('load', () => setTimeout(() => {{ {script} }}, 200));"
    context = site.open(browser, CUSTOMER)
    page = context.new_page()
    for route in (None, late):
        if route:
            page.route("**/handoff.*.js", lambda found: found.fulfill(body=late, content_type="text/javascript"))
        page.goto("/tokens/{token}".format(**site.names))
        press(page, scripts=True)
        expect(page).to_have_url(f"{origin}/")
        page.go_back()
        expect(page).to_have_url("{url}/tokens/{token}".format(url=site.url, **site.names))
        expect(page.get_by_role("button", name="Open in this browser")).to_be_visible()
    context.close()


def test_a_denial_there_links_to_the_site(page: Page, own_host: tuple[Site, str], scripts: bool) -> None:
    site, origin = own_host
    for path, sentence in (("/x", UNKNOWN), ("/.zenzefi/open?code=used", USED)):
        response = page.goto(f"{origin}{path}")
        assert response is not None
        assert response.status == 401
        expect(page.get_by_role("heading", level=1)).to_have_text(sentence)
        # The page uses the style sheets of the site.
        assert (
            scripts is False
            or page.evaluate("getComputedStyle(document.querySelector('.btn')).borderRadius") != "0px"
        )
        page.get_by_role("link", name="Why was access denied?").click()
        expect(page).to_have_url(f"{site.url}/denied/{response.headers['x-request-id']}")


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_the_handoff_page(browser: Browser, own_host: tuple[Site, str], look: dict[str, Any]) -> None:
    """Check the page as users see it if its script does not load."""
    site, _origin = own_host
    context = site.open(browser, CUSTOMER, **look)
    page = context.new_page()
    page.route("**/handoff.*.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto("/tokens/{token}".format(**site.names))
    page.locator("form[action$='/open'] button").click()
    heading = {"en-GB": "Opening the server", "ru-RU": "Сервер открывается"}[look["locale"]]
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    assert page.evaluate("document.documentElement.scrollWidth") <= look["width"]
    assert findings(page) == []
    context.close()


def test_a_strict_cookie_is_sent_at_once(browser: Browser, tmp_path: Path) -> None:
    """Check that the browser sends it although the navigation began on another site."""
    with running(tmp_path, COOKIE_SAMESITE="Strict") as (site, origin):
        context = site.open(browser, CUSTOMER)
        page = context.new_page()
        page.goto("/tokens/{token}".format(**site.names))
        press(page, scripts=True)
        expect(page).to_have_url(f"{origin}/")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Zenzefi demo server")
        (cookie,) = [each for each in context.cookies() if each["name"] == "zenzefi_access"]
        assert cookie["sameSite"] == "Strict"
        context.close()
