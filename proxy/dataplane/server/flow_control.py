"""What a connection may hold of what its client sends around its requests."""

import asyncio
from collections.abc import Iterator, Sized

from uvicorn.protocols.http.flow_control import FlowControl

from proxy.dataplane.errors import HEADERS_TOO_LARGE, Denied
from proxy.dataplane.rules.headers import Headers


class Flow(FlowControl):
    """Reads nothing while requests wait behind one that is being answered. uvicorn reads on with each answer, however
    many wait, so that a client who sends faster than it is answered would fill the memory."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class Trailers:
    """Keeps nothing of the trailers. Raises `Denied` when they are more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._limit = limit

    def append(self, field: tuple[bytes, bytes]) -> None:
        self.size += size_of([field])
        if self.size > self._limit:
            raise Denied(HEADERS_TOO_LARGE)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(())


def size_of(fields: Headers) -> int:
    """In bytes, as lines with `: ` and CRLF."""
    return sum(len(name) + len(value) + 4 for name, value in fields)
