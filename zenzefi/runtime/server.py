"""The gateway and, in the demo, its upstream, in one process and one event loop."""

import asyncio
import resource
import socket
from collections.abc import Callable

from zenzefi.runtime.demo_upstream import demo_upstream
from zenzefi.runtime.exit_signals import call_on_exit_signal
from zenzefi.runtime.gateway import Gateway


def run(gateway: list[socket.socket], upstream: socket.socket | None, on_ready: Callable[[], None]) -> bool:
    """Serve in this process until SIGINT, SIGTERM or the end of the terminal; whether it had started at all."""
    server = Gateway(on_ready)

    def leave(_signal: int) -> None:
        server.should_exit = True

    call_on_exit_signal(leave)
    return serve(server, gateway, upstream)


def serve(server: Gateway, gateway: list[socket.socket], upstream: socket.socket | None = None) -> bool:
    """Serve until `server.should_exit`; whether it had started at all.

    uvicorn heeds SIGINT and SIGTERM meanwhile, and raises the one that ended it once more when it is done: the caller
    has set handlers that then do no harm.
    """

    async def serving() -> None:
        async with demo_upstream(upstream):
            await server.serve(sockets=gateway)

    # Two descriptors for each WebSocket are soon more than the customary 1024.
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(serving())
    return server.started
