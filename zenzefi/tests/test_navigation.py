"""Whatever the header, its menus and the footer offer leads to a page, in both languages, whoever looks."""

import re
from html import unescape

import pytest
from django.conf import settings
from django.test import Client

from proxy.dataplane import health

EVERYWHERE = {"/", "/docs", "/health"}
SIGNED_IN = {"/dashboard", "/tokens", "/transactions", "/usage", "/connect", "/topup", "/accounts/profile/"}
LINKS = {
    "nobody": {"/#prices", "/#questions", "/accounts/login/", "/accounts/signup/"},
    "alice": SIGNED_IN,
    "olga": SIGNED_IN | {"/admin/"},
}
# What a button sends, and the page that its answer leads to.
Buttons = dict[str, tuple[dict[str, str], str]]
SWITCHES: Buttons = {"/language": ({"language": "ru", "next": "/docs"}, "/docs"), "/theme": ({"theme": "dark"}, "/")}
LOG_OUT: Buttons = {"/accounts/logout/": ({}, "/")}
BUTTONS = {"nobody": SWITCHES, "alice": SWITCHES | LOG_OUT, "olga": SWITCHES | LOG_OUT}

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("_translated"),
    pytest.mark.parametrize("language", [code for code, _name in settings.LANGUAGES]),
    pytest.mark.parametrize("who", LINKS),
]


@pytest.fixture
def browser(client: Client, who: str, language: str, request: pytest.FixtureRequest) -> Client:
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = language
    if who != "nobody":
        client.force_login(request.getfixturevalue(who))
    return client


def page(browser: Client, path: str) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def frame(browser: Client) -> str:
    """The header and the footer of a page."""
    html = page(browser, "/")
    assert f'<html lang="{browser.defaults["HTTP_ACCEPT_LANGUAGE"]}">' in html
    return "".join(re.findall(r"(?s)<header\b.*?</header>|<footer\b.*?</footer>", html))


def test_the_links(browser: Client, who: str) -> None:
    found = {unescape(url) for url in re.findall(r'<a\b[^>]*?\shref="([^"]*)"', frame(browser))}

    assert found == EVERYWHERE | LINKS[who]
    for url in found:
        path, _hash, anchor = url.partition("#")
        if path.encode() not in health.PATHS:  # answered outside Django
            html = page(browser, path)
            assert not anchor or f'id="{anchor}"' in html, url


def test_the_buttons(browser: Client, who: str) -> None:
    found = set(re.findall(r'<form method="post" action="([^"]*)"', frame(browser)))

    assert found == set(BUTTONS[who])
    for action, (sent, target) in BUTTONS[who].items():
        answer = browser.post(action, sent)
        assert (answer.status_code, answer["Location"]) == (302, target)
        page(browser, target)
