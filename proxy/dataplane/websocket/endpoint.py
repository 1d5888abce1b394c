"""One end of a WebSocket relay: it reads its peer's messages and writes them to the peer of the other end.

websockets implements the protocol (RFC 6455): handshake, control frames, fragments, limits, closing and violations.
Only a message that consists of one frame, as most do, bypasses it and is forwarded in the callback that received it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from websockets.frames import CLOSE, CONT, PING, PONG, Frame, Opcode
from websockets.protocol import CONNECTING, OPEN, SEND_EOF

from proxy.dataplane.transport import AbortableProtocol
from proxy.dataplane.websocket import frames

logger = logging.getLogger(__name__)

# A peer that was silent for this long gets a ping, and must respond within half that time.
PING_SECONDS = 30.0
# How long a peer may take to read its last messages and to respond to the close frame.
LAST_SECONDS = 10.0
# Bytes that may wait to be sent to a peer. The limit is low because the messages may all be tiny, and each one costs
# hundreds of bytes of memory.
_WRITE_BUFFER_BYTES = 8 * 1024
# Frames that are read before other tasks run.
_MAX_FRAMES_PER_TURN = 2048
# A timer may fire this much too early, in seconds.
_TIMER_TOLERANCE = 0.01
_INVALID_PAYLOAD, _INTERNAL_ERROR = 1007, 1011


class Endpoint(AbortableProtocol):
    """One side of the relay. Bytes that arrive before `join` wait; after `detach` messages are discarded."""

    conn: Any  # websockets' `ServerProtocol` or `ClientProtocol`
    loop: asyncio.AbstractEventLoop
    masked: bool  # whether the peer masks what it sends: a client does, a server does not (RFC 6455 §5.1)
    max_bytes: int  # of a message

    _other: "Endpoint | None" = None
    _count_bytes: Callable[[int], None]
    _on_closed: Callable[[int, str], None] | None = None
    _unread = b""  # an incomplete frame header, or bytes that have to wait
    _frame_bytes_left = 0  # of the frame that websockets is reading
    _message: bytearray | None = None  # the fragments so far
    _opcode: Opcode
    _reading_paused = False
    _writing_paused = False
    _pong = b""  # a pong that waits
    _last_received_at = _pinged_at = 0.0  # by the event loop's clock
    _last_buffer_size = 0  # bytes that waited to be sent to the peer at the last check
    _keepalive_timer: asyncio.TimerHandle | None = None
    _give_up_timer: asyncio.TimerHandle | None = None
    failed = False  # the peer broke the protocol, got the close frame, and is ignored
    lost = False  # the connection is lost; `gone` is set then
    gone: asyncio.Event

    @property
    def close_status(self) -> tuple[int, str]:
        """Return the code and reason for the other end's peer when this end is over (RFC 6455 §7.4.1)."""
        raise NotImplementedError

    def frame(self, first: int, payload: bytes) -> bytes:
        """Return a frame for the peer with a payload of less than 64 KiB."""
        raise NotImplementedError

    # --- For the relay

    def attach(
        self, other: "Endpoint", count_bytes: Callable[[int], None], on_closed: Callable[[int, str], None]
    ) -> None:
        """Connect this end with the other one; see `join`."""
        self._other, self._count_bytes, self._on_closed = other, count_bytes, on_closed

    def begin(self) -> None:
        """Process data buffered before the relay was joined."""
        if self.lost and not self._unread:
            self._notify_closed()
        else:
            self._read_on()

    def detach(self) -> None:
        """Forward nothing any more, and do not report the end."""
        self._other = self._on_closed = None

    async def end(self, code: int, reason: str) -> None:
        """Send the close frame, unless closing has begun, and wait until the connection is lost."""
        self.close(code, reason)
        await self.gone.wait()

    def close(self, code: int, reason: str) -> None:
        """Send the close frame, unless closing has begun, and read on for the peer's (RFC 6455 §7.1.2)."""
        if self.conn.state is OPEN:
            self.conn.send_close(code, reason)
            self._flush()
        self._read_on()

    # --- Reading

    def data_received(self, data: bytes) -> None:
        self._last_received_at = self.loop.time()
        if self._unread:
            data, self._unread = self._unread + data, b""
        try:
            self._read(data)
        except Exception:
            logger.exception("relay_failed")
            self._notify_closed(_INTERNAL_ERROR, "")

    def _read(self, data: bytes) -> None:
        conn, start, end, frames_left = self.conn, 0, len(data), _MAX_FRAMES_PER_TURN
        if conn.state is CONNECTING:
            self._hand_over(data)
            return
        while start < end:
            other = self._other
            if other is not None and (other.lost or conn.state is not OPEN):
                other = None
            if other is None and (self.failed or self.transport.is_closing()):
                return  # no one receives the data, and no response is expected
            if not frames_left or (other is not None and other._writing_paused):  # noqa: SLF001  (same class)
                self._postpone(data[start:])
                if not frames_left:
                    self.loop.call_soon(self._read_on)
                return
            frames_left -= 1
            if not self._frame_bytes_left:
                found = frames.extent(data, start)
                if found is None:
                    self._unread = data[start:]
                    return
                begin, stop = found
                if other is not None and stop <= end and self._forward(other, data, start, begin, stop):
                    start = stop
                    continue
                self._frame_bytes_left = stop - start
            stop = min(start + self._frame_bytes_left, end)
            self._frame_bytes_left -= stop - start
            self._hand_over(data[start:stop])
            start = stop

    def _forward(self, other: "Endpoint", data: bytes, start: int, begin: int, stop: int) -> bool:
        """Forward the frame from `start` to `stop` if it is a plain whole message; return whether it was handled."""
        first, length = data[start], stop - begin
        if (
            (first != frames.BINARY and first != frames.TEXT)
            or not frames.is_plain(begin - start, length, masked=self.masked)
            or length > self.max_bytes
            or self.conn.current_size is not None  # within a message in fragments
        ):
            return False
        payload = frames.unmasked(data, begin, stop) if self.masked else data[begin:stop]
        if first == frames.TEXT and not payload.isascii() and not self._accept_text(payload):
            return True
        self._count_bytes(length)
        other.transport.write(other.frame(first, payload))
        return True

    def _accept_text(self, payload: bytes | bytearray) -> bool:
        """Return whether the payload is UTF-8; if not, fail the connection (RFC 6455 §8.1)."""
        try:
            payload.decode()
        except UnicodeDecodeError:
            self.conn.fail(_INVALID_PAYLOAD)
            self._fail()
            return False
        return True

    def _postpone(self, data: bytes) -> None:
        """Read this data later: when the other peer has taken its messages, or other tasks have run."""
        self._unread = data
        if not self._reading_paused:
            self._reading_paused = True
            if not self.lost:
                self.transport.pause_reading()

    def _read_on(self) -> None:
        if not self._reading_paused:
            return
        self._reading_paused = False
        data, self._unread = self._unread, b""
        if data:
            self.data_received(data)
        if self._reading_paused:
            return
        if not self.lost:
            if not self.transport.is_closing():
                self.transport.resume_reading()
        else:
            self._notify_closed()

    # --- Data that websockets reads

    def _hand_over(self, data: bytes) -> None:
        conn = self.conn
        conn.receive_data(data)
        for event in conn.events_received():
            self.on_event(event)
        if conn.parser_exc is not None:
            self._fail()

    def on_event(self, event: Any) -> None:
        """Handle a frame whose form `websockets` has checked."""
        opcode = event.opcode
        if opcode is PING:
            self._send_pong()
        elif opcode is CLOSE:
            self._flush()
            self.transport.close()
            self._notify_closed()
        elif opcode is not PONG and self._other is not None and not self._other.lost:
            self._on_data(event)

    def _on_data(self, event: Frame) -> None:
        # One buffer, because there may be any number of tiny or empty fragments.
        if event.opcode is CONT:
            message = cast("bytearray", self._message)
            message += event.data
        else:
            self._opcode, message = event.opcode, bytearray(event.data)
        self._message = None if event.fin else message
        if event.fin and (self._opcode is not Opcode.TEXT or self._accept_text(message)) and self._other is not None:
            self._count_bytes(len(message))
            self._other.send_message(self._opcode, message)

    def send_message(self, opcode: Opcode, message: bytearray) -> None:
        """Send a message of any size to the peer."""
        if self.conn.state is OPEN:
            (self.conn.send_text if opcode is Opcode.TEXT else self.conn.send_binary)(message)
            self._flush()

    def _flush(self) -> None:
        """Send the bytes that websockets has prepared for the peer."""
        writes = self.conn.data_to_send()
        if not self.transport.is_closing():
            self.transport.write(b"".join(writes))
            if self.failed and SEND_EOF in writes:
                self.transport.write_eof()

    def _send_pong(self) -> None:
        if not self._writing_paused:
            self._flush()
        elif pongs := self.conn.data_to_send():
            self._pong = pongs[-1]  # the newest ping alone needs a pong (RFC 6455 §5.5.3)

    def _fail(self) -> None:
        """Send the close frame and read on.

        If a connection is closed while the peer sends, it is reset and the frame is lost (RFC 6455 §7.1.1).
        """
        if self.failed:
            return
        self.failed = True
        self.stop_keepalive()
        self._flush()
        self._notify_closed()

    # --- Writing

    def pause_writing(self) -> None:
        self._writing_paused = True
        super().pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._writing_paused = False
        self._last_received_at = self.loop.time()  # the peer reads
        if self._pong and not self.failed:
            self.transport.write(self._pong)
        self._pong = b""
        if self._other is not None:
            self._other._read_on()  # noqa: SLF001  (same class)

    # --- Dead peers

    def start_keepalive(self) -> None:
        """Begin to check whether the peer is alive."""
        self._last_received_at = self.loop.time()
        self._keepalive_timer = self.loop.call_later(PING_SECONDS, self._check_alive)

    def stop_keepalive(self) -> None:
        """Stop the checks."""
        if self._keepalive_timer is not None:
            self._keepalive_timer.cancel()
            self._keepalive_timer = None

    def _check_alive(self) -> None:
        now = self.loop.time()
        # The pong may be unread behind data that the other peer does not take, or the ping may wait behind a message
        # that this peer is still reading.
        if self._reading_paused or self.transport.get_write_buffer_size() < self._last_buffer_size:
            self._last_received_at = now
        rest = self._last_received_at + PING_SECONDS - now
        if rest > _TIMER_TOLERANCE:
            self._keepalive_timer = self.loop.call_later(rest, self._check_alive)
        elif self._last_received_at < self._pinged_at:
            self.on_dead()
        else:
            self._pinged_at = now
            self.conn.send_ping(b"")
            self._flush()
            self._keepalive_timer = self.loop.call_later(PING_SECONDS / 2, self._check_alive)
        self._last_buffer_size = self.transport.get_write_buffer_size()

    def on_dead(self) -> None:
        """Close the connection of a peer that did not respond to a ping."""
        self.abort()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.stop_keepalive()
        self.lost = True
        self.gone.set()
        if self._unread and self._reading_paused and self._on_closed is not None:
            # Its last messages are forwarded first, but a peer that reads nothing must not delay the end for ever.
            self._give_up_timer = self.loop.call_later(LAST_SECONDS, self._notify_closed)
        else:
            self._notify_closed()

    def _notify_closed(self, *status: Any) -> None:
        """Report the end of this side once, with the given code and reason or those of `close_status`."""
        if self._give_up_timer is not None:
            self._give_up_timer.cancel()
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is not None:
            on_closed(*(status or self.close_status))
        if self.lost:
            # websockets' parser refers to itself, so part of a message would stay in memory until the garbage
            # collector runs, which may take long.
            self.conn.reader.discard()


def join(
    one: Endpoint, other: Endpoint, count_bytes: Callable[[int], None], on_closed: Callable[[int, str], None]
) -> None:
    """Forward the messages of either peer to the other, and call `count_bytes` with the length of each.

    As soon as nothing more will come from one of them, `on_closed` is called with the code and reason for the other.
    """
    for end, opposite in ((one, other), (other, one)):
        end.attach(opposite, count_bytes, on_closed)
    for end in (one, other):
        end.begin()
