"""Refresh grants of open connections, so that an extended token needs no reconnect."""

import asyncio
import logging
from collections import defaultdict

from django.db import DatabaseError, InterfaceError

from proxy.dataplane.admission.grant_cache import GrantCache
from proxy.dataplane.sessions.in_flight import InFlight, InFlightRegistry

logger = logging.getLogger(__name__)

# Exchanges and relays wait for the read at their deadline, and must be cut off within two seconds of it.
_READ_SECONDS = 0.5


async def refresh_grants(in_flight: InFlightRegistry, grants: GrantCache) -> None:
    """Set the current grant of each exchange and relay whose grant was dropped or has expired.

    An extension may be newer than the last notice, so an expiry is checked in the database. If it cannot be read, the
    deadlines do not change. Revocations before the deadline come from the notices.
    """
    stale: defaultdict[str, list[InFlight]] = defaultdict(list)
    for item in in_flight.all():
        if item.grant.valid and item.grant.seconds_left <= 0:
            grants.drop_token(item.grant.token_id)
        if not item.grant.valid:
            stale[item.grant.digest].append(item)
    await asyncio.gather(*(_refresh(grants, digest, items) for digest, items in stale.items()))


async def _refresh(grants: GrantCache, digest: str, items: list[InFlight]) -> None:
    try:
        async with asyncio.timeout(_READ_SECONDS):
            grant = grants.get(digest) or await grants.load(digest)
    except Exception as error:  # any error: it must not delay the cut-off of expired tokens
        unexpected = not isinstance(error, (DatabaseError, InterfaceError, TimeoutError))
        logger.warning("grant_refresh_failed", extra={"error": repr(error)}, exc_info=unexpected)
        return
    if grant is not None:
        for item in items:
            item.grant = grant
