"""Rate permits, drawn from the shared moving window in small blocks."""

import asyncio
import time
from dataclasses import dataclass
from uuid import UUID
from weakref import WeakValueDictionary

import limits

from proxy.dataplane.errors import RATE_LIMITED, Denied
from proxy.dataplane.state.base import State

_LARGEST_BLOCK = 1024


@dataclass(slots=True, weakref_slot=True, eq=False)
class Block:
    """A user's permits that were drawn and not spent: so many, until this time of the monotonic clock."""

    user_id: UUID
    left: int = 0
    until: float = 0.0
    # While more are being drawn.
    drawing: asyncio.Future[None] | None = None


class Permits:
    """Spends users' permits. A block is at most 1 % of the limit and lives a tenth of the window, so that the count
    is within 10 % of exact across workers while most requests ask nobody."""

    def __init__(self, state: State, rate: limits.RateLimitItem | None) -> None:
        self._state = state
        self._limited = rate is not None
        self._size = max(1, min(rate.amount // 100, _LARGEST_BLOCK)) if rate else 0
        self._life = rate.get_expiry() / 10 if rate else 0
        self._blocks: WeakValueDictionary[UUID, Block] = WeakValueDictionary()

    def block(self, user_id: UUID) -> Block:
        """The user's block, one for all who hold it; what is left of it goes with the last of them."""
        block = self._blocks.get(user_id)
        if block is None:
            block = self._blocks[user_id] = Block(user_id)
        return block

    async def take(self, block: Block) -> None:
        """Spend one permit; raises `Denied` (`rate_limited`, with the seconds to wait) where none is left."""
        while self._limited and not _spend(block):
            if block.drawing is None:
                await self._draw(block)
                return
            # One draw for all who wait: what another draws would be lost.
            await asyncio.shield(block.drawing)

    async def _draw(self, block: Block) -> None:
        """Draw more, and spend one of them."""
        drawing = block.drawing = asyncio.get_running_loop().create_future()
        try:
            if await self._state.draw_permits(block.user_id, self._size):
                block.left, block.until = self._size - 1, time.monotonic() + self._life
            elif self._size == 1 or not await self._state.draw_permits(block.user_id, 1):
                raise Denied(RATE_LIMITED, retry_after=await self._state.seconds_until_permit(block.user_id))
        finally:
            block.drawing = None
            drawing.set_result(None)


def _spend(block: Block) -> bool:
    if block.left == 0 or block.until <= time.monotonic():
        return False
    block.left -= 1
    return True
