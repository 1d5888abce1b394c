"""Queries for the usage of a user by hour, day and token, from the hourly roll-ups."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from access.models import AccessToken
from accounts.models import User
from proxy.models import UsageHour
from proxy.rollups import HOUR
from zenzefi.common.time_zones import midnight

PERIODS = ("day", "week", "month")
DAYS = {"week": 7, "month": 30}
_HOURS = 24
_SUMS = {"total_bytes": Sum("bytes"), "total_requests": Sum("requests"), "total_active": Sum("active")}


@dataclass(frozen=True)
class Figures:
    """Bytes in both directions, requests (a WebSocket counts as one) and the time in use."""

    bytes: int = 0
    requests: int = 0
    active: timedelta = timedelta()

    @property
    def hours(self) -> float:
        """Return the time in use in hours."""
        return self.active / HOUR

    def __bool__(self) -> bool:
        return bool(self.bytes or self.requests or self.active)


@dataclass(frozen=True)
class Stretch(Figures):
    """The figures of the hour or day that begins at `start`."""

    start: datetime = field(kw_only=True)


@dataclass(frozen=True)
class TokenFigures(Figures):
    """The figures of one token."""

    token: AccessToken = field(kw_only=True)


@dataclass(frozen=True)
class Usage:
    """The figures of a period: in total, of each hour or day (also those without traffic), and of each token used."""

    period: str
    start: datetime
    end: datetime
    total: Figures
    series: list[Stretch]
    tokens: list[TokenFigures]


def usage_of(user: User, period: str, zone: tzinfo | None = None, token_id: UUID | None = None) -> Usage:
    """Return the usage of the last 24 hours (`day`), 7 days (`week`) or 30 days (`month`), including the current one.

    Days begin at midnight in `zone`, by default the active time zone. An hour of UTC belongs to the day in which it
    begins.
    """
    zone = zone or timezone.get_current_timezone()
    rows = _rows(user, token_id)
    now = timezone.now()
    series = _by_hour(rows, now, zone) if period == "day" else _by_day(rows, now, zone, DAYS[period])
    start = series[0].start
    tokens = _by_token(rows.filter(hour__gte=start))
    return Usage(period, start, now, _sum(series), series, tokens)


def daily_usage(user: User, days: int) -> list[Stretch]:
    """Return the user's last days in the active time zone, including today, oldest first."""
    return _by_day(_rows(user), timezone.now(), timezone.get_current_timezone(), days)


def _rows(user: User, token_id: UUID | None = None) -> QuerySet[UsageHour]:
    rows = UsageHour.objects.filter(user=user).order_by()
    return rows.filter(token=token_id) if token_id else rows


def _by_hour(rows: QuerySet[UsageHour], now: datetime, zone: tzinfo) -> list[Stretch]:
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [last - HOUR * ago for ago in reversed(range(_HOURS))]
    found = {row["hour"]: row for row in rows.filter(hour__gte=hours[0]).values("hour").annotate(**_SUMS)}
    return [Stretch(**_figures(found.get(hour)), start=hour.astimezone(zone)) for hour in hours]


def _by_day(rows: QuerySet[UsageHour], now: datetime, zone: tzinfo, count: int) -> list[Stretch]:
    today = now.astimezone(zone).date()
    days = [today - timedelta(days=ago) for ago in reversed(range(count))]
    grouped = rows.filter(hour__gte=midnight(days[0], zone)).annotate(day=TruncDate("hour", tzinfo=zone))
    found = {row["day"]: row for row in grouped.values("day").annotate(**_SUMS)}
    return [Stretch(**_figures(found.get(day)), start=midnight(day, zone)) for day in days]


def _by_token(rows: QuerySet[UsageHour]) -> list[TokenFigures]:
    found = {row["token"]: row for row in rows.values("token").annotate(**_SUMS)}
    tokens = AccessToken.objects.defer("ciphertext").in_bulk(found.keys())
    figures = [TokenFigures(**_figures(found[pk]), token=token) for pk, token in tokens.items()]
    # The tokens with the most traffic come first.
    return sorted(figures, key=lambda each: (-each.bytes, each.token.created_at))


def _figures(row: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: row[f"total_{name}"] for name in ("bytes", "requests", "active")} if row else {}


def _sum(parts: Iterable[Figures]) -> Figures:
    parts = list(parts)
    return Figures(
        sum(part.bytes for part in parts),
        sum(part.requests for part in parts),
        sum((part.active for part in parts), timedelta()),
    )
