"""Runs of the poller."""

from datetime import timedelta

from django.utils import timezone

from billing import poller
from billing.models import Payment, PaymentRefund


def make_all_due():
    """Make every open payment and refund due for the poller."""
    past = timezone.now() - timedelta(seconds=1)
    Payment.objects.exclude(next_check_at=None).update(next_check_at=past)
    PaymentRefund.objects.exclude(next_check_at=None).update(next_check_at=past)


def poll_now():
    """Make every open payment and refund due, then run the poller."""
    make_all_due()
    poller.run()
