"""A connection is forgotten with its end, not with the next collection of garbage, which may be far."""

import contextlib
import gc

import pytest

from proxy.dataplane.protocol import GatewayProtocol
from proxy.tests.raw import connected, head
from proxy.tests.servers import eventually


@pytest.fixture
def no_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def kept():
    return [known for known in gc.get_objects() if type(known) is GatewayProtocol]


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
                client.rest()
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
                client.rest()
    eventually(lambda: not kept())
