"""The races of the other tests with a guard removed: they fail then, which proves that the guard is needed.

Each call checks first and writes later, as naive code does, and no call writes before all have checked.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.db.models import Q, QuerySet

from access import services
from access.models import AccessToken
from access.tests.support.concurrency import at_once
from access.tests.support.tokens import Buy
from accounts.models import User
from billing import idempotency, ledger
from billing.idempotency import Call
from billing.models import Account, Transaction, TransactionType
from billing.verification import verify_all
from conftest import fund

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

BUYERS = 8


def outcomes(*calls: Callable[[], Any]) -> Counter[str]:
    """Make the calls at the same time and count their outcomes."""

    def outcome(call: Callable[[], Any]) -> str:
        try:
            call()
        except IntegrityError:
            return "rejected by the database"
        return "done"

    return Counter(at_once(*(lambda call=call: outcome(call) for call in calls)))


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def unconditional(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make debits check the balance first and then take the money without a condition."""
    all_checked = threading.Barrier(BUYERS, timeout=20)

    def check(user: User, amount: Decimal) -> QuerySet[Account]:
        wallet = Account.objects.filter(user=user)
        if amount > 0:
            return wallet
        enough = wallet.filter(balance__gte=-amount).exists()
        all_checked.wait()
        return wallet if enough else wallet.none()

    monkeypatch.setattr(ledger, "_wallet_covering", check)


@pytest.fixture
def without_the_constraint(db: None) -> Iterator[None]:
    rule = "billing_account_never_negative"
    execute(f"ALTER TABLE billing_account DROP CONSTRAINT {rule}")
    yield
    execute("UPDATE billing_account SET balance = 0 WHERE balance < 0")
    execute(f"ALTER TABLE billing_account ADD CONSTRAINT {rule} CHECK (balance >= 0)")


def buyers(user: User, key: str = "") -> list[Callable[[], Any]]:
    return [lambda: services.purchase(Call(user, "test", key, None), 12, "full")] * BUYERS


def test_without_the_condition_the_constraint_rejects(tariffs: None, alice: User, unconditional: None) -> None:
    # case A4: no overdraft, but later buyers get an error instead of a clean denial
    fund(alice, "10")

    assert outcomes(*buyers(alice)) == {"done": 1, "rejected by the database": BUYERS - 1}
    assert (AccessToken.objects.count(), ledger.balance(alice)) == (1, 0)


def test_without_both_the_wallet_is_overdrawn(
    tariffs: None, alice: User, unconditional: None, without_the_constraint: None
) -> None:
    # cases A2, A4
    fund(alice, "10")

    assert outcomes(*buyers(alice)) == {"done": BUYERS}
    assert (AccessToken.objects.count(), ledger.balance(alice)) == (BUYERS, 10 - 10 * BUYERS)
    shown = "shows -70.00 ZNC, its entries sum to -70.00 ZNC"
    assert [str(found) for found in verify_all()] == [f"wallet {alice.wallet.pk}: {shown}"]


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the locks of idempotency keys; all calls look up the key before one of them writes."""
    all_checked = threading.Barrier(BUYERS, timeout=20)
    look_up = idempotency.IdempotencyKey.objects.filter

    def check(**named: Any) -> Any:
        known = look_up(**named)
        known.first()
        all_checked.wait()
        return known.none()

    monkeypatch.setattr(idempotency, "_in_this_process", _EmptySet())
    monkeypatch.setattr(idempotency, "_lock", lambda _call: None)
    monkeypatch.setattr(idempotency.IdempotencyKey.objects, "filter", check)


class _EmptySet(set[Any]):
    def __contains__(self, _item: object) -> bool:
        return False


@pytest.fixture
def keys_more_than_once(db: None) -> Iterator[None]:
    rule = "billing_idempotency_once"
    execute(f"ALTER TABLE billing_idempotencykey DROP CONSTRAINT {rule}")
    yield
    execute("TRUNCATE billing_idempotencykey")
    execute(f"ALTER TABLE billing_idempotencykey ADD CONSTRAINT {rule} UNIQUE (user_id, call, key)")


def test_without_the_lock_the_constraint_rejects(tariffs: None, alice: User, without_locks: None) -> None:
    # case A6: one charge, but errors instead of a clean 409
    fund(alice, "1000")

    assert outcomes(*buyers(alice, "once")) == {"done": 1, "rejected by the database": BUYERS - 1}
    assert (AccessToken.objects.count(), ledger.balance(alice)) == (1, 990)


def test_without_both_one_key_is_charged_many_times(
    tariffs: None, alice: User, without_locks: None, keys_more_than_once: None
) -> None:
    # case A6
    fund(alice, "1000")

    assert outcomes(*buyers(alice, "once")) == {"done": BUYERS}
    assert (AccessToken.objects.count(), ledger.balance(alice)) == (BUYERS, 1000 - 10 * BUYERS)


def test_without_the_condition_a_token_is_refunded_many_times(
    alice: User, buy: Buy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # case A10
    token, all_checked, change = buy(alice), threading.Barrier(BUYERS, timeout=20), services._change

    def check(tokens: QuerySet[AccessToken], condition: Q, **changes: Any) -> AccessToken:
        assert tokens.filter(condition).exists()
        all_checked.wait()
        return change(tokens, Q(), **changes)

    monkeypatch.setattr(services, "_change", check)
    revokers = [lambda: services.revoke_with_refund(Call(alice, "test", "", None), token.pk)] * BUYERS

    assert outcomes(*revokers) == {"done": BUYERS}
    refunds = Transaction.objects.filter(type=TransactionType.REFUND)
    assert (refunds.count(), ledger.balance(alice)) == (BUYERS, 18 * BUYERS)
    refunded = f"was refunded {18 * BUYERS}.00 ZNC"
    assert [str(found) for found in verify_all()] == [
        f"wallet {alice.wallet.pk}: {refunded} but paid 18.00 ZNC",
        f"wallet {alice.wallet.pk}: {refunded} for revoked access tokens that cost 18.00 ZNC",
    ]
