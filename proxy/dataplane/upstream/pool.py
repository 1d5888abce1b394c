"""The pool of connections to the upstream, with those that are kept alive."""

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence

from aiohappyeyeballs import AddrInfoType, start_connection

from proxy.dataplane.transport import AbortableProtocol
from proxy.dataplane.upstream.http1 import Connection

_IDLE_SECONDS = 30.0
_ADDRESSES_SECONDS = 10.0  # how long the addresses of the host name are cached
_SECOND_FAMILY_SECONDS = 0.25  # Happy Eyeballs (RFC 8305 §8)


class Pool:
    """Connections to one host, without a limit on their number; the most recently used one is taken first."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, connect_timeout: float) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._connect_timeout = connect_timeout
        self._addresses: Sequence[AddrInfoType] = ()
        self._resolved = 0.0
        self._all: set[Connection] = set()
        self._idle: list[Connection] = []
        self._expiry: asyncio.TimerHandle | None = None

    @property
    def open(self) -> int:
        """Return the number of connections."""
        return len(self._all)

    @property
    def idle(self) -> int:
        """Return the number of connections that wait for a request."""
        return len(self._idle)

    def take(self) -> Connection | None:
        """Return a waiting connection that is not known to be closed, or None."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def connect(self) -> Connection:
        """Return a new connection. Raises `OSError` and `TimeoutError`."""
        connection = Connection(asyncio.get_running_loop(), self._keep, self._lost)
        await self.establish(connection)
        self._all.add(connection)
        return connection

    async def establish(self, protocol: AbortableProtocol) -> None:
        """Connect this protocol to the host. Raises `OSError` and `TimeoutError`."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._connect_timeout):
            connected = await start_connection(
                await self._resolve(loop), happy_eyeballs_delay=_SECOND_FAMILY_SECONDS, loop=loop
            )
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await loop.create_connection(
                    lambda: protocol,
                    sock=connected,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
            except BaseException:
                protocol.abort()  # the connection may have been established just before the timeout
                connected.close()
                raise

    async def _resolve(self, loop: asyncio.AbstractEventLoop) -> Sequence[AddrInfoType]:
        if time.monotonic() - self._resolved > _ADDRESSES_SECONDS or not self._addresses:
            self._addresses = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self._resolved = time.monotonic()
        return self._addresses

    def _keep(self, connection: Connection) -> None:
        connection.free_since = time.monotonic()
        self._idle.append(connection)
        if self._expiry is None:
            self._expiry = connection.loop.call_later(_IDLE_SECONDS, self._expire)

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _expire(self) -> None:
        """Close the connections that have been idle for too long, and schedule the next check."""
        self._expiry = None
        oldest = time.monotonic() - _IDLE_SECONDS
        for connection in [idle for idle in self._idle if idle.free_since <= oldest]:
            self._idle.remove(connection)
            connection.transport.close()
        if self._idle:
            soonest = min(connection.free_since for connection in self._idle) - oldest
            self._expiry = self._idle[0].loop.call_later(soonest + 0.01, self._expire)

    async def close(self) -> None:
        """Close all connections."""
        if self._expiry is not None:
            self._expiry.cancel()
        for connection in list(self._all):
            connection.abort()
        await asyncio.sleep(0)  # the event loop calls `connection_lost`
