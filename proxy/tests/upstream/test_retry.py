"""The single retry of a request whose kept-alive connection turns out to be closed."""

import asyncio
import socket

import pytest

from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.servers import eventually

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


class ClosingUpstream:
    """An upstream that serves `requests` requests per connection, and closes it when it reads another."""

    def __init__(self, *, requests=1, last_words=b"", resets=False):
        self.served = {}
        self._requests = requests
        self._last_words = last_words
        self._resets = resets

    async def __call__(self, request, connection):
        number = self.served[connection.writer] = self.served.get(connection.writer, 0) + 1
        if number <= self._requests:
            await connection.send(OK if request.line.startswith(b"HEAD") else OK + b"ok")
            return True
        if self._last_words:
            await connection.send(self._last_words)
        if self._resets:
            own = connection.writer.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            connection.writer.transport.abort()
        return False


def methods(recorded):
    """Return the methods of the requests that the upstream read."""
    return [request.line.split(b" ")[0].decode() for request in recorded.requests]


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_an_idempotent_request_without_a_body_is_retried(gateway, recorded, alice_token, method, resets):
    recorded.response = ClosingUpstream(resets=resets)
    client = gateway.client(alice_token)
    assert client.get("/first").status_code == 200
    response = client.request(method, "/second?x=%2F", headers={"X-Kept": "as it is"})
    assert (response.status_code, response.content) == (200, b"" if method == "HEAD" else b"ok")
    assert methods(recorded) == ["GET", method, method]
    assert recorded.requests[1].line == recorded.requests[2].line
    assert recorded.requests[2].headers == recorded.requests[1].headers
    assert recorded.connections == 2


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_request_with_another_method_is_not_retried(gateway, recorded, alice_token, method):
    recorded.response = ClosingUpstream()
    client = gateway.client(alice_token)
    client.get("/first")
    assert_denied(client.request(method, "/second"), "upstream_unreachable")
    assert methods(recorded) == ["GET", method]


@pytest.mark.parametrize("body", [b"x", [b"x", b"y"]])
def test_a_body_is_not_sent_twice(gateway, recorded, alice_token, body):
    recorded.response = ClosingUpstream()
    client = gateway.client(alice_token)
    client.get("/first")
    assert_denied(client.put("/second", content=body), "upstream_unreachable")
    assert methods(recorded) == ["GET", "PUT"]


@pytest.mark.parametrize("resets", [False, True])
def test_a_request_on_a_new_connection_is_not_retried(gateway, recorded, alice_token, resets):
    recorded.response = ClosingUpstream(requests=0, resets=resets)
    assert_denied(gateway.client(alice_token).get("/x"), "upstream_unreachable")
    assert (methods(recorded), recorded.connections) == (["GET"], 1)


def test_a_request_is_retried_only_once(gateway, recorded, alice_token):
    closing = recorded.response = ClosingUpstream()
    client = gateway.client(alice_token)
    client.get("/first")
    closing._requests = 0
    assert_denied(client.get("/second"), "upstream_unreachable")
    assert (methods(recorded), recorded.connections) == (["GET"] * 3, 2)


@pytest.mark.parametrize(
    "begun",
    [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"],
)
def test_a_request_whose_response_has_begun_is_not_retried(gateway, recorded, alice_token, begun):
    recorded.response = ClosingUpstream(last_words=begun)
    client = gateway.client(alice_token)
    client.get("/first")
    assert_denied(client.get("/second"), "upstream_unreachable")
    assert methods(recorded) == ["GET", "GET"]


def test_a_connection_that_is_known_to_be_closed_is_not_used(gateway, recorded, alice_token):
    async def respond(_request, connection):
        await connection.send(OK + b"ok")

    recorded.response = respond
    client = gateway.client(alice_token)
    for number in range(1, 4):
        assert client.post("/x").status_code == 200
        eventually(lambda: gateway.plane.upstream.pool.idle == 0)
        assert (recorded.connections, len(recorded.requests)) == (number, number)


# case C46
@pytest.mark.parametrize(
    ("late", "apart"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", False),
        (b"HTTP/1.1 200 OK\r\nX-Evil: 1", True),
        (b"\r\n", True),
    ],
)
def test_unsolicited_data_reaches_no_client(gateway, recorded, alice_token, bob_token, late, apart):
    written = []
    begun = asyncio.Event()

    async def respond(_request, connection):
        await connection.send(OK + b"o")
        await begun.wait()
        await connection.send(b"k" if apart or written else b"k" + late)
        written.append(connection.writer)
        return True

    recorded.response = respond
    with gateway.client(alice_token).stream("GET", "/x") as response:
        pieces = response.iter_raw()
        assert next(pieces) == b"o"
        recorded.call(begun.set)
        assert b"".join(pieces) == b"k"
    if apart:
        eventually(lambda: gateway.plane.upstream.pool.idle == 1)
        recorded.call(lambda: written[0].write(late))
    eventually(lambda: gateway.plane.upstream.pool.idle == 0)
    response = gateway.client(bob_token).get("/y")
    assert (response.content, "X-Evil" in response.headers) == (b"ok", False)
