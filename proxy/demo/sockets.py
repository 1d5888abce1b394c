"""The WebSocket routes."""

import asyncio
import re
from datetime import UTC, datetime
from itertools import count

from starlette.types import Message
from starlette.websockets import WebSocket

from proxy.demo.query import query_number

SUBPROTOCOL = "echo.v1"
CLOSE_COMMAND = re.compile(r"close:([0-9]{4})(?::(.*))?", re.DOTALL)
# RFC 6455 §7.4: the other codes are reserved or never sent.
SENDABLE_CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
LONGEST_REASON = 123


async def echo(websocket: WebSocket) -> None:
    """Send every message back, until the message `close:CODE:REASON` arrives."""
    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in websocket["subprotocols"] else None)
    while (message := await websocket.receive())["type"] == "websocket.receive":
        response = _response_to(message)
        await websocket.send(response)
        if response["type"] == "websocket.close":
            return


def _response_to(message: Message) -> Message:
    text = message.get("text")
    command = CLOSE_COMMAND.fullmatch(text) if text is not None else None
    if command is None:
        return {"type": "websocket.send", "text": text, "bytes": message.get("bytes")}
    code, reason = int(command[1]), command[2] or ""
    if code not in SENDABLE_CODES or len(reason.encode()) > LONGEST_REASON:
        return {"type": "websocket.send", "text": f"{code} and this reason cannot be sent in a close frame."}
    return {"type": "websocket.close", "code": code, "reason": reason}


async def ticker(websocket: WebSocket) -> None:
    """Send a message every interval, until the client leaves."""
    interval = query_number(websocket.query_params, "interval", 1.0, 0.01, 60.0)
    await websocket.accept()
    ticks = asyncio.create_task(_send_ticks(websocket, interval), name="ticks of the demo upstream")
    try:
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass
    finally:
        ticks.cancel()
        await asyncio.gather(ticks, return_exceptions=True)


async def _send_ticks(websocket: WebSocket, interval: float) -> None:
    for number in count(1):
        await websocket.send_json({"number": number, "time": datetime.now(UTC).isoformat(timespec="milliseconds")})
        await asyncio.sleep(interval)
