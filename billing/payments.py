"""The states of a payment: pending, and from there once to succeeded, failed or cancelled."""

import logging

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from billing import ledger
from billing.models import Payment, PaymentStatus, SystemAccount, TransactionType

logger = logging.getLogger(__name__)


@transaction.atomic
def settle(payment: Payment) -> bool:
    """Credit a pending payment to its user's wallet; False where it is no longer pending: nothing moves."""
    # The UPDATE claims the row: of two that settle one payment the second waits here, and finds none pending.
    if not _pending(payment).update(updated_at=timezone.now()):
        logger.info("payment_not_pending", extra={"payment_id": str(payment.pk)})
        return False
    moved = ledger.move(
        payment.user,
        payment.amount,
        SystemAccount.DEPOSITS,
        TransactionType.DEPOSIT,
        f"Top-up through {payment.provider}",
    )
    _pending(payment).update(status=PaymentStatus.SUCCEEDED, transaction=moved.transaction)
    return True


def fail(payment: Payment) -> bool:
    """Note that a pending payment was declined; False where it is not pending any more."""
    return _close(payment, PaymentStatus.FAILED)


def cancel(payment: Payment) -> bool:
    """Note that the user gave a pending payment up; False where it is not pending any more."""
    return _close(payment, PaymentStatus.CANCELLED)


def _close(payment: Payment, status: PaymentStatus) -> bool:
    return bool(_pending(payment).update(status=status, updated_at=timezone.now()))


def _pending(payment: Payment) -> QuerySet[Payment]:
    return Payment.objects.filter(pk=payment.pk, status=PaymentStatus.PENDING)
