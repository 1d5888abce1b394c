"""Requests that are sent before earlier ones have their response."""

import asyncio
import contextlib
import threading

import pytest

from proxy.dataplane.server.http_protocol import GatewayProtocol
from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import eventually

pytestmark = pytest.mark.embedded

CHUNKED = b"Transfer-Encoding: chunked"


@pytest.fixture
def waiting(monkeypatch):
    """How many requests wait, and how many of those ahead of them are kept, whenever one has come."""
    seen = [(0, 0)]
    wait_behind = GatewayProtocol._queue_behind

    def wait_and_see(connection, previous):
        wait_behind(connection, previous)
        seen.append((len(connection.pipeline), len(connection._earlier)))

    monkeypatch.setattr(GatewayProtocol, "_queue_behind", wait_and_see)
    return seen


@pytest.mark.parametrize("path", ["/api/v1/proxy/x", "/health/live"])
@pytest.mark.parametrize("body", [b"", b"x"])
def test_who_sends_faster_than_answers_come_is_not_read(gateway, waiting, path, body):
    """uvicorn would read on with each answer, however many wait."""
    given = {"Host": "127.0.0.1", "X": "x" * 400, "Content-Length": len(body)}
    request = head("GET", path, given) + body
    last = head("GET", path, {"Host": "127.0.0.1", "Connection": "close"})
    with connected(gateway.port, timeout=30) as client:
        sender = threading.Thread(target=client.send, args=(request * 5000 + last,))
        sender.start()
        responses = client.read_rest()
        sender.join()
    assert responses.count(b"HTTP/1.1 ") == 5001
    assert max(number for numbers in waiting for number in numbers) < 1000


def test_a_segment_full_of_the_smallest(gateway, waiting):
    """Thousands fit in one, and each holds everybody up while it is read."""
    request = b"GET /api/v1/proxy/x HTTP/1.1\r\nHost: h\r\n\r\n"
    with connected(gateway.port) as client:
        with contextlib.suppress(ConnectionError):
            client.send(request * 100_000)
        with contextlib.suppress(ConnectionError):
            assert client.read_rest().count(b"HTTP/1.1 ") < 10_000
    assert max(number for numbers in waiting for number in numbers) <= 1001


@pytest.mark.parametrize(
    ("behind", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /api/v1/proxy/x HTTP/1.1\r\nX: " + b"x" * 100_000, 431),
        (head("GET", "http://h/", {"Host": "h"}), 400),
        (head("POST", "/api/v1/proxy/x", {"Host": "h"}, CHUNKED) + b"x\r\n", 400),
        (head("POST", "/api/v1/proxy/x", {"Host": "h"}, CHUNKED) + b"0\r\nX: " + b"x" * 100_000, 431),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_what_is_refused_behind_them_costs_no_answer(limited, recorded, alice_token, behind, status, apart):
    """Nor does what follows it, of which nothing is read."""

    async def begins_late(request, connection):
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        await asyncio.sleep(0.2)
        await connection.send(request.target[-5:])
        return True

    recorded.response = begins_late
    given = {"Host": "h", **alice_token.headers}
    ahead = head("GET", "/api/v1/proxy/first", given) + head("GET", "/api/v1/proxy/other", given)
    with connected(limited.port) as client:
        client.send(ahead + (b"" if apart else behind))
        if apart:
            eventually(lambda: len(recorded.requests) == 1)
            client.send(behind)
        with contextlib.suppress(ConnectionError):
            client.send(head("GET", "/api/v1/proxy/never", given) * 10)
        first, other, refusal = client.read_rest().split(b"HTTP/1.1 ")[1:]
    assert [(response[:3], response[-5:]) for response in (first, other)] == [
        (b"200", b"first"),
        (b"200", b"other"),
    ]
    assert refusal.startswith(b"%d " % status)
    assert b"connection: close" in refusal.lower()
    assert [request.target for request in recorded.requests] == [b"/first", b"/other"]
    assert limited.plane.metrics.denials["bad_request"] == 1


def test_a_client_that_leaves_behind_them_is_seen_to(gateway, recorded, alice_token):
    async def begins(request, connection):
        if request.target == b"/last":
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
            await connection.wait_closed()
        else:
            await asyncio.sleep(0.2)
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True

    recorded.response = begins
    with connected(gateway.port) as client:
        given = {"Host": "h", **alice_token.headers}
        client.send(head("GET", "/api/v1/proxy/first", given) + head("GET", "/api/v1/proxy/last", given))
        eventually(lambda: len(recorded.requests) == 2)
    eventually(lambda: len(gateway.plane.in_flight) == 0, seconds=2)
