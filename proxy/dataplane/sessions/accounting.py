"""Counters of the sessions in memory; every few seconds they are shared with the other workers and written in bulk.

A crash loses at most the counts of one interval, which grows with the number of sessions to write. Each worker
reports the absolute counts of its own part of a session, and a row keeps the greatest sum that was reported. A report
that is repeated or overtaken therefore counts nothing twice and loses nothing.
"""

import time
import uuid

from proxy.dataplane.records import Grant, Session, TrafficTotal
from proxy.dataplane.state.base import Counts, Lease
from zenzefi.common.ip_addresses import normalise_ip_address

_USER_AGENT_LENGTH = 500  # characters


class Accounting:
    """The live sessions of this worker, one per token."""

    def __init__(self, session_timeout: float) -> None:
        self.total = TrafficTotal()
        self._timeout = session_timeout
        self._live: dict[uuid.UUID, Session] = {}
        self._ended: list[Session] = []

    def of_lease(self, lease: Lease, token_id: uuid.UUID) -> Session | None:
        """Return this worker's part of the session that began with the lease, if it has one."""
        session = self._live.get(token_id)
        return session if session is not None and session.lease.session_id == lease.session_id else None

    def seconds_left(self, token_id: uuid.UUID, lease: Lease) -> float:
        """Return the seconds until the lease's session ends if this worker transfers nothing more."""
        session = self.of_lease(lease, token_id)
        active = lease.started if session is None else session.last_active_at
        return active + self._timeout - time.time()

    def wanted_lease(self, grant: Grant, device: str) -> Lease:
        """Return the lease to ask for: that of the session in progress, else a new one.

        The state store may have lost the session that this worker knows; then the session goes on.
        """
        session = grant.session or self._live.get(grant.token_id)
        if session is not None and session.lease.device == device and self._idle_seconds(session) <= self._timeout:
            return session.lease
        return Lease(device, uuid.uuid4(), time.time())

    def open_session(self, grant: Grant, lease: Lease, ip: str | None, user_agent: bytes) -> Session:
        """Return this worker's part of the lease's session; the first request begins it."""
        session = grant.session
        if session is not None and session.lease is lease:
            return session
        session = self.of_lease(lease, grant.token_id)
        if session is None:
            self.end(grant.token_id)
            program = user_agent.decode("utf-8", "replace")[:_USER_AGENT_LENGTH]
            session = Session(self.total, grant, lease, normalise_ip_address(ip or ""), program)
            self._live[grant.token_id] = session
        session.grant, session.lease = grant, lease
        grant.session = session
        return session

    def end(self, token_id: uuid.UUID) -> None:
        """Close the token's session; the next flush writes its counts."""
        session = self._live.pop(token_id, None)
        if session is None:
            return
        session.grant.session = None
        if not session.is_over:
            self._ended.append(session)

    @staticmethod
    def _idle_seconds(session: Session) -> float:
        return time.time() - session.last_active_at

    def end_idle(self) -> None:
        """Close the sessions that have been idle for long; one with an open stream may go on after a pause."""
        oldest = time.time() - 2 * self._timeout  # a lease is held a little longer than the timeout
        for token_id, session in list(self._live.items()):
            if session.last_active_at < oldest and not session.in_flight:
                self.end(token_id)

    def unwritten(self) -> list[Session]:
        """Return the sessions whose counts the database does not have yet."""
        return [session for session in (*self._live.values(), *self._ended) if not session.is_written]

    def confirm(self, written: list[tuple[Session, Counts]]) -> None:
        """Remember the counts that were shared and written."""
        for session, counts in written:
            session.written = counts
        self._ended = [session for session in self._ended if not session.is_over]
