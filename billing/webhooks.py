"""What providers tell us: stored once, in the transaction of what it causes."""

import logging
from collections.abc import Callable, Mapping

from django.db import transaction

from billing import payments, providers
from billing.models import CURRENCY, Payment, PaymentStatus, WebhookEvent
from billing.providers.base import PaymentEvent

logger = logging.getLogger(__name__)

_TRANSITIONS: dict[PaymentStatus, Callable[[Payment], bool]] = {
    PaymentStatus.SUCCEEDED: payments.settle,
    PaymentStatus.FAILED: payments.fail,
    PaymentStatus.CANCELLED: payments.cancel,
}


def receive(provider_name: str, headers: Mapping[str, str], body: bytes) -> None:
    """Check a webhook, store its event and act on it, once however often it is sent.

    Raises `PaymentsUnavailable` for an unknown provider, `WebhookRefused` for a forged message.
    """
    event = providers.require(provider_name).parse_webhook(headers, body)
    with transaction.atomic():
        # The unique constraint decides between two deliveries of one event: the second waits for the first.
        stored, new = WebhookEvent.objects.get_or_create(
            provider=provider_name, event_id=event.event_id, defaults={"kind": event.kind}
        )
        if new:
            stored.payment = Payment.objects.filter(pk=event.payment_id, provider=provider_name).first()
            stored.outcome = _act(event, stored.payment)
            stored.save(update_fields=["payment", "outcome"])
    extra = {
        "provider": provider_name,
        "event_id": event.event_id,
        "outcome": stored.outcome,
        "replayed": not new,
    }
    logger.info("webhook_received", extra=extra)


def _act(event: PaymentEvent, payment: Payment | None) -> str:
    """What the event came to. What must not happen with an honest provider is logged as an error."""
    if payment is None:
        return _alert(event, "refused: no such payment")
    if (event.amount, event.currency) != (payment.amount, CURRENCY):
        return _alert(event, "refused: another amount or currency")
    if _TRANSITIONS[event.status](payment):
        return event.status.value
    payment.refresh_from_db(fields=["status"])
    if event.status == PaymentStatus.SUCCEEDED != payment.status:
        return _alert(event, f"ignored: paid, but {payment.status} before")
    return f"ignored: {payment.status} before"


def _alert(event: PaymentEvent, outcome: str) -> str:
    logger.error("webhook_alert", extra={"event_id": event.event_id, "outcome": outcome})
    return outcome
