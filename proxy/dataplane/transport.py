"""Base classes for asyncio connections: coalesced writes, and protocols that can be aborted at any time."""

import asyncio
from typing import Any

# Writes of at least this many bytes go out at once, with all that waits: a stream needs the transport's backpressure.
_LARGE = 16 * 1024


class CoalescingTransport(asyncio.Transport):
    """A transport whose small writes wait for the next turn of the event loop.

    There they follow the writes of other connections directly, so a process at the other end of several connections
    wakes once for all of them instead of once for each, often on the core that this worker uses.
    """

    __slots__ = ("_loop", "_transport", "_waiting")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._waiting = b""

    def write(self, data: bytes) -> None:  # type: ignore[override]  # callers pass bytes only
        """Write the data in the next turn of the event loop, or at once if it is large."""
        if self._waiting:
            data = self._waiting + data
        elif len(data) < _LARGE:
            self._loop.call_soon(self._flush)
        self._waiting = data
        if len(data) >= _LARGE:
            self._flush()

    def _flush(self) -> None:
        data, self._waiting = self._waiting, b""
        if data and not self._transport.is_closing():
            self._transport.write(data)

    def release(self) -> asyncio.Transport:
        """Write all that waits and return the underlying transport, for a protocol that takes over."""
        self._flush()
        return self._transport

    # --- Calls that must follow the waiting writes

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def abort(self) -> None:
        self._waiting = b""
        self._transport.abort()

    # --- Calls that only pass through

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._transport.get_protocol()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)


class AbortableProtocol(asyncio.Protocol):
    """A protocol whose connection can be closed at once, also before it is established."""

    transport: asyncio.Transport  # set when the connection is established

    def abort(self) -> None:
        """Close the connection at once; without effect if it was not established or is lost."""
        if (transport := getattr(self, "transport", None)) is not None:
            transport.abort()
