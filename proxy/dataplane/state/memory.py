"""State in the memory of the only worker."""

import math
import time
from bisect import bisect_left
from collections.abc import Sequence
from uuid import UUID

import limits
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from proxy.dataplane.state.base import COUNTS_SECONDS, Counts, Lease, Report, total


class _Windows(MemoryStorage):
    """limits' moving windows without their own expiry, which goes round all keys without end, into a thread for each.

    Tested against the pinned limits; it relies on `events`, the entries of a key with the newest first, on `locks`,
    and on the name of the method that begins the expiry.
    """

    async def _MemoryStorage__schedule_expiry(self) -> None:
        """`forget_ended` does it."""

    def forget_ended(self) -> None:
        now = time.time()
        for key, entries in list(self.events.items()):
            ended = bisect_left(entries, -now, key=lambda entry: -entry.expiry)
            del entries[ended:]
            if not entries:
                del self.events[key]
                self.locks.pop(key, None)


class MemoryState:
    """The state of a gateway with one worker; see `proxy.dataplane.state.base.State`."""

    def __init__(self, rate: limits.RateLimitItem | None) -> None:
        self._leases: dict[UUID, tuple[Lease, float]] = {}
        self._counts: dict[UUID, tuple[dict[UUID, Counts], float]] = {}
        self._rate = rate
        self._windows = _Windows()
        self._limiter = MovingWindowRateLimiter(self._windows)

    async def acquire_lease(self, token_id: UUID, wanted: Lease, seconds: float) -> Lease | None:
        held = await self.lease(token_id) or wanted
        if held.device != wanted.device:
            return None
        self._leases[token_id] = (held, time.monotonic() + seconds)
        return held

    async def lease(self, token_id: UUID) -> Lease | None:
        held, until = self._leases.get(token_id, (None, 0.0))
        return held if until > time.monotonic() else None

    async def release_lease(self, token_id: UUID, notice_id: int) -> Lease | None:
        # The only worker is told once.
        self._leases.pop(token_id, None)
        return None

    async def share_counts(self, reports: Sequence[Report]) -> list[Counts]:
        until = time.monotonic() + COUNTS_SECONDS
        totals = []
        for session_id, part, counts in reports:
            known = self._counts.get(session_id)
            parts = known[0] if known else {}
            parts[part] = counts
            self._counts[session_id] = (parts, until)
            totals.append(counts if len(parts) == 1 else total(parts.values()))
        return totals

    async def counts(self, session_id: UUID) -> Counts | None:
        known = self._counts.get(session_id)
        return total(known[0].values()) if known else None

    async def draw_permits(self, user_id: UUID, count: int) -> bool:
        return self._rate is None or await self._limiter.hit(self._rate, str(user_id), cost=count)

    async def seconds_until_permit(self, user_id: UUID) -> int:
        if self._rate is None:
            return 1
        window = await self._limiter.get_window_stats(self._rate, str(user_id))
        return max(1, math.ceil(window.reset_time - time.time()))

    def forget_ended(self) -> None:
        self._windows.forget_ended()
        now = time.monotonic()
        for token_id in [token_id for token_id, (_, until) in self._leases.items() if until <= now]:
            del self._leases[token_id]
        for session_id in [session_id for session_id, (_, until) in self._counts.items() if until <= now]:
            del self._counts[session_id]

    async def close(self) -> None:
        """Nothing to close."""
