"""One end of a WebSocket that is relayed: it reads its peer's messages and writes them to the peer of the other end.

websockets does the protocol (RFC 6455): handshake, control frames, fragments, limits, closing, and whatever breaks
the rules. Only a message that comes whole in one frame, as most do, goes past it, in the callback that received it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from websockets.frames import CLOSE, CONT, PING, PONG, Frame, Opcode
from websockets.protocol import CONNECTING, OPEN, SEND_EOF

from proxy.dataplane.websocket import frames

logger = logging.getLogger(__name__)

# After so much silence a peer is asked whether it lives; it has half of that to answer.
PING_SECONDS = 30.0
# How long a peer may take to read its last messages and to answer the close frame.
LAST_SECONDS = 10.0
# What may wait to be sent to a peer, in bytes: the messages in it may all be tiny, and each costs hundreds of bytes.
_WAITING = 8 * 1024
# How many frames are read before others have their turn.
_FRAMES_AT_ONCE = 2048
# A timer may fire this much too early, in seconds.
_EARLY = 0.01
_INVALID_TEXT, _OUR_FAULT = 1007, 1011


class Endpoint(asyncio.Protocol):
    """Its side of the relay. What is read before `join` and after `detach` goes nowhere."""

    conn: Any  # websockets' `ServerProtocol` or `ClientProtocol`
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    masked: bool  # whether the peer masks what it sends: a client does, a server does not (RFC 6455 §5.1)
    max_bytes: int  # of a message

    _other: "Endpoint | None" = None
    _carried: Callable[[int], None]
    _on_over: Callable[[int, str], None] | None = None
    _unread = b""  # the beginning of a header, or what has to wait
    _owed = 0  # bytes that websockets waits for of the frame whose beginning it has
    _message: bytearray | None = None  # in fragments, as far as it came
    _opcode: Opcode
    _reading_paused = False
    _writing_paused = False
    _pong = b""  # that waits
    _heard_at = _pinged_at = 0.0
    _untaken = 0  # bytes that waited to be sent to the peer when it was last looked at
    _pulse: asyncio.TimerHandle | None = None
    _giving_up: asyncio.TimerHandle | None = None
    failed = False  # the peer broke the protocol, was told, and is heard no more
    lost = False  # the connection; `gone` is for who waits for it
    gone: asyncio.Event

    @property
    def parting(self) -> tuple[int, str]:
        """Code and reason with which this end was over, fit to be told to the peer of the other (RFC 6455 §7.4.1)."""
        raise NotImplementedError

    def frame(self, first: int, payload: bytes) -> bytes:
        """A frame for the peer, of a payload of up to 64 KiB."""
        raise NotImplementedError

    # --- For whoever joins two of them

    def attach(self, other: "Endpoint", carried: Callable[[int], None], on_over: Callable[[int, str], None]) -> None:
        """See `join`."""
        self._other, self._carried, self._on_over = other, carried, on_over

    def begin(self) -> None:
        """Read what came before there was somebody to whom it is passed on."""
        if self.lost and not self._unread:
            self._over()
        else:
            self._read_on()

    def detach(self) -> None:
        """Pass nothing on any more, and tell nobody of the end."""
        self._other = self._on_over = None

    async def end(self, code: int, reason: str) -> None:
        """Say goodbye, where that has not been done, and wait until the peer has left."""
        self.close(code, reason)
        await self.gone.wait()

    def close(self, code: int, reason: str) -> None:
        """Send the close frame, unless closing has begun, and read on for the answer (RFC 6455 §7.1.2)."""
        if self.conn.state is OPEN:
            self.conn.send_close(code, reason)
            self._flush()
        self._read_on()

    def abort(self) -> None:
        """End the connection at once; without effect where it was not made or is lost."""
        if (transport := getattr(self, "transport", None)) is not None:
            transport.abort()

    # --- Reading

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        if self._unread:
            data, self._unread = self._unread + data, b""
        try:
            self._read(data)
        except Exception:
            logger.exception("a WebSocket cannot be relayed")
            self._over(_OUR_FAULT, "")

    def _read(self, data: bytes) -> None:
        conn, start, end, left = self.conn, 0, len(data), _FRAMES_AT_ONCE
        if conn.state is CONNECTING:
            self._hand_over(data)
            return
        while start < end:
            other = self._other
            if other is not None and (other.lost or conn.state is not OPEN):
                other = None
            if other is None and (self.failed or self.transport.is_closing()):
                return  # nobody will hear it, and no answer is waited for
            if not left or (other is not None and other._writing_paused):  # noqa: SLF001  (its like)
                self._wait(data[start:])
                if not left:
                    self.loop.call_soon(self._read_on)
                return
            left -= 1
            if not self._owed:
                found = frames.extent(data, start)
                if found is None:
                    self._unread = data[start:]
                    return
                begin, stop = found
                if other is not None and stop <= end and self._pass_on(other, data, start, begin, stop):
                    start = stop
                    continue
                self._owed = stop - start
            stop = min(start + self._owed, end)
            self._owed -= stop - start
            self._hand_over(data[start:stop])
            start = stop

    def _pass_on(self, other: "Endpoint", data: bytes, start: int, begin: int, stop: int) -> bool:
        """Send on the frame from `start` to `stop`, if that is a whole message with nothing special about it."""
        first, length = data[start], stop - begin
        if (
            (first != frames.BINARY and first != frames.TEXT)
            or not frames.is_plain(begin - start, length, masked=self.masked)
            or length > self.max_bytes
            or self.conn.current_size is not None  # within a message in fragments
        ):
            return False
        payload = frames.unmasked(data, begin, stop) if self.masked else data[begin:stop]
        if first == frames.TEXT and not payload.isascii() and not self._is_text(payload):
            return True
        self._carried(length)
        other.transport.write(other.frame(first, payload))
        return True

    def _is_text(self, payload: bytes | bytearray) -> bool:
        """Fail the connection where it is not UTF-8 (RFC 6455 §8.1)."""
        try:
            payload.decode()
        except UnicodeDecodeError:
            self.conn.fail(_INVALID_TEXT)
            self._fail()
            return False
        return True

    def _wait(self, data: bytes) -> None:
        """Read this later: once the other peer has taken what it was sent, or others had their turn."""
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
            self._over()

    # --- What websockets reads

    def _hand_over(self, data: bytes) -> None:
        conn = self.conn
        conn.receive_data(data)
        for event in conn.events_received():
            self.on_event(event)
        if conn.parser_exc is not None:
            self._fail()

    def on_event(self, event: Any) -> None:
        """A frame, of which `websockets` has checked the form."""
        opcode = event.opcode
        if opcode is PING:
            self._answer_ping()
        elif opcode is CLOSE:
            self._flush()
            self.transport.close()
            self._over()
        elif opcode is not PONG and self._other is not None and not self._other.lost:
            self._on_data(event)

    def _on_data(self, event: Frame) -> None:
        # One buffer: fragments may be tiny, or empty and without number.
        if event.opcode is CONT:
            message = cast("bytearray", self._message)
            message += event.data
        else:
            self._opcode, message = event.opcode, bytearray(event.data)
        self._message = None if event.fin else message
        if event.fin and (self._opcode is not Opcode.TEXT or self._is_text(message)) and self._other is not None:
            self._carried(len(message))
            self._other.send_message(self._opcode, message)

    def send_message(self, opcode: Opcode, message: bytearray) -> None:
        """A message of any size to the peer."""
        if self.conn.state is OPEN:
            (self.conn.send_text if opcode is Opcode.TEXT else self.conn.send_binary)(message)
            self._flush()

    def _flush(self) -> None:
        """Send what websockets has for the peer."""
        writes = self.conn.data_to_send()
        if not self.transport.is_closing():
            self.transport.write(b"".join(writes))
            if self.failed and SEND_EOF in writes:
                self.transport.write_eof()

    def _answer_ping(self) -> None:
        if not self._writing_paused:
            self._flush()
        elif pongs := self.conn.data_to_send():
            self._pong = pongs[-1]  # only the newest need be answered (RFC 6455 §5.5.3)

    def _fail(self) -> None:
        """Send the close frame and read on: a connection that is closed while the peer sends is reset, and the frame
        is lost with it (RFC 6455 §7.1.1)."""
        if self.failed:
            return
        self.failed = True
        self.stop_keepalive()
        self._flush()
        self._over()

    # --- Writing

    def pause_writing(self) -> None:
        self._writing_paused = True
        super().pause_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._writing_paused = False
        self._heard_at = self.loop.time()  # it takes what it is sent
        if self._pong and not self.failed:
            self.transport.write(self._pong)
        self._pong = b""
        if self._other is not None:
            self._other._read_on()  # noqa: SLF001  (its like)

    # --- Dead peers

    def start_keepalive(self) -> None:
        self._heard_at = self.loop.time()
        self._pulse = self.loop.call_later(PING_SECONDS, self._look_for_life)

    def stop_keepalive(self) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
            self._pulse = None

    def _look_for_life(self) -> None:
        now = self.loop.time()
        # Its answer may lie unread, behind what the other peer does not take; or the ping waits behind a message that
        # it is taking still.
        if self._reading_paused or self.transport.get_write_buffer_size() < self._untaken:
            self._heard_at = now
        rest = self._heard_at + PING_SECONDS - now
        if rest > _EARLY:
            self._pulse = self.loop.call_later(rest, self._look_for_life)
        elif self._heard_at < self._pinged_at:
            self.on_dead()
        else:
            self._pinged_at = now
            self.conn.send_ping(b"")
            self._flush()
            self._pulse = self.loop.call_later(PING_SECONDS / 2, self._look_for_life)
        self._untaken = self.transport.get_write_buffer_size()

    def on_dead(self) -> None:
        """The peer answers no ping."""
        self.abort()

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_WAITING)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.stop_keepalive()
        self.lost = True
        self.gone.set()
        if self._unread and self._reading_paused and self._on_over is not None:
            # What it sent before goes on first; a peer that takes nothing must not hold that up for ever.
            self._giving_up = self.loop.call_later(LAST_SECONDS, self._over)
        else:
            self._over()

    def _over(self, *parting: Any) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
        on_over, self._on_over = self._on_over, None
        if on_over is not None:
            on_over(*(parting or self.parting))
        if self.lost:
            # What websockets has of a message: its parser refers to itself, and would keep that until the garbage is
            # collected, which may be far.
            self.conn.reader.discard()


def join(one: Endpoint, other: Endpoint, carried: Callable[[int], None], on_over: Callable[[int, str], None]) -> None:
    """From now on what either peer says goes to the other, and `carried` is told the bytes of each message.

    `on_over` is called as soon as nothing more will come from one of them, with the code and the reason that the
    other is to be told.
    """
    for end, opposite in ((one, other), (other, one)):
        end.attach(opposite, carried, on_over)
    for end in (one, other):
        end.begin()
