"""The feed of revocations: the outbox, read once a second, and at once after a commit in any process."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError

from access.selectors import REVOCATIONS, RevocationNotice, revocations_since, settled_revocations
from access.signals import access_revoked
from proxy import revocation_pubsub
from proxy.dataplane.admission.outbox_ids import MAX_TRANSACTION_AGE, OutboxIds
from proxy.dataplane.database import Database

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# A revocation that was committed this long before the start is in every grant that was read since.
_SETTLED = timedelta(seconds=60)


class RevocationFeed:
    """Calls `apply` once for each revocation, unless its transaction was open for more than an hour."""

    def __init__(self, database: Database, apply: Callable[[RevocationNotice], Awaitable[None]]) -> None:
        self._database = database
        self._apply = apply
        self._seen: OutboxIds | None = None
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
        """Read and apply the new revocations in batches; `Database.run` limits the time of each.

        A batch that was applied is not read again, so a large outbox is read even if a later batch fails. The feed
        counts as silent until it has read all of it.
        """
        started = time.monotonic()
        try:
            seen = self._seen = self._seen or await self._read_start()
            while len(notices := await self._read_new(seen)) >= REVOCATIONS:
                await self._apply_new(seen, notices)
        except Exception as error:  # any error: nothing would start the feed again
            unexpected = not isinstance(error, (DatabaseError, InterfaceError))
            details = {"silent_seconds": round(self.silent_seconds()), "error": repr(error)}
            logger.warning("revocation_poll_failed", extra=details, exc_info=unexpected)
            return
        await self._apply_new(seen, notices)
        if not self._failed:
            self._last_success = started

    async def _read_new(self, seen: OutboxIds) -> list[RevocationNotice]:
        return await self._database.run(revocations_since, seen.newest, seen.gaps())

    async def _apply_new(self, seen: OutboxIds, notices: list[RevocationNotice]) -> None:
        new = [notice for notice in notices if seen.record(notice.id)]
        self._failed = [notice for notice in (*self._failed, *new) if not await self._apply_notice(notice)]
        seen.drop_gaps()

    async def _read_start(self) -> OutboxIds:
        """Find the id from which to read on, and the gaps below it."""
        now = datetime.now(UTC)
        first, *others = await self._database.run(settled_revocations, now - MAX_TRANSACTION_AGE, now - _SETTLED)
        seen = OutboxIds(first)
        for number in others:
            seen.record(number)
        return seen

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
