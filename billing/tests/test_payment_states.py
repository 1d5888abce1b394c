"""The statuses of a payment: allowed transitions, decided once and recorded with their cause."""

import itertools
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from billing import ledger, payments
from billing.models import CREDITED, Payment, PaymentStatus, PaymentTransition, SystemAccount, TransactionType
from billing.tests.support.mock_provider import create_pending_payment
from billing.tests.support.parallel import in_parallel

S = PaymentStatus
# Repeated here, so that a change of the application's table fails a test.
ALLOWED = {
    ("created", "pending"),
    ("created", "failed"),
    ("created", "expired"),
    ("pending", "succeeded"),
    ("pending", "failed"),
    ("pending", "cancelled"),
    ("pending", "expired"),
    ("succeeded", "partly_refunded"),
    ("succeeded", "refunded"),
    ("succeeded", "disputed"),
    ("partly_refunded", "partly_refunded"),
    ("partly_refunded", "refunded"),
    ("partly_refunded", "disputed"),
    ("partly_refunded", "succeeded"),
    ("refunded", "partly_refunded"),
    ("refunded", "succeeded"),
    ("refunded", "disputed"),
    ("disputed", "disputed"),
    ("disputed", "succeeded"),
    ("disputed", "partly_refunded"),
    ("disputed", "refunded"),
}


def credit(user, serial):
    """Return the fields that the database requires of a credited payment."""
    moved = ledger.move(user, Decimal(1), SystemAccount.DEPOSITS, TransactionType.DEPOSIT, "test")
    return {"transaction": moved.transaction, "receipt_year": 2026, "receipt_serial": serial}


@pytest.mark.parametrize(("seen", "to"), list(itertools.product(S.values, S.values)))
def test_every_pair_of_states(payment, olga, seen, to):
    """Allow and record exactly the transitions in the table."""
    fields = credit(payment.user, 1) if seen in CREDITED else {}
    Payment.objects.filter(pk=payment.pk).update(status=seen, **fields)
    payment.refresh_from_db()
    before = payment.transitions.count()

    fields = credit(payment.user, 2) if to in CREDITED and seen not in CREDITED else {}
    changed = payments.change(payment, S(to), cause="test", actor=olga, **fields)

    assert changed == ((seen, to) in ALLOWED)
    stored = Payment.objects.get(pk=payment.pk)
    assert stored.status == payment.status == (to if changed else seen)
    assert payment.transitions.count() == before + changed
    if changed:
        noted = payment.transitions.first()
        assert (noted.from_status, noted.to_status, noted.cause, noted.actor) == (seen, to, "test", olga)
        assert stored.next_check_at is None or to == "pending"


def test_a_payment_that_has_changed_since_it_was_read_is_left_alone(payment):
    stale = Payment.objects.get(pk=payment.pk)
    assert payments.change(payment, S.CANCELLED, cause="first")
    assert not payments.change(stale, S.FAILED, cause="second")
    assert Payment.objects.get(pk=payment.pk).status == "cancelled"
    assert [row.cause for row in payment.transitions.order_by("id")] == ["test", "test", "first"]


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_changes_it(payment):
    readings = [Payment.objects.get(pk=payment.pk) for _ in range(8)]
    ends = [S.FAILED, S.CANCELLED, S.EXPIRED]
    changed = in_parallel(
        8, lambda number: payments.change(readings[number], ends[number % 3], cause=f"thread {number}")
    )
    assert sum(changed) == 1
    assert payment.transitions.filter(from_status="pending").count() == 1


def test_the_history_of_a_payment_is_neither_changed_nor_deleted(payment):
    row = PaymentTransition.objects.first()
    for attempt in (
        row.save,
        row.delete,
        PaymentTransition.objects.all().delete,
        lambda: PaymentTransition.objects.update(cause="another"),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()
    assert payment.transitions.count() == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "succeeded"},
        {"receipt_year": 2026, "receipt_serial": 1},
        {"refunded_amount": "25.51"},
        {"provider_refunded": "-0.01"},
        {"provider_amount": 0},
    ],
)
def test_the_database_rejects_invalid_payments(payment, fields):
    with pytest.raises(DatabaseError), transaction.atomic():
        Payment.objects.filter(pk=payment.pk).update(**fields)


def test_one_checkout_is_of_one_payment(payment, bob):
    other = create_pending_payment(bob)
    with pytest.raises(DatabaseError), transaction.atomic():
        Payment.objects.filter(pk=other.pk).update(provider_id=payment.provider_id)
    with pytest.raises(DatabaseError), transaction.atomic():
        Payment.objects.filter(pk=other.pk).update(idempotence_key=payment.idempotence_key)
