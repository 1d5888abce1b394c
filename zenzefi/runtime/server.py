"""The servers of the main command: the gateway and, in the demo, its upstream, in one event loop."""

import asyncio
import contextlib
import gc
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Literal

import uvicorn
from django.conf import settings

from proxy.dataplane import plane
from proxy.dataplane.server.http_protocol import GatewayProtocol
from proxy.dataplane.websocket.client_end import GatewayWebSocket

# How long a client that connected just before the port was given up has to send its request.
FIRST_REQUEST_SECONDS = 1.0
# Of the garbage collector's generations; Python's own are 700, 10, 10.
_GC_THRESHOLDS = (10_000, 20, 10)


_BACKLOG = 2048


class PortTaken(Exception):
    """Somebody else listens there already."""


def bind(host: str, port: int, setting: str = "PORT", *, shared: bool = False) -> socket.socket:
    """A socket that has the port, taken before anything else is done. Raises `PortTaken`, which names the setting.

    It does not listen yet: until the server serves, a balancer is refused at once instead of made to wait.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise _port_taken(host, port, setting, error) from error
    bound.setblocking(False)
    return bound


def bind_for_workers(host: str, port: int, count: int) -> list[socket.socket]:
    """A socket for each worker, between which the kernel shares out what connects; see `bind`.

    One for all where the kernel cannot: of several processes that accept from one socket, whoever wakes first takes
    all that connect at once, and one worker has all the work.
    """
    unshared = bind(host, port)
    if count == 1 or sys.platform != "linux":
        return [unshared]
    unshared.close()  # nobody else listens there
    _claim(host, port)
    return [bind(host, port, shared=True) for _ in range(count)]


def _claim(host: str, port: int) -> None:
    """Refuse another gateway of the same user, whom the kernel lets have a shared port, until this process ends."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0zenzefi {host}:{port}")
    except OSError as error:
        claim.close()
        raise _port_taken(host, port, "PORT", error) from error
    claim.detach()


def listen(host: str, port: int, setting: str = "PORT") -> socket.socket:
    """The same, and it listens."""
    listener = bind(host, port, setting)
    listener.listen(_BACKLOG)
    return listener


def _port_taken(host: str, port: int, setting: str, error: OSError) -> PortTaken:
    reason = (error.strerror or str(error)).lower()
    return PortTaken(f"Port {port} on {host} is not to be had ({reason}): free it, or set {setting}.")


class Gateway(uvicorn.Server):
    """Says when it is ready, and leaves in three steps.

    For `DRAIN_DELAY` seconds `/health/ready` answers 503 while everything is served as before, but each answer ends
    its connection, so that balancers and clients go elsewhere; then what waits at the port is still taken and the
    port is given up; then nothing new is admitted, running requests get `DRAIN_SECONDS` and WebSockets are closed
    with 1012.
    """

    def __init__(self, on_ready: Callable[[], None], others: Sequence[socket.socket] = ()) -> None:
        """`others` are the sockets of the other workers, from which it takes what waits for longer than a tick."""
        super().__init__(_config("zenzefi.asgi:application", http=GatewayProtocol, lifespan="on"))
        self._on_ready = on_ready
        self._others = others
        self._arrivals = select.poll()
        self._unheeded: set[int] = set()
        self._leaving_since: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
            for listener in self._others:
                listener.listen(_BACKLOG)
                self._arrivals.register(listener, select.POLLIN)
        except OSError as error:
            # Somebody who started at the same time was the first to listen.
            raise _port_taken(settings.HOST, settings.PORT, "PORT", error) from error
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


class _DemoUpstream(uvicorn.Server):
    """Leaves the signals to the gateway."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(gateway: list[socket.socket], upstream: socket.socket | None, on_ready: Callable[[], None]) -> bool:
    """Serve in this process until SIGINT, SIGTERM or the end of the terminal; whether it had started at all."""
    server = Gateway(on_ready)

    def leave(_signal: int) -> None:
        server.should_exit = True

    heed_end(leave)
    return serve(server, gateway, upstream)


def heed_end(leave: Callable[[int], None]) -> None:
    """Call `leave` with each SIGINT, SIGTERM and SIGHUP, and with SIGHUP when the terminal ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: leave(number))
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, lambda number, _frame: leave(number))
        threading.Thread(target=_hang_up_with_terminal, name="terminal", daemon=True).start()


def _hang_up_with_terminal() -> None:
    """Wait for the end of the terminal, if there is one. The kernel tells only the session's leader, which may be a
    `make` that then waits for us."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return
    hang_up = select.poll()
    hang_up.register(terminal, 0)  # nothing but POLLHUP and POLLERR, which need not be asked for
    hang_up.poll()
    os.kill(os.getpid(), signal.SIGHUP)


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


@contextlib.asynccontextmanager
async def demo_upstream(listener: socket.socket | None) -> AsyncIterator[None]:
    """Serve the demo upstream, where there is a socket for it, until the block ends."""
    if listener is None:
        yield
        return
    demo = _DemoUpstream(_config("proxy.demo.app:application", http="httptools", lifespan="off"))
    serving = asyncio.create_task(demo.serve(sockets=[listener]), name="demo upstream")
    try:
        yield
    finally:
        demo.should_exit = True
        await serving


def _config(
    application: str, *, http: "type[GatewayProtocol] | str", lifespan: Literal["on", "off"]
) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=http,
        lifespan=lifespan,
        loop="uvloop",
        ws="websockets-sansio" if http == "httptools" else GatewayWebSocket,
        ws_max_size=settings.WEBSOCKET_MAX_MESSAGE_BYTES,
        # Its windows would double the memory of a WebSocket, which is 34 KiB.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=settings.DRAIN_SECONDS,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,
    )
