"""What billing expects of a payment provider: one file per provider, nothing of it known elsewhere.

A provider's methods are called outside of any transaction, and may be called again with the same stored keys. Each
call has a time-out; none takes longer than `CALL_SECONDS` in all. Money is `Decimal` in the currency's main unit.

ProviderError (of `billing.errors`)
├── ProviderUnavailable   no answer, or none that can be used: the same call may be made again later
└── ProviderRefused       a definite no, which repeating does not change
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
    """Where the user pays: the provider's id of it, its absolute URL, and when it ends (None: it does not say)."""

    provider_id: str
    url: str
    expires_at: datetime | None = None


@dataclass(frozen=True)
class ProviderState:
    """A payment as the provider's API gives it now.

    `status` is `PENDING`, `SUCCEEDED`, `FAILED`, `CANCELLED` or `EXPIRED`: a final one only where the provider
    will not come back to it. `amount` and `currency` are what was charged (while pending: what is asked for), before
    fees. `refunded` is the sum of the refunds that went through. `disputed` while the bank has the money back: a
    dispute is open or was lost. `processing`: the user has paid and the money is underway, so that
    the payment does not expire here.
    """

    status: PaymentStatus
    amount: Decimal
    currency: str
    refunded: Decimal = Decimal("0.00")
    disputed: bool = False
    processing: bool = False


class RefundState(Enum):
    """A refund that a provider took over: under way, at the customer's, or come to nothing for good."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class RefundAnswer:
    """The provider took a refund over: its id of it. What became of it, `fetch_refund` says."""

    refund_id: str


@dataclass(frozen=True)
class WebhookRequest:
    """A webhook as it came: headers (names in any case), raw body, the client's address behind trusted proxies."""

    headers: Mapping[str, str]
    body: bytes
    remote_address: str


@dataclass(frozen=True)
class PaymentEvent:
    """A provider's message: something happened to this payment, ask for its state.

    `event_id` identifies the message among the provider's. The payment is named by `payment_id` (our id, which the
    provider was given) or by `provider_id`; an event without either is of a kind that nothing is done about: it is
    kept and answered 2xx.
    """

    event_id: str
    kind: str
    payment_id: UUID | None = None
    provider_id: str = ""


class Provider(Protocol):
    name: str

    def create(self, payment: Payment) -> Checkout:
        """Ask for a checkout of `payment.provider_amount` in `payment.provider_currency`.

        Sends `payment.idempotence_key`, so that a repeated call gives the same checkout. The user comes back to
        `billing.providers.return_url(payment)`. Raises `ProviderUnavailable`, `ProviderRefused`.
        """

    def fetch(self, payment: Payment) -> ProviderState:
        """The state of a payment that has a `provider_id`. Raises `ProviderUnavailable`, `ProviderRefused`."""

    def parse_webhook(self, request: WebhookRequest) -> PaymentEvent:
        """Which payment a webhook is about. Raises `WebhookRefused` unless it is the provider's own, fresh, for
        this account and mode; `WebhookNotReady` where the provider must be asked and does not answer."""

    def refund(self, payment: Payment, amount: Decimal, idempotence_key: str) -> RefundAnswer:
        """Ask for `amount` in the payment's currency to be given back; a repeated key refunds once.

        Raises `ProviderUnavailable`, `ProviderRefused` (its text is shown to operators).
        """

    def fetch_refund(self, refund_id: str) -> RefundState:
        """What has become of a refund that was taken over. Raises `ProviderUnavailable`, `ProviderRefused`."""
