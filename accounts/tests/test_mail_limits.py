"""RATE_LIMIT_MAIL: messages that strangers can cause, per user."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.mail import EmailMessage
from django.test import Client
from django.utils import timezone

from accounts import tasks
from accounts.models import User
from accounts.tests.factories import UserFactory
from zenzefi.common import rate_limits

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _limited(settings: Any) -> None:
    settings.RATE_LIMIT_MAIL = "3/hour"
    settings.RATE_LIMIT_STORAGE = "memory://"
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    rate_limits._limiter.cache_clear()


def reset(email: str) -> Any:
    return Client().post("/accounts/password/reset/", {"email": email})


def sign_up(email: str) -> Any:
    body = {"email": email, "username": "carol", "password": "tr0ub4dor-and-3"}
    return Client().post("/api/v1/auth/register", body, content_type="application/json")


@pytest.mark.parametrize("ask", [reset, sign_up])
def test_there_is_a_pause_and_a_limit_per_hour(ask: Any, alice: User, mailoutbox: list[EmailMessage]) -> None:
    start, sent, statuses = timezone.now(), [], set()
    for minutes in (0, 0.5, 1.1, 2.2, 3.3, 30, 61.1):
        with time_machine.travel(start + timedelta(minutes=minutes), tick=False):
            statuses.add(ask(alice.email).status_code)
        sent.append(len(mailoutbox))

    assert sent == [1, 1, 2, 3, 3, 3, 4]
    assert len(statuses) == 1  # the response does not differ


def test_users_are_counted_apart(alice: User, mailoutbox: list[EmailMessage]) -> None:
    bob = UserFactory(username="bob")

    for email in (alice.email, alice.email, bob.email, bob.email):
        reset(email)

    assert [message.to for message in mailoutbox] == [[alice.email], [bob.email]]


def test_a_retry_after_a_failure_is_not_counted_again(
    alice: User, mailoutbox: list[EmailMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    send, failures = mail.EmailMessage.send, [OSError("away")]

    def fail_once(message: EmailMessage, *args: Any, **kwargs: Any) -> int:
        if failures:
            raise failures.pop()
        return send(message, *args, **kwargs)

    monkeypatch.setattr(mail.EmailMessage, "send", fail_once)
    tasks.send_password_reset.apply(args=[alice.email])

    assert [message.subject for message in mailoutbox] == ["New password for Zenzefi"]
