"""Settlement: apply the state of a payment at its provider to the payment and the ledger, in one transaction."""

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
    """The state of a payment at its provider, and the time at which the call began."""

    state: ProviderState
    fetched_at: datetime


def fetch_state(payment: Payment) -> FetchedState:
    """Fetch the state of a payment from its provider, outside of any transaction.

    Raises `ProviderUnavailable`, `ProviderRefused`.
    """
    fetched_at = timezone.now()
    return FetchedState(providers.for_payment(payment).fetch(payment), fetched_at)


@transaction.atomic
def settle(payment: Payment, fetched: FetchedState, *, cause: str, actor: User | None = None) -> str:
    """Apply a fetched state to a payment. Return the outcome in a few words.

    Parallel calls take turns, and later ones find the payment settled. Raises `WebhookMismatch`, without a change, if
    the provider's amount or currency differs from the payment's.
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
    return f"ignored: paid, but already {payment.status}"


def _check_amount(payment: Payment, state: ProviderState) -> None:
    matches = (payment.provider_amount, payment.provider_currency) == (state.amount, state.currency)
    if not matches or not 0 <= state.refunded <= state.amount:
        logger.error("payment_mismatch", extra={"payment_id": str(payment.pk), "found": str(state)})
        raise WebhookMismatch


def _close_unpaid(payment: Payment, status: PaymentStatus, cause: str, actor: User | None) -> str:
    """Apply a state without money: the payment is still pending, or has ended unpaid."""
    if payment.status in CREDITED:
        logger.error("payment_credited_unpaid", extra={"payment_id": str(payment.pk), "found": status})
    if status == PaymentStatus.PENDING:
        return "ignored: still pending"
    if payments.change(payment, status, cause=cause, actor=actor):
        return status.value
    return f"ignored: already {payment.status}"


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
    """Apply refunds and disputes: take credits back, or return them, by the difference to the last known state."""
    status, taken, refunded = _target_state(payment, fetched.state)
    older = payment.provider_seen_at and fetched.fetched_at <= payment.provider_seen_at
    if (status, taken, refunded) == (payment.status, payment.refunded_amount, payment.provider_refunded):
        if not older:  # stored even without a change: a response from before this one must not be applied later
            Payment.objects.filter(pk=payment.pk).update(provider_seen_at=fetched.fetched_at)
        return f"ignored: already {payment.status}"
    if older:
        return "ignored: older than the known state"
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
    """Change the status of a payment that this transaction has locked and moved money for."""
    if not payments.change(payment, to, **details):
        raise RuntimeError(f"A payment cannot change from {payment.status} to {to}.")


def _target_state(payment: Payment, state: ProviderState) -> tuple[PaymentStatus, Decimal, Decimal]:
    """Return the status of a paid payment, the total ZNC to take back, and the total refunded by the provider."""
    if state.disputed:
        return PaymentStatus.DISPUTED, payment.amount, state.refunded
    taken = credits_for(payment, state.refunded)
    if not state.refunded:
        return PaymentStatus.SUCCEEDED, taken, state.refunded
    whole = state.refunded == state.amount
    return PaymentStatus.REFUNDED if whole else PaymentStatus.PARTLY_REFUNDED, taken, state.refunded


def credits_for(payment: Payment, refunded: Decimal) -> Decimal:
    """Return the ZNC bought by `refunded`, a part of the price, rounded half-up to 0.01."""
    return (payment.amount * refunded / payment.provider_amount).quantize(CENT, ROUND_HALF_UP)
