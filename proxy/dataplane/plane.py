"""The data plane of one worker: its parts, put together, and the jobs that keep them going."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Self

import limits
from django.db import Error as DatabaseError
from prometheus_client import REGISTRY

from access.models import Revocation
from access.selectors import RevocationNotice
from proxy.dataplane.accounting import FLUSH_SECONDS, Accounting, write_sessions
from proxy.dataplane.config import Config
from proxy.dataplane.database import Database
from proxy.dataplane.denials import (
    DEVICE_CONFLICT,
    INVALID_TOKEN,
    STATE_UNAVAILABLE,
    TOKEN_EXPIRED,
    TOKEN_FROZEN,
    USER_INACTIVE,
    Denied,
)
from proxy.dataplane.feed import Feed
from proxy.dataplane.gate import KNOWN_GRANTS_SECONDS, Gate
from proxy.dataplane.grants import Grants
from proxy.dataplane.metrics import Figures
from proxy.dataplane.permits import Permits
from proxy.dataplane.registry import Registry
from proxy.dataplane.renewal import renew_grants
from proxy.dataplane.state.memory import MemoryState
from proxy.dataplane.upstream import Upstream

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 0.5
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
        self.state = MemoryState(rate)
        self.grants = Grants(self.database)
        self.feed = Feed(self.database, self._apply)
        self.permits = Permits(self.state, rate)
        self.accounting = Accounting(config.session_timeout)
        self.registry = Registry(config.max_connections_per_token)
        self.upstream = Upstream(config)
        self.figures = Figures(self.registry, self.grants, self.accounting)
        self.gate = Gate(config, self.grants, self.feed, self.state, self.permits, self.accounting)
        # The server stops soon: balancers should send nothing new, but what comes is served.
        self.leaving = False
        self._jobs: list[asyncio.Task[None]] = []

    @classmethod
    def start(cls) -> Self:
        """Within a running event loop."""
        plane = cls(Config.from_settings())
        plane._jobs = [
            asyncio.create_task(plane.feed.run(), name="revocation feed"),
            asyncio.create_task(_repeat(SWEEP_SECONDS, plane._sweep), name="sweep"),
            asyncio.create_task(_repeat(FLUSH_SECONDS, plane.flush), name="flush"),
        ]
        REGISTRY.register(plane.figures)
        return plane

    async def stop(self) -> None:
        """End the jobs, write the last figures, close every connection."""
        REGISTRY.unregister(self.figures)
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self.flush()
        await self.upstream.close()
        self.database.close()

    async def _apply(self, notice: RevocationNotice) -> None:
        """Forget what a revocation concerns, and end what is being carried of it."""
        denial = _CUT_BY.get(Revocation.Cause(notice.cause))
        if notice.token_id is not None:
            self.grants.drop_token(notice.token_id)
            if denial is not None:
                self.registry.cut_token(notice.token_id, denial)
        if notice.user_id is not None:
            self.grants.drop_user(notice.user_id)
            if denial is not None:
                self.registry.cut_user(notice.user_id, denial)
        if denial is DEVICE_CONFLICT and notice.token_id is not None:
            self.accounting.end(notice.token_id)
            await self.gate.release_lease(notice.token_id)

    async def _sweep(self) -> None:
        """End what outlived its token or waits for too long; hold the leases of open streams with traffic."""
        await renew_grants(self.registry, self.grants)
        self.registry.cut_expired(TOKEN_EXPIRED)
        if self.feed.silent_seconds() > KNOWN_GRANTS_SECONDS:
            for carry in self.registry.all():
                self.registry.cut(carry, STATE_UNAVAILABLE)
        now = asyncio.get_running_loop().time()
        for carry in self.registry.all():
            overdue = carry.overdue(now)
            if overdue is not None:
                self.registry.cut(carry, overdue)
        await self._renew_leases()
        self.gate.forget_memos()
        self.permits.forget_unused()
        self.state.forget_ended_leases()

    async def _renew_leases(self) -> None:
        recent = time.time() - 2 * SWEEP_SECONDS
        for carry in self.registry.all():
            if carry.session.active > recent:
                try:
                    await self.gate.renew_lease(carry.session)
                except Denied as denied:
                    # Another device took the token while this one was silent.
                    self.registry.cut(carry, denied.denial)

    async def flush(self) -> None:
        """Write the sessions' figures that the database does not have yet; they stay where it cannot be reached."""
        pending = [(session, session.figures) for session in self.accounting.pending()]
        if not pending:
            return
        try:
            await self.database.run(write_sessions, [session.row() for session, _ in pending])
        except (DatabaseError, OSError) as error:
            logger.warning("%d sessions could not be written, they are kept: %s", len(pending), error)
            return
        self.accounting.confirm(pending)


async def _repeat(seconds: float, job: Callable[[], Awaitable[None]]) -> None:
    """Run a job until cancelled. A failure is logged and the job goes on: nobody else would cut or count."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await job()
        except Exception:
            logger.exception("a job of the data plane failed")


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
