"""What a provider says about a payment becomes what we say: one look, one comparison, one transaction."""

import logging
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing import ledger, payments, providers, receipts, tasks
from billing.errors import WebhookMismatch
from billing.models import CREDITED, Payment, PaymentStatus, SystemAccount, TransactionType
from billing.providers.base import ProviderState

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """The provider's state of a payment, asked for at this time."""

    state: ProviderState
    at: datetime


def look(payment: Payment) -> Seen:
    """Ask the provider, outside of any transaction. Raises `ProviderUnavailable`, `ProviderRefused`."""
    at = timezone.now()
    return Seen(providers.of(payment).fetch(payment), at)


@transaction.atomic
def settle(payment: Payment, seen: Seen, *, cause: str, actor: User | None = None) -> str:
    """Bring a payment to the state that was seen; gives what came of it, in a few words.

    Several at once take turns, and those behind find it done. Raises `WebhookMismatch` where the provider's amount or
    currency is not the payment's: nothing changes, and an error is logged.
    """
    payment = payments.hold(payment.pk)
    state = seen.state
    _compare(payment, state)
    if state.status == PaymentStatus.PENDING:
        return f"ignored: still {state.status}"
    if state.status != PaymentStatus.SUCCEEDED:
        return _close(payment, state.status, cause, actor)
    if payment.status == PaymentStatus.PENDING:
        _credit(payment, cause, actor)
        return PaymentStatus.SUCCEEDED.value
    if payment.status not in CREDITED:
        logger.error("payment_paid_too_late", extra={"payment_id": str(payment.pk), "status": payment.status})
        return f"ignored: paid, but {payment.status} before"
    return f"ignored: {payment.status} before"


def _compare(payment: Payment, state: ProviderState) -> None:
    expected, found = (
        (payment.provider_amount, payment.provider_currency),
        (state.amount, state.currency),
    )
    if expected != found:
        extra = {"payment_id": str(payment.pk), "expected": str(expected), "found": str(found)}
        logger.error("payment_mismatch", extra=extra)
        raise WebhookMismatch


def _close(payment: Payment, status: PaymentStatus, cause: str, actor: User | None) -> str:
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
    year, serial = receipts.next_number()
    payments.change(
        payment,
        PaymentStatus.SUCCEEDED,
        cause=cause,
        actor=actor,
        transaction=moved.transaction,
        receipt_year=year,
        receipt_serial=serial,
    )
    # Robust: the credit stands, whatever becomes of the message.
    transaction.on_commit(lambda: tasks.send_top_up.delay(str(payment.pk)), robust=True)
