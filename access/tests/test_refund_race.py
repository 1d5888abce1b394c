"""Parallel refunds, first uses and revocations of one token."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connections, transaction
from django.utils import timezone

from access import selectors, services
from access.errors import TokenNotActive
from access.models import AccessToken
from access.tests.support.concurrency import at_once
from access.tests.support.tokens import Buy, causes
from accounts.models import User
from billing import ledger, verification
from billing.models import Transaction, TransactionType
from conftest import client_of

pytestmark = pytest.mark.django_db(transaction=True)


def refunded() -> int:
    return Transaction.objects.filter(type=TransactionType.REFUND).count()


def test_refund_and_refund(alice: User, buy: Buy) -> None:  # case A10
    token = buy(alice)
    clients = [client_of(alice) for _ in range(10)]

    responses = at_once(*(lambda api=api: api.delete(f"/api/v1/tokens/{token.pk}") for api in clients))

    assert Counter(response.status_code for response in responses) == {200: 1, 409: 9}
    assert {response.json()["code"] for response in responses if response.status_code == 409} == {"token_not_active"}
    assert (refunded(), ledger.balance(alice), causes(token)) == (1, 18, ["revoked"])
    assert verification.verify() == []


@pytest.mark.parametrize("attempt", range(3))
def test_refund_and_first_use(alice: User, buy: Buy, attempt: int) -> None:  # case A10
    """Either the first use commits first and reduces the refund, or it finds the token revoked."""
    token, api = buy(alice), client_of(alice)
    first_use = timezone.now() - timedelta(hours=12)  # as if the worker's clock were slow: half of the time is used

    response, used = at_once(
        lambda: api.delete(f"/api/v1/tokens/{token.pk}"), lambda: services.activate(token.pk, first_use)
    )

    assert response.status_code == 200
    token.refresh_from_db()
    assert (token.activated_at is not None) == used
    expected = Decimal("9.00") if used else Decimal("18.00")
    assert ledger.balance(alice) == expected
    assert refunded() == 1
    assert not services.activate(token.pk, timezone.now())


def test_a_first_use_commits_while_the_refund_waits(alice: User, buy: Buy) -> None:  # case A10
    token, api = buy(alice), client_of(alice)

    def revoke() -> float:
        try:
            return float(api.delete(f"/api/v1/tokens/{token.pk}").json()["refund_amount"])
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert services.activate(token.pk, timezone.now() - timedelta(hours=12))
            refund = pool.submit(revoke)
            time.sleep(0.3)  # by then the call waits for the row lock
            assert not refund.done()
        assert refund.result() == 9.0


def test_refund_and_force(alice: User, olga: User, buy: Buy) -> None:
    token, api = buy(alice), client_of(alice)

    def force() -> bool:
        try:
            services.revoke_by_force(token.pk, actor=olga, reason="test")
        except TokenNotActive:
            return False
        return True

    response, forced = at_once(lambda: api.delete(f"/api/v1/tokens/{token.pk}"), force)

    assert response.status_code == (409 if forced else 200)
    assert refunded() == (0 if forced else 1)
    assert causes(token) == ["revoked"]


def test_refund_and_expiry(alice: User, buy: Buy) -> None:  # case A10
    token = buy(alice, 1)
    AccessToken.objects.filter(pk=token.pk).update(
        created_at=timezone.now() - timedelta(hours=1), expires_at=timezone.now() + timedelta(milliseconds=150)
    )
    clients = [client_of(alice) for _ in range(20)]

    responses = at_once(*(lambda api=api: api.delete(f"/api/v1/tokens/{token.pk}") for api in clients))

    paid = [response for response in responses if response.status_code == 200]
    assert len(paid) <= 1
    assert {response.status_code for response in responses} <= {200, 409}
    assert (refunded(), ledger.balance(alice)) == (len(paid), len(paid))


def test_many_first_uses_note_one_time(alice: User, buy: Buy) -> None:
    token, now = buy(alice), timezone.now()

    used = at_once(*(lambda n=n: services.activate(token.pk, now + timedelta(seconds=n)) for n in range(10)))

    assert all(used)
    facts = selectors.grant_facts(token.digest)
    assert facts is not None
    assert facts.activated
