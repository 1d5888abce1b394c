"""The device that holds a token, and its session, as all workers know it."""

from uuid import UUID

from proxy.dataplane.denials.log import device_suffix
from proxy.dataplane.errors import STATE_UNAVAILABLE, Denied
from proxy.dataplane.sessions.accounting import Accounting
from proxy.dataplane.state.base import Counts, Lease, State, StateUnavailable
from zenzefi.common.iso_times import iso_time


class Holders:
    """Reads leases and counts from the state store, with this worker's own part added."""

    def __init__(self, state: State, accounting: Accounting, session_timeout: float) -> None:
        self._state = state
        self._accounting = accounting
        self._session_timeout = session_timeout

    async def session_of(self, token_id: UUID, device: str) -> tuple[Lease | None, Counts | None]:
        """Return the lease of the device and the counts of all workers; None and None if it does not hold the token.

        Raises `Denied` (`state_unavailable`).
        """
        try:
            lease = await self._state.lease(token_id)
            if lease is None or lease.device != device:
                return None, None
            own = self._accounting.of_lease(lease, token_id)
            if own is None:
                return lease, await self._state.counts(lease.session_id)
            return lease, (await self._state.share_counts([own.report(own.counts)]))[0]
        except StateUnavailable as error:
            raise Denied(STATE_UNAVAILABLE, retry_after=1) from error

    async def describe(self, token_id: UUID) -> dict[str, str]:
        """Return the end of the holding device's id, and until when it holds the token if it stays silent.

        Empty if the token is free or the state store is unavailable.
        """
        try:
            lease = await self._state.lease(token_id)
            counts = await self._state.counts(lease.session_id) if lease else None
        except StateUnavailable:
            return {}
        if lease is None:
            return {}
        own = self._accounting.of_lease(lease, token_id)
        active = max(lease.started, counts.active if counts else 0, own.last_active_at if own else 0)
        return {
            "holder": device_suffix(lease.device),
            "held_until": iso_time(active + self._session_timeout, "seconds"),
        }
