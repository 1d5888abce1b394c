"""Threads that wait for anything but the database hold no connection to it."""

from decimal import Decimal

import pytest
import requests
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection
from django.test import Client
from limits.strategies import MovingWindowRateLimiter

from accounts import mail, services
from accounts.tests.factories import PASSWORD
from billing import providers
from billing.models import Payment
from conftest import client_of

pytestmark = pytest.mark.services

SIGN_UP = {"email": "new@example.com", "username": "new-one", "password": "tr0ub4dor-and-3"}


def log_in(user):
    Client().post(
        "/accounts/login/", {"login": user.email, "password": PASSWORD}, headers={"Cookie": "zenzefi_session=a"}
    )


def change_password(user):
    client = Client()
    client.force_login(user)
    new = "tr0ub4dor-and-3"
    client.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new})


def reauthenticate(user):
    client = Client()
    client.force_login(user)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})


def call_provider(name):
    def call(user):
        provider = providers._load(name)
        payment = Payment(
            user=user, amount=Decimal(5), provider_amount=Decimal(5), provider_currency="EUR", provider=name
        )
        with pytest.raises(Exception, match="not responding"):
            provider.create(payment)

    return call


WAITS = {
    "hash": (PBKDF2PasswordHasher, "encode"),
    "rate limit": (MovingWindowRateLimiter, "test"),
    "mail server": (EmailBackend, "send_messages"),
    "provider": (requests.Session, "send"),
}


@pytest.mark.parametrize(
    ("wait", "action"),
    [
        ("hash", log_in),
        ("hash", change_password),
        ("hash", reauthenticate),
        (
            "hash",
            lambda user: client_of(user).post("/api/v1/auth/login", {"email": user.email, "password": PASSWORD}),
        ),
        ("hash", lambda user: client_of(user).patch("/api/v1/users/me", {"password": "tr0ub4dor-and-3"})),
        ("hash", lambda _user: Client().post("/api/v1/auth/register", SIGN_UP, "application/json")),
        ("rate limit", log_in),
        ("mail server", lambda user: mail.send("password_reset", user, url="https://example.com")),
        ("provider", call_provider("stripe")),
        ("provider", call_provider("yookassa")),
    ],
)
def test_no_connection_is_held_meanwhile(transactional_db, settings, monkeypatch, alice, wait, action):
    settings.PASSWORD_HASHERS = ["accounts.hashers.PasswordHasher"]
    settings.RATE_LIMIT_AUTH = "100/hour"
    alice.set_password(PASSWORD)
    alice.save()
    owner, name = WAITS[wait]
    original, held = getattr(owner, name), []

    def observe(*args, **options):
        held.append(connection.connection is not None)
        if wait == "provider":
            raise requests.ConnectionError
        return original(*args, **options)

    monkeypatch.setattr(owner, name, observe)
    services.selectors.referrer("none")  # a query, which takes a connection
    action(alice)
    assert held, "the action did not wait"
    assert not any(held)
