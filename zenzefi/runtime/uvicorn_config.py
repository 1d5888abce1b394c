"""uvicorn's configuration for the gateway and the demo upstream."""

from typing import Literal

import uvicorn
from django.conf import settings

from proxy.dataplane.server.http_protocol import GatewayProtocol
from proxy.dataplane.websocket.client_end import ClientEnd


def uvicorn_config(
    application: str, *, http: "type[GatewayProtocol] | str", lifespan: Literal["on", "off"]
) -> uvicorn.Config:
    """Return the configuration of a server for an application."""
    return uvicorn.Config(
        application,
        http=http,
        lifespan=lifespan,
        loop="uvloop",
        ws="websockets-sansio" if http == "httptools" else ClientEnd,
        ws_max_size=settings.WEBSOCKET_MAX_MESSAGE_BYTES,
        # The compression windows would double the memory of a WebSocket, which is 34 KiB.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=settings.DRAIN_SECONDS,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,
    )
