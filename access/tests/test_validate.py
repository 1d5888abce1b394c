"""The validation of a token, without a login."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from rest_framework.test import APIClient

from access import services, token_secret
from access.models import AccessToken
from access.tests.support.tokens import Buy, age
from accounts.models import User
from accounts.services import set_active

URL = "/api/v1/tokens/validate"


def text(token: AccessToken) -> str:
    return token_secret.decrypt(token.ciphertext) or ""


def test_a_good_token(alice: User, api: APIClient, buy: Buy) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        token = buy(alice, scope="certificates_only")
    with time_machine.travel(now + timedelta(hours=1, milliseconds=1), tick=False):
        response = api.post(URL, {"token": text(token)})

    assert response.status_code == 200
    assert response.json() == {
        "valid": True,
        "user_id": str(alice.pk),
        "token_id": str(token.pk),
        "scope": "certificates_only",
        "expires_at": "2026-03-02T00:00:00Z",
        "time_remaining_seconds": 23 * 3600 - 1,
    }
    token.refresh_from_db()
    assert token.activated_at is None


@pytest.mark.parametrize("token", ["x", "A" * 64, "я" * 64, " ", "a" * 1024])
def test_unknown(api: APIClient, db: None, token: str) -> None:
    response = api.post(URL, {"token": token})

    assert response.status_code == 200
    assert response.json() == {"valid": False, "reason": "Token not found"}


def test_the_text_counts_exactly(alice: User, api: APIClient, buy: Buy) -> None:
    secret = text(buy(alice))

    for other in (secret[:-1], secret.swapcase(), f" {secret}", f"{secret}\n"):
        assert api.post(URL, {"token": other}).json() == {"valid": False, "reason": "Token not found"}


def test_invalid_tokens(alice: User, bob: User, olga: User, api: APIClient, buy: Buy) -> None:
    expired, revoked, frozen, of_a_blocked_user = buy(alice), buy(alice), buy(alice), buy(bob)
    age(expired, timedelta(hours=24))
    services.revoke_by_force(revoked.pk, actor=olga, reason="test")
    services.freeze(frozen.pk, actor=olga, reason="test")
    set_active(bob, False, actor=olga, reason="test")

    reasons = [
        api.post(URL, {"token": text(token)}).json() for token in (expired, revoked, frozen, of_a_blocked_user)
    ]

    assert reasons == [
        {"valid": False, "reason": "Token expired"},
        {"valid": False, "reason": "Token revoked"},
        {"valid": False, "reason": "Token frozen"},
        {"valid": False, "reason": "User blocked"},
    ]


def test_the_reason_is_not_translated(api: APIClient, db: None) -> None:
    response = api.post(URL, {"token": "x"}, headers={"Accept-Language": "ru"})

    assert response.json()["reason"] == "Token not found"


@pytest.mark.parametrize(
    "body",
    [
        *({"token": token} for token in ("", None, 5, True, ["x"], "a\x00", "a" * 1025)),
        *({}, [], "x", 5, None),
    ],
)
def test_bad_input(api: APIClient, db: None, body: Any) -> None:
    assert api.post(URL, body).status_code == 400


def test_three_megabytes(api: APIClient, db: None) -> None:
    assert api.post(URL, {"token": "a" * 3_000_000}).status_code == 413


def test_a_broken_jwt_is_ignored(api: APIClient, db: None) -> None:
    api.credentials(HTTP_AUTHORIZATION="Bearer nonsense")

    assert api.post(URL, {"token": "x"}).status_code == 200
