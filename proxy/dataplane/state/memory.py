"""State in the memory of the only worker."""

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import limits

from proxy.dataplane.state.base import COUNTS_SECONDS, Counts, Lease, Report, total


@dataclass(slots=True)
class _Held:
    """A lease, until this time of the monotonic clock."""

    lease: Lease
    until: float


@dataclass(slots=True)
class _Window:
    """A user's moving window: the blocks drawn, each with the time of the monotonic clock at which it counts no more,
    oldest first, and their sum. limits' own has an entry per permit, millions with ten thousand users."""

    blocks: deque[tuple[float, int]] = field(default_factory=deque)
    spent: int = 0

    def forget_ended(self, now: float) -> None:
        while self.blocks and self.blocks[0][0] <= now:
            self.spent -= self.blocks.popleft()[1]


@dataclass(slots=True)
class _Known:
    """A session's counts by its parts, until this time of the monotonic clock."""

    parts: dict[UUID, Counts] = field(default_factory=dict)
    until: float = 0.0


class MemoryState:
    """The state of a gateway with one worker; see `proxy.dataplane.state.base.State`."""

    def __init__(self, rate: limits.RateLimitItem | None) -> None:
        self._leases: dict[UUID, _Held] = {}
        self._counts: dict[UUID, _Known] = {}
        self._rate = rate
        self._windows: dict[UUID, _Window] = {}
        self._spent: dict[str, float] = {}
        self._began = time.time()

    async def acquire_lease(self, token_id: UUID, wanted: Lease, seconds: float) -> Lease | None:
        now = time.monotonic()
        held = self._leases.get(token_id)
        if held is None or held.until <= now:
            self._leases[token_id] = _Held(wanted, now + seconds)
            return wanted
        if held.lease.device != wanted.device:
            return None
        held.until = now + seconds
        return held.lease

    async def lease(self, token_id: UUID) -> Lease | None:
        held = self._leases.get(token_id)
        return held.lease if held is not None and held.until > time.monotonic() else None

    async def release_lease(self, token_id: UUID, notice_id: int) -> Lease | None:
        # The only worker is told once.
        self._leases.pop(token_id, None)
        return None

    async def share_counts(self, reports: Sequence[Report]) -> list[Counts]:
        until = time.monotonic() + COUNTS_SECONDS
        totals = []
        for session_id, part, counts in reports:
            known = self._counts.get(session_id)
            if known is None:
                known = self._counts[session_id] = _Known()
            known.parts[part], known.until = counts, until
            totals.append(counts if len(known.parts) == 1 else total(known.parts.values()))
        return totals

    async def counts(self, session_id: UUID) -> Counts | None:
        known = self._counts.get(session_id)
        return total(known.parts.values()) if known else None

    async def draw_permits(self, user_id: UUID, count: int) -> bool:
        if self._rate is None:
            return True
        window, now = self._windows.get(user_id), time.monotonic()
        if window is None:
            window = self._windows[user_id] = _Window()
        window.forget_ended(now)
        if window.spent + count > self._rate.amount:
            return False
        window.blocks.append((now + self._rate.get_expiry(), count))
        window.spent += count
        return True

    async def seconds_until_permit(self, user_id: UUID) -> int:
        window, now = self._windows.get(user_id), time.monotonic()
        return max(1, math.ceil(window.blocks[0][0] - now)) if window and window.blocks else 1

    async def spend(self, code: str, issued: float, seconds: float) -> bool:
        # What was used before there was this memory is not known.
        if issued < self._began or code in self._spent:
            return False
        self._spent[code] = time.monotonic() + seconds
        return True

    def forget_ended(self) -> None:
        now = time.monotonic()
        for token_id in [token_id for token_id, held in self._leases.items() if held.until <= now]:
            del self._leases[token_id]
        for user_id, window in list(self._windows.items()):
            window.forget_ended(now)
            if not window.blocks:
                del self._windows[user_id]
        for session_id in [session_id for session_id, known in self._counts.items() if known.until <= now]:
            del self._counts[session_id]
        for code in [code for code, until in self._spent.items() if until <= now]:
            del self._spent[code]

    async def close(self) -> None:
        """Nothing to close."""
