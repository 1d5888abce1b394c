"""Extensions that run in parallel with other changes of the token: a paid extension always counts."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from access import services
from access.models import AccessToken
from access.tasks import expire_tokens
from access.tests.support.concurrency import at_once
from access.tests.support.tokens import Buy, causes
from accounts.models import User
from billing import ledger, verification
from conftest import client_of, fund

pytestmark = pytest.mark.django_db(transaction=True)


def extend(token: AccessToken, **headers: str) -> Any:
    return client_of(token.user).post(f"/api/v1/tokens/{token.pk}/extend", {"duration_hours": 24}, headers=headers)


def test_ten_extensions_and_credits_for_three(alice: User, buy: Buy) -> None:
    token = buy(alice)
    fund(alice, "54")

    responses = at_once(*(lambda: extend(token) for _ in range(10)))

    assert Counter(response.status_code for response in responses) == {200: 3, 402: 7}
    assert sorted(response.json()["cost"] for response in responses if response.status_code == 200) == [36, 54, 72]
    stored = AccessToken.objects.get()
    assert (stored.cost, stored.duration_hours, ledger.balance(alice)) == (72, 96, 0)
    assert stored.expires_at - stored.created_at == timedelta(hours=96)
    assert causes(token) == ["changed"] * 3
    assert verification.verify() == []


def test_one_key_sent_ten_times_at_once(alice: User, buy: Buy) -> None:  # case A6
    token = buy(alice)
    fund(alice, "100")

    responses = at_once(*(lambda: extend(token, **{"Idempotency-Key": "once"}) for _ in range(10)))

    assert {response.status_code for response in responses} <= {200, 409}
    assert {response.json()["cost"] for response in responses if response.status_code == 200} == {36}
    assert {response.json()["code"] for response in responses if response.status_code == 409} <= {
        "idempotency_in_progress"
    }
    assert (AccessToken.objects.get().cost, ledger.balance(alice)) == (36, 82)


@pytest.mark.parametrize("attempt", range(3))
def test_extension_and_refund(alice: User, buy: Buy, attempt: int) -> None:
    """Check that the owner of an unused token gets back the whole price, whichever call comes first."""
    token = buy(alice)
    fund(alice, "18")

    extended, revoked = at_once(lambda: extend(token), lambda: client_of(alice).delete(f"/api/v1/tokens/{token.pk}"))

    assert revoked.status_code == 200
    assert extended.status_code in (200, 409)
    assert revoked.json()["refund_amount"] == (36 if extended.status_code == 200 else 18)
    assert ledger.balance(alice) == 36
    assert causes(token) == (["changed", "revoked"] if extended.status_code == 200 else ["revoked"])
    assert verification.verify() == []


# case G74
def test_an_extension_that_waits_for_a_revocation_fails(alice: User, olga: User, buy: Buy) -> None:
    token = buy(alice)
    fund(alice, "18")

    def late() -> Any:
        try:
            return extend(token)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            services.revoke_by_force(token.pk, actor=olga, reason="test")
            extended = pool.submit(late)
            time.sleep(0.3)  # by then the call waits for the row lock
            assert not extended.done()
        assert extended.result().json()["code"] == "token_not_active"
    assert (ledger.balance(alice), AccessToken.objects.get().cost) == (18, 18)


def test_extensions_and_expiry(alice: User, buy: Buy) -> None:
    """Extend around the moment of expiry: a paid extension leaves the token active, a failed one costs nothing."""
    token = buy(alice)
    AccessToken.objects.filter(pk=token.pk).update(
        created_at=timezone.now() - timedelta(hours=24), expires_at=timezone.now() + timedelta(milliseconds=150)
    )
    fund(alice, "180")

    *responses, _noted = at_once(*(lambda: extend(token) for _ in range(10)), expire_tokens)

    paid = [response for response in responses if response.status_code == 200]
    assert {response.status_code for response in responses} <= {200, 409}
    # One successful extension keeps the token active for all later ones.
    assert all(response.json()["is_active"] for response in paid)
    stored = AccessToken.objects.get()
    assert (stored.cost, stored.duration_hours) == (18 + 18 * len(paid), 24 + 24 * len(paid))
    assert ledger.balance(alice) == 180 - 18 * len(paid)
    if paid:
        assert not stored.expiry_seen
    assert verification.verify() == []
