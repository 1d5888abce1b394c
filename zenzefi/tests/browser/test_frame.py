"""The frame of every page: colours, language, menus and the keyboard, with and without a script."""

import re

import pytest
from playwright.sync_api import Page, expect

from zenzefi.tests.browser.conftest import Visit
from zenzefi.tests.browser.registry import CUSTOMER

LIGHT, DARK = "rgb(248, 249, 251)", "rgb(18, 22, 28)"


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
@pytest.mark.parametrize(
    ("scheme", "theirs", "chosen", "ours"), [("light", LIGHT, "Dark", DARK), ("dark", DARK, "Light", LIGHT)]
)
def test_colours_are_the_devices_unless_chosen(
    visit: Visit, scripts: bool, scheme: str, theirs: str, chosen: str, ours: str
) -> None:
    page = visit(color_scheme=scheme, java_script_enabled=True)
    page.goto("/")
    assert background(page) == theirs

    plain = visit(color_scheme=scheme, java_script_enabled=scripts)
    plain.goto("/")
    plain.get_by_role("button", name=chosen).click()
    plain.goto("/nothing")

    # The server has sent the theme, so the page never shows other colours.
    expect(plain.locator("html")).to_have_attribute("data-bs-theme", chosen.lower())
    page.context.add_cookies(plain.context.cookies())
    page.goto("/nothing")
    assert background(page) == ours


def test_the_language_switch_keeps_the_page(visit: Visit) -> None:
    page = visit()
    page.goto("/?from=mail")
    page.get_by_role("button", name="Русский").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Доступ ровно на то время, которое вам нужно")
    expect(page).to_have_url(re.compile(r"/\?from=mail$"))
    expect(page.get_by_role("button", name="Русский")).to_have_attribute("aria-pressed", "true")


def test_the_first_key_skips_to_the_content(visit: Visit) -> None:
    page = visit()
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without"])
def test_the_menu_of_a_phone(visit: Visit, scripts: bool) -> None:
    page = visit(CUSTOMER, width=390, java_script_enabled=scripts)
    page.goto("/")
    menu = page.locator("summary").filter(has_text="Menu").last
    expect(page.get_by_role("navigation", name="Menu")).to_be_hidden()
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="Menu")).to_be_visible()


def test_a_menu_closes_by_escape_and_by_a_click_elsewhere(visit: Visit) -> None:
    page = visit(width=390)
    page.goto("/")
    panel = page.get_by_role("navigation", name="Menu")
    menu = page.locator("summary").filter(has_text="Menu")
    menu.click()
    panel.get_by_role("link", name="Prices").focus()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(menu).to_be_focused()
    menu.click()
    page.mouse.click(100, 500)
    expect(panel).to_be_hidden()


def test_the_browsers_time_zone_reaches_the_server(visit: Visit) -> None:
    page = visit(timezone_id="Asia/Yekaterinburg")
    page.goto("/")
    page.wait_for_function("document.cookie.includes('zenzefi_time_zone')")
    values = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    assert values["zenzefi_time_zone"] == "Asia/Yekaterinburg"


def test_nothing_comes_from_elsewhere(visit: Visit) -> None:
    page = visit()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/", wait_until="networkidle")
    assert len(asked) > 4
    assert [url for url in asked if not url.startswith(page.evaluate("location.origin"))] == []
