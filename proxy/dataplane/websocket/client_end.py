"""The client's end of a WebSocket relay: uvicorn's WebSocket protocol, hardened.

It withstands clients that flood the gateway, stop reading, vanish or break the protocol. It is tested against the
pinned uvicorn and websockets, and uses these members of `WebSocketsSansIOProtocol`: `conn`, `config`,
`handshake_initiated`, `handshake_complete`, `close_timer`, `handle_connect` and the two keep-alive methods. Data
after the handshake is handled by `Endpoint` and does not become ASGI events.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidHeaderFormat
from websockets.headers import parse_extension
from websockets.http11 import Request

from proxy.dataplane.asgi import CONNECTION
from proxy.dataplane.websocket import endpoint, frames

# How long data of a client that broke the protocol is read and discarded, so that it can read the close frame.
_LINGER_SECONDS = 2.0
# How long a client that does not respond to a ping may take to read the close frame.
_DEAD_SECONDS = 1.0

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: discard unsent data
_NORMAL_CLOSURE, _GOING_AWAY, _NO_STATUS, _INTERNAL_ERROR = 1000, 1001, 1005, 1011


class ClientEnd(endpoint.Endpoint, WebSocketsSansIOProtocol):
    """The client's end of the relay.

    It puts itself into the scope as `zenzefi.connection`. Invalid handshakes are denied by `GatewayProtocol`.
    """

    masked = True
    frame = staticmethod(frames.frame)
    # Called at most once each: if the connection is lost before the relay is joined, and if the server stops.
    on_lost: Callable[[], None] | None = None
    on_shutdown: Callable[[], None] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.max_bytes = self.config.ws_max_size
        self._abort_timer: asyncio.TimerHandle | None = None
        self.gone = asyncio.Event()

    @property
    def close_status(self) -> tuple[int, str]:
        """Return the code and reason that the upstream gets when the client's end is over."""
        frame = self.conn.close_rcvd or (self.conn.close_sent if self.failed else None)
        if frame is None:
            return _GOING_AWAY, ""
        return (_NORMAL_CLOSURE if frame.code == _NO_STATUS else frame.code), frame.reason

    # --- The handshake

    def handle_connect(self, event: Request) -> None:
        """Check the handshake and start the application if it is valid."""
        try:
            for offered in event.headers.get_all("Sec-WebSocket-Extensions"):
                parse_extension(offered)  # websockets checks it only if it offers extensions
        except InvalidHeaderFormat as error:
            self.conn.handshake_exc = error
            return
        if self.conn.accept(event).status_code == 101:
            super().handle_connect(event)
            scope: Any = self.scope
            scope[CONNECTION] = self

    def on_event(self, event: Any) -> None:
        """Handle the handshake or a frame."""
        if isinstance(event, Request):
            self.handle_connect(event)
        else:
            super().on_event(event)

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated and not self.handshake_complete:
            self.abort()  # a client must wait for the response to its handshake (RFC 6455 §4.1)
        else:
            super().data_received(data)

    def wait_to_write(self) -> None:
        """Begin with writing paused, as the client has not read an earlier response; the handshake goes on."""
        self._writing_paused = True

    # --- Ending

    def close(self, code: int, reason: str) -> None:
        if self.lost:
            return
        super().close(code, reason)
        # With this timer set, uvicorn leaves the connection open when the application returns.
        self.close_timer = self.close_timer or self._abort_after(endpoint.LAST_SECONDS)

    def _abort_after(self, seconds: float) -> asyncio.TimerHandle:
        self._abort_timer = self._abort_timer or self.loop.call_later(seconds, self.abort)
        return self._abort_timer

    def _fail(self) -> None:
        super()._fail()
        self.close_timer = self.close_timer or self._abort_after(_LINGER_SECONDS)

    def on_dead(self) -> None:
        self.conn.fail(_INTERNAL_ERROR, "keepalive ping timeout")
        self._flush()
        self.transport.close()
        self._abort_after(_DEAD_SECONDS)
        self._notify_closed()

    def shutdown(self) -> None:
        """Let the application close the WebSocket because the server stops."""
        if self.on_shutdown is not None:
            self.on_shutdown()

    def abort(self) -> None:
        """Reset the connection."""
        # A closing transport with an empty buffer has released its socket.
        if not self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        if self.on_lost is not None:
            self.on_lost()
        super().connection_lost(exc)
        self.scope = {}  # type: ignore[typeddict-item]  # it refers back to this object, see `GatewayProtocol._forget`
