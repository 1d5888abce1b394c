"""Receipts, numbered per year without gaps, and the signed links that open them."""

from datetime import UTC, datetime

from django.conf import settings
from django.core import signing
from django.db.models import F
from django.urls import reverse

from billing.models import Payment, ReceiptCounter

# Long enough to open the page from an API response, too short for sharing the link.
LINK_SECONDS = 3600
_signer = signing.TimestampSigner(salt="billing.receipts")


def next_number(credited_at: datetime) -> tuple[int, int]:
    """Return the year (UTC) of a credit and the next receipt number in it, inside the credit's transaction.

    The row of the counter stays locked until that transaction ends. So numbers are unique, and a rollback frees its
    number again.
    """
    year = credited_at.astimezone(UTC).year
    counter = ReceiptCounter.objects.filter(year=year)
    if not counter.update(last=F("last") + 1):
        ReceiptCounter.objects.bulk_create([ReceiptCounter(year=year)], ignore_conflicts=True)
        counter.update(last=F("last") + 1)
    return year, counter.values_list("last", flat=True).get()


def url(payment: Payment) -> str:
    """Return the absolute signed URL of a receipt, or an empty string if there is none.

    The URL opens in a browser without a login, for `LINK_SECONDS`.
    """
    if not payment.receipt_number:
        return ""
    page = reverse("receipt", args=[payment.pk])
    return f"{settings.BACKEND_URL}{page}?key={_signer.sign(str(payment.pk)).partition(':')[2]}"


def is_valid_key(payment: Payment, key: str) -> bool:
    """Return whether `key` belongs to a link to this receipt that has not expired."""
    try:
        _signer.unsign(f"{payment.pk}:{key}", max_age=LINK_SECONDS)
    except signing.BadSignature:
        return False
    return True
