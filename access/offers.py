"""Tariffs as offers to a user, compared with the user's balance."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from access.models import Tariff

_NOTHING = Decimal("0.00")


@dataclass(frozen=True)
class Offer:
    """A tariff offered to a user with the given balance and debt in ZNC.

    `ends` is the new expiry of the token that the offer would extend.
    """

    tariff: Tariff
    balance: Decimal
    debt: Decimal
    saving: int  # per cent, compared with the highest price per hour
    ends: datetime | None

    @property
    def missing(self) -> Decimal:
        """Return the amount by which the balance is too low, in ZNC."""
        return max(self.tariff.price - self.balance, _NOTHING)

    @property
    def top_up(self) -> Decimal:
        """Return the amount to top up before the purchase, in ZNC. It includes the debt, which credits pay first."""
        return self.missing + self.debt

    @property
    def left(self) -> Decimal:
        """Return the balance after the purchase, in ZNC; zero if the balance is too low."""
        return max(self.balance - self.tariff.price, _NOTHING)


def offers(
    tariffs: Iterable[Tariff], balance: Decimal, debt: Decimal, expires_at: datetime | None = None
) -> list[Offer]:
    """Return offers for the tariffs of one scope, the shortest first; `expires_at` is that of a token to extend."""
    ordered = sorted(tariffs, key=lambda tariff: tariff.duration_hours)
    highest = max((_per_hour(tariff) for tariff in ordered), default=_NOTHING)
    return [
        Offer(
            tariff,
            balance,
            debt,
            saving=int(100 - 100 * _per_hour(tariff) / highest),
            ends=expires_at and expires_at + timedelta(hours=tariff.duration_hours),
        )
        for tariff in ordered
    ]


def choose_offer(found: list[Offer], hours: int) -> Offer | None:
    """Return the offer of `hours` hours, or the first one; None if there are no offers."""
    return next((offer for offer in found if offer.tariff.duration_hours == hours), next(iter(found), None))


def _per_hour(tariff: Tariff) -> Decimal:
    return tariff.price / tariff.duration_hours
