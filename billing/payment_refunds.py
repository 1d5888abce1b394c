"""Refunds of payments by operators: stored, then requested from the provider, whose state the ledger follows."""

import logging
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

from accounts import audit
from accounts.models import User
from billing import ledger, payments, provider_leases, providers, settlement
from billing.errors import IdempotencyConflict, ProviderError, ProviderRefused, RefundInProgress, WebhookMismatch
from billing.models import Payment, PaymentRefund, PaymentStatus
from billing.providers.base import RefundState
from zenzefi.common.currencies import format_amount, smallest_unit
from zenzefi.common.hundredths import ZERO
from zenzefi.common.reasons import check_reason

logger = logging.getLogger(__name__)

REFUNDABLE = (PaymentStatus.SUCCEEDED, PaymentStatus.PARTLY_REFUNDED)
# Providers forget an idempotence key after 24 hours. A request repeated after that would refund twice.
_RETRY_PERIOD = timedelta(hours=23)
_Status = PaymentRefund.Status


def start(payment_id: UUID, amount: Decimal, *, actor: User, reason: str, key: str) -> PaymentRefund:
    """Refund `amount`, in the payment's currency, through the provider, once per `key`.

    If the provider does not respond, the refund stays `requested` and the poller retries it. Raises `ValidationError`
    by field for an amount that cannot be refunded or a missing reason, `RefundInProgress` while another refund of the
    payment is in progress, `IdempotencyConflict` for the key of a different refund.
    """
    refund, new = _find_or_create(payment_id, amount, actor, reason.strip(), key)
    if new:
        try:
            advance(refund)
        except (ProviderError, WebhookMismatch) as error:
            logger.warning("refund_waits", extra={"refund_id": str(refund.pk), "error": str(error)})
        refund.refresh_from_db()
    return refund


def check(payment: Payment, amount: Decimal, reason: str) -> None:
    """Raise `ValidationError` by field if the payment cannot be refunded by `amount`, or without a reason."""
    left = payment.provider_amount - payment.provider_refunded
    if payment.status not in REFUNDABLE:
        raise ValidationError({"amount": [_("Only a credited payment that is not disputed can be refunded.")]})
    if not 0 < amount <= left or amount % smallest_unit(payment.provider_currency):
        text = _("Enter an amount from %(smallest)s to %(left)s %(currency)s.")
        limits = {
            "smallest": smallest_unit(payment.provider_currency),
            "left": left,
            "currency": payment.provider_currency,
        }
        raise ValidationError({"amount": [text % limits]})
    check_reason(reason, missing=_("Give a reason for the refund."))


def find(payment: Payment, key: str) -> PaymentRefund | None:
    """Return the payment's refund that was requested with this idempotence key, or None."""
    return PaymentRefund.objects.filter(payment=payment, idempotence_key=key).first()


@dataclass(frozen=True)
class Effect:
    """The effect of a refund on the user, in ZNC: credits taken back, and the part of them that becomes a debt."""

    taken: Decimal
    owed: Decimal


def preview(payment: Payment, amount: Decimal) -> Effect:
    """Return the effect that a refund of `amount`, in the payment's currency, would have now."""
    taken = settlement.credits_for(payment, payment.provider_refunded + amount) - payment.refunded_amount
    return Effect(taken, max(taken - ledger.balance(payment.user), ZERO))


@transaction.atomic
def _find_or_create(
    payment_id: UUID, amount: Decimal, actor: User, reason: str, key: str
) -> tuple[PaymentRefund, bool]:
    """Return the refund of this key, and whether it is new. The caller holds the provider lease of a new one."""
    payment = payments.lock(payment_id)
    known = PaymentRefund.objects.filter(idempotence_key=key).first()
    if known and (known.payment_id, known.amount) != (payment_id, amount):
        raise IdempotencyConflict
    if known:
        return known, False
    check(payment, amount, reason)
    if payment.refunds.filter(status__in=(_Status.REQUESTED, _Status.ACCEPTED)).exists():
        raise RefundInProgress
    refund = PaymentRefund.objects.create(
        payment=payment,
        amount=amount,
        reason=reason,
        actor=actor,
        idempotence_key=key,
        next_check_at=provider_leases.first_deadline(),
    )
    _audit("payment_refund_requested", refund)
    return refund, True


def advance(refund: PaymentRefund) -> None:
    """Request a refund whose lease the caller holds, repeating the stored key, and apply its current state.

    Raises `ProviderUnavailable`, `ProviderRefused`, or `WebhookMismatch` if the payment differs at the provider.
    """
    if refund.status == _Status.REQUESTED and not _request(refund):
        return
    # Fetched before the state of the payment, so that the latter includes the outcome of this refund.
    state = providers.for_payment(refund.payment).fetch_refund(refund.answer)
    fetched = settlement.fetch_state(refund.payment)
    settlement.settle(refund.payment, fetched, cause=f"refund {refund.pk}", actor=refund.actor)
    if state == RefundState.SUCCEEDED:
        _if_accepted(refund).update(status=_Status.DONE, next_check_at=None)
    if state == RefundState.FAILED:
        _fail(refund)


def _request(refund: PaymentRefund) -> bool:
    """Request the refund from the provider, and store its response. Return whether the provider accepted it."""
    if refund.created_at < timezone.now() - _RETRY_PERIOD:
        logger.error("refund_without_response", extra={"refund_id": str(refund.pk)})
        return _store_response(
            refund, _Status.REFUSED, "No response for 23 hours. Check the refund on the provider's own pages."
        )
    try:
        accepted = providers.for_payment(refund.payment).refund(refund.payment, refund.amount, refund.idempotence_key)
    except ProviderRefused as error:
        return _store_response(refund, _Status.REFUSED, str(error))
    return _store_response(refund, _Status.ACCEPTED, accepted.refund_id)


@transaction.atomic
def _store_response(refund: PaymentRefund, status: PaymentRefund.Status, answer: str) -> bool:
    """Store the provider's response to a requested refund. Return whether the provider accepted it."""
    accepted = status == _Status.ACCEPTED
    kept = PaymentRefund.objects.filter(pk=refund.pk, status=_Status.REQUESTED).update(
        status=status, answer=answer[:500], **({} if accepted else {"next_check_at": None})
    )
    refund.status, refund.answer = status, answer
    if kept:
        _audit("payment_refund_accepted" if accepted else "payment_refund_refused", refund)
    return accepted


@transaction.atomic
def _fail(refund: PaymentRefund) -> None:
    """Store that the money did not reach the customer. After that, another refund may be requested."""
    answer = f"{refund.answer} failed after it was accepted"
    if _if_accepted(refund).update(status=_Status.REFUSED, answer=answer[:500], next_check_at=None):
        refund.answer = answer
        logger.error("refund_failed", extra={"refund_id": str(refund.pk), "answer": answer})
        _audit("payment_refund_failed", refund)


def _if_accepted(refund: PaymentRefund) -> QuerySet[PaymentRefund]:
    """Return the refund as a queryset that is empty unless its status is still `accepted`."""
    return PaymentRefund.objects.filter(pk=refund.pk, status=_Status.ACCEPTED)


def _audit(kind: str, refund: PaymentRefund) -> None:
    audit.record(
        kind,
        refund.payment.user,
        actor=refund.actor,
        reason=refund.reason,
        payment_id=str(refund.payment_id),
        refund_id=str(refund.pk),
        amount=format_amount(refund.amount, refund.payment.provider_currency),
        answer=refund.answer,
    )
