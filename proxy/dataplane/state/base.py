"""The interface of the state that the workers of a gateway share: leases, counts, permits and spent codes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

# How long the counts of a session are kept after the last report, in seconds.
COUNTS_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Lease:
    """A device's hold on a token, and the session that began with it (`started` is a Unix time)."""

    device: str
    session_id: UUID
    started: float


class Counts(NamedTuple):
    """The traffic of a session: Unix time of the last activity, bytes in both directions, number of requests."""

    active: float
    bytes: int
    requests: int


class Report(NamedTuple):
    """One worker's counts of a session; `part` identifies a counter that began at zero."""

    session_id: UUID
    part: UUID
    counts: Counts


class State(Protocol):
    """Device leases, sessions' counts and rate permits. Every method may raise `StateUnavailable`."""

    # How long a worker may trust a confirmed lease without asking again, in seconds.
    lease_memo: float

    async def acquire_lease(self, token_id: UUID, wanted: Lease, seconds: float) -> Lease | None:
        """Take the token for a device, or renew its lease, and return the lease; None if another device holds it.

        Atomic. A renewed lease keeps its session; otherwise the session of `wanted` begins.
        """

    async def lease(self, token_id: UUID) -> Lease | None:
        """Return the current lease of the token, or None if it is free."""

    async def release_lease(self, token_id: UUID, notice_id: int) -> Lease | None:
        """Free the token from the session that held it when the first worker reported this notice.

        Return the current lease. A device that took the token since keeps it, even if another worker reports late.
        """

    async def share_counts(self, reports: Sequence[Report]) -> list[Counts]:
        """Store this worker's counts, and return for each report the counts of all workers for its session."""

    async def counts(self, session_id: UUID) -> Counts | None:
        """Return the counts of all workers for a session, or None if there are none."""

    async def draw_permits(self, user_id: UUID, count: int) -> bool:
        """Take `count` permits of the user's moving window; return False and take none if fewer are left."""

    async def seconds_until_permit(self, user_id: UUID) -> int:
        """Return the whole seconds until the window has a permit again, at least 1."""

    async def spend(self, code: str, issued: float, seconds: float) -> bool:
        """Mark a code as used for `seconds`, and return whether this is its first use. Atomic.

        `issued` is the Unix time at which the code was issued.
        """

    def forget_ended(self) -> None:
        """Drop ended leases, windows and counts from the memory of this process."""

    async def close(self) -> None:
        """Close the connections to the store."""


class StateUnavailable(Exception):
    """The state store cannot be reached."""


def total(parts: Iterable[Counts]) -> Counts:
    """Return the counts of one session from those of its parts."""
    active, size, requests = zip(*parts, strict=True)
    return Counts(max(active), sum(size), sum(requests))
