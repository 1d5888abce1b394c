"""Hourly roll-ups: what sessions grew by since the last run is added to the hours of their tokens.

A session's row says how much of it is in the hours already, and is changed in the transaction that changes them: a
run that is repeated, runs beside another or is killed counts nothing twice and loses nothing. What a session grew by
is found whenever it is written, however late.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, connections, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Greatest

from proxy.models import NOT_ROLLED_UP, ProxySession, UsageHour

HOUR = timedelta(hours=1)
# Of one transaction: the data plane's next write of these sessions waits for it.
SESSIONS = 500
ROWS = 1000  # of one statement: SQLite takes 32 766 values
_TOTALS = ("bytes_transferred", "rolled_bytes", "request_count", "rolled_requests")
_READ = ("pk", "token_id", "user_id", "started_at", "last_activity", "rolled_until", *_TOTALS)
_COLUMNS = ("token", "user", "hour", "bytes", "requests", "active")
_SUMS = ("bytes", "requests", "active")


@dataclass
class _Growth:
    bytes: int = 0
    requests: int = 0
    active: timedelta = timedelta()


_Hours = dict[tuple[UUID, datetime, UUID], _Growth]


def roll_up() -> int:
    """Add what has changed since the last run to the hours; gives how many sessions had changed."""
    total = found = _roll_up_some()
    while found == SESSIONS:
        found = _roll_up_some()
        total += found
    return total


@transaction.atomic
def _roll_up_some() -> int:
    # Who waits for nobody cannot be part of a deadlock; a row that is just being written is found next time.
    changed = ProxySession.objects.select_for_update(skip_locked=True).filter(NOT_ROLLED_UP).order_by()
    sessions = list(changed.values_list(*_READ, named=True)[:SESSIONS])
    if sessions:
        _add(_growth(sessions))
        ProxySession.objects.filter(pk__in=[session.pk for session in sessions]).update(
            rolled_bytes=F("bytes_transferred"),
            rolled_requests=F("request_count"),
            rolled_until=Greatest(Coalesce("rolled_until", "started_at"), "last_activity"),
        )
    return len(sessions)


def _growth(sessions: list[Any]) -> _Hours:
    """Time in use, to the microsecond, in each hour it touches; bytes and requests in that of the last activity."""
    hours: _Hours = defaultdict(_Growth)
    for session in sessions:
        since = session.rolled_until or session.started_at
        until = max(since, session.last_activity)
        for hour, active in _by_hour(since, until):
            hours[session.token_id, hour, session.user_id].active += active
        last = hours[session.token_id, _hour(until), session.user_id]
        last.bytes += session.bytes_transferred - session.rolled_bytes
        last.requests += session.request_count - session.rolled_requests
    return hours


def _by_hour(since: datetime, until: datetime) -> Iterator[tuple[datetime, timedelta]]:
    while since < until:
        end = min(until, _hour(since) + HOUR)
        yield _hour(since), end - since
        since = end


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _add(hours: _Hours) -> None:
    """In one order, so that two runs cannot wait for each other."""
    rows = sorted(hours.items(), key=lambda item: item[0])
    for start in range(0, len(rows), ROWS):
        _add_some(rows[start : start + ROWS])


def _add_some(hours: list[tuple[tuple[UUID, datetime, UUID], _Growth]]) -> None:
    values: list[Any] = []
    prepare = [_field(name).get_db_prep_save for name in _COLUMNS]
    database = connections[connection.alias]  # not looked up for each value
    for (token, hour, user), growth in hours:
        row = (token, user, hour, growth.bytes, growth.requests, growth.active)
        values += [prepared(value, database) for prepared, value in zip(prepare, row, strict=True)]
    table = UsageHour._meta.db_table  # noqa: SLF001  (Django documents it)
    one = f"({', '.join(['%s'] * len(_COLUMNS))})"
    sums = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in _SUMS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(_field(name).column for name in _COLUMNS)}) "  # noqa: S608  (names)
            f"VALUES {', '.join([one] * len(hours))} ON CONFLICT (token_id, hour) DO UPDATE SET {sums}",
            values,
        )


def _field(name: str) -> Any:
    return UsageHour._meta.get_field(name)  # noqa: SLF001  (as above)
