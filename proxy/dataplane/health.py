"""`/health`, `/health/live` and `/health/ready`, outside Django's handler."""

import time
from typing import Any

from proxy import health
from proxy.dataplane import plane
from proxy.dataplane.answers import json_body, json_headers, request_id
from proxy.dataplane.forwarding import Receive, Scope, Send
from proxy.dataplane.plane import DataPlane

PATHS = frozenset({b"/health", b"/health/live", b"/health/ready"})
# How long the answer is served from memory before the shared cache is asked again.
_MEMO_SECONDS = 2.0
_memo: tuple[float, dict[str, Any]] | None = None


async def application(scope: Scope, _receive: Receive, send: Send) -> None:
    gateway = plane.current()
    status, data = await _answer(gateway, scope["method"], scope["raw_path"])
    body = json_body(data)
    given = dict(scope["headers"]).get(b"x-request-id", b"")
    headers = [*json_headers(body), (b"x-request-id", request_id(given))]
    if status == 405:
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _answer(gateway: DataPlane, method: str, path: bytes) -> tuple[int, dict[str, Any]]:
    if method not in ("GET", "HEAD"):
        return 405, {"detail": f'Method "{method}" not allowed.', "code": "method_not_allowed"}
    if path == b"/health/live":
        return 200, {"status": "alive"}
    report = await _report(gateway)
    if path == b"/health":
        return (503 if report["status"] == "unhealthy" else 200), report
    if gateway.leaving or gateway.gate.draining:
        return 503, {"status": "draining"}
    ready = report["status"] != "unhealthy" and gateway.gate.admits_new
    return (200, {"status": "ready"}) if ready else (503, {"status": "not ready"})


async def _report(gateway: DataPlane) -> dict[str, Any]:
    """The last check's report; where it is missing or outdated, a check now."""
    global _memo  # noqa: PLW0603  (one per process by its nature)
    now = time.monotonic()
    if _memo is not None and now - _memo[0] <= _MEMO_SECONDS:
        return _memo[1]
    report = await gateway.database.run(health.last_report)
    if report is None:
        report = await gateway.database.run(health.check)
    _memo = (now, report)
    return report
