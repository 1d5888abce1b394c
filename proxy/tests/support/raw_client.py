"""A client that sends exactly the given bytes."""

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from typing import Any


@dataclass(frozen=True)
class RawResponse:
    """A response that was read from a socket."""

    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def status_code(self) -> int:
        return self.status


class RawClient:
    """One connection to the gateway."""

    def __init__(self, port: int, *, receive_buffer: int = 0, timeout: float = 8) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_response(self, method: str = "GET") -> RawResponse:
        """Read the next response completely, but nothing of the response that follows it."""
        response = HTTPResponse(self.socket, method=method)
        response.fp.close()  # its buffer would read ahead
        response.fp = self.socket.makefile("rb", buffering=1)
        response.begin()
        return RawResponse(response.status, response.headers, response.read())

    def read_head(self) -> bytes:
        """Read at least up to the end of the next header block. Return all bytes that were read."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.receive()
        return data

    def receive(self) -> bytes:
        """Return the next bytes that arrive; fail if the connection was closed."""
        data = self.socket.recv(65536)
        assert data, "the connection was closed"
        return data

    def read_rest(self) -> bytes:
        """Read until the connection ends. Return all bytes that were read."""
        data = b""
        while piece := self.socket.recv(65536):
            data += piece
        return data

    def has_input(self, seconds: float = 0.1) -> bool:
        """Return whether data or the end of the connection arrives in this time, and leave it unread."""
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(8)
        return True

    def is_closed(self) -> bool:
        """Return whether the gateway closes or resets the connection instead of sending or waiting for more."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()


@contextlib.contextmanager
def connected(port: int, **options: Any) -> Iterator[RawClient]:
    """Connect to a port of loopback; close the connection when the block ends."""
    client = RawClient(port, **options)
    try:
        yield client
    finally:
        client.close()


def head(method: str, target: str | bytes, headers: Any, *more: bytes, version: str = "HTTP/1.1") -> bytes:
    """Return the header block of a request; `more` are further complete lines."""
    target = target.encode() if isinstance(target, str) else target
    lines = [method.encode() + b" " + target + b" " + version.encode()]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in dict(headers).items()]
    return b"\r\n".join([*lines, *more, b"", b""])


def exchange(port: int, data: bytes, method: str = "GET") -> RawResponse:
    """Send these bytes on a new connection. Return the response."""
    with connected(port) as client:
        client.send(data)
        return client.read_response(method)
