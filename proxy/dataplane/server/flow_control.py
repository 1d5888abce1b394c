"""Per-connection limits on pipelined requests and trailers."""

import asyncio
from collections.abc import Iterator, Sized

from uvicorn.protocols.http.flow_control import FlowControl

from proxy.dataplane.errors import HEADERS_TOO_LARGE, Denied
from proxy.dataplane.rules.headers import Headers


class PipelineFlowControl(FlowControl):
    """Flow control that stops reading while pipelined requests wait.

    uvicorn reads on after each response, even if many requests wait, so a client that pipelines faster than it gets
    responses would fill the memory.
    """

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read again, unless requests wait."""
        if not self._waiting:
            super().resume_reading()


class TrailerLimit:
    """Takes the place of a list of trailers: discards them, and limits their size to `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._limit = limit

    def append(self, field: tuple[bytes, bytes]) -> None:
        """Count a trailer. Raises `Denied` if all trailers together are too large."""
        self.size += size_of([field])
        if self.size > self._limit:
            raise Denied(HEADERS_TOO_LARGE)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(())


def size_of(fields: Headers) -> int:
    """Return the size of the fields in bytes, written as lines with `: ` and CRLF."""
    return sum(len(name) + len(value) + 4 for name, value in fields)
