"""Subprotocols: which are offered to the upstream, and which it may choose."""

import socket

import pytest

from proxy.tests.support.raw_client import connected
from proxy.tests.support.websockets import (
    handshake,
    open_socket,
    read_close,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


# case D56
@pytest.mark.parametrize("chosen", ["one", "two", None])
def test_the_upstream_chooses_the_subprotocol(gateway, socket_upstream, alice_token, chosen):
    socket_upstream.subprotocol = chosen
    with open_socket(gateway, "/ws", alice_token, subprotocols=["one", "two"]) as client:
        assert client.subprotocol == chosen
    assert socket_upstream.last.header("sec-websocket-protocol").replace(" ", "") == "one,two"


# case D56
@pytest.mark.parametrize("offered", [None, ["one", "two"]])
def test_a_subprotocol_that_was_not_offered_fails(gateway, socket_upstream, alice_token, offered):
    socket_upstream.subprotocol = "three"
    with open_socket(gateway, "/ws", alice_token, subprotocols=offered) as client:
        assert client.subprotocol == (offered[0] if offered else None)
        assert read_close(client) == (1014, "upstream_unreachable")


# case D56
@pytest.mark.parametrize("value", [b"one,,two", b",one,two", b"one,two,one", b"one\r\nSec-WebSocket-Protocol: two,"])
def test_repeated_and_empty_subprotocols_are_not_offered(gateway, socket_upstream, alice_token, value):
    """Offer each subprotocol once (RFC 6455 §4.1), without empty list elements (RFC 9110 §5.6.1)."""
    socket_upstream.subprotocol = "two"
    with connected(gateway.port) as client:
        client.send(handshake(alice_token, "/ws", b"Sec-WebSocket-Protocol: " + value))
        assert b"\r\nsec-websocket-protocol: two\r\n" in client.read_head().lower()
    assert socket_upstream.last.header("sec-websocket-protocol") == "one, two"


# case D56
@pytest.mark.parametrize("value", [b"\xd1\x8f", b"a b", b"a,\xff", b"a;b", b",", b'"a"'])
def test_a_malformed_subprotocol_is_400_and_never_reaches_the_upstream(gateway, socket_upstream, alice_token, value):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as raw:
        raw.sendall(handshake(alice_token, "/ws", b"Sec-WebSocket-Protocol: " + value))
        assert raw.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert socket_upstream.handshakes == []
