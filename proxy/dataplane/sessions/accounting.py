"""Counting in memory, shared with the other workers and written every few seconds in bulk statements.

A crash loses at most that interval of counts, which grows with what there is to write. Each worker tells the absolute
value of its part of a session, and a row takes the greatest sum that it is told, so what is repeated or overtaken
counts nothing twice and loses nothing.
"""

import json
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.db import connection

from proxy.dataplane.admission.grant_cache import Grant
from proxy.dataplane.state.base import Counts, Lease, Report
from proxy.models import ProxySession
from zenzefi.common import bulk_json
from zenzefi.common.bulk_writes import write_or_drop
from zenzefi.common.ip_addresses import normalise_ip_address

# Between two writes; the longest where many thousands of sessions are written.
FLUSH_SECONDS, LONGEST_FLUSH_SECONDS = 3.0, 10.0
_STATED = ("id", "token", "user", "device_id", "ip", "user_agent", "started_at")
_GROWING = ("last_activity", "bytes_transferred", "request_count")
ROWS = 2500  # of one statement, for which whoever else writes waits
_TABLE = ProxySession._meta.db_table  # noqa: SLF001  (Django documents it)


@dataclass(eq=False, slots=True)
class Session:
    """One stretch of use of a token by one device."""

    accounting: "Accounting"
    grant: Grant
    lease: Lease
    ip: str | None
    user_agent: str
    part: uuid.UUID = field(default_factory=uuid.uuid4)
    active: float = field(default_factory=time.time)
    bytes: int = 0
    requests: int = 0
    # How many requests and WebSockets of it are being carried.
    streams: int = 0
    # What was shared and written last.
    written: Counts | None = None

    @property
    def counts(self) -> Counts:
        return Counts(self.active, self.bytes, self.requests)

    def report(self, counts: Counts) -> Report:
        return Report(self.lease.session_id, self.part, counts)

    @property
    def is_written(self) -> bool:
        """Whether the database knows all that was carried."""
        known = self.written
        return known is not None and known == (self.active, self.bytes, self.requests)

    @property
    def is_over(self) -> bool:
        """Whether nothing is carried any more, and the database knows all that was."""
        return not self.streams and self.is_written

    def carried(self, count: int) -> None:
        """Count bytes that crossed in either direction; data is activity."""
        self.bytes += count
        self.accounting.total_bytes += count
        self.active = time.time()


# A session, and what all workers carried of it.
Row = tuple[Session, Counts]


class Accounting:
    """The live sessions, one per token."""

    def __init__(self, session_timeout: float) -> None:
        self._timeout = session_timeout
        self._live: dict[uuid.UUID, Session] = {}
        self._ended: list[Session] = []
        # What all sessions carried since the start, in both directions.
        self.total_bytes = 0

    def of(self, lease: Lease, token_id: uuid.UUID) -> Session | None:
        """This worker's part of the session that the lease began."""
        session = self._live.get(token_id)
        return session if session is not None and session.lease.session_id == lease.session_id else None

    def seconds_left(self, token_id: uuid.UUID, lease: Lease) -> float:
        """How long the lease's session goes on where nothing more is carried by this worker."""
        session = self.of(lease, token_id)
        active = lease.started if session is None else session.active
        return active + self._timeout - time.time()

    def wanted_lease(self, grant: Grant, device: str) -> Lease:
        """What to ask for: the session that this worker knows goes on, should the others have lost it."""
        session = grant.session or self._live.get(grant.token_id)
        if session is not None and session.lease.device == device and self._idle_seconds(session) <= self._timeout:
            return session.lease
        return Lease(device, uuid.uuid4(), time.time())

    def session(self, grant: Grant, lease: Lease, ip: str | None, user_agent: bytes) -> Session:
        """This worker's part of the lease's session; it begins with the first request."""
        session = grant.session
        if session is not None and session.lease is lease:
            return session
        session = self.of(lease, grant.token_id)
        if session is None:
            self.end(grant.token_id)
            program = user_agent.decode("utf-8", "replace")[:500]
            session = Session(self, grant, lease, normalise_ip_address(ip or ""), program)
            self._live[grant.token_id] = session
        session.grant, session.lease = grant, lease
        grant.session = session
        return session

    def end(self, token_id: uuid.UUID) -> None:
        """Close the token's session; its figures are written with the next flush."""
        session = self._live.pop(token_id, None)
        if session is None:
            return
        session.grant.session = None
        if not session.is_over:
            self._ended.append(session)

    @staticmethod
    def _idle_seconds(session: Session) -> float:
        return time.time() - session.active

    def pending(self) -> list[Session]:
        """The sessions whose figures the database does not have yet."""
        oldest = time.time() - 2 * self._timeout  # a lease is held a little longer than the timeout
        for token_id, session in list(self._live.items()):
            if session.active < oldest and not session.streams:  # an open stream may go on after a pause
                self.end(token_id)
        return [session for session in (*self._live.values(), *self._ended) if not session.is_written]

    def confirm(self, written: list[tuple[Session, Counts]]) -> None:
        """Remember what was shared and written."""
        for session, counts in written:
            session.written = counts
        self._ended = [session for session in self._ended if not session.is_over]


def write_sessions(rows: list[Row]) -> None:
    """Insert or update at most `ROWS` sessions in a statement or two; a row that is refused holds no other back."""
    write_or_drop(_write_or_grow, rows, lambda row: f"session {row[0].lease.session_id}")


def _write_or_grow(rows: list[Row]) -> None:
    _write([row for row in rows if row[0].written is None])
    _grow([row for row in rows if row[0].written is not None])


def _write(rows: list[Row]) -> None:
    _execute(
        _statement(connection.vendor), [f"{_stated(session)},{_carried(counts)},null" for session, counts in rows]
    )


def _grow(rows: list[Row]) -> None:
    """Write sessions that should have a row already, in less than half the time of `_write`."""
    told = [f'"{session.lease.session_id.hex}",{_carried(counts)}' for session, counts in rows]
    if _execute(_growth(connection.vendor), told) < len(rows):
        _write(rows)


def _execute(statement: str, rows: list[str]) -> int:
    """One statement, whose rows are one value: to prepare ten of a row would cost more than to write it. Gives how
    many rows of the table it wrote."""
    if not rows:
        return 0
    with connection.cursor() as cursor:
        # In the order of their ids, which come first, lest two workers with the same sessions wait for each other.
        cursor.execute(statement, [f"[[{'],['.join(sorted(rows))}]]"])
        return int(cursor.rowcount)


def _carried(counts: Counts) -> str:
    """As JSON in the order of `_GROWING`, but for the brackets."""
    return f'"{_moment(counts.active)}",{counts.bytes},{counts.requests}'


def _stated(session: Session) -> str:
    """What never changes of a session's row, as JSON in the order of `_STATED`, but for the brackets."""
    values = (
        session.lease.session_id, session.grant.token_id, session.grant.user_id, session.lease.device, session.ip,
        session.user_agent,
    )  # fmt: skip
    prepared = [
        _column(name).get_db_prep_save(value, connection) for name, value in zip(_STATED, values, strict=False)
    ]
    return json.dumps([*prepared, _moment(session.lease.started)], default=str)[1:-1]


def _moment(timestamp: float) -> str:
    """A time in UTC as Django writes it for SQLite, which compares it as text; PostgreSQL reads it as well."""
    return str(datetime.fromtimestamp(timestamp, UTC))[: -len("+00:00")]


@lru_cache(maxsize=2)
def _statement(vendor: str) -> str:
    # `ended_at` too: a session that was closed as idle is open again once it goes on.
    rows = bulk_json.insert(ProxySession, (*_STATED, *_GROWING, "ended_at"))
    return f"{rows} ON CONFLICT (id) DO UPDATE SET {_grown(vendor, 'excluded')}"


@lru_cache(maxsize=2)
def _growth(vendor: str) -> str:
    rows = bulk_json.select(ProxySession, ("id", *_GROWING))
    return f"UPDATE {_TABLE} SET {_grown(vendor, 'told')} FROM ({rows}) AS told WHERE {_TABLE}.id = told.id"  # noqa: S608


def _grown(vendor: str, told: str) -> str:
    """What Django's own statements cannot: keep the greater of two values."""
    greatest = "GREATEST" if vendor == "postgresql" else "MAX"
    grown = [f"{name} = {greatest}({_TABLE}.{name}, {told}.{name})" for name in _GROWING]
    return ", ".join([*grown, "ended_at = NULL"])


def _column(name: str) -> Any:
    return ProxySession._meta.get_field(name)  # noqa: SLF001  (Django documents it)
