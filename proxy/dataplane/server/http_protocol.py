"""uvicorn's HTTP protocol, hardened: limits and strict checks that an ASGI application cannot make.

It also tells the application when the connection is lost, and can abort it. It is tested against the pinned uvicorn
and httptools, and uses these members of `HttpToolsProtocol`: the methods overridden here,
`_unset_keepalive_if_required`, `parser`, `url`, `headers`, `expect_100_continue`, `scope`, `cycle`, `pipeline`,
`flow`, `loop` and `transport`; and of `RequestResponseCycle`: `scope`, `response_started`, `response_complete`,
`more_body`, `message_event`, `disconnected` and `keep_alive`.
"""

import asyncio
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from proxy.dataplane import plane
from proxy.dataplane.asgi import CONNECTION, TARGET
from proxy.dataplane.denials.log import RequestInfo
from proxy.dataplane.denials.responses import denial_response, request_id
from proxy.dataplane.errors import BAD_REQUEST, HEADERS_TOO_LARGE, REQUEST_TIMEOUT, Denial, Denied
from proxy.dataplane.rules.headers import Headers
from proxy.dataplane.server.flow_control import PipelineFlowControl, TrailerLimit, size_of
from proxy.dataplane.server.response_cycle import ResponseCycle, date_line
from proxy.dataplane.transport import CoalescingTransport

# How long data of a denied client is read and discarded: a connection closed at once would be reset, and the response
# lost with it (RFC 9112 §9.6).
_LINGER_SECONDS = 1.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: reset when closed
# Pipelined requests that may wait; one segment can contain thousands of the smallest.
_MAX_PIPELINED = 1000


class GatewayProtocol(HttpToolsProtocol):
    """One client connection; it puts itself into the scope as `zenzefi.connection`.

    `MAX_HEADER_BYTES` limits a header block with its request line, the trailers, and any other data that contains no
    byte of a body. `HEADER_TIMEOUT_SECONDS` runs from the start of the connection, and from the first byte of each
    later request, to the end of the header block.
    """

    # Called once when the connection is lost; then `lost` is true, and nothing can be sent.
    on_lost: Callable[[], None] | None = None
    lost = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.url = b""
        config = plane.current().config
        self._max_bytes, self._head_seconds = config.max_header_bytes, config.header_timeout
        self._pending = 0  # bytes since the last header block, piece of a body or end of a request
        self._counts_whole_head = True  # whether `_pending` includes all of the current header block
        self._trailers = TrailerLimit(self._max_bytes)
        self._head_timer: asyncio.TimerHandle | None = None  # only while no request is read or handled
        self._stopped = False  # reading, because of a denial
        self._pending_denial: Denial | None = None  # sent after the responses to earlier requests
        # The end of the header block of a handshake, as an offset into the data: of an ignored one, of an accepted
        # one.
        self._ignored_upgrade = self._upgraded = 0
        self._earlier: deque[RequestResponseCycle] = deque()  # pipelined before `cycle`

    # --- Reading

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(CoalescingTransport(transport, self.loop))
        self.flow = PipelineFlowControl(self.transport, self.pipeline)
        self._head_timer = self.loop.call_later(self._head_seconds, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        if self._stopped:
            return
        first = not self._pending
        self._pending += len(data)
        super().data_received(data)
        if self._upgraded:
            if len(data) > self._upgraded and not self._stopped:
                handshake: Any = self.transport.get_protocol()
                handshake.data_received(data[self._upgraded :])
            return
        while self._ignored_upgrade and not self._stopped:
            data, self._ignored_upgrade = self._without_upgrade() + data[self._ignored_upgrade :], 0
            self.parser = HttpRequestParser(self)  # the old one may consider the connection ended
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # like uvicorn
            super().data_received(data)
        if self._pending > self._max_bytes:
            self._stop_reading(HEADERS_TOO_LARGE)
        elif (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self._wait_for_head(first=first)

    def _wait_for_head(self, *, first: bool) -> None:
        """Limit the time until the header block is complete: uvicorn's keep-alive timeout ends with a first byte."""
        if self._stopped or self.transport.get_protocol() is not self:
            return
        first_of_all = first and self.cycle is None
        if first_of_all:
            self._stop_head_timer()  # the one that began with the connection
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._pending or self._has_begun_next:
            self._stop_reading(REQUEST_TIMEOUT)
        else:  # no byte of a request came, or only the rest of a body whose request has its response
            self.transport.close()

    @property
    def _has_begun_next(self) -> bool:
        """Return whether a part of the request after the last complete one has come."""
        return self.cycle is not None and self.scope is not self.cycle.scope

    def _unsupported_upgrade_warning(self) -> None:
        """Note the end of the header block: the parser stops there, and uvicorn drops the data that follows."""
        if isinstance(stopped := sys.exception(), HttpParserUpgrade):
            self._ignored_upgrade = stopped.args[0]

    def _without_upgrade(self) -> bytes:
        """Return the header block without the upgrade, to be parsed again (RFC 9110 §7.8)."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _get_upgrade(self) -> bytes | None:
        """Return the offered upgrade if `Connection` names it, from all fields of a name together (RFC 9110 §5.3).

        uvicorn uses the last field only.
        """
        given = {b"connection": b"", b"upgrade": b""}
        for name, value in self.headers:
            if name in given:
                given[name] += b"," + value.lower()
        wanted = {option.strip() for option in given[b"connection"].split(b",")}
        return given[b"upgrade"].removeprefix(b",") if b"upgrade" in wanted else None

    def on_message_begin(self) -> None:
        """Begin to read a request."""
        super().on_message_begin()
        scope: Any = self.scope
        scope[CONNECTION] = self
        self._counts_whole_head = self._pending > 0  # else it began in the data of another request

    def on_headers_complete(self) -> None:
        """Check the header block and start the request.

        Raises `Denied` or `ValueError`; httptools then makes uvicorn call `send_400_response`.
        """
        uncertain = not self._counts_whole_head or self._pending > self._max_bytes
        if uncertain and len(self.url) + size_of(self.headers) > self._max_bytes:
            raise Denied(HEADERS_TOO_LARGE)
        # All programs read the origin form alike (RFC 9112 §3.2); httptools would drop a host and a fragment.
        if not self.url.startswith(b"/") or b"#" in self.url or self.parser.get_method() == b"CONNECT":
            raise ValueError("the request target is not in origin form")
        self._strip_values()
        if self.parser.should_upgrade():
            if not self._should_upgrade():
                return  # parsed again without the upgrade
            if self.cycle is not None and not self.cycle.response_complete:
                # Its response would come before that of the earlier request (RFC 9112 §9.3.2), which the client would
                # then read as frames.
                raise ValueError("a WebSocket handshake while an earlier request has no response")
        # A client of HTTP/1.0 would take the 100 for the response (RFC 9110 §10.1.1).
        self.expect_100_continue = self.expect_100_continue and self.parser.get_http_version() != "1.0"
        self._pending = 0
        self._stop_head_timer()
        previous = self.cycle
        scope: Any = self.scope
        scope[TARGET] = self.url
        super().on_headers_complete()
        if self.pipeline:
            self._queue_behind(previous)
        elif self._earlier:
            self._earlier.clear()
        if self.scope.get("raw_path") is not None:  # not a WebSocket
            # uvicorn reports trailers as headers; they must not reach the application (RFC 9110 §6.5.1).
            self._trailers.size = 0
            self.headers = self._trailers  # type: ignore[assignment]  # it has the two members that are used: append and iteration
            self.cycle.__class__ = ResponseCycle
            if plane.current().leaving:
                self.close_after_response()

    def _should_upgrade(self) -> bool:
        """Return whether to upgrade; in HTTP/1.0 an upgrade must be ignored (RFC 9110 §7.8)."""
        return self.parser.get_http_version() == "1.1" and super()._should_upgrade()

    def _strip_values(self) -> None:
        """Remove whitespace after values (RFC 9112 §5), which httptools keeps; look for `Expect` again after that."""
        values = b"\n".join([value for _, value in self.headers])
        if b" \n" not in values and b"\t\n" not in values and not values.endswith((b" ", b"\t")):
            return
        self.headers[:] = [(name, value.rstrip(b" \t")) for name, value in self.headers]
        self.expect_100_continue = any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in self.headers
        )

    def _queue_behind(self, previous: RequestResponseCycle) -> None:
        self._earlier.append(previous)
        while self._earlier[0].response_complete:
            self._earlier.popleft()
        if len(self.pipeline) > _MAX_PIPELINED:
            raise Denied(BAD_REQUEST)

    def on_response_complete(self) -> None:
        """Go on with the next request, or send the denial that waits."""
        super().on_response_complete()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()  # if this was the last but one
        if self.cycle.response_complete:
            if self._pending_denial is not None:
                self._deny(self._pending_denial)
            elif self._has_begun_next:  # its header block has its own timeout
                self._unset_keepalive_if_required()
                self._wait_for_head(first=False)

    def on_body(self, body: bytes) -> None:
        """Pass a piece of a body on."""
        self._pending = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        if self.parser.should_upgrade():
            return  # only a header block was read
        self._pending = 0
        self._stop_head_timer()
        super().on_message_complete()
        if self.cycle is not None:
            self.cycle.more_body = False  # uvicorn sets it only if the response is not complete

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the WebSocket protocol, or deny an invalid handshake."""
        self.transport = cast("CoalescingTransport", self.transport).release()
        super().handle_websocket_upgrade()
        if isinstance(stopped := sys.exception(), HttpParserUpgrade):
            self._upgraded = stopped.args[0]
        handshake: Any = self.transport.get_protocol()
        if self.flow.write_paused:
            # An earlier response still waits in the buffer. asyncio calls `resume_writing` on the new protocol, which
            # must know that writing is paused.
            handshake.wait_to_write()
        if handshake.conn.handshake_exc is not None:
            # It is not a handshake, or has a body, too many fields or a line that is too long.
            self.send_400_response("")
        self._forget()
        self.parser = None  # type: ignore[assignment]  # like uvicorn at the end of a connection

    # --- Ending

    def close_after_response(self) -> None:
        """Close the connection after the response, which says `Connection: close` if it can (RFC 9112 §9.6)."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (uvicorn's signature)
        """Deny a request that httptools cannot parse, or that a callback denied (the context of the error)."""
        error = sys.exception()
        cause = error.__context__ if error else None
        self._stop_reading(cause.denial if isinstance(cause, Denied) else BAD_REQUEST)

    def _stop_reading(self, denial: Denial) -> None:
        """Stop reading, and send the denial after the responses to all earlier requests (RFC 9112 §9.3.2)."""
        if self._stopped or self.transport.is_closing():
            return
        self._stopped = True
        cycle = self.cycle
        if cycle is not None and cycle.more_body:  # the denial concerns the body of its request
            if cycle.response_complete:
                self.transport.close()  # the client would take a second response for that to its next request
                return
            if cycle.response_started:
                self.abort()
                return
            if not self.pipeline:
                self._mark_lost()
                self._deny(denial)
                return
            self.pipeline.popleft()
            cycle = self.cycle = self._earlier.pop()
        if cycle is None or cycle.response_complete:
            self._deny(denial)
        else:
            self._pending_denial = denial

    def _deny(self, denial: Denial) -> None:
        given = dict(self._headers_so_far())
        handshake = self.transport.get_protocol() is not self  # a complete but invalid one
        without_body = self.parser is not None and bool(self.url) and self.parser.get_method() == b"HEAD"
        gateway, identifier = plane.current(), request_id(given.get(b"x-request-id", b""))
        gateway.metrics.denials[denial.code] += 1
        gateway.denials.add(
            denial, denial.status, RequestInfo(identifier, ip=self.client[0] if self.client else None), {}
        )
        _status, headers, body = denial_response(Denied(denial), given.get(b"accept-language", b""))
        headers.append((b"x-request-id", identifier))
        if handshake:
            headers.append((b"sec-websocket-version", b"13"))  # the version may be the reason (RFC 6455 §4.4)
        status = HTTPStatus(denial.status)
        line = f"HTTP/1.1 {status.value} {status.phrase}".encode()
        lines = [line, *(name + b": " + value for name, value in headers)]
        date = date_line(int(time.time()))
        self.transport.write(b"\r\n".join(lines) + b"\r\n" + date + b"\r\n" + (b"" if without_body else body))
        if handshake:
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _headers_so_far(self) -> Headers:
        """Return the fields of the current request that have been read."""
        cycle = self.cycle
        if self.scope is None or (cycle is not None and cycle.response_complete and cycle.scope is self.scope):
            return []  # the scope is that of the previous request
        return list(self.scope["headers"])

    def _disconnect(self) -> None:
        """End sending and receiving for all requests; uvicorn does this for the last pipelined request only."""
        for cycle in (*self._earlier, self.cycle):
            cycle.disconnected = True
            cycle.message_event.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_head_timer()
        if not self.lost:
            self._mark_lost()
        self._forget()

    def _forget(self) -> None:
        """Drop the references that lead back to this object.

        Otherwise the memory of a connection, a megabyte if its header block was too large, would stay until a full
        garbage collection, which comes after thousands of connections.
        """
        self.scope, self.headers, self.cycle = {}, [], None  # type: ignore[typeddict-item, assignment]
        self._earlier.clear()

    def _mark_lost(self) -> None:
        self.lost = True
        if self.cycle is not None:
            self._disconnect()
        if self.on_lost is not None:
            self.on_lost()

    def abort(self) -> None:
        """Close the connection at once, so that a response that was cut short cannot look complete."""
        if self.cycle is not None:
            self._disconnect()
            if isinstance(self.cycle, ResponseCycle) and self.cycle.until_close:  # a normal close would end the body
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
