"""Endpoints of the gateway itself on the proxied path: status, browser session, and the sign-in on PROXY_HOST."""

from collections.abc import Awaitable, Callable

from proxy.dataplane.admission import handoff_codes
from proxy.dataplane.asgi import Scope, Send
from proxy.dataplane.config import Config
from proxy.dataplane.denials.responses import json_body, json_headers
from proxy.dataplane.errors import CODE_SPENT, ORIGIN_DENIED, STATE_UNAVAILABLE, Denied
from proxy.dataplane.plane import DataPlane
from proxy.dataplane.rules.cookies import ACCESS_COOKIE, sign_access
from proxy.dataplane.rules.forwarded_headers import gateway_headers
from proxy.dataplane.rules.headers import Headers, RequestHead
from proxy.dataplane.rules.paths import PREFIX
from proxy.dataplane.state.base import StateUnavailable
from zenzefi.common.iso_times import iso_time

Endpoint = Callable[[DataPlane, RequestHead, Scope, Send], Awaitable[None]]


def find_endpoint(scope: Scope, *, on_proxy_host: bool) -> Endpoint | None:
    """Return the gateway's own endpoint for a request, or None if the request is for the upstream."""
    if on_proxy_host:
        return _sign_in if scope["raw_path"] == handoff_codes.PATH else None
    return _ENDPOINTS.get((scope["method"], scope["raw_path"]))


async def respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _status(gateway: DataPlane, head: RequestHead, _scope: Scope, send: Send) -> None:
    """Respond to `GET /api/v1/proxy/status`; the call neither activates the token nor counts as activity."""
    identity = await gateway.gate.identify(head, on_proxy_host=False, unsafe=False)
    grant = identity.grant
    try:
        session, counts = await gateway.holders.session_of(grant.token_id, identity.device)
    except Denied as denied:
        identity.attach_to(denied)
        raise
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
    await respond(send, 200, [*json_headers(body), *gateway_headers(grant, head.request_id)], body)


async def _open_session(gateway: DataPlane, head: RequestHead, _scope: Scope, send: Send) -> None:
    """Respond to `POST /api/v1/proxy/session` with the browser's cookie for the request's token and device."""
    identity = await gateway.gate.identify(head, on_proxy_host=False, unsafe=True)
    grant = identity.grant
    cookie = access_cookie(gateway.config, grant.digest, identity.device)
    body = json_body({"expires_at": iso_time(grant.deadline, "microseconds"), "url": (PREFIX + b"/").decode()})
    headers = [
        *json_headers(body),
        (b"set-cookie", cookie.encode()),
        *gateway_headers(grant, head.request_id),
    ]
    await respond(send, 200, headers, body)


async def _sign_in(gateway: DataPlane, head: RequestHead, scope: Scope, send: Send) -> None:
    """Respond to `POST /.zenzefi/open?code=…` on PROXY_HOST with the browser's cookie and a redirect.

    Only pages of the site may send the form: an attacker who could send a victim's browser here with the attacker's
    own code would make the victim work with the attacker's token.
    """
    code = handoff_codes.read(scope["query_string"]) if scope["method"] == "POST" else None
    if code is None:
        raise Denied(CODE_SPENT)
    if not handoff_codes.is_from_site(head.origin, gateway.config):
        raise Denied(ORIGIN_DENIED)
    try:
        first = await gateway.state.spend(code.number, code.issued_at, 2 * handoff_codes.LIFETIME_SECONDS)
    except StateUnavailable as error:
        raise Denied(STATE_UNAVAILABLE, retry_after=1) from error
    if not first:
        raise Denied(CODE_SPENT)
    # A strict cookie is sent only if a page of this same site leads on (RFC 6265bis §5.2), so this response is one.
    strict, path = gateway.config.cookie_samesite == "Strict", code.path.encode()
    headers = [
        (b"refresh", b"0; url=" + path) if strict else (b"location", path),
        (b"set-cookie", access_cookie(gateway.config, code.digest, code.device).encode()),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
        (b"content-type", b"text/html"),
        (b"content-length", b"0"),
        (b"x-request-id", head.request_id),
    ]
    await respond(send, 200 if strict else 303, headers, b"")


def access_cookie(config: Config, digest: str, device: str) -> str:
    """Return the `Set-Cookie` value (RFC 6265 §4.1) that admits a browser as this device.

    The cookie ends with the browser's session; admission ends with the token, which may be extended meanwhile.
    """
    secure = "; Secure" if config.cookie_secure else ""
    return (
        f"{ACCESS_COOKIE}={sign_access(digest, device)}; Path=/; HttpOnly; SameSite={config.cookie_samesite}{secure}"
    )


_ENDPOINTS: dict[tuple[str, bytes], Endpoint] = {
    ("GET", PREFIX + b"/status"): _status,
    ("HEAD", PREFIX + b"/status"): _status,
    ("POST", PREFIX + b"/session"): _open_session,
}
