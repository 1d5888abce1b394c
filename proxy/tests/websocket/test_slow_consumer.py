"""Backpressure: a side that does not read pauses the other, and the gateway's memory does not grow."""

import asyncio
import contextlib
import socket
import threading
import time
from types import SimpleNamespace

import pytest

from proxy.dataplane.server.http_protocol import GatewayProtocol
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import (
    RawSocket,
    SocketUpstream,
    accept_response,
    frame,
    handshake,
    resident_bytes,
)

MIB = 2**20
DURATIONS = [2, pytest.param(60, marks=pytest.mark.slow)]


@pytest.fixture
def upstream(_upstream_loop):
    upstream = SocketUpstream(_upstream_loop)
    yield upstream
    upstream.stop()


@pytest.fixture
def gateway_process(start_gateway_process, upstream):
    process = start_gateway_process(upstream.url, WEBSOCKET_MAX_MESSAGE_BYTES=str(2 * MIB))
    process.wait_ready()
    return process


@pytest.fixture
def growth(gateway_process, upstream, alice_token):
    """Return a function that runs clients one after another and returns the peak growth of memory in bytes."""
    pid = gateway_process.process.pid
    with RawSocket(gateway_process, alice_token) as client:  # memory that the first client needs does not count
        for _ in range(20):
            client.send(bytes(65536), 0x82)
        eventually(lambda: len(upstream.last.received) == 20)

    def measure(flood, seconds):
        before = worst = resident_bytes(pid)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            # The gateway closes the connection when it finds one side dead, after most of a minute.
            with contextlib.suppress(ConnectionError), RawSocket(gateway_process, alice_token) as client:
                client.socket.settimeout(0.1)
                for _ in flood(client):
                    worst = max(worst, resident_bytes(pid))
                    if time.monotonic() > until:
                        break
        return worst - before

    return measure


# case D59
@pytest.mark.parametrize("seconds", DURATIONS)
def test_a_client_that_does_not_read_pauses_the_upstream(growth, seconds):
    for message in (b"flood", b"flood of small ones"):

        def flood(client, message=message):
            client.send(message)
            while client.is_open:
                time.sleep(0.02)
                yield

        assert growth(flood, seconds) < 8 * MIB, message


# case D59
def test_few_messages_are_buffered_for_a_client_that_does_not_read(gateway, socket_upstream, alice_token):
    """Buffer little: a message costs about 150 bytes more than its size, so 64 KiB of the smallest cost 3.5 MiB."""
    with RawSocket(gateway, alice_token) as client:
        (relay,) = gateway.plane.in_flight.all()
        connection = relay._client
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.send(b"flood of small ones")
        eventually(lambda: not connection.writable.is_set())
        assert connection.transport.get_write_buffer_size() < 10 * 1024


FLOODS = {  # the bytes to send once, the bytes to repeat, and the permitted growth of memory in MiB
    "large messages": (b"", frame(bytes(2**20)), 16),
    "small messages": (b"", frame(b"x") * 10_000, 8),
    "tiny fragments": (frame(b"x", 0x02), frame(b"yz", 0x00) * 10_000, 8),
    "empty fragments": (frame(b"x", 0x02), frame(b"", 0x00) * 10_000, 8),
    "pings": (b"", frame(b"x" * 125, 0x89) * 1000, 8),
}


# case D59
@pytest.mark.parametrize("seconds", DURATIONS)
def test_an_upstream_that_does_not_read_pauses_the_client(growth, seconds):
    for kind, (first, repeated, limit) in FLOODS.items():

        def flood(client, first=first, repeated=repeated):
            client.send(b"freeze")
            client.socket.sendall(first)
            rest = repeated
            while True:
                with contextlib.suppress(TimeoutError):
                    rest = rest[client.socket.send(rest) :] or repeated
                yield

        assert growth(flood, seconds) < limit * MIB, kind


# case D59
def test_delayed_messages_arrive_in_the_end(gateway_process, upstream, alice_token):
    upstream.echoes = False
    with RawSocket(gateway_process, alice_token) as client:
        client.send(b"freeze")
        rest = client.send_until_held_back(frame(b"x" * 1000))
        upstream.thaw()
        client.socket.sendall(rest + frame(b"last") + frame(b"\x03\xe8", 0x88))
        eventually(lambda: upstream.last.closed)
    received = upstream.last.received
    assert set(received[1:-1]) == {b"x" * 1000}
    assert len(received) > 1000
    assert (received[0], received[-1], upstream.last.close_code) == ("freeze", b"last", 1000)


# case D59
@pytest.mark.parametrize("flood", [frame(b"", 0x89), frame(b""), frame(b"", 0x8A)])
def test_a_denied_client_that_floods_does_not_block_the_event_loop(gateway, flood):
    """Discard the frames of a denied client, which has ten seconds to respond to the close frame."""
    longest = 0.0

    async def measure():
        nonlocal longest
        loop = asyncio.get_running_loop()
        until = loop.time() + 1.5
        while loop.time() < until:
            before = loop.time()
            await asyncio.sleep(0.005)
            longest = max(longest, loop.time() - before)

    with RawSocket(gateway, SimpleNamespace(headers={})) as client:
        measuring = threading.Thread(target=lambda: gateway.run(measure()))
        measuring.start()
        client.socket.settimeout(0.1)
        while measuring.is_alive():
            with contextlib.suppress(TimeoutError, ConnectionError):
                client.socket.sendall(flood * 2**18)
        measuring.join()
    assert longest < 0.5


# case D59
def test_a_client_that_has_not_read_an_earlier_response_pauses_the_upstream(gateway, recorded, alice_token):
    """Pause the upstream, although the transport reported its full buffer to the HTTP protocol only."""
    sent = []

    async def respond(request, connection):
        if request.header(b"upgrade") is None:
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + bytes(2**16))
            return True
        await connection.send(accept_response(request))
        with contextlib.suppress(ConnectionError):
            while len(sent) < 500:
                await connection.send(b"\x82\x7e\xff\xff" + bytes(65535))
                sent.append(65535)
        return False

    recorded.response = respond
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(5)
        client.connect(("127.0.0.1", gateway.port))
        connection = eventually(lambda: _connection(gateway))
        transport = connection.transport.release()  # no write is pending there
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        fields = "".join(f"{name}: {value}\r\n" for name, value in alice_token.headers.items())
        client.sendall(f"GET /api/v1/proxy/x HTTP/1.1\r\nHost: h\r\n{fields}\r\n".encode())
        eventually(lambda: connection.cycle is not None and connection.cycle.response_complete)
        assert transport.get_write_buffer_size() > 10 * 1024
        client.sendall(handshake(alice_token, "/ws"))
        eventually(lambda: len(gateway.plane.in_flight) == 1 and recorded.requests[1:])
        time.sleep(1)
        assert transport.get_write_buffer_size() < 2**18
        received = b""
        while b"HTTP/1.1 101" not in received or len(received) < 2**22:
            received += client.recv(2**16)
    eventually(lambda: recorded.closed_connections == 1)


def _connection(gateway):
    """Return the gateway's only HTTP connection, or None if there is none or more than one."""
    found = [known for known in gateway.connections if isinstance(known, GatewayProtocol)]
    return found[0] if len(found) == 1 else None
