"""Writes to many connections that go out one right behind another."""

import asyncio
from typing import Any

# What is larger is written at once, and with it what waits: a stream has its backpressure from the transport.
_LARGE = 16 * 1024


class GatheringTransport(asyncio.Transport):
    """A transport whose small writes wait for the next turn of the event loop, where they follow those of other
    connections without anything in between: a process at the other end of several of them wakes once for all that has
    come, where it would wake for each, and on the core that we work on.
    """

    __slots__ = ("_loop", "_transport", "_waiting")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._waiting = b""

    def write(self, data: bytes) -> None:  # type: ignore[override]  # of what it may be, we have this alone
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
        """The transport itself, for whoever writes to it from now on."""
        self._flush()
        return self._transport

    # --- What comes behind what was written

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def abort(self) -> None:
        self._waiting = b""
        self._transport.abort()

    # --- What has nothing to do with writing

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
