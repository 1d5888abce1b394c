"""HTTP/1.1 to the upstream (RFC 9112): one connection, one request at a time, its answer as it comes.

httptools parses (llhttp in its strict mode); what is ours is the framing, the backpressure and whether a connection
may serve another request.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import httptools

from proxy.dataplane.rules.headers import Headers, has_controls
from proxy.dataplane.transport import GatheringTransport

_MAX_HEAD_BYTES = 64 * 1024  # of an answer; also of whatever else comes without a byte of its body
_MAX_FIELDS = 128  # a browser that keeps 180 cookies of a host would drop the gateway's own for more
_HIGH_WATER = 256 * 1024  # bytes that nobody has taken yet; reading pauses above
_BODILESS = frozenset({204, 304})


class UpstreamError(Exception):
    """The upstream cannot be reached, or broke the protocol."""


class BrokenAnswer(UpstreamError):
    """An answer that cannot be passed on."""


class ConnectionLost(UpstreamError):
    """The connection ended before the answer did."""


class StaleConnection(ConnectionLost):
    """A connection that was kept alive was dead: not one byte of an answer came."""


class Answer:
    """The answer to one request. Its head is there once `head()` has returned; its body is read with `take` and
    `read`. Whoever is done with it calls `release`."""

    __slots__ = (
        "_chunked", "_chunks", "_connection", "_error", "_interim", "_left", "_no_body", "_parser", "_pending",
        "_size", "_waiter", "complete", "headers", "heard", "keep_alive", "started", "status",
    )  # fmt: skip

    def __init__(self, connection: "Connection", method: str) -> None:
        self.status = 0
        self.headers: Headers = []  # names as they came
        self.heard = False  # any byte of it
        self.started = False  # the head is there
        self.complete = False
        self.keep_alive = False
        self._connection = connection
        self._parser: Any = httptools.HttpResponseParser(self)
        self._no_body = method == "HEAD"
        self._chunked = self._interim = False
        self._left: int | None = None  # bytes of the body to come; None: until the connection ends
        self._pending = 0  # bytes since the last piece of a body
        self._chunks: list[bytes] = []
        self._size = 0
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    # --- Reading, for whoever asked

    async def head(self) -> None:
        """Return as soon as status and header block are there. Raises `UpstreamError`."""
        while not self.started:
            await self._wait()

    @property
    def at_end(self) -> bool:
        """Whether all of the body has been taken."""
        return self.complete and not self._chunks

    def take(self) -> bytes:
        """What has come of the body and was not taken yet."""
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
        """The next bytes of the body, at least one; none at its end. Raises `UpstreamError` where it is cut."""
        while not self._chunks and not self.complete:
            await self._wait()
        return self.take()

    def release(self) -> None:
        """Nothing more will be read; a connection that is not through with it is given up."""
        self._connection.release(self)

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # --- What the connection brings

    def feed(self, data: bytes) -> None:
        """Raises `httptools.HttpParserError` and `BrokenAnswer`."""
        self.heard = True
        if self.started and not self._chunked:
            self.on_body(data)
        else:
            self._pending += len(data)
            self._parser.feed_data(data)
            if self._pending > _MAX_HEAD_BYTES:
                raise BrokenAnswer

    def ended(self) -> bool:
        """The connection is at its end; whether that is the answer's, too (RFC 9112 §6.3)."""
        if self.started and self._left is None and not self._chunked:
            self.complete = True
            self.wake()
        return self.complete

    def fail(self, error: Exception) -> None:
        if self._error is None and not self.complete:
            self._error = error
            self.wake()

    def forget_parser(self) -> None:
        """Nothing more will come. The parser holds this, and only a collection of garbage would find the two."""
        self._parser = None

    def wake(self) -> None:
        """Let whoever waits look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- What httptools calls

    def on_message_begin(self) -> None:
        if self.complete:  # nobody asked for another one
            self.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.started:  # else it is a trailer, which may be dropped (RFC 9110 §6.5.1)
            # No part of the value (RFC 9112 §5), which httptools leaves; of a coding it knows spaces alone.
            value = value.rstrip(b" ")
            if value.endswith(b"\t") and name.lower() != b"transfer-encoding":
                value = value.rstrip(b" \t")
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.complete:  # nobody asked for another one, whose status is not this answer's (RFC 9112 §9.2)
            raise BrokenAnswer
        self.status = self._parser.get_status_code()
        self._interim = 100 <= self.status < 200
        if self.status < 100 or self.status == 101:
            raise BrokenAnswer
        if self._interim:  # it may be dropped (RFC 9110 §15.2)
            self.headers.clear()
            return
        if self.status > 599 or self._is_too_large() or has_controls(self.headers):
            raise BrokenAnswer
        self._pending = 0
        self._read_framing()
        self.started = True

    def _is_too_large(self) -> bool:
        """Also where all of it, and more, came at once."""
        size = self._pending
        if size > _MAX_HEAD_BYTES:
            size = sum(len(name) + len(value) + 4 for name, value in self.headers)
        return size > _MAX_HEAD_BYTES or len(self.headers) > _MAX_FIELDS

    def _read_framing(self) -> None:
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):  # httptools lets HTTP/0.9 and HTTP/2.0 pass
            raise BrokenAnswer
        closes = version == "1.0"
        for name, value in self.headers:
            lower = name.lower()
            if lower == b"connection":
                closes = closes or b"close" in value.lower()
            elif lower == b"content-length":
                self._left = int(value)
            elif lower == b"transfer-encoding":
                if value.lower() != b"chunked" or self._chunked:
                    raise BrokenAnswer
                self._chunked = True
        self._no_body = self._no_body or self.status in _BODILESS
        framed = self._no_body or self._chunked or self._left is not None
        self.keep_alive = framed and not closes
        if self._no_body or self._left == 0:
            self.complete = True

    def on_body(self, body: bytes) -> None:
        self._pending = 0
        if self.complete:
            self.keep_alive = False
            return
        if self._left is not None:
            if len(body) > self._left:
                body, self.keep_alive = body[: self._left], False
            self._left -= len(body)
            self.complete = self._left == 0
        self._chunks.append(body)
        self._size += len(body)
        if self._size > _HIGH_WATER and not self.complete:
            self._connection.pause_reading()

    def on_message_complete(self) -> None:
        if not self._interim:
            self.complete = True


class Connection(asyncio.Protocol):
    """A connection to the upstream. `on_free` is called as soon as it may serve the next request, `on_lost` at its
    end."""

    transport: asyncio.Transport  # once it is made

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
        self._answer: Answer | None = None
        self._used = False
        self._reading_paused = False
        self._sender: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None  # only while writing is paused

    def request(self, method: str, head: bytes, body: AsyncIterator[bytes] | None, *, chunked: bool) -> Answer:
        """Send a request: its head, with the body where that is there at once, and else what `body` gives."""
        self._answer = Answer(self, method)
        self.transport.write(head)
        if body is not None:
            self._sender = self.loop.create_task(self._send(body, chunked=chunked), name="request body")
            self._sender.add_done_callback(self._sent)
        return self._answer

    async def _send(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        async for data in body:
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            if self._writable is not None:
                await self._writable
        if chunked:
            self.transport.write(b"0\r\n\r\n")

    def _sent(self, sender: asyncio.Task[None]) -> None:
        error = None if sender.cancelled() else sender.exception()
        if error is None:
            self._free_if_through()
        elif self._answer is not None:
            self._answer.fail(cast("Exception", error))
            self.abort()

    def release(self, answer: Answer) -> None:
        if self._answer is answer:
            self.abort()

    def abort(self) -> None:
        """Close it at once; without effect where it was not made."""
        if (transport := getattr(self, "transport", None)) is not None:
            transport.abort()

    def pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()

    def _free_if_through(self) -> None:
        answer = self._answer
        if answer is None or not answer.complete or (self._sender is not None and not self._sender.done()):
            return
        answer.forget_parser()
        self._answer = self._sender = None
        self._used = True
        self.resume_reading()
        if answer.keep_alive and not self.transport.is_closing():
            self._on_free(self)
        else:
            self.transport.close()

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = GatheringTransport(cast("asyncio.Transport", transport), self.loop)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None or answer.complete:
            # What no request asked for: it would be the next client's answer (RFC 9112 §9.2).
            self.abort()
            return
        try:
            answer.feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, BrokenAnswer) as error:
            answer.keep_alive = False
            answer.fail(BrokenAnswer(str(error)))  # without effect where only what follows the answer is broken
            self.abort()
        answer.wake()
        self._free_if_through()

    def pause_writing(self) -> None:
        self._writable = self.loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.resume_writing()
        if self._sender is not None:
            self._sender.cancel()
        answer, self._answer = self._answer, None
        if answer is not None:
            if exc is not None or not answer.ended():
                stale = self._used and not answer.heard
                answer.fail(StaleConnection() if stale else ConnectionLost())
            answer.forget_parser()
        self._on_lost(self)
