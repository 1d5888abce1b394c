"""Upstream failures, which are 502 or 504 and reveal neither the upstream's address nor the error."""

import socket

import pytest

from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.raw_client import exchange, head
from proxy.tests.support.servers import once
from proxy.tests.support.websockets import open_socket, read_close

pytestmark = pytest.mark.embedded

UNREACHABLE, TIMEOUT = "upstream_unreachable", "upstream_timeout"


@pytest.fixture
def silent():
    """Yield the port of a listener that takes connections into its backlog and never sends a byte."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


@pytest.fixture
def unresponsive():
    """Yield a port that completes no TCP handshake, because its backlog is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def reset(_request, connection):
    own = connection.writer.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.writer.transport.abort()


async def stall(_request, connection):
    await connection.send(b"HTTP/1.1 200 OK\r\nX-Begun: ")
    await connection.wait_closed()


@pytest.mark.parametrize(
    ("target", "response", "code"),
    [
        ("http://127.0.0.1:{refused}", None, UNREACHABLE),
        ("http://no-such-host.invalid:8123", None, UNREACHABLE),
        ("https://127.0.0.1:{plain}", None, UNREACHABLE),
        ("http://127.0.0.1:{recorded}", reset, UNREACHABLE),
        ("http://127.0.0.1:{recorded}", once(b""), UNREACHABLE),
        ("http://127.0.0.1:{recorded}", once(b"garbage from 10.1.2.3:4567\r\n\r\n"), UNREACHABLE),
        ("http://127.0.0.1:{recorded}", once(b"HTTP/1.1 200 OK\r\nBad name: 10.1.2.3\r\n\r\n"), UNREACHABLE),
        ("http://127.0.0.1:{recorded}", stall, TIMEOUT),
        ("http://127.0.0.1:{silent}", None, TIMEOUT),
        ("https://127.0.0.1:{silent}", None, TIMEOUT),
        ("http://127.0.0.1:{unresponsive}", None, TIMEOUT),
    ],
    ids=[
        "refused", "no such host", "no TLS", "reset", "closed", "garbage", "bad header", "stalls in the header block",
        "silent", "silent before TLS", "no TCP handshake",
    ],
)  # fmt: skip
def test_each_failure(
    gateway, demo_upstream, recording_upstream, silent, unresponsive, alice_token, target, response, code
):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ports = {"refused": unused.getsockname()[1], "recorded": recording_upstream.port, "plain": demo_upstream.port}
        address = target.format(**ports, silent=silent, unresponsive=unresponsive)
        gateway.restart(ZENZEFI_TARGET_URL=address, UPSTREAM_CONNECT_TIMEOUT=0.5, UPSTREAM_TIMEOUT=1)
        recording_upstream.response = response
        for method in ("GET", "POST"):
            request = head(method, "/api/v1/proxy/x", {"Host": "shop.example", **alice_token.headers})
            denied = exchange(gateway.port, request, method)
            assert_denied(denied, code)
            if target.endswith("{recorded}"):  # The request id connects the logs of both sides.
                assert recording_upstream.last.header(b"x-request-id") == denied.headers["X-Request-ID"].encode()
            shown = f"{denied.headers} {denied.text}".lower()
            port = address[address.rindex(":") :]
            for secret in (port, "127.0.0.1", "no-such-host", "10.1.2.3", "errno", "connect call", "aiohttp", "ssl"):
                assert secret not in shown
        with open_socket(gateway, "/x", alice_token) as opened:
            assert read_close(opened) == (1014, code)
            assert set(opened.response.headers) <= {"upgrade", "connection", "sec-websocket-accept", "x-request-id"}
