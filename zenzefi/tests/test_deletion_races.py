"""Calls in flight while their user is deleted: nothing personal, no active token and no money is left behind."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from decimal import Decimal
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.db import connections
from django.test import Client
from rest_framework.exceptions import APIException, ValidationError

from access import services as access
from access.models import AccessToken, Scope
from access.tests.conftest import tariffs  # noqa: F401  (a fixture)
from access.tests.support.concurrency import at_once
from accounts import api_tokens, email_addresses, jwt, services
from accounts.models import ApiToken, RefreshFamily, User
from accounts.sessions import WebSession
from accounts.tests.factories import PASSWORD, turn_on_totp
from billing import adjustments, ledger, poller, topups
from billing.idempotency import Call
from billing.models import IdempotencyKey, Payment
from billing.tests.support import mock_provider
from billing.verification import verify_all
from conftest import fund
from zenzefi import account_deletion

pytestmark = [
    pytest.mark.services,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("tariffs", "_cheap_logins"),
]

# How long a call may run before the deletion commits. One that waits for the deletion needs longer.
HEAD_START = 0.6


@pytest.fixture
def _cheap_logins(settings: Any) -> None:
    settings.RATE_LIMIT_AUTH = "1000/minute"


def call_of(user: User, key: str = "key") -> Call:
    return Call(user, "test", key, None)


def confirm_new_address(user: User) -> None:
    """Follow the link of an e-mail change, as allauth does: with rows that it has read before."""
    address = EmailAddress(user=user, email="alice-new@example.com", verified=True)
    address.save()
    user.email = address.email
    user.save(update_fields=["email"])


def log_in_on_the_site(user: User) -> None:
    Client().post("/accounts/login/", {"login": user.email, "password": PASSWORD})


def settle(user: User) -> None:
    payment = Payment.objects.get(user=user)
    assert mock_provider.send(mock_provider.set_status(payment, "succeeded")).status_code == 200


# Each gets the user as read before the deletion, an operator, and an active token.
CALLS: dict[str, Callable[[User, User, AccessToken], Any]] = {
    "purchase": lambda user, _olga, _token: access.purchase(call_of(user), 1, Scope.FULL),
    "purchase without a key": lambda user, _olga, _token: access.purchase(call_of(user, ""), 1, Scope.FULL),
    "extension": lambda user, _olga, token: access.extend(call_of(user), token.pk, 1),
    "revocation": lambda user, _olga, token: access.revoke_with_refund(call_of(user), token.pk),
    "top-up": lambda user, _olga, _token: topups.create_payment(call_of(user), Decimal(5)),
    "demo credits": lambda user, _olga, _token: topups.mock_purchase(call_of(user), Decimal(5)),
    "API token": lambda user, _olga, _token: api_tokens.create(user, name="alice", scopes=["read"], days=7),
    "profile": lambda user, _olga, _token: services.update_profile(user, full_name="Alice"),
    "password": lambda user, _olga, _token: services.update_profile(user, password="tr0ub4dor-and-3"),
    "whole row": lambda user, _olga, _token: user.save(),
    "new address": lambda user, _olga, _token: email_addresses.request_change(user, "alice-new@example.com"),
    "confirmed address": lambda user, _olga, _token: confirm_new_address(user),
    "second factor": lambda user, _olga, _token: turn_on_totp(user),
    "login": lambda user, _olga, _token: services.login(user.email, PASSWORD, address="203.0.113.7"),
    "refresh tokens": lambda user, _olga, _token: jwt.issue_pair(user, address="203.0.113.7", user_agent="Alice"),
    "login on the site": lambda user, _olga, _token: log_in_on_the_site(user),
    "webhook": lambda user, _olga, _token: settle(user),
    "adjustment": lambda user, olga, _token: adjustments.adjust_balance(user, Decimal(77), actor=olga, reason="test"),
    "unblocking": lambda user, olga, _token: services.set_active(user, True, actor=olga, reason="test"),
    "freezing": lambda _user, olga, token: access.freeze(token.pk, actor=olga, reason="test"),
    "second deletion": lambda user, _olga, _token: account_deletion.delete_account(user, gives_up_credits=True),
}


def attempt(call: Callable[[], Any]) -> None:
    """Make a call that may be denied because of the deletion."""
    with contextlib.suppress(APIException, ValidationError):
        call()


def left_behind(user: User) -> list[str]:
    """Return the names of all that a deletion must not leave; money on its way back is no discrepancy."""
    stored = User.objects.get(pk=user.pk)
    found = ["name"] * (stored.email, stored.full_name).__ne__((f"{user.pk.hex}@deleted.invalid", ""))
    found += ["is active"] * stored.is_active
    found += ["password"] * stored.has_usable_password()
    for model in (EmailAddress, Authenticator, ApiToken, RefreshFamily, WebSession, IdempotencyKey):
        found += [model.__name__] * model.objects.filter(user=user).exists()
    found += ["active token"] * AccessToken.objects.filter(user=user, revoked_at=None).exists()
    poller.run()
    found += ["credits"] * bool(ledger.balance(user))
    return found + [str(discrepancy) for discrepancy in verify_all()]


@pytest.fixture
def token(alice: User) -> AccessToken:
    fund(alice, "100")
    mock_provider.create_pending_payment(alice)
    return access.purchase(Call(alice, "buy", "", None), 24, Scope.FULL)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_arrives_before_the_deletion_commits(
    alice: User, olga: User, token: AccessToken, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale, pool = User.objects.get(pk=alice.pk), ThreadPoolExecutor(1)
    forget = account_deletion.personal_data.forget_deleted_users
    started: list[Any] = []

    def call() -> None:
        try:
            attempt(lambda: CALLS[name](stale, olga, token))
        finally:
            connections.close_all()

    def last_step() -> int:
        if not started:  # a second deletion does not start another call
            started.append(pool.submit(call))
            wait(started, timeout=HEAD_START)
        return forget()

    monkeypatch.setattr(account_deletion.personal_data, "forget_deleted_users", last_step)
    account_deletion.delete_account(alice, gives_up_credits=True)
    started[0].result(timeout=20)

    assert left_behind(alice) == []


@pytest.mark.parametrize("name", CALLS)
def test_calls_at_the_same_time(alice: User, olga: User, token: AccessToken, name: str) -> None:
    stale, ready = User.objects.get(pk=alice.pk), threading.Event()

    def delete() -> None:
        ready.wait(5)
        account_deletion.delete_account(alice, gives_up_credits=True)

    def call() -> None:
        ready.set()
        CALLS[name](stale, olga, token)

    at_once(lambda: attempt(delete), lambda: attempt(call))

    if User.objects.get(pk=alice.pk).deleted_at is None:  # a new password ends the deletion's consent
        account_deletion.delete_account(User.objects.get(pk=alice.pk), gives_up_credits=True)
    assert left_behind(alice) == []
