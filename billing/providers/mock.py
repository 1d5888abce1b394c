"""The mock provider: a checkout page on this site, and webhooks signed and sent as by a real provider."""

import json
import logging
import re
import time
import uuid
from decimal import Decimal
from typing import Any

import httpx
from django.conf import settings
from django.db.models import F, Value
from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac
from rest_framework import serializers

from billing.errors import ProviderRefused, WebhookMalformed, WebhookRefused
from billing.fields import MoneyField
from billing.models import MockCheckout, Payment, PaymentStatus
from billing.providers.base import AcceptedRefund, Checkout, PaymentEvent, ProviderState, RefundState, WebhookRequest

logger = logging.getLogger(__name__)

SIGNATURE_HEADER = "X-Mock-Signature"
TOLERANCE_SECONDS = 300
_DELIVERY_SECONDS = 5
_SIGNATURE = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})", re.ASCII)
_KINDS = {"payment.succeeded", "payment.failed", "payment.cancelled", "payment.refunded", "payment.disputed"}


class MockProvider:
    name = "mock"

    def create(self, payment: Payment) -> Checkout:
        checkout, _new = MockCheckout.objects.get_or_create(
            idempotence_key=payment.idempotence_key,
            defaults={
                "payment_id": payment.pk,
                "amount": payment.provider_amount,
                "currency": payment.provider_currency,
            },
        )
        return Checkout(str(checkout.pk), settings.BACKEND_URL + reverse("mock-checkout", args=[checkout.pk]))

    def fetch(self, payment: Payment) -> ProviderState:
        checkout = _checkout_of(payment)
        return ProviderState(
            status=PaymentStatus(checkout.status),
            amount=checkout.amount,
            currency=checkout.currency,
            refunded=checkout.refunded,
            disputed=checkout.disputed,
        )

    def parse_webhook(self, request: WebhookRequest) -> PaymentEvent:
        headers = httpx.Headers(dict(request.headers), encoding="utf-8")
        _check_signature(headers.get(SIGNATURE_HEADER, ""), request.body)
        event = _Event(data=_parsed(request.body))
        if not event.is_valid():
            raise WebhookMalformed
        data = event.validated_data
        known = data["type"] in _KINDS
        return PaymentEvent(str(data["id"]), data["type"], data["payment_id"] if known else None)

    def refund(self, payment: Payment, amount: Decimal, idempotence_key: str) -> AcceptedRefund:
        checkout = _checkout_of(payment)
        if idempotence_key in checkout.refund_keys:
            return AcceptedRefund(idempotence_key)
        paid = MockCheckout.objects.filter(
            pk=checkout.pk,
            status=PaymentStatus.SUCCEEDED,
            refunded=checkout.refunded,
            amount__gte=checkout.refunded + amount,
        )
        refunded = F("refunded") + Value(amount, output_field=MoneyField())
        if not paid.update(refunded=refunded, refund_keys=[*checkout.refund_keys, idempotence_key]):
            raise ProviderRefused("the payment was not paid, or less than this amount is left of it")
        return AcceptedRefund(idempotence_key)

    def fetch_refund(self, refund_id: str) -> RefundState:  # noqa: ARG002
        """Return `SUCCEEDED`, because the mock provider refunds at once or refuses."""
        return RefundState.SUCCEEDED


def _checkout_of(payment: Payment) -> MockCheckout:
    checkout = MockCheckout.objects.filter(pk=payment.provider_id).first()
    if checkout is None:
        raise ProviderRefused("there is no such payment")
    return checkout


def finish_checkout(checkout: MockCheckout, outcome: PaymentStatus) -> bool:
    """Store the outcome that the user chose on the checkout page, and send the webhook about it.

    Return False if the checkout was already finished. A webhook that cannot be delivered is logged; as with a real
    provider, the poller settles the payment then.
    """
    pending = MockCheckout.objects.filter(pk=checkout.pk, status=PaymentStatus.PENDING)
    if not pending.update(status=outcome):
        return False
    deliver(event_body(checkout.payment_id, f"payment.{outcome}"))
    return True


def deliver(body: bytes) -> None:
    """Send an event to this application's webhook over HTTP."""
    url = f"{settings.BACKEND_URL}/api/v1/currency/webhooks/{MockProvider.name}"
    headers = {"Content-Type": "application/json", **signed(body)}
    try:
        with httpx.Client(timeout=_DELIVERY_SECONDS, trust_env=False) as client:
            client.post(url, content=body, headers=headers).raise_for_status()
    except httpx.HTTPError as error:
        logger.warning("mock_webhook_not_delivered", extra={"url": url, "error": repr(error)})


class _Event(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    type = serializers.CharField(max_length=100)
    payment_id = serializers.UUIDField()


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
        raise WebhookMalformed from error


def signed(body: bytes) -> dict[str, str]:
    """Return the headers with which the provider sends `body` now."""
    timestamp = str(int(time.time()))
    return {SIGNATURE_HEADER: f"t={timestamp},v1={_signature(timestamp, body)}"}


def event_body(payment_id: uuid.UUID, kind: str) -> bytes:
    """Return a new event about a payment, as the provider sends it."""
    return json.dumps({"id": str(uuid.uuid4()), "type": kind, "payment_id": str(payment_id)}).encode()
