"""uvicorn's WebSocket protocol, made to hold against clients that flood, stand still, vanish or break the rules.

Tested against the pinned uvicorn and websockets; it relies on what `WebSocketsSansIOProtocol` has: `conn`, `config`,
`handshake_initiated`, `handshake_complete`, `close_timer`, `handle_connect` and the keep-alive's two methods. What
comes after the handshake goes the way of `Endpoint`, not that of ASGI's events.
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

from proxy.dataplane.server.http_protocol import CONNECTION
from proxy.dataplane.websocket import endpoint, frames

# How long what a client still sends is read and discarded, so that it learns why it was closed.
_LINGER_SECONDS = 2.0
# How long one that does not answer may take to read why it was closed.
_DEAD_SECONDS = 1.0

_RESET = struct.pack("ii", 1, 0)  # linger for no time: discard what was not sent
_ORDINARY, _WENT_AWAY, _NO_CODE, _NO_ANSWER = 1000, 1001, 1005, 1011


class GatewayWebSocket(endpoint.Endpoint, WebSocketsSansIOProtocol):
    """The client's end. Puts itself into the scope as `zenzefi.connection`; refuses no handshake, `GatewayProtocol`
    does."""

    masked = True
    frame = staticmethod(frames.frame)
    # The client's connection is lost before there is a relay; the server stops. Called at most once each.
    on_lost: Callable[[], None] | None = None
    on_shutdown: Callable[[], None] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.max_bytes = self.config.ws_max_size
        self._end: asyncio.TimerHandle | None = None
        self.gone = asyncio.Event()

    @property
    def parting(self) -> tuple[int, str]:
        frame = self.conn.close_rcvd or (self.conn.close_sent if self.failed else None)
        if frame is None:
            return _WENT_AWAY, ""
        return (_ORDINARY if frame.code == _NO_CODE else frame.code), frame.reason

    # --- The handshake

    def handle_connect(self, event: Request) -> None:
        try:
            for offered in event.headers.get_all("Sec-WebSocket-Extensions"):
                parse_extension(offered)  # websockets looks at it only where it has extensions to offer
        except InvalidHeaderFormat as error:
            self.conn.handshake_exc = error
            return
        if self.conn.accept(event).status_code == 101:
            super().handle_connect(event)
            scope: Any = self.scope
            scope[CONNECTION] = self

    def on_event(self, event: Any) -> None:
        if isinstance(event, Request):
            self.handle_connect(event)
        else:
            super().on_event(event)

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated and not self.handshake_complete:
            self.abort()  # a client waits for the answer to its handshake (RFC 6455 §4.1)
        else:
            super().data_received(data)

    def wait_to_write(self) -> None:
        """Nothing is relayed yet until the client has taken what waits; its handshake is answered all the same."""
        self._writing_paused = True

    # --- Ending

    def close(self, code: int, reason: str) -> None:
        if self.lost:
            return
        super().close(code, reason)
        # uvicorn leaves a connection with such a timer open when the application is done.
        self.close_timer = self.close_timer or self._abort_after(endpoint.LAST_SECONDS)

    def _abort_after(self, seconds: float) -> asyncio.TimerHandle:
        self._end = self._end or self.loop.call_later(seconds, self.abort)
        return self._end

    def _fail(self) -> None:
        super()._fail()
        self.close_timer = self.close_timer or self._abort_after(_LINGER_SECONDS)

    def on_dead(self) -> None:
        self.conn.fail(_NO_ANSWER, "keepalive ping timeout")
        self._flush()
        self.transport.close()
        self._abort_after(_DEAD_SECONDS)
        self._over()

    def shutdown(self) -> None:
        """The server stops: the application closes, if it is not about to end anyway."""
        if self.on_shutdown is not None:
            self.on_shutdown()

    def abort(self) -> None:
        """Reset the connection."""
        # A transport that closes and has nothing left to write has given its descriptor back.
        if not self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        if self.on_lost is not None:
            self.on_lost()
        super().connection_lost(exc)
        self.scope = {}  # type: ignore[typeddict-item]  # it points back here, see `GatewayProtocol._forget`
