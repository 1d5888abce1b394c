"""The protocol of a payment provider. Each provider is one module, and no other module knows its details.

The methods are called outside of any transaction, and may be repeated with the same stored keys. Each call has a
time-out, and a method takes at most `CALL_SECONDS`. Money is a `Decimal` in the main unit of the currency.

ProviderError (in `billing.errors`)
├── ProviderUnavailable   no response, or an unusable one: the same call may be repeated later
└── ProviderRefused       a final rejection: repeating the call does not change it
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Protocol
from uuid import UUID

from billing.models import Payment, PaymentStatus

CALL_SECONDS = 20


@dataclass(frozen=True)
class Checkout:
    """The page on which the user pays: its id at the provider, its absolute URL, and its end (None if unknown)."""

    provider_id: str
    url: str
    expires_at: datetime | None = None


@dataclass(frozen=True)
class ProviderState:
    """The current state of a payment in the provider's API.

    - `status`: `PENDING`, `SUCCEEDED`, `FAILED`, `CANCELLED` or `EXPIRED`. A final status only if the provider will
      not change it any more.
    - `amount`, `currency`: the amount charged before fees, or the amount requested while the payment is pending.
    - `refunded`: the sum of the refunds that succeeded.
    - `disputed`: the bank has taken the money back, because a dispute is open or was lost.
    - `processing`: the user has paid and the money has not arrived yet, so the payment must not expire.
    """

    status: PaymentStatus
    amount: Decimal
    currency: str
    refunded: Decimal = Decimal("0.00")
    disputed: bool = False
    processing: bool = False


class RefundState(Enum):
    """The state of an accepted refund: in progress, received by the customer, or finally failed."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class AcceptedRefund:
    """A refund that the provider has accepted, with its id there. `fetch_refund` returns its state."""

    refund_id: str


@dataclass(frozen=True)
class WebhookRequest:
    """A webhook as received: headers (names in any case), raw body, and the address of its sender."""

    headers: Mapping[str, str]
    body: bytes
    remote_address: str


@dataclass(frozen=True)
class PaymentEvent:
    """A provider's message that the state of a payment has changed.

    `event_id` identifies the message at the provider. `payment_id` (our id, sent to the provider) or `provider_id`
    names the payment. An event with neither needs no action: it is stored, and the response is 2xx.
    """

    event_id: str
    kind: str
    payment_id: UUID | None = None
    provider_id: str = ""


class Provider(Protocol):
    name: str

    def create(self, payment: Payment) -> Checkout:
        """Create a checkout of `payment.provider_amount` in `payment.provider_currency`.

        Send `payment.idempotence_key`, so that a repeated call returns the same checkout. After it, the user returns
        to `billing.providers.return_url(payment)`. Raises `ProviderUnavailable`, `ProviderRefused`.
        """

    def fetch(self, payment: Payment) -> ProviderState:
        """Fetch the state of a payment that has a `provider_id`. Raises `ProviderUnavailable`, `ProviderRefused`."""

    def parse_webhook(self, request: WebhookRequest) -> PaymentEvent:
        """Check a webhook, and return the event that it reports.

        Raises `WebhookRefused` unless the webhook is recent and sent by the provider for this account and mode,
        `WebhookNotReady` if the provider must be queried and does not respond.
        """

    def refund(self, payment: Payment, amount: Decimal, idempotence_key: str) -> AcceptedRefund:
        """Request a refund of `amount` in the payment's currency. A repeated key refunds once.

        Raises `ProviderUnavailable`, `ProviderRefused` (its text is shown to operators).
        """

    def fetch_refund(self, refund_id: str) -> RefundState:
        """Fetch the state of an accepted refund. Raises `ProviderUnavailable`, `ProviderRefused`."""
