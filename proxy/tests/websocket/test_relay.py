"""WebSockets through the gateway: what is relayed, and how it ends."""

import asyncio
import os
import socket
import time
import zlib

import pytest

from proxy.dataplane.rules.cookies import sign_access
from proxy.models import ProxySession
from proxy.tests.support.raw_client import connected
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import (
    RawSocket,
    accept_response,
    handshake,
    open_socket,
    read_close,
    vanish,
    websocket_tasks,
)
from zenzefi.common.digests import secret_digest


@pytest.fixture
def nothing_left(gateway, socket_upstream):
    """Whatever happened: no carry, no task, no WebSocket of the upstream's stays."""
    yield
    eventually(lambda: len(gateway.plane.in_flight) == 0)
    eventually(lambda: websocket_tasks(gateway) == [])
    eventually(lambda: socket_upstream.open == 0)


pytestmark = pytest.mark.usefixtures("nothing_left")


def test_text_and_binary_cross_both_ways_in_order(gateway, socket_upstream, alice_token):
    messages = ["one", "я ☃ 💾", b"\x00\xff", "", b"", "zenzefi" * 1000, os.urandom(100_000), *map(str, range(200))]
    with open_socket(gateway, "/ws", alice_token) as client:
        for message in messages:
            client.send(message)
        assert [client.recv(timeout=5) for _ in messages] == messages
    assert socket_upstream.last.received == messages


def test_the_demo_upstream_echoes(gateway, demo_upstream, alice_token):
    gateway.restart(ZENZEFI_TARGET_URL=demo_upstream.url)
    with open_socket(gateway, "/ws/echo", alice_token, subprotocols=["echo.v1"]) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"
        assert client.subprotocol == "echo.v1"


def test_a_message_in_fragments_arrives_whole(gateway, socket_upstream, alice_token):
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send(iter(["a", "b", "c"]))
        assert client.recv(timeout=5) == "abc"


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_message_of_the_largest_size(gateway, socket_upstream, alice_token, compression):
    gateway.restart(WEBSOCKET_MAX_MESSAGE_BYTES=16 * 2**20)
    large = b"zenzefi " * 2**21
    with open_socket(gateway, "/ws", alice_token, compression=compression) as client:
        client.send(large)
        assert client.recv(timeout=10) == large


# case D58
def test_a_message_above_the_limit_from_the_client(gateway, socket_upstream, alice_token):
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send("first")
        assert client.recv(timeout=5) == "first"
        # The header of a frame is enough.
        client.socket.sendall(b"\x82\xff" + (16 * 2**20 + 1).to_bytes(8, "big") + bytes(4))
        assert read_close(client)[0] == 1009
    assert socket_upstream.last.received == ["first"]
    eventually(lambda: socket_upstream.last.close_code == 1009)


# case D58
def test_a_client_that_sends_its_over_long_message_to_the_end_learns_why_it_was_closed(
    gateway, socket_upstream, alice_token
):
    with RawSocket(gateway, alice_token) as client:
        client.send(bytes(2**25), 0x82)
        assert client.read_close()[0] == 1009
    eventually(lambda: socket_upstream.last.close_code == 1009)


# case D58
def test_fragments_count_together(gateway, socket_upstream, alice_token):
    with RawSocket(gateway, alice_token) as client:
        client.send(bytes(2**23), 0x02)
        client.send(bytes(2**23), 0x00)
        client.send(b"x", 0x80)
        assert client.read_close()[0] == 1009


# case D58
def test_a_message_above_the_limit_from_the_upstream(gateway, socket_upstream, alice_token):
    gateway.restart(WEBSOCKET_MAX_MESSAGE_BYTES=1024)
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send("x" * 1025)
        assert read_close(client) == (1009, "")
    eventually(lambda: socket_upstream.last.close_code == 1009)


# case D58
def test_an_upstream_that_sends_its_over_long_message_to_the_end_learns_why_it_was_closed(
    gateway, recorded, alice_token
):
    received = []

    async def send_all(request, connection):
        await connection.send(accept_response(request) + b"\x82\x7f" + (2**25).to_bytes(8, "big"))
        for _ in range(2**9):
            await connection.send(bytes(2**16))
        received.append(await connection.reader.readexactly(8))

    recorded.response = send_all
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client) == (1009, "")
    eventually(lambda: received)
    opcode, mask, code = received[0][:1], received[0][2:6], received[0][6:8]
    assert (opcode, bytes(a ^ b for a, b in zip(code, mask, strict=False))) == (b"\x88", b"\x03\xf1")


# case D58
def test_compression_is_not_negotiated(gateway, socket_upstream, alice_token):
    """So that there is no deflate bomb: nothing is ever inflated."""
    with RawSocket(gateway, alice_token, b"Sec-WebSocket-Extensions: permessage-deflate") as client:
        assert b"sec-websocket-extensions" not in client.response.lower()
        client.send(zlib.compress(bytes(2**25), 9, -15), 0xC2)
        assert client.read_close()[0] == 1002
    assert socket_upstream.last.header("sec-websocket-extensions") is None
    assert socket_upstream.last.received == []


@pytest.mark.parametrize(
    "path",
    ["/", "", "/ws?x=%2F&y=a+b&z=%20", "/ws/%D1%8F?q=%D1%8F&&=&a", "/a//b/../%2e%2e/c", "//evil/x", "/ws?"],
)
def test_path_and_query_arrive_byte_for_byte(gateway, socket_upstream, alice_token, path):
    with open_socket(gateway, path, alice_token):
        pass
    # case C39: a target of `?` alone has no query to speak of
    assert socket_upstream.last.path == (path or "/").removesuffix("?")


# cases C28, C31, C44
def test_what_the_upstream_sees(gateway, socket_upstream, alice, alice_token):
    given = {
        "X-User-Id": "spoofed",
        "X_Token_Id": "spoofed",
        "X-Forwarded-For": "192.0.2.66",
        "Forwarded": "for=192.0.2.66",
        "Proxy-Authorization": "Basic x",
        "X-Request-ID": "request-of-alice",
        "X-App": "1",
        "Origin": gateway.url,
        "Cookie": "app=1; zenzefi_access=spoofed; zenzefi_session=s; other=2",
        "User-Agent": "desktop/1.0",
    }
    with open_socket(gateway, "/ws", alice_token, headers=given, user_agent_header=None):
        pass
    seen = socket_upstream.last
    assert seen.header("x-user-id") == str(alice.pk)
    assert seen.header("x-token-id") == str(alice_token.token.pk)
    assert seen.header("x-request-id") == "request-of-alice"
    assert seen.header("x-forwarded-for") == "127.0.0.1"
    assert seen.header("x-forwarded-proto") == "http"
    assert seen.header("x-forwarded-host") == f"127.0.0.1:{gateway.port}"
    assert seen.header("host") == f"127.0.0.1:{socket_upstream.port}"
    assert seen.header("via") == "1.1 zenzefi"
    assert seen.header("cookie") == "app=1; other=2"
    assert seen.header("x-app") == "1"
    assert seen.header("user-agent") == "desktop/1.0"
    names = {name.lower() for name, _ in seen.headers}
    assert not names & {"x-access-token", "x-device-id", "proxy-authorization", "forwarded", "x_token_id"}
    assert alice_token.text not in str(seen.headers)


def test_a_websocket_is_the_tokens_first_use(gateway, socket_upstream, alice_token):
    assert alice_token.stored().activated_at is None
    with open_socket(gateway, "/ws", alice_token):
        assert alice_token.stored().activated_at is not None


def test_bytes_are_counted_and_written(gateway, socket_upstream, alice_token):
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send("я" * 100)
        client.recv(timeout=5)
        client.send(bytes(50))
        client.recv(timeout=5)
        gateway.run(gateway.plane.flush.run())
        row = ProxySession.objects.get()
        assert (row.bytes_transferred, row.request_count, row.device_id) == (500, 1, alice_token.device)


# case D55
def test_the_browsers_cookie_from_the_own_origin(gateway, socket_upstream, alice_token):
    cookie = "zenzefi_access=" + sign_access(secret_digest(alice_token.text.encode()), "device-of-browser")
    with open_socket(gateway, "/ws", headers={"Cookie": cookie, "Origin": gateway.url}) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"
    assert socket_upstream.last.header("cookie") is None


# case D56
@pytest.mark.parametrize("chosen", ["one", "two", None])
def test_the_upstream_chooses_the_subprotocol(gateway, socket_upstream, alice_token, chosen):
    socket_upstream.subprotocol = chosen
    with open_socket(gateway, "/ws", alice_token, subprotocols=["one", "two"]) as client:
        assert client.subprotocol == chosen
    assert socket_upstream.last.header("sec-websocket-protocol").replace(" ", "") == "one,two"


# case D56
@pytest.mark.parametrize("offered", [None, ["one", "two"]])
def test_a_subprotocol_that_was_not_offered_fails(gateway, socket_upstream, alice_token, offered):
    socket_upstream.subprotocol = "three"
    with open_socket(gateway, "/ws", alice_token, subprotocols=offered) as client:
        assert client.subprotocol == (offered[0] if offered else None)
        assert read_close(client) == (1014, "upstream_unreachable")


# case D56
@pytest.mark.parametrize("value", [b"one,,two", b",one,two", b"one,two,one", b"one\r\nSec-WebSocket-Protocol: two,"])
def test_subprotocols_are_offered_once_and_none_is_empty(gateway, socket_upstream, alice_token, value):
    """RFC 6455 §4.1, RFC 9110 §5.6.1."""
    socket_upstream.subprotocol = "two"
    with connected(gateway.port) as client:
        client.send(handshake(alice_token, "/ws", b"Sec-WebSocket-Protocol: " + value))
        assert b"\r\nsec-websocket-protocol: two\r\n" in client.read_head().lower()
    assert socket_upstream.last.header("sec-websocket-protocol") == "one, two"


# case D56
@pytest.mark.parametrize("value", [b"\xd1\x8f", b"a b", b"a,\xff", b"a;b", b",", b'"a"'])
def test_a_malformed_subprotocol_is_400_and_the_upstream_hears_nothing(gateway, socket_upstream, alice_token, value):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as raw:
        raw.sendall(handshake(alice_token, "/ws", b"Sec-WebSocket-Protocol: " + value))
        assert raw.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert socket_upstream.handshakes == []


CODES = [1000, 1001, 1003, 1008, 1009, 1011, 3000, 3999, 4000, 4401, 4999]


# case D57
@pytest.mark.parametrize("code", CODES)
def test_the_upstreams_code_and_reason_reach_the_client(gateway, socket_upstream, alice_token, code):
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send(f"close:{code}:причина")
        assert read_close(client) == (code, "причина")


# case D57
@pytest.mark.parametrize("code", CODES)
def test_the_clients_code_and_reason_reach_the_upstream(gateway, socket_upstream, alice_token, code):
    with open_socket(gateway, "/ws", alice_token) as client:
        client.close(code, "причина")
    eventually(lambda: socket_upstream.last.closed)
    assert (socket_upstream.last.close_code, socket_upstream.last.close_reason) == (code, "причина")


# case D57
def test_a_close_without_a_code_is_an_ordinary_end_on_either_side(gateway, socket_upstream, alice_token):
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send("close::")
        assert read_close(client) == (1000, "")
    with open_socket(gateway, "/ws", alice_token) as client:
        client.protocol.send_close()
        for data in client.protocol.data_to_send():
            client.socket.sendall(data)
        read_close(client)
    eventually(lambda: socket_upstream.last.closed)
    assert socket_upstream.last.close_code == 1000


def test_a_long_reason_crosses_whole(gateway, socket_upstream, alice_token):
    reason = "я" * 61
    with open_socket(gateway, "/ws", alice_token) as client:
        client.close(4000, reason)
    eventually(lambda: socket_upstream.last.closed)
    assert socket_upstream.last.close_reason == reason


@pytest.mark.parametrize("how", ["vanish", "leave"])
def test_an_upstream_that_vanishes(gateway, socket_upstream, alice_token, how):
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send(how)
        assert read_close(client) == (1014, "upstream_unreachable")


# case D57
@pytest.mark.parametrize(
    "frame",
    [
        "c100", "8104fffefdfc", "830161", "88020001", "880203ec", "8801ff", "880203ed", "880203ee", "880203f7",
        "88021388", "8802ffff",
    ],
)  # fmt: skip
def test_an_upstream_that_breaks_the_protocol(gateway, socket_upstream, alice_token, frame):
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send(f"raw:{frame}")
        assert read_close(client) == (1014, "upstream_unreachable")


# case D57
@pytest.mark.parametrize("code", [1004, 1005, 1006, 1015, 999, 5000])
def test_a_code_that_nobody_may_send_is_not_sent_on(gateway, socket_upstream, alice_token, code):
    with RawSocket(gateway, alice_token) as client:
        client.send(code.to_bytes(2, "big"), 0x88)
        assert client.read_close()[0] == 1002
    eventually(lambda: socket_upstream.last.closed)
    assert socket_upstream.last.close_code == 1002


@pytest.mark.parametrize("opcodes", [(0x81,), (0x01, 0x80)])
def test_text_that_is_no_text(gateway, socket_upstream, alice_token, opcodes):
    with RawSocket(gateway, alice_token) as client:
        for opcode in opcodes:
            client.send(b"\xff", opcode)
        assert client.read_close()[0] == 1007
    eventually(lambda: socket_upstream.last.closed)
    assert socket_upstream.last.close_code == 1007


# case D57
def test_a_client_that_vanishes(gateway, socket_upstream, alice_token):
    with RawSocket(gateway, alice_token) as client:
        client.send(b"hello")
        eventually(lambda: socket_upstream.last.received == ["hello"])
    eventually(lambda: socket_upstream.last.closed)
    assert socket_upstream.last.close_code == 1001


def test_a_client_that_vanishes_while_much_is_sent_to_it(gateway, socket_upstream, alice_token):
    client = open_socket(gateway, "/ws", alice_token, legacy=True)
    client.send("flood")
    client.recv(timeout=5)
    vanish(client)
    eventually(lambda: socket_upstream.last.closed)


def test_a_client_that_vanishes_before_the_upstream_answers(gateway, recorded, alice_token):
    """The upstream's handshake completes to nobody."""
    reached = []

    async def respond(request, connection):
        reached.append(request)
        await asyncio.sleep(0.3)
        await connection.send(accept_response(request))
        await connection.wait_closed()

    recorded.response = respond
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as raw:
        raw.sendall(handshake(alice_token, "/ws"))
        eventually(lambda: reached)
    eventually(lambda: recorded.closed_connections == 1)


# case D54
@pytest.mark.parametrize("status", [400, 401, 403, 404, 426, 500, 503])
def test_an_upstream_that_refuses_the_handshake(gateway, socket_upstream, alice_token, status):
    socket_upstream.rejection_status = status
    with open_socket(gateway, "/ws", alice_token, subprotocols=["one"]) as client:
        assert client.subprotocol == "one"
        assert read_close(client) == (1014, "upstream_unreachable")


# cases C36, C42
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_handshake_is_not_followed(
    gateway, socket_upstream, recording_upstream, alice_token, status
):
    socket_upstream.rejection_status, socket_upstream.location = status, f"{recording_upstream.url}/elsewhere"
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client) == (1014, "upstream_unreachable")
    assert recording_upstream.connections == 0


def test_an_upstream_that_cannot_be_reached(gateway, socket_upstream, alice_token):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    gateway.restart(ZENZEFI_TARGET_URL=f"http://127.0.0.1:{port}")
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client) == (1014, "upstream_unreachable")


@pytest.mark.parametrize(
    "response", [b"HTTP/1.1 101 Switching\r\n\r\n", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
)
def test_an_upstream_that_speaks_no_websocket(gateway, recorded, alice_token, response):
    recorded.response = response
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client) == (1014, "upstream_unreachable")
    eventually(lambda: recorded.closed_connections == recorded.connections)


def test_an_upstream_that_does_not_answer_the_handshake(gateway, recorded, alice_token):
    async def silence(_request, connection):
        await connection.wait_closed()

    recorded.response = silence
    gateway.restart(UPSTREAM_TIMEOUT=0.3)
    started = time.monotonic()
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client) == (1014, "upstream_timeout")
    assert time.monotonic() - started < 2
    eventually(lambda: recorded.closed_connections == 1)


# cases C36, C37
@pytest.mark.parametrize("target", ["/..;/a;b=1", "/%2e%2e/%00/\\\\evil", "/@evil", "//evil/", "/../../../../ws"])
def test_with_the_full_scope_the_path_is_sent_as_it_came(gateway, socket_upstream, alice_token, target):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as raw:
        raw.sendall(handshake(alice_token, target))
        assert raw.recv(1000).startswith(b"HTTP/1.1 101 ")
        eventually(lambda: socket_upstream.handshakes)
    assert socket_upstream.last.path == target


@pytest.mark.parametrize(
    "more",
    [[b"Content-Length: 5"], [b"Transfer-Encoding: chunked"], [b"Cookie: a=" + b"x" * 20_000], [b"X-App: 1"] * 200],
)
def test_a_handshake_that_the_server_cannot_read_is_400(gateway, socket_upstream, alice_token, more):
    body = b"0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as raw:
        raw.sendall(handshake(alice_token, "/ws", *more) + body)
        response = b""
        while data := raw.recv(1000):
            response += data
    assert response.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"bad_request"' in response
    assert socket_upstream.handshakes == []


def test_the_upstreams_messages_just_before_its_close_arrive(gateway, socket_upstream, alice_token):
    with open_socket(gateway, "/ws", alice_token) as client:
        for number in range(50):
            client.send(str(number))
        client.send("close:4000:done")
        assert [client.recv(timeout=5) for _ in range(50)] == [str(number) for number in range(50)]
        assert read_close(client) == (4000, "done")


def test_60_websockets_one_after_another_leave_nothing(gateway, socket_upstream, alice_token):
    for number in range(60):
        client = open_socket(gateway, "/ws", alice_token, legacy=True)
        client.send("x")
        client.recv(timeout=5)
        [client.close, lambda client=client: vanish(client), lambda client=client: client.send("vanish")][
            number % 3
        ]()
    eventually(lambda: socket_upstream.open == 0)
