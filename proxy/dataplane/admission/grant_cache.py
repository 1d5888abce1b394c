"""Grants: what a token admits, cached per worker for as long as the revocation feed is alive."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from access import services
from access.selectors import GrantFacts, grant_facts
from proxy.dataplane.admission.rate_limit import Block
from proxy.dataplane.database import Database
from proxy.dataplane.errors import (
    INVALID_TOKEN,
    TOKEN_EXPIRED,
    TOKEN_FROZEN,
    USER_INACTIVE,
    Denial,
    Denied,
)
from proxy.dataplane.state.base import Lease
from zenzefi.common.iso_times import iso_time

if TYPE_CHECKING:
    from proxy.dataplane.sessions.accounting import Session

_CACHED_GRANTS = 100_000
_CACHED_MISSES = 10_000
# Long enough to spare the database a burst of the same wrong token.
_MISS_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class Grant:
    """One token's admission. `valid` turns False once it is out of the cache, wherever it is held: by a
    revocation that concerns it, or because the cache is full.

    It also has what a request needs of the token, so that ten thousand tokens in use are not looked for in as many
    places of the memory: the lease as it was last confirmed, the session, the permits of its user.
    """

    digest: str
    token_id: UUID
    user_id: UUID
    scope: str
    deadline: float
    expires_header: bytes
    user_header: bytes
    token_header: bytes
    denial: Denial | None
    activated: bool
    valid: bool = True
    lease: Lease | None = None
    confirmed: float = 0.0  # by the monotonic clock
    session: "Session | None" = None
    block: Block | None = None

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.time()

    def check_active(self) -> None:
        """Raise `Denied` for a token that is revoked, expired or frozen, or whose user is blocked."""
        if self.deadline <= time.time() and self.denial is not INVALID_TOKEN:
            raise Denied(TOKEN_EXPIRED)
        if self.denial is not None:
            raise Denied(self.denial)


def _grant(digest: str, facts: GrantFacts) -> Grant:
    return Grant(
        digest=digest,
        token_id=facts.token_id,
        user_id=facts.user_id,
        scope=facts.scope,
        deadline=facts.expires_at.timestamp(),
        expires_header=iso_time(facts.expires_at, "seconds").encode(),
        user_header=str(facts.user_id).encode(),
        token_header=str(facts.token_id).encode(),
        denial=_standing_denial(facts),
        activated=facts.activated,
    )


def _standing_denial(facts: GrantFacts) -> Denial | None:
    """What stays true until a revocation notice says otherwise."""
    if facts.revoked:
        return INVALID_TOKEN
    if not facts.user_active:
        return USER_INACTIVE
    return TOKEN_FROZEN if facts.frozen else None


class Grants:
    """The cache of grants by digest; behind it one database read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_digest: dict[str, Grant] = {}
        self._by_token: dict[UUID, Grant] = {}
        self._by_user: dict[UUID, set[Grant]] = {}
        self._misses: dict[str, float] = {}
        self._loading: dict[str, asyncio.Task[Grant | None]] = {}
        self._notices = 0

    def __len__(self) -> int:
        return len(self._by_digest)

    def cached(self, digest: str) -> Grant | None:
        return self._by_digest.get(digest)

    def of_token(self, token_id: UUID) -> Grant | None:
        """The grant of a token, where it is cached."""
        return self._by_token.get(token_id)

    def known_missing(self, digest: str) -> bool:
        """Whether this digest was looked up in vain a moment ago."""
        until = self._misses.get(digest)
        return until is not None and until > time.monotonic()

    async def load(self, digest: str) -> Grant | None:
        """Read from the database, once for all who wait for the same token."""
        task = self._loading.get(digest)
        if task is None:
            task = asyncio.create_task(self._load(digest), name=f"grant {digest[:8]}")
            self._loading[digest] = task
            task.add_done_callback(partial(self._loaded, digest))
        return await asyncio.shield(task)

    def _loaded(self, digest: str, task: asyncio.Task[Grant | None]) -> None:
        if self._loading.get(digest) is task:  # cancelled before it began
            del self._loading[digest]
        if not task.cancelled():
            task.exception()  # seen, even where all who waited have left

    async def _load(self, digest: str) -> Grant | None:
        try:
            return await self._read(digest)
        finally:
            # Here, not when the task is noted to be done: who asked in between would get what is no longer valid.
            del self._loading[digest]

    async def _read(self, digest: str) -> Grant | None:
        while True:
            seen = self._notices
            facts = await self._database.run(grant_facts, digest)
            # A notice that arrived meanwhile may concern what was just read: read again.
            if seen == self._notices:
                break
        if facts is None:
            self._remember_miss(digest)
            return None
        grant = _grant(digest, facts)
        self._remember(grant)
        return grant

    def _remember(self, grant: Grant) -> None:
        if len(self._by_digest) >= _CACHED_GRANTS:
            self._forget(next(iter(self._by_digest.values())))
        self._by_digest[grant.digest] = self._by_token[grant.token_id] = grant
        self._by_user.setdefault(grant.user_id, set()).add(grant)

    def _remember_miss(self, digest: str) -> None:
        if len(self._misses) >= _CACHED_MISSES:
            del self._misses[next(iter(self._misses))]
        self._misses[digest] = time.monotonic() + _MISS_SECONDS

    async def activate(self, grant: Grant) -> None:
        """Commit the token's first use before it is carried; raises `Denied` where it is no longer active."""
        if not await self._database.run(services.activate, grant.token_id, datetime.now(UTC)):
            self.drop_token(grant.token_id)
            raise Denied(TOKEN_EXPIRED if grant.seconds_left <= 0 else INVALID_TOKEN)
        grant.activated = True

    def drop_token(self, token_id: UUID) -> None:
        """Forget a token; whoever still holds its grant sees it invalid."""
        self._notices += 1
        grant = self._by_token.get(token_id)
        if grant is not None:
            self._forget(grant)

    def drop_user(self, user_id: UUID) -> None:
        """Forget every token of a user."""
        self._notices += 1
        for grant in list(self._by_user.get(user_id, ())):
            self._forget(grant)

    def _forget(self, grant: Grant) -> None:
        # Whatever the reason: no notice finds it from now on.
        grant.valid, grant.session = False, None
        self._by_digest.pop(grant.digest, None)
        self._by_token.pop(grant.token_id, None)
        siblings = self._by_user.get(grant.user_id, set())
        siblings.discard(grant)
        if not siblings:
            self._by_user.pop(grant.user_id, None)
