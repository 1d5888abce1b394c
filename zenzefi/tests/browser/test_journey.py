"""The journey of a new customer from sign-up to refund, in both languages, and by keyboard."""

import re
from collections.abc import Callable
from itertools import count

import httpx
import pytest
from playwright.sync_api import Page, expect

from zenzefi.tests.browser.conftest import Visit
from zenzefi.tests.browser.registry import CUSTOMER, NEWCOMER
from zenzefi.tests.browser.server import Site
from zenzefi.tests.support.command import wait_until

_numbers = count(1)
ENGLISH = {
    "Sign up": "Sign up",
    "Confirm": "Confirm",
    "Top up": "Top up 100.00 ZNC",
    "Continue to payment": "Continue to payment",
    "Pay": "Pay",
    "Back to your choice": "Back to your choice",
    "Buy this token": "Buy this token",
    "Token page": "Token page",
    "Requests": "Requests",
    "Revoke": "Revoke and get back",
    "Revoke the token": "Revoke the token",
    "is back": "ZNC. Your balance is",
    "Statement as CSV": "Statement as CSV",
}
RUSSIAN = {
    "Sign up": "Зарегистрироваться",
    "Confirm": "Подтвердить",
    "Top up": "Пополнить на 100.00 ZNC",
    "Continue to payment": "Перейти к оплате",
    "Pay": "Оплатить",
    "Back to your choice": "Вернуться к выбору",
    "Buy this token": "Купить этот токен",
    "Token page": "Страница токена",
    "Requests": "Запросы",
    "Revoke": "Отозвать и вернуть",
    "Revoke the token": "Отозвать токен",
    "is back": "На балансе",
    "Statement as CSV": "Выписка в CSV",
}
JOURNEYS = {"in English on a desktop": ("en-GB", 1280, ENGLISH), "in Russian on a phone": ("ru-RU", 390, RUSSIAN)}


def sign_up(page: Page, site: Site, words: dict[str, str]) -> None:
    """Sign up, and confirm the address by the link in the e-mail."""
    name = f"carol{next(_numbers)}"
    page.goto("/accounts/signup/")
    page.locator("input[type=email]").fill(f"{name}@example.com")
    page.locator("input[name=username]").fill(name)
    page.locator("input[type=password]").fill("tr0ub4dor-and-3")
    page.locator("main").get_by_role("button", name=words["Sign up"]).click()
    expect(page).to_have_url(re.compile("/dashboard$"))
    page.goto(confirmation(site, f"{name}@example.com"))
    page.locator("main").get_by_role("button", name=words["Confirm"]).click()


def confirmation(site: Site, address: str) -> str:
    """Return the path of the link in the e-mail that the gateway has printed to its console."""
    link = re.compile(rf"To: {re.escape(address)}\n.*?(/accounts/confirm-email/\S+/)\n", re.DOTALL)
    wait_until(lambda: link.search(site.command.output) is not None, 20)
    found = link.search(site.command.output)
    assert found
    return found[1]


def proxied(site: Site, token: str) -> int:
    headers = {"X-Access-Token": token, "X-Device-ID": "carols-laptop"}
    return httpx.get(f"{site.url}/api/v1/proxy/certificates", headers=headers).status_code


@pytest.mark.parametrize(("locale", "width", "words"), JOURNEYS.values(), ids=JOURNEYS)
def test_from_sign_up_to_the_refund(visit: Visit, site: Site, locale: str, width: int, words: dict[str, str]) -> None:
    page = visit(locale=locale, width=width, permissions=["clipboard-read", "clipboard-write"])
    main = page.locator("main")
    sign_up(page, site, words)

    # The balance is empty: the choice leads to a top-up of the missing amount, and the payment back to the choice.
    page.goto("/tokens/buy")
    page.locator("label[for=hours-168]").click()
    main.get_by_role("link", name=words["Top up"]).click()
    expect(page.locator("input[name=amount]")).to_have_value("100.00")
    main.get_by_role("button", name=words["Continue to payment"]).click()
    main.get_by_role("button", name=words["Pay"], exact=True).click()
    main.get_by_role("link", name=words["Back to your choice"]).click()
    expect(page.locator("#hours-168")).to_be_checked()
    main.get_by_role("button", name=words["Buy this token"]).click()

    token = page.locator("#token").inner_text()
    page.locator("[data-copy=token]").click()
    expect(page.locator("[data-copy=token]")).to_contain_text(re.compile("Copied|Скопировано"))
    assert page.evaluate("navigator.clipboard.readText()") == token
    assert proxied(site, token) == 200

    # The usage appears without a reload.
    main.get_by_role("link", name=words["Token page"]).click()
    expect(page.locator("#token-live")).to_contain_text("carols-laptop")

    main.get_by_role("link", name=words["Revoke"]).click()
    main.get_by_role("button", name=words["Revoke the token"]).click()
    expect(page.locator(".alert").first).to_contain_text(words["is back"])
    assert proxied(site, token) == 401

    page.goto("/transactions")
    expect(page.locator("tbody tr")).to_have_count(3)
    with page.expect_download() as download:
        main.get_by_role("button", name=words["Statement as CSV"]).click()
    assert len(download.value.path().read_text().splitlines()) == 8


def test_buying_by_keyboard_alone(visit: Visit, site: Site) -> None:
    """Use Tab to reach a control, space and arrows to choose, and Enter to continue."""
    page = visit(NEWCOMER)
    page.goto("/tokens/buy")
    to(page, lambda: focused(page, "id") == "hours-24")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#hours-1")).to_be_checked()
    to(page, lambda: "Top up 1.00" in focused(page, "textContent").replace("\u00a0", " "))
    go(page, "/topup")
    to(page, lambda: focused(page, "name") == "amount")
    go(page, "/pay/mock/")
    to(page, lambda: focused(page, "value") == "pay")
    go(page, "/billing/return/")
    expect(page.get_by_role("link", name="Back to your choice")).to_be_visible()
    to(page, lambda: "Back to your choice" in focused(page, "textContent"))
    go(page, "/tokens/buy")
    expect(page.locator("#hours-1")).to_be_checked()
    to(page, lambda: "Buy this token" in focused(page, "textContent"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your new token")


def go(page: Page, path: str) -> None:
    """Press Enter, and expect a page below this path."""
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: path in url)


def to(page: Page, there: Callable[[], bool]) -> None:
    """Press Tab until the control has the focus."""
    for _press in range(40):
        if there():
            return
        page.keyboard.press("Tab")
    raise AssertionError(page.evaluate("document.activeElement.outerHTML"))


def focused(page: Page, what: str) -> str:
    """Return a property of the control that has the focus, or an empty text."""
    return str(page.evaluate(f"document.querySelector('main :focus')?.{what} ?? ''")).strip()


def test_a_comma_stays_in_the_amount(visit: Visit) -> None:
    """Check that 10,5 does not become 105, as it would in a number field."""
    page = visit(NEWCOMER)
    page.goto("/topup")
    page.locator("input[name=amount]").press_sequentially("10,5")
    page.get_by_role("button", name="Continue to payment").click()
    expect(page.locator("main")).to_contain_text("10.50 EUR")


def test_back_at_the_choice_the_price_is_that_of_what_is_chosen(visit: Visit) -> None:
    """Check that the price is that of the choice that the browser restores."""
    page = visit(NEWCOMER)
    page.goto("/tokens/buy")
    page.locator("label[for=hours-168]").click()
    page.get_by_role("link", name="Top up 100.00").click()
    page.locator("[data-preset='50']").click()
    page.get_by_role("button", name="Continue to payment").click()
    page.wait_for_url("**/pay/mock/*")
    page.go_back()
    expect(page.locator(".preset[aria-pressed=true]")).to_have_attribute("data-preset", "50")
    page.go_back()
    expect(page.locator("#hours-168")).to_be_checked()
    expect(page.locator(".outcome:visible")).to_contain_text("This costs 100.00")


def test_a_double_click_is_one_request(visit: Visit) -> None:
    page, sent = visit(NEWCOMER), []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.goto("/topup?amount=18")
    page.get_by_role("button", name="Continue to payment").dblclick()
    page.wait_for_url("**/pay/mock/*")
    assert len(sent) == 1


def test_without_a_script(visit: Visit, site: Site) -> None:
    """Check every step except the live numbers. The waiting page has a link to reload it."""
    page = visit(NEWCOMER, java_script_enabled=False)
    page.goto("/topup?amount=18")
    page.get_by_role("button", name="Continue to payment").click()
    page.get_by_role("button", name="Pay", exact=True).click()
    expect(page.get_by_text("Paid. The credits are on your balance.")).to_be_visible()
    page.goto("/tokens/buy")
    page.locator("label[for=hours-24]").click()
    page.get_by_role("button", name="Buy this token").click()
    expect(page.locator("#token")).to_have_text(re.compile(r"^[\w-]{64}$"))


def test_the_server_opens_in_the_browser(visit: Visit, site: Site) -> None:
    page = visit(CUSTOMER, java_script_enabled=False, may_complain=True)  # the page behind the gateway may
    page.goto("/tokens/{token}".format(**site.names))
    page.get_by_role("button", name="Open in this browser").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Zenzefi demo server")
    expect(page).to_have_url(f"{site.url}/api/v1/proxy/")
