"""Relayed WebSockets: messages, the forwarded handshake, and clients that vanish."""

import os
import socket

import pytest

from proxy.dataplane.rules.cookies import sign_access
from proxy.models import ProxySession
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import (
    RawSocket,
    handshake,
    open_socket,
    read_close,
    vanish,
)
from zenzefi.common.digests import secret_digest

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_text_and_binary_messages_are_relayed_in_order(gateway, socket_upstream, alice_token):
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


@pytest.mark.parametrize(
    "path",
    ["/", "", "/ws?x=%2F&y=a+b&z=%20", "/ws/%D1%8F?q=%D1%8F&&=&a", "/a//b/../%2e%2e/c", "//evil/x", "/ws?"],
)
def test_path_and_query_arrive_byte_for_byte(gateway, socket_upstream, alice_token, path):
    with open_socket(gateway, path, alice_token):
        pass
    # case C39: an empty query may lose its `?`
    assert socket_upstream.last.path == (path or "/").removesuffix("?")


# cases C28, C31, C44
def test_the_forwarded_fields(gateway, socket_upstream, alice, alice_token):
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
def test_a_browsers_cookie_from_the_gateways_origin(gateway, socket_upstream, alice_token):
    cookie = "zenzefi_access=" + sign_access(secret_digest(alice_token.text.encode()), "device-of-browser")
    with open_socket(gateway, "/ws", headers={"Cookie": cookie, "Origin": gateway.url}) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"
    assert socket_upstream.last.header("cookie") is None


# case D57
def test_a_client_that_vanishes(gateway, socket_upstream, alice_token):
    with RawSocket(gateway, alice_token) as client:
        client.send(b"hello")
        eventually(lambda: socket_upstream.last.received == ["hello"])
    eventually(lambda: socket_upstream.last.closed)
    assert socket_upstream.last.close_code == 1001


def test_a_client_that_vanishes_during_heavy_traffic(gateway, socket_upstream, alice_token):
    client = open_socket(gateway, "/ws", alice_token, legacy=True)
    client.send("flood")
    client.recv(timeout=5)
    vanish(client)
    eventually(lambda: socket_upstream.last.closed)


# cases C36, C37
@pytest.mark.parametrize("target", ["/..;/a;b=1", "/%2e%2e/%00/\\\\evil", "/@evil", "//evil/", "/../../../../ws"])
def test_with_the_full_scope_the_path_stays_unchanged(gateway, socket_upstream, alice_token, target):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as raw:
        raw.sendall(handshake(alice_token, target))
        assert raw.recv(1000).startswith(b"HTTP/1.1 101 ")
        eventually(lambda: socket_upstream.handshakes)
    assert socket_upstream.last.path == target


@pytest.mark.parametrize(
    "more",
    [[b"Content-Length: 5"], [b"Transfer-Encoding: chunked"], [b"Cookie: a=" + b"x" * 20_000], [b"X-App: 1"] * 200],
)
def test_an_unreadable_handshake_is_400(gateway, socket_upstream, alice_token, more):
    body = b"0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as raw:
        raw.sendall(handshake(alice_token, "/ws", *more) + body)
        response = b""
        while data := raw.recv(1000):
            response += data
    assert response.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"bad_request"' in response
    assert socket_upstream.handshakes == []


def test_messages_right_before_the_upstreams_close_arrive(gateway, socket_upstream, alice_token):
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
