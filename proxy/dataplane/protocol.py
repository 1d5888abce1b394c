"""uvicorn's HTTP protocol with what an application cannot reach: the end of the connection, and its abortion.

Tested against the pinned uvicorn; it relies on `HttpToolsProtocol.on_message_begin`,
`on_headers_complete`, `connection_lost`, `send_400_response`, `_should_upgrade`, `parser`, `url`,
`headers`, `scope`, `cycle` and `transport`.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from proxy.dataplane import plane
from proxy.dataplane.answers import denial_answer, request_id
from proxy.dataplane.denials import BAD_REQUEST, Denied

CONNECTION = "zenzefi.connection"


class GatewayProtocol(HttpToolsProtocol):
    """Puts itself into the scope as `zenzefi.connection`."""

    on_lost: Callable[[], None] | None = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: Any = self.scope
        scope[CONNECTION] = self

    def on_headers_complete(self) -> None:
        # Only the origin form is read one way by everybody (RFC 9112 §3.2); httptools would drop host and fragment.
        if not self.url.startswith(b"/") or b"#" in self.url:
            raise ValueError("the request target is not in origin form")
        if self.parser.should_upgrade() and not self._should_upgrade() and self._announces_body():
            # httptools skips the body of whatever asks for an upgrade and would read it as the next request.
            raise ValueError("a body with an upgrade that is not offered")
        super().on_headers_complete()
        if self.scope.get("raw_path") is not None:  # no WebSocket, whose headers are read once more
            # Trailers are reported as headers; nothing of them may reach the application (RFC 9110 §6.5.1).
            self.headers = deque(maxlen=0)  # type: ignore[assignment]  # it has what is used: append and iteration
            if plane.current().leaving:
                self.close_after_answer()

    def close_after_answer(self) -> None:
        """Let the answer that has not begun say `Connection: close` and end the connection (RFC 9112 §9.6)."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def _announces_body(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self.headers
        )

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def send_400_response(self, msg: str) -> None:
        """Deny what httptools cannot read; while an earlier request is being answered, only an abort is left."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and (cycle.response_started or not cycle.more_body):
            self.abort()
            return
        _status, headers, body = denial_answer(Denied(BAD_REQUEST), b"")
        headers.append((b"x-request-id", request_id(b"")))
        lines = [b"HTTP/1.1 400 Bad Request", *(name + b": " + value for name, value in headers), b"", body]
        self.transport.write(b"\r\n".join(lines))
        self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        handshake: Any = self.transport.get_protocol()
        if handshake.conn.handshake_exc is not None:
            # What cannot be read: a body, too many headers, a line that is too long; or is no handshake.
            self.send_400_response("")

    def abort(self) -> None:
        """Cut the connection, so that the client cannot take a cut answer for a complete one."""
        if self.cycle is not None:
            self.cycle.disconnected = True
        self.transport.abort()
