"""State in the memory of the only worker."""

import math
import time
from uuid import UUID

import limits
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter


class MemoryState:
    """Leases and permits of a gateway with one worker; see `proxy.dataplane.state.base.State`."""

    def __init__(self, rate: limits.RateLimitItem | None) -> None:
        self._leases: dict[UUID, tuple[str, float]] = {}
        self._rate = rate
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def acquire_lease(self, token_id: UUID, device: str, seconds: float) -> bool:
        now = time.monotonic()
        lease = self._leases.get(token_id)
        if lease is not None and lease[0] != device and lease[1] > now:
            return False
        self._leases[token_id] = (device, now + seconds)
        return True

    async def lease_holder(self, token_id: UUID) -> str | None:
        lease = self._leases.get(token_id)
        return lease[0] if lease is not None and lease[1] > time.monotonic() else None

    async def release_lease(self, token_id: UUID) -> None:
        self._leases.pop(token_id, None)

    async def draw_permits(self, user_id: UUID, count: int) -> bool:
        return self._rate is None or await self._limiter.hit(self._rate, str(user_id), cost=count)

    async def seconds_until_permit(self, user_id: UUID) -> int:
        if self._rate is None:
            return 1
        window = await self._limiter.get_window_stats(self._rate, str(user_id))
        return max(1, math.ceil(window.reset_time - time.time()))

    def forget_ended_leases(self) -> None:
        """Drop the leases that ended, so that memory follows the tokens in use."""
        now = time.monotonic()
        for token_id in [token_id for token_id, lease in self._leases.items() if lease[1] <= now]:
            del self._leases[token_id]
