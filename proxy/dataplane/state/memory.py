"""State in memory, for a gateway with one worker."""

import math
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import limits

from proxy.dataplane.state.base import COUNTS_SECONDS, Counts, Lease, Report, total


@dataclass(slots=True)
class _Held:
    """A lease; `until` is a time of the monotonic clock."""

    lease: Lease
    until: float


@dataclass(slots=True)
class _KnownCounts:
    """The counts of a session by part; `until` is a time of the monotonic clock."""

    parts: dict[int, Counts] = field(default_factory=dict)
    until: float = 0.0


def _never_silent(_token_id: UUID, _lease: Lease) -> float:
    return math.inf


class MemoryState:
    """See `proxy.dataplane.state.base.State`.

    Keys are the integers of UUIDs: hashing a UUID runs Python code each time.
    """

    # No other worker can take a token, and the memory does not lose a lease.
    lease_memo = math.inf

    def __init__(
        self, rate: limits.RateLimitItem | None, seconds_left: Callable[[UUID, Lease], float] = _never_silent
    ) -> None:
        """Take the rate limit, and a function that returns the seconds for which an idle device keeps its lease."""
        self._leases: dict[int, _Held] = {}
        self._seconds_left = seconds_left
        self._counts: dict[int, _KnownCounts] = {}
        self._rate = rate
        # Moving windows by user: for each drawn block the monotonic time at which it expires, then its permits;
        # oldest first, like in Redis.
        self._windows: dict[int, array[float]] = {}
        self._spent: dict[str, float] = {}
        self._began = time.time()

    async def acquire_lease(self, token_id: UUID, wanted: Lease, seconds: float) -> Lease | None:
        until = time.monotonic() + seconds
        held = self._held(token_id)
        if held is None:
            self._leases[token_id.int] = _Held(wanted, until)
            return wanted
        if held.lease.device != wanted.device:
            return None
        held.until = until
        return held.lease

    async def lease(self, token_id: UUID) -> Lease | None:
        held = self._held(token_id)
        return held.lease if held is not None else None

    def _held(self, token_id: UUID) -> _Held | None:
        held = self._leases.get(token_id.int)
        if held is None or held.until <= time.monotonic() or self._seconds_left(token_id, held.lease) <= 0:
            return None
        return held

    async def release_lease(self, token_id: UUID, notice_id: int) -> Lease | None:  # noqa: ARG002
        # With one worker each notice comes once.
        self._leases.pop(token_id.int, None)
        return None

    async def share_counts(self, reports: Sequence[Report]) -> list[Counts]:
        until = time.monotonic() + COUNTS_SECONDS
        totals = []
        for session_id, part, counts in reports:
            known = self._counts.get(session_id.int)
            if known is None:
                known = self._counts[session_id.int] = _KnownCounts()
            known.parts[part.int], known.until = counts, until
            totals.append(counts if len(known.parts) == 1 else total(known.parts.values()))
        return totals

    async def counts(self, session_id: UUID) -> Counts | None:
        known = self._counts.get(session_id.int)
        return total(known.parts.values()) if known else None

    async def draw_permits(self, user_id: UUID, count: int) -> bool:
        if self._rate is None:
            return True
        window, now = self._windows.get(user_id.int), time.monotonic()
        if window is None:
            window = self._windows[user_id.int] = array("d")
        _forget_ended(window, now)
        if sum(window[1::2]) + count > self._rate.amount:
            return False
        window.extend((now + self._rate.get_expiry(), count))
        return True

    async def seconds_until_permit(self, user_id: UUID) -> int:
        window, now = self._windows.get(user_id.int), time.monotonic()
        return max(1, math.ceil(window[0] - now)) if window else 1

    async def spend(self, code: str, issued: float, seconds: float) -> bool:
        # Codes that were used before this process started are not known.
        if issued < self._began or code in self._spent:
            return False
        self._spent[code] = time.monotonic() + seconds
        return True

    def forget_ended(self) -> None:
        now = time.monotonic()
        for token_id in [token_id for token_id, held in self._leases.items() if held.until <= now]:
            del self._leases[token_id]
        for user_id, window in list(self._windows.items()):
            _forget_ended(window, now)
            if not window:
                del self._windows[user_id]
        for session_id in [session_id for session_id, known in self._counts.items() if known.until <= now]:
            del self._counts[session_id]
        for code in [code for code, until in self._spent.items() if until <= now]:
            del self._spent[code]

    async def close(self) -> None:
        """Do nothing: there are no connections."""


def _forget_ended(window: "array[float]", now: float) -> None:
    while window and window[0] <= now:
        del window[:2]
