"""The handshake with the upstream, and how it may fail."""

import asyncio
import socket
import time

import pytest

from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import (
    accept_response,
    handshake,
    open_socket,
    read_close,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_a_client_that_vanishes_before_the_upstream_responds(gateway, recorded, alice_token):
    """Close the connection to the upstream although its handshake completes."""
    requests = []

    async def respond(request, connection):
        requests.append(request)
        await asyncio.sleep(0.3)
        await connection.send(accept_response(request))
        await connection.wait_closed()

    recorded.response = respond
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as raw:
        raw.sendall(handshake(alice_token, "/ws"))
        eventually(lambda: requests)
    eventually(lambda: recorded.closed_connections == 1)


# case D54
@pytest.mark.parametrize("status", [400, 401, 403, 404, 426, 500, 503])
def test_an_upstream_that_rejects_the_handshake(gateway, socket_upstream, alice_token, status):
    socket_upstream.rejection_status = status
    with open_socket(gateway, "/ws", alice_token, subprotocols=["one"]) as client:
        assert client.subprotocol == "one"
        assert read_close(client) == (1014, "upstream_unreachable")


# cases C36, C42
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_handshake_is_not_followed(
    gateway, socket_upstream, recording_upstream, alice_token, status
):
    socket_upstream.rejection_status, socket_upstream.location = status, f"{recording_upstream.url}/elsewhere"
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client) == (1014, "upstream_unreachable")
    assert recording_upstream.connections == 0


def test_an_upstream_that_cannot_be_reached(gateway, socket_upstream, alice_token):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    gateway.restart(ZENZEFI_TARGET_URL=f"http://127.0.0.1:{port}")
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client) == (1014, "upstream_unreachable")


@pytest.mark.parametrize(
    "response", [b"HTTP/1.1 101 Switching\r\n\r\n", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
)
def test_an_upstream_that_speaks_no_websocket(gateway, recorded, alice_token, response):
    recorded.response = response
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client) == (1014, "upstream_unreachable")
    eventually(lambda: recorded.closed_connections == recorded.connections)


def test_an_upstream_that_does_not_respond_to_the_handshake(gateway, recorded, alice_token):
    async def stay_silent(_request, connection):
        await connection.wait_closed()

    recorded.response = stay_silent
    gateway.restart(UPSTREAM_TIMEOUT=0.3)
    started = time.monotonic()
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client) == (1014, "upstream_timeout")
    assert time.monotonic() - started < 2
    eventually(lambda: recorded.closed_connections == 1)
