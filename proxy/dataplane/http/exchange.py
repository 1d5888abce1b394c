"""One HTTP request, carried: streamed both ways, with backpressure, until it ends or is cut."""

import asyncio
from collections.abc import AsyncIterator
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

from proxy.dataplane.admission.grant_cache import Grant
from proxy.dataplane.errors import REQUEST_TIMEOUT, UPSTREAM_TIMEOUT, ClientGone, Denial, Denied
from proxy.dataplane.rewriting.response import Body, Exchange
from proxy.dataplane.rules.client_address import Receive, Send
from proxy.dataplane.rules.cookies import rewrite_set_cookie
from proxy.dataplane.rules.headers import Headers, response_headers
from proxy.dataplane.rules.paths import PREFIX, rewrite_location
from proxy.dataplane.server.http_protocol import GatewayProtocol
from proxy.dataplane.sessions.accounting import Session
from proxy.dataplane.upstream.client import FAILURES, Upstream, denial_of
from proxy.dataplane.upstream.http1 import Answer

_OF_A_PART = frozenset({b"range", b"if-range"})
_REWRITTEN = frozenset({b"set-cookie", b"location", b"content-location"})


class Phase(Enum):
    """What the carry waits for."""

    CLIENT_BODY = auto()
    UPSTREAM = auto()
    UPSTREAM_EVENTS = auto()  # of an event stream, which may be silent for as long as it likes
    CLIENT_READING = auto()


class HttpCarry:
    """Carries one admitted request; see `proxy.dataplane.sessions.in_flight.Carry`."""

    __slots__ = (
        "_client_gone", "_connection", "_denial", "_prefix", "_rewriting", "_started", "_task", "_timeouts", "grant",
        "phase", "phase_since", "session", "status",
    )  # fmt: skip

    def __init__(
        self,
        grant: Grant,
        session: Session,
        connection: GatewayProtocol | None,
        timeouts: tuple[float, float],
        prefix: bytes = PREFIX,
        rewriting: Exchange | None = None,
    ) -> None:
        self.grant = grant
        self.session = session
        self.phase = Phase.UPSTREAM
        self.phase_since = 0.0
        self.status = 0
        self._connection = connection
        self._timeouts = timeouts
        self._prefix = prefix
        self._rewriting = rewriting
        self._task: asyncio.Task[Any] | None = None
        self._denial: Denial | None = None
        self._client_gone = False
        self._started = False

    # --- What ends it from outside

    def cut(self, denial: Denial) -> bool:
        if self._denial is not None or self._task is None:
            return False
        self._denial = denial
        return self._task.cancel()

    def client_gone(self) -> None:
        """The client's connection is lost."""
        if not self._client_gone and self._task is not None:
            self._client_gone = True
            self._task.cancel()

    def overdue(self, now: float) -> Denial | None:
        body_timeout, upstream_timeout = self._timeouts
        waited = now - self.phase_since
        if self.phase is Phase.CLIENT_BODY and waited > body_timeout:
            return REQUEST_TIMEOUT
        return UPSTREAM_TIMEOUT if self.phase is Phase.UPSTREAM and waited > upstream_timeout else None

    # --- Carrying

    async def run(
        self, upstream: Upstream, method: str, target: bytes, headers: Headers, has_body: bool,
        receive: Receive, send: Send, extra: Headers,
    ) -> None:  # fmt: skip
        """Carry it to its end.

        Raises `Denied` where it is cut or fails before an answer has begun, `ClientGone` where there is nobody to
        answer any more or the answer had begun and was aborted.
        """
        self._task = asyncio.current_task()
        if self._connection is not None:
            if self._connection.lost:  # while it was being admitted
                raise ClientGone
            self._connection.on_lost = self.client_gone
        try:
            body = await self._request_body(receive) if has_body else None
            self._enter(Phase.UPSTREAM)
            answer = await upstream.request(method, target, headers, body)
            if self._rewriting is not None and body is None and self._rewriting.needs_whole(answer):
                answer.release()
                whole = [pair for pair in headers if pair[0] not in _OF_A_PART]
                answer = await upstream.request(method, target, whole, None)
            try:
                await self._answer(upstream, answer, method, send, extra)
            finally:
                answer.release()
        except asyncio.CancelledError:
            if not (self._client_gone or self._denial):
                raise  # a shutdown, not ours
            self._ended_from_outside()
        except FAILURES as error:
            self._fail(denial_of(error), error)
        finally:
            self._task = None
            if self._connection is not None:
                self._connection.on_lost = None

    def _ended_from_outside(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        if self._client_gone or self._denial is None:
            raise ClientGone
        self._fail(self._denial, None)

    def _fail(self, denial: Denial, cause: Exception | None) -> None:
        """Deny, or, where the answer has begun, abort it: it must never look complete."""
        if not self._started:
            raise Denied(denial) from cause
        if self._connection is None:
            raise ConnectionAbortedError(denial.code) from cause
        self._connection.abort()
        raise ClientGone from cause

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.phase_since = asyncio.get_running_loop().time()

    async def _request_body(self, receive: Receive) -> bytes | AsyncIterator[bytes]:
        """The whole body where it has arrived at once, else a stream of it."""
        self._enter(Phase.CLIENT_BODY)
        first = await self._chunk(receive)
        return self._rest(first, receive) if first[1] else first[0]

    async def _rest(self, first: tuple[bytes, bool], receive: Receive) -> AsyncIterator[bytes]:
        chunk, more = first
        while True:
            if chunk:
                yield chunk
            if not more:
                break
            self._enter(Phase.CLIENT_BODY)
            chunk, more = await self._chunk(receive)
            self._enter(Phase.UPSTREAM)
        self._enter(Phase.UPSTREAM)

    async def _chunk(self, receive: Receive) -> tuple[bytes, bool]:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        chunk = message.get("body", b"")
        self.session.carried(len(chunk))
        return chunk, message.get("more_body", False)

    async def _answer(self, upstream: Upstream, answer: Answer, method: str, send: Send, extra: Headers) -> None:
        self.status = answer.status
        headers, rewritten = client_headers(upstream, answer.status, answer.headers, self._prefix), None
        if self._rewriting is not None:
            headers, rewritten = self._rewriting.answer(method, answer.status, headers)
        headers += extra
        self._started = True
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        # Only what is there already: an event stream's header block must not wait for its first event.
        chunk = answer.take()
        if rewritten is not None:
            chunk = await self._rewrite(answer, chunk, rewritten, send)
        elif not answer.at_end:
            chunk = await self._stream(answer, chunk, send)
        await send({"type": "http.response.body", "body": chunk, "more_body": False})
        self.session.carried(len(chunk))

    async def _rewrite(self, answer: Answer, chunk: bytes, body: Body, send: Send) -> bytes:
        """Pass on what is rewritten as it comes, and give the last of it."""
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        while True:
            self._enter(Phase.CLIENT_READING)
            for piece in body.feed(chunk):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                self.session.carried(len(piece))
                await asyncio.sleep(0)  # others have their turn, however much one chunk decodes to
            if answer.at_end:
                return body.close()
            self._enter(Phase.UPSTREAM)
            chunk = await answer.read()

    async def _stream(self, answer: Answer, chunk: bytes, send: Send) -> bytes:
        """Pass on what comes, one chunk at a time, and give the last one."""
        waiting = Phase.UPSTREAM_EVENTS if _is_event_stream(answer.headers) else Phase.UPSTREAM
        while True:
            self._enter(Phase.CLIENT_READING)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            self.session.carried(len(chunk))
            self._enter(waiting)
            chunk = await answer.read()
            if answer.at_end:
                return chunk


def _is_event_stream(headers: Headers) -> bool:
    return any(
        name.lower() == b"content-type" and value.lower().startswith(b"text/event-stream") for name, value in headers
    )


def client_headers(upstream: Upstream, status: int, headers: Headers, prefix: bytes) -> Headers:
    """What of an answer's fields goes to the client, its cookies and addresses rewritten to stay under the prefix."""
    headers = response_headers(headers)
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.SWITCHING_PROTOCOLS):  # no length may be stated (RFC 9110 §8.6)
        headers = [pair for pair in headers if pair[0] != b"content-length"]
    if _REWRITTEN.isdisjoint([name for name, _ in headers]):
        return headers
    rewritten: Headers = []
    for name, value in headers:
        if name == b"set-cookie":
            cookie = rewrite_set_cookie(value, upstream.base_path, prefix)
            if cookie is not None:
                rewritten.append((name, cookie))
        elif name in _REWRITTEN:
            rewritten.append((name, rewrite_location(value, upstream.origin, upstream.base_path, prefix)))
        else:
            rewritten.append((name, value))
    return rewritten
