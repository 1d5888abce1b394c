"""Clients that close their side of the connection after their request (RFC 9112 §9.6), such as `nc -N`."""

import asyncio
import socket
import time

import pytest

from proxy.dataplane.server import half_closed
from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import OK, eventually

pytestmark = pytest.mark.embedded

MIB = 2**20
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
PROXIED, HOST = "/api/v1/proxy/x", {"Host": "127.0.0.1"}
VERSIONS = pytest.mark.parametrize(
    ("version", "fields"), [("HTTP/1.0", {}), ("HTTP/1.1", {}), ("HTTP/1.1", {"Connection": "close"})]
)


def script(*steps):
    """Return a script of the upstream that sends pieces, waits in between, and then for the end of the connection."""

    async def send(_request, connection):
        for step in steps:
            if isinstance(step, bytes):
                await connection.send(step)
            else:
                await asyncio.sleep(step)
        await connection.wait_closed()

    return send


def half_close(client, data):
    client.send(data)
    client.socket.shutdown(socket.SHUT_WR)


@VERSIONS
@pytest.mark.parametrize("delay", [0, 0.3])
def test_the_whole_response_of_the_upstream(gateway, recorded, alice_token, monkeypatch, version, fields, delay):
    monkeypatch.setattr(half_closed, "LEAVING_SECONDS", 5)

    async def respond(_request, connection):
        await asyncio.sleep(delay)
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (4 * MIB) + b"x" * 4 * MIB)
        return True

    recorded.response = respond
    headers = {**HOST, **fields, **alice_token.headers}
    for request in (
        head("GET", PROXIED, headers, version=version),
        head("POST", PROXIED, {**headers, "Content-Length": 4}, version=version) + b"body",
    ):
        with connected(gateway.port) as client:
            half_close(client, request)
            response = client.read_response()
            assert (response.status, response.body) == (200, b"x" * 4 * MIB)
            assert client.read_rest() == b""
    eventually(lambda: gateway.connections == [])


@VERSIONS
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PROXIED, 401), ("GET", "/health/live", 200), ("GET", "/health", 200), ("GET", "/api/v1/tariffs", 200),
        ("GET", "/", 200), ("POST", "/api/v1/auth/login", 400), ("GET", "/api/v1/nothing", 404),
    ],
)  # fmt: skip
def test_the_gateways_own_responses(gateway, version, fields, method, path, status):
    with connected(gateway.port) as client:
        half_close(client, head(method, path, {**HOST, **fields}, version=version))
        assert client.read_response(method).status == status
        assert client.read_rest() == b""


def test_a_malformed_request(gateway):
    with connected(gateway.port) as client:
        half_close(client, b"nonsense\r\n\r\n")
        assert client.read_response().status == 400
        assert client.read_rest() == b""
    eventually(lambda: gateway.connections == [])


@pytest.mark.parametrize(
    ("last", "responses"),
    [
        (b"", 3), (b"GET /api/v1/pro", 3), (b"nonsense\r\n\r\n", 4),
        (head("POST", PROXIED, {"Host": "h", "Content-Length": 9}) + b"x", 3),
    ],
)  # fmt: skip
def test_pipelined_requests(gateway, recorded, alice_token, last, responses):
    """Respond to the complete requests, and not to one that is cut short."""

    async def respond_late(_request, connection):
        await asyncio.sleep(0.2)
        await connection.send(OK)
        return True

    recorded.response = respond_late
    with connected(gateway.port) as client:
        half_close(client, head("GET", PROXIED, {"Host": "h", **alice_token.headers}) * 3 + last)
        received = client.read_rest()
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert received.count(b"HTTP/1.1 ") == responses
    assert [request.line.split()[0] for request in recorded.requests] == [b"GET"] * 3


@pytest.mark.parametrize("body", [b"", b"xx"])
@pytest.mark.parametrize("framing", [{"Content-Length": 9}, {"Transfer-Encoding": "chunked"}])
def test_a_request_that_is_cut_short_is_aborted(gateway, recorded, alice_token, body, framing):
    recorded.response = script()
    piece = b"2\r\n%b\r\n" % body if body and "Transfer-Encoding" in framing else body
    with connected(gateway.port) as client:
        client.send(head("POST", PROXIED, {"Host": "h", **framing, **alice_token.headers}) + piece)
        eventually(lambda: recorded.connections == 1)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.read_rest() == b""
    eventually(lambda: recorded.closed_connections == 1)
    assert recorded.requests == []
    assert len(gateway.plane.in_flight) == 0


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_an_event_stream(gateway, recorded, alice_token, monkeypatch, version):
    """Forward events for as long as they come, although a client that has left would look the same between them."""
    monkeypatch.setattr(half_closed, "LEAVING_SECONDS", 1)
    events = [b"data: %d\n\n" % number for number in range(2)]
    recorded.response = script(EVENTS, *[step for event in events for step in (2.5, event)])
    with connected(gateway.port) as client:
        half_close(client, head("GET", PROXIED, {"Host": "h", **alice_token.headers}, version=version))
        received = b""
        while events[-1] not in received:
            received += client.receive()


@pytest.mark.parametrize("fields", [{}, {"Connection": "close"}])
@pytest.mark.parametrize("sent", [(), (EVENTS,)])
def test_silence_ends_the_exchange(gateway, recorded, alice_token, monkeypatch, fields, sent):
    monkeypatch.setattr(half_closed, "WAITING_SECONDS", 1)
    recorded.response = script(*sent)
    with connected(gateway.port) as client:
        half_close(client, head("GET", PROXIED, {"Host": "h", **fields, **alice_token.headers}))
        eventually(lambda: recorded.closed_connections == 1, 5)
    eventually(lambda: len(gateway.plane.in_flight) == 0)


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize("later", [(), (0.3, b"data: x\n\n")])
def test_a_client_that_left_is_noticed(gateway, recorded, alice_token, monkeypatch, version, later):
    """Notice it by the silence, or by the next event, which the client resets."""
    if later:
        monkeypatch.setattr(half_closed, "LEAVING_SECONDS", 1)
    else:
        monkeypatch.setattr(half_closed, "WAITING_SECONDS", 1)
    recorded.response = script(EVENTS, *later)
    with connected(gateway.port) as client:
        client.send(head("GET", PROXIED, {"Host": "h", **alice_token.headers}, version=version))
        client.read_head()
    eventually(lambda: recorded.closed_connections == 1, 5)


def test_a_slow_reader_is_not_silent(gateway, recorded, alice_token, monkeypatch):
    monkeypatch.setattr(half_closed, "WAITING_SECONDS", 1.5)
    size = 30 * MIB
    recorded.response = script(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    with connected(gateway.port, receive_buffer=65536) as client:
        half_close(client, head("GET", PROXIED, {"Host": "h", **alice_token.headers}, version="HTTP/1.0"))
        time.sleep(3)  # the client does not read for several times the limit
        assert len(client.read_response().body) == size
