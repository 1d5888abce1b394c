"""Cut-offs: revocations, expired tokens and timeouts end what is in flight."""

import asyncio
import logging
import time
from collections.abc import Callable
from uuid import UUID

from access.models import Revocation
from access.selectors import RevocationNotice
from proxy.dataplane.admission.gate import KNOWN_GRANTS_SECONDS, Gate
from proxy.dataplane.admission.grant_cache import GrantCache
from proxy.dataplane.admission.grant_refresh import refresh_grants
from proxy.dataplane.errors import (
    DEVICE_CONFLICT,
    INVALID_TOKEN,
    STATE_UNAVAILABLE,
    TOKEN_EXPIRED,
    TOKEN_FROZEN,
    USER_INACTIVE,
)
from proxy.dataplane.sessions.accounting import Accounting
from proxy.dataplane.sessions.in_flight import InFlightRegistry
from proxy.dataplane.state.base import Lease, StateUnavailable

logger = logging.getLogger(__name__)

SECONDS = 0.5
_DENIALS = {
    Revocation.Cause.REVOKED: INVALID_TOKEN,
    Revocation.Cause.FROZEN: TOKEN_FROZEN,
    Revocation.Cause.USER_BLOCKED: USER_INACTIVE,
    Revocation.Cause.DEVICE_RESET: DEVICE_CONFLICT,
}


class Cutoffs:
    """Ends exchanges and relays that may not go on."""

    def __init__(self, gate: Gate, grants: GrantCache, accounting: Accounting, in_flight: InFlightRegistry) -> None:
        self._gate = gate
        self._grants = grants
        self._accounting = accounting
        self._in_flight = in_flight
        self._resets: set[asyncio.Task[None]] = set()

    async def apply(self, notice: RevocationNotice) -> None:
        """Drop the grants that a revocation concerns, and end what is in flight for them."""
        denial, since = _DENIALS.get(Revocation.Cause(notice.cause)), notice.created_at.timestamp()
        if denial is DEVICE_CONFLICT and notice.token_id is not None:
            self._grants.drop_token(notice.token_id)
            # In a task: other revocations must not wait for the state store.
            reset = asyncio.create_task(self._reset(notice.token_id, notice.id, since), name="device reset")
            self._resets.add(reset)
            reset.add_done_callback(self._resets.discard)
        elif notice.token_id is not None:
            self._grants.drop_token(notice.token_id)
            if denial is not None:
                self._in_flight.cut_token(notice.token_id, denial, since)
        if notice.user_id is not None:
            self._grants.drop_user(notice.user_id)
            if denial is not None:
                self._in_flight.cut_user(notice.user_id, denial, since)

    async def _reset(self, token_id: UUID, notice_id: int, since: float) -> None:
        """Free a token and cut off its device, but not a device that has taken the token since on another worker."""
        while True:
            try:
                holder = await self._gate.release_lease(token_id, notice_id)
            except StateUnavailable as error:
                logger.warning("device_reset_delayed", extra={"revocation_id": notice_id, "error": repr(error)})
                self._cut_all_but(None, token_id, since)
                await asyncio.sleep(SECONDS)
            else:
                self._cut_all_but(holder, token_id, since)
                return

    def _cut_all_but(self, holder: Lease | None, token_id: UUID, since: float) -> None:
        kept = self._accounting.of_lease(holder, token_id) if holder else None
        if kept is None:
            self._accounting.end(token_id)
        self._in_flight.cut_token(token_id, DEVICE_CONFLICT, since, kept)

    async def sweep(self, feed_silent_seconds: Callable[[], float]) -> None:
        """End what outlived its token or waited too long, and everything if the feed has been silent for too long."""
        started = time.time()
        await refresh_grants(self._in_flight, self._grants)
        # Tokens that expired after `started` have not been read again yet.
        self._in_flight.cut_expired(TOKEN_EXPIRED, started)
        # Read only now, as the feed may have recovered during the refresh.
        if feed_silent_seconds() > KNOWN_GRANTS_SECONDS:
            for item in self._in_flight.all():
                self._in_flight.cut(item, STATE_UNAVAILABLE)
        self._in_flight.cut_overdue(asyncio.get_running_loop().time())

    async def stop(self) -> None:
        """Cancel the device resets that still wait."""
        resets = list(self._resets)
        for reset in resets:
            reset.cancel()
        await asyncio.gather(*resets, return_exceptions=True)
