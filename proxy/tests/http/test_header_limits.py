"""The limit on the size of header blocks and trailers, on both planes and for WebSockets."""

import pytest

from proxy.tests.support.header_limits import MAX_HEADER_BYTES, assert_too_large
from proxy.tests.support.raw_client import connected, exchange, head
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import handshake

pytestmark = pytest.mark.embedded

CHUNKED = b"Transfer-Encoding: chunked"


# case G80
@pytest.mark.parametrize("path", ["/api/v1/proxy/x", "/api/v1/tariffs", "/health/live"])
def test_the_limit_is_exact_on_every_path(limited, recorded, alice_token, path):
    given = {"Host": "127.0.0.1", **alice_token.headers, "X": ""}
    room = MAX_HEADER_BYTES - len(head("GET", path, given)) + len(b"GET  HTTP/1.1\r\n\r\n")
    assert exchange(limited.port, head("GET", path, {**given, "X": "x" * room})).status == 200
    assert_too_large(exchange(limited.port, head("GET", path, {**given, "X": "x" * (room + 1)})))
    assert_too_large(exchange(limited.port, head("GET", path + "?" + "q" * MAX_HEADER_BYTES, given)))
    many = [b"X-%d: x" % number for number in range(1000)]
    assert_too_large(exchange(limited.port, head("GET", path, given, *many)))
    assert all(len(request.raw) < MAX_HEADER_BYTES + 400 for request in recorded.requests)


def test_the_limit_is_the_same_behind_another_request(limited, recorded, alice_token):
    """Count the part of a block that arrives together with the end of the request before it."""
    given = {"Host": "h", **alice_token.headers}
    for body in (b"", b"body"):
        first = head("POST", "/api/v1/proxy/first", {**given, "Content-Length": len(body)}) + body
        for size, status in ((MAX_HEADER_BYTES - 500, 200), (MAX_HEADER_BYTES, 431), (100_000, 431)):
            last = head("GET", "/api/v1/proxy/last", {**given, "X": "x" * size})
            with connected(limited.port) as client:
                client.send(first + last[:-2])
                assert client.read_response("POST").status == 200
                client.send(last[-2:])
                assert client.read_response().status == status
    assert all(len(request.raw) < MAX_HEADER_BYTES + 400 for request in recorded.requests)


@pytest.mark.parametrize("line", [b"GET /api/v1/proxy/", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nX"])
def test_a_block_without_an_end_is_denied_at_the_limit(limited, recorded, line):
    with connected(limited.port) as client:
        client.send(line + b"x" * (MAX_HEADER_BYTES - len(line)))
        client.send(b"x")
        assert_too_large(client.read_response())
        assert client.is_closed()
    assert recorded.connections == 0


def test_blank_lines_without_an_end(limited):
    with connected(limited.port) as client:
        client.send(b"\r\n" * MAX_HEADER_BYTES)
        assert_too_large(client.read_response())


def test_a_client_that_still_sends_receives_the_denial(limited):
    """Keep the connection open for a while; to close it at once would reset it and lose the response."""
    with connected(limited.port) as client:
        client.send(b"GET /")
        for _ in range(100):
            client.send(b"x" * 65_536)
        assert_too_large(client.read_response())


def test_a_websocket(limited, recorded, alice_token):
    assert_too_large(exchange(limited.port, handshake(alice_token, "/ws", b"X: " + b"x" * MAX_HEADER_BYTES)))
    assert recorded.connections == 0


def test_bodies_and_later_requests_do_not_count(limited, recorded, alice_token):
    body = b"x" * 1_000_000
    request = head("POST", "/api/v1/proxy/x", {"Host": "h", "Content-Length": len(body), **alice_token.headers})
    with connected(limited.port) as client:
        for _ in range(3):
            client.send(request + body)
            assert client.read_response().status == 200
        last = request.replace(b"Host: h", b"Host: h\r\nConnection: close")
        client.send(request + body + request + body + last + body)
        assert client.read_rest().count(b"HTTP/1.1 200 OK\r\n") == 3
    assert [request.body for request in recorded.requests] == [body] * 6


# case C34
def test_trailers(limited, recorded, alice_token):
    request = head("POST", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}, CHUNKED)
    for trailers in (
        b"".join(b"X: %d\r\n" % number for number in range(10_000)),
        b"X: " + b"x" * MAX_HEADER_BYTES,
    ):
        assert_too_large(exchange(limited.port, request + b"0\r\n" + trailers + b"\r\n\r\n", "POST"))
        with connected(limited.port) as client:
            client.send(request + b"1\r\nx\r\n")
            eventually(lambda: len(limited.plane.in_flight) == 1)
            client.send(b"0\r\n" + trailers + b"\r\n\r\n")
            assert_too_large(client.read_response("POST"))
    assert not [request for request in recorded.requests if request.body.endswith(b"0\r\n\r\n")]


def test_trailers_do_not_count_for_the_next_request(limited, alice_token):
    request = head("POST", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}, CHUNKED)
    following = head("GET", "/api/v1/proxy/x", {"Host": "h", "X": "x" * 6000, **alice_token.headers})
    with connected(limited.port) as client:
        client.send(request + b"1\r\nx\r\n")
        eventually(lambda: len(limited.plane.in_flight) == 1)
        client.send(b"0\r\nX: " + b"x" * 6000 + b"\r\n\r\n")
        assert client.read_response("POST").status == 200
        client.send(following[:4000])
        assert not client.has_input()
        client.send(following[4000:])
        assert client.read_response().status == 200


def test_trailers_and_chunk_extensions_without_an_end(limited, alice_token):
    request = head("POST", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}, CHUNKED)
    for begun in (b"0\r\nX: ", b"1;x="):
        with connected(limited.port) as client:
            client.send(request)
            eventually(lambda: len(limited.plane.in_flight) == 1)
            client.send(begun + b"x" * 2 * MAX_HEADER_BYTES)
            assert_too_large(client.read_response("POST"))
        eventually(lambda: len(limited.plane.in_flight) == 0)
