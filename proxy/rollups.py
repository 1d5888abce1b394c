"""Hourly roll-ups: the traffic of sessions since the last run is added to the hours of their tokens.

The row of a session records how much of it is already in the hours, and changes in the same transaction as the hours.
So a run that is repeated, concurrent or killed counts nothing twice and loses nothing, and traffic that is written
late is still counted.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Greatest

from proxy.models import NOT_ROLLED_UP, ProxySession, UsageHour
from zenzefi.common import bulk_json

HOUR = timedelta(hours=1)
_MICROSECOND = timedelta(microseconds=1)
# Sessions in one transaction, which locks them against the next write of the data plane.
SESSIONS = 500
ROWS = 1000  # in one statement
_READ = (
    "id", "token_id", "user_id", "started_at", "last_activity", "rolled_until",
    "bytes_transferred", "rolled_bytes", "request_count", "rolled_requests",
)  # fmt: skip
_COLUMNS = ("token", "user", "hour", "bytes", "requests", "active")
_SUMS = ("bytes", "requests", "active")


@dataclass
class _Growth:
    bytes: int = 0
    requests: int = 0
    active: timedelta = timedelta()


# By token, hour and user. The ids are text, in the form of the database.
_Hours = dict[tuple[str, datetime, str], _Growth]


def roll_up() -> int:
    """Add the changes since the last run to the hours. Return how many sessions had changed."""
    total = found = _roll_up_some()
    while found == SESSIONS:
        found = _roll_up_some()
        total += found
    return total


@transaction.atomic
def _roll_up_some() -> int:
    # Skipping locked rows prevents deadlocks. The next run finds the rows that are being written now.
    changed = ProxySession.objects.select_for_update(skip_locked=True).filter(NOT_ROLLED_UP).order_by()
    sessions = bulk_json.read(changed[:SESSIONS], _READ)
    if sessions:
        _add(_growth(sessions))
        ProxySession.objects.filter(pk__in=[session[0] for session in sessions]).update(
            rolled_bytes=F("bytes_transferred"),
            rolled_requests=F("request_count"),
            rolled_until=Greatest(Coalesce("rolled_until", "started_at"), "last_activity"),
        )
    return len(sessions)


def _growth(sessions: list[Any]) -> _Hours:
    """Return what to add to each hour.

    The time in use is split at full hours, to the microsecond. Bytes and requests belong to the hour of the last
    activity.
    """
    hours: _Hours = defaultdict(_Growth)
    for _pk, token, user, started, last_activity, rolled_until, size, rolled_size, count, rolled_count in sessions:
        since = datetime.fromisoformat(rolled_until or started)
        until = max(since, datetime.fromisoformat(last_activity))
        for hour, active in _by_hour(since, until):
            hours[token, hour, user].active += active
        last = hours[token, _hour(until), user]
        last.bytes += size - rolled_size
        last.requests += count - rolled_count
    return hours


def _by_hour(since: datetime, until: datetime) -> Iterator[tuple[datetime, timedelta]]:
    while since < until:
        end = min(until, _hour(since) + HOUR)
        yield _hour(since), end - since
        since = end


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _add(hours: _Hours) -> None:
    # A fixed order prevents a deadlock between two runs.
    rows = sorted(hours.items(), key=lambda item: item[0])
    for start in range(0, len(rows), ROWS):
        _add_some(rows[start : start + ROWS])


def _add_some(hours: list[tuple[tuple[str, datetime, str], _Growth]]) -> None:
    rows = ",".join(
        f'["{token}","{user}","{hour}",{growth.bytes},{growth.requests},{growth.active // _MICROSECOND}]'
        for (token, hour, user), growth in hours
    )
    table = UsageHour._meta.db_table  # noqa: SLF001  (Django documents it)
    sums = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in _SUMS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"{bulk_json.insert(UsageHour, _COLUMNS)} ON CONFLICT (token_id, hour) DO UPDATE SET {sums}",
            [f"[{rows}]"],
        )
