"""The purchase of an access token."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from rest_framework.test import APIClient

from access.models import AccessToken, Tariff
from accounts.models import User
from billing import ledger, verification
from billing.models import Entry, SystemAccount, Transaction, TransactionType
from conftest import client_of, fund

URL = "/api/v1/tokens/purchase"
pytestmark = pytest.mark.usefixtures("tariffs")


def test_a_token_for_its_price(alice: User) -> None:
    fund(alice, "20")
    now = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        response = client_of(alice).post(URL, {"duration_hours": 24, "scope": "certificates_only"})

    assert response.status_code == 200
    token = AccessToken.objects.get()
    body = response.json()
    text = body.pop("token")
    assert body == {
        "token_id": str(token.pk),
        "duration_hours": 24,
        "scope": "certificates_only",
        "cost": 18.0,
        "expires_at": "2026-03-02T12:30:00Z",
        "created_at": "2026-03-01T12:30:00Z",
        "is_active": True,
    }
    assert re.fullmatch(r"[A-Za-z0-9_-]{64}", text)
    assert token.user == alice
    assert token.digest == hashlib.sha256(text.encode()).hexdigest()
    assert token.expires_at - token.created_at == timedelta(hours=24)
    assert (token.activated_at, token.revoked_at, token.frozen_at) == (None, None, None)


def test_the_ledger_shows_it(alice: User, alice_api: APIClient) -> None:
    fund(alice, "20")

    alice_api.post(URL, {"duration_hours": 24}, headers={"Idempotency-Key": "first"})

    bought = Transaction.objects.get(type=TransactionType.PURCHASE)
    assert (bought.actor, bought.idempotency_key) == (alice, "first")
    amounts = {entry.account.code or entry.account.user: entry.amount for entry in bought.entries.all()}
    assert amounts == {alice: Decimal("-18.00"), SystemAccount.REVENUE: Decimal("18.00")}
    assert ledger.balance(alice) == Decimal("2.00")
    assert verification.verify() == []


def test_full_access_is_the_default_scope(alice: User, alice_api: APIClient) -> None:
    fund(alice, "1")

    assert alice_api.post(URL, {"duration_hours": 1}).json()["scope"] == "full"


def test_two_purchases_are_two_tokens(alice: User, alice_api: APIClient) -> None:
    fund(alice, "2")

    first, second = (alice_api.post(URL, {"duration_hours": 1}).json() for _ in range(2))

    assert first["token"] != second["token"]
    assert first["token_id"] != second["token_id"]
    assert ledger.balance(alice) == 0


def test_not_enough_credits(alice: User, alice_api: APIClient) -> None:
    fund(alice, "10")

    response = alice_api.post(URL, {"duration_hours": 24})

    assert response.status_code == 402
    assert response.json() == {
        "detail": "Insufficient balance. Required: 18.00 ZNC, Available: 10.00 ZNC",
        "code": "insufficient_balance",
    }
    assert not AccessToken.objects.exists()
    assert ledger.balance(alice) == 10


def test_the_exact_price_is_enough(alice: User, alice_api: APIClient) -> None:  # case A1
    Tariff.objects.filter(duration_hours=1, scope="full").update(price=Decimal("0.20"))
    Tariff.objects.filter(duration_hours=12, scope="full").update(price=Decimal("0.10"))
    fund(alice, "0.30")

    assert alice_api.post(URL, {"duration_hours": 12}).status_code == 200
    assert alice_api.post(URL, {"duration_hours": 1}).status_code == 200
    assert ledger.balance(alice) == 0


def test_the_price_is_the_tariffs_not_the_settings(alice: User, alice_api: APIClient) -> None:
    Tariff.objects.filter(duration_hours=1, scope="full").update(price=Decimal("0.07"))
    fund(alice, "1")

    assert alice_api.post(URL, {"duration_hours": 1}).json()["cost"] == 0.07
    assert AccessToken.objects.get().cost == Decimal("0.07")
    assert ledger.balance(alice) == Decimal("0.93")


BODIES: list[tuple[Any, str]] = [
    ({}, "duration_hours"),
    ({"duration_hours": 2}, "duration_hours"),
    ({"duration_hours": 0}, "duration_hours"),
    ({"duration_hours": -24}, "duration_hours"),
    ({"duration_hours": None}, "duration_hours"),
    ({"duration_hours": True}, "duration_hours"),
    ({"duration_hours": "24"}, "duration_hours"),
    ({"duration_hours": 24.5}, "duration_hours"),
    ({"duration_hours": 10**40}, "duration_hours"),
    ({"duration_hours": [24]}, "duration_hours"),
    ({"duration_hours": {"a": 1}}, "duration_hours"),
    ({"duration_hours": 24, "scope": "everything"}, "scope"),
    ({"duration_hours": 24, "scope": ""}, "scope"),
    ({"duration_hours": 24, "scope": None}, "scope"),
    ({"duration_hours": 24, "scope": "full\x00"}, "scope"),
    ({"duration_hours": 24, "scope": ["full"]}, "scope"),
    ({"duration_hours": 24, "scope": "x" * 100_000}, "scope"),
    ([], "non_field_errors"),
    ("24", "non_field_errors"),
]


@pytest.mark.parametrize(("body", "field"), BODIES)
def test_bad_input(alice: User, alice_api: APIClient, body: Any, field: str) -> None:
    fund(alice, "1000")

    response = alice_api.post(URL, body)

    assert response.status_code == 400
    assert list(response.json()) == [field]
    assert not AccessToken.objects.exists()
    assert ledger.balance(alice) == 1000


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"duration_hours": NaN}', b'{"scope": "\\ud800", "duration_hours": 24}', b"[" * 10_000, b"\xff"],
    ids=["empty", "cut", "nan", "surrogate", "deep", "latin"],
)
def test_what_is_no_json(alice: User, alice_api: APIClient, body: bytes) -> None:
    fund(alice, "1000")

    response = alice_api.post(URL, body, content_type="application/json")

    assert response.status_code == 400
    assert not AccessToken.objects.exists()


def test_three_megabytes_are_too_many(alice_api: APIClient) -> None:
    response = alice_api.post(URL, {"duration_hours": 24, "scope": "x" * 3_000_000})

    assert response.status_code == 413
    assert response.json()["code"] == "payload_too_large"


def test_anonymous(api: APIClient) -> None:
    response = api.post(URL, {"duration_hours": 24})

    assert response.status_code == 401
    assert response.json()["code"] == "not_authenticated"


def test_the_same_key_buys_once(alice: User, alice_api: APIClient) -> None:
    fund(alice, "40")
    buy = {"path": URL, "data": {"duration_hours": 24}, "headers": {"Idempotency-Key": "once"}}

    first, again = alice_api.post(**buy), alice_api.post(**buy)

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert AccessToken.objects.count() == 1
    assert ledger.balance(alice) == 22


def test_the_first_success_is_replayed_again_after_the_tariff_is_gone(alice: User, alice_api: APIClient) -> None:
    fund(alice, "40")
    buy = {"path": URL, "data": {"duration_hours": 24}, "headers": {"Idempotency-Key": "once"}}
    first = alice_api.post(**buy)
    Tariff.objects.all().delete()

    assert alice_api.post(**buy).json() == first.json()


def test_the_same_key_for_another_body(alice: User, alice_api: APIClient) -> None:  # case A7
    fund(alice, "40")
    key = {"Idempotency-Key": "once"}
    alice_api.post(URL, {"duration_hours": 24}, headers=key)

    response = alice_api.post(URL, {"duration_hours": 1}, headers=key)

    assert response.status_code == 409
    assert response.json()["code"] == "idempotency_conflict"
    assert AccessToken.objects.count() == 1
    assert ledger.balance(alice) == 22


def test_a_failed_purchase_may_be_tried_again_with_its_key(alice: User, alice_api: APIClient) -> None:
    key = {"Idempotency-Key": "later"}
    assert alice_api.post(URL, {"duration_hours": 24}, headers=key).status_code == 402
    fund(alice, "18")

    assert alice_api.post(URL, {"duration_hours": 24}, headers=key).status_code == 200
    assert ledger.balance(alice) == 0


def test_a_key_belongs_to_its_user(alice: User, bob: User, alice_api: APIClient, bob_api: APIClient) -> None:
    fund(alice, "1")
    fund(bob, "1")
    buy = {"path": URL, "data": {"duration_hours": 1}, "headers": {"Idempotency-Key": "same"}}

    assert alice_api.post(**buy).json()["token"] != bob_api.post(**buy).json()["token"]
    assert AccessToken.objects.filter(user=bob).count() == 1


def test_a_malformed_key(alice: User, alice_api: APIClient) -> None:
    fund(alice, "1")

    response = alice_api.post(URL, {"duration_hours": 1}, headers={"Idempotency-Key": "k" * 201})

    assert response.status_code == 400
    assert not Entry.objects.filter(transaction__type=TransactionType.PURCHASE).exists()
