"""Counting in memory, written every few seconds in one bulk statement.

A crash loses at most that interval of counts. Each row is written with its absolute values, so a write that is
repeated counts nothing twice.
"""

import logging
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db import DataError, IntegrityError

from proxy.dataplane.forwarding import address
from proxy.dataplane.grants import Grant
from proxy.models import ProxySession

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 3.0


@dataclass(slots=True, eq=False)
class Session:
    """One stretch of use of a token by one device."""

    accounting: "Accounting"
    grant: Grant
    device: str
    ip: str | None
    user_agent: str
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    started: float = field(default_factory=time.time)
    active: float = field(default_factory=time.time)
    bytes: int = 0
    requests: int = 0
    # How many requests and WebSockets of it are being carried.
    streams: int = 0
    # What the database was told last.
    written: tuple[float, int, int] | None = None

    @property
    def figures(self) -> tuple[float, int, int]:
        return self.active, self.bytes, self.requests

    @property
    def is_over(self) -> bool:
        """Whether nothing is carried any more, and the database knows all that was."""
        return not self.streams and self.written == self.figures

    def carried(self, count: int) -> None:
        """Count bytes that crossed in either direction; data is activity."""
        self.bytes += count
        self.accounting.total_bytes += count
        self.active = time.time()

    def row(self) -> ProxySession:
        return ProxySession(
            id=self.id,
            token_id=self.grant.token_id,
            user_id=self.grant.user_id,
            device_id=self.device,
            ip=self.ip,
            user_agent=self.user_agent,
            started_at=datetime.fromtimestamp(self.started, UTC),
            last_activity=datetime.fromtimestamp(self.active, UTC),
            bytes_transferred=self.bytes,
            request_count=self.requests,
        )


class Accounting:
    """The live sessions, one per token."""

    def __init__(self, session_timeout: float) -> None:
        self._timeout = session_timeout
        self._live: dict[uuid.UUID, Session] = {}
        self._ended: list[Session] = []
        # What all sessions carried since the start, in both directions.
        self.total_bytes = 0

    def live(self, token_id: uuid.UUID) -> Session | None:
        """The token's session, unless it was idle for too long."""
        session = self._live.get(token_id)
        return session if session is not None and not self._is_idle(session) else None

    def session(self, grant: Grant, device: str, ip: str | None, user_agent: str) -> Session:
        """The session that a request of this device belongs to; a new one after another device or a long pause."""
        session = self.live(grant.token_id)
        if session is None or session.device != device:
            self.end(grant.token_id)
            client = address(ip or "")
            session = Session(self, grant, device, str(client) if client else None, user_agent)
            self._live[grant.token_id] = session
        session.grant = grant
        return session

    def end(self, token_id: uuid.UUID) -> None:
        """Close the token's session; its figures are written with the next flush."""
        session = self._live.pop(token_id, None)
        if session is not None and not session.is_over:
            self._ended.append(session)

    def _is_idle(self, session: Session) -> bool:
        return time.time() - session.active > self._timeout

    def pending(self) -> list[Session]:
        """The sessions whose figures the database does not have yet."""
        for token_id, session in list(self._live.items()):
            # An open stream may go on after a pause.
            if self._is_idle(session) and not session.streams:
                self.end(token_id)
        return [session for session in (*self._live.values(), *self._ended) if session.written != session.figures]

    def confirm(self, written: list[tuple[Session, tuple[float, int, int]]]) -> None:
        """Remember what the database has now."""
        for session, figures in written:
            session.written = figures
        self._ended = [session for session in self._ended if not session.is_over]


def write_sessions(rows: list[ProxySession]) -> None:
    """Insert or update the sessions in one statement; a row that the database refuses holds no other back."""
    try:
        _write(rows)
    except (IntegrityError, DataError):
        for row in rows:
            _write_or_drop(row)


def _write_or_drop(row: ProxySession) -> None:
    try:
        _write([row])
    except (IntegrityError, DataError) as error:
        # Its token or user was deleted: no later try can succeed.
        logger.warning("session %s can never be written: %s", row.pk, error)


def _write(rows: list[ProxySession]) -> None:
    ProxySession.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["id"],
        # `ended_at` too: a session that was closed as idle is open again once it goes on.
        update_fields=["last_activity", "bytes_transferred", "request_count", "ended_at"],
    )
