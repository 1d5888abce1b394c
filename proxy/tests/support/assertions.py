"""The assertion on a complete denial: its status, body and headers."""

import re
from typing import Any

from proxy.models import ProxySession
from proxy.tests.support.servers import RecordingUpstream
from proxy.tests.support.tokens import Sold

DETAILS = {
    "bad_request": (400, "The request is malformed or ambiguous."),
    "invalid_token": (401, "Invalid or expired access token"),
    "token_expired": (401, "Invalid or expired access token"),
    "user_inactive": (403, "This account is blocked. Contact support."),
    "token_frozen": (403, "This access token is frozen. Contact support."),
    "device_id_required": (400, "Send an X-Device-ID header of 8 to 128 visible ASCII characters."),
    "scope_denied": (403, "This access token is valid only for /certificates."),
    "origin_denied": (403, "The browser session may be used from its own site only."),
    "rate_limited": (429, "Too many requests. Try again later."),
    "too_many_connections": (429, "Too many requests of this access token are open at once."),
    "device_conflict": (409, "This access token is in use on another device."),
    "request_timeout": (408, "The request was sent too slowly."),
    "upstream_unreachable": (502, "The server behind the gateway cannot be reached."),
    "upstream_timeout": (504, "The server behind the gateway does not respond in time."),
    "state_unavailable": (503, "The gateway cannot check access right now. Try again in a moment."),
    "draining": (503, "The gateway is restarting. Try again in a moment."),
    "maintenance": (503, "The gateway is under maintenance. Try again later."),
}


def assert_denied(response: Any, code: str) -> None:
    """Assert that the response is the denial that the contract describes for this code."""
    status, detail = DETAILS[code]
    body = response.json()
    assert (response.status_code, body) == (status, {"detail": detail, "code": code})
    assert response.headers["X-Zenzefi-Error"] == code
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,128}", response.headers["X-Request-ID"])
    assert response.headers.get("X-Zenzefi-Expires-At") is None
    if status in (429, 503):
        assert int(response.headers["Retry-After"]) >= 1


def assert_denied_and_unseen(response: Any, code: str, upstream: RecordingUpstream, *tokens: Sold) -> None:
    """Assert a denial of which the upstream saw nothing; no token was activated and nothing was counted."""
    assert_denied(response, code)
    assert upstream.requests == []
    assert upstream.connections == 0
    assert not ProxySession.objects.exists()
    for token in tokens:
        assert token.stored().activated_at is None
