"""The tables of billing: the ledger, payments and idempotency keys."""

from billing.models.idempotency import IdempotencyKey
from billing.models.ledger import CURRENCY, Account, Entry, SystemAccount, Transaction, TransactionType
from billing.models.mock_checkouts import MockCheckout
from billing.models.payment_refunds import PaymentRefund
from billing.models.payments import (
    CREDITED,
    Payment,
    PaymentStatus,
    PaymentTransition,
    ReceiptCounter,
    new_idempotence_key,
)
from billing.models.webhooks import WebhookEvent

__all__ = [
    "CREDITED",
    "CURRENCY",
    "Account",
    "Entry",
    "IdempotencyKey",
    "MockCheckout",
    "Payment",
    "PaymentRefund",
    "PaymentStatus",
    "PaymentTransition",
    "ReceiptCounter",
    "SystemAccount",
    "Transaction",
    "TransactionType",
    "WebhookEvent",
    "new_idempotence_key",
]
