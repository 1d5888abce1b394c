"""The Starlette application and its routes."""

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from proxy.demo import certificates, pages, probes, sockets, transfers
from proxy.demo.responses import error_response

# Starlette adds no method to an empty list, and a route without methods accepts every method.
ANY: tuple[str, ...] = ()

ROUTES = (
    Route("/", pages.home),
    Route("/absolute", pages.absolute),
    Route("/absolute/{rest:path}", pages.absolute),
    Mount("/static", pages.RevalidatedFiles(directory=pages.ASSETS / "static")),
    Route("/api/info", probes.info),
    Route("/certificates", certificates.list_certificates),
    Route("/certificates/{number}", certificates.download_certificate),
    Route("/download/{size}", transfers.download),
    Route("/upload", transfers.upload, methods=("POST", "PUT")),
    Route("/echo", probes.echo, methods=ANY),
    Route("/echo/{rest:path}", probes.echo, methods=ANY),
    Route("/events", probes.events),
    Route("/slow", probes.slow),
    Route("/status/{code}", probes.status),
    Route("/fail", probes.fail),
    Route("/redirect", probes.redirect),
    Route("/cookies", probes.cookies),
    Route("/health", probes.health),
    WebSocketRoute("/ws/echo", sockets.echo),
    WebSocketRoute("/ws/ticker", sockets.ticker),
)


async def ignore_disconnect(connection: Any, error: Exception) -> Any:
    """Send no response, because the client has closed the connection."""


application = Starlette(
    routes=ROUTES,
    exception_handlers={
        HTTPException: error_response,
        ClientDisconnect: ignore_disconnect,
        WebSocketDisconnect: ignore_disconnect,
    },
)
application.router.redirect_slashes = False
