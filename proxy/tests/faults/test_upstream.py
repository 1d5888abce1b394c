"""Faults of the upstream, and clients that leave during an exchange, which do not affect other clients.

Connections are refused, frozen, slow or reset.
"""

import asyncio
import random
import socket

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.faults import Link, run_together
from proxy.tests.support.raw_client import head
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import open_socket, read_close

TIMEOUT = 1.0


@pytest.fixture
def link(gateway, demo_upstream, _upstream_loop):
    """Yield the link through which the gateway reaches the demo upstream."""
    link = Link(_upstream_loop, demo_upstream.url)
    gateway.restart(ZENZEFI_TARGET_URL=link.url, UPSTREAM_CONNECT_TIMEOUT=TIMEOUT, UPSTREAM_TIMEOUT=TIMEOUT)
    yield link
    link.close()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("refused", "upstream_unreachable"),
        ("reset", "upstream_unreachable"),
        ("frozen", "upstream_timeout"),
        ("slow", "upstream_timeout"),
    ],
)
@pytest.mark.parametrize("connected_before", [False, True])
def test_requests_are_denied_in_time_and_then_work_again(gateway, link, alice_token, fault, code, connected_before):
    # case F67
    client = gateway.client(alice_token)
    if connected_before:
        assert client.get("/api/info").status_code == 200

    def websocket():
        with open_socket(gateway, "/ws/echo", alice_token) as opened:
            return read_close(opened, 5)

    link.fail(fault)
    found = run_together(
        get=lambda: client.get("/api/info"),
        post=lambda: client.post("/upload", content=b"x" * 100_000),
        websocket=websocket,
        own=lambda: client.get("/status"),
        live=lambda: httpx.get(gateway.url + "/health/live", trust_env=False),
        tariffs=lambda: httpx.get(gateway.url + "/api/v1/tariffs", trust_env=False),
    )
    assert_denied(found["get"].result, code)
    assert_denied(found["post"].result, code)
    assert found["websocket"].result == (1014, code)
    assert all(one.seconds < TIMEOUT + 2 for one in found.values())
    assert {found[name].result.status_code for name in ("own", "live", "tariffs")} == {200}
    link.mend()
    assert client.get("/api/info").status_code == 200


@pytest.mark.parametrize("fault", ["reset", "frozen"])
def test_an_aborted_response_never_looks_complete(gateway, link, alice_token, fault):  # case F67
    with gateway.client(alice_token).stream("GET", "/download/100000000") as response:
        assert response.status_code == 200
        pieces = response.iter_raw()
        next(pieces)
        link.fail(fault)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            for _ in pieces:
                pass
    link.mend()
    assert gateway.client(alice_token).get("/api/info").status_code == 200


def test_an_aborted_websocket_has_a_close_code(gateway, link, alice_token):  # case F67
    with open_socket(gateway, "/ws/echo", alice_token) as opened:
        opened.send("there")
        assert opened.recv(timeout=5) == "there"
        link.kill()
        with pytest.raises(ConnectionClosed) as closed:
            opened.recv(timeout=5)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1014, "upstream_unreachable")
    assert gateway.client(alice_token).get("/api/info").status_code == 200


def test_killed_idle_connections_fail_no_request(gateway, link, alice_token):  # case F67
    client = gateway.client(alice_token)
    calls = {f"n{n}": lambda: client.get("/api/info") for n in range(16)}
    for _ in range(3):
        assert {one.result.status_code for one in run_together(**calls).values()} == {200}
        link.kill()


class Traffic:
    """Clients with one connection each: some leave at a random moment, the others check their responses."""

    def __init__(self, gateway, tokens, seed):
        self._gateway = gateway
        self._tokens = tokens
        self._random = random.Random(seed)
        self.received = self.left = 0

    async def send(self, count, at_a_time=50):
        numbers = iter(range(count))

        async def send_in_turn():
            for number in numbers:
                await self._one(number)

        await asyncio.gather(*(send_in_turn() for _ in range(at_a_time)))

    async def _one(self, number):
        reader, writer = await asyncio.open_connection("127.0.0.1", self._gateway.port)
        is_leaving = self._random.random() < 0.7
        try:
            request = head("GET", f"/api/v1/proxy/own/{number}", self._tokens[number % len(self._tokens)].headers)
            request = request.replace(b"\r\n\r\n", b"\r\nHost: 127.0.0.1\r\n\r\n")
            if is_leaving:
                await self._leave(reader, writer, request)
            else:
                writer.write(request)
                await self._read_own(reader, number)
        finally:
            writer.close()

    async def _leave(self, reader, writer, request):
        moment = self._random.choice(["in the request", "after it", "in the head", "in the body"])
        writer.write(request[:-20] if moment == "in the request" else request)
        await writer.drain()
        if moment == "after it":
            await asyncio.sleep(self._random.random() * 0.02)
        elif moment in ("in the head", "in the body"):
            await reader.readuntil(b"\r\n" if moment == "in the head" else b"\r\n\r\n")
        if self._random.random() < 0.5:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        writer.transport.abort()
        self.left += 1

    async def _read_own(self, reader, number):
        response = await reader.readuntil(b"\r\n\r\n")
        assert response.startswith(b"HTTP/1.1 200 "), response
        own = _body_of(f"/own/{number}".encode())
        assert await reader.readexactly(len(own)) == own
        self.received += 1


def _body_of(path):
    return (path + b";") * 200


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_clients_that_leave_do_not_affect_others(gateway, recorded, sold_token, alice, bob, count):  # case F69
    async def respond(request, connection):
        body = _body_of(request.target)
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:100])
        await asyncio.sleep(0.005)
        await connection.send(body[100:])
        return True

    recorded.response = respond
    traffic = Traffic(gateway, [sold_token(alice), sold_token(bob)], seed=count)
    asyncio.run(traffic.send(count))
    assert traffic.received + traffic.left == count
    assert min(traffic.received, traffic.left) > count / 10
    eventually(lambda: len(gateway.plane.in_flight) == 0)
    pool = gateway.plane.upstream.pool
    eventually(lambda: pool.open == pool.idle)
    eventually(lambda: recorded.connections - recorded.closed_connections == pool.idle)
    assert pool.idle <= 50
