"""The refund of a revoked token."""

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from access import services
from access.models import AccessToken, Tariff
from access.tests.support.tokens import Buy, age, causes
from accounts.models import User
from billing import ledger, verification
from billing.models import SystemAccount, Transaction, TransactionType
from conftest import fund
from zenzefi.common.tests.support.bad_input import UNKNOWN_ID

HOUR = timedelta(hours=1)


def url(token: AccessToken) -> str:
    return f"/api/v1/tokens/{token.pk}"


def refunds() -> list[Transaction]:
    return list(Transaction.objects.filter(type=TransactionType.REFUND))


def test_an_unused_token_is_refunded_in_full(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    age(token, 23 * HOUR)

    response = alice_api.delete(url(token))

    assert response.status_code == 200
    assert response.json() == {"revoked": True, "refund_amount": 18.0, "new_balance": 18.0}
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert causes(token) == ["revoked"]
    assert ledger.balance(alice) == 18
    (refund,) = refunds()
    amounts = {entry.account.code or entry.account.user: entry.amount for entry in refund.entries.all()}
    assert amounts == {alice: Decimal("18.00"), SystemAccount.REVENUE: Decimal("-18.00")}
    assert refund.actor == alice
    assert verification.verify() == []


@pytest.fixture
def half_used(alice: User, buy: Buy) -> AccessToken:
    """Return a token of 18 ZNC for 24 hours, bought 15 hours ago and first used 12 hours ago."""
    token = buy(alice)
    age(token, 15 * HOUR)
    AccessToken.objects.filter(pk=token.pk).update(activated_at=timezone.now() - 12 * HOUR)
    return token


def test_quote_and_refund_agree(alice: User, alice_api: APIClient, half_used: AccessToken) -> None:
    with time_machine.travel(timezone.now(), tick=False):
        quote = alice_api.get(url(half_used) + "/refund-quote")
        revoked = alice_api.delete(url(half_used))

    assert quote.status_code == 200
    unused = quote.json()["time_unused_seconds"]
    assert 12 * 3600 - 30 < unused <= 12 * 3600
    assert quote.json() == {"refund_amount": 9.0, "time_unused_seconds": unused}
    assert revoked.json() == {"revoked": True, "refund_amount": 9.0, "new_balance": 9.0}


def test_a_quote_changes_nothing(alice: User, alice_api: APIClient, half_used: AccessToken) -> None:
    assert alice_api.get(url(half_used) + "/refund-quote").status_code == 200

    half_used.refresh_from_db()
    assert half_used.revoked_at is None
    assert (causes(half_used), ledger.balance(alice)) == ([], 0)


def test_the_price_paid_counts_not_the_price_now(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    Tariff.objects.all().update(price=Decimal("999.99"))

    assert alice_api.delete(url(token)).json()["refund_amount"] == 18.0


def test_a_refund_that_rounds_to_nothing_moves_nothing(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    AccessToken.objects.filter(pk=token.pk).update(activated_at=timezone.now() - 24 * HOUR)

    response = alice_api.delete(url(token))

    assert response.status_code == 200
    assert response.json() == {"revoked": True, "refund_amount": 0.0, "new_balance": 0.0}
    assert causes(token) == ["revoked"]
    assert refunds() == []


def test_once_only(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    alice_api.delete(url(token))

    again = alice_api.delete(url(token))

    assert again.status_code == 409
    assert again.json()["code"] == "token_not_active"
    assert len(refunds()) == 1
    assert causes(token) == ["revoked"]
    assert ledger.balance(alice) == 18


def test_an_expired_token_refunds_nothing(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    age(token, 24 * HOUR)

    quote, response = alice_api.get(url(token) + "/refund-quote"), alice_api.delete(url(token))

    assert quote.json() == {"refund_amount": 0.0, "time_unused_seconds": 0}
    assert response.status_code == 409
    assert response.json()["code"] == "token_not_active"
    token.refresh_from_db()
    assert token.revoked_at is None
    assert (refunds(), causes(token)) == ([], [])


def test_a_frozen_token_is_not_refunded(alice: User, olga: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    services.freeze(token.pk, actor=olga, reason="disputed payment")

    quote, response = alice_api.get(url(token) + "/refund-quote"), alice_api.delete(url(token))

    assert quote.json() == {"refund_amount": 0.0, "time_unused_seconds": 0}
    assert (response.status_code, response.json()["code"]) == (409, "token_not_active")
    assert refunds() == []

    services.unfreeze(token.pk, actor=olga, reason="settled")
    assert alice_api.delete(url(token)).json()["refund_amount"] == 18.0


@pytest.mark.parametrize("call", ["delete", "quote"])
@pytest.mark.parametrize("whose", ["bob", "unknown", "malformed"])
def test_not_ones_own(alice: User, bob: User, alice_api: APIClient, buy: Buy, call: str, whose: str) -> None:
    token = buy(bob)
    address = f"/api/v1/tokens/{ {'bob': token.pk, 'unknown': UNKNOWN_ID, 'malformed': 'x%00y'}[whose] }"

    response = alice_api.delete(address) if call == "delete" else alice_api.get(f"{address}/refund-quote")

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"
    token.refresh_from_db()
    assert token.revoked_at is None
    assert ledger.balance(alice) == ledger.balance(bob) == 0


def test_anonymous(api: APIClient, alice: User, buy: Buy) -> None:
    token = buy(alice)

    assert api.delete(url(token)).status_code == 401
    assert api.get(url(token) + "/refund-quote").status_code == 401


def test_the_same_key_is_replayed_again(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    key = {"Idempotency-Key": "revoke-1"}
    first = alice_api.delete(url(token), headers=key)
    fund(alice, "5")

    again = alice_api.delete(url(token), headers=key)

    assert (again.status_code, again.json()) == (200, first.json())
    assert len(refunds()) == 1
    assert refunds()[0].idempotency_key == "revoke-1"


def test_a_key_counts_per_token(alice: User, alice_api: APIClient, buy: Buy) -> None:
    one, two = buy(alice), buy(alice)
    key = {"Idempotency-Key": "revoke"}

    assert alice_api.delete(url(one), headers=key).json()["new_balance"] == 18.0
    assert alice_api.delete(url(two), headers=key).json()["new_balance"] == 36.0
