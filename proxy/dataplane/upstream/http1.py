"""HTTP/1.1 connections to the upstream (RFC 9112): one request at a time."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import NamedTuple, cast

import httptools

from proxy.dataplane.rules.authentication import Handshake
from proxy.dataplane.transport import AbortableProtocol, CoalescingTransport
from proxy.dataplane.upstream.errors import ConnectionLost, InvalidResponse, StaleConnection
from proxy.dataplane.upstream.response import Response

_LAST_BYTES = 64 * 1024


class Client(NamedTuple):
    """A client of the gateway, as far as connections to the upstream may be bound to it.

    `source` is its own connection, or its address behind a trusted proxy, whose connections serve many clients.
    """

    source: object
    token: bytes
    device: str


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
        self.client: Client | None = None  # of the last request
        self.bound = False  # authenticated for `client`, which alone may use it from now on
        self.expects_next = False  # half authenticated
        self._on_free = on_free
        self._on_lost = on_lost
        self._response: Response | None = None
        self._used = False
        self._reading_paused = False
        self._body_task: asyncio.Task[None] | None = None
        self._duplicate: int | None = None  # only while a body is streamed
        self._writable: asyncio.Future[None] | None = None  # only while writing is paused

    def assign(self, client: Client, handshake: Handshake) -> None:
        """Use the connection for this client's next request, and for no other client after its `handshake`."""
        self.client = client
        self.bound = self.bound or handshake is not Handshake.NONE

    def request(self, method: str, head: bytes, body: AsyncIterator[bytes] | None, *, chunked: bool) -> Response:
        """Send a request and return its response; `head` includes a body that is known, `body` streams any other."""
        self._response = Response(self, method)
        self.transport.write(head)
        if body is not None:
            self._duplicate = self._duplicated()
            self._body_task = self.loop.create_task(self._send(body, chunked=chunked), name="request body")
            self._body_task.add_done_callback(self._finish_sending)
        return self._response

    async def _send(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        async for data in body:
            if self._duplicate is None:  # TLS: let a response that has come be read before a write may fail
                await asyncio.sleep(0)
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)
            if self._writable is not None:
                await self._writable
        if chunked:
            self.transport.write(b"0\r\n\r\n")

    def _duplicated(self) -> int | None:
        """Return a duplicate of the socket's descriptor, see `_read_last_words`; None if it could not be read."""
        if self.transport.get_extra_info("sslcontext") is not None:
            return None
        with contextlib.suppress(OSError):
            return os.dup(self.transport.get_extra_info("socket").fileno())
        return None

    def _close_duplicate(self) -> None:
        if self._duplicate is not None:
            os.close(self._duplicate)
            self._duplicate = None

    def _finish_sending(self, sender: asyncio.Task[None]) -> None:
        self._close_duplicate()
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
        self.bound = self.bound or response.binds
        self.expects_next = response.expects_next
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
        response, self._response = self._response, None
        if response is not None:
            if exc is not None and self._body_task is not None:  # sent, perhaps, but not read
                exc = None if self._read_last_words(response) else exc
            if exc is not None or not response.end_with_connection():
                stale = self._used and not response.received_any
                response.fail(StaleConnection() if stale else ConnectionLost())
            response.forget_parser()
        if self._body_task is not None:
            self._body_task.cancel()
        self._close_duplicate()
        self._on_lost(self)

    def _read_last_words(self, response: Response) -> bool:
        """Read a response that came before the connection was reset, and return whether its end may be the reset.

        An upstream that refuses an upload responds and closes; the upload then fails before the response is read.
        """
        with contextlib.suppress(OSError, httptools.HttpParserError, InvalidResponse):
            while self._duplicate is not None and (data := os.read(self._duplicate, _LAST_BYTES)):
                response.feed(data)
        response.wake()
        return response.status >= HTTPStatus.BAD_REQUEST
