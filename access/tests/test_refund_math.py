"""The refund formula: price paid × unused ÷ duration, rounded half-up to 0.01."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access.token_refunds import refund

BOUGHT = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


# case G78
@pytest.mark.parametrize(
    ("cost", "hours", "first_use", "revoked", "amount", "unused"),
    [
        ("18.00", 24, None, 10 * HOUR, "18.00", 24 * HOUR),  # never used
        ("18.00", 24, 0 * HOUR, 0 * HOUR, "18.00", 24 * HOUR),  # first used now
        ("18.00", 24, 0 * HOUR, 12 * HOUR, "9.00", 12 * HOUR),
        ("18.00", 24, 10 * HOUR, 12 * HOUR, "16.50", 22 * HOUR),  # time before the first use does not count as used
        ("18.00", 24, 23 * HOUR, 24 * HOUR - timedelta(microseconds=1), "17.25", 23 * HOUR),
        ("18.00", 24, None, 24 * HOUR, "0.00", 0 * HOUR),  # expired, though never used
        ("18.00", 24, 0 * HOUR, 25 * HOUR, "0.00", 0 * HOUR),
        ("1.00", 1, 0 * HOUR, timedelta(seconds=18), "1.00", timedelta(seconds=3582)),  # 0.995 rounds up
        ("1.00", 1, 0 * HOUR, timedelta(seconds=18, microseconds=1), "0.99", timedelta(seconds=3582)),
        ("0.01", 1, 0 * HOUR, HOUR / 2, "0.01", HOUR / 2),  # half a hundredth rounds up
        ("0.01", 1, 0 * HOUR, HOUR / 2 + timedelta(microseconds=1), "0.00", HOUR / 2),
        (
            "10.00",
            12,
            2 * HOUR,
            1 * HOUR,
            "10.00",
            12 * HOUR,
        ),  # clocks that disagree never refund more than was paid
    ],
)
def test_table(
    cost: str, hours: int, first_use: timedelta | None, revoked: timedelta, amount: str, unused: timedelta
) -> None:
    activated_at = None if first_use is None else BOUGHT + first_use
    given_back = refund(Decimal(cost), hours * HOUR, BOUGHT + hours * HOUR, activated_at, BOUGHT + revoked)
    assert str(given_back.amount) == amount
    assert abs(given_back.unused - unused) <= timedelta(microseconds=1)


money = st.decimals(min_value=0, max_value=Decimal("92233720368547758.07"), places=2)
spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=4000))


@given(cost=money, hours=st.integers(1, 87_600), first_use=st.none() | spans, revoked=spans, later=spans)
def test_never_above_the_price_never_growing_and_exact(
    cost: Decimal, hours: int, first_use: timedelta | None, revoked: timedelta, later: timedelta
) -> None:
    duration = timedelta(hours=hours)
    expires_at = BOUGHT + duration
    activated_at = None if first_use is None else BOUGHT + first_use

    now = refund(cost, duration, expires_at, activated_at, BOUGHT + revoked)
    then = refund(cost, duration, expires_at, activated_at, BOUGHT + revoked + later)

    assert 0 <= then.amount <= now.amount <= cost
    assert now.amount == now.amount.quantize(Decimal("0.01"))
    assert timedelta(0) <= then.unused <= now.unused <= duration
    exact = (
        Fraction(cost) * Fraction(now.unused / timedelta(microseconds=1)) / Fraction(duration.total_seconds() * 10**6)
    )
    assert Fraction(-1, 200) < Fraction(now.amount) - exact <= Fraction(1, 200)


sales = st.tuples(st.decimals(min_value=Decimal("0.01"), max_value=Decimal(10**10), places=2), st.integers(1, 87_600))


@given(first=sales, more=st.lists(sales, min_size=1, max_size=5), first_use=st.none() | spans, revoked=spans)
def test_an_extension_adds_to_the_refund_and_never_above_what_was_paid(
    first: tuple[Decimal, int], more: list[tuple[Decimal, int]], first_use: timedelta | None, revoked: timedelta
) -> None:
    activated_at = None if first_use is None else BOUGHT + first_use
    cost, hours = first
    amounts = []
    for price, extra in [(Decimal(0), 0), *more]:
        cost, hours = cost + price, hours + extra
        given_back = refund(cost, hours * HOUR, BOUGHT + hours * HOUR, activated_at, BOUGHT + revoked)
        amounts.append(given_back.amount)
        assert 0 <= given_back.amount <= cost
        if activated_at is None and revoked < hours * HOUR:
            assert given_back.amount == cost
        if activated_at is not None and given_back.amount:
            used = max(revoked - first_use, timedelta(0))
            assert given_back.unused == hours * HOUR - used
    assert amounts == sorted(amounts)


@pytest.mark.parametrize(
    ("used", "amount"),
    [
        (0 * HOUR, "118.00"),
        (12 * HOUR, "110.63"),  # 110.625: half a hundredth rounds up
        (24 * HOUR, "103.25"),  # the end of the first duration changes nothing
        (100 * HOUR, "56.54"),
        (192 * HOUR - timedelta(microseconds=1), "0.00"),
        (192 * HOUR, "0.00"),
    ],
)
def test_24_hours_for_18_and_168_for_100(used: timedelta, amount: str) -> None:
    given_back = refund(Decimal("118.00"), 192 * HOUR, BOUGHT + 192 * HOUR, BOUGHT, BOUGHT + used)
    assert str(given_back.amount) == amount
