"""HTTP exchanges and WebSocket relays in flight, by token, so that a revocation reaches them."""

import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import Protocol
from uuid import UUID

from proxy.dataplane.errors import TOO_MANY_CONNECTIONS, Denial, Denied
from proxy.dataplane.records import Grant, Session

_MAX_DELAYS = 100_000


class InFlight(Protocol):
    """An HTTP exchange or a WebSocket relay in flight."""

    grant: Grant
    session: Session

    def cut(self, denial: Denial) -> bool:
        """End it now for this reason, and return False if it is already ending."""

    def overdue(self, now: float) -> Denial | None:
        """Return the reason to end it if it has waited too long at `now`, a time of the event loop."""


class InFlightRegistry:
    """All exchanges and relays of this worker, from their admission to their end."""

    def __init__(self, limit_per_token: int) -> None:
        self.cuts: Counter[str] = Counter()
        # Code and delay in seconds of each cut whose cause has a time; the metrics take them from here.
        self.cut_delays: deque[tuple[str, float]] = deque(maxlen=_MAX_DELAYS)
        self._limit = limit_per_token
        # By the token's id as bytes: they keep their hash, while a UUID computes it each time.
        self._by_token: dict[bytes, set[InFlight]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._by_token.values()))

    def add(self, item: InFlight) -> None:
        """Register an exchange or relay, and count it. Raises `Denied` (`too_many_connections`)."""
        token = item.grant.token_header
        items = self._by_token.get(token)
        if items is None:
            items = self._by_token[token] = set()
        elif len(items) >= self._limit:
            raise Denied(TOO_MANY_CONNECTIONS, retry_after=1)
        items.add(item)
        item.session.in_flight += 1
        item.session.requests += 1
        item.session.last_active_at = time.time()

    def remove(self, item: InFlight) -> None:
        """Remove an exchange or relay that ended."""
        token = item.grant.token_header
        items = self._by_token.get(token)
        if items is not None and item in items:
            items.remove(item)
            item.session.in_flight -= 1
            if not items:
                del self._by_token[token]

    def all(self) -> Iterator[InFlight]:
        """Yield everything in flight; items may be added and removed meanwhile."""
        for items in list(self._by_token.values()):
            yield from list(items)

    def cut(self, item: InFlight, denial: Denial, since: float | None = None) -> None:
        """End one item and count it by the reason's code; `since` is the Unix time at which it should have ended."""
        if item.cut(denial):
            self.cuts[denial.code] += 1
            if since is not None:
                self.cut_delays.append((denial.code, max(0.0, time.time() - since)))

    def cut_token(self, token_id: UUID, denial: Denial, since: float, kept: Session | None = None) -> None:
        """End everything of a token, except for the session `kept`."""
        for item in list(self._by_token.get(str(token_id).encode(), ())):
            if kept is None or item.session is not kept:
                self.cut(item, denial, since)

    def cut_user(self, user_id: UUID, denial: Denial, since: float) -> None:
        """End everything of a user."""
        for item in self.all():
            if item.grant.user_id == user_id:
                self.cut(item, denial, since)

    def cut_session(self, session: Session, denial: Denial) -> None:
        """End everything of a session."""
        for item in self.all():
            if item.session is session:
                self.cut(item, denial)

    def cut_expired(self, denial: Denial, now: float) -> None:
        """End everything whose token had expired at `now`, a Unix time."""
        for item in self.all():
            if item.grant.deadline <= now:
                self.cut(item, denial, item.grant.deadline)

    def cut_overdue(self, now: float) -> None:
        """End everything that has waited too long at `now`, a time of the event loop."""
        for item in self.all():
            denial = item.overdue(now)
            if denial is not None:
                self.cut(item, denial)
