"""The gateway and, in the demo, its upstream, in one process and one event loop."""

import asyncio
import resource
import socket
from collections.abc import Callable

from zenzefi.runtime.demo_upstream import demo_upstream
from zenzefi.runtime.exit_signals import call_on_exit_signal
from zenzefi.runtime.gateway import Gateway


def run(gateway: list[socket.socket], upstream: socket.socket | None, on_ready: Callable[[], None]) -> bool:
    """Serve in this process until an exit signal. Return whether the gateway had started."""
    server = Gateway(on_ready)

    def leave(_signal: int) -> None:
        server.should_exit = True

    call_on_exit_signal(leave)
    return serve(server, gateway, upstream)


def serve(server: Gateway, gateway: list[socket.socket], upstream: socket.socket | None = None) -> bool:
    """Serve until `server.should_exit`. Return whether the gateway had started.

    uvicorn handles SIGINT and SIGTERM meanwhile, and raises the signal that ended it once more when it is done: the
    caller must have set handlers that ignore it then.
    """

    async def serving() -> None:
        async with demo_upstream(upstream):
            await server.serve(sockets=gateway)

    # Each WebSocket needs two descriptors, so the usual limit of 1024 is soon reached.
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(serving())
    return server.started
