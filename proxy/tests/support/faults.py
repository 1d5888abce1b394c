"""A TCP proxy between the gateway and one of its services, which simulates faults of the network."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from proxy.tests.support.servers import LoopThread

Fault = Literal["refused", "frozen", "slow", "reset"]
SLOW_SECONDS = 10.0


class Link:
    """A TCP proxy in front of a service, which works until `fail` and again after `mend`.

    - refused: the port does not accept connections, and open connections are reset.
    - frozen: connections are accepted and stay open, but no data passes; it arrives after `mend`.
    - slow: each piece of data takes ten seconds.
    - reset: connections are accepted and reset.
    """

    def __init__(self, loop: LoopThread, url: str) -> None:
        self._loop = loop
        self._url = urlsplit(url)
        self._links: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        # Reserves the port while the server does not listen on it.
        self._port = self._bound(0)
        self.port: int = self._port.getsockname()[1]
        loop.run(self._begin())

    @property
    def url(self) -> str:
        """Return the URL that reaches the service through this proxy."""
        credentials = self._url.netloc.rpartition("@")[0]
        return self._url._replace(netloc=f"{credentials}@127.0.0.1:{self.port}".removeprefix("@")).geturl()

    @property
    def open(self) -> int:
        """Return the number of open connections."""
        return len(self._links)

    def fail(self, fault: Fault) -> None:
        """Simulate this fault from now on."""
        self._loop.run(self._break(fault))

    def fail_after(self, pieces: int, fault: Fault) -> None:
        """Simulate this fault after so many more pieces of data in either direction, in the middle of an exchange."""
        self._later = (pieces, fault)

    @property
    def is_broken(self) -> bool:
        """Return whether a fault is being simulated."""
        return self._fault is not None

    def kill(self) -> None:
        """Reset every open connection; new ones work."""
        self._loop.run(self._reset())

    def mend(self) -> None:
        """End the fault."""
        self._loop.run(self._mend())

    def close(self) -> None:
        """Stop the proxy and release its port."""
        self._loop.run(self._stop())
        self._port.close()

    # --- In the event loop

    async def _begin(self) -> None:
        self._fault: Fault | None = None
        self._later: tuple[int, Fault] | None = None
        self._thawed = asyncio.Event()
        self._thawed.set()
        await self._listen()

    def _bound(self, port: int) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(("127.0.0.1", port))
        return bound

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._link, sock=self._bound(self.port), backlog=1000)

    async def _break(self, fault: Fault) -> None:
        self._fault = fault
        if fault == "frozen":
            self._thawed.clear()
        elif fault == "refused":
            await self._unlisten()
        if fault in ("refused", "reset"):
            await self._reset()

    async def _unlisten(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _mend(self) -> None:
        self._fault = self._later = None
        self._thawed.set()
        if self._server is None:
            await self._listen()

    async def _reset(self) -> None:
        for writer in list(self._writers):
            _abort(writer)
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _stop(self) -> None:
        await self._unlisten()
        await self._reset()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link: Any = asyncio.current_task()
        self._links.add(link)
        self._writers.add(writer)
        try:
            if self._fault == "reset":
                _abort(writer)
            else:
                await self._both_ways(reader, writer)
        except (OSError, asyncio.CancelledError):
            _abort(writer)
        finally:
            self._writers.discard(writer)
            self._links.discard(link)

    async def _both_ways(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._thawed.wait()
        upstream_reader, upstream_writer = await asyncio.open_connection(
            self._url.hostname, self._url.port, limit=2**20
        )
        self._writers.add(upstream_writer)
        pumps = [
            asyncio.create_task(self._pump(reader, upstream_writer)),
            asyncio.create_task(self._pump(upstream_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._writers.discard(upstream_writer)
            upstream_writer.close()
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(2**16):
                self._count_down()
                if self._fault == "slow":
                    await asyncio.sleep(SLOW_SECONDS)
                await self._thawed.wait()
                writer.write(data)
                await writer.drain()
            await self._thawed.wait()

    def _count_down(self) -> None:
        if self._later is not None:
            pieces, fault = self._later
            self._later = (pieces - 1, fault) if pieces > 1 else None
            if self._later is None:
                self._breaking = asyncio.ensure_future(self._break(fault))


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a TCP reset (RST)."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() != -1:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    writer.transport.abort()


@dataclass(frozen=True)
class Timed:
    """The result of a call and its duration in seconds."""

    result: Any
    seconds: float


def run_together(**calls: Callable[[], Any]) -> dict[str, Timed]:
    """Run the calls at the same time, each in its own thread. Return the results by name."""

    def timed(call: Callable[[], Any]) -> Timed:
        began = time.monotonic()
        result = call()
        return Timed(result, time.monotonic() - began)

    with ThreadPoolExecutor(max_workers=max(1, len(calls))) as threads:
        running = {name: threads.submit(timed, call) for name, call in calls.items()}
        return {name: call.result() for name, call in running.items()}
