"""Ambiguous header fields of the upstream, which are 502 and never forwarded, joined or split."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.utils import accept_key

from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import once
from proxy.tests.support.websockets import open_socket, read_close

LINES = {
    "folded by a space": b"X-A: a\r\n X-Evil: b",
    "folded by a tab": b"X-A: a\r\n\tX-Evil: b",
    "folded with nothing before": b"X-A:\r\n X-Evil: b",
    "folded with nothing behind": b"X-A: X-Evil\r\n ",
    "folded twice": b"X-A: a\r\n b\r\n X-Evil: c",
    "a folded cookie": b"Set-Cookie: a=1\r\n X-Evil: b",
    "a folded length": b"Content-Length: 2\r\n 5X-Evil",
    "a bare CR": b"X-A: a\rX-Evil: b",
    "a bare CR before a name": b"\rX-Evil: b",
    "a CR too many": b"X-A: a\r\r\nX-Evil: b",
    "a bare LF": b"X-A: a\n X-Evil: b",
    "a NUL": b"X-A: a\x00X-Evil: b",
    "a NUL in a name": b"X-Evil\x00: a",
    "a space before the colon": b"X-Evil : a",
    "a space before the name": b" X-Evil: a",
    "no colon": b"X-Evil",
    "no name": b": X-Evil",
}


@pytest.fixture
def receive(gateway, recorded, alice_token):
    """Return a function that sends this header block and `ok` from the upstream, and returns the client's bytes."""

    def send(lines):
        recorded.response = once(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\nok")
        with connected(gateway.port) as client:
            given = {"Host": "h", "Connection": "close", **alice_token.headers}
            client.send(head("GET", "/api/v1/proxy/x", given))
            return client.read_rest()

    return send


# case C41
@pytest.mark.parametrize("place", ["first", "last", "alone"])
def test_an_ambiguous_field_is_denied(receive, place):
    for kind, line in LINES.items():
        lines = {"first": [line, b"X-B: b"], "last": [b"X-B: b", line], "alone": [line]}[place]
        response = receive(b"\r\n".join(lines))
        assert response.startswith(b"HTTP/1.1 502 "), kind
        assert b"evil" not in response.lower(), kind
        assert b"x-b" not in response.lower(), kind


# case C41
def test_a_valid_field_is_forwarded(receive):
    response = receive(b"X-A: a\tX-Evil: b\r\nContent-Length: 2")
    assert response.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nx-a: a\tX-Evil: b\r\n" in response


VALUES = st.binary(max_size=12).map(lambda raw: raw.translate(bytes.maketrans(b"01234567", b"\r\n\t \x00\x0b\x7f:")))


# case C41
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(VALUES)
def test_a_value_is_forwarded_unchanged_or_denied(receive, value):
    response = receive(b"X-A: a%bz\r\nContent-Length: 2" % value)
    fields = response.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    if re.fullmatch(rb"[\t\x20-\x7e\x80-\xff]*", value):
        assert response.startswith(b"HTTP/1.1 200 ")
        assert b"x-a: a%bz" % value in fields
    elif b"\r\n" not in value:  # with CRLF there are two lines, which may be two valid fields
        assert response.startswith(b"HTTP/1.1 502 ")
        assert not any(field.startswith(b"x-a:") for field in fields)


# case C41
@pytest.mark.parametrize(
    ("line", "closed"),
    [
        (b"Sec-WebSocket-Protocol: a", (1000, "")),
        (b"Sec-WebSocket-Protocol: a\r\n b", (1014, "upstream_unreachable")),
        (b"X-A: a\rb", (1014, "upstream_unreachable")),
        (b"X-A: a\x00b", (1014, "upstream_unreachable")),
    ],
)
def test_fields_of_a_handshake(gateway, recorded, alice_token, line, closed):
    """Forward a valid subprotocol, and close the WebSocket with 1014 for an ambiguous field."""

    async def respond(request, connection):
        accepted = accept_key(request.header(b"sec-websocket-key").decode()).encode()
        lines = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade",
                 b"Sec-WebSocket-Accept: " + accepted, line]  # fmt: skip
        await connection.send(b"\r\n".join([*lines, b"", b"\x88\x02\x03\xe8"]))
        await connection.wait_closed()

    recorded.response = respond
    with open_socket(gateway, "/ws", alice_token, subprotocols=["a", "b"]) as client:
        assert read_close(client) == closed
