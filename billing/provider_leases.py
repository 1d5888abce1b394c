"""Leases that let one worker at a time call a provider about a payment or a refund.

`next_check_at` is both the end of the lease and the time of the next check: until then no other worker calls the
provider, and from then on the poller does. So the poller takes over from a worker that crashes during a call. The
older a row is, the longer its lease: the poller checks it less often.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from billing.models import Payment, PaymentRefund

# Longer than the calls to a provider may take. A lease that has ended without a change means a crashed worker.
LEASE = timedelta(seconds=60)
_LONGEST = timedelta(hours=1)


def acquire(row: Payment | PaymentRefund) -> bool:
    """Take the lease of a row if it is due and unchanged since it was read. Return whether the caller holds it.

    If several workers try at once, one succeeds.
    """
    now = timezone.now()
    until = now + max(LEASE, min((now - row.created_at) / 5, _LONGEST))
    due = _unchanged(row).filter(next_check_at__lte=now)
    if not due.update(next_check_at=until):
        return False
    row.next_check_at = until
    return True


def release(row: Payment | PaymentRefund) -> None:
    """End the lease now, unless the row was changed or leased by another worker in the meantime."""
    _unchanged(row).update(next_check_at=timezone.now())


def _unchanged(row: Payment | PaymentRefund) -> QuerySet[Any]:
    rows: QuerySet[Any] = Payment.objects.all() if isinstance(row, Payment) else PaymentRefund.objects.all()
    return rows.filter(pk=row.pk, status=row.status, next_check_at=row.next_check_at)


def first_deadline() -> datetime:
    """Return the `next_check_at` of a new row whose lease its creator holds."""
    return timezone.now() + LEASE
