"""The ASGI application, which chooses the plane for each connection."""

import os
from collections.abc import Awaitable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zenzefi.settings")

from zenzefi import control_plane

from django.conf import settings  # isort: skip

from proxy.dataplane import health, plane
from proxy.dataplane.asgi import ON_PROXY_HOST, Application, Receive, Scope, Send
from proxy.dataplane.http import handler
from proxy.dataplane.rules.paths import is_proxied
from proxy.dataplane.rules.proxy_host import is_on_proxy_host, names_proxy_host
from proxy.dataplane.server.trusted_proxies import TrustedForwarding
from proxy.dataplane.websocket.handler import WebSocketRelay

_websocket: Application = WebSocketRelay.as_asgi()


def choose(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    """Serve a connection by the data plane, the health checks or Django."""
    if scope["type"] == "lifespan":
        return _lifespan(receive, send)
    if settings.PROXY_HOST and names_proxy_host(scope, settings.PROXY_HOST):
        scope[ON_PROXY_HOST] = True
    if scope["type"] == "http":
        raw_path = scope["raw_path"]
        if is_on_proxy_host(scope) or is_proxied(raw_path):
            return handler.application(scope, receive, send)
        if raw_path in health.PATHS:
            return health.application(scope, receive, send)
        return control_plane.application(scope, receive, send)
    return _websocket(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    """Start the data plane with the server, and stop it with the server."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            plane.current()
            await send({"type": "lifespan.startup.complete"})
        else:
            await plane.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


application = TrustedForwarding(choose, settings.TRUSTED_PROXIES)
