"""Real servers on loopback: the gateway, the demo upstream and an upstream that records bytes."""

import asyncio
import logging
import re
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn

from proxy.dataplane import health, plane
from proxy.dataplane.plane import DataPlane
from proxy.dataplane.server.http_protocol import GatewayProtocol
from proxy.tests.support.clock import running_seconds
from zenzefi.runtime.sockets import listen
from zenzefi.runtime.uvicorn_config import uvicorn_config


def eventually(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """Wait until the condition is true. Return its value; fail after `seconds`, with its last value."""
    started = time.monotonic()
    while not (found := condition()):
        assert running_seconds(started) < seconds, f"{found!r} after {seconds} s: {condition}"
        time.sleep(0.01)
    return found


async def eventually_async(condition: Callable[[], Any], seconds: float = 10) -> None:
    """Wait in an event loop until the condition is true; fail after `seconds`, with its last value."""
    started = time.monotonic()
    while not (found := condition()):
        assert running_seconds(started) < seconds, f"{found!r} after {seconds} s: {condition}"
        await asyncio.sleep(0.01)


class _Server(uvicorn.Server):
    loop: asyncio.AbstractEventLoop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)


class ServerThread:
    """An ASGI application in a thread, under uvicorn as the main command configures it."""

    def __init__(self, application: str, name: str, *, http: Any, lifespan: Any) -> None:
        self._listener = listen("127.0.0.1", 0)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = _Server(uvicorn_config(application, http=http, lifespan=lifespan))
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), name=name)
        self._thread.start()
        eventually(lambda: self._server.started or not self._thread.is_alive(), 10)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the server's event loop. Return its result."""
        running = asyncio.run_coroutine_threadsafe(work, self._server.loop)
        try:
            return running.result(10)
        except TimeoutError:
            tasks = "\n".join(map(repr, asyncio.all_tasks(self._server.loop)))
            raise AssertionError(f"{work} is not done; these run:\n{tasks}") from None

    @property
    def is_idle(self) -> bool:
        """Return whether the server has no request or WebSocket in flight, including those whose client has left."""
        return not self._server.server_state.tasks

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()


class _GatewayErrors(logging.Handler):
    """The errors that the gateway logs. They fail the test even if the client received a correct response."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.threadName == "gateway" or record.name.startswith("proxy.dataplane"):
            self.messages.append(f"{record.name}: {record.getMessage()} {record.exc_info or ''}")


class Gateway:
    """The gateway with a data plane for one test; `restart` replaces the plane by one with other settings."""

    def __init__(self, thread: ServerThread, settings: Any) -> None:
        self._thread = thread
        self._settings = settings
        self._clients: list[httpx.Client] = []
        self._handler = _GatewayErrors()
        self.errors = self._handler.messages
        self.port, self.url = thread.port, thread.url
        self.proxy_url = f"{thread.url}/api/v1/proxy"
        logging.getLogger().addHandler(self._handler)

    @property
    def plane(self) -> DataPlane:
        """Return the running data plane, which belongs to the gateway's event loop."""
        return plane.current()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the gateway's event loop. Return its result."""
        return self._thread.run(work)

    @property
    def connections(self) -> list[Any]:
        """Return the protocol objects of the connections to clients."""
        return list(self._thread._server.server_state.connections)

    @property
    def is_idle(self) -> bool:
        """Return whether the gateway has responded to everything that it has received."""
        return self._thread.is_idle

    def wait_for_free(self, token: Any) -> None:
        """Wait until no device has a lease on a `Sold` token."""
        eventually(lambda: self.run(self.plane.state.lease(token.token.pk)) is None)

    def restart(self, **settings: Any) -> None:
        """Stop the data plane and start one with these settings, as a restart of the main command does."""
        self.run(plane.stop())
        for name, value in settings.items():
            setattr(self._settings, name, value)
        health._memo = None

        async def start() -> None:
            plane.current()

        self.run(start())

    def client(self, token: Any = None, headers: Any = None, **options: Any) -> httpx.Client:
        """Return an HTTP client for paths below the proxy prefix, with the credentials of a `Sold` token if given."""
        given = {**(token.headers if token else {}), **(headers or {})}
        client = httpx.Client(base_url=self.proxy_url, headers=given, trust_env=False, timeout=10, **options)
        self._clients.append(client)
        return client

    def stop(self) -> None:
        """Stop the data plane; fail if something is still in flight or the gateway has logged an error."""
        try:
            for client in self._clients:
                client.close()
            eventually(lambda: self.is_idle)
            assert len(plane.current().in_flight) == 0
        finally:
            self.run(plane.stop())
            logging.getLogger().removeHandler(self._handler)
        assert self.errors == []


def start_gateway() -> ServerThread:
    return ServerThread("zenzefi.asgi:application", "gateway", http=GatewayProtocol, lifespan="on")


def start_demo_upstream() -> ServerThread:
    return ServerThread("proxy.demo.app:application", "demo upstream", http="httptools", lifespan="off")


class LoopThread:
    """An event loop in a thread, for the upstreams."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstreams")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the loop. Return its result; fail after ten seconds."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def call(self, function: Callable[[], Any]) -> None:
        """Call a function in the loop, without waiting for it."""
        self._loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        self.run(self._end_tasks())
        self.call(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    async def _end_tasks(self) -> None:
        """Cancel what still runs. A transport that is open when the loop closes would fail a later test."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True)
class Recorded:
    """One request, as the bytes that the upstream received."""

    raw: bytes

    @property
    def line(self) -> bytes:
        return self.raw.partition(b"\r\n")[0]

    @property
    def target(self) -> bytes:
        return self.line.split(b" ")[1]

    @property
    def body(self) -> bytes:
        """Return the body as received, including its chunk framing if it was chunked."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the fields in order, with their names in lower case."""
        lines = self.raw.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        pairs = [line.partition(b":") for line in lines]
        return [(name.lower(), value.strip()) for name, _, value in pairs]

    def header(self, name: bytes) -> bytes | None:
        """Return the value of a field, or None if it is absent; fail if it is repeated."""
        values = [value for known, value in self.headers if known == name]
        assert len(values) <= 1, values
        return values[0] if values else None


class Connection:
    """The upstream's end of a connection, for a scripted response."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def wait_closed(self) -> None:
        """Wait until the gateway closes or resets the connection."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            return


Response = bytes | Callable[[Recorded, Connection], Awaitable[object]]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class OneByOne:
    """A stream of events of which the upstream sends the next one only when the client has received the last one.

    A gateway that holds an event back would never get another.
    """

    HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

    def __init__(self, upstream: "RecordingUpstream", count: int = 4) -> None:
        self._upstream, self._count = upstream, count
        self._received = asyncio.Semaphore(0)
        upstream.response = self._send

    async def _send(self, _request: Recorded, connection: Connection) -> None:
        await connection.send(self.HEAD)
        for number in range(self._count):
            await connection.send(b"9\r\ndata: %d\n\n\r\n" % number)
            await self._received.acquire()
        await connection.send(b"0\r\n\r\n")

    def read(self, response: httpx.Response) -> None:
        """Read the response. Assert that each event arrives alone."""
        pieces = response.iter_raw()
        for number in range(self._count):
            assert next(pieces) == b"data: %d\n\n" % number
            self._upstream.call(self._received.release)
        assert list(pieces) == []


def once(data: bytes) -> Response:
    """Return a script that sends these bytes and closes the connection."""

    async def send(_request: Recorded, connection: Connection) -> None:
        await connection.send(data)

    return send


class RecordingUpstream:
    """A raw TCP server that records the exact bytes of each request and sends a prepared response.

    `response` is bytes, or a coroutine function of the request and the connection. After bytes, the connection stays
    open for the next request; after a function, it stays open if the function returns True.
    """

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self.response: Response = OK
        self.requests: list[Recorded] = []
        self.reads_bodies = True  # before the response is sent
        self.connections = 0
        self.closed_connections = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopped = False
        self.port = loop.run(self._start())
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def last(self) -> Recorded:
        """Return the last request."""
        return self.requests[-1]

    async def _start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        return self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        if self._stopped:  # the connection was accepted before, and its task begins only now
            writer.transport.abort()
            return
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self.closed_connections += 1
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = Recorded(await _read_request(reader, self.reads_bodies))
        self.requests.append(request)
        if isinstance(self.response, bytes):
            writer.write(self.response)
            await writer.drain()
            return True
        return bool(await self.response(request, Connection(reader, writer)))

    def call(self, function: Callable[[], Any]) -> None:
        """Call a function in the upstream's event loop, to continue a script."""
        self._loop.call(function)

    def stop(self) -> None:
        self._loop.run(self._stop())

    async def _stop(self) -> None:
        self._stopped = True
        self._server.close()
        for writer in self._writers:  # also those that are closing, but cannot send the rest of their data
            writer.transport.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()


async def _read_request(reader: asyncio.StreamReader, with_body: bool) -> bytes:
    raw = await reader.readuntil(b"\r\n\r\n")
    if not with_body:
        return raw
    if length := re.search(rb"\r\ncontent-length: *([0-9]+)", raw, re.IGNORECASE):
        raw += await reader.readexactly(int(length[1]))
    elif re.search(rb"\r\ntransfer-encoding: *chunked", raw, re.IGNORECASE):
        raw += await _read_chunked(reader)
    return raw


async def _read_chunked(reader: asyncio.StreamReader) -> bytes:
    raw = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        raw += line
        size = int(line.split(b";")[0], 16)
        raw += await reader.readexactly(size + 2)
        if size == 0:
            return raw
