"""One HTTP exchange with the upstream: streamed both ways with backpressure, until it ends or is cut off."""

import asyncio
from collections.abc import AsyncIterator
from enum import Enum, auto
from typing import Any

from proxy.dataplane.asgi import Receive, Send
from proxy.dataplane.errors import REQUEST_TIMEOUT, UPSTREAM_TIMEOUT, ClientGone, Denial, Denied
from proxy.dataplane.records import Grant, Session
from proxy.dataplane.rewriting.response import BodyRewriter, ExchangeRewriter
from proxy.dataplane.rules.forwarded_headers import client_headers
from proxy.dataplane.rules.headers import Headers
from proxy.dataplane.rules.paths import PREFIX
from proxy.dataplane.server.http_protocol import GatewayProtocol
from proxy.dataplane.upstream.client import Upstream
from proxy.dataplane.upstream.errors import FAILURES, denial_for
from proxy.dataplane.upstream.http1 import Response

_RANGE_FIELDS = frozenset({b"range", b"if-range"})


class Phase(Enum):
    """The event that the exchange waits for."""

    CLIENT_BODY = auto()
    UPSTREAM = auto()
    UPSTREAM_EVENTS = auto()  # of an event stream, which may be silent for any time
    CLIENT_READING = auto()


class HttpExchange:
    """One admitted request; see `proxy.dataplane.sessions.in_flight.InFlight`."""

    __slots__ = (
        "_client_gone", "_connection", "_denial", "_prefix", "_response_started", "_rewriter", "_task", "_timeouts",
        "grant", "phase", "phase_since", "session", "status",
    )  # fmt: skip

    def __init__(
        self,
        grant: Grant,
        session: Session,
        connection: GatewayProtocol | None,
        timeouts: tuple[float, float],
        prefix: bytes = PREFIX,
        rewriter: ExchangeRewriter | None = None,
    ) -> None:
        self.grant = grant
        self.session = session
        self.phase = Phase.UPSTREAM
        self.phase_since = 0.0
        self.status = 0
        self._connection = connection
        self._timeouts = timeouts
        self._prefix = prefix
        self._rewriter = rewriter
        self._task: asyncio.Task[Any] | None = None
        self._denial: Denial | None = None
        self._client_gone = False
        self._response_started = False

    # --- Ends from outside

    def cut(self, denial: Denial) -> bool:
        """End the exchange for this reason, and return False if it is already ending."""
        if self._denial is not None or self._task is None:
            return False
        self._denial = denial
        return self._task.cancel()

    def cancel_for_lost_client(self) -> None:
        """End the exchange because the client's connection is lost."""
        if not self._client_gone and self._task is not None:
            self._client_gone = True
            self._task.cancel()

    def overdue(self, now: float) -> Denial | None:
        """Return the timeout that has passed at `now`, a time of the event loop, if one has."""
        body_timeout, upstream_timeout = self._timeouts
        waited = now - self.phase_since
        if self.phase is Phase.CLIENT_BODY and waited > body_timeout:
            return REQUEST_TIMEOUT
        return UPSTREAM_TIMEOUT if self.phase is Phase.UPSTREAM and waited > upstream_timeout else None

    # --- The exchange

    async def run(
        self, upstream: Upstream, method: str, target: bytes, headers: Headers, has_body: bool,
        receive: Receive, send: Send, extra: Headers,
    ) -> None:  # fmt: skip
        """Send the request to the upstream and its response to the client; `extra` fields are added to the response.

        Raises `Denied` if the exchange is cut off or fails before the response has begun, and `ClientGone` if the
        client left or the response had begun and was aborted.
        """
        self._task = asyncio.current_task()
        if self._connection is not None:
            if self._connection.lost:  # during the admission
                raise ClientGone
            self._connection.on_lost = self.cancel_for_lost_client
        try:
            body = await self._request_body(receive) if has_body else None
            self._enter(Phase.UPSTREAM)
            response = await upstream.request(method, target, headers, body)
            if self._rewriter is not None and body is None and self._rewriter.needs_whole(response):
                response.release()
                whole = [pair for pair in headers if pair[0] not in _RANGE_FIELDS]
                response = await upstream.request(method, target, whole, None)
            try:
                await self._respond(upstream, response, method, send, extra)
            finally:
                response.release()
        except asyncio.CancelledError:
            if not (self._client_gone or self._denial):
                raise  # the server shuts down
            self._raise_after_cancellation()
        except FAILURES as error:
            self._fail(denial_for(error), error)
        finally:
            self._task = None
            if self._connection is not None:
                self._connection.on_lost = None

    def _raise_after_cancellation(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        if self._client_gone or self._denial is None:
            raise ClientGone
        self._fail(self._denial, None)

    def _fail(self, denial: Denial, cause: Exception | None) -> None:
        """Deny the request; a response that has begun is aborted, so that it cannot look complete."""
        if not self._response_started:
            raise Denied(denial) from cause
        if self._connection is None:
            raise ConnectionAbortedError(denial.code) from cause
        self._connection.abort()
        raise ClientGone from cause

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.phase_since = asyncio.get_running_loop().time()

    async def _request_body(self, receive: Receive) -> bytes | AsyncIterator[bytes]:
        """Return the whole body if it has arrived at once, else a stream of it."""
        self._enter(Phase.CLIENT_BODY)
        first = await self._receive_chunk(receive)
        return self._stream_body(first, receive) if first[1] else first[0]

    async def _stream_body(self, first: tuple[bytes, bool], receive: Receive) -> AsyncIterator[bytes]:
        chunk, more = first
        while True:
            if chunk:
                yield chunk
            if not more:
                break
            self._enter(Phase.CLIENT_BODY)
            chunk, more = await self._receive_chunk(receive)
            self._enter(Phase.UPSTREAM)
        self._enter(Phase.UPSTREAM)

    async def _receive_chunk(self, receive: Receive) -> tuple[bytes, bool]:
        """Return the next chunk of the request's body, and whether more follows."""
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        chunk = message.get("body", b"")
        self.session.count_bytes(len(chunk))
        return chunk, message.get("more_body", False)

    async def _respond(self, upstream: Upstream, response: Response, method: str, send: Send, extra: Headers) -> None:
        self.status = response.status
        headers = client_headers(response.status, response.headers, upstream.origin, upstream.base_path, self._prefix)
        body_rewriter = None
        if self._rewriter is not None:
            headers, body_rewriter = self._rewriter.response(method, response.status, headers)
        headers += extra
        self._response_started = True
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        # Only what has arrived: the header block of an event stream must not wait for the first event.
        chunk = response.take()
        if body_rewriter is not None:
            chunk = await self._send_rewritten(response, chunk, body_rewriter, send)
        elif not response.at_end:
            chunk = await self._send_stream(response, chunk, send)
        await send({"type": "http.response.body", "body": chunk, "more_body": False})
        self.session.count_bytes(len(chunk))

    async def _send_rewritten(self, response: Response, chunk: bytes, body: BodyRewriter, send: Send) -> bytes:
        """Send the body as it is rewritten, and return its last chunk."""
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        while True:
            self._enter(Phase.CLIENT_READING)
            for piece in body.feed(chunk):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                self.session.count_bytes(len(piece))
                await asyncio.sleep(0)  # yield to other tasks, even if one chunk decodes to many pieces
            if response.at_end:
                return body.close()
            self._enter(Phase.UPSTREAM)
            chunk = await response.read()

    async def _send_stream(self, response: Response, chunk: bytes, send: Send) -> bytes:
        """Send the body chunk by chunk as it arrives, and return its last chunk."""
        waiting = Phase.UPSTREAM_EVENTS if _is_event_stream(response.headers) else Phase.UPSTREAM
        while True:
            self._enter(Phase.CLIENT_READING)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            self.session.count_bytes(len(chunk))
            self._enter(waiting)
            chunk = await response.read()
            if response.at_end:
                return chunk


def _is_event_stream(headers: Headers) -> bool:
    return any(
        name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream") for name, value in headers
    )
