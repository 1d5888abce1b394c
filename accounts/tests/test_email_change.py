"""A change of the e-mail address: the new one confirms it, the old one is notified."""

import time
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.mail import EmailMessage
from django.test import Client

from accounts import email_addresses
from accounts.models import AuditEvent, User
from accounts.tests.factories import PASSWORD, UserFactory, link_in

URL = "/accounts/email/"
NEW = "alice@elsewhere.example"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def change(as_alice: Client, email: str = NEW) -> Any:
    return as_alice.post(URL, {"email": email, "action_add": ""})


def addresses_of(user: User) -> dict[str, bool]:
    return dict(EmailAddress.objects.filter(user=user).values_list("email", "primary"))


def test_the_page_asks_for_the_password(client: Client, alice: User) -> None:
    client.force_login(alice)

    assert client.get(URL)["Location"].startswith("/accounts/reauthenticate/")
    assert change(client)["Location"].startswith("/accounts/reauthenticate/")
    assert addresses_of(alice) == {alice.email: True}


@pytest.mark.parametrize("confirmed", [True, False])
def test_the_new_address_counts_once_it_is_confirmed(
    as_alice: Client, alice: User, confirmed: bool, mailoutbox: list[EmailMessage]
) -> None:
    if confirmed:
        email_addresses.mark_confirmed(alice)
    change(as_alice)

    alice.refresh_from_db()
    assert alice.email == "alice@example.com"
    assert addresses_of(alice) == {"alice@example.com": True, NEW: False}
    assert [message.to for message in mailoutbox] == [[NEW]]
    as_alice.post(link_in(mailoutbox[0]))
    alice.refresh_from_db()
    assert alice.email == NEW
    assert addresses_of(alice) == {NEW: True}
    assert email_addresses.is_confirmed(alice)
    assert [(message.to, message.subject) for message in mailoutbox[1:]] == [
        (["alice@example.com"], "Your e-mail address was changed")
    ]
    assert [event.kind for event in AuditEvent.objects.all()] == ["email_changed"]


def test_confirming_the_first_address_is_no_change(alice: User, mailoutbox: list[EmailMessage]) -> None:
    email_addresses.send_confirmation(EmailAddress.objects.get(user=alice))

    Client().post(link_in(mailoutbox[0]))

    assert email_addresses.is_confirmed(alice)
    assert len(mailoutbox) == 1
    assert not AuditEvent.objects.exists()


def test_a_link_confirms_nothing_but_its_own_address(as_alice: Client, alice: User, mailoutbox: Any) -> None:
    """Otherwise a user could request a link to their own mailbox, then enter another user's address."""
    change(as_alice)
    change(as_alice, "victim@example.com")

    as_alice.post(link_in(mailoutbox[0]))

    assert not EmailAddress.objects.filter(email="victim@example.com", verified=True).exists()
    alice.refresh_from_db()
    assert alice.email == "alice@example.com"
    assert [message.to for message in mailoutbox] == [[NEW], ["victim@example.com"]]


@pytest.mark.parametrize("email", ["BOB@example.com", "alice@example.com", "nonsense"])
def test_rejected(as_alice: Client, alice: User, email: str, mailoutbox: list[EmailMessage]) -> None:
    UserFactory(username="bob")

    response = change(as_alice, email)

    assert list(response.context["form"].errors) == ["email"]
    assert f'value="{email}"' in response.content.decode()
    assert mailoutbox == []


def test_an_address_that_another_user_took_meanwhile_stays_theirs(
    as_alice: Client, alice: User, mailoutbox: list[EmailMessage]
) -> None:
    change(as_alice)
    UserFactory(username="carol", email=NEW)

    response = as_alice.post(link_in(mailoutbox[0]), follow=True)

    assert "This e-mail address is already registered." in response.content.decode()
    alice.refresh_from_db()
    assert alice.email == "alice@example.com"
    assert not EmailAddress.objects.filter(user=alice, verified=True).exists()


def test_the_change_can_be_cancelled(as_alice: Client, alice: User) -> None:
    change(as_alice)

    as_alice.post(URL, {"email": NEW, "action_remove": ""})

    assert addresses_of(alice) == {alice.email: True}


@pytest.mark.parametrize("path", ["page", "link"])
def test_an_operators_change_is_unconfirmed(alice: User, path: str) -> None:
    email_addresses.mark_confirmed(alice)
    alice.email = NEW
    alice.save(update_fields=["email"]) if path == "page" else alice.save()

    assert addresses_of(alice) == {NEW: True}
    assert not email_addresses.is_confirmed(alice)


def test_a_login_costs_no_look_at_the_addresses(alice: User, django_assert_num_queries: Any) -> None:
    alice.last_login = None
    with django_assert_num_queries(3):  # the transaction and the UPDATE
        alice.save(update_fields=["last_login"])


def test_the_password_is_required_again_after_five_minutes(as_alice: Client) -> None:
    assert as_alice.get(URL).status_code == 200
    session = as_alice.session
    session["account_authentication_methods"][-1]["at"] = time.time() - 301
    session.save()

    assert as_alice.get(URL).status_code == 302
