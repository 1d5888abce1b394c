"""The gateway's server: start, readiness and graceful shutdown."""

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
from zenzefi.runtime.sockets import BACKLOG, port_unavailable
from zenzefi.runtime.uvicorn_config import uvicorn_config

# Time for a client that connected just before the port was closed to send its request.
FIRST_REQUEST_SECONDS = 1.0
# Thresholds of the garbage collector's generations; Python's defaults are 700, 10, 10.
_GC_THRESHOLDS = (10_000, 20, 10)


class Gateway(uvicorn.Server):
    """A server that calls `on_ready`, and shuts down in three steps.

    1. For `DRAIN_DELAY` seconds `/health/ready` returns 503. Everything is served as before, but each response closes
       its connection, so that load balancers and clients go elsewhere.
    2. Connections that wait at the port are accepted, and the port is closed.
    3. Nothing new is admitted: running requests get `DRAIN_SECONDS`, and WebSockets are closed with 1012.
    """

    def __init__(self, on_ready: Callable[[], None], others: Sequence[socket.socket] = ()) -> None:
        """Also accept from `others`, the sockets of other workers, if a connection waits there for a whole tick."""
        super().__init__(uvicorn_config("zenzefi.asgi:application", http=GatewayProtocol, lifespan="on"))
        self._on_ready = on_ready
        self._others = others
        self._arrivals = select.poll()
        self._waiting: set[int] = set()
        self._leaving_since: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
            for listener in self._others:
                listener.listen(BACKLOG)
                self._arrivals.register(listener, select.POLLIN)
        except OSError as error:
            # Another program that started at the same time was the first to listen.
            raise port_unavailable(settings.HOST, settings.PORT, "PORT", error) from error
        if self.started:
            # Objects that live until the end are exempt from collection, and the sessions of ten thousand tokens are
            # not searched several times a second: each time would block the event loop for 0.1 s.
            gc.collect()
            gc.freeze()
            gc.set_threshold(*_GC_THRESHOLDS)
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        # Clients do not wait for a worker that is busy or being replaced. New connections are left to their own
        # worker for one tick; otherwise one worker would take nearly all of a burst.
        waiting = {descriptor for descriptor, _event in self._arrivals.poll(0)}
        overdue = waiting & self._waiting
        await self._serve_connections(_accept_all(each for each in self._others if each.fileno() in overdue))
        self._waiting = waiting
        if not await super().on_tick(counter):
            return False
        if self._leaving_since is None:
            self._leaving_since = time.monotonic()
            plane.current().leaving = True
            for connection in self._http_connections():
                connection.close_after_response()
        return self.force_exit or time.monotonic() - self._leaving_since >= settings.DRAIN_DELAY

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._close_listeners([*(sockets or []), *self._others])
        plane.current().gate.draining = True
        await super().shutdown(sockets)

    async def _close_listeners(self, listeners: list[socket.socket]) -> None:
        """Close the listeners, and serve the clients that wait there: the kernel would reset their connections."""
        waiting = list(_accept_all(listeners))
        for server in self.servers:
            server.close()
        for listener in self._others:
            listener.close()
        await self._serve_connections(waiting)
        deadline = time.monotonic() + FIRST_REQUEST_SECONDS
        idle = True
        while idle and not self.force_exit and time.monotonic() < deadline:
            # Sleep before the first check, too: an accepted socket becomes a connection in the loop's next iteration.
            await asyncio.sleep(0.02)
            idle = any(connection.cycle is None for connection in self._http_connections())

    async def _serve_connections(self, connections: Iterable[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        for connection in connections:
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> GatewayProtocol:
        return GatewayProtocol(self.config, self.server_state, self.lifespan.state)

    def _http_connections(self) -> list[GatewayProtocol]:
        return [connection for connection in self.server_state.connections if isinstance(connection, GatewayProtocol)]


def _accept_all(listeners: Iterable[socket.socket]) -> Iterator[socket.socket]:
    """Accept every connection that waits."""
    for listener in listeners:
        with contextlib.suppress(BlockingIOError):  # no connection waits any more
            while True:
                yield listener.accept()[0]
