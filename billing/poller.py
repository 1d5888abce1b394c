"""Asks the providers about what their webhooks did not tell, and ends what has waited for too long."""

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

# Without a checkout by then, the payment is given up; the user has long been told to try again.
CREATION = timedelta(hours=1)
# The provider's last word may be late.
GRACE = timedelta(hours=1)
# The next run begins a minute after this one, and goes on with what is left.
_RUN_SECONDS = 50
_ROWS = 1000

Row = TypeVar("Row", Payment, PaymentRefund)


def run() -> None:
    """Look at every payment and refund that is due, each claimed first, so that several runs share the work.

    A provider that does not answer is left alone for the rest of the run; the others are not held up.
    """
    down: set[str] = set()
    until = time.monotonic() + _RUN_SECONDS
    now = timezone.now()
    due_payments = Payment.objects.filter(status__in=payments.OPEN, next_check_at__lte=now)
    due_refunds = PaymentRefund.objects.filter(next_check_at__lte=now).select_related("payment")
    for refund in due_refunds.order_by("next_check_at")[:_ROWS]:
        _look_at(refund, refund.payment.provider, payment_refunds.advance, down, until)
    for payment in due_payments.order_by("next_check_at")[:_ROWS]:
        _look_at(payment, payment.provider, _go_on, down, until)


def _look_at(row: Row, provider: str, act: Callable[[Row], None], down: set[str], until: float) -> None:
    if provider in down or time.monotonic() > until or not provider_leases.acquire(row):
        return
    about = {"provider": provider, "row": f"{type(row).__name__} {row.pk}"}
    try:
        act(row)
    except ProviderUnavailable as error:
        down.add(provider)
        logger.warning("poller_provider_down", extra=about | {"error": str(error)})
    except (ProviderRefused, WebhookMismatch) as error:
        logger.error("poller_refused", extra=about | {"error": str(error)})  # noqa: TRY400  (no trace: it is no bug)
    except Exception:
        # One that cannot be dealt with must not keep the others from their money.
        logger.exception("poller_failed", extra=about)


def _go_on(payment: Payment) -> None:
    now = timezone.now()
    if payment.status == PaymentStatus.CREATED:
        if payment.created_at < now - CREATION:
            payments.change(payment, PaymentStatus.EXPIRED, cause="poller: no checkout in time")
        else:
            checkouts.open_checkout(payment, cause="poller")
        return
    fetched = settlement.fetch_state(payment)
    settlement.settle(payment, fetched, cause="poller")
    unpaid = fetched.state.status == PaymentStatus.PENDING and not fetched.state.processing
    if unpaid and payment.expires_at and payment.expires_at < now - GRACE:
        payments.change(payment, PaymentStatus.EXPIRED, cause="poller: not paid in time")
