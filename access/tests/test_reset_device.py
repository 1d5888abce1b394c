"""The reset of a token's device."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from rest_framework.test import APIClient

from access import services
from access.models import AccessToken, Revocation
from access.tests.support.concurrency import at_once
from access.tests.support.tokens import Buy, age, causes
from accounts.models import User
from conftest import client_of
from zenzefi.common.tests.support.bad_input import UNKNOWN_ID

DAY = 24 * 3600


def url(token: AccessToken) -> str:
    return f"/api/v1/tokens/{token.pk}/reset-device"


def test_a_message_to_the_data_plane(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)

    response = alice_api.post(url(token))

    assert response.status_code == 200
    assert response.json() == {"detail": "The device was reset. Another device can use the token now."}
    assert causes(token) == ["device_reset"]
    token.refresh_from_db()
    assert (token.revoked_at, token.expiry_seen) == (None, False)


def test_three_a_day(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token, other = buy(alice), buy(alice)
    assert [alice_api.post(url(token)).status_code for _ in range(3)] == [200] * 3

    denied = alice_api.post(url(token))

    assert denied.status_code == 429
    assert denied.json()["code"] == "rate_limited"
    assert denied.json()["detail"].startswith("The device of this access token was reset too often.")
    assert DAY - 60 < int(denied["Retry-After"]) <= DAY
    assert causes(token) == ["device_reset"] * 3
    assert alice_api.post(url(other)).status_code == 200


def test_the_window_moves(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice, 168)
    for hours_ago in (23, 10, 0):
        alice_api.post(url(token))
        newest = Revocation.objects.order_by("-id")[:1]
        Revocation.objects.filter(pk__in=list(newest.values_list("pk", flat=True))).update(
            created_at=F("created_at") - timedelta(hours=hours_ago)
        )

    denied = alice_api.post(url(token))
    assert 3600 - 60 < int(denied["Retry-After"]) <= 3600

    Revocation.objects.update(created_at=F("created_at") - timedelta(hours=1))
    assert alice_api.post(url(token)).status_code == 200
    assert alice_api.post(url(token)).status_code == 429


def test_none_a_day(alice: User, alice_api: APIClient, buy: Buy, settings: Any) -> None:
    settings.DEVICE_RESETS_PER_DAY = 0
    token = buy(alice)

    denied = alice_api.post(url(token))

    assert (denied.status_code, denied["Retry-After"]) == (429, str(DAY))
    assert causes(token) == []


def test_other_messages_do_not_count(alice: User, olga: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    for _ in range(3):
        services.freeze(token.pk, actor=olga, reason="test")
        services.unfreeze(token.pk, actor=olga, reason="test")

    assert alice_api.post(url(token)).status_code == 200


@pytest.mark.parametrize("state", ["expired", "revoked", "frozen"])
def test_active_tokens_only(alice: User, olga: User, alice_api: APIClient, buy: Buy, state: str) -> None:
    token = buy(alice)
    if state == "expired":
        age(token, timedelta(hours=24))
    elif state == "revoked":
        services.revoke_by_force(token.pk, actor=olga, reason="test")
    else:
        services.freeze(token.pk, actor=olga, reason="test")

    response = alice_api.post(url(token))

    assert (response.status_code, response.json()["code"]) == (409, "token_not_active")
    assert "device_reset" not in causes(token)


def test_not_ones_own(bob: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(bob)

    for address in (url(token), f"/api/v1/tokens/{UNKNOWN_ID}/reset-device", "/api/v1/tokens/x/reset-device"):
        response = alice_api.post(address)
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert causes(token) == []


def test_anonymous(api: APIClient, alice: User, buy: Buy) -> None:
    assert api.post(url(buy(alice))).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_ten_at_once(alice: User, buy: Buy) -> None:
    token = buy(alice)
    clients = [client_of(alice) for _ in range(10)]

    responses = at_once(*(lambda api=api: api.post(url(token)) for api in clients))

    assert Counter(response.status_code for response in responses) == {200: 3, 429: 7}
    assert causes(token) == ["device_reset"] * 3
