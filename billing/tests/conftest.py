"""Fixtures of billing's tests."""

from decimal import Decimal

import pytest

from billing.models import Payment


@pytest.fixture
def payment(alice):
    """Alice's pending payment of 25.50 ZNC."""
    return Payment.objects.create(user=alice, amount=Decimal("25.50"), provider="mock")
