"""The ASGI application: it chooses the plane, nothing else."""

import os
from collections.abc import Awaitable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zenzefi.settings")

from zenzefi import control_plane

from django.conf import settings  # isort: skip

from proxy.dataplane import health, plane
from proxy.dataplane.http import handler
from proxy.dataplane.rules.client_address import Application, Receive, Scope, Send, TrustedForwarding
from proxy.dataplane.rules.paths import is_proxied
from proxy.dataplane.rules.proxy_host import claim
from proxy.dataplane.websocket.handler import WebSocketCarry

_websocket: Application = WebSocketCarry.as_asgi()


def choose(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    """Who serves a connection: the data plane, the health answers or Django."""
    if scope["type"] == "http":
        raw_path = scope["raw_path"]
        if (settings.PROXY_HOST and claim(scope, settings.PROXY_HOST)) or is_proxied(raw_path):
            return handler.application(scope, receive, send)
        if raw_path in health.PATHS:
            return health.application(scope, receive, send)
        return control_plane.application(scope, receive, send)
    if scope["type"] == "websocket":
        if settings.PROXY_HOST:
            claim(scope, settings.PROXY_HOST)
        return _websocket(scope, receive, send)
    return _lifespan(receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
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
