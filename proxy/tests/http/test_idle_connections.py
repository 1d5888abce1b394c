"""Connections that clients and load balancers keep alive between requests."""

import asyncio
import contextlib
import threading
import time

import pytest

from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import eventually

pytestmark = pytest.mark.embedded

REQUESTS = pytest.mark.parametrize(
    "request_bytes",
    [
        head("GET", "/health/live", {"Host": "h"}), head("GET", "/api/v1/tariffs", {"Host": "127.0.0.1"}),
        head("POST", "/health/live", {"Host": "h", "Content-Length": 4}) + b"body",
    ],
)  # fmt: skip
LIVE = head("GET", "/health/live", {"Host": "h"})


def test_the_time_is_a_setting(gateway):
    gateway.restart(KEEPALIVE_SECONDS=1)
    with connected(gateway.port) as client:
        for _ in range(3):
            client.send(LIVE)
            assert client.read_response().status == 200
            assert not client.has_input(seconds=0.5)
        assert client.read_rest() == b""


@REQUESTS
def test_a_request_that_arrives_with_the_end_of_the_time_is_served(gateway, request_bytes):
    """Serve a request that waits to be read when the timer fires, because the worker was busy."""
    gateway.restart(KEEPALIVE_SECONDS=0.5)
    sent = threading.Event()

    async def be_busy():
        assert sent.wait(5)
        time.sleep(0.8)  # noqa: ASYNC251  (the timer is due when the event loop runs again)

    with connected(gateway.port) as client:
        client.send(LIVE)
        assert client.read_response().status == 200
        busy = threading.Thread(target=gateway.run, args=(be_busy(),))
        busy.start()
        client.send(request_bytes)
        sent.set()
        busy.join()
        assert client.read_response().status in (200, 405)


def test_the_longest_idle_connection_makes_room(gateway, monkeypatch):
    monkeypatch.setattr(gateway.plane.idle_connections, "_most", 3)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(gateway.port)) for _ in range(3)]
        for client in clients:
            client.send(LIVE)
            assert client.read_response().status == 200
        clients[0].send(LIVE)  # now the second is the one that has been idle for the longest time
        assert clients[0].read_response().status == 200
        late = stack.enter_context(connected(gateway.port))
        late.send(LIVE)
        assert late.read_response().status == 200
        assert clients[1].read_rest() == b""
        for client in (clients[0], clients[2], late):
            client.send(LIVE)
            assert client.read_response().status == 200
    eventually(lambda: len(gateway.plane.idle_connections) == 0)


def test_a_connection_in_use_is_not_idle(gateway, recorded, alice_token, monkeypatch):
    monkeypatch.setattr(gateway.plane.idle_connections, "_most", 1)
    go_on = threading.Event()

    async def respond_late(_request, connection):
        while not go_on.is_set():
            await connection.send(b"")
            await asyncio.sleep(0.05)
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    recorded.response = respond_late
    with connected(gateway.port) as busy:
        busy.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}))
        eventually(lambda: recorded.requests)
        with connected(gateway.port) as first, connected(gateway.port):
            assert first.read_rest() == b""
        go_on.set()
        assert busy.read_response().body == b"ok"
