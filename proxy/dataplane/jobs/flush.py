"""Bulk writing of session counts and denials to the database, every few seconds."""

import logging

from django.db import Error as DatabaseError

from proxy.dataplane.database import Database
from proxy.dataplane.denials.log import DenialLog, write_denials
from proxy.dataplane.errors import DEVICE_CONFLICT
from proxy.dataplane.records import Session
from proxy.dataplane.sessions.accounting import Accounting
from proxy.dataplane.sessions.holders import Holders
from proxy.dataplane.sessions.session_writer import ROWS_PER_STATEMENT, write_sessions
from proxy.dataplane.state.base import State, StateUnavailable

logger = logging.getLogger(__name__)

# Between two runs; the longest pause applies if many thousands of sessions are written.
SECONDS, LONGEST_SECONDS = 3.0, 10.0


class Flush:
    """Writes the counts and denials since the last run, and keeps those that cannot be written for the next."""

    def __init__(
        self, database: Database, state: State, accounting: Accounting, denials: DenialLog, holders: Holders
    ) -> None:
        self._database = database
        self._state = state
        self._accounting = accounting
        self._denials = denials
        self._holders = holders

    async def run(self) -> None:
        """Share and write the counts, then write the denials."""
        await self._flush_sessions()
        await self._flush_denials()

    async def _flush_denials(self) -> None:
        waiting = self._denials.waiting()
        if not waiting:
            return
        for logged in waiting:
            if logged.denial is DEVICE_CONFLICT and logged.request.token and "holder" not in logged.details:
                logged.details |= await self._holders.describe(logged.request.token.token_id)
        # Taken only now: if this is cancelled above, the denials still wait.
        denials = self._denials.take(len(waiting))
        try:
            await self._database.run(write_denials, denials)
        except (DatabaseError, OSError) as error:
            logger.warning("denials_not_written", extra={"count": len(denials), "error": str(error)})
            self._denials.put_back(denials)

    async def _flush_sessions(self) -> None:
        self._accounting.end_idle()
        sessions = self._accounting.unwritten()
        for start in range(0, len(sessions), ROWS_PER_STATEMENT):
            if not await self._write(sessions[start : start + ROWS_PER_STATEMENT]):
                return

    async def _write(self, sessions: list[Session]) -> bool:
        """Share and write the counts of sessions, and return whether the database took them."""
        counted = [(session, session.counts) for session in sessions]
        try:
            totals = await self._state.share_counts([session.report(counts) for session, counts in counted])
            shared = True
        except StateUnavailable:
            # The row takes this worker's counts if they are greater; the sum follows once it can be shared.
            totals, shared = [counts for _, counts in counted], False
        # If two parts belong to one session, the later total includes both.
        rows = {
            session.lease.session_id: (session, counts)
            for (session, _), counts in zip(counted, totals, strict=True)
        }  # fmt: skip
        try:
            await self._database.run(write_sessions, list(rows.values()))
        except (DatabaseError, OSError) as error:
            logger.warning("sessions_not_written", extra={"count": len(counted), "error": str(error)})
            return False
        if shared:
            self._accounting.confirm(counted)
        return True
