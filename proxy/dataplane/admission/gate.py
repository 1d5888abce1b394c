"""The one admission decision, for HTTP and WebSocket: form, token, user, device form, scope, rate, device lease."""

import time
from typing import NamedTuple
from uuid import UUID

from django.db import Error as DatabaseError
from django.http.request import split_domain_port, validate_host

from access.models import Scope
from proxy.dataplane.admission.grant_cache import GrantCache
from proxy.dataplane.admission.rate_limit import RateLimiter
from proxy.dataplane.admission.revocation_feed import RevocationFeed
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
    DeniedToken,
)
from proxy.dataplane.records import Grant, Session
from proxy.dataplane.rules.cookies import read_access
from proxy.dataplane.rules.headers import RequestHead, is_device_id
from proxy.dataplane.rules.paths import check_certificates_only
from proxy.dataplane.sessions.accounting import Accounting
from proxy.dataplane.state.base import Lease, State, StateUnavailable
from zenzefi.common.digests import secret_digest

# No new grant is admitted after the feed missed a few polls; known grants stay valid a while longer.
_FEED_SILENT_SECONDS = 5.0
KNOWN_GRANTS_SECONDS = 30.0


class Credentials(NamedTuple):
    """A request's credentials: the token's SHA-256 (None if there is no token) and the device id.

    `from_cookie` says whether both come from a cookie.
    """

    digest: str | None
    device: str
    from_cookie: bool


class Identity(NamedTuple):
    """The token and the device of an identified request, and whether a cookie named them."""

    grant: Grant
    device: str
    from_cookie: bool

    def attach_to(self, denied: Denied) -> None:
        """Record the token and the device in a denial."""
        denied.token = DeniedToken(self.grant.token_id, self.grant.user_id, self.grant.deadline)
        if self.from_cookie:
            denied.device = self.device


def read_credentials(head: RequestHead) -> Credentials:
    """Return the credentials of a request: those of the header fields if there is a token, else of the cookie."""
    if head.token:
        device = head.device.decode("ascii") if is_device_id(head.device) else ""
        return Credentials(secret_digest(head.token), device, from_cookie=False)
    for value in head.access_cookies:
        known = read_access(value.decode("latin-1"))
        if known:
            return Credentials(*known, from_cookie=True)
    return Credentials(None, "", from_cookie=False)


class Gate:
    """Admits a request or raises `Denied`.

    In the steady state it reads caches only; otherwise it asks the database and the state store.
    """

    def __init__(
        self,
        config: Config,
        grants: GrantCache,
        feed: RevocationFeed,
        state: State,
        rate_limiter: RateLimiter,
        accounting: Accounting,
    ) -> None:
        self._config = config
        self._grants = grants
        self._feed = feed
        self._state = state
        self._rate_limiter = rate_limiter
        self._accounting = accounting
        self._releases = 0
        # How long a confirmed lease is trusted without asking the state store; the lease itself lasts longer.
        self._lease_memo = min(state.lease_memo, config.session_timeout / 10)
        self._lease_seconds = config.session_timeout + self._lease_memo
        # The same while the state store is unavailable.
        self._lease_grace = min(KNOWN_GRANTS_SECONDS, config.session_timeout)
        self.draining = False

    @property
    def admits_new(self) -> bool:
        """Return whether a token that is not cached could be admitted now."""
        return not self.draining and self._feed.silent_seconds() <= _FEED_SILENT_SECONDS

    async def admit(
        self, head: RequestHead, path: bytes, *, on_proxy_host: bool, ip: str | None, unsafe: bool
    ) -> tuple[Identity, Session]:
        """Return the identity of an admitted request and the session that counts it; activate its token.

        `unsafe` says that the method may change something. Raises `Denied`, with `token` and `device` set as far as
        they are known.
        """
        identity = None
        try:
            while True:
                identity = await self.identify(head, on_proxy_host=on_proxy_host, unsafe=unsafe)
                grant = identity.grant
                lease = await self._admit_grant(grant, identity.device, path)
                if grant.valid:
                    grant.check_active()  # it may have expired during the checks
                    return identity, self._accounting.open_session(grant, lease, ip, head.user_agent)
        except Denied as denied:
            if identity is not None and denied.token is None:
                identity.attach_to(denied)
            raise

    async def _admit_grant(self, grant: Grant, device: str, path: bytes) -> Lease:
        if grant.scope == Scope.CERTIFICATES_ONLY:
            check_certificates_only(path)
        lease = await self._permitted_lease(grant, device)
        if not grant.activated:
            try:
                await self._grants.activate(grant)
            except DatabaseError as error:
                raise Denied(STATE_UNAVAILABLE, retry_after=1) from error
        return lease

    async def identify(self, head: RequestHead, *, on_proxy_host: bool, unsafe: bool) -> Identity:
        """Return the token and the device of a request, without activating or counting anything.

        Raises `Denied` as `admit` does.
        """
        if self.draining:
            raise Denied(DRAINING, retry_after=1)
        if self._config.maintenance:
            raise Denied(MAINTENANCE, retry_after=60)
        credentials = read_credentials(head)
        if credentials.digest is None:
            raise Denied(INVALID_TOKEN)
        try:
            grant = await self._grant(credentials.digest)
        except Denied as denied:
            if credentials.from_cookie:
                denied.device = credentials.device
            raise
        identity = Identity(grant, credentials.device, credentials.from_cookie)
        try:
            self._check_identity(identity, head, on_proxy_host=on_proxy_host, unsafe=unsafe)
        except Denied as denied:
            identity.attach_to(denied)
            raise
        return identity

    def _check_identity(self, identity: Identity, head: RequestHead, *, on_proxy_host: bool, unsafe: bool) -> None:
        identity.grant.check_active()
        if not identity.device:
            raise Denied(DEVICE_ID_REQUIRED)
        if identity.from_cookie:
            self._check_origin(head, on_proxy_host=on_proxy_host, unsafe=unsafe)

    async def _grant(self, digest: str) -> Grant:
        silent = self._feed.silent_seconds()
        if silent > KNOWN_GRANTS_SECONDS:
            raise Denied(STATE_UNAVAILABLE, retry_after=1)
        grant = self._grants.get(digest)
        if grant is not None:
            return grant
        if self._grants.is_known_missing(digest):
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

    def _check_origin(self, head: RequestHead, *, on_proxy_host: bool, unsafe: bool) -> None:
        """Raise `Denied` if another site's page made a request with the cookie.

        The browser sends the cookie with every request to the host, so the requesting page must be of that host.
        """
        if head.origin is None:
            if unsafe and head.sec_fetch_site not in (b"same-origin", b"none"):
                raise Denied(ORIGIN_DENIED)
            return
        if head.origin == (self._config.proxy_origin if on_proxy_host else self._config.own_origin):
            return
        scheme = self._config.own_origin.partition(b"://")[0]
        name, _port = split_domain_port(head.host.decode("latin-1"))
        same = head.origin == scheme + b"://" + head.host
        if not (same and name and (on_proxy_host or validate_host(name, self._config.allowed_hosts))):
            raise Denied(ORIGIN_DENIED)

    async def _permitted_lease(self, grant: Grant, device: str) -> Lease:
        """Spend a permit and return the device's lease.

        While the state store is unavailable, the device that held the token a moment ago keeps it.
        """
        if grant.permits is None:
            grant.permits = self._rate_limiter.block_of(grant.user_id)
        try:
            await self._rate_limiter.spend(grant.permits)
            return _held_lease(self._lease_memo, grant, device) or await self._acquire_lease(grant, device)
        except StateUnavailable as error:
            lease = _held_lease(self._lease_grace, grant, device)
            if lease is None:
                raise Denied(STATE_UNAVAILABLE, retry_after=1) from error
            return lease

    async def _acquire_lease(self, grant: Grant, device: str) -> Lease:
        releases = -1
        while releases != self._releases:  # a release during the call makes its result outdated
            releases, started = self._releases, time.monotonic()
            wanted = self._accounting.wanted_lease(grant, device)
            lease = await self._state.acquire_lease(grant.token_id, wanted, self._lease_seconds)
        grant.lease, grant.lease_confirmed_at = lease, started
        if lease is None:
            raise Denied(DEVICE_CONFLICT)
        return lease

    async def renew_lease(self, session: Session) -> None:
        """Renew the lease of a session with traffic on an open stream.

        Raises `Denied` (`device_conflict`) if another device took the token, and `StateUnavailable`.
        """
        grant, device = session.grant, session.lease.device
        if not grant.valid or _held_lease(self._lease_memo, grant, device) is None:
            await self._acquire_lease(grant, device)

    async def release_lease(self, token_id: UUID, notice_id: int) -> Lease | None:
        """Free the token for any device, as the notice says, and return the lease that holds it now.

        Raises `StateUnavailable`.
        """
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


def _held_lease(seconds: float, grant: Grant, device: str) -> Lease | None:
    """Return the device's lease if it was confirmed within the last `seconds`."""
    lease = grant.lease
    if lease is None or lease.device != device or grant.lease_confirmed_at + seconds <= time.monotonic():
        return None
    return lease
