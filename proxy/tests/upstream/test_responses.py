"""Edge cases of RFC 9112: the extent of the upstream's responses, and the reuse of their connections."""

import asyncio
from http.client import IncompleteRead

import pytest

from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import eventually, once

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


def count_connections(gateway, recorded, token, method="GET", requests=3):
    """Send requests one after another and return how many connections to the upstream they took."""
    client = gateway.client(token)
    before = recorded.connections
    for _ in range(requests):
        response = client.request(method, "/x")
        assert (response.status_code, response.content) in ((200, b"ok"), (200, b""), (204, b""), (304, b""))
        eventually(lambda: gateway.plane.upstream.pool.open == gateway.plane.upstream.pool.idle)
    return recorded.connections - before


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (OK + b"ok", 1),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3 + OK + b"ok", 1),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n", 1),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 1),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 3),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 3),
        (b"HTTP/1.1 204 No Content\r\n\r\nok", 3),
        (OK + b"okHTTP", 3),
        (OK + b"ok" + OK + b"ok", 3),
    ],
)  # fmt: skip
def test_reuse_of_connections(gateway, recorded, alice_token, response, expected):
    recorded.response = response
    assert count_connections(gateway, recorded, alice_token) == expected


@pytest.mark.parametrize(("response", "expected"), [(OK, 1), (b"HTTP/1.1 200 OK\r\n\r\n", 1), (OK + b"ok", 3)])
def test_a_response_to_head_has_no_body(gateway, recorded, alice_token, response, expected):  # case C48
    recorded.response = response
    assert count_connections(gateway, recorded, alice_token, "HEAD") == expected


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


# case C46
@pytest.mark.parametrize(
    ("response", "follows"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nok", OK + b"ok"),
        (OK + b"ok", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (OK + b"ok", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        (OK + b"ok", b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"),
        (CHUNKED, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 44\r\n\r\n", OK + b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", OK + b"ok"),
    ],
)
def test_data_after_a_response_is_discarded(gateway, recorded, alice_token, response, follows):
    """Discard data that belongs to no request, and close its connection (RFC 9112 §9.2)."""
    recorded.response = once(response + follows)
    got = gateway.client(alice_token).get("/x")
    assert got.status_code == int(response[9:12])
    assert got.content == (b"ok" if b"ok" in response else b"")
    eventually(lambda: gateway.plane.upstream.pool.open == 0)


@pytest.mark.parametrize(
    ("framing", "body", "spaces"),
    [
        (b"Content-Length: 2", b"ok", [b" ", b"   ", b"\t", b" \t "]),
        (
            b"Transfer-Encoding: chunked",
            b"2\r\nok\r\n0\r\n\r\n",
            [b" ", b"   "],
        ),  # The parser accepts no tab here; see the next test.
    ],
)
def test_whitespace_after_a_value_is_removed(gateway, recorded, alice_token, framing, body, spaces):
    """Remove optional whitespace from values (RFC 9112 §5)."""
    for space in spaces:
        recorded.response = b"HTTP/1.1 200 OK\r\nX: a  b%b\r\n%b%b\r\n\r\n%b" % (space, framing, space, body)
        with connected(gateway.port) as client:
            client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", "Connection": "close", **alice_token.headers}))
            response = client.read_rest()
        assert response.startswith(b"HTTP/1.1 200 OK\r\nx: a  b\r\n")
        assert b"\r\n" + framing.lower() + b"\r\n" in response
        assert response.endswith(b"\r\n\r\n" + body)


def test_an_unknown_transfer_coding(gateway, recorded, alice_token):
    """Deny the response, because the parser would leave the framing of the chunks in the body."""
    for coding in (b"chunked\t", b"chunked \t ", b"xchunked", b"chunked, chunked", b"identity"):
        recorded.response = once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\n2\r\nok\r\n0\r\n\r\n" % coding)
        assert_denied(gateway.client(alice_token).get("/x"), "upstream_unreachable")


@pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/1", b"HTCPCP/1.1"])
def test_another_protocol_or_version(gateway, recorded, alice_token, version):
    recorded.response = once(version + b" 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert_denied(gateway.client(alice_token).get("/x"), "upstream_unreachable")


def test_a_304_keeps_its_content_length(gateway, recorded, alice_token):
    recorded.response = b'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n'
    response = gateway.client(alice_token).get("/x")
    assert (response.status_code, response.headers["Content-Length"], response.content) == (304, "5", b"")


@pytest.mark.parametrize(
    "endless",
    [
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"X-More: 1\r\n",
        b"a",
    ],
)
def test_a_header_block_without_an_end_is_bounded(gateway, recorded, alice_token, endless):
    async def respond(_request, connection):
        if not endless.startswith(b"HTTP"):
            await connection.send(b"HTTP/1.1 200 OK\r\nX: ")
        while not connection.reader.at_eof():
            await connection.send(endless * 1000)
            await asyncio.sleep(0.001)

    recorded.response = respond
    assert_denied(gateway.client(alice_token).get("/x"), "upstream_unreachable")
    eventually(lambda: recorded.closed_connections == recorded.connections)


@pytest.mark.parametrize(("size", "status"), [(60_000, 200), (70_000, 502), (200_000, 502)])
def test_a_header_block_that_arrives_at_once_is_bounded(gateway, recorded, alice_token, size, status):
    recorded.response = b"HTTP/1.1 200 OK\r\nX: %b\r\nContent-Length: 50000\r\n\r\n" % (b"a" * size) + b"b" * 50_000
    assert gateway.client(alice_token).get("/x").status_code == status


@pytest.mark.parametrize("begun", [b"2;", b"0\r\nX-Trailer: "])
def test_chunk_extensions_and_trailers_are_bounded(gateway, recorded, alice_token, begun):  # case C34
    async def respond(_request, connection):
        await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" + begun)
        while not connection.reader.at_eof():
            await connection.send(b"a" * 10_000)
            await asyncio.sleep(0.001)

    recorded.response = respond
    with connected(gateway.port) as client:
        client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}))
        with pytest.raises(IncompleteRead):  # case C50: a response that breaks off never looks complete
            client.read_response()
    eventually(lambda: recorded.closed_connections == 1)


# case G81
def test_a_response_before_the_end_of_the_upload(gateway, recorded, alice_token):
    """Forward the response at once, and close its connection, on which the rest of the upload would follow."""
    recorded.reads_bodies = False
    recorded.response = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
    headers = {"Host": "h", "Content-Length": "1000000", **alice_token.headers}
    with connected(gateway.port) as client:
        client.send(head("POST", "/api/v1/proxy/x", headers) + b"x" * 1000)
        response = client.read_response()
        assert (response.status, response.body) == (413, b"no")
        eventually(lambda: gateway.plane.upstream.pool.open == 0)


def test_the_last_used_connection_is_reused_first(gateway, recorded, alice_token):
    pool = gateway.plane.upstream.pool
    recorded.response = OK + b"ok"
    client = gateway.client(alice_token)
    for _ in range(3):
        assert client.get("/x").status_code == 200
    assert (recorded.connections, pool.open, pool.idle) == (1, 1, 1)


def test_idle_connections_are_closed(gateway, recorded, alice_token, monkeypatch):
    monkeypatch.setattr("proxy.dataplane.upstream.pool._IDLE_SECONDS", 0.2)
    recorded.response = OK + b"ok"
    client = gateway.client(alice_token)
    for number in (1, 2):
        assert client.get("/x").status_code == 200
        eventually(lambda: gateway.plane.upstream.pool.open == 0)
        eventually(lambda number=number: recorded.closed_connections == number)
