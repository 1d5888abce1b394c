"""Rate permits, drawn from the shared moving window in small blocks."""

import asyncio
import time
from dataclasses import dataclass
from uuid import UUID
from weakref import WeakValueDictionary

import limits

from proxy.dataplane.denials import RATE_LIMITED, Denied
from proxy.dataplane.state.base import State

_LARGEST_BLOCK = 256


@dataclass(slots=True)
class _Block:
    """Permits of a user that are left, until this time of the monotonic clock."""

    left: int
    until: float


class Permits:
    """Spends a user's permits. A block is at most 1 % of the limit and lives a tenth of the window, so that the
    count is within 10 % of exact across workers while most requests ask nobody."""

    def __init__(self, state: State, rate: limits.RateLimitItem | None) -> None:
        self._state = state
        self._limited = rate is not None
        self._block = max(1, min(rate.amount // 100, _LARGEST_BLOCK)) if rate else 0
        self._life = rate.get_expiry() / 10 if rate else 0
        self._held: dict[UUID, _Block] = {}
        self._drawing: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def take(self, user_id: UUID) -> None:
        """Spend one permit; raises `Denied` (`rate_limited`, with the seconds to wait) where none is left."""
        if not self._limited or self._spend(user_id):
            return
        # One draw for all who wait: each block that another overwrote would be lost.
        async with self._drawing.setdefault(user_id, asyncio.Lock()):
            if not self._spend(user_id):
                await self._draw(user_id)

    def _spend(self, user_id: UUID) -> bool:
        block = self._held.get(user_id)
        if block is None or block.left == 0 or block.until <= time.monotonic():
            return False
        block.left -= 1
        return True

    async def _draw(self, user_id: UUID) -> None:
        if await self._state.draw_permits(user_id, self._block):
            self._held[user_id] = _Block(self._block - 1, time.monotonic() + self._life)
        elif self._block == 1 or not await self._state.draw_permits(user_id, 1):
            raise Denied(RATE_LIMITED, retry_after=await self._state.seconds_until_permit(user_id))

    def forget_unused(self) -> None:
        """Drop the blocks whose life is over."""
        now = time.monotonic()
        for user_id in [user_id for user_id, block in self._held.items() if block.until <= now]:
            del self._held[user_id]
