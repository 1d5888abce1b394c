"""Denials of browser navigation as pages; API clients keep receiving JSON."""

import re
from datetime import timedelta

import pytest

from access import services
from proxy.dataplane.denials import pages
from proxy.dataplane.denials.pages import is_navigation
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.denial_pages import CHROMIUM, NAVIGATION, buttons, heading
from proxy.tests.support.raw_client import exchange, head


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("GET", {"accept": CHROMIUM, "sec-fetch-mode": "navigate"}, True),
        ("GET", {"accept": CHROMIUM}, True),  # before Fetch Metadata
        ("GET", {"accept": "text/html"}, True),
        ("GET", {"accept": "application/xhtml+xml, */*;q=0.1"}, True),
        ("GET", {"accept": "application/json;q=0.5, Text/HTML"}, True),
        ("GET", {"accept": "text/html;q=0.1, application/json"}, False),
        ("GET", {"accept": "application/json, text/html"}, False),
        ("GET", {"accept": "application/json"}, False),
        ("GET", {"accept": "*/*"}, False),
        ("GET", {"accept": "text/html;q=0"}, False),
        ("GET", {"accept": "text/html;q=x"}, False),
        ("GET", {"accept": ",;,\xff"}, False),
        ("GET", {}, False),
        ("GET", {"accept": CHROMIUM, "sec-fetch-mode": "cors"}, False),
        ("GET", {"accept": CHROMIUM, "sec-fetch-mode": "no-cors"}, False),
        ("GET", {"accept": "*/*", "sec-fetch-mode": "navigate"}, False),
        ("POST", {"accept": CHROMIUM, "sec-fetch-mode": "navigate"}, False),
        ("HEAD", {"accept": CHROMIUM, "sec-fetch-mode": "navigate"}, False),
    ],
)
def test_is_navigation(method, headers, expected):
    given = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    assert is_navigation(method, given) is expected


def denied_page(gateway, *sold, **headers):
    """Return the response to a navigation that the gateway denies."""
    return gateway.client(*sold).get("/x", headers={**NAVIGATION, **headers})


class TestThePage:
    def test_status_and_headers_equal_those_of_json(self, gateway, recorded):
        page = denied_page(gateway, **{"X-Request-ID": "number-0001"})
        plain = gateway.client().get("/x", headers={"X-Request-ID": "number-0001"})
        assert_denied(plain, "invalid_token")
        assert page.status_code == 401
        for name in ("X-Zenzefi-Error", "X-Request-ID", "Cache-Control", "Connection"):
            assert page.headers.get(name) == plain.headers.get(name)
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = page.headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "style-src 'self'", "form-action 'none'", "frame-ancestors 'none'"} <= set(
            policy
        )
        assert recorded.requests == []

    def test_it_explains_the_denial_and_has_buttons(self, gateway, recorded):
        page = denied_page(gateway, **{"X-Request-ID": "number-0001"})
        assert heading(page) == "The request had no token or an unknown one."
        assert "/denied/number-0001" in buttons(page)
        assert "<code>number-0001</code>" in page.text
        assert "<style" not in page.text
        assert " style=" not in page.text
        assert not re.search(r"<script(?![^>]*\bsrc=)", page.text)
        assert not re.search("[\x00-\x08]", page.text)

    def test_it_shows_the_request_id(self, gateway, recorded):
        first, second = (
            denied_page(gateway, **{"X-Request-ID": number}) for number in ("number-0001", "number-0002")
        )
        assert "number-0001" in first.text
        assert "number-0001" not in second.text

    def test_of_a_token_that_expired(self, gateway, recorded, alice_token):
        alice_token.shift(timedelta(hours=1, minutes=3, seconds=5))
        assert heading(denied_page(gateway, alice_token)) == "Your token expired 3 minutes ago."
        russian = denied_page(gateway, alice_token, **{"Accept-Language": "ru-RU,ru;q=0.9,en;q=0.8"})
        assert '<html lang="ru"' in russian.text
        assert heading(russian) == "Срок действия вашего токена истёк 3 минуты назад."

    def test_of_a_token_that_was_revoked(self, gateway, recorded, olga, alice_token):
        services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
        assert heading(denied_page(gateway, alice_token)) == "Your token was revoked."

    def test_of_a_token_that_another_device_holds(self, gateway, recorded, alice_token):
        gateway.client(alice_token.on("laptop-<1")).get("/x")
        page = denied_page(gateway, alice_token, Cookie="zenzefi_time_zone=Asia/Yekaterinburg; x=y")
        assert page.status_code == 409
        assert re.fullmatch(r"In use by device …&lt;1 until \d\d:\d\d \+05\.", heading(page))
        assert re.search(r"until \d\d:\d\d UTC", heading(denied_page(gateway, alice_token)))

    @pytest.mark.parametrize("zone", ["../../etc/passwd", "Nowhere/Nothing", "", "%00", "Europe"])
    def test_an_invalid_time_zone_is_ignored(self, gateway, recorded, alice_token, zone):
        gateway.client(alice_token.on("laptop-41")).get("/x")
        assert "UTC" in heading(denied_page(gateway, alice_token, Cookie=f"zenzefi_time_zone={zone}"))

    def test_the_language_and_theme_of_the_footer(self, gateway, recorded):
        page = denied_page(gateway, Cookie="zenzefi_language=ru; zenzefi_theme=dark", **{"Accept-Language": "en"})
        assert '<html lang="ru" data-bs-theme="dark">' in page.text
        page = denied_page(gateway, Cookie='zenzefi_language=xx; zenzefi_theme="><script>')
        assert '<html lang="en">' in page.text

    def test_of_an_ambiguous_request(self, gateway, recorded):
        """Respond with a page to a malformed request, too, and close the connection."""
        response = exchange(
            gateway.port,
            head(
                "GET",
                "/api/v1/proxy/x",
                {"Host": "h", **NAVIGATION},
                b"host: another",
            ),
        )
        assert (response.status, response.headers["connection"]) == (400, "close")
        assert response.headers["content-type"] == "text/html; charset=utf-8"

    def test_a_cross_site_fetch_gets_json(self, gateway, recorded):
        assert_denied(denied_page(gateway, **{"Sec-Fetch-Mode": "cors"}), "invalid_token")


def test_a_page_is_rendered_once(gateway, recorded, monkeypatch):
    rendered = []
    render = pages.render_to_string
    monkeypatch.setattr(pages, "render_to_string", lambda *given: rendered.append(given) or render(*given))
    pages._frame.cache_clear()
    for number in range(20):
        assert (
            denied_page(gateway, **{"X-Access-Token": f"{number:064}", "X-Device-ID": "device-1"}).status_code == 401
        )
    assert len(rendered) == 1
