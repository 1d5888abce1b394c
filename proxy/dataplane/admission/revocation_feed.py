"""The feed of revocations: the outbox, read once a second, and at once after a commit in any process."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError

from access.selectors import RevocationNotice, revocations_since, settled_revocations
from access.signals import access_revoked
from proxy import revocation_pubsub
from proxy.dataplane.database import Database

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# Ids are assigned before the commit, so a lower id may appear after a higher one. Missing ids are queried until their
# transaction can hardly be open any more.
_MAX_TRANSACTION_AGE = timedelta(hours=1)
# Ids of rolled-back transactions never appear. Such gaps are few; each is a condition of the query.
_MAX_GAPS = 200
# A revocation that was committed this long before the start is in every grant that was read since.
_SETTLED = timedelta(seconds=60)


class RevocationFeed:
    """Calls `apply` once for each revocation, unless its transaction was open for more than an hour."""

    def __init__(self, database: Database, apply: Callable[[RevocationNotice], Awaitable[None]]) -> None:
        self._database = database
        self._apply = apply
        self._newest: int | None = None
        # Ids below the newest that have not been seen, and since when they are missing.
        self._gaps: dict[range, float] = {}
        self._failed: list[RevocationNotice] = []
        self._last_success = time.monotonic()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def silent_seconds(self) -> float:
        """Return the seconds since the last successful poll began."""
        return time.monotonic() - self._last_success

    async def run(self) -> None:
        """Poll until cancelled."""
        access_revoked.connect(self._wake_from_thread, weak=False)
        listening = asyncio.create_task(revocation_pubsub.listen(self._wake.set), name="revocation push")
        try:
            while True:
                await self._poll()
                await self._pause()
        finally:
            access_revoked.disconnect(self._wake_from_thread)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def _wake_from_thread(self, **_kwargs: Any) -> None:
        """Request a poll; the signal arrives in the thread that committed."""
        self._loop.call_soon_threadsafe(self._wake.set)

    async def _pause(self) -> None:
        """Wait until the next poll is due; one that was requested during the last poll is due at once."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    async def _poll(self) -> None:
        """Read and apply the new revocations; `Database.run` limits the time."""
        started = time.monotonic()
        try:
            notices = await self._read_new()
        except Exception as error:  # any error: nothing would start the feed again
            unexpected = not isinstance(error, (DatabaseError, InterfaceError))
            details = {"silent_seconds": round(self.silent_seconds()), "error": repr(error)}
            logger.warning("revocation_poll_failed", extra=details, exc_info=unexpected)
            return
        new = [notice for notice in notices if self._record(notice.id)]
        self._failed = [notice for notice in (*self._failed, *new) if not await self._apply_notice(notice)]
        if not self._failed:
            self._last_success = started
        self._drop_old_gaps()

    async def _read_new(self) -> list[RevocationNotice]:
        if self._newest is None:
            await self._read_start()
        return await self._database.run(revocations_since, self._newest, list(self._gaps))

    async def _read_start(self) -> None:
        """Find the id from which to read on, and the gaps below it."""
        now = datetime.now(UTC)
        first, *others = await self._database.run(settled_revocations, now - _MAX_TRANSACTION_AGE, now - _SETTLED)
        self._newest = first
        for number in others:
            self._record(number)

    def _record(self, number: int) -> bool:
        """Record an id as seen and return whether it is new; ids between the newest and this one become a gap."""
        newest = self._newest or 0
        if number > newest:
            self._newest = number
            self._add_gap(range(newest + 1, number), time.monotonic())
            return True
        gap = next((gap for gap in self._gaps if number in gap), None)
        if gap is None:
            return False
        since = self._gaps.pop(gap)
        self._add_gap(range(gap.start, number), since)
        self._add_gap(range(number + 1, gap.stop), since)
        return True

    def _add_gap(self, gap: range, since: float) -> None:
        if gap:
            self._gaps[gap] = since

    def _drop_old_gaps(self) -> None:
        oldest = time.monotonic() - _MAX_TRANSACTION_AGE.total_seconds()
        for gap in [gap for gap, since in self._gaps.items() if since <= oldest] + list(self._gaps)[:-_MAX_GAPS]:
            self._gaps.pop(gap, None)

    async def _apply_notice(self, notice: RevocationNotice) -> bool:
        """Apply a notice and return whether that succeeded.

        One that failed is applied again at the next poll; until then the feed counts as silent.
        """
        try:
            await self._apply(notice)
        except Exception:
            logger.exception("revocation_not_applied", extra={"revocation_id": notice.id})
            return False
        return True
