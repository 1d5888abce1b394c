"""What a revocation gives back: the price paid × unused time ÷ duration."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

_NO_TIME = timedelta(0)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Refund:
    """ZNC to give back, for this much unused time."""

    amount: Decimal
    unused: timedelta


NOTHING = Refund(Decimal("0.00"), _NO_TIME)


def refund(
    cost: Decimal, duration: timedelta, expires_at: datetime, activated_at: datetime | None, now: datetime
) -> Refund:
    """The refund at `now` of a token sold for `cost` ZNC, rounded half-up to 0.01; never above `cost`.

    Time is used from the first admitted request on (`activated_at`); an expired token refunds nothing.
    """
    if now >= expires_at:
        return NOTHING
    used = now - activated_at if activated_at else _NO_TIME
    unused = min(max(duration - used, _NO_TIME), duration)
    return Refund(_share(cost, unused // _MICROSECOND, duration // _MICROSECOND), unused)


def _share(cost: Decimal, part: int, whole: int) -> Decimal:
    """`cost` × `part` ÷ `whole`, half-up to 0.01, in integers: exact whatever the amount."""
    hundredths = (2 * int(cost.scaleb(2)) * part + whole) // (2 * whole)
    return Decimal(hundredths).scaleb(-2)
