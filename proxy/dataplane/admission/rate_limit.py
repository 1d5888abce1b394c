"""Rate permits, drawn from the shared moving window in small blocks."""

import asyncio
import time
from uuid import UUID
from weakref import WeakValueDictionary

import limits

from proxy.dataplane.errors import RATE_LIMITED, Denied
from proxy.dataplane.records import PermitBlock
from proxy.dataplane.state.base import State

_MAX_BLOCK_SIZE = 1024


class RateLimiter:
    """Spends the permits of users.

    A block is at most 1 % of the limit and lasts a tenth of the window, so the count is within 10 % of exact across
    workers, while most requests need no call to the state store.
    """

    def __init__(self, state: State, rate: limits.RateLimitItem | None) -> None:
        self._state = state
        self._is_limited = rate is not None
        self._block_size = max(1, min(rate.amount // 100, _MAX_BLOCK_SIZE)) if rate else 0
        self._block_seconds = rate.get_expiry() / 10 if rate else 0
        self._blocks: WeakValueDictionary[UUID, PermitBlock] = WeakValueDictionary()

    def block_of(self, user_id: UUID) -> PermitBlock:
        """Return the user's block, shared by all grants of the user; it disappears with the last of them."""
        block = self._blocks.get(user_id)
        if block is None:
            block = self._blocks[user_id] = PermitBlock(user_id)
        return block

    async def spend(self, block: PermitBlock) -> None:
        """Spend one permit. Raises `Denied` (`rate_limited`, with the seconds to wait) if none is left."""
        while self._is_limited and not _spend(block):
            if block.drawing is None:
                await self._draw(block)
                return
            # All waiting requests share one draw; a second draw would replace its permits.
            await asyncio.shield(block.drawing)

    async def _draw(self, block: PermitBlock) -> None:
        """Draw permits and spend one of them."""
        drawing = block.drawing = asyncio.get_running_loop().create_future()
        try:
            if await self._state.draw_permits(block.user_id, self._block_size):
                block.left, block.until = self._block_size - 1, time.monotonic() + self._block_seconds
            elif self._block_size == 1 or not await self._state.draw_permits(block.user_id, 1):
                raise Denied(RATE_LIMITED, retry_after=await self._state.seconds_until_permit(block.user_id))
        finally:
            block.drawing = None
            drawing.set_result(None)


def _spend(block: PermitBlock) -> bool:
    """Spend one permit of the block, and return whether there was one."""
    if block.left == 0 or block.until <= time.monotonic():
        return False
    block.left -= 1
    return True
