"""HTTP/1.1 connections to the upstream (RFC 9112): one request at a time, its response as it arrives.

httptools parses (llhttp in strict mode); this module does the framing and the backpressure, and decides whether a
connection may serve another request.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import httptools

from proxy.dataplane.rules.headers import Headers, has_controls
from proxy.dataplane.transport import AbortableProtocol, CoalescingTransport
from proxy.dataplane.upstream.errors import ConnectionLost, InvalidResponse, StaleConnection

_MAX_HEAD_BYTES = 64 * 1024  # of a response; also of any other bytes that contain nothing of its body
_MAX_FIELDS = 128  # browsers keep 180 cookies per host, and would drop the gateway's own if there were more
_HIGH_WATER = 256 * 1024  # bytes of a body that wait to be taken; above, reading pauses
_BODILESS = frozenset({204, 304})


class Response:
    """The response to one request.

    Its head is available once `head` has returned; `take` and `read` return its body. The caller calls `release` when
    it is done.
    """

    __slots__ = (
        "_body_left", "_chunked", "_chunks", "_connection", "_error", "_has_no_body", "_interim", "_parser",
        "_pending", "_size", "_waiter", "complete", "headers", "keep_alive", "received_any", "started", "status",
    )  # fmt: skip

    def __init__(self, connection: "Connection", method: str) -> None:
        self.status = 0
        self.headers: Headers = []  # names as received
        self.received_any = False  # at least one byte
        self.started = False  # the head is complete
        self.complete = False
        self.keep_alive = False
        self._connection = connection
        self._parser: Any = httptools.HttpResponseParser(self)
        self._has_no_body = method == "HEAD"
        self._chunked = self._interim = False
        self._body_left: int | None = None  # bytes; None: the body ends with the connection
        self._pending = 0  # bytes since the last piece of a body
        self._chunks: list[bytes] = []
        self._size = 0
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    # --- For the caller

    async def head(self) -> None:
        """Wait until the status and the header block are complete. Raises `UpstreamError`."""
        while not self.started:
            await self._wait()

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
        if self._error is not None:
            raise self._error
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # --- For the connection

    def feed(self, data: bytes) -> None:
        """Process bytes from the connection. Raises `httptools.HttpParserError` and `InvalidResponse`."""
        self.received_any = True
        if self.started and not self._chunked:
            self.on_body(data)
        else:
            self._pending += len(data)
            self._parser.feed_data(data)
            if self._pending > _MAX_HEAD_BYTES:
                raise InvalidResponse

    def end_with_connection(self) -> bool:
        """Note that the connection ended, and return whether the response is complete by that (RFC 9112 §6.3)."""
        if self.started and self._body_left is None and not self._chunked:
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

    def on_message_begin(self) -> None:
        """Note a second response, which no request asked for."""
        if self.complete:
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header field; a trailer is dropped, as RFC 9110 §6.5.1 allows."""
        if not self.started:
            # httptools keeps the whitespace after a value, which is not part of it (RFC 9112 §5). After a transfer
            # coding it accepts spaces only.
            value = value.rstrip(b" ")
            if value.endswith(b"\t") and name.lower() != b"transfer-encoding":
                value = value.rstrip(b" \t")
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the header block. Raises `InvalidResponse`."""
        if self.complete:  # a second response, which no request asked for (RFC 9112 §9.2)
            raise InvalidResponse
        self.status = self._parser.get_status_code()
        self._interim = 100 <= self.status < 200
        if self.status < 100 or self.status == 101:
            raise InvalidResponse
        if self._interim:  # may be dropped (RFC 9110 §15.2)
            self.headers.clear()
            return
        if self.status > 599 or self._is_too_large() or has_controls(self.headers):
            raise InvalidResponse
        self._pending = 0
        self._read_framing()
        self.started = True

    def _is_too_large(self) -> bool:
        """Return whether the header block exceeds a limit, also if it arrived together with more bytes."""
        size = self._pending
        if size > _MAX_HEAD_BYTES:
            size = sum(len(name) + len(value) + 4 for name, value in self.headers)
        return size > _MAX_HEAD_BYTES or len(self.headers) > _MAX_FIELDS

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
                if value.lower() != b"chunked" or self._chunked:
                    raise InvalidResponse
                self._chunked = True
        self._has_no_body = self._has_no_body or self.status in _BODILESS
        framed = self._has_no_body or self._chunked or self._body_left is not None
        self.keep_alive = framed and not closes
        if self._has_no_body or self._body_left == 0:
            self.complete = True

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body, and pause reading if too much waits to be taken."""
        self._pending = 0
        if self.complete:
            self.keep_alive = False
            return
        if self._body_left is not None:
            if len(body) > self._body_left:
                body, self.keep_alive = body[: self._body_left], False
            self._body_left -= len(body)
            self.complete = self._body_left == 0
        self._chunks.append(body)
        self._size += len(body)
        if self._size > _HIGH_WATER and not self.complete:
            self._connection.pause_reading()

    def on_message_complete(self) -> None:
        """Note the end of the response, unless it was an interim one."""
        if not self._interim:
            self.complete = True


class Connection(AbortableProtocol):
    """A connection to the upstream.

    `on_free` is called as soon as the connection may serve the next request, `on_lost` when it ends.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_free: "Callable[[Connection], None]",
        on_lost: "Callable[[Connection], None]",
    ) -> None:
        self.loop = loop
        self.free_since = 0.0
        self._on_free = on_free
        self._on_lost = on_lost
        self._response: Response | None = None
        self._used = False
        self._reading_paused = False
        self._body_task: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None  # only while writing is paused

    def request(self, method: str, head: bytes, body: AsyncIterator[bytes] | None, *, chunked: bool) -> Response:
        """Send a request and return its response; `head` includes a body that is known, `body` streams any other."""
        self._response = Response(self, method)
        self.transport.write(head)
        if body is not None:
            self._body_task = self.loop.create_task(self._send(body, chunked=chunked), name="request body")
            self._body_task.add_done_callback(self._finish_sending)
        return self._response

    async def _send(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        async for data in body:
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            if self._writable is not None:
                await self._writable
        if chunked:
            self.transport.write(b"0\r\n\r\n")

    def _finish_sending(self, sender: asyncio.Task[None]) -> None:
        error = None if sender.cancelled() else sender.exception()
        if error is None:
            self._free_if_complete()
        elif self._response is not None:
            self._response.fail(cast("Exception", error))
            self.abort()

    def release(self, response: Response) -> None:
        """Close the connection if the response on it is not complete."""
        if self._response is response:
            self.abort()

    def pause_reading(self) -> None:
        """Stop reading until `resume_reading`."""
        if not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again after `pause_reading`."""
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()

    def _free_if_complete(self) -> None:
        response = self._response
        if response is None or not response.complete or (self._body_task is not None and not self._body_task.done()):
            return
        response.forget_parser()
        self._response = self._body_task = None
        self._used = True
        self.resume_reading()
        if response.keep_alive and not self.transport.is_closing():
            self._on_free(self)
        else:
            self.transport.close()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = CoalescingTransport(cast("asyncio.Transport", transport), self.loop)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None or response.complete:
            # No request asked for these bytes; the next client would get them as its response (RFC 9112 §9.2).
            self.abort()
            return
        try:
            response.feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, InvalidResponse) as error:
            response.keep_alive = False
            response.fail(InvalidResponse(str(error)))  # no effect if the response itself is complete
            self.abort()
        response.wake()
        self._free_if_complete()

    def pause_writing(self) -> None:
        self._writable = self.loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.resume_writing()
        if self._body_task is not None:
            self._body_task.cancel()
        response, self._response = self._response, None
        if response is not None:
            if exc is not None or not response.end_with_connection():
                stale = self._used and not response.received_any
                response.fail(StaleConnection() if stale else ConnectionLost())
            response.forget_parser()
        self._on_lost(self)
