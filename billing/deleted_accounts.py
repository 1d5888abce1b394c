"""Payments that arrive after their user was deleted: the money is credited, returned, and reported to operators."""

import logging

from django.utils import timezone

from accounts import audit
from billing import metrics
from billing.models import Payment, PaymentRefund, PaymentStatus
from billing.models.payments import new_idempotence_key

logger = logging.getLogger(__name__)

_REASON = "The account was deleted before the payment arrived."


def return_money(payment: Payment) -> None:
    """Request the refund of a payment that was just credited, if its user is deleted, in the same transaction.

    The poller sends it to the provider. Then the credits are taken back like those of any refund.
    """
    if payment.user.deleted_at is None:
        return
    metrics.DELETED_ACCOUNTS.inc()
    hint = "The money is returned by itself. Check the refund of this payment in the admin."
    logger.error("payment_for_deleted_account", extra={"payment_id": str(payment.pk), "hint": hint})
    if payment.status not in (PaymentStatus.SUCCEEDED, PaymentStatus.PARTLY_REFUNDED):
        return
    refund = PaymentRefund.objects.create(
        payment=payment,
        amount=payment.provider_amount - payment.provider_refunded,
        reason=_REASON,
        idempotence_key=new_idempotence_key(),
        next_check_at=timezone.now(),
    )
    audit.record(
        "payment_refund_requested",
        payment.user,
        reason=_REASON,
        payment_id=str(payment.pk),
        refund_id=str(refund.pk),
        amount=payment.price,
    )
