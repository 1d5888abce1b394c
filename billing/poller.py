"""The poller: fetches the state of payments and refunds whose webhooks are missing, and expires unpaid payments."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from django.utils import timezone

from billing import checkouts, payment_refunds, payments, provider_leases, settlement
from billing.errors import ProviderRefused, ProviderUnavailable, WebhookMismatch
from billing.models import Payment, PaymentRefund, PaymentStatus

logger = logging.getLogger(__name__)

# A payment expires if it has no checkout after this time. The user saw an error and could try again long before.
CHECKOUT_TIMEOUT = timedelta(hours=1)
# Time after the end of a checkout for a late result from the provider.
PAYMENT_GRACE = timedelta(hours=1)
# The next run starts a minute after this one and continues with the rest.
_RUN_SECONDS = 50
_MAX_ROWS = 1000

Row = TypeVar("Row", Payment, PaymentRefund)


def run() -> None:
    """Process every payment and refund that is due. Each is leased first, so that several runs share the work.

    A provider that does not respond is skipped for the rest of the run, so that it does not delay the others.
    """
    down: set[str] = set()
    until = time.monotonic() + _RUN_SECONDS
    now = timezone.now()
    due_payments = Payment.objects.filter(status__in=payments.OPEN, next_check_at__lte=now)
    due_refunds = PaymentRefund.objects.filter(next_check_at__lte=now).select_related("payment")
    for refund in due_refunds.order_by("next_check_at")[:_MAX_ROWS]:
        _process(refund, refund.payment.provider, payment_refunds.advance, down, until)
    for payment in due_payments.order_by("next_check_at")[:_MAX_ROWS]:
        _process(payment, payment.provider, _advance, down, until)


def _process(row: Row, provider: str, act: Callable[[Row], None], down: set[str], until: float) -> None:
    if provider in down or time.monotonic() > until or not provider_leases.acquire(row):
        return
    fields = {"provider": provider, "row": f"{type(row).__name__} {row.pk}"}
    try:
        act(row)
    except ProviderUnavailable as error:
        down.add(provider)
        logger.warning("poller_provider_down", extra=fields | {"error": str(error)})
    except (ProviderRefused, WebhookMismatch) as error:
        logger.error("poller_refused", extra=fields | {"error": str(error)})  # noqa: TRY400  (not a bug, so no traceback)
    except Exception:
        # A single broken row must not stop the run.
        logger.exception("poller_failed", extra=fields)


def _advance(payment: Payment) -> None:
    now = timezone.now()
    if payment.status == PaymentStatus.CREATED:
        if payment.created_at < now - CHECKOUT_TIMEOUT:
            payments.change(payment, PaymentStatus.EXPIRED, cause="poller: no checkout in time")
        else:
            checkouts.open_checkout(payment, cause="poller")
        return
    fetched = settlement.fetch_state(payment)
    settlement.settle(payment, fetched, cause="poller")
    unpaid = fetched.state.status == PaymentStatus.PENDING and not fetched.state.processing
    if unpaid and payment.expires_at and payment.expires_at < now - PAYMENT_GRACE:
        payments.change(payment, PaymentStatus.EXPIRED, cause="poller: not paid in time")
