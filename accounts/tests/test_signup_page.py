"""The page for signing up: the API's rule, and the confirmation of the address."""

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


def test_a_newcomer_is_in_at_once_and_asked_to_confirm(client: Client, mailoutbox: list[EmailMessage]) -> None:
    bob = UserFactory(username="bob")

    answer = client.post(URL, {**CAROL, "full_name": "Carol", "referral_code": bob.referral_code})

    carol = User.objects.get(username="carol")
    assert (answer.status_code, signed_in(client)) == (302, True)
    assert (carol.email, carol.full_name, carol.referred_by) == ("carol@example.com", "Carol", bob)
    assert carol.check_password(CAROL["password"])
    address = EmailAddress.objects.get(user=carol)
    assert (address.email, address.primary, address.verified) == ("carol@example.com", True, False)
    (message,) = mailoutbox
    assert (message.to, message.subject) == (["carol@example.com"], "Confirm your e-mail address")
    page = client.get(link_in(message))
    assert not EmailAddress.objects.get(user=carol).verified  # a scanner of mails confirms nothing
    assert "carol@example.com" in page.content.decode()
    client.post(link_in(message))
    assert EmailAddress.objects.get(user=carol).verified


def test_where_confirmation_is_mandatory_the_link_lets_in(
    client: Client, settings: Any, mailoutbox: list[EmailMessage]
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"

    answer = client.post(URL, CAROL, follow=True)

    assert answer.redirect_chain == [("/accounts/confirm-email/", 302)]
    assert not signed_in(client)
    client.post(link_in(mailoutbox[0]))
    assert signed_in(client)


def test_the_link_lets_nobody_in_who_did_not_sign_up_here(
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
def test_refusals_stand_at_their_field_and_nothing_is_lost(
    client: Client, change: dict[str, str], field: str
) -> None:
    UserFactory(username="alice")

    answer = client.post(URL, {**CAROL, "full_name": "Carol C.", **change})

    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert 'value="Carol C."' in answer.content.decode()
    assert PASSWORD not in answer.content.decode()
    assert User.objects.count() == 1


def test_the_sixth_sign_up_of_an_address_is_limited_with_those_of_the_api(client: Client, settings: Any) -> None:
    settings.RATE_LIMIT_AUTH = "1/hour"
    client.post("/api/v1/auth/register", CAROL, content_type="application/json", REMOTE_ADDR="198.51.100.1")

    answer = client.post(URL, {**CAROL, "email": "dan@example.com", "username": "dan"}, REMOTE_ADDR="198.51.100.1")

    assert (answer.status_code, int(answer["Retry-After"]) > 3500) == (429, True)
    assert 'value="dan@example.com"' in answer.content.decode()
    assert not User.objects.filter(username="dan").exists()


def test_a_referral_link_fills_the_field(client: Client) -> None:
    assert 'value="abc123"' in client.get(URL, {"ref": "abc123"}).content.decode()


BUY = "/tokens/buy?scope=full&duration_hours=24"


def sign_up_on_the_way_to(client: Client, wanted: str) -> None:
    """As a browser does it, with the link and the fields of the pages."""
    login = client.get("/accounts/login/", {"next": wanted}).content.decode()
    links = set(re.findall(r'href="(/accounts/signup/[^"]*)"', login))
    assert len(links) == 1  # that of the header keeps the way, too
    page = client.get(html.unescape(links.pop()))
    client.post(URL, {**CAROL, "next": page.context["redirect_field_value"] or ""})


@pytest.mark.parametrize("later", [timedelta(minutes=1), timedelta(hours=2)])
@pytest.mark.parametrize(
    ("wanted", "led_to"),
    [(BUY, BUY), ("https://evil.example/", "/dashboard"), ("//evil.example/", "/dashboard")],
)
def test_the_link_leads_on_to_where_the_sign_up_was_on_its_way(
    client: Client, settings: Any, mailoutbox: list[EmailMessage], later: timedelta, wanted: str, led_to: str
) -> None:
    """After a quarter of an hour it lets nobody in, and the login that it asks for leads on."""
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    sign_up_on_the_way_to(client, wanted)

    with time_machine.travel(timezone.now() + later):
        answer = client.post(link_in(mailoutbox[0]))
        if later > timedelta(minutes=15):
            assert answer["Location"] == "/accounts/login/"
            answer = client.post("/accounts/login/", {"login": CAROL["email"], "password": CAROL["password"]})
        assert (answer.status_code, answer["Location"]) == (302, led_to)
        client.post("/accounts/logout/")
        answer = client.post("/accounts/login/", {"login": CAROL["email"], "password": CAROL["password"]})
        assert answer["Location"] == "/dashboard"
