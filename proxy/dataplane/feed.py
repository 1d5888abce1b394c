"""The feed of revocations: the outbox, polled each second and at once after a commit in this process."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from access.selectors import RevocationNotice, revocations_since
from access.signals import access_revoked
from proxy.dataplane.database import Database

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# A poll looks back this far behind the last good one, because a row becomes visible only at its commit.
_OVERLAP = timedelta(seconds=60)


class Feed:
    """Hands every revocation to `apply` once, in order."""

    def __init__(self, database: Database, apply: Callable[[RevocationNotice], Awaitable[None]]) -> None:
        self._database = database
        self._apply = apply
        self._seen: dict[int, datetime] = {}
        self._since = datetime.now(UTC) - _OVERLAP
        self._last_good = time.monotonic()
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def silent_seconds(self) -> float:
        """How long the last good poll is ago."""
        return time.monotonic() - self._last_good

    async def run(self) -> None:
        """Poll until cancelled."""
        access_revoked.connect(self._pushed, weak=False)
        try:
            while True:
                await self._poll()
                await self._pause()
        finally:
            access_revoked.disconnect(self._pushed)

    def _pushed(self, **_kwargs: Any) -> None:
        """The signal comes in the thread of whoever committed."""
        self._loop.call_soon_threadsafe(self._wake.set)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    async def _poll(self) -> None:
        started, at = time.monotonic(), datetime.now(UTC)
        try:
            async with asyncio.timeout(5 * POLL_SECONDS):
                notices = await self._database.run(revocations_since, self._since)
        except Exception as error:  # whatever it is: a feed that ended would never recover
            logger.warning("revocation feed is silent for %.0f s: %r", self.silent_seconds(), error)
            return
        new = [notice for notice in notices if notice.id not in self._seen]
        for notice in new:
            await self._hand_over(notice, at)
        if any(notice.id not in self._seen for notice in new):
            return
        self._last_good, self._since = started, at - _OVERLAP
        for known in [known for known, when in self._seen.items() if when < at - 3 * _OVERLAP]:
            del self._seen[known]

    async def _hand_over(self, notice: RevocationNotice, at: datetime) -> None:
        """A notice that cannot be applied is kept for the next poll; until then the feed counts as silent."""
        try:
            await self._apply(notice)
        except Exception:
            logger.exception("revocation %d could not be applied", notice.id)
        else:
            self._seen[notice.id] = at
