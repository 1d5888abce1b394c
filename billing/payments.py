"""The statuses of a payment, and the only function that changes them."""

import logging
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing.models import Payment, PaymentStatus, PaymentTransition

logger = logging.getLogger(__name__)

S = PaymentStatus
# The statuses that may follow each status. A status without an entry is final.
TRANSITIONS: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    S.CREATED: frozenset({S.PENDING, S.FAILED, S.EXPIRED}),
    S.PENDING: frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.EXPIRED}),
    S.SUCCEEDED: frozenset({S.PARTLY_REFUNDED, S.REFUNDED, S.DISPUTED}),
    # Further parts may be refunded, a refund may fail after it was accepted, and a dispute may be won.
    S.PARTLY_REFUNDED: frozenset({S.SUCCEEDED, S.PARTLY_REFUNDED, S.REFUNDED, S.DISPUTED}),
    S.REFUNDED: frozenset({S.SUCCEEDED, S.PARTLY_REFUNDED, S.DISPUTED}),
    S.DISPUTED: frozenset({S.SUCCEEDED, S.PARTLY_REFUNDED, S.REFUNDED, S.DISPUTED}),
}
OPEN = (S.CREATED, S.PENDING)


@transaction.atomic
def begin(payment: Payment, *, cause: str, actor: User | None = None) -> Payment:
    """Save a new payment and record its first status."""
    payment.save(force_insert=True)
    _record(payment, "", PaymentStatus(payment.status), cause, actor)
    return payment


@transaction.atomic
def change(payment: Payment, to: PaymentStatus, *, cause: str, actor: User | None = None, **fields: Any) -> bool:
    """Change the status of a payment, set `fields` with it, and record the cause. Update `payment` in memory, too.

    One conditional UPDATE decides. Return False, without a change, if the payment no longer has the status that was
    read, or if that status does not lead to the new one.
    """
    seen = PaymentStatus(payment.status)
    if to not in TRANSITIONS.get(seen, ()):
        return False
    if to not in OPEN:
        fields.setdefault("next_check_at", None)
    fields |= {"status": to, "updated_at": timezone.now()}
    if not Payment.objects.filter(pk=payment.pk, status=seen).update(**fields):
        return False
    for name, value in fields.items():
        setattr(payment, name, value)
    _record(payment, seen, to, cause, actor)
    return True


def lock(payment_id: Any) -> Payment:
    """Lock a payment until the end of the transaction, and return its current state with its user."""
    Payment.objects.filter(pk=payment_id).update(updated_at=timezone.now())
    return Payment.objects.select_related("user").get(pk=payment_id)


def _record(payment: Payment, seen: str, to: PaymentStatus, cause: str, actor: User | None) -> None:
    PaymentTransition.objects.create(payment=payment, from_status=seen, to_status=to, cause=cause[:300], actor=actor)
    logger.info("payment_changed", extra={"payment_id": str(payment.pk), "from": seen, "to": to, "cause": cause})
