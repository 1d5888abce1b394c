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
from proxy.dataplane.rules.cookies import Generation, read_access
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

    `cookie` is the generation of the cookie from which both come, or None.
    """

    digest: str | None
    device: str
    cookie: Generation | None


class Identity(NamedTuple):
    """The token and the device of an identified request, and the generation of the cookie that named them."""

    grant: Grant
    device: str
    cookie: Generation | None

    @property
    def from_cookie(self) -> bool:
        """Return whether a cookie named the token and the device."""
        return self.cookie is not None

    def attach_to(self, denied: Denied) -> None:
        """Record the token and the device in a denial."""
        denied.token = DeniedToken(self.grant.token_id, self.grant.user_id, self.grant.deadline)
        if self.from_cookie:
            denied.device = self.device


def read_credentials(head: RequestHead) -> Credentials:
    """Return the credentials of a request: those of the header fields if there is a token, else of the cookie."""
    if head.token:
        device = head.device.decode("ascii") if is_device_id(head.device) else ""
        return Credentials(secret_digest(head.token), device, None)
    for value in head.access_cookies:
        known = read_access(value.decode("latin-1"))
        if known:
            return Credentials(*known)
    return Credentials(None, "", None)


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
            if credentials.cookie is not None and credentials.cookie != grant.cookie_generation:
                grant = await self._newer_grant(grant, credentials.cookie)
        except Denied as denied:
            if credentials.cookie is not None:
                denied.device = credentials.device
            raise
        identity = Identity(grant, credentials.device, credentials.cookie)
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

    async def _newer_grant(self, grant: Grant, cookie: Generation) -> Grant:
        """Return the grant for a cookie that is newer than the cached one.

        Raise `Denied` for a cookie that has ended. It is older in both generations, so it causes no read.
        """
        if cookie[0] <= grant.cookie_generation[0] and cookie[1] <= grant.cookie_generation[1]:
            raise Denied(INVALID_TOKEN)
        if self._feed.silent_seconds() > _FEED_SILENT_SECONDS:
            raise Denied(STATE_UNAVAILABLE, retry_after=1)
        try:
            current = await self._grants.reload(grant)
        except (DatabaseError, OSError) as error:
            raise Denied(STATE_UNAVAILABLE, retry_after=1) from error
        if current is None or cookie != current.cookie_generation:
            raise Denied(INVALID_TOKEN)
        return current

    async def current_grant(self, grant: Grant) -> Grant:
        """Return the grant with the generation of cookies that is valid now."""
        try:
            return await self._grants.reload(grant) or grant
        except (DatabaseError, OSError) as error:
            raise Denied(STATE_UNAVAILABLE, retry_after=1) from error

    def _check_origin(self, head: RequestHead, *, on_proxy_host: bool, unsafe: bool) -> None:
        """Raise `Denied` if another site's page made a request with the cookie.

        The browser sends the cookie with every request to the host, so the requesting page must be of that host.
        """
        site = head.sec_fetch_site
        if head.origin is None:
            allowed = not unsafe or site in (b"same-origin", b"none")
        else:
            allowed = site not in (b"cross-site", b"same-site") and self._is_own_origin(head, on_proxy_host)
        if not allowed:
            raise Denied(ORIGIN_DENIED)

    def _is_own_origin(self, head: RequestHead, on_proxy_host: bool) -> bool:
        if head.origin == (self._config.proxy_origin if on_proxy_host else self._config.own_origin):
            return True
        # A page without a referrer has no origin to show, but `Sec-Fetch-Site`, which no page can set, says the same.
        hidden = head.origin == b"null" and head.sec_fetch_site == b"same-origin"
        scheme = self._config.own_origin.partition(b"://")[0]
        name, _port = split_domain_port(head.host.decode("latin-1"))
        same = hidden or head.origin == scheme + b"://" + head.host
        return same and bool(name) and (on_proxy_host or validate_host(name, self._config.allowed_hosts))

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
        if lease is None:
            if grant.lease is not None and grant.lease.device == device:
                grant.lease = None  # of another device it stays known, for an outage of the state store
            raise Denied(DEVICE_CONFLICT)
        grant.lease, grant.lease_confirmed_at = lease, started
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
