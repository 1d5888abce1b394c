"""Receipts: numbered without gaps per year, and shown to who may see them."""

from datetime import UTC, datetime

from django.conf import settings
from django.core import signing
from django.db.models import F
from django.urls import reverse

from billing.models import Payment, ReceiptCounter

# Long enough to open a page from an answer of the API, too short to be passed around.
LINK_SECONDS = 3600
_signer = signing.TimestampSigner(salt="billing.receipts")


def next_number(credited_at: datetime) -> tuple[int, int]:
    """The year (UTC) of the credit and the next number in it, within the transaction that uses it.

    The counter's row is held until that transaction ends: a rolled-back one gives its number back, and two numbers
    are never the same.
    """
    year = credited_at.astimezone(UTC).year
    counter = ReceiptCounter.objects.filter(year=year)
    if not counter.update(last=F("last") + 1):
        ReceiptCounter.objects.bulk_create([ReceiptCounter(year=year)], ignore_conflicts=True)
        counter.update(last=F("last") + 1)
    return year, counter.values_list("last", flat=True).get()


def url(payment: Payment) -> str:
    """The absolute URL of a receipt's page, signed for its owner, who opens it in a browser without a login there."""
    if not payment.receipt_number:
        return ""
    page = reverse("receipt", args=[payment.pk])
    return f"{settings.BACKEND_URL}{page}?key={_signer.sign(str(payment.pk)).partition(':')[2]}"


def opens(payment: Payment, key: str) -> bool:
    """Whether `key` is of a link to this receipt that is still good."""
    try:
        _signer.unsign(f"{payment.pk}:{key}", max_age=LINK_SECONDS)
    except signing.BadSignature:
        return False
    return True
