"""Responses that are forwarded while they arrive, with backpressure in both directions."""

import asyncio
import contextlib
import json
import time

import httpx
import pytest

from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import OneByOne, eventually, once

MIB = 2**20
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"


def test_headers_before_the_first_event(gateway, recorded, alice_token):
    ready = asyncio.Event()

    async def script(_request, connection):
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await ready.wait()
        await connection.send(b"data: 1\n\n")
        await connection.wait_closed()

    recorded.response = script
    with gateway.client(alice_token).stream("GET", "/events") as response:
        assert (response.status_code, response.headers["Content-Type"]) == (200, "text/event-stream")
        recorded.call(ready.set)
        assert next(response.iter_raw()) == b"data: 1\n\n"
    eventually(lambda: recorded.closed_connections == 1)


def test_each_event_is_forwarded_at_once(gateway, recorded, alice_token):
    events = OneByOne(recorded)
    with gateway.client(alice_token).stream("GET", "/events") as response:
        events.read(response)


# case C51
def test_a_slow_client_pauses_the_upstream(gateway, recorded, alice_token):
    size = 200 * MIB
    sent = 0

    async def script(_request, connection):
        nonlocal sent
        await connection.send(STREAM + b"Content-Length: %d\r\n\r\n" % size)
        while sent < size:
            await connection.send(b"x" * 65536)
            sent += 65536

    recorded.response = script
    with connected(gateway.port, receive_buffer=65536) as client:
        client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}))
        assert client.read_head().startswith(b"HTTP/1.1 200 OK\r\n")
        eventually(lambda: sent > MIB)
        before = -1
        while before != sent:
            before = sent
            time.sleep(0.3)
        # The gateway and the buffers of four sockets hold this much.
        assert sent < 48 * MIB
    eventually(lambda: recorded.closed_connections == 1)


def test_a_slow_upstream_pauses_the_client(gateway, recorded, alice_token):
    reading = asyncio.Event()

    async def script(_request, connection):
        await reading.wait()

    recorded.response = script
    recorded.reads_bodies = False
    sent = 0
    with connected(gateway.port, timeout=0.5) as client:
        headers = {"Host": "h", "Content-Length": str(200 * MIB), **alice_token.headers}
        client.send(head("POST", "/api/v1/proxy/x", headers))
        with contextlib.suppress(TimeoutError):
            while sent < 200 * MIB:
                sent += client.socket.send(b"x" * 65536)
        assert sent < 32 * MIB
        recorded.call(reading.set)


def test_a_client_that_disconnects_ends_the_upstreams_request(gateway, recorded, alice_token):
    async def wait(_request, connection):
        await connection.wait_closed()

    async def begin(_request, connection):
        await connection.send(STREAM + b"Content-Length: 1000\r\n\r\nx")
        await connection.wait_closed()

    for count, script in enumerate((wait, begin), start=1):
        recorded.response = script
        with connected(gateway.port) as client:
            client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}))
            eventually(lambda count=count: len(recorded.requests) == count)
            assert recorded.closed_connections == count - 1
        eventually(lambda count=count: recorded.closed_connections == count, seconds=1)
    eventually(lambda: len(gateway.plane.in_flight) == 0)


def test_a_client_that_disconnects_during_its_upload(gateway, recorded, alice_token):
    recorded.reads_bodies = False

    async def script(_request, connection):
        await connection.wait_closed()

    recorded.response = script
    with connected(gateway.port) as client:
        headers = {"Host": "h", "Content-Length": "100000", **alice_token.headers}
        client.send(head("POST", "/api/v1/proxy/x", headers) + b"x" * 1000)
        eventually(lambda: recorded.requests)
    eventually(lambda: recorded.closed_connections == 1, seconds=1)


# case C50
def test_an_upstream_that_breaks_off_aborts_the_response(gateway, recorded, alice_token):
    chunked = STREAM + b"Transfer-Encoding: chunked\r\n\r\n"
    for response in (
        STREAM + b"Content-Length: 10\r\n\r\n12345",
        STREAM + b"Content-Length: 10\r\n\r\n",
        chunked + b"5\r\n12345\r\n",
        chunked + b"5\r\n123",
        chunked + b"5\r\n12345\r\n0\r\n",
        chunked,
    ):
        recorded.response = once(response)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            gateway.client(alice_token).get("/x")


def test_the_failing_demo_page(gateway, alice_token):
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        gateway.client(alice_token).get("/fail")


def test_an_upstream_that_stalls_during_its_response(gateway, recorded, alice_token):
    async def script(_request, connection):
        await connection.send(STREAM + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n")
        await connection.wait_closed()

    recorded.response = script
    gateway.restart(UPSTREAM_TIMEOUT=0.3)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        gateway.client(alice_token).get("/x")
    eventually(lambda: recorded.closed_connections == 1)


def test_a_slow_client_does_not_trigger_the_upstream_timeout(gateway, recorded, alice_token):
    gateway.restart(UPSTREAM_TIMEOUT=0.3)
    body = b"x" * 16 * MIB
    recorded.response = STREAM + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with connected(gateway.port, receive_buffer=65536) as client:
        client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}))
        time.sleep(1.5)
        assert client.read_response().body == body


# case G81
def test_a_broken_chunk(gateway, recorded, alice_token):
    begun = asyncio.Event()

    async def script(_request, connection):
        await connection.send(STREAM + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n")
        await begun.wait()
        await connection.send(b"nonsense\r\n")
        await connection.wait_closed()

    recorded.response = script
    with gateway.client(alice_token).stream("GET", "/x") as response:
        pieces = response.iter_raw()
        assert next(pieces) == b"12345"
        recorded.call(begun.set)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            next(pieces)


def test_pipelined_requests_get_their_responses_in_order(gateway, alice_token):
    paths = [f"/echo/{number}" for number in range(5)]
    with connected(gateway.port) as client:
        for path in paths:
            more = [b"Connection: close"] if path == paths[-1] else []
            client.send(head("GET", f"/api/v1/proxy{path}", {"Host": "h", **alice_token.headers}, *more))
        responses = client.read_rest().split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [json.loads(response.partition(b"\r\n\r\n")[2])["path"] for response in responses] == paths
