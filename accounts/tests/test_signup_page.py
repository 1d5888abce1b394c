"""The sign-up page: the same rules as the API, and the confirmation of the address."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.account.models import EmailAddress
from django.core.mail import EmailMessage
from django.test import Client
from django.utils import timezone

from accounts.models import User
from accounts.tests.factories import PASSWORD, UserFactory, link_in

URL = "/accounts/signup/"
CAROL = {"email": "Carol@Example.com", "username": "carol", "password": "tr0ub4dor-and-3"}

pytestmark = pytest.mark.django_db(transaction=True)


def signed_in(client: Client) -> bool:
    return client.get("/accounts/profile/").status_code == 200


def test_a_new_user_is_logged_in_at_once_and_must_confirm_the_address(
    client: Client, mailoutbox: list[EmailMessage]
) -> None:
    bob = UserFactory(username="bob")

    response = client.post(URL, {**CAROL, "full_name": "Carol", "referral_code": bob.referral_code})

    carol = User.objects.get(username="carol")
    assert (response.status_code, signed_in(client)) == (302, True)
    assert (carol.email, carol.full_name, carol.referred_by) == ("carol@example.com", "Carol", bob)
    assert carol.check_password(CAROL["password"])
    address = EmailAddress.objects.get(user=carol)
    assert (address.email, address.primary, address.verified) == ("carol@example.com", True, False)
    (message,) = mailoutbox
    assert (message.to, message.subject) == (["carol@example.com"], "Confirm your e-mail address")
    page = client.get(link_in(message))
    # A GET, such as that of a mail scanner, confirms nothing.
    assert not EmailAddress.objects.get(user=carol).verified
    assert "carol@example.com" in page.content.decode()
    client.post(link_in(message))
    assert EmailAddress.objects.get(user=carol).verified


def test_if_confirmation_is_mandatory_the_link_logs_in(
    client: Client, settings: Any, mailoutbox: list[EmailMessage]
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"

    response = client.post(URL, CAROL, follow=True)

    assert response.redirect_chain == [("/accounts/confirm-email/", 302)]
    assert not signed_in(client)
    client.post(link_in(mailoutbox[0]))
    assert signed_in(client)


def test_the_link_logs_in_only_the_browser_of_the_sign_up(
    client: Client, settings: Any, mailoutbox: list[EmailMessage]
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    client.post(URL, CAROL)
    stranger = Client()

    stranger.post(link_in(mailoutbox[0]))

    assert not signed_in(stranger)
    assert EmailAddress.objects.get().verified


def test_messages_are_in_the_language_of_the_sign_up(client: Client, mailoutbox: list[EmailMessage]) -> None:
    client.post(URL, CAROL, headers={"accept-language": "ru"})

    assert User.objects.get().language == "ru"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "ALICE@example.com"}, "email"),
        ({"email": "nonsense"}, "email"),
        ({"username": "Alice"}, "username"),
        ({"username": "no spaces"}, "username"),
        ({"password": "12345678"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"referral_code": "nobody"}, "referral_code"),
    ],
)
def test_errors_stand_at_their_fields_and_the_input_is_kept(
    client: Client, change: dict[str, str], field: str
) -> None:
    UserFactory(username="alice")

    response = client.post(URL, {**CAROL, "full_name": "Carol C.", **change})

    assert response.status_code == 200
    assert list(response.context["form"].errors) == [field]
    assert 'value="Carol C."' in response.content.decode()
    assert PASSWORD not in response.content.decode()
    assert User.objects.count() == 1


def test_the_sixth_sign_up_of_an_address_is_limited_with_those_of_the_api(client: Client, settings: Any) -> None:
    settings.RATE_LIMIT_AUTH = "1/hour"
    client.post("/api/v1/auth/register", CAROL, content_type="application/json", REMOTE_ADDR="198.51.100.1")

    response = client.post(URL, {**CAROL, "email": "dan@example.com", "username": "dan"}, REMOTE_ADDR="198.51.100.1")

    assert (response.status_code, int(response["Retry-After"]) > 3500) == (429, True)
    assert 'value="dan@example.com"' in response.content.decode()
    assert not User.objects.filter(username="dan").exists()


def test_a_referral_link_fills_the_field(client: Client) -> None:
    assert 'value="abc123"' in client.get(URL, {"ref": "abc123"}).content.decode()


BUY = "/tokens/buy?scope=full&duration_hours=24"


def sign_up_before(client: Client, wanted: str) -> None:
    """Sign up as a browser does, with the link and the hidden fields of the pages."""
    login = client.get("/accounts/login/", {"next": wanted}).content.decode()
    links = set(re.findall(r'href="(/accounts/signup/[^"]*)"', login))
    assert len(links) == 1  # the link in the header keeps the target, too
    page = client.get(html.unescape(links.pop()))
    client.post(URL, {**CAROL, "next": page.context["redirect_field_value"] or ""})


@pytest.mark.parametrize("later", [timedelta(minutes=1), timedelta(hours=2)])
@pytest.mark.parametrize(
    ("wanted", "led_to"),
    [(BUY, BUY), ("https://evil.example/", "/dashboard"), ("//evil.example/", "/dashboard")],
)
def test_the_link_leads_to_the_page_requested_before_the_sign_up(
    client: Client, settings: Any, mailoutbox: list[EmailMessage], later: timedelta, wanted: str, led_to: str
) -> None:
    """After a quarter of an hour the link no longer logs in, but the login after it leads to the page."""
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    sign_up_before(client, wanted)

    with time_machine.travel(timezone.now() + later):
        response = client.post(link_in(mailoutbox[0]))
        if later > timedelta(minutes=15):
            assert response["Location"] == "/accounts/login/"
            response = client.post("/accounts/login/", {"login": CAROL["email"], "password": CAROL["password"]})
        assert (response.status_code, response["Location"]) == (302, led_to)
        client.post("/accounts/logout/")
        response = client.post("/accounts/login/", {"login": CAROL["email"], "password": CAROL["password"]})
        assert response["Location"] == "/dashboard"
