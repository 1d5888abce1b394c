"""The response to a WebSocket's handshake: its header fields, and the denial of malformed handshakes."""

import asyncio
import re

import pytest
from websockets.sync.client import connect

from proxy.tests.support.raw_client import RawClient
from proxy.tests.support.websockets import accept_response, handshake, open_socket, read_close

REQUEST_ID = {"X-Request-ID": "my-request.1"}


def test_the_response_has_the_request_id_and_the_expiry(gateway, socket_upstream, alice_token):
    with open_socket(gateway, "/ws", alice_token, headers=REQUEST_ID) as client:
        response = client.response.headers
    assert response["X-Request-ID"] == socket_upstream.last.header("x-request-id") == "my-request.1"
    assert response["X-Zenzefi-Expires-At"] == f"{alice_token.stored().expires_at:%Y-%m-%dT%H:%M:%SZ}"


# case C45
def test_the_upstreams_fields_are_forwarded_with_cookies_under_the_prefix(gateway, socket_upstream, alice_token):
    socket_upstream.fields = [
        ("Set-Cookie", "app=1; Path=/"),
        ("Set-Cookie", "sessionid=stolen; Path=/"),
        ("Set-Cookie", "zenzefi_access=stolen"),
        ("Set-Cookie", "other=2; Domain=target.example"),
        ("X-App", "gr\xfc\xdfe"),
        ("X-Zenzefi-Expires-At", "never"),
        ("X-Request-ID", "the-upstreams"),
        ("Content-Length", "5"),
    ]
    with open_socket(gateway, "/ws", alice_token, headers=REQUEST_ID) as client:
        response = client.response.headers
    prefixed = "Path=/api/v1/proxy/"
    assert response.get_all("Set-Cookie") == [f"app=1; {prefixed}", f"sessionid=stolen; {prefixed}", "other=2"]
    assert response["X-App"] == "gr\xfc\xdfe"
    assert "Content-Length" not in response  # RFC 9110 §8.6
    assert response["X-Request-ID"] == "my-request.1"
    assert response["X-Zenzefi-Expires-At"] == f"{alice_token.stored().expires_at:%Y-%m-%dT%H:%M:%SZ}"
    assert (
        len(response.get_all("Connection")) == len(response.get_all("Upgrade")) == len(response.get_all("Date")) == 1
    )


def test_a_denial_has_the_request_id(gateway):
    with connect(f"ws://127.0.0.1:{gateway.port}/api/v1/proxy/ws", additional_headers=REQUEST_ID) as client:
        assert client.response.headers["X-Request-ID"] == "my-request.1"
        assert read_close(client) == (4401, "invalid_token")


def test_without_a_request_id_there_is_a_new_one(gateway):
    with connect(f"ws://127.0.0.1:{gateway.port}/api/v1/proxy/ws") as client:
        assert re.fullmatch("[0-9a-f]{32}", client.response.headers["X-Request-ID"])


@pytest.mark.parametrize(
    ("wrong", "instead"),
    [
        (b"GET ", b"POST "),
        (b"Sec-WebSocket-Version: 13\r\n", b""),
        (b"Sec-WebSocket-Version: 13\r\n", b"Sec-WebSocket-Version: 8\r\n"),
        (b"Sec-WebSocket-Version: 13\r\n", b"Sec-WebSocket-Version: 13\r\n" * 2),
        (b"Sec-WebSocket-Key: ", b"X-Key: "),
        (b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Key: x"),
        (b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: ;;\r\n\r\n"),
        (b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhello"),
        (b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ],
)
def test_a_malformed_handshake_is_a_bad_request(gateway, socket_upstream, alice_token, wrong, instead):
    sent = handshake(alice_token, "/ws")
    assert wrong in sent
    client = RawClient(gateway.port)
    client.send(sent.replace(wrong, instead))
    response = client.read_response()
    assert (response.status, response.headers["X-Zenzefi-Error"]) == (400, "bad_request")
    assert response.json() == {"detail": "The request is malformed or ambiguous.", "code": "bad_request"}
    assert response.headers["X-Request-ID"]
    if response.headers["Sec-WebSocket-Version"]:  # RFC 6455 §4.4
        assert response.headers["Sec-WebSocket-Version"] == "13"
    else:
        assert instead == b"POST "  # A POST is no handshake.
    assert client.socket.recv(1) == b""
    assert socket_upstream.handshakes == []
    client.socket.close()


def test_interim_responses_of_the_upstream_are_skipped(gateway, recorded, alice_token):
    async def respond(request, connection):
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        data = interim + accept_response(request)
        for start in range(0, len(data), 40):
            await connection.send(data[start : start + 40])
            await asyncio.sleep(0.01)
        await connection.send(b"\x81\x02hi")
        await connection.wait_closed()

    recorded.response = respond
    with open_socket(gateway, "/ws", alice_token) as client:
        assert client.recv(timeout=3) == "hi"
        assert "Link" not in client.response.headers
