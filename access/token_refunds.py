"""The refund of a revoked token, computed from its segments: the purchase and each extension."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from zenzefi.common.hundredths import CENT, ZERO

_HOUR = 3600
_SECOND = timedelta(seconds=1)


class Segment(NamedTuple):
    """A purchase or an extension: the price paid in ZNC, and the hours bought for it."""

    price: Decimal
    hours: int


@dataclass(frozen=True)
class Refund:
    """An amount to refund in ZNC, and the unused time that it pays for."""

    amount: Decimal
    unused: timedelta


NOTHING = Refund(ZERO, timedelta(0))


def refund(segments: Sequence[Segment], expires_at: datetime, activated_at: datetime | None, now: datetime) -> Refund:
    """Return the refund at `now` of a token with these segments, oldest first.

    Used time runs from the first admitted request (`activated_at`), in whole seconds, rounded up. It is charged to
    the segments in order. Each refunds its price × unused ÷ duration, rounded down to 0.01. A used token costs at
    least 0.01 ZNC. A token that was never used is refunded in full, an expired one not at all.
    """
    if now >= expires_at:
        return NOTHING
    paid = sum((segment.price for segment in segments), ZERO)
    seconds = sum(segment.hours for segment in segments) * _HOUR
    if activated_at is None:
        return Refund(paid, timedelta(seconds=seconds))
    used = min(_seconds_used(activated_at, now), seconds)
    amount = min(_unused_share(segments, used), paid - CENT)
    return Refund(max(amount, ZERO), timedelta(seconds=seconds - used))


def _seconds_used(activated_at: datetime, now: datetime) -> int:
    """Return the used seconds, rounded up; zero if the clock that wrote `activated_at` is ahead of `now`."""
    return max(-((activated_at - now) // _SECOND), 0)


def _unused_share(segments: Sequence[Segment], used: int) -> Decimal:
    """Return the sum of the segments' refunds after `used` seconds. Integers keep it exact for any amount."""
    hundredths = 0
    for segment in segments:
        duration = segment.hours * _HOUR
        unused = duration - min(used, duration)
        used -= duration - unused
        hundredths += int(segment.price.scaleb(2)) * unused // duration
    return Decimal(hundredths).scaleb(-2)
