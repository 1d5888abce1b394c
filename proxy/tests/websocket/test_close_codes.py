"""Codes and reasons of close frames, as they pass in both directions."""

import pytest

from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import (
    RawSocket,
    open_socket,
    read_close,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


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
def test_a_close_without_a_code_is_a_normal_closure_on_both_sides(gateway, socket_upstream, alice_token):
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


def test_a_long_reason_is_relayed_unchanged(gateway, socket_upstream, alice_token):
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
def test_a_reserved_code_is_not_relayed(gateway, socket_upstream, alice_token, code):
    with RawSocket(gateway, alice_token) as client:
        client.send(code.to_bytes(2, "big"), 0x88)
        assert client.read_close()[0] == 1002
    eventually(lambda: socket_upstream.last.closed)
    assert socket_upstream.last.close_code == 1002


@pytest.mark.parametrize("opcodes", [(0x81,), (0x01, 0x80)])
def test_text_that_is_no_utf_8(gateway, socket_upstream, alice_token, opcodes):
    with RawSocket(gateway, alice_token) as client:
        for opcode in opcodes:
            client.send(b"\xff", opcode)
        assert client.read_close()[0] == 1007
    eventually(lambda: socket_upstream.last.closed)
    assert socket_upstream.last.close_code == 1007
