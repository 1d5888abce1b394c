"""A forgotten password: the link in the message."""

import logging
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import jwt, services, tasks
from accounts.models import RefreshFamily, User
from accounts.tests.factories import PASSWORD, code_of, link_in, turn_on_totp

URL = "/accounts/password/reset/"
NEW = {"password1": "another-horse-8"}

pytestmark = pytest.mark.django_db(transaction=True)


def ask(email: str, **request: Any) -> Any:
    return Client().post(URL, {"email": email}, **request)


def open_link(client: Client, link: str) -> str:
    """Follow the link and return the path of its form."""
    response = client.get(link)
    assert response.status_code == 302
    return str(response["Location"])


def works(link: str) -> bool:
    return Client().get(link).status_code == 302


# case E64
def test_a_link_sets_a_new_password_once(client: Client, alice: User, mailoutbox: list[EmailMessage]) -> None:
    ask("Alice@Example.com")
    link = link_in(mailoutbox[0])

    response = client.post(open_link(client, link), NEW)

    assert response["Location"] == "/accounts/password/reset/key/done/"
    alice.refresh_from_db()
    assert alice.check_password(NEW["password1"])
    assert not works(link)
    assert "was already used" in Client().get(link).content.decode()
    assert [message.subject for message in mailoutbox[1:]] == ["Your password was changed"]


# case E62
def test_an_unknown_address_gets_the_same_response_for_the_same_work(
    alice: User, mailoutbox: list[EmailMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[str] = []
    monkeypatch.setattr(tasks.send_password_reset, "delay", jobs.append)

    def seen(email: str) -> tuple[int, str, bytes, list[str]]:
        client = Client()
        with CaptureQueriesContext(connection) as queries:
            response = client.post(URL, {"email": email})
        return (
            response.status_code,
            response["Location"],
            client.get(response["Location"]).content,
            [query["sql"].partition(" ")[0] for query in queries],
        )

    assert seen(alice.email)[:2] == seen("nobody@example.com")[:2] == (302, "/accounts/password/reset/done/")
    assert seen(alice.email)[3] == seen("nobody@example.com")[3]
    assert jobs == [alice.email, "nobody@example.com"] * 2
    monkeypatch.undo()
    ask("nobody@example.com")
    assert mailoutbox == []


def test_blocked_users_get_no_link(alice: User, mailoutbox: list[EmailMessage]) -> None:
    services.set_active(alice, False, actor=None)

    ask(alice.email)

    assert mailoutbox == []


# case E64
def test_a_link_ends_in_an_hour(alice: User, mailoutbox: list[EmailMessage]) -> None:
    with time_machine.travel(timezone.now() - timedelta(minutes=59), tick=False):
        ask(alice.email)
    with time_machine.travel(timezone.now() - timedelta(minutes=61), tick=False):
        ask(alice.email)

    assert [works(link_in(message)) for message in mailoutbox] == [True, False]


# case E64
def test_a_new_password_or_address_ends_the_link(alice: User, mailoutbox: list[EmailMessage]) -> None:
    ask(alice.email)
    services.update_profile(alice, password="another-horse-8")
    ask(alice.email)
    link = link_in([message for message in mailoutbox if "New password" in message.subject][-1])
    assert works(link)
    alice.email = "alice@elsewhere.example"
    alice.save()

    assert not any(works(link_in(message)) for message in mailoutbox if "New password" in message.subject)


# case E64
def test_a_poisoned_host_does_not_reach_the_message(
    alice: User, settings: Any, mailoutbox: list[EmailMessage]
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    settings.BACKEND_URL = "https://zenzefi.example"

    ask(alice.email, HTTP_HOST="evil.example", HTTP_X_FORWARDED_HOST="evil.example")

    assert link_in(mailoutbox[0], "https://zenzefi.example").startswith("/accounts/password/reset/key/")
    assert "evil" not in mailoutbox[0].body + mailoutbox[0].subject


# cases E64, G73
def test_a_reset_ends_all_earlier_logins(client: Client, alice: User, mailoutbox: list[EmailMessage]) -> None:
    browser = Client()
    browser.force_login(alice)
    jwt.issue_pair(alice)
    ask(alice.email)

    client.post(open_link(client, link_in(mailoutbox[0])), NEW)

    assert browser.get("/accounts/profile/").status_code == 302
    assert not RefreshFamily.objects.filter(revoked_at=None).exists()


def test_a_reset_in_the_users_own_session_is_no_error(
    client: Client, alice: User, mailoutbox: list[EmailMessage]
) -> None:
    client.force_login(alice)
    ask(alice.email)

    assert client.post(open_link(client, link_in(mailoutbox[0])), NEW, follow=True).status_code == 200
    assert client.get("/accounts/profile/").status_code == 302


# case E64
def test_a_reset_does_not_go_around_the_second_factor(
    client: Client, alice: User, mailoutbox: list[EmailMessage]
) -> None:
    secret = turn_on_totp(alice)
    ask(alice.email)

    client.post(open_link(client, link_in(mailoutbox[0])), NEW)

    assert client.get("/accounts/profile/").status_code == 302
    login = {"login": alice.email, "password": NEW["password1"]}
    assert client.post("/accounts/login/", login)["Location"] == "/accounts/2fa/authenticate/"
    client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert client.get("/accounts/profile/").status_code == 200


def test_a_weak_password_is_rejected(client: Client, alice: User, mailoutbox: list[EmailMessage]) -> None:
    ask(alice.email)
    form = open_link(client, link_in(mailoutbox[0]))

    response = client.post(form, {"password1": "12345678"})

    assert list(response.context["form"].errors) == ["password1"]
    assert client.post(form, NEW).status_code == 302


def test_requests_are_limited_by_address(alice: User, settings: Any, mailoutbox: list[EmailMessage]) -> None:
    settings.RATE_LIMIT_AUTH = "1/hour"
    ask(alice.email, REMOTE_ADDR="198.51.100.6")

    response = ask(alice.email, REMOTE_ADDR="198.51.100.6")

    assert (response.status_code, "Retry-After" in response, len(mailoutbox)) == (429, True, 1)


# case E66
def test_no_key_is_logged_or_sent_on(
    client: Client, alice: User, mailoutbox: list[EmailMessage], caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("", "django.request", "celery"):
        caplog.set_level(logging.DEBUG, logger=name)
    ask(alice.email)
    link = link_in(mailoutbox[0])
    key = link.rstrip("/").rpartition("/")[2]
    form = open_link(client, link)

    page = client.get(form)
    client.post(form, NEW)
    failed = Client().get(link)

    assert key not in form + page.content.decode()
    assert failed["Referrer-Policy"] == client.get("/accounts/confirm-email/x:y:z/")["Referrer-Policy"]
    assert failed["Referrer-Policy"] == page["Referrer-Policy"] == "strict-origin"
    assert key not in "\n".join(str(vars(record)) for record in caplog.records)
    assert PASSWORD not in page.content.decode()
