"""However and whenever a WebSocket ends, nothing of it is left."""

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
    yield
    eventually(lambda: not _server(gateway).tasks)
    assert len(gateway.plane.in_flight) == 0
    assert websocket_tasks(gateway) == []
    eventually(lambda: connections_to(socket_upstream.port) == 0)


@pytest.fixture
def silent(gateway, recorded):
    """An upstream that answers no handshake."""

    async def silence(_request, connection):
        await connection.wait_closed()

    recorded.response = silence
    return recorded


def _knock(gateway, sold):
    """A client that has sent its handshake."""
    return RawSocket(gateway, sold, waits=False)


# --- While the upstream is being connected


def test_the_client_leaves_while_the_upstream_is_connected(gateway, silent, alice_token):
    client = _knock(gateway, alice_token)
    eventually(lambda: silent.requests)
    client.vanish()
    eventually(lambda: silent.closed_connections == 1, 2)
    eventually(lambda: gateway.plane.metrics.denials["client_gone"] == 1)


# case G74
def test_the_client_leaves_while_it_is_admitted(gateway, socket_upstream, alice_token, monkeypatch):
    asked, go_on = threading.Event(), threading.Event()
    admit = gateway.plane.gate.admit

    async def slowly(*arguments, **options):
        asked.set()
        await asyncio.to_thread(go_on.wait)
        return await admit(*arguments, **options)

    monkeypatch.setattr(gateway.plane.gate, "admit", slowly)
    client = _knock(gateway, alice_token)
    assert asked.wait(5)
    client.vanish()
    eventually(lambda: connections_to(gateway.port) == 0)
    go_on.set()
    eventually(lambda: gateway.plane.metrics.denials["client_gone"] == 1)
    assert socket_upstream.handshakes == []


def test_the_server_stops_while_the_upstream_is_connected(gateway, silent, alice_token):
    def stop_when_reached():
        eventually(lambda: silent.requests)
        _stop_websockets(gateway)

    thread = threading.Thread(target=stop_when_reached)
    thread.start()
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client, 2) == (1012, "draining")
    thread.join()
    eventually(lambda: silent.closed_connections == 1, 2)


def test_a_client_that_does_not_wait_for_the_answer_is_cut(gateway, silent, alice_token):
    client = _knock(gateway, alice_token)
    eventually(lambda: silent.requests)
    client.socket.sendall(frame(b"too early"))
    eventually(lambda: silent.closed_connections == 1, 2)
    eventually(lambda: not client.is_open)
    client.vanish()


# --- While it is accepted


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
def test_the_upstream_leaves_at_once(gateway, socket_upstream, alice_token, greeting, outcome):
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


def test_the_server_stops_for_good(gateway, socket_upstream, alice_token):
    """Its tasks are cancelled when `DRAIN_SECONDS` are over."""
    with open_socket(gateway, "/ws", alice_token) as client:
        gateway.run(_cancel(gateway))
        assert read_close(client, 2) == (1011, "")
    eventually(lambda: socket_upstream.last.closed)
    assert socket_upstream.last.close_code == 1011
    eventually(lambda: gateway.errors)
    assert "Exception in ASGI application" in gateway.errors.pop()


@pytest.mark.parametrize("message", ["relayed", "to the upstream"])
def test_an_error_of_the_gateways_own(gateway, socket_upstream, alice_token, monkeypatch, message):
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


def test_the_client_leaves_while_it_is_closed(gateway, socket_upstream, alice_token, olga):
    client = open_socket(gateway, "/ws", alice_token)
    services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
    vanish(client)
    eventually(lambda: socket_upstream.last.closed)


def test_a_client_that_does_not_answer_the_close_frame(gateway, socket_upstream, alice_token, olga):
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


def test_both_sides_leave_at_once(gateway, socket_upstream, alice_token):
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
def test_no_other_way_leads_from_state_to_state(before, after):
    carry = WebSocketRelay()
    carry._state = before
    with pytest.raises(RuntimeError, match=f"from {before.name} to {after.name}"):
        carry._enter(after)


def _server(gateway):
    return gateway._thread._server.server_state


def _stop_websockets(gateway):
    """What uvicorn does to every connection when it stops."""

    async def stop():
        for connection in [one for one in _server(gateway).connections if isinstance(one, ClientEnd)]:
            connection.shutdown()

    gateway.run(stop())


async def _cancel(gateway):
    for task in list(_server(gateway).tasks):
        task.cancel()


@pytest.mark.parametrize("state", [State.CONNECTING, State.CLOSING])
async def test_it_is_cut_while_its_time_is_just_over(state):
    """From the end of a timeout until the task hears of it, others have their turn."""
    carry = WebSocketRelay()
    carry._state = state
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0) as carry._timeout:
            try:
                await asyncio.sleep(1)
            finally:
                assert carry.cut(INVALID_TOKEN)
                carry._note_lost_client()
    assert carry._denial is INVALID_TOKEN


def test_a_client_that_sends_with_its_handshake_is_cut(gateway, socket_upstream, alice_token):
    """Its message would be lost without a word."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as client:
        client.sendall(handshake(alice_token, "/ws") + frame(b"too early"))
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1000) == b""
    assert gateway.errors == []
