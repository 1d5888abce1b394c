"""The refund of a token: each segment refunds price × unused ÷ duration, rounded down, in the order of purchase."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access.token_refunds import NOTHING, Refund, Segment, refund

BOUGHT = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
CENT = Decimal("0.01")

MONTH = [Segment(Decimal(300), 720)]
DAY = [Segment(Decimal(18), 24)]
DAY_AND_MONTH = [*DAY, *MONTH]
FREE_AND_HOUR = [Segment(Decimal(0), 1), Segment(Decimal(1), 1)]


def revoked_at(segments: Sequence[Segment], first_use: timedelta | None, moment: timedelta) -> Refund:
    """Return the refund of a token bought at `BOUGHT`; both times count from the purchase."""
    expires_at = BOUGHT + sum(segment.hours for segment in segments) * HOUR
    return refund(segments, expires_at, None if first_use is None else BOUGHT + first_use, BOUGHT + moment)


# case G78
@pytest.mark.parametrize(
    ("segments", "first_use", "revoked", "amount", "unused"),
    [
        # Never used: the price, in full.
        (DAY, None, 10 * HOUR, "18.00", 24 * HOUR),
        (DAY, None, 24 * HOUR - MICROSECOND, "18.00", 24 * HOUR),
        (DAY_AND_MONTH, None, 700 * HOUR, "318.00", 744 * HOUR),
        # Expired: nothing.
        (DAY, None, 24 * HOUR, "0.00", 0 * HOUR),
        (DAY, 0 * HOUR, 25 * HOUR, "0.00", 0 * HOUR),
        # Used at all: at least 0.01, also if the clocks of two servers disagree.
        (DAY, 0 * HOUR, 0 * HOUR, "17.99", 24 * HOUR),
        (DAY, 2 * HOUR, 1 * HOUR, "17.99", 24 * HOUR),
        (MONTH, 0 * HOUR, 12 * SECOND, "299.99", 720 * HOUR - 12 * SECOND),
        ([Segment(CENT, 720)], 0 * HOUR, MICROSECOND, "0.00", 720 * HOUR - SECOND),
        ([Segment(Decimal(0), 24)], 0 * HOUR, HOUR, "0.00", 23 * HOUR),
        # Whole seconds, rounded up; each amount rounded down.
        ([Segment(Decimal(1), 1)], 0 * HOUR, 18 * SECOND, "0.99", 3582 * SECOND),
        ([Segment(Decimal(1), 1)], 0 * HOUR, 36 * SECOND, "0.99", 3564 * SECOND),
        ([Segment(Decimal(1), 1)], 0 * HOUR, 36 * SECOND + MICROSECOND, "0.98", 3563 * SECOND),
        (DAY, 0 * HOUR, 12 * HOUR, "9.00", 12 * HOUR),
        (DAY, 10 * HOUR, 12 * HOUR, "16.50", 22 * HOUR),  # time before the first use does not count as used
        (MONTH, 0 * HOUR, 1 * HOUR, "299.58", 719 * HOUR),
        # In order: an extension does not change the price of the time before it.
        (DAY, 0 * HOUR, 23 * HOUR, "0.75", 1 * HOUR),
        (DAY_AND_MONTH, 0 * HOUR, 23 * HOUR, "300.75", 721 * HOUR),
        (DAY_AND_MONTH, 0 * HOUR, 24 * HOUR, "300.00", 720 * HOUR),
        (DAY_AND_MONTH, 0 * HOUR, 24 * HOUR + SECOND, "299.99", 720 * HOUR - SECOND),
        ([*MONTH, *DAY], 0 * HOUR, 1 * HOUR, "317.58", 743 * HOUR),
        # A free segment is used first, and a used token still costs 0.01.
        (FREE_AND_HOUR, 0 * HOUR, 1 * HOUR, "0.99", 1 * HOUR),
        (FREE_AND_HOUR, 0 * HOUR, 1.5 * HOUR, "0.50", 0.5 * HOUR),
    ],
)
def test_table(
    segments: list[Segment], first_use: timedelta | None, revoked: timedelta, amount: str, unused: timedelta
) -> None:
    given_back = revoked_at(segments, first_use, revoked)
    assert (str(given_back.amount), given_back.unused) == (amount, unused)


prices = st.decimals(min_value=0, max_value=Decimal(10**10), places=2)
spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000))
sales = st.lists(st.builds(Segment, prices, st.integers(1, 87_600)), min_size=1, max_size=6)
moments = st.none() | spans


def share_of(segments: Sequence[Segment], used: int) -> Fraction:
    """Return the exact price of the used seconds, second by second in the order of purchase."""
    price = Fraction(0)
    for segment in segments:
        part = min(used, segment.hours * 3600)
        price += Fraction(segment.price) * part / (segment.hours * 3600)
        used -= part
    return price


@given(segments=sales, first_use=moments, moment=spans, later=spans)
def test_the_used_time_is_always_paid_for(
    segments: list[Segment], first_use: timedelta | None, moment: timedelta, later: timedelta
) -> None:
    paid = sum(segment.price for segment in segments)
    now, then = revoked_at(segments, first_use, moment), revoked_at(segments, first_use, moment + later)

    assert 0 <= then.amount <= now.amount <= paid
    assert then.unused <= now.unused
    assert now.amount == now.amount.quantize(CENT)
    if now == NOTHING:
        return
    if first_use is None:
        assert now.amount == paid
        return
    used = max(-((first_use - moment) // SECOND), 0)
    kept = paid - now.amount
    assert kept >= min(CENT, paid)
    assert share_of(segments, used) <= kept < share_of(segments, used) + (len(segments) + 1) * Fraction(CENT)
    assert now.unused == sum(segment.hours for segment in segments) * HOUR - used * SECOND


@given(segments=sales, more=st.builds(Segment, prices, st.integers(1, 87_600)), first_use=moments, moment=spans)
def test_an_extension_is_worth_at_most_its_price(
    segments: list[Segment], more: Segment, first_use: timedelta | None, moment: timedelta
) -> None:
    before, after = revoked_at(segments, first_use, moment), revoked_at([*segments, more], first_use, moment)
    if moment < sum(segment.hours for segment in segments) * HOUR:
        assert 0 <= after.amount - before.amount <= more.price
