"""Bulk statements that write the counts of sessions to their rows."""

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.db import connection

from proxy.dataplane.records import Session
from proxy.dataplane.state.base import Counts
from proxy.models import ProxySession
from zenzefi.common import bulk_json
from zenzefi.common.bulk_writes import write_or_drop

_FIXED = ("id", "token", "user", "device_id", "ip", "user_agent", "started_at")
_GROWING = ("last_activity", "bytes_transferred", "request_count")
ROWS_PER_STATEMENT = 2500  # other writers wait for the statement
_TABLE = ProxySession._meta.db_table  # noqa: SLF001  (documented by Django)

# A session and the counts of all workers.
SessionRow = tuple[Session, Counts]


def write_sessions(rows: list[SessionRow]) -> None:
    """Insert or update at most `ROWS_PER_STATEMENT` sessions in one or two statements.

    Rows that the database rejects (their token or user was deleted) are dropped.
    """
    write_or_drop(_write, rows, lambda row: f"session {row[0].lease.session_id}")


def _write(rows: list[SessionRow]) -> None:
    _upsert([row for row in rows if row[0].written is None])
    _update([row for row in rows if row[0].written is not None])


def _upsert(rows: list[SessionRow]) -> None:
    values = [f"{_fixed_json(session)},{_growing_json(counts)},null" for session, counts in rows]
    _execute(_upsert_sql(connection.vendor), values)


def _update(rows: list[SessionRow]) -> None:
    """Update sessions that should have a row already; this takes less than half the time of `_upsert`."""
    values = [f'"{session.lease.session_id.hex}",{_growing_json(counts)}' for session, counts in rows]
    if _execute(_update_sql(connection.vendor), values) < len(rows):
        _upsert(rows)


def _execute(statement: str, rows: list[str]) -> int:
    """Execute a statement whose rows are one JSON parameter, and return how many rows of the table it wrote.

    Preparing ten parameters per row would cost more than writing the row.
    """
    if not rows:
        return 0
    with connection.cursor() as cursor:
        # Sorted by session id, so that two workers with the same sessions cannot deadlock.
        cursor.execute(statement, [f"[[{'],['.join(sorted(rows))}]]"])
        return int(cursor.rowcount)


def _growing_json(counts: Counts) -> str:
    """Return the values of `_GROWING` as JSON without the brackets."""
    return f'"{_timestamp(counts.active)}",{counts.bytes},{counts.requests}'


def _fixed_json(session: Session) -> str:
    """Return the values of `_FIXED` as JSON without the brackets."""
    values = (
        session.lease.session_id, session.grant.token_id, session.grant.user_id, session.lease.device, session.ip,
        session.user_agent,
    )  # fmt: skip
    prepared = [_field(name).get_db_prep_save(value, connection) for name, value in zip(_FIXED, values, strict=False)]
    return json.dumps([*prepared, _timestamp(session.lease.started)], default=str)[1:-1]


def _timestamp(unix_time: float) -> str:
    """Return a time in UTC as Django writes it for SQLite, which compares it as text; PostgreSQL reads it as well."""
    return str(datetime.fromtimestamp(unix_time, UTC))[: -len("+00:00")]


@lru_cache(maxsize=2)
def _upsert_sql(vendor: str) -> str:
    # `ended_at` is set to null: a session that was closed as idle is open again when it goes on.
    rows = bulk_json.insert(ProxySession, (*_FIXED, *_GROWING, "ended_at"))
    return f"{rows} ON CONFLICT (id) DO UPDATE SET {_assignments(vendor, 'excluded')}"


@lru_cache(maxsize=2)
def _update_sql(vendor: str) -> str:
    rows = bulk_json.select(ProxySession, ("id", *_GROWING))
    return f"UPDATE {_TABLE} SET {_assignments(vendor, 'new')} FROM ({rows}) AS new WHERE {_TABLE}.id = new.id"  # noqa: S608


def _assignments(vendor: str, source: str) -> str:
    """Return assignments that keep the greater of two values, for which the ORM has no bulk statement."""
    greatest = "GREATEST" if vendor == "postgresql" else "MAX"
    growing = [f"{name} = {greatest}({_TABLE}.{name}, {source}.{name})" for name in _GROWING]
    return ", ".join([*growing, "ended_at = NULL"])


def _field(name: str) -> Any:
    return ProxySession._meta.get_field(name)  # noqa: SLF001  (documented by Django)
