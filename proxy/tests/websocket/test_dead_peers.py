"""Keepalive pings, which find peers that vanish or freeze."""

import socket
import time

import pytest

from proxy.dataplane.websocket import endpoint, handler
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import RawSocket, connections_to, frame, open_socket, read_close, websocket_tasks

PING = 0.6


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch):
    """Shorten the interval of pings and the time for the close frame."""
    monkeypatch.setattr(endpoint, "PING_SECONDS", PING)
    for module in (endpoint, handler):
        monkeypatch.setattr(module, "LAST_SECONDS", 0.5)


@pytest.fixture(autouse=True)
def nothing_left(gateway, socket_upstream):
    """Check after the test that no relay, no task and no connection to the upstream is left."""
    yield
    eventually(lambda: len(gateway.plane.in_flight) == 0)
    eventually(lambda: websocket_tasks(gateway) == [])
    eventually(lambda: connections_to(socket_upstream.port) == 0)


# case D59
def test_a_client_that_sends_no_pong_is_closed(gateway, socket_upstream, alice_token):
    with RawSocket(gateway, alice_token) as client:
        started = time.monotonic()
        assert client.read_close() == (1011, "keepalive ping timeout")
        assert time.monotonic() - started > 1.4 * PING
        eventually(lambda: socket_upstream.last.closed)
        assert socket_upstream.last.close_code == 1001


# case D59
def test_a_client_that_neither_reads_nor_sends_pongs_is_reset(gateway, socket_upstream, alice_token):
    with RawSocket(gateway, alice_token) as client:
        client.send(b"flood")
        eventually(lambda: not client.is_open)
        eventually(lambda: socket_upstream.last.closed)


# case D59
def test_an_upstream_that_sends_no_pong_is_disconnected(gateway, socket_upstream, alice_token):
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send("freeze")
        assert read_close(client, 5) == (1014, "upstream_unreachable")
    eventually(lambda: connections_to(socket_upstream.port) == 0)
    socket_upstream.thaw()


# case D59
def test_an_upstream_that_freezes_under_load_is_disconnected(gateway, socket_upstream, alice_token):
    with RawSocket(gateway, alice_token) as client:
        client.send(b"freeze")
        client.send_until_held_back(frame(bytes(2**18)))
        eventually(lambda: connections_to(socket_upstream.port) == 0)
        assert client.read_close() == (1014, "upstream_unreachable")
    socket_upstream.thaw()


# case D59
def test_a_client_behind_backpressure_is_not_taken_for_dead(gateway, socket_upstream, alice_token):
    """Expect no pongs while the upstream reads nothing, because the gateway does not read from the client then."""
    with RawSocket(gateway, alice_token) as client:
        client.send(b"talk")
        client.send_until_held_back(frame(bytes(2**18)))
        time.sleep(5 * PING)
        assert client.is_open
        assert socket_upstream.open == 1
    socket_upstream.perform("vanish")


# case D59
def test_a_client_that_reads_a_large_message_slowly_is_not_taken_for_dead(gateway, socket_upstream, alice_token):
    """Wait longer than usual for the pong, because the ping is queued behind the message."""
    with RawSocket(gateway, alice_token) as client:
        (relay,) = gateway.plane.in_flight.all()
        relay._client.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        rest = 2**23
        started = time.monotonic()
        client.send(bytes(rest), 0x82)
        while rest > 0:
            taken = len(client.socket.recv(2**15))
            assert taken, "the gateway closed the connection"
            rest -= taken
            time.sleep(0.01)
        assert time.monotonic() - started > 3 * PING


# case D59
def test_a_client_that_vanishes_while_the_upstream_does_not_read(gateway, socket_upstream, alice_token):
    with RawSocket(gateway, alice_token) as client:
        client.send(b"talk")
        client.send_until_held_back(frame(bytes(2**18)))
    eventually(lambda: len(gateway.plane.in_flight) == 0, 5)
    eventually(lambda: connections_to(socket_upstream.port) == 0, 5)
    socket_upstream.perform("vanish")


# case D59
def test_an_upstream_behind_backpressure_is_not_taken_for_dead(gateway, socket_upstream, alice_token):
    """Expect no pongs while the client reads nothing, because the gateway does not read from the upstream then."""
    with RawSocket(gateway, alice_token) as client:
        client.send(b"flood")
        until = time.monotonic() + 5 * PING
        while time.monotonic() < until:
            client.send(b"talk")
            time.sleep(0.05)
        assert client.is_open
        assert socket_upstream.open == 1


def test_ping_and_pong_are_no_activity(gateway, socket_upstream, alice_token):
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send("data")
        client.recv(timeout=5)
        (relay,) = gateway.plane.in_flight.all()
        active = relay.session.last_active_at
        time.sleep(3 * PING)
        client.ping().wait(1)
        assert relay.session.last_active_at == active
        client.send("data")
        client.recv(timeout=5)
        assert relay.session.last_active_at > active
