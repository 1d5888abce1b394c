"""`/health`, `/health/live` and `/health/ready`, outside Django: JSON, or a page for a browser at `/health`."""

import asyncio
import time
from typing import Any

from django.db import connection

from proxy import health_checks
from proxy.dataplane import plane
from proxy.dataplane.asgi import Receive, Scope, Send
from proxy.dataplane.denials.pages import is_navigation, status_page
from proxy.dataplane.denials.responses import denial_response, json_body, json_headers, request_id
from proxy.dataplane.errors import Denied
from proxy.dataplane.plane import DataPlane
from proxy.dataplane.rules.headers import check_form

PATHS = frozenset({b"/health", b"/health/live", b"/health/ready"})
# How long a report is served from memory before the shared cache is read again.
_MEMO_SECONDS = 2.0
_memo: tuple[float, dict[str, Any]] | None = None
# One check runs at a time, for all requests that wait for it.
_checking = asyncio.Lock()


async def application(scope: Scope, _receive: Receive, send: Send) -> None:
    """Respond to a health request."""
    gateway = plane.current()
    received = dict(scope["headers"])
    try:
        check_form(scope["headers"], scope["http_version"])
        status, data = await _respond(gateway, scope["method"], scope["raw_path"])
        if scope["raw_path"] == b"/health" and is_navigation(scope["method"], received):
            headers, body = await asyncio.to_thread(status_page, gateway.config, data, received)
        else:
            body = json_body(data)
            headers = json_headers(body)
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
    except Denied as denied:
        status, headers, body = denial_response(denied, received.get(b"accept-language", b""))
    headers.append((b"x-request-id", request_id(received.get(b"x-request-id", b""))))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _respond(gateway: DataPlane, method: str, path: bytes) -> tuple[int, dict[str, Any]]:
    if method not in ("GET", "HEAD"):
        return 405, {"detail": f'Method "{method}" not allowed.', "code": "method_not_allowed"}
    if path == b"/health/live":
        return 200, {"status": "alive"}
    if path == b"/health":
        report = await _report(gateway)
        return (503 if report["status"] == "unhealthy" else 200), report
    if gateway.leaving or gateway.gate.draining:
        return 503, {"status": "draining"}
    ready = gateway.gate.admits_new and (await _report(gateway))["status"] != "unhealthy"
    return (200, {"status": "ready"}) if ready else (503, {"status": "not ready"})


async def _report(gateway: DataPlane) -> dict[str, Any]:
    """Return the last report; check now if there is none, or if the revocation feed is silent."""
    global _memo  # noqa: PLW0603  (one per process)
    async with _checking:
        if _memo is None or time.monotonic() - _memo[0] > _MEMO_SECONDS:
            # Not in a thread of the data plane: a check may wait for several services that do not respond.
            report = await asyncio.to_thread(_check, gateway.gate.admits_new)
            _memo = (time.monotonic(), report)
        return _memo[1]


def _check(use_last_report: bool) -> dict[str, Any]:
    try:
        return (health_checks.last_healthy_report() if use_last_report else None) or health_checks.check()
    finally:
        connection.close()
