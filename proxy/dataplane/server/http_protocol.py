"""uvicorn's HTTP protocol with what an application cannot reach: the end of the connection and its abortion, and
bounds for what a client sends around its requests.

Tested against the pinned uvicorn and httptools; it relies on what `HttpToolsProtocol` has: the methods that are
overridden here, `_unset_keepalive_if_required`, `parser`, `url`, `headers`, `expect_100_continue`, `scope`, `cycle`,
`pipeline`, `flow`, `loop` and `transport`; and on what `RequestResponseCycle` has: `scope`, `response_started`,
`response_complete`, `more_body`, `message_event`, `disconnected` and `keep_alive`.
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
from proxy.dataplane.denials.log import Asked
from proxy.dataplane.denials.responses import denial_answer, request_id
from proxy.dataplane.errors import BAD_REQUEST, HEADERS_TOO_LARGE, REQUEST_TIMEOUT, Denial, Denied
from proxy.dataplane.rules.headers import Headers
from proxy.dataplane.server.flow_control import Flow, Trailers, size_of
from proxy.dataplane.server.response_cycle import Cycle, date_line
from proxy.dataplane.transport import GatheringTransport

# In the scope: the protocol, and the request target as it came.
CONNECTION = "zenzefi.connection"
TARGET = "zenzefi.target"
# How long what a refused client still sends is discarded: closed at once, the connection would be reset, and the
# answer lost with it (RFC 9112 §9.6).
_LINGER_SECONDS = 1.0
_RESET = struct.pack("ii", 1, 0)  # linger for no time: reset at the close
# How many requests may wait behind one that is being answered: of the smallest, thousands come at once.
_MOST_WAITING = 1000


class GatewayProtocol(HttpToolsProtocol):
    """Puts itself into the scope as `zenzefi.connection`.

    Held to `MAX_HEADER_BYTES` are a header block with its request line, the trailers, and whatever else comes without
    a byte of a body. `HEADER_TIMEOUT_SECONDS` runs from the connection, and from the first byte of each later
    request, to the end of the header block.
    """

    on_lost: Callable[[], None] | None = None
    # From then on nobody calls that, and nothing can be sent.
    lost = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.url = b""
        config = plane.current().config
        self._max_bytes, self._head_seconds = config.max_header_bytes, config.header_timeout
        self._pending = 0  # bytes since the last header block, piece of a body or end of a request
        self._counted = True  # whether all of the header block that is being read is among them
        self._trailers = Trailers(self._max_bytes)
        self._timer: asyncio.TimerHandle | None = None  # only while no request is read or answered
        self._refused = False
        self._due: Denial | None = None  # behind what is being answered
        self._ignored_upgrade = self._upgraded = 0  # where in the data its header block ends
        self._earlier: deque[RequestResponseCycle] = deque()  # before `cycle`, where requests are pipelined

    # --- Reading

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(GatheringTransport(transport, self.loop))
        self.flow = Flow(self.transport, self.pipeline)
        self._timer = self.loop.call_later(self._head_seconds, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        first = not self._pending
        self._pending += len(data)
        super().data_received(data)
        if self._upgraded:
            if len(data) > self._upgraded and not self._refused:
                handshake: Any = self.transport.get_protocol()
                handshake.data_received(data[self._upgraded :])
            return
        while self._ignored_upgrade and not self._refused:
            data, self._ignored_upgrade = self._without_upgrade() + data[self._ignored_upgrade :], 0
            self.parser = HttpRequestParser(self)  # this one may be through with the connection
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does it
            super().data_received(data)
        if self._pending > self._max_bytes:
            self._refuse(HEADERS_TOO_LARGE)
        elif (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self._wait_for_head(first=first)

    def _wait_for_head(self, *, first: bool) -> None:
        """Nobody else limits the time now: with the first byte uvicorn forgets its keep-alive timeout."""
        if self._refused or self.transport.get_protocol() is not self:
            return
        first_of_all = first and self.cycle is None
        if first_of_all:
            self._stop_timer()  # that of the connection
        if self._timer is None:
            self._timer = self.loop.call_later(self._head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._timer = None
        if self._pending or self._has_begun_next:
            self._refuse(REQUEST_TIMEOUT)
        else:  # not a byte, or what is left of a body whose request is answered: nobody waits for an answer
            self.transport.close()

    @property
    def _has_begun_next(self) -> bool:
        """Whether anything has come of a request behind the last one that was read whole."""
        return self.cycle is not None and self.scope is not self.cycle.scope

    def _unsupported_upgrade_warning(self) -> None:
        """The parser stops behind the header block, as if there were no body; uvicorn forgets what follows."""
        if isinstance(stopped := sys.exception(), HttpParserUpgrade):
            self._ignored_upgrade = stopped.args[0]

    def _without_upgrade(self) -> bytes:
        """The header block, to be read again as if nobody had asked for an upgrade (RFC 9110 §7.8)."""
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _get_upgrade(self) -> bytes | None:
        """Of all fields of a name together (RFC 9110 §5.3), where uvicorn takes the last."""
        given = {b"connection": b"", b"upgrade": b""}
        for name, value in self.headers:
            if name in given:
                given[name] += b"," + value.lower()
        wanted = {option.strip() for option in given[b"connection"].split(b",")}
        return given[b"upgrade"].removeprefix(b",") if b"upgrade" in wanted else None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: Any = self.scope
        scope[CONNECTION] = self
        self._counted = self._pending > 0  # else it began behind another request's end

    def on_headers_complete(self) -> None:
        uncertain = not self._counted or self._pending > self._max_bytes
        if uncertain and len(self.url) + size_of(self.headers) > self._max_bytes:
            raise Denied(HEADERS_TOO_LARGE)
        # Only the origin form is read one way by everybody (RFC 9112 §3.2); httptools would drop host and fragment.
        if not self.url.startswith(b"/") or b"#" in self.url or self.parser.get_method() == b"CONNECT":
            raise ValueError("the request target is not in origin form")
        values = b"\n".join([value for _, value in self.headers])
        if b" \n" in values or b"\t\n" in values or values.endswith((b" ", b"\t")):
            self._strip_values()
        if self.parser.should_upgrade():
            if not self._should_upgrade():
                return  # it is read once more
            if self.cycle is not None and not self.cycle.response_complete:
                # It would be answered before that one (RFC 9112 §9.3.2), whose answer would follow as frames.
                raise ValueError("a WebSocket behind a request that is not answered")
        if self.expect_100_continue and self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # such a client would take the 100 for the answer (RFC 9110 §10.1.1)
        self._pending = 0
        self._stop_timer()
        previous = self.cycle
        scope: Any = self.scope
        scope[TARGET] = self.url
        super().on_headers_complete()
        if self.pipeline:
            self._wait_behind(previous)
        elif self._earlier:
            self._earlier.clear()
        if self.scope.get("raw_path") is not None:  # no WebSocket, whose headers are read once more
            # Trailers are reported as headers; nothing of them may reach the application (RFC 9110 §6.5.1).
            self._trailers.size = 0
            self.headers = self._trailers  # type: ignore[assignment]  # it has what is used: append and iteration
            self.cycle.__class__ = Cycle
            if plane.current().leaving:
                self.close_after_answer()

    def _should_upgrade(self) -> bool:
        """Not of HTTP/1.0, where an upgrade is to be ignored (RFC 9110 §7.8)."""
        return self.parser.get_http_version() == "1.1" and super()._should_upgrade()

    def _strip_values(self) -> None:
        """Whitespace behind a value is no part of it (RFC 9112 §5); httptools leaves it, and uvicorn looked at it."""
        self.headers[:] = [(name, value.rstrip(b" \t")) for name, value in self.headers]
        self.expect_100_continue = any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in self.headers
        )

    def _wait_behind(self, previous: RequestResponseCycle) -> None:
        self._earlier.append(previous)
        while self._earlier[0].response_complete:
            self._earlier.popleft()
        if len(self.pipeline) > _MOST_WAITING:
            raise Denied(BAD_REQUEST)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()  # where that was the last but one
        if self.cycle.response_complete:
            if self._due is not None:
                self._deny(self._due)
            elif self._has_begun_next:  # which has a time of its own
                self._unset_keepalive_if_required()
                self._wait_for_head(first=False)

    def on_body(self, body: bytes) -> None:
        self._pending = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # all that was read is a header block
        self._pending = 0
        self._stop_timer()
        super().on_message_complete()
        if self.cycle is not None:
            self.cycle.more_body = False  # uvicorn sets it only where the answer is still to come

    def handle_websocket_upgrade(self) -> None:
        self.transport = cast("GatheringTransport", self.transport).release()
        super().handle_websocket_upgrade()
        if isinstance(stopped := sys.exception(), HttpParserUpgrade):
            self._upgraded = stopped.args[0]
        handshake: Any = self.transport.get_protocol()
        if self.flow.write_paused:
            # By what waits of an earlier answer: only who was told to pause is told how long.
            handshake.wait_to_write()
        if handshake.conn.handshake_exc is not None:
            # What cannot be read: a body, too many headers, a line that is too long; or is no handshake.
            self.send_400_response("")
        self._forget()
        self.parser = None  # type: ignore[assignment]  # as uvicorn does it at the end of a connection

    # --- Ending

    def close_after_answer(self) -> None:
        """Let the answer that has not begun say `Connection: close` and end the connection (RFC 9112 §9.6)."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Deny what httptools cannot read, or what a method above denies, which httptools makes the context."""
        error = sys.exception()
        cause = error.__context__ if error else None
        self._refuse(cause.denial if isinstance(cause, Denied) else BAD_REQUEST)

    def _refuse(self, denial: Denial) -> None:
        """Read no further, and deny once all that was asked before is answered (RFC 9112 §9.3.2)."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        cycle = self.cycle
        if cycle is not None and cycle.more_body:  # what is refused is part of its request
            if cycle.response_complete:
                self.transport.close()  # a second answer would be that to the next request
                return
            if cycle.response_started:
                self.abort()
                return
            if not self.pipeline:
                self._lose()
                self._deny(denial)
                return
            self.pipeline.popleft()
            cycle = self.cycle = self._earlier.pop()
        if cycle is None or cycle.response_complete:
            self._deny(denial)
        else:
            self._due = denial

    def _deny(self, denial: Denial) -> None:
        given = dict(self._headers_so_far())
        handshake = self.transport.get_protocol() is not self  # one that has been read whole
        without_body = self.parser is not None and bool(self.url) and self.parser.get_method() == b"HEAD"
        gateway, identifier = plane.current(), request_id(given.get(b"x-request-id", b""))
        gateway.figures.denials[denial.code] += 1
        gateway.refusals.note(
            denial, denial.status, Asked(identifier, ip=self.client[0] if self.client else None), {}
        )
        _status, headers, body = denial_answer(Denied(denial), given.get(b"accept-language", b""))
        headers.append((b"x-request-id", identifier))
        if handshake:
            headers.append((b"sec-websocket-version", b"13"))  # it may be that (RFC 6455 §4.4)
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
        self._stop_timer()
        self._timer = self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _headers_so_far(self) -> Headers:
        """Of the request that is being read, as far as they have come."""
        cycle = self.cycle
        if self.scope is None or (cycle is not None and cycle.response_complete and cycle.scope is self.scope):
            return []  # nothing of it has
        return list(self.scope["headers"])

    def _disconnect(self) -> None:
        """Let nothing more be sent or received; uvicorn does so for the last of pipelined requests only."""
        for cycle in (*self._earlier, self.cycle):
            cycle.disconnected = True
            cycle.message_event.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_timer()
        if not self.lost:
            self._lose()
        self._forget()

    def _forget(self) -> None:
        """Drop what points back here. Else all that a connection held, a megabyte where its header block was refused,
        would wait for a full collection of the garbage, which comes after thousands of them."""
        self.scope, self.headers, self.cycle = {}, [], None  # type: ignore[typeddict-item, assignment]
        self._earlier.clear()

    def _lose(self) -> None:
        self.lost = True
        if self.cycle is not None:
            self._disconnect()
        if self.on_lost is not None:
            self.on_lost()

    def abort(self) -> None:
        """Cut the connection, so that the client cannot take a cut answer for a complete one."""
        if self.cycle is not None:
            self._disconnect()
            if isinstance(self.cycle, Cycle) and self.cycle.until_close:  # the end would look like that of the body
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
