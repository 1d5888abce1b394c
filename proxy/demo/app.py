"""The application: the table of routes and the way to them."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from proxy.demo import certificates, pages, probes, transfers
from proxy.demo.connection import ClientLeftError, Receive, Scope, Send
from proxy.demo.exchange import HttpError, Request, Response, error_response, respond
from proxy.demo.query import QueryError
from proxy.demo.sockets import serve_websocket

GET = ("GET", "HEAD")
UPLOAD = ("POST", "PUT")
ANY: tuple[str, ...] = ()


@dataclass(frozen=True)
class Route:
    """A pattern for the whole path (its group becomes the request's argument) and who answers it."""

    pattern: str
    methods: tuple[str, ...]
    answer: Callable[[Request], Awaitable[Response]]

    def admits(self, method: str) -> bool:
        """Whether the route is meant for this method."""
        return self.methods == ANY or method in self.methods


ROUTES = (
    Route(r"/", GET, pages.home),
    Route(r"/absolute(|/.*)", GET, pages.absolute),
    Route(r"/static/(.+)", GET, pages.static_file),
    Route(r"/api/info", GET, probes.info),
    Route(r"/certificates", GET, certificates.list_certificates),
    Route(r"/certificates/([^/]+)", GET, certificates.download_certificate),
    Route(r"/download/([^/]+)", GET, transfers.download),
    Route(r"/upload", UPLOAD, transfers.upload),
    Route(r"/echo(|/.*)", ANY, probes.echo),
    Route(r"/events", GET, probes.events),
    Route(r"/slow", GET, probes.slow),
    Route(r"/status/([^/]+)", GET, probes.status),
    Route(r"/fail", GET, probes.fail),
    Route(r"/redirect", GET, probes.redirect),
    Route(r"/cookies", GET, probes.cookies),
    Route(r"/health", GET, probes.health),
)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one connection of any type."""
    await SERVERS[scope["type"]](scope, receive, send)


async def serve_http(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    request = Request(scope, receive)
    try:
        response = await _answer(request)
    except QueryError as error:
        response = error_response(HttpError(400, str(error)))
    except HttpError as error:
        response = error_response(error)
    except ClientLeftError:
        return
    await respond(response, request, send)


async def _answer(request: Request) -> Response:
    for route in ROUTES:
        if matched := re.fullmatch(route.pattern, request.path, re.DOTALL):
            request.argument = "".join(matched.groups())
            if not route.admits(request.method):
                allow = ", ".join(route.methods)
                raise HttpError(405, f"{request.path} answers {allow} only.", (("allow", allow),))
            return await route.answer(request)
    raise HttpError(404, f"There is nothing at {request.path}.")


async def serve_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Agree to start and to stop."""
    for event in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{event}.complete"})


SERVERS = {"http": serve_http, "websocket": serve_websocket, "lifespan": serve_lifespan}
