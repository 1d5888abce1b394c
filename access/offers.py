"""What can be bought with a balance: the tariffs as a choice."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from access.models import Tariff

_NOTHING = Decimal("0.00")


@dataclass(frozen=True)
class Offer:
    """A tariff for somebody with this balance and debt in ZNC.

    `ends` is when a token that is extended by it would end.
    """

    tariff: Tariff
    balance: Decimal
    debt: Decimal
    saving: int  # per cent of the dearest price per hour
    ends: datetime | None

    @property
    def missing(self) -> Decimal:
        """What the balance lacks, in ZNC."""
        return max(self.tariff.price - self.balance, _NOTHING)

    @property
    def top_up(self) -> Decimal:
        """What to top up in order to buy it, in ZNC: credits pay a debt first."""
        return self.missing + self.debt

    @property
    def left(self) -> Decimal:
        """What would be left of the balance, in ZNC; nothing where it does not suffice."""
        return max(self.balance - self.tariff.price, _NOTHING)


def offers(
    tariffs: Iterable[Tariff], balance: Decimal, debt: Decimal, expires_at: datetime | None = None
) -> list[Offer]:
    """The tariffs of one scope, the shortest first; `expires_at` is the end of the token to be extended."""
    ordered = sorted(tariffs, key=lambda tariff: tariff.duration_hours)
    dearest = max((_per_hour(tariff) for tariff in ordered), default=_NOTHING)
    return [
        Offer(
            tariff,
            balance,
            debt,
            saving=int(100 - 100 * _per_hour(tariff) / dearest),
            ends=expires_at and expires_at + timedelta(hours=tariff.duration_hours),
        )
        for tariff in ordered
    ]


def choose_offer(found: list[Offer], hours: int) -> Offer | None:
    """Return the offer of `hours` hours, or the first one; None if there are no offers."""
    return next((offer for offer in found if offer.tariff.duration_hours == hours), next(iter(found), None))


def _per_hour(tariff: Tariff) -> Decimal:
    return tariff.price / tariff.duration_hours
