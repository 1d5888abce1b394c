"""Memory of closed connections, which is freed at once and not by the next garbage collection."""

import contextlib
import gc

import pytest
from websockets.protocol import Protocol

from proxy.dataplane.server.http_protocol import GatewayProtocol
from proxy.dataplane.websocket.client_end import ClientEnd
from proxy.dataplane.websocket.upstream_end import UpstreamEnd
from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import RawSocket, frame, resident_bytes


@pytest.fixture
def no_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def connection_objects():
    return [known for known in gc.get_objects() if type(known) in (GatewayProtocol, ClientEnd, UpstreamEnd)]


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"GET", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: x\r\n" * 10_000 + b"\r\n", b"GET /" + b"x" * 50_000,
        b"POST /api/v1/proxy/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    ],
)  # fmt: skip
def test_requests_without_a_token(gateway, no_collection, sent):
    for _ in range(3):
        with connected(gateway.port) as client, contextlib.suppress(ConnectionError):
            client.send(sent)
            client.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                client.read_rest()
    eventually(lambda: not connection_objects())


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_forwarded_requests(gateway, recorded, alice_token, no_collection, version):
    request = head("POST", "/api/v1/proxy/x", {"Host": "h", "Content-Length": "4", **alice_token.headers},
                   version=version) + b"body"  # fmt: skip
    for data in (request, request * 3):
        with connected(gateway.port) as client:
            client.send(data)
            client.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                client.read_rest()
    eventually(lambda: not connection_objects())


def test_a_request_leaves_no_cycles(gateway, recorded, alice_token):
    """Leave no reference cycles: with thousands per second, the collector would often scan all sessions."""

    async def collect():
        return gc.collect()

    with connected(gateway.port) as client:
        client.socket.settimeout(5)
        for number in range(60):
            client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}))
            assert client.read_response().status_code == 200
            if number == 9:  # objects that are made once exist by now
                gateway.run(collect())
        assert gateway.run(collect()) < 50


@pytest.mark.parametrize(
    "sent",
    [
        b"", frame(b"hello"), frame(b"\x03\xe8", 0x88), frame(b"x", 0xC2), frame(bytes(2**20), 0x02),
        frame(bytes(2**20))[:-1],
    ],
)  # fmt: skip
def test_websockets(gateway, socket_upstream, alice_token, no_collection, sent):
    """Free the buffer, too, which may hold up to 16 MiB of an incomplete message."""
    for _ in range(3):
        with RawSocket(gateway, alice_token) as client:
            client.socket.sendall(sent)
            client.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                client.read_close()
    eventually(lambda: not connection_objects())
    # `isinstance` would make lazy objects load their target.
    assert not any(known.reader.buffer for known in gc.get_objects() if issubclass(type(known), Protocol))


@pytest.mark.parametrize(
    "response", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 101 Yes\r\n\r\n" + b"x" * 50_000, b"x" * 70_000]
)
def test_websockets_that_the_upstream_rejects(gateway, recorded, alice_token, no_collection, response):
    recorded.response = response
    for _ in range(3):
        with RawSocket(gateway, alice_token):
            pass
    eventually(lambda: not connection_objects())


@pytest.mark.embedded
@pytest.mark.parametrize(
    "field", ["x{}{}: 1", "Accept-Language: x{}{}", "Cookie: zenzefi_access={}{}", "X-Any: {}{}"]
)
def test_denied_requests_leave_nothing_in_caches(start_gateway_process, recording_upstream, field):
    """Cache short header values only, because denied clients fill the caches, too."""
    process = start_gateway_process(recording_upstream.url)
    process.wait_ready()

    def send(number):
        line = field.format(number, "y" * 30_000).encode()
        with connected(process.port) as client:
            client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", "Connection": "close"}, line))
            assert client.read_rest().startswith(b"HTTP/1.1 401 ")

    for number in range(20):
        send(number)
    before = resident_bytes(process.process.pid)
    for number in range(20, 1000):
        send(number)
    assert resident_bytes(process.process.pid) - before < 6 * 2**20
