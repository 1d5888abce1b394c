"""The limit on the size of a message (WEBSOCKET_MAX_MESSAGE_BYTES), in both directions."""

import zlib

import pytest

from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import (
    RawSocket,
    accept_response,
    open_socket,
    read_close,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


# case D58
def test_a_message_above_the_limit_from_the_client(gateway, socket_upstream, alice_token):
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send("first")
        assert client.recv(timeout=5) == "first"
        # The header of the frame suffices.
        client.socket.sendall(b"\x82\xff" + (16 * 2**20 + 1).to_bytes(8, "big") + bytes(4))
        assert read_close(client)[0] == 1009
    assert socket_upstream.last.received == ["first"]
    eventually(lambda: socket_upstream.last.close_code == 1009)


# case D58
def test_a_client_that_sends_all_of_a_large_message_gets_the_close_code(gateway, socket_upstream, alice_token):
    with RawSocket(gateway, alice_token) as client:
        client.send(bytes(2**25), 0x82)
        assert client.read_close()[0] == 1009
    eventually(lambda: socket_upstream.last.close_code == 1009)


# case D58
def test_fragments_count_together(gateway, socket_upstream, alice_token):
    with RawSocket(gateway, alice_token) as client:
        client.send(bytes(2**23), 0x02)
        client.send(bytes(2**23), 0x00)
        client.send(b"x", 0x80)
        assert client.read_close()[0] == 1009


# case D58
def test_a_message_above_the_limit_from_the_upstream(gateway, socket_upstream, alice_token):
    gateway.restart(WEBSOCKET_MAX_MESSAGE_BYTES=1024)
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send("x" * 1025)
        assert read_close(client) == (1009, "")
    eventually(lambda: socket_upstream.last.close_code == 1009)


# case D58
def test_an_upstream_that_sends_all_of_a_large_message_gets_the_close_code(gateway, recorded, alice_token):
    received = []

    async def send_all(request, connection):
        await connection.send(accept_response(request) + b"\x82\x7f" + (2**25).to_bytes(8, "big"))
        for _ in range(2**9):
            await connection.send(bytes(2**16))
        received.append(await connection.reader.readexactly(8))

    recorded.response = send_all
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client) == (1009, "")
    eventually(lambda: received)
    opcode, mask, code = received[0][:1], received[0][2:6], received[0][6:8]
    assert (opcode, bytes(a ^ b for a, b in zip(code, mask, strict=False))) == (b"\x88", b"\x03\xf1")


# case D58
def test_compression_is_not_negotiated(gateway, socket_upstream, alice_token):
    """Never inflate anything, so that there are no deflate bombs."""
    with RawSocket(gateway, alice_token, b"Sec-WebSocket-Extensions: permessage-deflate") as client:
        assert b"sec-websocket-extensions" not in client.response.lower()
        client.send(zlib.compress(bytes(2**25), 9, -15), 0xC2)
        assert client.read_close()[0] == 1002
    assert socket_upstream.last.header("sec-websocket-extensions") is None
    assert socket_upstream.last.received == []
