"""The ASGI calling convention, and work that must not outlive its client."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ClientLeftError(Exception):
    """The client closed the connection before its request was complete."""


async def while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Run the work to its end, or stop it as soon as the client leaves."""
    worker = asyncio.create_task(work)
    watcher = asyncio.create_task(_client_leaves(receive))
    try:
        await asyncio.wait({worker, watcher}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        worker.cancel()
        watcher.cancel()
        await asyncio.gather(worker, watcher, return_exceptions=True)
    if not worker.cancelled():
        worker.result()


async def _client_leaves(receive: Receive) -> None:
    while (await receive())["type"] not in {"http.disconnect", "websocket.disconnect"}:
        pass
