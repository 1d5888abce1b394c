"""What the workers of a gateway must agree on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import UUID

# A session's counts are kept for this long after they were last told.
COUNTS_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Lease:
    """A device's hold on a token, and the session that began with it (`started` is Unix time)."""

    device: str
    session_id: UUID
    started: float


class Counts(NamedTuple):
    """What was carried of a session: Unix time of the last activity, bytes in both directions, requests."""

    active: float
    bytes: int
    requests: int


class Report(NamedTuple):
    """What one worker carried of a session. Every stretch that is counted from zero is a part of its own."""

    session_id: UUID
    part: UUID
    counts: Counts


class State(Protocol):
    """Device leases, sessions' counts and rate permits. Every method may raise `StateUnavailable`."""

    # For how many seconds at most who holds a token may be believed to hold it, without asking again.
    lease_memo: float

    async def acquire_lease(self, token_id: UUID, wanted: Lease, seconds: float) -> Lease | None:
        """Take the token for a device, or renew its hold, for this long; None while another device holds it. Atomic.

        What is renewed keeps its own session; `wanted` names the one that begins otherwise.
        """

    async def lease(self, token_id: UUID) -> Lease | None:
        """Who holds the token now."""

    async def release_lease(self, token_id: UUID, notice_id: int) -> Lease | None:
        """Free the token from the session that held it when the first worker told of this notice; gives who holds it
        now. However late another worker tells, whoever came next keeps it."""

    async def share_counts(self, reports: Sequence[Report]) -> list[Counts]:
        """Tell what this worker carried; gives for each report what all workers carried of its session."""

    async def counts(self, session_id: UUID) -> Counts | None:
        """What all workers told of a session."""

    async def draw_permits(self, user_id: UUID, count: int) -> bool:
        """Take `count` permits of the user's moving window; False, taking none, where fewer are left."""

    async def seconds_until_permit(self, user_id: UUID) -> int:
        """Whole seconds until the window has a permit again, at least 1."""

    async def spend(self, code: str, issued: float, seconds: float) -> bool:
        """Whether a code of this Unix time is used for the first time; it is known as used for this long. Atomic."""

    def forget_ended(self) -> None:
        """Drop what has ended and is kept in this process, so that memory follows the tokens in use."""

    async def close(self) -> None:
        """Close its connections."""


class StateUnavailable(Exception):
    """The state store cannot be reached."""


def total(parts: Iterable[Counts]) -> Counts:
    """What several workers carried of one session."""
    active, size, requests = zip(*parts, strict=True)
    return Counts(max(active), sum(size), sum(requests))
