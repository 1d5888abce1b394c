"""WebSockets that end in any state and in any way, and leave nothing behind."""

import asyncio
import contextlib
import socket
import threading

import pytest

from access import services
from proxy.dataplane.errors import INVALID_TOKEN
from proxy.dataplane.sessions.accounting import Session
from proxy.dataplane.websocket.client_end import ClientEnd
from proxy.dataplane.websocket.handler import State, WebSocketRelay
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import (
    RawSocket,
    connections_to,
    frame,
    handshake,
    open_socket,
    read_close,
    vanish,
    websocket_tasks,
)


@pytest.fixture(autouse=True)
def nothing_left(gateway, socket_upstream):
    """Check after the test that no connection, no relay and no task is left."""
    yield
    eventually(lambda: not _server(gateway).tasks)
    assert len(gateway.plane.in_flight) == 0
    assert websocket_tasks(gateway) == []
    eventually(lambda: connections_to(socket_upstream.port) == 0)


@pytest.fixture
def silent(gateway, recorded):
    """Return an upstream that never responds to a handshake."""

    async def stay_silent(_request, connection):
        await connection.wait_closed()

    recorded.response = stay_silent
    return recorded


def _send_handshake(gateway, sold):
    """Return a client that has sent its handshake and does not wait for the response."""
    return RawSocket(gateway, sold, waits=False)


# --- During the handshake with the upstream


def test_the_client_disconnects_during_the_upstreams_handshake(gateway, silent, alice_token):
    client = _send_handshake(gateway, alice_token)
    eventually(lambda: silent.requests)
    client.vanish()
    eventually(lambda: silent.closed_connections == 1, 2)
    eventually(lambda: gateway.plane.metrics.denials["client_gone"] == 1)


# case G74
def test_the_client_disconnects_during_admission(gateway, socket_upstream, alice_token, monkeypatch):
    started, go_on = threading.Event(), threading.Event()
    admit = gateway.plane.gate.admit

    async def admit_slowly(*arguments, **options):
        started.set()
        await asyncio.to_thread(go_on.wait)
        return await admit(*arguments, **options)

    monkeypatch.setattr(gateway.plane.gate, "admit", admit_slowly)
    client = _send_handshake(gateway, alice_token)
    assert started.wait(5)
    client.vanish()
    eventually(lambda: connections_to(gateway.port) == 0)
    go_on.set()
    eventually(lambda: gateway.plane.metrics.denials["client_gone"] == 1)
    assert socket_upstream.handshakes == []


def test_the_server_stops_during_the_upstreams_handshake(gateway, silent, alice_token):
    def stop_after_handshake():
        eventually(lambda: silent.requests)
        _stop_websockets(gateway)

    thread = threading.Thread(target=stop_after_handshake)
    thread.start()
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client, 2) == (1012, "draining")
    thread.join()
    eventually(lambda: silent.closed_connections == 1, 2)


def test_a_client_that_sends_before_the_response_is_cut_off(gateway, silent, alice_token):
    client = _send_handshake(gateway, alice_token)
    eventually(lambda: silent.requests)
    client.socket.sendall(frame(b"too early"))
    eventually(lambda: silent.closed_connections == 1, 2)
    eventually(lambda: not client.is_open)
    client.vanish()


# --- During the handshake with the client


@pytest.mark.parametrize(
    ("greeting", "outcome"),
    [
        ("close:4000:early", (4000, "early")),
        ("close::", (1000, "")),
        ("vanish", (1014, "upstream_unreachable")),
        ("leave", (1014, "upstream_unreachable")),
        ("raw:c100", (1014, "upstream_unreachable")),
    ],
)
def test_the_upstream_disconnects_at_once(gateway, socket_upstream, alice_token, greeting, outcome):
    socket_upstream.greeting = greeting
    for _ in range(10):
        with open_socket(gateway, "/ws", alice_token) as client:
            assert read_close(client) == outcome


# --- While it is open


def test_the_server_stops(gateway, socket_upstream, alice_token):
    with open_socket(gateway, "/ws", alice_token) as client:
        _stop_websockets(gateway)
        assert read_close(client, 2) == (1012, "draining")
    eventually(lambda: socket_upstream.last.closed)
    assert (socket_upstream.last.close_code, socket_upstream.last.close_reason) == (1012, "draining")


def test_the_server_cancels_its_tasks(gateway, socket_upstream, alice_token):
    """Close both sides with 1011 when the tasks are cancelled after `DRAIN_SECONDS`."""
    with open_socket(gateway, "/ws", alice_token) as client:
        gateway.run(_cancel(gateway))
        assert read_close(client, 2) == (1011, "")
    eventually(lambda: socket_upstream.last.closed)
    assert socket_upstream.last.close_code == 1011
    eventually(lambda: gateway.errors)
    assert "Exception in ASGI application" in gateway.errors.pop()


@pytest.mark.parametrize("message", ["relayed", "to the upstream"])
def test_a_bug_of_the_gateway(gateway, socket_upstream, alice_token, monkeypatch, message):
    count_bytes = Session.count_bytes

    def fail(session, count):
        if count == len(message):
            raise ZeroDivisionError
        count_bytes(session, count)

    monkeypatch.setattr(Session, "count_bytes", fail)
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send("to the upstream")
        if message == "relayed":
            client.recv(timeout=5)
            socket_upstream.perform("relayed")
        assert read_close(client, 2) == (1011, "")
    eventually(lambda: socket_upstream.last.closed)
    assert socket_upstream.last.close_code == 1011
    eventually(lambda: gateway.errors)
    assert "ZeroDivisionError" in gateway.errors.pop()


# --- While it is closing


def test_the_client_disconnects_while_it_is_closed(gateway, socket_upstream, alice_token, olga):
    client = open_socket(gateway, "/ws", alice_token)
    services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
    vanish(client)
    eventually(lambda: socket_upstream.last.closed)


def test_a_client_that_does_not_respond_to_the_close_frame(gateway, socket_upstream, alice_token, olga):
    with RawSocket(gateway, alice_token) as client:
        services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
        eventually(lambda: not client.is_open, 2)
        assert client.read_close() == (4401, "invalid_token")


def test_the_server_stops_while_it_is_closed(gateway, socket_upstream, alice_token):
    with RawSocket(gateway, alice_token) as client:
        client.send(b"close:4000:done")
        eventually(lambda: socket_upstream.last.closed)
        _stop_websockets(gateway)
        eventually(lambda: not client.is_open, 3)
        assert client.read_close() == (4000, "done")


def test_both_sides_disconnect_at_once(gateway, socket_upstream, alice_token):
    for _ in range(20):
        with open_socket(gateway, "/ws", alice_token) as client:
            client.send("close:4000:done")
            with contextlib.suppress(OSError):
                vanish(client)
    eventually(lambda: socket_upstream.open == 0)


# --- The states


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (State.CONNECTING, State.CLOSING),
        (State.CONNECTING, State.CONNECTING),
        (State.OPEN, State.CONNECTING),
        (State.OPEN, State.CLOSED),
        (State.CLOSING, State.OPEN),
        (State.CLOSED, State.OPEN),
        (State.CLOSED, State.CLOSED),
    ],
)
def test_illegal_transitions_raise(before, after):
    relay = WebSocketRelay()
    relay._state = before
    with pytest.raises(RuntimeError, match=f"from {before.name} to {after.name}"):
        relay._enter(after)


def _server(gateway):
    return gateway._thread._server.server_state


def _stop_websockets(gateway):
    """Shut down each WebSocket as uvicorn does when it stops."""

    async def stop():
        for connection in [one for one in _server(gateway).connections if isinstance(one, ClientEnd)]:
            connection.shutdown()

    gateway.run(stop())


async def _cancel(gateway):
    for task in list(_server(gateway).tasks):
        task.cancel()


@pytest.mark.parametrize("state", [State.CONNECTING, State.CLOSING])
async def test_a_cutoff_right_after_a_timeout(state):
    """Keep the denial, because other callbacks may run after a timeout expires and before the task is cancelled."""
    relay = WebSocketRelay()
    relay._state = state
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0) as relay._timeout:
            try:
                await asyncio.sleep(1)
            finally:
                assert relay.cut(INVALID_TOKEN)
                relay._note_lost_client()
    assert relay._denial is INVALID_TOKEN


def test_a_client_that_sends_with_its_handshake_is_cut_off(gateway, socket_upstream, alice_token):
    """Cut the client off, because its message would be lost silently."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        client.sendall(handshake(alice_token, "/ws") + frame(b"too early"))
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1000) == b""
    assert gateway.errors == []
