"""Requests that are sent too slowly."""

import asyncio
import contextlib
import resource
import socket
import time

import pytest

from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.header_limits import MAX_HEADER_BYTES
from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import connections_to, handshake, open_socket

pytestmark = pytest.mark.embedded

CHUNKED = b"Transfer-Encoding: chunked"


@pytest.mark.parametrize("sent", [b"G", b"GET /api/v1/tariffs HTTP/1.1\r\nHost: h\r\nX", b"\r\n"])
def test_an_incomplete_header_block_gets_408(limited, sent):
    with connected(limited.port) as client:
        started = time.monotonic()
        client.send(sent)
        response = client.read_response()
        assert_denied(response, "request_timeout")
        assert response.headers["Connection"] == "close"
        assert client.is_closed()
        assert time.monotonic() - started > 0.9


def test_a_websockets_handshake(limited, recorded, alice_token):
    with connected(limited.port) as client:
        client.send(handshake(alice_token, "/ws")[:-2])
        assert_denied(client.read_response(), "request_timeout")
    assert recorded.connections == 0


def test_a_silent_connection_is_closed_without_a_response(limited):
    with connected(limited.port) as client:
        assert client.read_rest() == b""


def test_more_bytes_do_not_extend_the_time(limited):
    with connected(limited.port) as client:
        started = time.monotonic()
        client.send(b"GET / HTTP/1.1\r\nX: ")
        client.socket.settimeout(0.1)
        while not client.has_input():
            client.send(b"x")
            assert time.monotonic() - started < 8
        client.socket.settimeout(8)
        assert_denied(client.read_response(), "request_timeout")


def test_each_request_has_its_own_time(limited, alice_token):
    request = head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers})
    with connected(limited.port) as client:
        for _ in range(4):
            client.send(request[:20])
            assert not client.has_input(seconds=0.3)
            client.send(request[20:])
            assert client.read_response().status == 200
        client.send(request[:20])
        assert_denied(client.read_response(), "request_timeout")


def test_a_request_that_begins_during_another_exchange(limited, recorded, alice_token):
    """Apply the timeout of a header block, not that of an idle connection, whichever is longer."""

    async def respond_late(_request, connection):
        await asyncio.sleep(0.2)
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    recorded.response = respond_late
    request = head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers})
    for pieces in ([request + request[:40]], [request, request[:40]]):
        with connected(limited.port) as client:
            for piece in pieces:
                client.send(piece)
                time.sleep(0.05)
            assert client.read_response().status == 200
            responded = time.monotonic()
            assert_denied(client.read_response(), "request_timeout")
            assert 0.7 < time.monotonic() - responded < 4
    limited.restart(HEADER_TIMEOUT_SECONDS=8)
    with connected(limited.port) as client:
        client.send(request + request[:40])
        assert client.read_response().status == 200
        assert not client.has_input(seconds=5.5)  # an idle connection is closed after 5 s
        client.send(request[40:])
        assert client.read_response().status == 200


def test_a_response_may_take_longer(limited, recorded, alice_token):
    async def respond_late(_request, connection):
        await asyncio.sleep(1.5)
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    recorded.response = respond_late
    assert limited.client(alice_token).post("/x", content=b"x").status_code == 200


def test_an_open_websocket_has_no_such_limit(gateway, socket_upstream, alice_token):
    gateway.restart(HEADER_TIMEOUT_SECONDS=0.5)
    with open_socket(gateway, "/ws", alice_token) as client:
        with pytest.raises(TimeoutError):
            client.recv(timeout=1)
        client.send("hello")
        assert client.recv(timeout=5) == "hello"


# case G81
def test_the_rest_of_a_body_after_its_denial(limited, alice_token):
    """Close the connection in time, although each byte resets uvicorn's keep-alive timeout."""
    with connected(limited.port) as client:
        client.send(head("POST", "/api/v1/proxy/x", {"Host": "h", "Content-Length": "1000"}) + b"x")
        assert client.read_response("POST").status == 401
        client.socket.settimeout(0.1)
        for _ in range(80):
            if client.has_input():
                break
            client.send(b"x")
        assert client.read_rest() == b""


@pytest.mark.parametrize("rest", [b"x\r\n", b"5", b"0\r\nX: ", b"0\r\nX: " + b"x" * 2 * MAX_HEADER_BYTES])
def test_an_error_in_the_rest_of_a_body_gets_no_second_response(limited, rest):
    """Close the connection, because the client would take another response for that to its next request."""
    with connected(limited.port) as client:
        client.send(head("POST", "/api/v1/proxy/x", {"Host": "h"}, CHUNKED))
        assert client.read_response("POST").status == 401
        client.send(rest)
        with contextlib.suppress(ConnectionResetError):
            assert client.read_rest() == b""


def test_a_malformed_request_after_such_a_body_is_denied(limited):
    with connected(limited.port) as client:
        client.send(head("POST", "/api/v1/proxy/x", {"Host": "h"}, CHUNKED))
        assert client.read_response("POST").status == 401
        client.send(b"5\r\n12345\r\n0\r\n\r\nnonsense\r\n\r\n")
        assert_denied(client.read_response(), "bad_request")


# cases C53, G76
def test_a_thousand_half_sent_requests(gateway, recorded, alice_token):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    gateway.restart(HEADER_TIMEOUT_SECONDS=6)
    request = head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers})
    started = time.monotonic()
    connections = [socket.create_connection(("127.0.0.1", gateway.port), timeout=20) for _ in range(1000)]
    try:
        for number, connection in enumerate(connections):
            connection.sendall(request[: 1 + number % (len(request) - 1)])
        times = []
        while time.monotonic() - started < 3:
            sent = time.monotonic()
            assert gateway.client(alice_token).get("/x").status_code == 200
            times.append(time.monotonic() - sent)
        assert connections_to(gateway.port) >= 1000
        assert max(times) < 2
        responses = [connection.recv(65536)[:12] for connection in connections]
        assert responses == [b"HTTP/1.1 408"] * 1000
        assert 5.9 < time.monotonic() - started < 15
        eventually(lambda: connections_to(gateway.port) < 100)
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {request.target for request in recorded.requests} == {b"/x"}
    assert gateway.plane.metrics.denials["request_timeout"] == 1000
