"""The demo upstream, served in the gateway's event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn

from zenzefi.runtime.uvicorn_config import uvicorn_config


class _DemoUpstream(uvicorn.Server):
    """A server that leaves signals to the gateway."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def demo_upstream(listener: socket.socket | None) -> AsyncIterator[None]:
    """Serve the demo upstream on the socket, if there is one, until the block ends."""
    if listener is None:
        yield
        return
    demo = _DemoUpstream(uvicorn_config("proxy.demo.app:application", http="httptools", lifespan="off"))
    serving = asyncio.create_task(demo.serve(sockets=[listener]), name="demo upstream")
    try:
        yield
    finally:
        demo.should_exit = True
        await serving
