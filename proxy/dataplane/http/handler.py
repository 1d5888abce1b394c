"""The HTTP side of the data plane: `/api/v1/proxy/…`, as an ASGI application outside Django's handler."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from proxy.dataplane import plane
from proxy.dataplane.admission import handoff_codes
from proxy.dataplane.admission.grant_cache import Grant
from proxy.dataplane.config import Config
from proxy.dataplane.denials import pages
from proxy.dataplane.denials.log import Asked, facts
from proxy.dataplane.denials.pages import denial_page, is_navigation
from proxy.dataplane.denials.responses import denial_answer, json_body, json_headers, request_id
from proxy.dataplane.errors import (
    BAD_REQUEST,
    CODE_SPENT,
    DEVICE_CONFLICT,
    ORIGIN_DENIED,
    STATE_UNAVAILABLE,
    ClientGone,
    Denied,
)
from proxy.dataplane.http.exchange import HttpCarry
from proxy.dataplane.plane import DataPlane
from proxy.dataplane.rules.client_address import FORWARDED_FOR, Receive, Scope, Send
from proxy.dataplane.rules.cookies import ACCESS_COOKIE, sign_access
from proxy.dataplane.rules.headers import Headers, RequestHead, forwarding_headers, read_request
from proxy.dataplane.rules.paths import PREFIX, upstream_path
from proxy.dataplane.rules.proxy_host import is_claimed, prefix_of
from proxy.dataplane.server.http_protocol import CONNECTION, TARGET
from proxy.dataplane.state.base import StateUnavailable
from zenzefi.common.iso_times import iso_time

logger = logging.getLogger(__name__)

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS = _SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
# What of a refused request decides how it is answered.
_ANSWERED = pages.HEADERS | {b"x-request-id"}


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Admit one request and carry it, or deny it."""
    gateway = plane.current()
    head = RequestHead()
    try:
        head = read_request(scope["headers"], scope["http_version"])
        head.request_id = request_id(head.request_id)
        head.on_proxy_host = is_claimed(scope)
        if head.on_proxy_host and scope["raw_path"] == handoff_codes.PATH:
            await _open(gateway, head, scope, send)
        elif not head.on_proxy_host and (own := _OWN.get((scope["method"], scope["raw_path"]))) is not None:
            await own(gateway, head, scope, send)
        else:
            await _carry(gateway, head, scope, receive, send)
    except Denied as denied:
        await _deny(gateway, denied, head, scope, send)
    except ClientGone:
        gateway.figures.denials["client_gone"] += 1


async def _carry(gateway: DataPlane, head: RequestHead, scope: Scope, receive: Receive, send: Send) -> None:
    prefix, method, client = prefix_of(scope), scope["method"], scope["client"]
    path = upstream_path(scope["raw_path"], prefix)
    if method not in _METHODS:
        raise Denied(BAD_REQUEST)
    ip = client[0] if client else None
    grant, session = await gateway.gate.admit(head, path, ip=ip, unsafe=method not in _SAFE_METHODS)
    # Who sends the credentials as headers gets every byte as it is; on the upstream's own host nothing need change.
    rewritten = head.from_cookie and prefix
    rewriting = gateway.rewriting.of(head, _own_origin(gateway, head, scope)) if rewritten else None
    timeouts = (gateway.config.body_timeout, gateway.config.upstream_timeout)
    carry = HttpCarry(grant, session, scope.get(CONNECTION), timeouts, prefix, rewriting)
    gateway.registry.add(carry)
    try:
        await carry.run(
            gateway.upstream, method, path + _query(scope), upstream_headers(head, grant, scope, head.request_id),
            head.has_body, receive, send, stated_headers(grant, head.request_id),
        )  # fmt: skip
    finally:
        gateway.registry.remove(carry)
        gateway.figures.answers[carry.status] += 1


def _own_origin(gateway: DataPlane, head: RequestHead, scope: Scope) -> bytes:
    """Where the browser sees us. A proxy before us may leave the port out of `Host`."""
    stated, scheme = gateway.config.own_origin, str(scope["scheme"])
    if not head.host or stated.rpartition(b":")[0].endswith(b"//" + head.host):
        return stated
    return scheme.encode() + b"://" + head.host


def _query(scope: Scope) -> bytes:
    """The query with its `?`, which may stand there alone."""
    query: bytes = scope["query_string"]
    return b"?" + query if query or scope.get(TARGET, b"").endswith(b"?") else b""


def upstream_headers(head: RequestHead, grant: Grant, scope: Scope, identifier: bytes) -> Headers:
    """What the upstream is sent: the client's headers that may pass, and what the gateway states."""
    chain: str = scope.get(FORWARDED_FOR) or (scope["client"] or ("unknown", 0))[0]
    scheme = scope["scheme"].replace("ws", "http")
    return [
        *head.passed,
        (b"x-user-id", grant.user_header),
        (b"x-token-id", grant.token_header),
        (b"x-request-id", identifier),
        *forwarding_headers(chain.encode(), scheme.encode(), head.host),
    ]


def stated_headers(grant: Grant, identifier: bytes) -> Headers:
    """What the gateway adds to each answer of the upstream, and to its own on the proxied path."""
    return [
        (b"via", b"1.1 zenzefi"),
        (b"x-request-id", identifier),
        (b"x-zenzefi-expires-at", grant.expires_header),
    ]


async def _deny(gateway: DataPlane, denied: Denied, head: RequestHead, scope: Scope, send: Send) -> None:
    denial, grant, client = denied.denial, head.grant, scope["client"]
    gateway.figures.denials[denial.code] += 1
    given = {name: value for name, value in scope["headers"] if name in _ANSWERED}
    # The one that the upstream may have seen; where the header block could not be read, there is none yet.
    identifier, detail = head.request_id or request_id(given.get(b"x-request-id", b"")), facts(denied, grant)
    opens = head.on_proxy_host and scope["raw_path"] == handoff_codes.PATH  # by a form of the site's page
    if is_navigation("GET" if opens else scope["method"], given):
        if grant is not None and denial is DEVICE_CONFLICT:
            detail |= await gateway.holder(grant.token_id)
        site = gateway.config.own_origin.decode() if is_claimed(scope) else ""
        status, headers, body = denial_page(denied, detail, grant, identifier, given, site)
    else:
        status, headers, body = denial_answer(denied, given.get(b"accept-language", b""))
    asked = Asked(identifier, scope["raw_path"], client[0] if client else None, head.device, grant)
    gateway.refusals.note(denial, status, asked, detail)
    await _answer(send, status, [*headers, (b"x-request-id", identifier)], body)


async def _answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _status(gateway: DataPlane, head: RequestHead, _scope: Scope, send: Send) -> None:
    """`GET /api/v1/proxy/status`: the gateway's own figures; neither activates the token nor counts as activity."""
    grant, device = await gateway.gate.identify(head, unsafe=False)
    session, counts = await gateway.session_of(grant.token_id, device)
    body = json_body(
        {
            "connected": session is not None,
            "status": "active",
            "user_id": str(grant.user_id),
            "token_id": str(grant.token_id),
            "session_id": str(session.session_id) if session else None,
            "scope": grant.scope,
            "started_at": iso_time(session.started, "microseconds") if session else None,
            "expires_at": iso_time(grant.deadline, "microseconds"),
            "time_remaining_seconds": max(0, int(grant.seconds_left)),
            "bytes_transferred": counts.bytes if counts else 0,
            "request_count": counts.requests if counts else 0,
        }
    )
    await _answer(send, 200, [*json_headers(body), *stated_headers(grant, head.request_id)], body)


async def _open_session(gateway: DataPlane, head: RequestHead, _scope: Scope, send: Send) -> None:
    """`POST /api/v1/proxy/session`: the browser's cookie for the token and device of the request's headers."""
    grant, device = await gateway.gate.identify(head, unsafe=True)
    cookie = access_cookie(gateway.config, grant.digest, device)
    body = json_body({"expires_at": iso_time(grant.deadline, "microseconds"), "url": (PREFIX + b"/").decode()})
    headers = [
        *json_headers(body),
        (b"set-cookie", cookie.encode()),
        *stated_headers(grant, head.request_id),
    ]
    await _answer(send, 200, headers, body)


async def _open(gateway: DataPlane, head: RequestHead, scope: Scope, send: Send) -> None:
    """`POST /.zenzefi/open?code=…` on `PROXY_HOST`: the browser's cookie there, and the way to what it opens.

    Only from a page of the site: whoever could send somebody else's browser here with a code of hers would have it
    work with her token.
    """
    opening = handoff_codes.read(scope["query_string"]) if scope["method"] == "POST" else None
    if opening is None:
        raise Denied(CODE_SPENT)
    if not handoff_codes.is_from_site(head.origin, gateway.config):
        raise Denied(ORIGIN_DENIED)
    try:
        first = await gateway.state.spend(opening.number, opening.issued, 2 * handoff_codes.SECONDS)
    except StateUnavailable as error:
        raise Denied(STATE_UNAVAILABLE, retry_after=1) from error
    if not first:
        raise Denied(CODE_SPENT)
    # A strict cookie is sent only where a page of this very site leads (RFC 6265bis §5.2): then the answer is one.
    strict, path = gateway.config.cookie_samesite == "Strict", opening.path.encode()
    headers = [
        (b"refresh", b"0; url=" + path) if strict else (b"location", path),
        (b"set-cookie", access_cookie(gateway.config, opening.digest, opening.device).encode()),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
        (b"content-type", b"text/html"),
        (b"content-length", b"0"),
        (b"x-request-id", head.request_id),
    ]
    await _answer(send, 200 if strict else 303, headers, b"")


def access_cookie(config: Config, digest: str, device: str) -> str:
    """The `Set-Cookie` value (RFC 6265 §4.1) that admits a browser as this device.

    It ends with the browser's session, the admission with the token, which may be extended meanwhile.
    """
    secure = "; Secure" if config.cookie_secure else ""
    return (
        f"{ACCESS_COOKIE}={sign_access(digest, device)}; Path=/; HttpOnly; SameSite={config.cookie_samesite}{secure}"
    )


_Own = Callable[[DataPlane, RequestHead, Scope, Send], Awaitable[Any]]
_OWN: dict[tuple[str, bytes], _Own] = {
    ("GET", PREFIX + b"/status"): _status,
    ("HEAD", PREFIX + b"/status"): _status,
    ("POST", PREFIX + b"/session"): _open_session,
}
