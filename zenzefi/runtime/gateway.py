"""The gateway's server."""

import asyncio
import contextlib
import gc
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import uvicorn
from django.conf import settings

from proxy.dataplane import plane
from proxy.dataplane.server.http_protocol import GatewayProtocol
from zenzefi.runtime.sockets import BACKLOG, port_taken
from zenzefi.runtime.uvicorn_config import uvicorn_config

# How long a client that connected just before the port was given up has to send its request.
FIRST_REQUEST_SECONDS = 1.0
# Of the garbage collector's generations; Python's own are 700, 10, 10.
_GC_THRESHOLDS = (10_000, 20, 10)


class Gateway(uvicorn.Server):
    """Says when it is ready, and leaves in three steps.

    For `DRAIN_DELAY` seconds `/health/ready` answers 503 while everything is served as before, but each answer ends
    its connection, so that balancers and clients go elsewhere; then what waits at the port is still taken and the
    port is given up; then nothing new is admitted, running requests get `DRAIN_SECONDS` and WebSockets are closed
    with 1012.
    """

    def __init__(self, on_ready: Callable[[], None], others: Sequence[socket.socket] = ()) -> None:
        """`others` are the sockets of the other workers, from which it takes what waits for longer than a tick."""
        super().__init__(uvicorn_config("zenzefi.asgi:application", http=GatewayProtocol, lifespan="on"))
        self._on_ready = on_ready
        self._others = others
        self._arrivals = select.poll()
        self._unheeded: set[int] = set()
        self._leaving_since: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
            for listener in self._others:
                listener.listen(BACKLOG)
                self._arrivals.register(listener, select.POLLIN)
        except OSError as error:
            # Somebody who started at the same time was the first to listen.
            raise port_taken(settings.HOST, settings.PORT, "PORT", error) from error
        if self.started:
            # What lives until the end need not be looked through at each collection, and the sessions of ten thousand
            # tokens not several times a second: each time would hold everybody up for 0.1 s.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_GC_THRESHOLDS)
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        # A worker that is busy, or is just being replaced, holds nobody up; but what has only just come is its own,
        # or one of them would have nearly all that connect at once.
        waiting = {descriptor for descriptor, _event in self._arrivals.poll(0)}
        unheeded = waiting & self._unheeded
        await self._take(_accept_all(listener for listener in self._others if listener.fileno() in unheeded))
        self._unheeded = waiting
        if not await super().on_tick(counter):
            return False
        if self._leaving_since is None:
            self._leaving_since = time.monotonic()
            plane.current().leaving = True
            for connection in self._http_connections():
                connection.close_after_answer()
        return self.force_exit or time.monotonic() - self._leaving_since >= settings.DRAIN_DELAY

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._take_the_last([*(sockets or []), *self._others])
        plane.current().gate.draining = True
        await super().shutdown(sockets)

    async def _take_the_last(self, listeners: list[socket.socket]) -> None:
        """Close the listeners and serve who was connected already: the kernel would reset those that wait there."""
        waiting = list(_accept_all(listeners))
        for server in self.servers:
            server.close()
        for listener in self._others:
            listener.close()
        await self._take(waiting)
        deadline = time.monotonic() + FIRST_REQUEST_SECONDS
        unasked = True
        while unasked and not self.force_exit and time.monotonic() < deadline:
            # Before the first look, too: who was accepted a moment ago is no connection before the loop's next turn.
            await asyncio.sleep(0.02)
            unasked = any(connection.cycle is None for connection in self._http_connections())

    async def _take(self, connections: Iterable[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        for connection in connections:
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> GatewayProtocol:
        return GatewayProtocol(self.config, self.server_state, self.lifespan.state)

    def _http_connections(self) -> list[GatewayProtocol]:
        return [connection for connection in self.server_state.connections if isinstance(connection, GatewayProtocol)]


def _accept_all(listeners: Iterable[socket.socket]) -> Iterator[socket.socket]:
    for listener in listeners:
        with contextlib.suppress(BlockingIOError):  # nobody waits any more
            while True:
                yield listener.accept()[0]
