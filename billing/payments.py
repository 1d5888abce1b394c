"""The states of a payment, and the one door through which they change."""

import logging
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing.models import Payment, PaymentStatus, PaymentTransition

logger = logging.getLogger(__name__)

S = PaymentStatus
# What may follow what; what stands on no left side is final.
FOLLOWS: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    S.CREATED: frozenset({S.PENDING, S.FAILED, S.EXPIRED}),
    S.PENDING: frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.EXPIRED}),
    S.SUCCEEDED: frozenset({S.PARTLY_REFUNDED, S.REFUNDED, S.DISPUTED}),
    # One more part is refunded; a refund that fails on its way comes back; a dispute that is won ends.
    S.PARTLY_REFUNDED: frozenset({S.SUCCEEDED, S.PARTLY_REFUNDED, S.REFUNDED, S.DISPUTED}),
    S.REFUNDED: frozenset({S.SUCCEEDED, S.PARTLY_REFUNDED, S.DISPUTED}),
    S.DISPUTED: frozenset({S.SUCCEEDED, S.PARTLY_REFUNDED, S.REFUNDED, S.DISPUTED}),
}
OPEN = (S.CREATED, S.PENDING)


@transaction.atomic
def begin(payment: Payment, *, cause: str, actor: User | None = None) -> Payment:
    """Save a new payment and note its first state."""
    payment.save(force_insert=True)
    _note(payment, "", PaymentStatus(payment.status), cause, actor)
    return payment


@transaction.atomic
def change(payment: Payment, to: PaymentStatus, *, cause: str, actor: User | None = None, **fields: Any) -> bool:
    """Bring a payment as it was read to another status, with these fields, and note the cause.

    Decided by one conditional UPDATE: False where the payment has another status by now, or its status does not
    lead there; then nothing changes. `payment` shows the new state afterwards.
    """
    seen = PaymentStatus(payment.status)
    if to not in FOLLOWS.get(seen, ()):
        return False
    if to not in OPEN:
        fields.setdefault("next_check_at", None)
    fields |= {"status": to, "updated_at": timezone.now()}
    if not Payment.objects.filter(pk=payment.pk, status=seen).update(**fields):
        return False
    for name, value in fields.items():
        setattr(payment, name, value)
    _note(payment, seen, to, cause, actor)
    return True


def lock(payment_id: Any) -> Payment:
    """The payment, held until the end of the transaction: who holds it next sees what was done to it here."""
    Payment.objects.filter(pk=payment_id).update(updated_at=timezone.now())
    return Payment.objects.select_related("user").get(pk=payment_id)


def _note(payment: Payment, seen: str, to: PaymentStatus, cause: str, actor: User | None) -> None:
    PaymentTransition.objects.create(payment=payment, from_status=seen, to_status=to, cause=cause[:300], actor=actor)
    logger.info("payment_changed", extra={"payment_id": str(payment.pk), "from": seen, "to": to, "cause": cause})
