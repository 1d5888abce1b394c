"""A connection is forgotten with its end, not with the next collection of garbage, which may be far."""

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


def kept():
    return [known for known in gc.get_objects() if type(known) in (GatewayProtocol, ClientEnd, UpstreamEnd)]


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"GET", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: x\r\n" * 10_000 + b"\r\n", b"GET /" + b"x" * 50_000,
        b"POST /api/v1/proxy/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    ],
)  # fmt: skip
def test_of_requests_without_a_token(gateway, no_collection, sent):
    for _ in range(3):
        with connected(gateway.port) as client, contextlib.suppress(ConnectionError):
            client.send(sent)
            client.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                client.read_rest()
    eventually(lambda: not kept())


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_of_carried_requests(gateway, recorded, alice_token, no_collection, version):
    request = head("POST", "/api/v1/proxy/x", {"Host": "h", "Content-Length": "4", **alice_token.headers},
                   version=version) + b"body"  # fmt: skip
    for data in (request, request * 3):
        with connected(gateway.port) as client:
            client.send(data)
            client.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                client.read_rest()
    eventually(lambda: not kept())


def test_a_request_is_no_work_for_the_collector(gateway, recorded, alice_token):
    """Where each leaves a cycle behind, thousands of them a second have it look through all the sessions again."""

    async def collected():
        return gc.collect()

    with connected(gateway.port) as client:
        client.socket.settimeout(5)
        for number in range(60):
            client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}))
            assert client.read_response().status_code == 200
            if number == 9:  # what is made once is there
                gateway.run(collected())
        assert gateway.run(collected()) < 50


@pytest.mark.parametrize(
    "sent",
    [
        b"", frame(b"hello"), frame(b"\x03\xe8", 0x88), frame(b"x", 0xC2), frame(bytes(2**20), 0x02),
        frame(bytes(2**20))[:-1],
    ],
)  # fmt: skip
def test_of_websockets(gateway, socket_upstream, alice_token, no_collection, sent):
    """Each could hold the beginning of a message, 16 MiB of it."""
    for _ in range(3):
        with RawSocket(gateway, alice_token) as client:
            client.socket.sendall(sent)
            client.socket.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                client.read_close()
    eventually(lambda: not kept())
    # Not `isinstance`, which has lazy objects look for what they stand for.
    assert not any(known.reader.buffer for known in gc.get_objects() if issubclass(type(known), Protocol))


@pytest.mark.parametrize(
    "response", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 101 Yes\r\n\r\n" + b"x" * 50_000, b"x" * 70_000]
)
def test_of_websockets_that_the_upstream_refuses(gateway, recorded, alice_token, no_collection, response):
    recorded.response = response
    for _ in range(3):
        with RawSocket(gateway, alice_token):
            pass
    eventually(lambda: not kept())


@pytest.mark.embedded
@pytest.mark.parametrize(
    "field", ["x{}{}: 1", "Accept-Language: x{}{}", "Cookie: zenzefi_access={}{}", "X-Any: {}{}"]
)
def test_what_strangers_send_is_not_kept(start_gateway_process, recording_upstream, field):
    """Whatever is remembered of headers is short, as it is remembered for whoever asks."""
    process = start_gateway_process(recording_upstream.url)
    process.wait_ready()

    def ask(number):
        line = field.format(number, "y" * 30_000).encode()
        with connected(process.port) as client:
            client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", "Connection": "close"}, line))
            assert client.read_rest().startswith(b"HTTP/1.1 401 ")

    for number in range(20):
        ask(number)
    before = resident_bytes(process.process.pid)
    for number in range(20, 1000):
        ask(number)
    assert resident_bytes(process.process.pid) - before < 6 * 2**20
