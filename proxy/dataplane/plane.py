"""The data plane of one worker: its parts, put together, and the jobs that keep them going."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Self
from uuid import UUID

import limits
from django.db import Error as DatabaseError
from prometheus_client import REGISTRY

from access.models import Revocation
from access.selectors import RevocationNotice
from proxy.dataplane.admission.gate import KNOWN_GRANTS_SECONDS, Gate
from proxy.dataplane.admission.grant_cache import Grants
from proxy.dataplane.admission.grant_refresh import renew_grants
from proxy.dataplane.admission.rate_limit import Permits
from proxy.dataplane.admission.revocation_feed import Feed
from proxy.dataplane.config import Config
from proxy.dataplane.database import Database
from proxy.dataplane.denials.log import Refusals, hint, iso, write_refusals
from proxy.dataplane.errors import (
    DEVICE_CONFLICT,
    INVALID_TOKEN,
    STATE_UNAVAILABLE,
    TOKEN_EXPIRED,
    TOKEN_FROZEN,
    USER_INACTIVE,
    Denial,
    Denied,
)
from proxy.dataplane.metrics import Figures
from proxy.dataplane.rewriting.response import Rewriting
from proxy.dataplane.sessions.accounting import (
    FLUSH_SECONDS,
    LONGEST_FLUSH_SECONDS,
    ROWS,
    Accounting,
    Session,
    write_sessions,
)
from proxy.dataplane.sessions.in_flight import Registry
from proxy.dataplane.state.base import Counts, Lease, State, StateUnavailable
from proxy.dataplane.state.memory import MemoryState
from proxy.dataplane.state.redis import RedisState
from proxy.dataplane.upstream.client import Upstream

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 0.5
_FORGET_SECONDS = 10.0
_STATE_LOST_SECONDS = 5.0
_CUT_BY = {
    Revocation.Cause.REVOKED: INVALID_TOKEN,
    Revocation.Cause.FROZEN: TOKEN_FROZEN,
    Revocation.Cause.USER_BLOCKED: USER_INACTIVE,
    Revocation.Cause.DEVICE_RESET: DEVICE_CONFLICT,
}


class DataPlane:
    """Made by `start`, ended by `stop`, within one event loop."""

    def __init__(self, config: Config) -> None:
        rate = limits.parse(config.rate) if config.rate else None
        self.config = config
        self.database = Database()
        self.accounting = Accounting(config.session_timeout)
        self.state: State = (
            RedisState(config.redis_url, rate)
            if config.redis_url
            else MemoryState(rate, self.accounting.seconds_left)
        )
        self.grants = Grants(self.database)
        # A connection of its own: whoever asks for tokens must not hold up what is revoked.
        self._outbox = Database(threads=1)
        self.feed = Feed(self._outbox, self._apply)
        self.permits = Permits(self.state, rate)
        self.registry = Registry(config.max_connections_per_token)
        self.upstream = Upstream(config)
        self.rewriting = Rewriting(self.upstream.origin, self.upstream.base_path)
        self.refusals = Refusals()
        self.figures = Figures(self.registry, self.grants, self.accounting, self.refusals)
        self.gate = Gate(config, self.grants, self.feed, self.state, self.permits, self.accounting)
        # The server stops soon: balancers should send nothing new, but what comes is served.
        self.leaving = False
        # When the leases of open streams could first and last not be renewed, by the monotonic clock.
        self._state_lost: tuple[float, float] | None = None
        self._renewed = 0.0
        self._resets: set[asyncio.Task[None]] = set()
        self._jobs: list[asyncio.Task[None]] = []

    @classmethod
    def start(cls) -> Self:
        """Within a running event loop."""
        plane = cls(Config.from_settings())
        plane._jobs = [
            asyncio.create_task(plane.feed.run(), name="revocation feed"),
            asyncio.create_task(_repeat(SWEEP_SECONDS, plane._sweep), name="sweep"),
            asyncio.create_task(_repeat(SWEEP_SECONDS, plane._renew_leases), name="leases"),
            asyncio.create_task(_repeat(FLUSH_SECONDS, plane.flush, LONGEST_FLUSH_SECONDS), name="flush"),
            asyncio.create_task(_repeat(_FORGET_SECONDS, plane._forget), name="forget"),
        ]
        REGISTRY.register(plane.figures)
        return plane

    async def stop(self) -> None:
        """End the jobs, write the last figures, close every connection."""
        REGISTRY.unregister(self.figures)
        jobs = [*self._jobs, *self._resets]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await self.flush()
        await self.upstream.close()
        await self.state.close()
        self.database.close()
        self._outbox.close()
        self.figures.tell()

    async def _apply(self, notice: RevocationNotice) -> None:
        """Forget what a revocation concerns, and end what is being carried of it."""
        denial, since = _CUT_BY.get(Revocation.Cause(notice.cause)), notice.created_at.timestamp()
        if denial is DEVICE_CONFLICT and notice.token_id is not None:
            self.grants.drop_token(notice.token_id)
            # Not waited for: what else is revoked must not wait for the state store.
            reset = asyncio.create_task(self._reset(notice.token_id, notice.id, since), name="device reset")
            self._resets.add(reset)
            reset.add_done_callback(self._resets.discard)
        elif notice.token_id is not None:
            self.grants.drop_token(notice.token_id)
            if denial is not None:
                self.registry.cut_token(notice.token_id, denial, since)
        if notice.user_id is not None:
            self.grants.drop_user(notice.user_id)
            if denial is not None:
                self.registry.cut_user(notice.user_id, denial, since)

    async def _reset(self, token_id: UUID, notice_id: int, since: float) -> None:
        """Free a token, and end what its device has open; who came next, by way of another worker, stays."""
        while True:
            try:
                holder = await self.gate.release_lease(token_id, notice_id)
            except StateUnavailable as error:
                logger.warning("the reset %d waits for the state store: %s", notice_id, error)
                self._end_all_but(None, token_id, since)
                await asyncio.sleep(SWEEP_SECONDS)
            else:
                self._end_all_but(holder, token_id, since)
                return

    def _end_all_but(self, holder: Lease | None, token_id: UUID, since: float) -> None:
        kept = self.accounting.of(holder, token_id) if holder else None
        if kept is None:
            self.accounting.end(token_id)
        self.registry.cut_token(token_id, DEVICE_CONFLICT, since, kept)

    async def _sweep(self) -> None:
        """End what outlived its token or waits for too long."""
        self.figures.tell()
        asked = time.time()
        await renew_grants(self.registry, self.grants)
        # What expires from now on has not been looked up yet.
        self.registry.cut_expired(TOKEN_EXPIRED, asked)
        if self.feed.silent_seconds() > KNOWN_GRANTS_SECONDS:
            for carry in self.registry.all():
                self.registry.cut(carry, STATE_UNAVAILABLE)
        now = asyncio.get_running_loop().time()
        for carry in self.registry.all():
            overdue = carry.overdue(now)
            if overdue is not None:
                self.registry.cut(carry, overdue)

    async def _forget(self) -> None:
        """Drop what is of no use any more, so that memory follows the tokens in use."""
        self.state.forget_ended()

    async def _renew_leases(self) -> None:
        """Hold the leases of open streams with traffic; where nobody can be asked, they go on for a while."""
        since, self._renewed = min(self._renewed, time.time() - SWEEP_SECONDS), time.time()
        active = {carry.session for carry in self.registry.all() if carry.session.active > since}
        if not active:
            return
        renewed = await asyncio.gather(*(self._renew_lease(session) for session in active))
        if all(renewed):
            self._state_lost = None
            return
        now = time.monotonic()
        first, last = self._state_lost or (now, now)
        if now - last > _STATE_LOST_SECONDS:  # nobody asked meanwhile: that was another outage
            first = now
        self._state_lost = first, now
        if now - first > KNOWN_GRANTS_SECONDS:
            for session in active:
                self._cut_session(session, STATE_UNAVAILABLE)

    async def _renew_lease(self, session: Session) -> bool:
        """Whether the state store could be asked."""
        try:
            await self.gate.renew_lease(session)
        except Denied as denied:
            # Another device took the token while this one was silent.
            self._cut_session(session, denied.denial)
        except StateUnavailable:
            return False
        return True

    def _cut_session(self, session: Session, denial: Denial) -> None:
        for carry in self.registry.all():
            if carry.session is session:
                self.registry.cut(carry, denial)

    async def session_of(self, token_id: UUID, device: str) -> tuple[Lease | None, Counts | None]:
        """The session of a device that holds the token, and what all workers carried of it.

        Raises `Denied` (`state_unavailable`).
        """
        try:
            lease = await self.state.lease(token_id)
            if lease is None or lease.device != device:
                return None, None
            own = self.accounting.of(lease, token_id)
            if own is None:
                return lease, await self.state.counts(lease.session_id)
            return lease, (await self.state.share_counts([own.report(own.counts)]))[0]
        except StateUnavailable as error:
            raise Denied(STATE_UNAVAILABLE, retry_after=1) from error

    async def holder(self, token_id: UUID) -> dict[str, str]:
        """How the id of the device ends that holds the token, and until when it does if it stays silent; nothing
        where nobody holds it, or nobody knows."""
        try:
            lease = await self.state.lease(token_id)
            counts = await self.state.counts(lease.session_id) if lease else None
        except StateUnavailable:
            return {}
        if lease is None:
            return {}
        own = self.accounting.of(lease, token_id)
        active = max(lease.started, counts.active if counts else 0, own.active if own else 0)
        return {"holder": hint(lease.device), "held_until": iso(active + self.config.session_timeout)}

    async def flush(self) -> None:
        """Share and write what was counted and refused since the last time; it is kept where that fails."""
        await self._flush_sessions()
        await self._flush_refusals()

    async def _flush_refusals(self) -> None:
        waiting = self.refusals.waiting()
        if not waiting:
            return
        for refusal in waiting:
            if refusal.denial is DEVICE_CONFLICT and refusal.asked.grant and "holder" not in refusal.detail:
                refusal.detail |= await self.holder(refusal.asked.grant.token_id)
        try:
            # Not before: whoever cancels this waits for the database, and for nothing else.
            refusals = self.refusals.take(len(waiting))
            await self.database.run(write_refusals, refusals)
        except (DatabaseError, OSError) as error:
            logger.warning("%d denials could not be written, they are kept: %s", len(refusals), error)
            self.refusals.put_back(refusals)

    async def _flush_sessions(self) -> None:
        pending = self.accounting.pending()
        for start in range(0, len(pending), ROWS):
            if not await self._flush(pending[start : start + ROWS]):
                return

    async def _flush(self, sessions: list[Session]) -> bool:
        pending = [(session, session.counts) for session in sessions]
        try:
            totals = await self.state.share_counts([session.report(counts) for session, counts in pending])
            shared = True
        except StateUnavailable:
            # A row takes what is more than it has; the rest follows once it can be shared.
            totals, shared = [counts for _, counts in pending], False
        # Of two parts of one session, the later total has both.
        rows = {
            session.lease.session_id: (session, counts)
            for (session, _), counts in zip(pending, totals, strict=True)
        }  # fmt: skip
        try:
            await self.database.run(write_sessions, list(rows.values()))
        except (DatabaseError, OSError) as error:
            logger.warning("%d sessions could not be written, they are kept: %s", len(pending), error)
            return False
        if shared:
            self.accounting.confirm(pending)
        return True


async def _repeat(seconds: float, job: Callable[[], Awaitable[None]], longest: float = 0) -> None:
    """Run a job until cancelled, each so many seconds. A failure is logged and the job goes on: nobody else would cut
    or count. Where it has a longest pause, a job that takes a twentieth of the time runs more rarely, up to that."""
    pause = seconds
    while True:
        await asyncio.sleep(pause)
        since = time.monotonic()
        try:
            await job()
        except Exception:
            logger.exception("a job of the data plane failed")
        pause = max(seconds, min(20 * (time.monotonic() - since), longest))


_current: DataPlane | None = None


def current() -> DataPlane:
    """The data plane of this process, started by the first who asks: the server's lifespan, where it has one."""
    global _current  # noqa: PLW0603  (one per process by its nature)
    if _current is None:
        _current = DataPlane.start()
    return _current


async def stop() -> None:
    """Stop the data plane of this process, if it runs."""
    global _current
    if _current is not None:
        plane, _current = _current, None
        await plane.stop()
