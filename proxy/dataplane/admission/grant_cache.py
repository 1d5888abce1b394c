"""The cache of grants, kept by each worker as long as its revocation feed is alive; behind it one database read."""

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from access import services
from access.selectors import GrantFacts, grant_facts
from proxy.dataplane.database import Database
from proxy.dataplane.errors import (
    INVALID_TOKEN,
    TOKEN_EXPIRED,
    TOKEN_FROZEN,
    USER_INACTIVE,
    Denial,
    Denied,
)
from proxy.dataplane.records import Grant
from zenzefi.common.iso_times import iso_time

_MAX_GRANTS = 100_000
_MAX_MISSES = 10_000
# Long enough to spare the database a burst of requests with the same wrong token.
_MISS_SECONDS = 5.0


def _grant_from(digest: str, facts: GrantFacts) -> Grant:
    return Grant(
        digest=digest,
        token_id=facts.token_id,
        user_id=facts.user_id,
        scope=facts.scope,
        deadline=facts.expires_at.timestamp(),
        expires_header=iso_time(facts.expires_at, "seconds").encode(),
        user_header=str(facts.user_id).encode(),
        token_header=str(facts.token_id).encode(),
        denial=_lasting_denial(facts),
        activated=facts.activated,
    )


def _lasting_denial(facts: GrantFacts) -> Denial | None:
    """Return the denial that holds until a revocation notice changes it, if there is one."""
    if facts.revoked:
        return INVALID_TOKEN
    if not facts.user_active:
        return USER_INACTIVE
    return TOKEN_FROZEN if facts.frozen else None


class GrantCache:
    """Grants by the digest of their token, and the digests that were recently looked up in vain."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_digest: dict[str, Grant] = {}
        self._by_token: dict[UUID, Grant] = {}
        self._by_user: dict[UUID, set[Grant]] = {}
        self._misses: dict[str, float] = {}
        self._loading: dict[str, asyncio.Task[Grant | None]] = {}
        self._drops = 0

    def __len__(self) -> int:
        return len(self._by_digest)

    def get(self, digest: str) -> Grant | None:
        """Return the cached grant of the token with this digest, if there is one."""
        return self._by_digest.get(digest)

    def of_token(self, token_id: UUID) -> Grant | None:
        """Return the cached grant of a token, if there is one."""
        return self._by_token.get(token_id)

    def is_known_missing(self, digest: str) -> bool:
        """Return whether this digest was looked up in vain a moment ago."""
        until = self._misses.get(digest)
        return until is not None and until > time.monotonic()

    async def load(self, digest: str) -> Grant | None:
        """Return the grant as the database has it; requests that wait for the same token share one read."""
        task = self._loading.get(digest)
        if task is None:
            task = asyncio.create_task(self._load(digest), name=f"grant {digest[:8]}")
            self._loading[digest] = task
            task.add_done_callback(partial(self._finish_loading, digest))
        return await asyncio.shield(task)

    def _finish_loading(self, digest: str, task: asyncio.Task[Grant | None]) -> None:
        if self._loading.get(digest) is task:  # cancelled before it began
            del self._loading[digest]
        if not task.cancelled():
            task.exception()  # retrieved, even if every request that waited has left

    async def _load(self, digest: str) -> Grant | None:
        try:
            return await self._read(digest)
        finally:
            # Not in the done callback: a request that came between the two would share an outdated result.
            del self._loading[digest]

    async def _read(self, digest: str) -> Grant | None:
        while True:
            drops = self._drops
            facts = await self._database.run(grant_facts, digest)
            # A notice that arrived during the read may concern its result; then read again.
            if drops == self._drops:
                break
        if facts is None:
            self._remember_miss(digest)
            return None
        grant = _grant_from(digest, facts)
        self._remember(grant)
        return grant

    def _remember(self, grant: Grant) -> None:
        if len(self._by_digest) >= _MAX_GRANTS:
            self._forget(next(iter(self._by_digest.values())))
        self._by_digest[grant.digest] = self._by_token[grant.token_id] = grant
        self._by_user.setdefault(grant.user_id, set()).add(grant)

    def _remember_miss(self, digest: str) -> None:
        if len(self._misses) >= _MAX_MISSES:
            del self._misses[next(iter(self._misses))]
        self._misses[digest] = time.monotonic() + _MISS_SECONDS

    async def activate(self, grant: Grant) -> None:
        """Commit the token's first use before its request is forwarded.

        Raises `Denied` if the token is no longer active.
        """
        if not await self._database.run(services.activate, grant.token_id, datetime.now(UTC)):
            self.drop_token(grant.token_id)
            raise Denied(TOKEN_EXPIRED if grant.seconds_left <= 0 else INVALID_TOKEN)
        grant.activated = True

    def drop_token(self, token_id: UUID) -> None:
        """Remove a token from the cache; those who still hold its grant see `valid` become False."""
        self._drops += 1
        grant = self._by_token.get(token_id)
        if grant is not None:
            self._forget(grant)

    def drop_user(self, user_id: UUID) -> None:
        """Remove all tokens of a user from the cache."""
        self._drops += 1
        for grant in list(self._by_user.get(user_id, ())):
            self._forget(grant)

    def _forget(self, grant: Grant) -> None:
        # False even if only the cache is full: from now on no notice finds the grant.
        grant.valid, grant.session = False, None
        self._by_digest.pop(grant.digest, None)
        self._by_token.pop(grant.token_id, None)
        siblings = self._by_user.get(grant.user_id, set())
        siblings.discard(grant)
        if not siblings:
            self._by_user.pop(grant.user_id, None)
