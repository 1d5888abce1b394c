"""The WebSocket routes."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import count

from proxy.demo.connection import Message, Receive, Scope, Send, while_connected
from proxy.demo.query import Query, QueryError

SUBPROTOCOL = "echo.v1"
CLOSE_COMMAND = re.compile(r"close:([0-9]{4})(?::(.*))?", re.DOTALL)
# RFC 6455 §7.4: the other codes are reserved or never sent.
SENDABLE_CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
LONGEST_REASON = 123

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


async def serve_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """Hand the connection to its route, or refuse it."""
    await receive()
    handler = ROUTES.get(scope["path"])
    if handler is None:
        await send({"type": "websocket.close"})
        return
    try:
        await handler(scope, receive, send)
    except QueryError as error:
        await _refuse(str(error), send)


async def _refuse(sentence: str, send: Send) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "websocket.http.response.start", "status": 400, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": json.dumps({"error": sentence}).encode()})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send back what arrives, until told `close:CODE:REASON`."""
    chosen = SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen})
    while (message := await receive())["type"] == "websocket.receive":
        answer = _echo_of(message)
        await send(answer)
        if answer["type"] == "websocket.close":
            return


def _echo_of(message: Message) -> Message:
    text = message.get("text")
    command = CLOSE_COMMAND.fullmatch(text) if text is not None else None
    if command is None:
        return {"type": "websocket.send", "text": text, "bytes": message.get("bytes")}
    code, reason = int(command[1]), command[2] or ""
    if code not in SENDABLE_CODES or len(reason.encode()) > LONGEST_REASON:
        return {"type": "websocket.send", "text": f"{code} and this reason cannot be sent in a close frame."}
    return {"type": "websocket.close", "code": code, "reason": reason}


async def ticker(scope: Scope, receive: Receive, send: Send) -> None:
    """A message every interval, until the client leaves."""
    interval = Query(scope["query_string"]).number("interval", 1.0, 0.01, 60.0)
    await send({"type": "websocket.accept"})
    await while_connected(receive, _tick(interval, send))


async def _tick(interval: float, send: Send) -> None:
    for number in count(1):
        content = {"number": number, "time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        await send({"type": "websocket.send", "text": json.dumps(content)})
        await asyncio.sleep(interval)


ROUTES: dict[str, Handler] = {"/ws/echo": echo, "/ws/ticker": ticker}
