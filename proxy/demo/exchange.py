"""One HTTP request, the answer to it, and how the answer is sent."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from proxy.demo.connection import ClientLeftError, Receive, Scope, Send, while_connected
from proxy.demo.query import Query

Headers = tuple[tuple[str, str], ...]

BODILESS_STATUSES = frozenset({204, 304})


class HttpError(Exception):
    """A request answered with an error status and a sentence that says why."""

    def __init__(self, status: int, sentence: str, headers: Headers = ()) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers


class Request:
    """An HTTP request; `argument` is the variable part of its path."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.argument = ""
        self.query = Query(scope["query_string"])
        self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]

    def header(self, name: str) -> str:
        """The value of a header, its repetitions joined as one list; empty when absent."""
        return ", ".join(value for given, value in self.headers if given == name)

    async def body(self) -> AsyncIterator[bytes]:
        """The body, piece by piece as it arrives."""
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeftError
            yield message.get("body", b"")
            more = message.get("more_body", False)


@dataclass(frozen=True)
class Response:
    """An answer: a whole body in one piece, or a stream that is sent while the client stays."""

    status: int = 200
    headers: Headers = ()
    body: bytes | AsyncIterator[bytes] = b""
    seconds_before: float = field(default=0.0, kw_only=True)


def json_response(content: Any, status: int = 200, headers: Headers = ()) -> Response:
    """The content as readable JSON."""
    body = json.dumps(content, indent=2).encode() + b"\n"
    return Response(status, (("content-type", "application/json"), *headers), body)


def error_response(error: HttpError) -> Response:
    """The error as JSON."""
    return json_response({"error": str(error)}, error.status, error.headers)


async def respond(response: Response, request: Request, send: Send) -> None:
    """Send the response; a stream ends early when the client leaves."""
    if isinstance(response.body, bytes):
        await _send_whole(response, response.body, request, send)
    else:
        await while_connected(request.receive, _send_stream(response, response.body, request, send))


async def _send_whole(response: Response, body: bytes, request: Request, send: Send) -> None:
    headers = response.headers
    if response.status not in BODILESS_STATUSES:
        headers = (*headers, ("content-length", str(len(body))))
    await _send_start(response.status, headers, send)
    await _send_body(b"" if request.method == "HEAD" else body, send)


async def _send_stream(response: Response, stream: AsyncIterator[bytes], request: Request, send: Send) -> None:
    await asyncio.sleep(response.seconds_before)
    await _send_start(response.status, response.headers, send)
    if request.method != "HEAD":
        async for chunk in stream:
            await _send_body(chunk, send, more=True)
            # After a disconnect send() may return at once and for ever; the loop has to yield by itself.
            await asyncio.sleep(0)
    await _send_body(b"", send)


async def _send_start(status: int, headers: Headers, send: Send) -> None:
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


async def _send_body(body: bytes, send: Send, *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
