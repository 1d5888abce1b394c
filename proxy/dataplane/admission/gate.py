"""The one admission decision, for HTTP and WebSocket: form, token, user, device form, scope, rate, device lease."""

import time
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.http.request import split_domain_port, validate_host

from access.models import Scope
from proxy.dataplane.admission.grant_cache import Grant, Grants
from proxy.dataplane.admission.rate_limit import Permits
from proxy.dataplane.admission.revocation_feed import Feed
from proxy.dataplane.config import Config
from proxy.dataplane.errors import (
    DEVICE_CONFLICT,
    DEVICE_ID_REQUIRED,
    DRAINING,
    INVALID_TOKEN,
    MAINTENANCE,
    ORIGIN_DENIED,
    STATE_UNAVAILABLE,
    Denied,
)
from proxy.dataplane.rules.cookies import read_access
from proxy.dataplane.rules.headers import RequestHead, is_device_id
from proxy.dataplane.rules.paths import check_certificates_only
from proxy.dataplane.sessions.accounting import Accounting, Session
from proxy.dataplane.state.base import Lease, State, StateUnavailable
from zenzefi.common.digests import secret_digest

# No new grant once the feed missed a few polls; known grants go on for a while longer.
_FEED_SILENT_SECONDS = 5.0
KNOWN_GRANTS_SECONDS = 30.0


class Credentials(NamedTuple):
    """Who asks: the token's SHA-256 (None: no token), the device id as sent, and whether a cookie carried both."""

    digest: str | None
    device: str
    from_cookie: bool


def credentials(head: RequestHead) -> Credentials:
    """The credentials of a request: the header where there is one, else the browser's cookie."""
    if head.token:
        device = head.device.decode("ascii") if is_device_id(head.device) else ""
        return Credentials(secret_digest(head.token), device, from_cookie=False)
    for value in head.access_cookies:
        known = read_access(value.decode("latin-1"))
        if known:
            return Credentials(*known, from_cookie=True)
    return Credentials(None, "", from_cookie=False)


class Gate:
    """Admits or raises `Denied`. Reads caches in the steady state; the database and the state store else."""

    def __init__(
        self,
        config: Config,
        grants: Grants,
        feed: Feed,
        state: State,
        permits: Permits,
        accounting: Accounting,
    ) -> None:
        self._config = config
        self._grants = grants
        self._feed = feed
        self._state = state
        self._permits = permits
        self._accounting = accounting
        self._releases = 0
        # How long a confirmed lease is believed without asking; the lease itself outlives it.
        self._lease_memo = min(state.lease_memo, config.session_timeout / 10)
        self._lease_seconds = config.session_timeout + self._lease_memo
        # The same while nobody can be asked.
        self._lease_grace = min(KNOWN_GRANTS_SECONDS, config.session_timeout)
        self.draining = False

    @property
    def admits_new(self) -> bool:
        """Whether a token that is not cached could be admitted now."""
        return not self.draining and self._feed.silent_seconds() <= _FEED_SILENT_SECONDS

    async def admit(self, head: RequestHead, path: bytes, *, ip: str | None, unsafe: bool) -> tuple[Grant, Session]:
        """Decide; on admission the token is activated and the session known on which the carry counts."""
        grant, device = await self.identify(head, unsafe=unsafe)
        if grant.scope == Scope.CERTIFICATES_ONLY:
            check_certificates_only(path)
        lease = await self._permitted_lease(grant, device)
        if not grant.activated:
            try:
                await self._grants.activate(grant)
            except DatabaseError as error:
                raise Denied(STATE_UNAVAILABLE, retry_after=1) from error
        if not grant.valid:  # something about it changed while we asked
            return await self.admit(head, path, ip=ip, unsafe=unsafe)
        grant.check_active()  # it may have expired while we asked
        session = self._accounting.session(grant, lease, ip, head.user_agent)
        return grant, session

    async def identify(self, head: RequestHead, *, unsafe: bool) -> tuple[Grant, str]:
        """The grant and the device of a request, without activating or counting anything."""
        if self.draining:
            raise Denied(DRAINING, retry_after=1)
        if self._config.maintenance:
            raise Denied(MAINTENANCE, retry_after=60)
        who = credentials(head)
        if who.digest is None:
            raise Denied(INVALID_TOKEN)
        if who.from_cookie:
            head.device = who.device.encode()
            head.from_cookie = True
        grant = head.grant = await self._grant(who.digest)
        grant.check_active()
        if not who.device:
            raise Denied(DEVICE_ID_REQUIRED)
        if who.from_cookie:
            self._check_origin(head, unsafe=unsafe)
        return grant, who.device

    async def _grant(self, digest: str) -> Grant:
        silent = self._feed.silent_seconds()
        if silent > KNOWN_GRANTS_SECONDS:
            raise Denied(STATE_UNAVAILABLE, retry_after=1)
        grant = self._grants.cached(digest)
        if grant is not None:
            return grant
        if self._grants.known_missing(digest):
            raise Denied(INVALID_TOKEN)
        if silent > _FEED_SILENT_SECONDS:
            raise Denied(STATE_UNAVAILABLE, retry_after=1)
        try:
            grant = await self._grants.load(digest)
        except (DatabaseError, OSError) as error:
            raise Denied(STATE_UNAVAILABLE, retry_after=1) from error
        if grant is None:
            raise Denied(INVALID_TOKEN)
        return grant

    def _check_origin(self, head: RequestHead, *, unsafe: bool) -> None:
        """A cookie is sent by the browser whoever asks, so the asking page must be of the host that is asked."""
        if head.origin is None:
            if unsafe and head.sec_fetch_site not in (b"same-origin", b"none"):
                raise Denied(ORIGIN_DENIED)
            return
        if head.origin == (self._config.proxy_origin if head.on_proxy_host else self._config.own_origin):
            return
        scheme = self._config.own_origin.partition(b"://")[0]
        name, _port = split_domain_port(head.host.decode("latin-1"))
        same = head.origin == scheme + b"://" + head.host
        if not (same and name and (head.on_proxy_host or validate_host(name, settings.ALLOWED_HOSTS))):
            raise Denied(ORIGIN_DENIED)

    async def _permitted_lease(self, grant: Grant, device: str) -> Lease:
        """Spend a permit and hold the lease. While nobody can be asked, who held it a moment ago goes on."""
        if grant.block is None:
            grant.block = self._permits.block(grant.user_id)
        try:
            await self._permits.take(grant.block)
            return _held_within(self._lease_memo, grant, device) or await self._acquire_lease(grant, device)
        except StateUnavailable as error:
            lease = _held_within(self._lease_grace, grant, device)
            if lease is None:
                raise Denied(STATE_UNAVAILABLE, retry_after=1) from error
            return lease

    async def _acquire_lease(self, grant: Grant, device: str) -> Lease:
        releases = -1
        while releases != self._releases:  # what was answered before a release is not true after it
            releases, asked = self._releases, time.monotonic()
            wanted = self._accounting.wanted_lease(grant, device)
            lease = await self._state.acquire_lease(grant.token_id, wanted, self._lease_seconds)
        grant.lease, grant.confirmed = lease, asked
        if lease is None:
            raise Denied(DEVICE_CONFLICT)
        return lease

    async def renew_lease(self, session: Session) -> None:
        """Data on an open stream is activity: hold the lease for it. Raises `Denied` (`device_conflict`) where
        another device took it, and `StateUnavailable`."""
        grant, device = session.grant, session.lease.device
        if not grant.valid or _held_within(self._lease_memo, grant, device) is None:
            await self._acquire_lease(grant, device)

    async def release_lease(self, token_id: UUID, notice_id: int) -> Lease | None:
        """Free the token for any device, as this notice says; gives who holds it now. Raises `StateUnavailable`."""
        self._releases += 1
        self._forget_lease(token_id)
        try:
            return await self._state.release_lease(token_id, notice_id)
        finally:
            self._releases += 1
            self._forget_lease(token_id)

    def _forget_lease(self, token_id: UUID) -> None:
        grant = self._grants.of_token(token_id)
        if grant is not None:
            grant.lease = None


def _held_within(seconds: float, grant: Grant, device: str) -> Lease | None:
    """The device's lease, where it was confirmed so many seconds ago."""
    lease = grant.lease
    if lease is None or lease.device != device or grant.confirmed + seconds <= time.monotonic():
        return None
    return lease
