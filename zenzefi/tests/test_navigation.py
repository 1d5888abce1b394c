"""All links and buttons of header, menus and footer lead to a page, in both languages, for every kind of user."""

import re
from html import unescape

import pytest
from django.conf import settings
from django.test import Client

from proxy.dataplane import health

EVERYWHERE = {"/", "/docs", "/health"}
SIGNED_IN = {"/dashboard", "/tokens", "/transactions", "/usage", "/connect", "/topup", "/accounts/profile/"}
LINKS = {
    "visitor": {"/#prices", "/#questions", "/accounts/login/", "/accounts/signup/"},
    "alice": SIGNED_IN,
    "olga": SIGNED_IN | {"/admin/"},
}
# The data that a button sends, and the page to which its response leads.
Buttons = dict[str, tuple[dict[str, str], str]]
SWITCHES: Buttons = {"/language": ({"language": "ru", "next": "/docs"}, "/docs"), "/theme": ({"theme": "dark"}, "/")}
LOG_OUT: Buttons = {"/accounts/logout/": ({}, "/")}
BUTTONS = {"visitor": SWITCHES, "alice": SWITCHES | LOG_OUT, "olga": SWITCHES | LOG_OUT}

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("_translated"),
    pytest.mark.parametrize("language", [code for code, _name in settings.LANGUAGES]),
    pytest.mark.parametrize("who", LINKS),
]


@pytest.fixture
def browser(client: Client, who: str, language: str, request: pytest.FixtureRequest) -> Client:
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = language
    if who != "visitor":
        client.force_login(request.getfixturevalue(who))
    return client


def page(browser: Client, path: str) -> str:
    response = browser.get(path)
    assert response.status_code == 200, path
    return response.content.decode()


def frame(browser: Client) -> str:
    """Return the header and the footer of a page."""
    html = page(browser, "/")
    assert f'<html lang="{browser.defaults["HTTP_ACCEPT_LANGUAGE"]}">' in html
    return "".join(re.findall(r"(?s)<header\b.*?</header>|<footer\b.*?</footer>", html))


def test_the_links(browser: Client, who: str) -> None:
    found = {unescape(url) for url in re.findall(r'<a\b[^>]*?\shref="([^"]*)"', frame(browser))}

    assert found == EVERYWHERE | LINKS[who]
    for url in found:
        path, _hash, anchor = url.partition("#")
        if path.encode() not in health.PATHS:  # served outside Django
            html = page(browser, path)
            assert not anchor or f'id="{anchor}"' in html, url


def test_the_buttons(browser: Client, who: str) -> None:
    found = set(re.findall(r'<form method="post" action="([^"]*)"', frame(browser)))

    assert found == set(BUTTONS[who])
    for action, (sent, target) in BUTTONS[who].items():
        response = browser.post(action, sent)
        assert (response.status_code, response["Location"]) == (302, target)
        page(browser, target)
