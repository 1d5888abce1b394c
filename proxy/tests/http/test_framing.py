"""Requests with ambiguous framing, which the gateway denies before it contacts the upstream."""

import asyncio
import re
import time

import pytest

from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.exchange_cases import unchunked
from proxy.tests.support.raw_client import connected, exchange, head
from proxy.tests.support.servers import eventually, once
from proxy.tests.support.websockets import accept_response, handshake

CHUNKED = b"Transfer-Encoding: chunked"
BODY = b"5\r\n12345\r\n0\r\n\r\n"


@pytest.fixture
def check_denied(gateway, recorded, alice_token):
    """Return a function that sends these lines after the credentials and checks that the gateway denies the request.

    The response is 400, the connection closes, and the upstream receives nothing.
    """

    def check(*lines, body=b"", method="POST", host="Host: h", version="HTTP/1.1"):
        more = [host.encode(), *lines] if host else lines
        with connected(gateway.port) as client:
            client.send(head(method, "/api/v1/proxy/x", alice_token.headers, *more, version=version) + body)
            response = client.read_response()
            assert response.status == 400, lines
            assert_denied(response, "bad_request")
            assert response.headers["Connection"] == "close"
            assert client.is_closed()
        assert recorded.connections == 0
        assert alice_token.stored().activated_at is None

    return check


def test_the_same_request_with_valid_lines_is_forwarded(gateway, recorded, alice_token):
    for line, body, seen in (
        (CHUNKED, BODY, b"12345"),
        (b"Content-Length: 5", b"12345", b"12345"),
        (b"X: y", b"", b""),
    ):
        with connected(gateway.port) as client:
            client.send(head("POST", "/api/v1/proxy/x", alice_token.headers, b"Host: h", line) + body)
            assert client.read_response().status == 200
        assert recorded.last.body == seen


# case C33
def test_content_length_with_transfer_encoding(check_denied):
    check_denied(b"Content-Length: 5", CHUNKED, body=BODY)
    check_denied(CHUNKED, b"Content-Length: 15", body=BODY)
    check_denied(b"Content-Length: 0", CHUNKED, body=BODY)
    check_denied(CHUNKED, b"Content-Length:", body=BODY)


# case C33
def test_two_content_lengths(check_denied):
    check_denied(b"Content-Length: 5", b"Content-Length: 6", body=b"12345")
    check_denied(b"Content-Length: 5", b"Content-Length: 5", body=b"12345")
    check_denied(b"Content-Length: 5, 5", body=b"12345")


# case C33
def test_malformed_content_lengths(check_denied):
    for value in (
        b"+1",
        b"0x1",
        b"-1",
        b"1 1",
        b"1_0",
        b"",
        b"1.0",
        b"1e1",
        b"x",
        b"\xb2",
        b"9" * 25,
        b"18446744073709551617",
    ):
        check_denied(b"Content-Length: " + value, body=b"1")


# case C33
def test_transfer_encodings(check_denied):
    for value in (
        b"chunked, chunked",
        b"gzip, chunked",
        b"chunked, gzip",
        b"identity",
        b"gzip",
        b"xchunked",
        b"",
        b"\x0bchunked",
    ):
        check_denied(b"Transfer-Encoding: " + value, body=BODY)
    check_denied(CHUNKED, CHUNKED, body=BODY)
    check_denied(CHUNKED, b"Transfer-Encoding: identity", body=BODY)
    check_denied(b"Transfer-Encoding : chunked", body=BODY)
    check_denied(b"Transfer-Encoding:\r\n chunked", body=BODY)
    check_denied(CHUNKED, body=BODY, version="HTTP/1.0")


def test_broken_chunks(gateway, recorded, alice_token):
    """Deny the request although it is under way, so that the upstream never gets it whole."""
    for body in (
        b"x\r\n",
        b"-5\r\n12345\r\n",
        b"0x5\r\n12345\r\n",
        b"5\r\n123456\r\n0\r\n\r\n",
        b"5\n12345\n0\n\n",
        b"f" * 20,
    ):
        with connected(gateway.port) as client:
            client.send(head("POST", "/api/v1/proxy/x", alice_token.headers, b"Host: h", CHUNKED) + body)
            assert b" 200 OK" not in client.read_rest()
    assert not [request for request in recorded.requests if request.body.endswith(b"0\r\n\r\n")]


@pytest.mark.parametrize("space", [" ", "\t", " \t "])
def test_whitespace_around_a_value_is_removed(gateway, recorded, alice_token, space):
    """Remove optional whitespace from values (RFC 9112 §5)."""
    given = {"Host": "127.0.0.1", **alice_token.headers, "X-Request-ID": "my-request", "X": "a  b"}
    framings = [([], b""), ([b"Content-Length: 5"], b"12345")]
    for lines, body in framings if "\t" in space else [*framings, ([CHUNKED], BODY)]:
        spaced = {name: f"{space}{value}{space}" for name, value in given.items()}
        more = [line + space.encode() for line in [*lines, b"Connection: close"]]
        with connected(gateway.port) as client:
            client.send(head("POST", "/api/v1/proxy/x", spaced, *more) + body)
            response = client.read_response()
            assert (response.status, response.headers["X-Request-ID"]) == (200, "my-request")
            assert client.is_closed()
        assert b"\r\nx: a  b\r\n" in recorded.last.raw
        assert recorded.last.body == (b"12345" if body else b"")
    if "\t" in space:  # The parser does not recognize the coding with a tab.
        with connected(gateway.port) as client:
            client.send(head("POST", "/api/v1/proxy/x", given, CHUNKED + space.encode()) + BODY)
            assert_denied(client.read_response(), "bad_request")
    with connected(gateway.port) as client:
        client.send(head("GET", "/api/v1/tariffs", {"Host": "127.0.0.1" + space}))
        assert client.read_response().status == 200


# case C35
def test_controls_in_values(check_denied):
    for control in (b"\x00", b"\x01", b"\x0b", b"\x0c", b"\x1b", b"\x1c", b"\x1f", b"\x7f"):
        check_denied(b"X-Custom: a" + control + b"b", method="GET")
    check_denied(b"X-Custom: a\rb", method="GET")
    check_denied(b"X-Custom: a\r\n b", method="GET")
    check_denied(b"X-Custom: a\n\tb", method="GET")


def test_malformed_names(check_denied):
    for line in (
        b"X Custom: 1",
        b"X-Custom : 1",
        b": 1",
        b"X(Custom): 1",
        b"X-Custom",
        b" X-Custom: 1",
        b"X\x00: 1",
        b"X\xff: 1",
    ):
        check_denied(line, method="GET")


# case C40
def test_hosts(check_denied):
    check_denied(host="", method="GET")
    check_denied(host="Host:", method="GET")
    check_denied(b"Host: h", method="GET")
    check_denied(b"Host: other", method="GET")
    for host in ("a b", "h/x", "user@h", "h:x", "h:", "h:123456", "[::1", "h,i", "h?x", "h#x", "<h>", "h\\x", "%68"):
        check_denied(host=f"Host: {host}", method="GET")


def test_http_1_0_needs_no_host(gateway, recorded, alice_token):
    with connected(gateway.port) as client:
        client.send(head("GET", "/api/v1/proxy/x", alice_token.headers, version="HTTP/1.0"))
        assert client.read_response().status == 200
    assert len(recorded.requests) == 1


def test_versions_and_request_lines(check_denied, gateway, recorded, alice_token):
    for version in ("HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/1.1x", "http/1.1", "HTP/1.1", ""):
        check_denied(method="GET", version=version)
    for line in (b"GET /api/v1/proxy/x y HTTP/1.1", b"get /api/v1/proxy/x HTTP/1.1",
                 b"GET\t/api/v1/proxy/x HTTP/1.1", b"GET /api/v1/proxy/\x7f HTTP/1.1"):  # fmt: skip
        with connected(gateway.port) as client:
            client.send(line + head("", "", {"Host": "h", **alice_token.headers}, version="").lstrip(b" "))
            assert client.read_response().status == 400, line
    assert recorded.connections == 0


# cases C36, C38
def test_targets_other_than_a_path(gateway, recorded, alice_token):
    for target in (
        "http://evil.example/api/v1/proxy/x", "http://127.0.0.1/api/v1/proxy/x", "http:///api/v1/proxy/x",
        "/api/v1/proxy/x#y", "/api/v1/proxy/x?y#z", "evil.example:443", "*", "api/v1/proxy/x", "?x",
    ):  # fmt: skip
        for method in ("GET", "OPTIONS", "CONNECT"):
            response = exchange(gateway.port, head(method, target, {"Host": "127.0.0.1", **alice_token.headers}))
            assert_denied(response, "bad_request")
    assert recorded.connections == 0


# case C34
def test_trailers_never_become_headers(gateway, recorded, alice, alice_token):
    request = head("POST", "/api/v1/proxy/x", alice_token.headers, b"Host: h", CHUNKED)
    trailers = b"".join(b"X-Trailer: %d\r\n" % number for number in range(1_000))
    for sent in (
        b"X-User-Id: root\r\nX-Trailer: 1\r\nHost: other\r\nCookie: a=1\r\n",
        b"X-Access-Token: other\r\nX-Device-ID: another-device\r\nConnection: X-User-Id\r\n",
        trailers,
    ):
        with connected(gateway.port) as client:
            client.send(request + b"5\r\n12345\r\n0\r\n" + sent + b"\r\n")
            assert client.read_response().status == 200
        assert recorded.last.body in (b"12345", b"5\r\n12345\r\n0\r\n\r\n")
        assert recorded.last.header(b"x-user-id") == str(alice.pk).encode()
        assert not {b"x-trailer", b"cookie"} & {name for name, _ in recorded.last.headers}
    count = len(recorded.requests)
    credentials = "".join(f"{name}: {value}\r\n" for name, value in alice_token.headers.items()).encode()
    bare = head("POST", "/api/v1/proxy/x", {"Host": "h"}, CHUNKED)
    assert_denied(exchange(gateway.port, bare + b"0\r\n" + credentials + b"\r\n"), "invalid_token")
    assert len(recorded.requests) == count


def test_a_smuggled_request_stays_a_body(gateway, recorded, alice_token):
    smuggled = b"GET /api/v1/proxy/smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    with connected(gateway.port) as client:
        length = b"Content-Length: %d" % len(smuggled)
        client.send(head("POST", "/api/v1/proxy/x", alice_token.headers, b"Host: h", length) + smuggled)
        assert client.read_response().status == 200
        client.send(head("GET", "/api/v1/proxy/after", alice_token.headers, b"Host: h"))
        assert client.read_response().status == 200
    assert [request.target for request in recorded.requests] == [b"/x", b"/after"]
    assert recorded.requests[0].body == smuggled


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_a_body_with_an_unsupported_upgrade(gateway, recorded, alice_token, pieces, version):
    """Read the body, which the parser alone would take for the next request. Java's client sends `h2c` each time."""
    smuggled = b"GET /api/v1/proxy/smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    length = b"Content-Length: %d" % len(smuggled)
    upgrade = [b"Connection: Upgrade, HTTP2-Settings, keep-alive", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"]
    framings = [([length], smuggled), ([], b""), ([b"Content-Length: 0"], b"")]
    if version == "HTTP/1.1":
        framings.append(([CHUNKED], b"%x\r\n%b\r\n0\r\n\r\n" % (len(smuggled), smuggled)))
    for lines, body in framings:
        with connected(gateway.port) as client:
            request = head(
                "POST", "/api/v1/proxy/x", alice_token.headers, b"Host: h", *upgrade, *lines, version=version
            )
            sent = request + body
            step = -(-len(sent) // pieces)
            for start in range(0, len(sent), step):
                client.send(sent[start : start + step])
            assert client.read_response().status == 200
            if version == "HTTP/1.1":
                client.send(head("GET", "/api/v1/proxy/after", alice_token.headers, b"Host: h"))
                assert client.read_response().status == 200
        seen = next(request for request in reversed(recorded.requests) if request.target == b"/x")
        in_chunks = seen.header(b"transfer-encoding") is not None
        assert (unchunked(seen.body) if in_chunks else seen.body) == (smuggled if body else b"")
        assert not {b"upgrade", b"http2-settings"} & {name for name, _ in seen.headers}
    assert {request.target for request in recorded.requests} <= {b"/x", b"/after"}


def test_an_unsupported_upgrade_on_the_control_plane(gateway):
    lines = [b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Type: application/json", b"Content-Length: 2"]
    response = exchange(gateway.port, head("POST", "/api/v1/auth/login", {"Host": "127.0.0.1"}, *lines) + b"{}")
    assert (response.status, "required" in response.text) == (400, True)


def test_an_unsupported_upgrade_hides_no_framing(check_denied, gateway, recorded, alice_token):
    upgrade = [b"Connection: Upgrade", b"Upgrade: h2c"]
    check_denied(*upgrade, CHUNKED, b"Content-Length: 15", body=BODY)
    check_denied(*upgrade, b"Content-Length: 5", b"Content-Length: 6", body=b"12345")
    check_denied(*upgrade, b"Content-Length: 0x5", body=b"12345")
    check_denied(*upgrade, b"Transfer-Encoding: gzip, chunked", body=BODY)
    check_denied(*upgrade, CHUNKED, body=BODY, version="HTTP/1.0")
    check_denied(*upgrade, b"Host: other")
    # CONNECT, which the gateway never allows, hides none either.
    assert_denied(
        exchange(gateway.port, head("CONNECT", "/api/v1/proxy/x", alice_token.headers, b"Host: h", *upgrade)),
        "bad_request",
    )
    assert recorded.connections == 0


def test_options_of_the_connection_in_several_fields(gateway, recorded, alice_token):
    """Read repeated Connection fields as one list (RFC 9110 §5.3)."""

    async def respond(request, connection):
        await connection.send(accept_response(request))
        await connection.wait_closed()

    recorded.response = respond
    valid = handshake(alice_token, "/ws")
    assert valid.count(b"Connection: Upgrade\r\n") == 1
    for options in (
        b"Connection: Upgrade\r\nConnection: keep-alive\r\n",
        b"Connection: x\r\nConnection: Upgrade\r\n",
    ):
        with connected(gateway.port) as client:
            client.send(valid.replace(b"Connection: Upgrade\r\n", options))
            assert client.read_head().startswith(b"HTTP/1.1 101 ")


def test_a_denial_of_head_has_no_body(gateway, alice_token):
    for lines in ([b"Content-Length: 5", CHUNKED], [b"X: \x00"]):
        with connected(gateway.port) as client:
            client.send(head("HEAD", "/api/v1/proxy/x", alice_token.headers, b"Host: h", *lines))
            received = client.read_rest()
        assert received.startswith(b"HTTP/1.1 400 ")
        assert received.endswith(b"\r\n\r\n")
        assert received.count(b"\r\n\r\n") == 1


def test_requests_after_an_unsupported_upgrade(gateway, recorded, alice_token):
    """Read them as requests of their own; uvicorn alone loses them, or reads part of one as another."""
    given = {"Host": "h", **alice_token.headers}
    upgrade = head("GET", "/api/v1/proxy/a", given, b"Connection: Upgrade", b"Upgrade: h2c")
    smuggled = head("GET", "/api/v1/proxy/smuggled", {"Host": "h"})
    smuggling = head("POST", "/api/v1/proxy/b", {**given, "Content-Length": len(smuggled)})
    last = head("GET", "/api/v1/proxy/c", given, b"Connection: close")
    for pieces in ([upgrade * 2 + smuggling + smuggled + last], [upgrade + smuggling, smuggled + last]):
        recorded.requests.clear()
        with connected(gateway.port) as client:
            for piece in pieces:
                client.send(piece)
                time.sleep(0.1)
            responses = client.read_rest().count(b"HTTP/1.1 200 OK\r\n")
        targets = [request.target for request in recorded.requests]
        assert (responses, targets[-3:]) == (len(targets), [b"/a", b"/b", b"/c"])
        assert recorded.requests[-2].body == smuggled


@pytest.mark.parametrize("space", [b"", b" ", b"\t"])
def test_a_websocket_pipelined_behind_a_pending_request(gateway, recorded, alice_token, space):
    """Deny the handshake, because the pending response would otherwise follow it as frames."""

    async def respond_late(_request, connection):
        await asyncio.sleep(0.3)
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    recorded.response = respond_late
    with connected(gateway.port) as client:
        upgrade = handshake(alice_token, "/ws").replace(b"Upgrade: websocket", b"Upgrade: websocket" + space)
        assert b"Upgrade: websocket%b\r\n" % space in upgrade
        client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}) + upgrade)
        assert re.findall(rb"HTTP/1.1 (\d+) ", client.read_rest()) == [b"200", b"400"]
    eventually(lambda: len(gateway.plane.in_flight) == 0)
    assert [request.target for request in recorded.requests] == [b"/x"]


# cases C33, C35, C40, G80
@pytest.mark.parametrize("path", ["/api/v1/tariffs", "/health", "/health/live"])
def test_the_control_plane_is_equally_strict(gateway, path):
    def status(*lines, version="HTTP/1.1"):
        with connected(gateway.port) as client:
            client.send(head("GET", path, {}, *lines, version=version))
            response = client.read_response()
            if response.status == 400:
                assert_denied(response, "bad_request")
                assert response.headers["Connection"] == "close"
                assert client.is_closed()
            return response.status

    own = b"Host: 127.0.0.1"
    assert status(own) == status(own, version="HTTP/1.0") == status(version="HTTP/1.0") == 200
    for lines in (
        [], [own, own], [own, b"Host: other"], [b"Host:"], [b"Host: a b"], [b"Host: 127.0.0.1/x"],
        [b"Host: u@127.0.0.1"], [b"Host: 127.0.0.1:"], [own, CHUNKED, b"Content-Length: 0"], [own, CHUNKED, CHUNKED],
        [own, b"Content-Length: 0", b"Content-Length: 0"], [own, b"Content-Length: +0"],
        [own, b"Transfer-Encoding: gzip, chunked"], [own, b"X: a\x0bb"], [own, b"X: a\x1cb"], [own, b"X: a\x00b"],
    ):  # fmt: skip
        assert status(*lines) == 400, lines
    assert status(own, own, version="HTTP/1.0") == 400
    assert status(own, CHUNKED, version="HTTP/1.0") == 400


# case G81
def test_a_missing_body_on_the_control_plane(gateway, settings):
    settings.CLIENT_BODY_TIMEOUT = 0.3
    for framing in (b"Content-Length: 10", CHUNKED):
        with connected(gateway.port) as client:
            client.send(head("POST", "/api/v1/auth/login", {"Host": "127.0.0.1"}, framing) + b"5")
            response = client.read_response()
            assert_denied(response, "request_timeout")
            assert client.is_closed()


@pytest.mark.parametrize("chunks", [b"2\r\nok\r\n1\r\n!\r\n0\r\n\r\n", b"0\r\n\r\n"])
def test_http_1_0_gets_no_chunks(gateway, recorded, alice_token, chunks):
    """End the body with the connection (RFC 9112 §6.1)."""
    recorded.response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    with connected(gateway.port) as client:
        client.send(head("GET", "/api/v1/proxy/x", alice_token.headers, b"Host: h", version="HTTP/1.0"))
        headers, _, body = client.read_rest().partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"transfer-encoding" not in headers
    assert b"connection: close" in headers
    assert body == (b"ok!" if len(chunks) > 5 else b"")


def test_http_1_0_gets_the_content_length(gateway, recorded, alice_token):
    for method, body in (("GET", b"ok"), ("HEAD", b"")):
        recorded.response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body
        request = head(method, "/api/v1/proxy/x", alice_token.headers, b"Host: h", version="HTTP/1.0")
        response = exchange(gateway.port, request, method)
        assert (response.status, response.headers["Content-Length"], response.body) == (200, "2", body)


def test_http_1_0_gets_no_websocket(gateway, recorded, alice_token):
    """Ignore the upgrade (RFC 9110 §7.8)."""
    request = handshake(alice_token, "/ws").replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n")
    response = exchange(gateway.port, request)
    assert (response.status, response.body) == (200, b"ok")
    assert not {b"upgrade", b"sec-websocket-key"} & {name for name, _ in recorded.last.headers}


def test_http_1_0_with_chunks_gets_the_denial(gateway, alice_token):
    request = head("POST", "/api/v1/proxy/x", alice_token.headers, CHUNKED, version="HTTP/1.0")
    assert_denied(exchange(gateway.port, request + b"no chunk"), "bad_request")


# case C50
def test_http_1_0_sees_that_a_response_breaks_off(gateway, recorded, alice_token):
    recorded.response = once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
    with connected(gateway.port) as client:
        client.send(head("GET", "/api/v1/proxy/x", alice_token.headers, b"Host: h", version="HTTP/1.0"))
        with pytest.raises(ConnectionResetError):
            client.read_rest()
