"""Many open WebSockets, which cost little memory and start despite a low soft limit on open files."""

import resource
from contextlib import ExitStack

import pytest

from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import RawSocket, SocketUpstream, resident_bytes

KIB = 2**10


@pytest.fixture
def upstream(_upstream_loop):
    upstream = SocketUpstream(_upstream_loop)
    yield upstream
    upstream.stop()


@pytest.fixture
def lift_limit():
    """Lower the soft limit on open files, so that the gateway starts with it, and yield a function that lifts it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_an_idle_websocket_costs_less_than_80_kib(lift_limit, start_gateway_process, upstream, alice_token, count):
    gateway = start_gateway_process(upstream.url, MAX_CONNECTIONS_PER_TOKEN=str(count + 50))
    gateway.wait_ready()
    lift_limit()
    deflate = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"  # as browsers do

    def open_and_use():
        client = stack.enter_context(RawSocket(gateway, alice_token, deflate))
        client.send(b"x" * 1000)
        assert client.socket.recv(4) == b"\x81\x7e\x03\xe8"

    with ExitStack() as stack:
        for _ in range(50):
            open_and_use()
        before = resident_bytes(gateway.process.pid)
        for _ in range(count):
            open_and_use()
        each = (resident_bytes(gateway.process.pid) - before) / count
        assert upstream.open == count + 50
        assert each < 80 * KIB
    eventually(lambda: upstream.open == 0)
