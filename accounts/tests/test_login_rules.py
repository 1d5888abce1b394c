"""POST /auth/login and /auth/refresh: the same requirements as the site's login."""

import threading
from typing import Any

import pytest
import time_machine
from django.core.mail import EmailMessage
from django.db import connections
from rest_framework.test import APIClient

from accounts import email_addresses
from accounts.models import RefreshFamily, User
from accounts.tests.factories import PASSWORD, code_of, recovery_codes_of, turn_on_totp

LOGIN, REFRESH = "/api/v1/auth/login", "/api/v1/auth/refresh"

pytestmark = pytest.mark.django_db


def log_in(api: APIClient, user: User, **more: Any) -> Any:
    return api.post(LOGIN, {"email": user.email, "password": PASSWORD, **more})


# case E65
def test_a_code_is_required_if_the_second_factor_is_on(api: APIClient, alice: User) -> None:
    secret = turn_on_totp(alice)

    missing = log_in(api, alice)
    wrong = log_in(api, alice, otp="000000")
    right = log_in(api, alice, otp=code_of(secret))
    replayed = log_in(api, alice, otp=code_of(secret))

    assert (missing.status_code, missing.json()["code"]) == (401, "otp_required")
    assert missing["WWW-Authenticate"] == 'Bearer realm="api"'
    assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid_otp")
    assert right.status_code == 200
    assert (replayed.status_code, replayed.json()["code"]) == (401, "invalid_otp")
    assert RefreshFamily.objects.count() == 1


# case E65
@pytest.mark.parametrize("disguise", ["{}", " {}", "{:.3} {:>.6}", "{0:.3}-{1}"])
def test_a_code_passes_once_for_as_long_as_it_is_valid(api: APIClient, alice: User, disguise: str) -> None:
    """With a tolerance of one period a code is valid for up to 90 s; allauth alone remembers it for 30."""
    secret = turn_on_totp(alice)
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        code = code_of(secret, steps=1)
        assert log_in(api, alice, otp=code).status_code == 200
        for _period in range(2):
            clock.shift(29.9)
            again = disguise.format(code[:3], code[3:]) if "1" in disguise else disguise.format(code, code[3:])
            assert log_in(api, alice, otp=again).status_code == 401


def test_the_code_of_the_wrong_user_does_not_pass(api: APIClient, alice: User, bob: User) -> None:
    turn_on_totp(alice)

    assert log_in(api, alice, otp=code_of(turn_on_totp(bob))).status_code == 401


def test_the_second_factor_is_not_revealed_without_the_password(api: APIClient, alice: User) -> None:
    turn_on_totp(alice)

    response = api.post(LOGIN, {"email": alice.email, "password": "wrong-horse-7"})

    assert response.json()["code"] == "invalid_credentials"


def test_an_unconfirmed_address_is_reported_after_the_right_password_only(
    api: APIClient,
    alice: User,
    settings: Any,
    mailoutbox: list[EmailMessage],
    django_capture_on_commit_callbacks: Any,
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    with django_capture_on_commit_callbacks(execute=True):
        wrong = api.post(LOGIN, {"email": alice.email, "password": "wrong-horse-7"})
        assert mailoutbox == []
        right = log_in(api, alice)

    assert wrong.json()["code"] == "invalid_credentials"
    assert (right.status_code, right.json()["code"]) == (403, "email_unverified")
    assert [message.to for message in mailoutbox] == [[alice.email]]
    assert not RefreshFamily.objects.exists()
    email_addresses.mark_confirmed(alice)
    assert log_in(api, alice).status_code == 200


def test_a_refresh_is_rejected_if_a_login_would_be(api: APIClient, alice: User, settings: Any) -> None:
    token = log_in(api, alice).json()["refresh_token"]
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"

    rejected = api.post(REFRESH, {"refresh_token": token})

    assert (rejected.status_code, rejected.json()["code"]) == (403, "email_unverified")
    email_addresses.mark_confirmed(alice)
    assert api.post(REFRESH, {"refresh_token": token}).status_code == 200


def test_a_login_is_stored_with_its_client(api: APIClient, alice: User) -> None:
    api.post(LOGIN, {"email": alice.email, "password": PASSWORD}, HTTP_USER_AGENT="ZenzefiDesktop/2.4")

    family = RefreshFamily.objects.get()
    assert (family.address, family.user_agent) == ("127.0.0.1", "ZenzefiDesktop/2.4")


# case E65
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["totp", "recovery"])
def test_of_parallel_logins_with_one_code_one_passes(alice: User, kind: str) -> None:
    secret = turn_on_totp(alice)
    code = code_of(secret) if kind == "totp" else recovery_codes_of(alice)[0]
    statuses: list[int] = []

    def one(number: int) -> None:
        # Different addresses do not share a lock; the lock of the user works within one process only.
        address = f"198.51.100.{number}"
        statuses.append(log_in(APIClient(REMOTE_ADDR=address), alice, otp=code).status_code)
        connections.close_all()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200] + [401] * 5
    assert RefreshFamily.objects.count() == 1
