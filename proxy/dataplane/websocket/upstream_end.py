"""The upstream's end of a WebSocket relay."""

import asyncio
from typing import cast

from websockets.client import ClientProtocol
from websockets.http11 import Response
from websockets.protocol import CONNECTING, OPEN
from websockets.uri import WebSocketURI

from proxy.dataplane.errors import UPSTREAM_UNREACHABLE
from proxy.dataplane.rules.headers import Headers
from proxy.dataplane.upstream.errors import ConnectionLost, InvalidResponse
from proxy.dataplane.websocket import frames
from proxy.dataplane.websocket.endpoint import Endpoint

_MAX_HEAD_BYTES = 64 * 1024
# A placeholder: the request is not built by websockets.
_UNUSED_URI = WebSocketURI(secure=False, host="", port=0, path="", query="")
_NORMAL_CLOSURE, _NO_STATUS, _MESSAGE_TOO_BIG = 1000, 1005, 1009
_masking = frames.Masking()


class UpstreamEnd(Endpoint):
    """A connection to the upstream that `handshake` turns into a WebSocket; it is read once the relay is joined."""

    masked = False
    frame = staticmethod(_masking.frame)
    conn: ClientProtocol
    headers: Headers  # of the handshake's response, once there is a WebSocket

    def __init__(self, loop: asyncio.AbstractEventLoop, protocols: tuple[str, ...], max_bytes: int) -> None:
        self.loop = loop
        self.max_bytes = max_bytes
        self.conn = ClientProtocol(_UNUSED_URI, subprotocols=list(protocols) or None, max_size=max_bytes)  # type: ignore[arg-type]
        self.gone = asyncio.Event()
        self._opened: asyncio.Future[None] | None = None  # while the handshake is under way

    async def handshake(self, start: bytes, headers: Headers) -> None:
        """Send the handshake with this start and these fields, and wait for its response (RFC 6455 §4.1).

        Raises `UpstreamError` if the upstream refuses, breaks the protocol or closes the connection.
        """
        fields = [
            *headers,
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-key", self.conn.key.encode()),
            (b"sec-websocket-version", b"13"),
        ]
        if self.conn.available_subprotocols:
            fields.append((b"sec-websocket-protocol", ", ".join(self.conn.available_subprotocols).encode()))
        if self.lost:
            raise ConnectionLost
        self.transport.write(start + b"".join(name + b": " + value + b"\r\n" for name, value in fields) + b"\r\n")
        self._opened = self.loop.create_future()
        try:
            await self._opened
        finally:
            self._opened = None  # else its exception and this object would refer to each other

    @property
    def protocol(self) -> str | None:
        """Return the subprotocol that the upstream chose."""
        return self.conn.subprotocol

    @property
    def close_status(self) -> tuple[int, str]:
        """Return the code and reason that the client gets when the upstream's end is over."""
        received, sent = self.conn.close_rcvd, self.conn.close_sent
        if received is not None and not self.failed:
            return (_NORMAL_CLOSURE if received.code == _NO_STATUS else received.code), received.reason
        if self.failed and sent is not None and sent.code == _MESSAGE_TOO_BIG:
            return _MESSAGE_TOO_BIG, ""
        return UPSTREAM_UNREACHABLE.close_code, UPSTREAM_UNREACHABLE.code

    def data_received(self, data: bytes) -> None:
        if self.conn.state is not CONNECTING:
            super().data_received(data)
        elif self._opened is not None and not self._opened.done():
            self._read_handshake(self._unread + data, self._opened)

    def _read_handshake(self, data: bytes, opened: "asyncio.Future[None]") -> None:
        head, end, rest = data.partition(b"\r\n\r\n")
        while end and head.startswith(b"HTTP/1.1 1") and not head.startswith(b"HTTP/1.1 101"):
            head, end, rest = rest.partition(b"\r\n\r\n")  # skip an interim response (RFC 9110 §15.2)
        if not end and len(head) <= _MAX_HEAD_BYTES:
            self._unread = head
            return
        self._unread = rest
        if end:
            self.conn.receive_data(head + end)
        if self.conn.state is OPEN:
            (response,) = cast("list[Response]", self.conn.events_received())
            self.headers = [(name.encode(), value.encode("latin-1")) for name, value in response.headers.raw_items()]
            self._reading_paused = True  # until the relay is joined
            self.transport.pause_reading()
            self.start_keepalive()
            opened.set_result(None)
        else:
            opened.set_exception(InvalidResponse("the upstream refused the WebSocket handshake"))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(ConnectionLost())
