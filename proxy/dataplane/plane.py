"""The data plane of one worker: its parts, connected, and its repeated jobs."""

import asyncio
from typing import Self

import limits
from prometheus_client import REGISTRY

from access.selectors import RevocationNotice
from proxy.dataplane.admission.gate import Gate
from proxy.dataplane.admission.grant_cache import GrantCache
from proxy.dataplane.admission.rate_limit import RateLimiter
from proxy.dataplane.admission.revocation_feed import RevocationFeed
from proxy.dataplane.config import Config
from proxy.dataplane.database import Database
from proxy.dataplane.denials.log import DenialLog
from proxy.dataplane.jobs import cutoffs, flush, leases
from proxy.dataplane.jobs.repeat import repeat
from proxy.dataplane.metrics import Metrics
from proxy.dataplane.rewriting.response import Rewriting
from proxy.dataplane.sessions.accounting import Accounting
from proxy.dataplane.sessions.holders import Holders
from proxy.dataplane.sessions.in_flight import InFlightRegistry
from proxy.dataplane.state.base import State
from proxy.dataplane.state.memory import MemoryState
from proxy.dataplane.state.redis import RedisState
from proxy.dataplane.upstream.client import Upstream

_FORGET_SECONDS = 10.0


class DataPlane:
    """Created by `start` and ended by `stop` within one event loop."""

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
        self.grants = GrantCache(self.database)
        # A separate thread, because a flood of unknown tokens must not delay revocations.
        self._outbox = Database(threads=1)
        self.feed = RevocationFeed(self._outbox, self._apply)
        self.rate_limiter = RateLimiter(self.state, rate)
        self.in_flight = InFlightRegistry(config.max_connections_per_token)
        self.upstream = Upstream(config)
        self.rewriting = Rewriting(self.upstream.origin, self.upstream.base_path)
        self.denials = DenialLog()
        self.metrics = Metrics(self.in_flight, self.grants, self.accounting, self.denials)
        self.gate = Gate(config, self.grants, self.feed, self.state, self.rate_limiter, self.accounting)
        self.holders = Holders(self.state, self.accounting, config.session_timeout)
        self.cutoffs = cutoffs.Cutoffs(self.gate, self.grants, self.accounting, self.in_flight)
        self.leases = leases.LeaseRenewal(self.gate, self.in_flight)
        self.flush = flush.Flush(self.database, self.state, self.accounting, self.denials, self.holders)
        # True shortly before the server stops: load balancers should send no new requests, but those that come are
        # served.
        self.leaving = False
        self._jobs: list[asyncio.Task[None]] = []

    @classmethod
    def start(cls) -> Self:
        """Return a running data plane; call it within a running event loop."""
        plane = cls(Config.from_settings())
        plane._jobs = [
            asyncio.create_task(plane.feed.run(), name="revocation feed"),
            asyncio.create_task(repeat(cutoffs.SECONDS, plane._sweep), name="sweep"),
            asyncio.create_task(repeat(leases.SECONDS, plane.leases.run), name="leases"),
            asyncio.create_task(repeat(flush.SECONDS, plane.flush.run, flush.LONGEST_SECONDS), name="flush"),
            asyncio.create_task(repeat(_FORGET_SECONDS, plane._forget_ended), name="forget"),
        ]
        REGISTRY.register(plane.metrics)
        return plane

    async def stop(self) -> None:
        """End the jobs, write the last counts and close every connection."""
        REGISTRY.unregister(self.metrics)
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self.cutoffs.stop()
        await self.flush.run()
        await self.upstream.close()
        await self.state.close()
        self.database.close()
        self._outbox.close()
        self.metrics.publish()

    async def _apply(self, notice: RevocationNotice) -> None:
        await self.cutoffs.apply(notice)

    async def _sweep(self) -> None:
        self.metrics.publish()
        await self.cutoffs.sweep(self.feed.silent_seconds)

    async def _forget_ended(self) -> None:
        """Drop ended leases and counts, so that memory follows the tokens in use."""
        self.state.forget_ended()


_current: DataPlane | None = None


def current() -> DataPlane:
    """Return the data plane of this process; the first call (the server's lifespan, if it has one) starts it."""
    global _current  # noqa: PLW0603  (one per process)
    if _current is None:
        _current = DataPlane.start()
    return _current


async def stop() -> None:
    """Stop the data plane of this process if it runs."""
    global _current
    if _current is not None:
        plane, _current = _current, None
        await plane.stop()
