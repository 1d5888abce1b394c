"""Webhooks of payment providers: each makes the application fetch the state of a payment, and is stored once."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from rest_framework.exceptions import APIException

from billing import metrics, providers, settlement
from billing.errors import ProviderRefused, ProviderUnavailable, WebhookMismatch, WebhookNotReady
from billing.models import Payment, PaymentStatus, WebhookEvent
from billing.providers.base import PaymentEvent, WebhookRequest
from billing.settlement import FetchedState

logger = logging.getLogger(__name__)

NO_ACTION = "ignored: no action for this kind of event"


@contextmanager
def count_rejections(provider_name: str) -> Iterator[None]:
    """Log and count a webhook that the block rejects. Nothing else is kept of it."""
    try:
        yield
    except APIException as error:
        # A name from the path that is not a provider must not become a label.
        provider = provider_name if provider_name in providers.KNOWN else "unknown"
        metrics.WEBHOOKS.labels(provider, error.default_code).inc()
        logger.warning("webhook_refused", extra={"provider": provider, "code": error.default_code})
        raise


def receive(provider_name: str, request: WebhookRequest) -> None:
    """Check a webhook, fetch the state of its payment, store the event and settle the payment.

    An event that is sent again changes nothing. Raises `PaymentsUnavailable` for a provider whose webhooks are not
    accepted; `WebhookRefused` for a message that is forged or matches no payment; `WebhookNotReady` if the provider
    does not respond. None of these is stored.
    """
    event = providers.accepting_webhooks(provider_name).parse_webhook(request)
    known = WebhookEvent.objects.filter(provider=provider_name, event_id=event.event_id).first()
    if known:
        _report(provider_name, event, known.outcome, replayed=True)
        return
    payment = _payment_of(provider_name, event)
    fetched = _fetch_state(payment) if payment else None
    outcome, new = _store(provider_name, event, payment, fetched)
    _report(provider_name, event, outcome, replayed=not new)


def _payment_of(provider_name: str, event: PaymentEvent) -> Payment | None:
    """Return the payment that an event names, or None if it names none.

    Raises `WebhookMismatch` if there is no such payment, `WebhookNotReady` if its checkout is not stored yet.
    """
    if event.payment_id is None and not event.provider_id:
        return None
    own = Payment.objects.filter(provider=provider_name)
    by = {"pk": event.payment_id} if event.payment_id else {"provider_id": event.provider_id}
    payment = own.filter(**by).first()
    if payment and payment.status == PaymentStatus.CREATED:
        raise WebhookNotReady  # the response to our call is late or lost; the poller repeats the call
    if payment is None or not payment.provider_id or event.provider_id not in ("", payment.provider_id):
        extra = {"provider": provider_name, "event_id": event.event_id, "kind": event.kind}
        logger.error("webhook_foreign", extra=extra)
        raise WebhookMismatch
    return payment


def _fetch_state(payment: Payment) -> FetchedState:
    try:
        return settlement.fetch_state(payment)
    except (ProviderUnavailable, ProviderRefused) as error:
        logger.warning("webhook_not_ready", extra={"payment_id": str(payment.pk), "error": str(error)})
        raise WebhookNotReady from error


@transaction.atomic
def _store(
    provider_name: str, event: PaymentEvent, payment: Payment | None, fetched: FetchedState | None
) -> tuple[str, bool]:
    """Store an event and settle its payment. Return the outcome, and whether the event is new."""
    # The unique constraint decides between two deliveries of one event. The second waits for the first.
    stored, new = WebhookEvent.objects.get_or_create(
        provider=provider_name,
        event_id=event.event_id,
        defaults={"kind": event.kind, "payment": payment, "outcome": NO_ACTION},
    )
    if new and payment and fetched:
        stored.outcome = settlement.settle(payment, fetched, cause=f"webhook {event.kind} {event.event_id}")
        stored.save(update_fields=["outcome"])
    return stored.outcome, new


def _report(provider_name: str, event: PaymentEvent, outcome: str, *, replayed: bool) -> None:
    metrics.WEBHOOKS.labels(provider_name, "replayed" if replayed else outcome.split(":")[0]).inc()
    extra = {"provider": provider_name, "event_id": event.event_id, "kind": event.kind, "outcome": outcome}
    logger.info("webhook_received", extra=extra | {"replayed": replayed})
