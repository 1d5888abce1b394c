"""Known e-mail addresses: responses that do not reveal them, and the hint to their owners."""

import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import hashers
from django.core.mail import EmailMessage
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from accounts.sessions import WebSession
from accounts.tests.factories import PASSWORD, UserFactory, link_in

NEW = "carol@example.com"
UUID_OR_TIME = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[\d:.]+Z")

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _mandatory(settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that collects the passwords that are hashed."""
    hashed: list[str] = []
    encode = hashers.MD5PasswordHasher.encode

    def counted(hasher: Any, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(hasher, password, salt)

    monkeypatch.setattr(hashers.MD5PasswordHasher, "encode", counted)
    return hashed


def name_for(email: str) -> str:
    return f"new-{email.partition('@')[0]}"


def register(email: str) -> Any:
    body = {"email": email, "username": name_for(email), "password": "tr0ub4dor-and-3", "full_name": "Carol"}
    return APIClient().post("/api/v1/auth/register", body)


def sign_up(email: str) -> Any:
    form = {"email": email, "username": name_for(email), "password": "tr0ub4dor-and-3", "full_name": "Carol"}
    return Client().post("/accounts/signup/", {**form, "next": "/tokens/buy"}, follow=True)


def change(email: str) -> Any:
    client = Client()
    client.force_login(UserFactory(username=f"bob-{name_for(email)}"))
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client.post("/accounts/email/", {"email": email, "action_add": ""}, follow=True)


def resend(email: str) -> Any:
    """Ask for the link to the new address again."""
    client = Client()
    client.force_login(UserFactory(username=f"bob-{name_for(email)}"))
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    client.post("/accounts/email/", {"email": email, "action_add": ""})
    return client.post("/accounts/email/", {"email": email, "action_send": ""}, follow=True)


def reset(email: str) -> Any:
    return Client().post("/accounts/password/reset/", {"email": email}, follow=True)


def log_in(email: str) -> Any:
    return APIClient().post("/api/v1/auth/login", {"email": email, "password": "wrong-horse-7"})


def log_in_on_the_page(email: str) -> Any:
    return Client().post("/accounts/login/", {"login": email, "password": "wrong-horse-7"}, follow=True)


def seen(response: Any, email: str) -> dict[str, Any]:
    """Return all that the client sees, without what differs between any two responses."""
    text = UUID_OR_TIME.sub("…", response.content.decode())
    text = text.replace(email, "EMAIL").replace(email.partition("@")[0], "NAME")
    text = re.sub(r'(name="csrfmiddlewaretoken" value|nonce)="[^"]*"', "", text)
    return {
        "status": response.status_code,
        "path": response.request["PATH_INFO"],
        "body": text,
        "headers": {name for name, _value in response.items()},
        "cookies": sorted(response.client.cookies),
    }


# case E62
@pytest.mark.parametrize("ask", [register, sign_up, change, resend, reset, log_in, log_in_on_the_page])
@pytest.mark.parametrize("confirmed", [True, False])
def test_the_response_and_the_work_are_the_same_for_a_known_address(
    ask: Any, confirmed: bool, hashes: list[str]
) -> None:
    facts = []
    alice = UserFactory(username="alice")
    EmailAddress.objects.filter(user=alice).update(verified=confirmed)
    for email in ("aaron@example.com", "alice@example.com"):
        WebSession.objects.all().delete()
        hashes.clear()
        facts.append({**seen(ask(email), email), "hashes": len(hashes), "sessions": WebSession.objects.count()})

    assert facts[0] == facts[1]


@pytest.mark.parametrize("ask", [register, sign_up, change])
@pytest.mark.parametrize(
    ("language", "subject"),
    [("en", "You already have an account at Zenzefi"), ("ru", "У вас уже есть учётная запись Zenzefi")],
)
def test_the_owner_gets_a_hint_in_their_language(
    ask: Any, language: str, subject: str, mailoutbox: list[EmailMessage], settings: Any
) -> None:
    settings.BACKEND_URL = "https://zenzefi.example"
    alice = UserFactory(username="alice", language=language)

    ask(alice.email)

    (hint,) = (message for message in mailoutbox if message.to == [alice.email])
    assert hint.subject == subject
    assert "https://zenzefi.example/accounts/login/" in hint.body
    assert "https://zenzefi.example/accounts/password/reset/" in hint.body
    assert not User.objects.filter(username="new-alice").exists()
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_the_account_of_the_response_does_not_exist() -> None:
    alice = UserFactory(username="alice")

    body = register(alice.email).json()

    assert (body["email"], body["username"], body["currency_balance"]) == (alice.email, "new-alice", 0.0)
    assert list(User.objects.all()) == [alice]
    assert EmailAddress.objects.count() == 1
    assert log_in(alice.email).status_code == 401


def test_a_known_address_of_another_user_cannot_be_confirmed(mailoutbox: list[EmailMessage]) -> None:
    alice = UserFactory(username="alice")

    change(alice.email)

    assert all("confirm-email" not in message.body for message in mailoutbox)
    assert list(EmailAddress.objects.filter(email=alice.email, verified=False).values_list("primary", flat=True))


@pytest.mark.parametrize("ask", [register, sign_up])
def test_a_new_user_gets_the_link(ask: Any, mailoutbox: list[EmailMessage]) -> None:
    ask(NEW)

    assert [message.subject for message in mailoutbox] == ["Confirm your e-mail address"]
    assert "confirm-email" in link_in(mailoutbox[0])


def test_blocked_users_get_no_hint(mailoutbox: list[EmailMessage]) -> None:
    alice = UserFactory(username="alice", is_active=False)

    assert register(alice.email).status_code == 201
    assert mailoutbox == []


@pytest.mark.parametrize("ask", [register, sign_up])
def test_without_mandatory_confirmation_a_known_address_is_an_error(ask: Any, settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "optional"
    alice = UserFactory(username="alice")

    assert "This e-mail address is already registered." in ask(alice.email).content.decode()
    assert User.objects.count() == 1
