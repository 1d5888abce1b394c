"""An upstream of server-sent events. Each contains the time at which it was sent: `CLOCK_MONOTONIC`, nanoseconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_PAUSE_SECONDS = 0.05


async def app(scope: MutableMapping[str, Any], _receive: object, send: Send) -> None:
    """Send the number of events given as `/?count=80`, 20 per second."""
    count = int(parse_qs(scope["query_string"].decode()).get("count", ["0"])[0])
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(count):
        await asyncio.sleep(_PAUSE_SECONDS)
        event = f"data: {time.monotonic_ns()}\n\n".encode()
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
