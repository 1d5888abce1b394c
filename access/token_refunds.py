"""The refund of a revoked token: price paid × unused time ÷ duration."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

_NO_TIME = timedelta(0)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Refund:
    """An amount to refund in ZNC, and the unused time that it pays for."""

    amount: Decimal
    unused: timedelta


NOTHING = Refund(Decimal("0.00"), _NO_TIME)


def refund(
    cost: Decimal, duration: timedelta, expires_at: datetime, activated_at: datetime | None, now: datetime
) -> Refund:
    """Return the refund at `now` of a token sold for `cost` ZNC, rounded half-up to 0.01; at most `cost`.

    Used time runs from the first admitted request (`activated_at`). The refund of an expired token is zero.
    """
    if now >= expires_at:
        return NOTHING
    used = now - activated_at if activated_at else _NO_TIME
    unused = min(max(duration - used, _NO_TIME), duration)
    return Refund(_share(cost, unused // _MICROSECOND, duration // _MICROSECOND), unused)


def _share(cost: Decimal, part: int, whole: int) -> Decimal:
    """Return `cost` × `part` ÷ `whole`, rounded half-up to 0.01. Integers keep it exact for any amount."""
    hundredths = (2 * int(cost.scaleb(2)) * part + whole) // (2 * whole)
    return Decimal(hundredths).scaleb(-2)
