"""Fixtures of billing's tests."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.db import connection, transaction

from billing.models import Payment


@pytest.fixture
def payment(alice):
    """Alice's pending payment of 25.50 ZNC."""
    return Payment.objects.create(user=alice, amount=Decimal("25.50"), provider="mock")


@pytest.fixture
def unconstrained(db: None) -> Iterator[None]:
    """Wallets may go below zero in this test's transaction. To be asked for before there is anything to judge."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = ON")
        else:
            cursor.execute("ALTER TABLE billing_account DROP CONSTRAINT billing_account_never_negative")
    yield
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA ignore_check_constraints = OFF")
    transaction.set_rollback(True)
