"""The feed of revocations: the outbox, polled each second, and at once after a commit in any process."""

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
# Ids are given out before the commit, so a lower one may appear after a higher one. Ids that were left out are asked
# for until their transaction can hardly be open any more.
_LONGEST_TRANSACTION = timedelta(hours=1)
# What a rollback left out never comes. Such gaps are few; each is a condition of the query.
_GAPS = 200
# What was committed this long before the start is in every grant that has been read since.
_SETTLED = timedelta(seconds=60)


class Feed:
    """Hands every revocation to `apply` once, unless its transaction was open for more than an hour."""

    def __init__(self, database: Database, apply: Callable[[RevocationNotice], Awaitable[None]]) -> None:
        self._database = database
        self._apply = apply
        self._newest: int | None = None
        # Ids below the newest that have not been seen, and since when.
        self._left_out: dict[range, float] = {}
        self._failed: list[RevocationNotice] = []
        self._last_good = time.monotonic()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def silent_seconds(self) -> float:
        """How long the last good poll is ago."""
        return time.monotonic() - self._last_good

    async def run(self) -> None:
        """Poll until cancelled."""
        access_revoked.connect(self._pushed, weak=False)
        listening = asyncio.create_task(revocation_pubsub.listen(self._wake.set), name="revocation push")
        try:
            while True:
                await self._poll()
                await self._pause()
        finally:
            access_revoked.disconnect(self._pushed)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def _pushed(self, **_kwargs: Any) -> None:
        """The signal comes in the thread of whoever committed."""
        self._loop.call_soon_threadsafe(self._wake.set)

    async def _pause(self) -> None:
        """Until the next poll is due; one that was asked for during the last is due now."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    async def _poll(self) -> None:
        """One at a time: a database that is slow or hangs is given up by `Database.run`, its thread with it."""
        started = time.monotonic()
        try:
            notices = await self._rows()
        except Exception as error:  # any error: nothing would start the feed again
            unexpected = not isinstance(error, (DatabaseError, InterfaceError))
            logger.warning(
                "revocation feed is silent for %.0f s: %r", self.silent_seconds(), error, exc_info=unexpected
            )
            return
        due = [*self._failed, *(notice for notice in notices if self._is_due(notice.id))]
        self._failed = [notice for notice in due if not await self._hand_over(notice)]
        if not self._failed:
            self._last_good = started
        self._forget_gaps()

    async def _rows(self) -> list[RevocationNotice]:
        if self._newest is None:
            await self._begin()
        return await self._database.run(revocations_since, self._newest, list(self._left_out))

    async def _begin(self) -> None:
        now = datetime.now(UTC)
        first, *others = await self._database.run(settled_revocations, now - _LONGEST_TRANSACTION, now - _SETTLED)
        self._newest = first
        for number in others:
            self._is_due(number)

    def _is_due(self, number: int) -> bool:
        """Whether this id has not been handed over; from now on it has, and those before it are left out."""
        newest = self._newest or 0
        if number > newest:
            self._newest = number
            self._leave_out(range(newest + 1, number), time.monotonic())
            return True
        gap = next((gap for gap in self._left_out if number in gap), None)
        if gap is None:
            return False
        since = self._left_out.pop(gap)
        self._leave_out(range(gap.start, number), since)
        self._leave_out(range(number + 1, gap.stop), since)
        return True

    def _leave_out(self, gap: range, since: float) -> None:
        if gap:
            self._left_out[gap] = since

    def _forget_gaps(self) -> None:
        oldest = time.monotonic() - _LONGEST_TRANSACTION.total_seconds()
        for gap in [gap for gap, since in self._left_out.items() if since <= oldest] + list(self._left_out)[:-_GAPS]:
            self._left_out.pop(gap, None)

    async def _hand_over(self, notice: RevocationNotice) -> bool:
        """A notice that cannot be applied is kept for the next poll; until then the feed counts as silent."""
        try:
            await self._apply(notice)
        except Exception:
            logger.exception("revocation %d could not be applied", notice.id)
            return False
        return True
