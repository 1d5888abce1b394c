"""What is being carried now, by token, so that a revocation reaches it."""

import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import Protocol
from uuid import UUID

from proxy.dataplane.admission.grant_cache import Grant
from proxy.dataplane.errors import TOO_MANY_CONNECTIONS, Denial, Denied
from proxy.dataplane.sessions.accounting import Session

_KEPT_DELAYS = 100_000


class Carry(Protocol):
    """A request or WebSocket in flight."""

    grant: Grant
    session: Session

    def cut(self, denial: Denial) -> bool:
        """End it now, for this reason; False where it is ending already."""

    def overdue(self, now: float) -> Denial | None:
        """Why it has waited for too long at loop time `now`, if it has."""


class Registry:
    """Every live carry is in here from its admission to its end."""

    def __init__(self, limit_per_token: int) -> None:
        self.cuts: Counter[str] = Counter()
        # Code and delay in seconds of the cuts whose cause has a time, for whoever shows them.
        self.cut_delays: deque[tuple[str, float]] = deque(maxlen=_KEPT_DELAYS)
        self._limit = limit_per_token
        # By the token's id as the upstream gets it, whose hash is known, where a UUID would work it out each time.
        self._live: dict[bytes, set[Carry]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._live.values()))

    def add(self, carry: Carry) -> None:
        """Raises `Denied` (`too_many_connections`)."""
        token = carry.grant.token_header
        live = self._live.get(token)
        if live is None:
            live = self._live[token] = set()
        elif len(live) >= self._limit:
            raise Denied(TOO_MANY_CONNECTIONS, retry_after=1)
        live.add(carry)
        carry.session.streams += 1
        carry.session.requests += 1
        carry.session.active = time.time()

    def remove(self, carry: Carry) -> None:
        token = carry.grant.token_header
        live = self._live.get(token)
        if live is not None and carry in live:
            live.remove(carry)
            carry.session.streams -= 1
            if not live:
                del self._live[token]

    def all(self) -> Iterator[Carry]:
        for live in list(self._live.values()):
            yield from list(live)

    def cut(self, carry: Carry, denial: Denial, since: float | None = None) -> None:
        """End one carry, and count it by the reason's code; `since` is when it should have ended, in Unix time."""
        if carry.cut(denial):
            self.cuts[denial.code] += 1
            if since is not None:
                self.cut_delays.append((denial.code, max(0.0, time.time() - since)))

    def cut_token(self, token_id: UUID, denial: Denial, since: float, kept: Session | None = None) -> None:
        for carry in list(self._live.get(str(token_id).encode(), ())):
            if kept is None or carry.session is not kept:
                self.cut(carry, denial, since)

    def cut_user(self, user_id: UUID, denial: Denial, since: float) -> None:
        for carry in self.all():
            if carry.grant.user_id == user_id:
                self.cut(carry, denial, since)

    def cut_expired(self, denial: Denial, now: float) -> None:
        """End what had outlived its token at `now`, in Unix time."""
        for carry in self.all():
            if carry.grant.deadline <= now:
                self.cut(carry, denial, carry.grant.deadline)
