"""Renewal of the device leases of open streams and WebSockets with traffic."""

import asyncio
import time

from proxy.dataplane.admission.gate import KNOWN_GRANTS_SECONDS, Gate
from proxy.dataplane.errors import STATE_UNAVAILABLE, Denied
from proxy.dataplane.records import Session
from proxy.dataplane.sessions.in_flight import InFlightRegistry
from proxy.dataplane.state.base import StateUnavailable

SECONDS = 0.5
# Two failures further apart than this belong to two outages of the state store.
_OUTAGE_GAP_SECONDS = 5.0


class LeaseRenewal:
    """Renews leases, and cuts off exchanges and relays without one."""

    def __init__(self, gate: Gate, in_flight: InFlightRegistry) -> None:
        self._gate = gate
        self._in_flight = in_flight
        self._last_run = 0.0
        # The first and the last failure of the current outage of the state store, by the monotonic clock.
        self._outage: tuple[float, float] | None = None

    async def run(self) -> None:
        """Renew the leases of sessions with traffic since the last run.

        While the state store is unavailable, streams continue for `KNOWN_GRANTS_SECONDS`.
        """
        since, self._last_run = min(self._last_run, time.time() - SECONDS), time.time()
        active = {item.session for item in self._in_flight.all() if item.session.last_active_at > since}
        if not active:
            return
        renewed = await asyncio.gather(*(self._renew(session) for session in active))
        if all(renewed):
            self._outage = None
            return
        now = time.monotonic()
        first, last = self._outage or (now, now)
        if now - last > _OUTAGE_GAP_SECONDS:
            first = now
        self._outage = first, now
        if now - first > KNOWN_GRANTS_SECONDS:
            for session in active:
                self._in_flight.cut_session(session, STATE_UNAVAILABLE)

    async def _renew(self, session: Session) -> bool:
        """Renew one lease, and return whether the state store responded."""
        try:
            await self._gate.renew_lease(session)
        except Denied as denied:
            # Another device took the token while this one was silent.
            self._in_flight.cut_session(session, denied.denial)
        except StateUnavailable:
            return False
        return True
