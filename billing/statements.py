"""Statements: the movements of a wallet in a period, with the balance before and after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum

from accounts.models import User
from billing.models import CURRENCY, Entry
from billing.snapshot import snapshot
from zenzefi.common.hundredths import ZERO

# A leap year, because books are closed by the month, the quarter or the year.
MAX_PERIOD = timedelta(days=366)
_CHUNK = 2000  # rows per read


@dataclass(frozen=True)
class Line:
    """One movement: its signed amount and the balance after it, in ZNC."""

    created_at: datetime
    id: UUID
    transaction_type: str
    description: str
    amount: Decimal
    balance_after: Decimal


@dataclass(frozen=True)
class Statement:
    """A statement from `start` (included) to `end` (excluded), in ZNC: opening + in − out = closing."""

    start: datetime
    end: datetime
    opening_balance: Decimal
    total_in: Decimal
    total_out: Decimal
    movements: int
    _entries: QuerySet[Entry]
    currency: str = CURRENCY

    @property
    def closing_balance(self) -> Decimal:
        return self.opening_balance + self.total_in - self.total_out

    def lines(self) -> Iterator[Line]:
        """Yield the movements, oldest first."""
        balance = self.opening_balance
        rows = self._entries.order_by("id").values_list(
            "transaction__created_at", "transaction", "transaction__type", "transaction__description", "amount"
        )
        for created_at, pk, kind, description, amount in rows.iterator(_CHUNK):
            balance += amount
            yield Line(created_at, pk, kind, description, amount, balance)


@contextmanager
def statement(user: User, start: datetime, end: datetime) -> Iterator[Statement]:
    """Provide the user's statement. All its reads inside the block see the database at one moment."""
    entries = Entry.objects.filter(account__user=user)
    within = entries.filter(transaction__created_at__gte=start, transaction__created_at__lt=end)
    with snapshot():
        opening = entries.filter(transaction__created_at__lt=start).aggregate(sum=Sum("amount"))["sum"]
        totals = within.aggregate(
            total_in=Sum("amount", filter=Q(amount__gt=0)),
            total_out=Sum("amount", filter=Q(amount__lt=0)),
            movements=Count("pk"),
        )
        yield Statement(
            start=start,
            end=end,
            opening_balance=opening or ZERO,
            total_in=totals["total_in"] or ZERO,
            total_out=-(totals["total_out"] or ZERO),
            movements=totals["movements"],
            _entries=within,
        )
