"""Consistent reads during writes."""

import threading
from decimal import Decimal

import pytest
from django.db import Error as DatabaseError
from django.db import connection, connections, transaction

from billing import ledger, verification
from billing.models import SystemAccount, Transaction, TransactionType
from billing.snapshot import snapshot
from billing.tests.support.parallel import in_parallel
from billing.verification import Discrepancy
from conftest import fund

pytestmark = pytest.mark.django_db(transaction=True)


def meanwhile(user):
    """Credit the user through another connection, and commit."""
    in_parallel(1, lambda _number: fund(user, 1))


def test_a_movement_in_the_meantime_is_not_seen(alice):
    with snapshot():
        assert ledger.balance(alice) == 0
        meanwhile(alice)
        assert (ledger.balance(alice), Transaction.objects.count()) == (0, 0)
    assert (ledger.balance(alice), Transaction.objects.count()) == (1, 1)


def test_a_snapshot_is_no_place_to_write(alice):
    if connection.vendor == "postgresql":
        with pytest.raises(DatabaseError, match="read-only"), snapshot():
            fund(alice, 1)
    # The default mode is restored.
    fund(alice, 1)
    assert ledger.balance(alice) == 1


def test_it_may_be_the_first_use_of_a_connection(alice):
    def look(_number):
        with snapshot():
            return ledger.balance(alice)

    assert in_parallel(2, look) == [0, 0]


def test_within_a_transaction_its_own_writes_are_seen(alice):
    with transaction.atomic():
        fund(alice, 1)
        with snapshot():
            assert ledger.balance(alice) == 1


def test_all_checks_see_the_same_moment(alice, monkeypatch):
    """Verify in one snapshot, as a purchase between two checks would look like a discrepancy."""
    seen = []

    def look_before_and_after():
        seen.append(Transaction.objects.count())
        meanwhile(alice)
        seen.append(Transaction.objects.count())
        return [Discrepancy("count", "transactions", str(seen))]

    monkeypatch.setattr(verification, "_registered", [look_before_and_after])
    assert [found.detail for found in verification.verify_all()] == ["[0, 0]"]


def test_the_ledger_holds_while_it_moves(alice, bob):
    stop = threading.Event()

    def keep_moving(user):
        while not stop.is_set():
            fund(user, 2)
            ledger.move(user, Decimal(-1), SystemAccount.ADJUSTMENTS, TransactionType.ADJUSTMENT, "out")
        connections.close_all()

    movers = [threading.Thread(target=keep_moving, args=[user]) for user in (alice, bob)]
    for mover in movers:
        mover.start()
    try:
        found = [str(discrepancy) for _look in range(25) for discrepancy in verification.verify_all()]
    finally:
        stop.set()
        for mover in movers:
            mover.join()
    assert found == []
    assert Transaction.objects.count() > 25
