"""The mock provider: a checkout page of our own, and webhooks signed as a real provider would sign them."""

import json
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from billing.errors import WebhookRefused
from billing.models import CURRENCY, Payment, PaymentStatus
from billing.providers.base import PaymentEvent

SIGNATURE_HEADER = "X-Mock-Signature"
TOLERANCE_SECONDS = 300
_SIGNATURE = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})", re.ASCII)
_STATUSES = {
    "payment.succeeded": PaymentStatus.SUCCEEDED,
    "payment.failed": PaymentStatus.FAILED,
    "payment.cancelled": PaymentStatus.CANCELLED,
}
_MALFORMED = _("This message is not one of the payment provider's events.")


class MockProvider:
    name = "mock"

    def checkout_url(self, payment: Payment) -> str:
        return settings.BACKEND_URL + reverse("mock-checkout", args=[payment.pk])

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> PaymentEvent:
        _check_signature(headers.get(SIGNATURE_HEADER, ""), body)
        event = _Event(data=_parsed(body))
        if not event.is_valid():
            raise WebhookRefused(_MALFORMED)
        said = event.validated_data
        return PaymentEvent(
            event_id=str(said["id"]),
            kind=said["type"],
            payment_id=said["payment_id"],
            amount=said["amount"],
            currency=said["currency"],
            status=_STATUSES[said["type"]],
        )


class _Event(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    type = serializers.ChoiceField(choices=list(_STATUSES))
    payment_id = serializers.UUIDField()
    amount = serializers.DecimalField(max_digits=18, decimal_places=2)
    currency = serializers.CharField()


def _check_signature(header: str, body: bytes) -> None:
    match = _SIGNATURE.fullmatch(header)
    if not match or abs(time.time() - int(match[1])) > TOLERANCE_SECONDS:
        raise WebhookRefused
    if not constant_time_compare(match[2], _signature(match[1], body)):
        raise WebhookRefused


def _signature(timestamp: str, body: bytes) -> str:
    return salted_hmac("billing.providers.mock", timestamp.encode() + b"." + body, algorithm="sha256").hexdigest()


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WebhookRefused(_MALFORMED) from error


def signed(body: bytes) -> dict[str, str]:
    """The headers under which the provider sends `body` now."""
    timestamp = str(int(time.time()))
    return {SIGNATURE_HEADER: f"t={timestamp},v1={_signature(timestamp, body)}"}


def event_body(payment: Payment, kind: str) -> bytes:
    """A new event about a payment, as the provider sends it."""
    event = {
        "id": str(uuid.uuid4()),
        "type": kind,
        "payment_id": str(payment.pk),
        "amount": str(payment.amount),
        "currency": CURRENCY,
    }
    return json.dumps(event).encode()
