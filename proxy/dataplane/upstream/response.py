"""One HTTP/1.1 response of the upstream (RFC 9112): its head, then its body as it arrives.

httptools parses the head (llhttp in strict mode); this module does the framing and the backpressure, and decides
whether the connection may serve another request.
"""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httptools

from proxy.dataplane.rules.authentication import expects_next_message, is_connection_bound
from proxy.dataplane.rules.headers import Headers, has_controls
from proxy.dataplane.upstream.chunks import ChunkedBody
from proxy.dataplane.upstream.errors import InvalidResponse

if TYPE_CHECKING:
    from proxy.dataplane.upstream.http1 import Connection

_MAX_HEAD_BYTES = 64 * 1024  # of a response, with the interim ones before it
_HEAD_END = b"\r\n\r\n"
_MAX_FIELDS = 128  # browsers keep 180 cookies per host, and would drop the gateway's own if there were more
_HIGH_WATER = 256 * 1024  # bytes of a body that wait to be taken; above, reading pauses
_BODILESS = frozenset({204, 304})
_PERSISTENT_AUTH = b"persistent-auth"  # IIS says so after Negotiate
_AUTHENTICATION = frozenset({b"www-authenticate", _PERSISTENT_AUTH})


class Response:
    """The response to one request.

    Its head is available once `head` has returned; `take` and `read` return its body. The caller calls `release` when
    it is done.
    """

    __slots__ = (
        "_body_left", "_chunked", "_chunks", "_connection", "_error", "_has_no_body", "_head_end", "_head_size",
        "_parser", "_size", "_waiter", "binds", "complete", "expects_next", "headers", "keep_alive", "received_any",
        "started", "status",
    )  # fmt: skip

    def __init__(self, connection: "Connection", method: str) -> None:
        self.status = 0
        self.headers: Headers = []  # names as received
        self.received_any = False  # at least one byte
        self.started = False  # the head is complete
        self.complete = False
        self.keep_alive = False
        self.binds = False  # the connection may be authenticated for this client
        self.expects_next = False  # it is half authenticated, and the next message must come on it
        self._connection = connection
        self._parser: Any = httptools.HttpResponseParser(self)
        self._has_no_body = method == "HEAD"
        self._head_size = 0  # bytes, with interim responses
        self._head_end = b""  # the last bytes of it, in which its end may have begun
        self._chunked: ChunkedBody | None = None
        self._body_left: int | None = None  # bytes; None: the body ends with the connection
        self._chunks: list[bytes] = []
        self._size = 0
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    # --- For the caller

    async def head(self) -> None:
        """Wait until the status and the header block are complete. Raises `UpstreamError`."""
        while not self.started:
            await self._wait()

    def raise_if_broken(self) -> None:
        """Raise `UpstreamError` if the response is already known to be invalid or cut short."""
        if self._error is not None:
            raise self._error

    @property
    def at_end(self) -> bool:
        """Return whether all of the body has been taken."""
        return self.complete and not self._chunks

    def take(self) -> bytes:
        """Return the bytes of the body that have arrived and were not taken yet."""
        chunks = self._chunks
        if not chunks:
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._size = 0
        if not self.complete:
            self._connection.resume_reading()
        return data

    async def read(self) -> bytes:
        """Return the next bytes of the body, empty at its end. Raises `UpstreamError` if the body is cut short."""
        while not self._chunks and not self.complete:
            await self._wait()
        return self.take()

    def release(self) -> None:
        """Read nothing more; a connection on which the response is not complete is closed."""
        self._connection.release(self)

    async def _wait(self) -> None:
        self.raise_if_broken()
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # --- For the connection

    def feed(self, data: bytes) -> None:
        """Process bytes from the connection. Raises `httptools.HttpParserError` and `InvalidResponse`."""
        self.received_any = True
        while data and not self.started:
            data = self._feed_head(data)
        if data:
            self._feed_body(data)

    def _feed_head(self, data: bytes) -> bytes:
        """Parse bytes up to the end of a header block, and return those that follow."""
        begun = self._head_end + data
        end = begun.find(_HEAD_END)
        size = len(data) if end < 0 else end + len(_HEAD_END) - len(self._head_end)
        self._head_end = begun[1 - len(_HEAD_END) :] if end < 0 else b""
        self._head_size += size
        if self._head_size > _MAX_HEAD_BYTES:
            raise InvalidResponse
        self._parser.feed_data(data[:size])
        if end >= 0 and not self.started:  # an interim response (RFC 9110 §15.2)
            self._parser = httptools.HttpResponseParser(self)
        return data[size:]

    def _feed_body(self, data: bytes) -> None:
        """Keep a piece of the body. Data behind it was not asked for, and ends the connection (RFC 9112 §9.2)."""
        pieces, excess = [data], b""
        if self.complete:
            pieces, excess = [], data
        elif self._chunked is not None:
            pieces, excess = self._chunked.feed(data)
            self.complete = self._chunked.complete
        elif self._body_left is not None:
            pieces, excess = [data[: self._body_left]], data[self._body_left :]
            self._body_left -= len(pieces[0])
            self.complete = self._body_left == 0
        if excess:
            self.keep_alive = False
        self._chunks += pieces
        self._size += sum(map(len, pieces))
        if self._size > _HIGH_WATER and not self.complete:
            self._connection.pause_reading()

    def end_with_connection(self) -> bool:
        """Note that the connection ended, and return whether the response is complete by that (RFC 9112 §6.3)."""
        if self.started and self._body_left is None and self._chunked is None:
            self.complete = True
            self.wake()
        return self.complete

    def fail(self, error: Exception) -> None:
        """Raise this error from `head` and `read`, unless the response is complete."""
        if self._error is None and not self.complete:
            self._error = error
            self.wake()

    def forget_parser(self) -> None:
        """Drop the parser: it refers back to this object, and only the garbage collector would free the two."""
        self._parser = None

    def wake(self) -> None:
        """Wake the caller that waits, so that it checks again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- Callbacks of httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field."""
        # httptools keeps the whitespace after a value, which is not part of it (RFC 9112 §5). After a transfer coding
        # it accepts spaces only.
        value = value.rstrip(b" ")
        if value.endswith(b"\t") and name.lower() != b"transfer-encoding":
            value = value.rstrip(b" \t")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the header block. Raises `InvalidResponse`."""
        self.status = self._parser.get_status_code()
        if 100 <= self.status < 200 and self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers.clear()  # it may be dropped (RFC 9110 §15.2)
            return
        if not 200 <= self.status <= 599 or len(self.headers) > _MAX_FIELDS or has_controls(self.headers):
            raise InvalidResponse
        self._read_framing()
        self.started = True

    def _read_framing(self) -> None:
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):  # httptools accepts HTTP/0.9 and HTTP/2.0
            raise InvalidResponse
        closes = version == "1.0"
        for name, value in self.headers:
            lower = name.lower()
            if lower == b"connection":
                closes = closes or b"close" in value.lower()
            elif lower == b"content-length":
                self._body_left = int(value)
            elif lower == b"transfer-encoding":
                if value.lower() != b"chunked" or self._chunked is not None:
                    raise InvalidResponse
                self._chunked = ChunkedBody()
            elif lower in _AUTHENTICATION:
                self._read_authentication(lower, value)
        self._has_no_body = self._has_no_body or self.status in _BODILESS
        framed = self._has_no_body or self._chunked is not None or self._body_left is not None
        self.keep_alive = framed and not closes
        if self._has_no_body or self._body_left == 0:
            self.complete = True

    def _read_authentication(self, name: bytes, value: bytes) -> None:
        self.binds = self.binds or name == _PERSISTENT_AUTH or is_connection_bound(value)
        if self.status == HTTPStatus.UNAUTHORIZED:
            self.expects_next = self.expects_next or expects_next_message(value)
