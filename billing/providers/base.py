"""What billing expects of a payment provider."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from billing.models import Payment, PaymentStatus


@dataclass(frozen=True)
class PaymentEvent:
    """A provider's message: this payment, of this amount, has reached `status`."""

    event_id: str
    kind: str
    payment_id: UUID
    amount: Decimal
    currency: str
    status: PaymentStatus


class Provider(Protocol):
    name: str

    def checkout_url(self, payment: Payment) -> str:
        """The absolute URL where the user pays."""

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> PaymentEvent:
        """What a webhook says. Raises `WebhookRefused` unless it is the provider's own and fresh."""
