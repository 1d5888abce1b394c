"""Live carries follow what becomes of their tokens: one that is extended needs no reconnect."""

import asyncio
import logging
from collections import defaultdict

from django.db import DatabaseError, InterfaceError

from proxy.dataplane.admission.grant_cache import Grants
from proxy.dataplane.sessions.in_flight import Carry, Registry

logger = logging.getLogger(__name__)

# Carries wait for it at their deadline, and must be cut within two seconds from there.
_READ_SECONDS = 0.5


async def renew_grants(registry: Registry, grants: Grants) -> None:
    """Hand live carries the present grant of their token where theirs was dropped or has expired.

    An extension may be younger than the last notice, so the database has the last word on an expiry. Where it
    cannot be read, carries keep the deadline that they have. What ends them before it is for the notices to say.
    """
    stale: defaultdict[str, list[Carry]] = defaultdict(list)
    for carry in registry.all():
        if carry.grant.valid and carry.grant.seconds_left <= 0:
            grants.drop_token(carry.grant.token_id)
        if not carry.grant.valid:
            stale[carry.grant.digest].append(carry)
    await asyncio.gather(*(_renew(grants, digest, carries) for digest, carries in stale.items()))


async def _renew(grants: Grants, digest: str, carries: list[Carry]) -> None:
    try:
        async with asyncio.timeout(_READ_SECONDS):
            grant = grants.cached(digest) or await grants.load(digest)
    except Exception as error:  # any error: the other connections must still end in time
        unexpected = not isinstance(error, (DatabaseError, InterfaceError, TimeoutError))
        logger.warning("a grant could not be read again, its deadline stays: %r", error, exc_info=unexpected)
        return
    if grant is not None:
        for carry in carries:
            carry.grant = grant
