"""Receipts: numbered without gaps per year."""

from django.db.models import F
from django.utils import timezone

from billing.models import ReceiptCounter


def next_number() -> tuple[int, int]:
    """The year (UTC) and the next number in it, within the transaction that uses it.

    The counter's row is held until that transaction ends: a rolled-back one gives its number back, and two numbers
    are never the same.
    """
    year = timezone.now().year
    counter = ReceiptCounter.objects.filter(year=year)
    if not counter.update(last=F("last") + 1):
        ReceiptCounter.objects.bulk_create([ReceiptCounter(year=year)], ignore_conflicts=True)
        counter.update(last=F("last") + 1)
    return year, counter.values_list("last", flat=True).get()
