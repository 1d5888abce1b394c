"""The servers of the main command: the gateway and, in the demo, its upstream, in one event loop."""

import asyncio
import contextlib
import gc
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal

import uvicorn
from django.conf import settings

from proxy.dataplane import plane
from proxy.dataplane.protocol import GatewayProtocol, GatewayWebSocket


class PortTaken(Exception):
    """Somebody else listens there already."""


def listen(host: str, port: int, setting: str = "PORT") -> socket.socket:
    """A listening socket, taken before anything else is done. Raises `PortTaken`, which names the setting."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        reason = (error.strerror or str(error)).lower()
        raise PortTaken(f"Port {port} on {host} is not to be had ({reason}): free it, or set {setting}.") from error
    listener.setblocking(False)
    return listener


class _Gateway(uvicorn.Server):
    """Says when it is ready, and leaves in three steps.

    For `DRAIN_DELAY` seconds `/health/ready` answers 503 while everything is served as before, so that balancers
    see it; then nothing new is admitted and running requests get `DRAIN_SECONDS`; WebSockets are closed with 1012.
    """

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._leaving_since: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # What lives until the end need not be looked through at each collection.
            gc.collect()
            gc.freeze()
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        if not await super().on_tick(counter):
            return False
        if self._leaving_since is None:
            self._leaving_since = time.monotonic()
            plane.current().leaving = True
        return self.force_exit or time.monotonic() - self._leaving_since >= settings.DRAIN_DELAY

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        plane.current().gate.draining = True
        await super().shutdown(sockets)


class _DemoUpstream(uvicorn.Server):
    """Leaves the signals to the gateway."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(gateway: socket.socket, upstream: socket.socket | None, on_ready: Callable[[], None]) -> bool:
    """Serve until SIGINT, SIGTERM or the end of the terminal; whether it had started at all."""
    server = _Gateway(_config("zenzefi.asgi:application", http=GatewayProtocol, lifespan="on"), on_ready)

    def hang_up(_signal: int, _frame: object) -> None:
        server.should_exit = True

    # uvicorn raises the signal that ended it once more when it is done; we are done then, too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, hang_up)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, hang_up)
        threading.Thread(target=_hang_up_with_terminal, name="terminal", daemon=True).start()
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(_serve(server, gateway, upstream))
    return server.started


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


async def _serve(server: _Gateway, gateway: socket.socket, upstream: socket.socket | None) -> None:
    if upstream is None:
        await server.serve(sockets=[gateway])
        return
    demo = _DemoUpstream(_config("proxy.demo.app:application", http="httptools", lifespan="off"))
    serving = asyncio.create_task(demo.serve(sockets=[upstream]), name="demo upstream")
    try:
        await server.serve(sockets=[gateway])
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
        ws=GatewayWebSocket,
        ws_max_size=settings.WEBSOCKET_MAX_MESSAGE_BYTES,
        timeout_graceful_shutdown=settings.DRAIN_SECONDS,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,
    )
