"""The pages of the site load everything from this server, so they work without the internet."""

import re
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from zenzefi.tests.browser import scenery
from zenzefi.tests.browser.registry import ANYONE, CUSTOMER, OPERATOR

PAGES = ["/", "/nothing", "/docs", "/redoc", "/accounts/login/"]


def references(text: str) -> Iterator[str]:
    """Return the URLs that a browser would fetch for the HTML."""
    yield from re.findall(r'<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)="([^"]+)"', text)
    yield from re.findall(r'(?:@import|url\()\s*["\']?([^"\')]+)', text)


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
def test_all_resources_of_a_page_are_served_here(client: Client, path: str) -> None:
    found = list(references(client.get(path).content.decode()))
    assert found
    for reference in found:
        assert reference.startswith("/"), reference
        assert not reference.startswith("//")
        with closing(client.get(reference)) as asset:
            assert asset.status_code == 200, reference


def test_redoc_may_not_reach_out(client: Client) -> None:
    policy = client.get("/redoc")["Content-Security-Policy"]
    assert set(policy.split("; ")) >= {"default-src 'self'", "img-src 'self' data:", "worker-src 'self' blob:"}


def test_the_schema_is_json(client: Client) -> None:
    response = client.get("/api/schema", headers={"Accept": "text/html"})
    assert response["Content-Type"].startswith("application/vnd.oai.openapi+json")
    assert response.json()["info"]["title"] == "Zenzefi API"


def shown(client: Client, who: str, path: str) -> str:
    """Return the page as the user sees it."""
    scene = scenery.build()
    client.cookies[settings.SESSION_COOKIE_NAME] = scene.sessions[who]
    return client.get(path.format(**scene.names)).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/accounts/2fa/totp/deactivate/", "/accounts/2fa/recovery-codes/generate/"])
def test_a_destructive_action_has_a_red_button_and_a_cancel_link(client: Client, path: str) -> None:
    page = shown(client, OPERATOR, path)
    assert re.search(r'<button type="submit" class="btn btn-danger">\w', page)
    assert ">Cancel</a>" in page


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/accounts/logout/", "/accounts/reauthenticate/"])
def test_a_question_can_be_declined(client: Client, path: str) -> None:
    assert ">Cancel</a>" in shown(client, CUSTOMER, path)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/accounts/confirm-email/old/", "/accounts/password/reset/key/x-old/"])
def test_an_expired_link_is_explained(client: Client, path: str) -> None:
    assert re.search("<h1[^>]*>This link does not work</h1>", shown(client, ANYONE, path))


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/accounts/confirm-email/", "/accounts/password/reset/done/"])
def test_pages_that_wait_for_an_email_link_back(client: Client, path: str) -> None:
    assert re.search(r'<a class="btn btn-primary"\s+href="/accounts/login/">', shown(client, ANYONE, path))


@pytest.mark.django_db
def test_recovery_codes_have_a_line_each(client: Client) -> None:
    page = shown(client, OPERATOR, "/accounts/2fa/recovery-codes/")
    assert re.search(r'<code id="recovery-codes">(\d{8}\n){9}\d{8}</code>', page)


@pytest.mark.django_db
def test_the_start_page_shows_the_price_of_credits(client: Client, settings: Any) -> None:
    settings.ZNC_PRICE, settings.PAYMENT_CURRENCY = Decimal("0.5"), "USD"
    page = shown(client, CUSTOMER, "/")
    assert "100 ZNC cost 50.00 USD" in page
    assert re.search('<a class="btn btn-primary"[^>]* href="/tokens/buy">', page)
