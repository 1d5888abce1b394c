"""The end of a connection whose client may still be sending (RFC 9112 §9.6).

If a connection is closed while data arrives, the kernel resets it, and the reset can discard the response on its way
to the client: a client that sends its whole upload before it reads would never see the denial. So the gateway first
closes its own side only, and discards what still arrives, until the client closes the connection.
"""

import asyncio
from collections.abc import Callable, MutableSet
from typing import Any

from proxy.dataplane import plane

# Limits of one connection; nginx has the same times. `plane` limits the number of lingering connections.
SECONDS = 30.0
SILENT_SECONDS = 5.0  # without data
MAX_BYTES = 256 * 2**20
# Limit while the server stops.
SHUTDOWN_SECONDS = 1.0


class Lingering(asyncio.Protocol):
    """Takes over a connection after its last response."""

    def __init__(
        self,
        transport: asyncio.Transport,
        connections: MutableSet[Any],
        loop: asyncio.AbstractEventLoop,
        on_lost: Callable[[], None],
    ) -> None:
        """Begin to linger; `connections` are those that the server shuts down, `on_lost` is called at the end."""
        gateway = plane.current()
        self._transport = transport
        self._connections = connections
        self._on_lost = on_lost
        self._lingering = gateway.lingering
        self._loop = loop
        self._left = MAX_BYTES
        self._received_at = loop.time()
        self._deadline = self._received_at + (SHUTDOWN_SECONDS if gateway.gate.draining else SECONDS)
        transport.set_protocol(self)
        transport.write_eof()
        connections.add(self)
        self._lingering.add(self)
        self._timer = loop.call_at(self._end_at, self._close_if_over)

    @property
    def _end_at(self) -> float:
        return min(self._deadline, self._received_at + SILENT_SECONDS)

    def _close_if_over(self) -> None:
        if self._loop.time() >= self._end_at:
            self.retire()
        else:
            self._timer = self._loop.call_at(self._end_at, self._close_if_over)

    def data_received(self, data: bytes) -> None:
        """Discard the data."""
        self._received_at = self._loop.time()
        self._left -= len(data)
        if self._left < 0:
            self.retire()

    def retire(self) -> None:
        """Close the connection."""
        self._transport.close()

    def shutdown(self) -> None:
        """Close the connection soon, because the server stops."""
        self._deadline = min(self._deadline, self._loop.time() + SHUTDOWN_SECONDS)
        self._timer.cancel()
        self._close_if_over()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        self._timer.cancel()
        self._connections.discard(self)
        self._lingering.discard(self)
        self._on_lost()
