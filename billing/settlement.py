"""What a provider says about a payment becomes what we say: one look, one comparison, one transaction."""

import logging
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing import debts, ledger, payments, providers, receipts
from billing.errors import WebhookMismatch
from billing.models import CREDITED, Payment, PaymentStatus, SystemAccount, TransactionType
from billing.providers.base import ProviderState
from billing.signals import payment_credited
from zenzefi.common.hundredths import CENT

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FetchedState:
    """The provider's state of a payment, asked for at this time."""

    state: ProviderState
    fetched_at: datetime


def fetch_state(payment: Payment) -> FetchedState:
    """Ask the provider, outside of any transaction. Raises `ProviderUnavailable`, `ProviderRefused`."""
    fetched_at = timezone.now()
    return FetchedState(providers.for_payment(payment).fetch(payment), fetched_at)


@transaction.atomic
def settle(payment: Payment, fetched: FetchedState, *, cause: str, actor: User | None = None) -> str:
    """Bring a payment to the state that was seen; gives what came of it, in a few words.

    Several at once take turns, and those behind find it done. Raises `WebhookMismatch` where the provider's amount or
    currency is not the payment's: nothing changes, and an error is logged.
    """
    payment, state = payments.lock(payment.pk), fetched.state
    _check_amount(payment, state)
    if state.status != PaymentStatus.SUCCEEDED:
        return _close_unpaid(payment, state.status, cause, actor)
    if payment.status == PaymentStatus.PENDING:
        _credit(payment, cause, actor)
        _apply_refunds(payment, fetched, cause, actor)
        return payment.status
    if payment.status in CREDITED:
        return _apply_refunds(payment, fetched, cause, actor)
    logger.error("payment_paid_too_late", extra={"payment_id": str(payment.pk), "status": payment.status})
    return f"ignored: paid, but {payment.status} before"


def _check_amount(payment: Payment, state: ProviderState) -> None:
    same = (payment.provider_amount, payment.provider_currency) == (state.amount, state.currency)
    if not same or not 0 <= state.refunded <= state.amount:
        logger.error("payment_mismatch", extra={"payment_id": str(payment.pk), "found": str(state)})
        raise WebhookMismatch


def _close_unpaid(payment: Payment, status: PaymentStatus, cause: str, actor: User | None) -> str:
    """An end without money, or no end yet."""
    if payment.status in CREDITED:
        logger.error("payment_credited_unpaid", extra={"payment_id": str(payment.pk), "found": status})
    if status == PaymentStatus.PENDING:
        return "ignored: still pending"
    if payments.change(payment, status, cause=cause, actor=actor):
        return status.value
    return f"ignored: {payment.status} before"


def _credit(payment: Payment, cause: str, actor: User | None) -> None:
    moved = ledger.move(
        payment.user,
        payment.amount,
        SystemAccount.DEPOSITS,
        TransactionType.DEPOSIT,
        f"Top-up through {payment.provider}",
    )
    year, serial = receipts.next_number(moved.transaction.created_at)
    _change(
        payment,
        PaymentStatus.SUCCEEDED,
        cause=cause,
        actor=actor,
        transaction=moved.transaction,
        receipt_year=year,
        receipt_serial=serial,
    )
    payment_credited.send(sender=Payment, payment=payment)


def _apply_refunds(payment: Payment, fetched: FetchedState, cause: str, actor: User | None) -> str:
    """Take credits back, or give them back, by the difference to what is taken already."""
    status, taken, refunded = _target_state(payment, fetched.state)
    older = payment.provider_seen_at and fetched.fetched_at <= payment.provider_seen_at
    if (status, taken, refunded) == (payment.status, payment.refunded_amount, payment.provider_refunded):
        if not older:  # noted although nothing changes: an answer from in between must not undo it
            Payment.objects.filter(pk=payment.pk).update(provider_seen_at=fetched.fetched_at)
        return f"ignored: {payment.status} before"
    if older:
        return "ignored: older than what is known"
    difference = taken - payment.refunded_amount
    what = f"{payment.provider} payment {payment.receipt_number}"
    if difference > 0:
        debts.take_back(payment.user, difference, f"Money went back: {what}", actor=actor)
    elif difference < 0:
        debts.give_back(payment.user, -difference, f"Money came again: {what}", actor=actor)
    _change(
        payment,
        status,
        cause=cause,
        actor=actor,
        refunded_amount=taken,
        provider_refunded=refunded,
        provider_seen_at=fetched.fetched_at,
    )
    return status.value


def _change(payment: Payment, to: PaymentStatus, **details: Any) -> None:
    """Change a payment that this transaction holds, along with what was moved for it."""
    if not payments.change(payment, to, **details):
        raise RuntimeError(f"a payment does not go from {payment.status} to {to}")


def _target_state(payment: Payment, state: ProviderState) -> tuple[PaymentStatus, Decimal, Decimal]:
    """The status of a paid payment, the ZNC to have been taken back for it, and the money refunded."""
    if state.disputed:
        return PaymentStatus.DISPUTED, payment.amount, state.refunded
    taken = credits_for(payment, state.refunded)
    if not state.refunded:
        return PaymentStatus.SUCCEEDED, taken, state.refunded
    whole = state.refunded == state.amount
    return PaymentStatus.REFUNDED if whole else PaymentStatus.PARTLY_REFUNDED, taken, state.refunded


def credits_for(payment: Payment, refunded: Decimal) -> Decimal:
    """The ZNC that so much of the price has bought, half-up to 0.01; for the whole price all of them."""
    return (payment.amount * refunded / payment.provider_amount).quantize(CENT, ROUND_HALF_UP)
