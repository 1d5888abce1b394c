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
    """Return a list to which each request adds how many requests wait, and how many earlier ones are kept."""
    seen = [(0, 0)]
    queue_behind = GatewayProtocol._queue_behind

    def queue_and_record(connection, previous):
        queue_behind(connection, previous)
        seen.append((len(connection.pipeline), len(connection._earlier)))

    monkeypatch.setattr(GatewayProtocol, "_queue_behind", queue_and_record)
    return seen


@pytest.mark.parametrize("path", ["/api/v1/proxy/x", "/health/live"])
@pytest.mark.parametrize("body", [b"", b"x"])
def test_the_gateway_stops_reading_from_a_client_that_pipelines_too_fast(gateway, waiting, path, body):
    """Pause the client; uvicorn alone would resume reading with each response, however many requests wait."""
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


def test_a_segment_full_of_the_smallest_requests(gateway, waiting):
    """Bound their number, because one segment holds thousands and blocks all other clients while it is read."""
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
def test_a_denial_does_not_replace_earlier_responses(limited, recorded, alice_token, behind, status, apart):
    """Send the earlier responses first, and read nothing that follows the denied request."""

    async def respond_late(request, connection):
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        await asyncio.sleep(0.2)
        await connection.send(request.target[-5:])
        return True

    recorded.response = respond_late
    given = {"Host": "h", **alice_token.headers}
    ahead = head("GET", "/api/v1/proxy/first", given) + head("GET", "/api/v1/proxy/other", given)
    with connected(limited.port) as client:
        client.send(ahead + (b"" if apart else behind))
        if apart:
            eventually(lambda: len(recorded.requests) == 1)
            client.send(behind)
        with contextlib.suppress(ConnectionError):
            client.send(head("GET", "/api/v1/proxy/never", given) * 10)
        first, other, denial = client.read_rest().split(b"HTTP/1.1 ")[1:]
    assert [(response[:3], response[-5:]) for response in (first, other)] == [
        (b"200", b"first"),
        (b"200", b"other"),
    ]
    assert denial.startswith(b"%d " % status)
    assert b"connection: close" in denial.lower()
    assert [request.target for request in recorded.requests] == [b"/first", b"/other"]
    assert limited.plane.metrics.denials["bad_request"] == 1


def test_a_client_that_disconnects_behind_pipelined_requests(gateway, recorded, alice_token):
    async def respond(request, connection):
        if request.target == b"/last":
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
            await connection.wait_closed()
        else:
            await asyncio.sleep(0.2)
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True

    recorded.response = respond
    with connected(gateway.port) as client:
        given = {"Host": "h", **alice_token.headers}
        client.send(head("GET", "/api/v1/proxy/first", given) + head("GET", "/api/v1/proxy/last", given))
        eventually(lambda: len(recorded.requests) == 2)
    eventually(lambda: len(gateway.plane.in_flight) == 0, seconds=2)
