"""`/health`, `/health/live` and `/health/ready`, outside Django: JSON, and for a browser at `/health` a page."""

import asyncio
import time
from typing import Any

from django.db import connection

from proxy import health_checks
from proxy.dataplane import plane
from proxy.dataplane.denials.pages import is_navigation, status_page
from proxy.dataplane.denials.responses import denial_answer, json_body, json_headers, request_id
from proxy.dataplane.errors import Denied
from proxy.dataplane.plane import DataPlane
from proxy.dataplane.rules.client_address import Receive, Scope, Send
from proxy.dataplane.rules.headers import check_form

PATHS = frozenset({b"/health", b"/health/live", b"/health/ready"})
# How long the answer is served from memory before the shared cache is asked again.
_MEMO_SECONDS = 2.0
_memo: tuple[float, dict[str, Any]] | None = None
# One check at a time, however many ask.
_checking = asyncio.Lock()


async def application(scope: Scope, _receive: Receive, send: Send) -> None:
    gateway = plane.current()
    given = dict(scope["headers"])
    try:
        check_form(scope["headers"], scope["http_version"])
        status, data = await _answer(gateway, scope["method"], scope["raw_path"])
        if scope["raw_path"] == b"/health" and is_navigation(scope["method"], given):
            headers, body = await asyncio.to_thread(status_page, data, given)
        else:
            body = json_body(data)
            headers = json_headers(body)
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
    except Denied as denied:
        status, headers, body = denial_answer(denied, given.get(b"accept-language", b""))
    headers.append((b"x-request-id", request_id(given.get(b"x-request-id", b""))))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _answer(gateway: DataPlane, method: str, path: bytes) -> tuple[int, dict[str, Any]]:
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
    """The last check's report; a check now where there is none, or the feed knows better."""
    global _memo  # noqa: PLW0603  (one per process by its nature)
    async with _checking:
        if _memo is None or time.monotonic() - _memo[0] > _MEMO_SECONDS:
            # Not in the threads of the data plane: it may wait for all that is frozen, one after the other.
            report = await asyncio.to_thread(_ask, gateway.gate.admits_new)
            _memo = (time.monotonic(), report)
        return _memo[1]


def _ask(report_counts: bool) -> dict[str, Any]:
    try:
        return (health_checks.last_healthy_report() if report_counts else None) or health_checks.check()
    finally:
        connection.close()
