"""The ASGI application: it chooses the plane, nothing else."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zenzefi.settings")

from zenzefi import control_plane

from django.conf import settings  # isort: skip

from proxy.dataplane import app, health, plane
from proxy.dataplane.consumer import WebSocketCarry
from proxy.dataplane.forwarding import Receive, Scope, Send, TrustedForwarding
from proxy.dataplane.hosts import claim
from proxy.dataplane.paths import is_proxied

_websocket = WebSocketCarry.as_asgi()


async def choose(scope: Scope, receive: Receive, send: Send) -> None:
    """Hand a connection to the data plane, the health answers or Django."""
    if scope["type"] == "http":
        raw_path = scope["raw_path"]
        if (settings.PROXY_HOST and claim(scope, settings.PROXY_HOST)) or is_proxied(raw_path):
            await app.application(scope, receive, send)
        elif raw_path in health.PATHS:
            await health.application(scope, receive, send)
        else:
            await control_plane.application(scope, receive, send)
    elif scope["type"] == "websocket":
        if settings.PROXY_HOST:
            claim(scope, settings.PROXY_HOST)
        await _websocket(scope, receive, send)
    else:
        await _lifespan(receive, send)


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
