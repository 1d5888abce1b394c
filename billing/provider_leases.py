"""Who may speak with a provider about a payment or a refund: one at a time, and never for longer than a lease.

`next_check_at` is both: until then nobody else asks, and from then on somebody should. So whoever crashes while
asking is followed by the poller, which looks at what is older less often.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from billing.models import Payment, PaymentRefund

# Longer than a provider's call may take: after it, who claimed the row has crashed.
LEASE = timedelta(seconds=60)
_LONGEST = timedelta(hours=1)


def acquire(row: Payment | PaymentRefund) -> bool:
    """Whether the caller alone may ask now; `row` is as it was read. Of several who try at once one succeeds."""
    now = timezone.now()
    until = now + max(LEASE, min((now - row.created_at) / 5, _LONGEST))
    same = _as_read(row).filter(next_check_at__lte=now)
    if not same.update(next_check_at=until):
        return False
    row.next_check_at = until
    return True


def release(row: Payment | PaymentRefund) -> None:
    """Let anybody ask again at once; nothing where the row was changed or claimed by another meanwhile."""
    _as_read(row).update(next_check_at=timezone.now())


def _as_read(row: Payment | PaymentRefund) -> QuerySet[Any]:
    rows: QuerySet[Any] = Payment.objects.all() if isinstance(row, Payment) else PaymentRefund.objects.all()
    return rows.filter(pk=row.pk, status=row.status, next_check_at=row.next_check_at)


def first_deadline() -> datetime:
    """The `next_check_at` of a row that its maker claims."""
    return timezone.now() + LEASE
