"""The data plane's records of a token in use: its grant, the session that counts its traffic, the user's permits."""

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from uuid import UUID

from proxy.dataplane.errors import INVALID_TOKEN, TOKEN_EXPIRED, Denial, Denied
from proxy.dataplane.state.base import Counts, Lease, Report


@dataclass(slots=True, weakref_slot=True, eq=False)
class PermitBlock:
    """Rate permits of a user that this worker has drawn and not spent."""

    user_id: UUID
    left: int = 0
    until: float = 0.0  # by the monotonic clock
    drawing: asyncio.Future[None] | None = None  # set while a request draws more permits


@dataclass(slots=True, eq=False)
class Grant:
    """The cached facts that admit one token.

    `valid` becomes False when the grant leaves the cache: a revocation concerns it, or the cache is full.

    The grant also holds the state that each request of the token needs (the last confirmed lease, the session, the
    user's permits): with ten thousand tokens in use, one object per token is faster than four dictionaries.
    """

    digest: str  # SHA-256 of the token, in hexadecimal
    token_id: UUID
    user_id: UUID
    scope: str
    deadline: float  # Unix time
    expires_header: bytes
    user_header: bytes
    token_header: bytes
    denial: Denial | None
    activated: bool
    valid: bool = True
    lease: Lease | None = None
    lease_confirmed_at: float = 0.0  # by the monotonic clock
    session: "Session | None" = None
    permits: PermitBlock | None = None

    @property
    def seconds_left(self) -> float:
        """Return the seconds until the token expires; negative if it has expired."""
        return self.deadline - time.time()

    def check_active(self) -> None:
        """Raise `Denied` if the token is revoked, expired or frozen, or its user is blocked."""
        if self.deadline <= time.time() and self.denial is not INVALID_TOKEN:
            raise Denied(TOKEN_EXPIRED)
        if self.denial is not None:
            raise Denied(self.denial)


@dataclass(slots=True)
class TrafficTotal:
    """The bytes that all sessions of this worker transferred since its start, in both directions."""

    bytes: int = 0


@dataclass(eq=False, slots=True)
class Session:
    """This worker's part of a session: a period in which one device uses a token."""

    total: TrafficTotal
    grant: Grant
    lease: Lease
    ip: str | None
    user_agent: str
    part: UUID = field(default_factory=uuid.uuid4)
    last_active_at: float = field(default_factory=time.time)  # Unix time
    bytes: int = 0
    requests: int = 0
    in_flight: int = 0  # exchanges and relays
    written: Counts | None = None  # the counts that were last shared and written

    @property
    def counts(self) -> Counts:
        """Return what this worker has counted so far."""
        return Counts(self.last_active_at, self.bytes, self.requests)

    def report(self, counts: Counts) -> Report:
        """Return `counts` as this worker's report to the state store."""
        return Report(self.lease.session_id, self.part, counts)

    @property
    def is_written(self) -> bool:
        """Return whether the database has all that was counted."""
        return self.written is not None and self.written == (self.last_active_at, self.bytes, self.requests)

    @property
    def is_over(self) -> bool:
        """Return whether nothing is in flight and the database has all that was counted."""
        return not self.in_flight and self.is_written

    def count_bytes(self, count: int) -> None:
        """Count bytes that were transferred in either direction; data is activity."""
        self.bytes += count
        self.total.bytes += count
        self.last_active_at = time.time()
