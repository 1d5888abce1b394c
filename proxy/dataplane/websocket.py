"""uvicorn's WebSocket protocol, made to hold against clients that flood, stand still, vanish or break the rules.

Tested against the pinned uvicorn and websockets; it relies on what `WebSocketsSansIOProtocol` has: `conn`, `queue`,
`frames`, `read_paused`, `writable`, `close_sent`, `close_timer`, `disconnected`, the timers of its keep-alive and the
`handle_…` methods.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidHeaderFormat
from websockets.frames import Frame
from websockets.headers import parse_extension
from websockets.http11 import Request

from proxy.dataplane import upstream
from proxy.dataplane.protocol import CONNECTION

# How long a client may take to read its last messages and to answer the close frame.
LAST_SECONDS = 10.0
# How long what a client still sends is read and discarded, so that it learns why it was closed.
_LINGER_SECONDS = 2.0
# What is parsed at once, and what may wait to be sent: the messages in it may all be tiny, and each of them costs
# hundreds of bytes.
_PIECE = 8 * 1024

# How long one that does not answer may take to read why it was closed.
_DEAD_SECONDS = 1.0

_RESET = struct.pack("ii", 1, 0)  # linger for no time: discard what was not sent
_ORDINARY, _WENT_AWAY, _NO_CODE, _INVALID_TEXT, _NO_ANSWER = 1000, 1001, 1005, 1007, 1011


class GatewayWebSocket(WebSocketsSansIOProtocol):
    """Puts itself into the scope as `zenzefi.connection`; refuses no handshake, `GatewayProtocol` does."""

    # The client's connection is lost; the server stops. Called at most once each.
    on_lost: Callable[[], None] | None = None
    on_shutdown: Callable[[], None] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.ping_interval, self.ping_timeout = upstream.PING_SECONDS, upstream.PING_SECONDS / 2
        self._unparsed = b""
        self._pong = b""
        self._failed = False
        self._alive_at = 0.0
        self._end: asyncio.TimerHandle | None = None
        self.gone = asyncio.Event()

    @property
    def parting(self) -> tuple[int, str]:
        """Code and reason with which the client's side ended, fit to be sent on (RFC 6455 §7.4.1)."""
        frame = self.conn.close_rcvd or (self.conn.close_sent if self._failed else None)
        if frame is None:
            return _WENT_AWAY, ""
        return (_ORDINARY if frame.code == _NO_CODE else frame.code), frame.reason

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=_PIECE)

    # --- Reading

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

    def data_received(self, data: bytes) -> None:
        if self._failed:
            return
        if self.handshake_initiated and not self.handshake_complete:
            self.abort()  # a client waits for the answer to its handshake (RFC 6455 §4.1)
            return
        self._alive_at = self.loop.time()
        if self._unparsed:
            data, self._unparsed = self._unparsed + data, b""
        for start in range(0, len(data), _PIECE):
            if self.read_paused:
                self._unparsed = data[start:]
                return
            self.conn.receive_data(data[start : start + _PIECE])
            self.handle_events()
            if self.conn.parser_exc is not None:
                self.handle_parser_exception()
                return

    async def receive(self) -> Any:
        message = await self.queue.get()
        if self.queue.empty() and (self.read_paused or self._unparsed):
            self.read_paused = False
            if self._unparsed:
                self.data_received(b"")
            if not self.read_paused:
                self.transport.resume_reading()
        return message

    def handle_cont(self, event: Frame) -> None:
        # One buffer: fragments may be tiny, or empty and without number.
        frames: list[Any] = self.frames
        if not isinstance(frames[0], bytearray):
            frames[0] = bytearray(frames[0])
        frames[0] += event.data
        if event.fin:
            frames[0] = bytes(frames[0])
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        data, self.frames = self.frames[0], []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "text":
            try:
                self.queue.put_nowait({"type": "websocket.receive", "text": data.decode()})
            except UnicodeDecodeError:  # uvicorn would log it as an error of ours
                self.conn.fail(_INVALID_TEXT)
                self.handle_parser_exception()
                return
        else:
            self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def handle_ping(self) -> None:
        pongs = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(pongs))
        elif pongs:
            self._pong = pongs[-1]  # only the newest need be answered (RFC 6455 §5.5.3)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._alive_at = self.loop.time()  # it takes what it is sent
        if self._pong and not self._failed:
            self.transport.write(self._pong)
        self._pong = b""

    # --- Dead peers

    def keepalive_timeout(self) -> None:
        self.pong_timer = self.pending_ping_payload = None
        if self.read_paused or self._alive_at > self.ping_sent_at:
            # Its answer may lie unread, behind what the upstream does not take; or it gave another sign of life.
            self.schedule_ping()
        elif not self.close_sent and not self.transport.is_closing():
            self.conn.fail(_NO_ANSWER, "keepalive ping timeout")
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
            self._end = self._end or self.loop.call_later(_DEAD_SECONDS, self.abort)

    # --- Ending

    def handle_parser_exception(self) -> None:
        """Send the close frame and read on: a connection that is closed while the client sends is reset, and the
        frame is lost with it (RFC 6455 §7.1.1)."""
        self._failed = True
        self.stop_keepalive()
        code, reason = self.parting
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if not self.transport.is_closing():
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.write_eof()
            self.read_paused = False
            self.transport.resume_reading()
        self._end = self._end or self.loop.call_later(_LINGER_SECONDS, self.abort)
        # uvicorn leaves a connection with such a timer open when the application is done.
        self.close_timer = self.close_timer or self._end

    def shutdown(self) -> None:
        """The server stops: the application closes, if it is not about to end anyway."""
        if self.on_shutdown is not None:
            self.on_shutdown()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        if not self.disconnected:
            self._end = self._end or self.loop.call_later(LAST_SECONDS, self.abort)

    def abort(self) -> None:
        """Reset the connection."""
        # A transport that closes and has nothing left to write has given its descriptor back.
        if not self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._end is not None:
            self._end.cancel()
        self.gone.set()
        if self.on_lost is not None:
            self.on_lost()
