"""Top-ups: payments through a provider, and the demo's instant credit."""

import logging
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

from accounts.models import User
from billing import checkouts, idempotency, ledger, payments, provider_leases, providers, selectors
from billing.errors import (
    IdempotencyInProgress,
    PaymentRefused,
    PaymentsDown,
    ProviderRefused,
    ProviderUnavailable,
)
from billing.idempotency import Call, once
from billing.ledger import Move
from billing.models import Payment, PaymentStatus, SystemAccount, TransactionType
from zenzefi.common.currencies import price_of
from zenzefi.common.hundredths import ZERO

logger = logging.getLogger(__name__)


def create_payment(call: Call, amount: Decimal, payment_method: str = "", provider: str = "") -> Payment:
    """Create a payment of the caller with a checkout at the named provider, or at the first one offered.

    The payment is stored before the provider is called, and a repeated call continues with it. Raises
    `PaymentsUnavailable` for a provider that is not offered, `ValidationError` if the price is below the smallest
    unit of the currency, `PaymentsDown` if the provider does not respond, `PaymentRefused` if it refuses the payment.
    """
    name = providers.available(provider).name

    def act() -> tuple[Payment, dict[str, Any]]:
        payment = Payment(
            user=call.user, amount=amount, provider=name, payment_method=payment_method, **_price(amount)
        )
        payment.next_check_at = provider_leases.first_deadline()
        payments.begin(payment, cause="purchase", actor=call.user)
        return payment, {"payment_id": str(payment.pk)}

    payment = once(call, act, lambda ids: _resume(ids["payment_id"]))
    if payment.status == PaymentStatus.CREATED:
        _open_checkout(call, payment)
    elif not payment.provider_id:  # it failed before it had a checkout
        idempotency.forget(call)
        raise PaymentRefused
    # A repeated call returns the response of the first one, so these fields show the payment as it was then.
    payment.status, payment.receipt_serial, payment.refunded_amount = PaymentStatus.PENDING, None, ZERO
    return payment


def _price(amount: Decimal) -> dict[str, Any]:
    currency = settings.PAYMENT_CURRENCY
    price = price_of(amount, settings.ZNC_PRICE, currency)
    if not price:
        raise ValidationError(
            {
                "amount": [
                    _("The price of this amount is below the smallest unit of the currency. Enter a larger amount.")
                ]
            }
        )
    return {"provider_amount": price, "provider_currency": currency}


def _resume(payment_id: str) -> Payment:
    """Return the payment of an earlier call. Take its provider lease if it has no checkout yet.

    Raises `IdempotencyInProgress` while another worker holds the lease.
    """
    payment = Payment.objects.get(pk=payment_id)
    if payment.status == PaymentStatus.CREATED and not provider_leases.acquire(payment):
        raise IdempotencyInProgress
    return payment


def _open_checkout(call: Call, payment: Payment) -> None:
    try:
        checkouts.open_checkout(payment, cause="purchase")
    except ProviderUnavailable as error:
        logger.warning("payment_provider_down", extra={"payment_id": str(payment.pk), "error": str(error)})
        raise PaymentsDown from error
    except ProviderRefused as error:
        logger.warning("payment_refused", extra={"payment_id": str(payment.pk), "error": str(error)})
        idempotency.forget(call)
        raise PaymentRefused from error


def mock_purchase(call: Call, amount: Decimal) -> Move:
    """Credit the caller without a payment. Raises `PaymentsUnavailable` unless the mock provider is offered."""
    providers.available("mock")

    def act() -> tuple[Move, dict[str, Any]]:
        moved = ledger.move(
            call.user,
            amount,
            SystemAccount.DEPOSITS,
            TransactionType.DEPOSIT,
            "Top-up through mock",
            actor=call.user,
            idempotency_key=call.key,
        )
        return moved, {"transaction_id": str(moved.transaction.pk), "balance": str(moved.balance)}

    return once(call, act, lambda result: _earlier_move(call.user, result))


def _earlier_move(user: User, result: dict[str, Any]) -> Move:
    entry = selectors.history(user).get(transaction=result["transaction_id"])
    return Move(entry.transaction, entry.amount, Decimal(result["balance"]))
