"""Both ends of a WebSocket: an upstream that obeys commands, and clients of the gateway."""

import asyncio
import contextlib
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.client import ClientConnection, connect
from websockets.utils import accept_key

from proxy.tests.support.clock import running_seconds
from proxy.tests.support.servers import Gateway, LoopThread, Recorded


@dataclass
class Handshake:
    """A WebSocket as the upstream saw it; `close_code` is known once it is closed."""

    path: str
    headers: list[tuple[str, str]]
    connection: ServerConnection = field(repr=False)
    received: list[str | bytes] = field(default_factory=list)
    opened: bool = False
    closed: bool = False

    def header(self, name: str) -> str | None:
        """Return the value of a field, or None if it is absent; fail if it is repeated."""
        values = [value for known, value in self.headers if known.lower() == name]
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def close_code(self) -> int | None:
        """Return the code of the close frame from the gateway, or None if there was no close frame."""
        frame = self.connection.protocol.close_rcvd
        return frame.code if frame else None

    @property
    def close_reason(self) -> str | None:
        """Return the reason of the close frame from the gateway, or None if there was no close frame."""
        frame = self.connection.protocol.close_rcvd
        return frame.reason if frame else None


class SocketUpstream:
    """An upstream that echoes messages, except its commands.

    The commands are `close:CODE:REASON`, `raw:HEX`, `vanish`, `leave`, `freeze`, `talk`, `flood` and
    `flood of small ones`.
    """

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self.handshakes: list[Handshake] = []
        self.subprotocol: str | None = None  # the one that it chooses, even if it was not offered
        self.rejection_status: int | None = None  # the status with which it rejects handshakes
        self.location = ""
        self.echoes = True
        self.fields: list[tuple[str, str]] = []  # of its responses to handshakes
        self.greeting = ""  # a command or message to perform as soon as a WebSocket is open
        self.max_size = 2**25
        self._reading = asyncio.Event()
        self._reading.set()
        self.port = loop.run(self._start())
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def last(self) -> Handshake:
        """Return the last handshake."""
        return self.handshakes[-1]

    @property
    def open(self) -> int:
        """Return the number of open WebSockets."""
        return sum(handshake.opened and not handshake.closed for handshake in self.handshakes)

    async def _start(self) -> int:
        self._server = await serve(
            self._handle, "127.0.0.1", 0,
            process_request=self._reject, process_response=self._choose, max_size=self.max_size, compression=None,
        )  # fmt: skip
        return next(iter(self._server.sockets)).getsockname()[1]

    def _reject(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.rejection_status is None:
            return None
        response = connection.respond(self.rejection_status, "no\n")
        if self.location:
            response.headers["Location"] = self.location
        return response

    def _choose(self, connection: ServerConnection, request: Request, response: Response) -> None:
        if response.status_code == 101:
            # Recorded before the response: as soon as the client has it, tests count the handshakes.
            self.handshakes.append(Handshake(request.path, list(request.headers.raw_items()), connection))
            if self.subprotocol is not None:
                response.headers["Sec-WebSocket-Protocol"] = self.subprotocol
        for name, value in self.fields:
            response.headers[name] = value

    async def _handle(self, connection: ServerConnection) -> None:
        handshake = next(known for known in self.handshakes if known.connection is connection)
        handshake.opened = True
        try:
            if self.greeting:
                await self._perform(connection, self.greeting)
            async for message in connection:
                handshake.received.append(message)
                await self._perform(connection, message)
                # Otherwise websockets would consume enough buffered messages to resume reading.
                await self._reading.wait()
        except ConnectionClosed:
            pass
        finally:
            handshake.closed = True

    async def _perform(self, connection: ServerConnection, message: str | bytes) -> None:
        if message == "vanish":
            connection.transport.abort()
        elif message == "leave":  # FIN without a close frame
            connection.transport.close()
        elif message == "freeze":
            self._reading.clear()
            connection.transport.pause_reading()
        elif message == "talk":  # without reading
            connection.transport.pause_reading()
            await self._send_forever(connection, "talk", pause=0.05)
        elif message == "flood":
            await self._send_forever(connection, b"x" * 65536)
        elif message == "flood of small ones":
            await self._send_forever(connection, b"x")
        elif isinstance(message, str) and message.startswith("close:"):
            _, code, reason = message.split(":", 2)
            await self._close(connection, code, reason)
        elif isinstance(message, str) and message.startswith("raw:"):
            connection.transport.write(bytes.fromhex(message[4:]))
        elif self.echoes:
            await connection.send(message)

    async def _close(self, connection: ServerConnection, code: str, reason: str) -> None:
        if code:
            await connection.close(int(code), reason)
        else:
            connection.protocol.send_close()
            connection.send_data()

    async def _send_forever(self, connection: ServerConnection, data: str | bytes, pause: float = 0) -> None:
        while True:
            await connection.send(data)
            await asyncio.sleep(pause)

    def perform(self, message: str) -> None:
        """Perform a command on the last WebSocket, as if the client had sent it."""
        self._loop.run(self._perform(self.last.connection, message))

    def thaw(self) -> None:
        """Resume reading after `freeze` or `talk`."""

        async def resume() -> None:
            self._reading.set()
            self.last.connection.transport.resume_reading()

        self._loop.run(resume())

    def stop(self) -> None:
        self._loop.run(self._stop())

    async def _stop(self) -> None:
        self._reading.set()
        for handshake in self.handshakes:
            handshake.connection.transport.abort()
        self._server.close()
        await self._server.wait_closed()


def open_socket(gateway: Gateway, path: str, *sold: Any, headers: Any = (), **options: Any) -> ClientConnection:
    """Open a WebSocket below the proxy prefix, with the credentials of a `Sold` token if given."""
    credentials = [pair for one in sold for pair in one.headers.items()]
    options = {"compression": None, "max_size": 2**25, "proxy": None, "close_timeout": 2} | options
    return connect(
        f"ws://127.0.0.1:{gateway.port}/api/v1/proxy{path}",
        additional_headers=[*credentials, *dict(headers).items()]
        if isinstance(headers, dict)
        else [*credentials, *headers],
        **options,
    )


def read_close(client: ClientConnection, seconds: float = 3) -> tuple[int | None, str | None]:
    """Return code and reason of the close frame; fail if it takes longer or if a message comes before it."""
    started = time.monotonic()
    try:
        while True:
            with contextlib.suppress(TimeoutError):
                message = client.recv(timeout=0.1)
                raise AssertionError(f"a message instead of a close: {message!r}")
            assert running_seconds(started) < seconds, f"no close frame within {seconds} s"
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (None, None)


def vanish(client: ClientConnection) -> None:
    """Reset the client's connection without a close frame."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    client.socket.close()


def handshake(sold: Any, target: str, *more: bytes) -> bytes:
    """Return the bytes of a handshake, with lines that a client library would not send."""
    lines = [
        f"GET /api/v1/proxy{target} HTTP/1.1".encode(), b"Host: 127.0.0.1", b"Connection: Upgrade",
        b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        *(f"{name}: {text}".encode() for name, text in sold.headers.items()), *more,
    ]  # fmt: skip
    return b"\r\n".join([*lines, b"", b""])


def accept_response(request: Recorded) -> bytes:
    """Return the bytes with which a `RecordingUpstream` accepts a handshake."""
    key = accept_key((request.header(b"sec-websocket-key") or b"").decode())
    head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    return f"{head}Sec-WebSocket-Accept: {key}\r\n\r\n".encode()


class RawSocket:
    """A WebSocket client that sends given bytes, reads only on request and does not respond to pings."""

    def __init__(self, gateway: Any, sold: Any, *more: bytes, waits: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
        self.socket.sendall(handshake(sold, "/ws", *more))
        self.response = b""
        while waits and b"\r\n\r\n" not in self.response:
            self.response += self.socket.recv(1)
        assert not waits or self.response.startswith(b"HTTP/1.1 101 "), self.response

    def send(self, payload: bytes, opcode: int = 0x81) -> None:
        self.socket.sendall(frame(payload, opcode))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.vanish()

    def send_until_held_back(self, data: bytes) -> bytes:
        """Send the data repeatedly until the socket accepts nothing for 0.5 s. Return the rest of the last copy."""
        self.socket.settimeout(0.5)
        rest, sent = data, 0
        try:
            while sent < 2**28:
                count = self.socket.send(rest)
                sent += count
                rest = rest[count:] or data
        except TimeoutError:
            self.socket.settimeout(10)
            return rest
        raise AssertionError(f"the client is not held back: {sent} bytes were sent")

    def read_close(self) -> tuple[int, str] | None:
        """Read until the connection ends. Return code and reason of the close frame, or None if there is none."""
        data = b""
        try:
            while piece := self.socket.recv(65536):
                data = (data + piece)[-1000:]
        except ConnectionResetError:
            pass
        _frames, found, payload = data.rpartition(b"\x88")
        return (int.from_bytes(payload[1:3], "big"), payload[3:].decode()) if found else None

    @property
    def is_open(self) -> bool:
        """Return whether the TCP connection is still established, as the client's kernel reports it."""
        return self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x01"

    def vanish(self) -> None:
        """Reset the connection without a close frame."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def frame(payload: bytes, opcode: int = 0x82) -> bytes:
    """Return one client frame, masked with zeros (RFC 6455 §5.2); `opcode` is its complete first byte."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", opcode, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", opcode, 0xFE, size)
    else:
        head = struct.pack("!BBQ", opcode, 0xFF, size)
    return head + bytes(4) + payload


def connections_to(port: int) -> int:
    """Return the number of established TCP connections to a port of loopback, as the kernel reports it."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] == "01" and int(row[2].rpartition(":")[2], 16) == port for row in rows)


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def websocket_tasks(gateway: Gateway) -> list[str]:
    """Return the names of the gateway's tasks that relay a WebSocket."""

    async def names() -> list[str]:
        return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("websocket")]

    return gateway.run(names())
