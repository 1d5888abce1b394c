"""Both ends of a WebSocket: an upstream that does what it is told, and the client of the proxied path."""

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.client import ClientConnection, connect
from websockets.utils import accept_key

from proxy.tests.support.servers import Gateway, LoopThread, Recorded, eventually


@dataclass
class Handshake:
    """A WebSocket as the upstream saw it; `close_code` once it is over."""

    path: str
    headers: list[tuple[str, str]]
    connection: ServerConnection = field(repr=False)
    received: list[str | bytes] = field(default_factory=list)
    closed: bool = False

    def header(self, name: str) -> str | None:
        """The only value of a header; None where it is absent."""
        values = [value for known, value in self.headers if known.lower() == name]
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def close_code(self) -> int | None:
        """What the close frame of the gateway said; None where there was no close frame."""
        frame = self.connection.protocol.close_rcvd
        return frame.code if frame else None

    @property
    def close_reason(self) -> str | None:
        frame = self.connection.protocol.close_rcvd
        return frame.reason if frame else None


class SocketUpstream:
    """Echoes what it is sent, but for `close:CODE:REASON`, `vanish`, `leave`, `freeze`, `talk` and `flood`."""

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self.handshakes: list[Handshake] = []
        self.subprotocol: str | None = None  # what it chooses, offered or not
        self.rejection_status: int | None = None  # the status with which it refuses a handshake
        self.location = ""
        self.echoes = True
        self.fields: list[tuple[str, str]] = []  # of its answers to a handshake
        self.greeting = ""  # what it does at once, as if told
        self.max_size = 2**25
        self._reading = asyncio.Event()
        self._reading.set()
        self.port = loop.run(self._start())
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def last(self) -> Handshake:
        """The last, once there is one: it is noted only after it was answered."""
        return eventually(lambda: self.handshakes)[-1]

    @property
    def open(self) -> int:
        """How many WebSockets are not over."""
        return sum(not handshake.closed for handshake in self.handshakes)

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

    def _choose(self, _connection: ServerConnection, _request: Request, response: Response) -> None:
        if self.subprotocol is not None and response.status_code == 101:
            response.headers["Sec-WebSocket-Protocol"] = self.subprotocol
        for name, value in self.fields:
            response.headers[name] = value

    async def _handle(self, connection: ServerConnection) -> None:
        handshake = Handshake(connection.request.path, list(connection.request.headers.raw_items()), connection)
        self.handshakes.append(handshake)
        try:
            if self.greeting:
                await self._perform(connection, self.greeting)
            async for message in connection:
                handshake.received.append(message)
                await self._perform(connection, message)
                # Of what came with it websockets would consume enough to read on.
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
        elif message == "talk":  # and read nothing
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
        """Do on the last WebSocket what the client could tell."""
        self._loop.run(self._perform(self.last.connection, message))

    def thaw(self) -> None:
        """Read again after `freeze` or `talk`."""

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
    """A WebSocket on the proxied path, with the credentials of a `Sold` token where one is given."""
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
    """Code and reason of the close frame that comes within `seconds`; nothing else may come before it."""
    try:
        message = client.recv(timeout=seconds)
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (None, None)
    raise AssertionError(f"a message instead of a close: {message!r}")


def vanish(client: ClientConnection) -> None:
    """Reset the client's connection without a close frame."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    client.socket.close()


def handshake(sold: Any, target: str, *more: bytes) -> bytes:
    """A handshake as bytes, for what the client's library would not send."""
    lines = [
        f"GET /api/v1/proxy{target} HTTP/1.1".encode(), b"Host: 127.0.0.1", b"Connection: Upgrade",
        b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        *(f"{name}: {text}".encode() for name, text in sold.headers.items()), *more,
    ]  # fmt: skip
    return b"\r\n".join([*lines, b"", b""])


def accept_response(request: Recorded) -> bytes:
    """The answer with which an upstream that is given bytes accepts a handshake."""
    key = accept_key((request.header(b"sec-websocket-key") or b"").decode())
    head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    return f"{head}Sec-WebSocket-Accept: {key}\r\n\r\n".encode()


class RawSocket:
    """A WebSocket of which the client sends the bytes it is told, reads only when told, and answers no ping."""

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
        """Send this again and again until nothing is taken for half a second; what is left of the last."""
        self.socket.settimeout(0.5)
        rest, taken = data, 0
        try:
            while taken < 2**28:
                count = self.socket.send(rest)
                taken += count
                rest = rest[count:] or data
        except TimeoutError:
            self.socket.settimeout(10)
            return rest
        raise AssertionError(f"nobody holds the client back: {taken} bytes were taken")

    def read_close(self) -> tuple[int, str] | None:
        """Code and reason of the close frame in what comes until the connection ends; None where there is none."""
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
        """Whether the TCP connection is established still, by the client's kernel."""
        return self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x01"

    def vanish(self) -> None:
        """Reset the connection without a close frame."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def frame(payload: bytes, opcode: int = 0x82) -> bytes:
    """One frame of a client, masked with zeros (RFC 6455 §5.2); `opcode` is its first byte."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", opcode, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", opcode, 0xFE, size)
    else:
        head = struct.pack("!BBQ", opcode, 0xFF, size)
    return head + bytes(4) + payload


def connections_to(port: int) -> int:
    """How many TCP connections to this port of loopback are established, by the kernel."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] == "01" and int(row[2].rpartition(":")[2], 16) == port for row in rows)


def resident_bytes(pid: int) -> int:
    """The memory that a process occupies now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def websocket_tasks(gateway: Gateway) -> list[str]:
    """The names of the gateway's tasks that carry a WebSocket."""

    async def names() -> list[str]:
        return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("websocket")]

    return gateway.run(names())
