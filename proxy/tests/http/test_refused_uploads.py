"""Responses to uploads that the gateway does not read to their end, which must reach the client (RFC 9112 §9.6)."""

import contextlib
import socket
import urllib.error
import urllib.request
from itertools import product

import pytest

from proxy.dataplane.server import lingering
from proxy.tests.support import nginx
from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import eventually
from zenzefi.tests.support.command import free_port

pytestmark = pytest.mark.embedded

MIB = 2**20
TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig"
# The version of a client, and its fields about the connection.
CLIENTS = {
    "HTTP/1.0": ("HTTP/1.0", {}),
    "close": ("HTTP/1.1", {"Connection": "close"}),
    "keep-alive": ("HTTP/1.1", {}),
    "chunked": ("HTTP/1.1", {"Transfer-Encoding": "chunked", "Connection": "close"}),
    "expect": ("HTTP/1.1", {"Expect": "100-continue"}),
}
PROXIED = "/api/v1/proxy/x"


@pytest.fixture
def refusals(gateway, recorded, alice_token, bob_token):
    """Return statuses, each with the target and the fields of a request that is refused with it."""

    async def respond_early(_request, connection):
        await connection.send(TOO_LARGE)
        await connection.wait_closed()

    assert gateway.client(bob_token).get("/x").status_code == 200  # the device takes the token
    recorded.reads_bodies = False
    recorded.response = respond_early
    return {
        401: (PROXIED, {"X-Access-Token": "unknown"}),
        400: (PROXIED, {**alice_token.headers, "X-Device-ID": "short"}),
        409: (PROXIED, bob_token.on("another-device").headers),
        413: (PROXIED, alice_token.headers),  # by the upstream
        404: ("/api/v1/nothing", {}),  # by Django, or 413 by the control plane
        405: ("/health/live", {}),
    }


@pytest.mark.parametrize("client_kind", CLIENTS)
def test_a_client_that_sends_all_of_it_reads_the_refusal(gateway, refusals, client_kind):
    """Send the whole body before the response is read, as urllib and many other clients do."""
    for (status, (target, more)), size in product(refusals.items(), [1, 70_000, 8 * MIB]):
        expected = 413 if status == 404 and size > MIB else status
        with connected(gateway.port) as client:
            send_upload(client, client_kind, target, more, size)
            assert (client.read_response("POST").status, size) == (expected, size)
    eventually(lambda: len(gateway.plane.lingering) == 0)


def send_upload(client, client_kind, target, more, size):
    version, fields = CLIENTS[client_kind]
    chunked = client_kind == "chunked"
    length = {} if chunked else {"Content-Length": size}
    client.send(head("POST", target, {"Host": "127.0.0.1", **length, **fields, **more}, version=version))
    if client_kind == "expect" and not client.socket.recv(25, socket.MSG_PEEK).startswith(b"HTTP/1.1 100"):
        return
    if client_kind == "expect":
        assert client.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    for start in range(0, size, MIB):
        piece = b"x" * min(MIB, size - start)
        client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    if chunked:
        client.send(b"0\r\n\r\n")


def test_urllib_reads_the_refusal(gateway, refusals):
    for status, (target, more) in refusals.items():
        request = urllib.request.Request(gateway.url + target, b"x" * 4 * MIB, {"Host": "127.0.0.1", **more})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code == (413 if status == 404 else status)
        refused.value.close()


@pytest.mark.parametrize(("target", "status"), [(PROXIED, 401), ("/health/live", 405), ("/api/v1/nothing", 413)])
def test_a_refusal_without_100_closes_the_connection(gateway, target, status):
    """Close it, because some clients send their body now, and others their next request (RFC 9110 §10.1.1)."""
    given = {"Host": "127.0.0.1", "Expect": "100-continue", "Content-Length": 50 * MIB}
    with connected(gateway.port) as client:
        client.send(head("POST", target, given))
        response = client.read_response("POST")
        assert (response.status, response.headers["Connection"]) == (status, "close")
        assert client.read_rest() == b""


def test_a_refusal_without_a_body_keeps_the_connection(gateway):
    with connected(gateway.port) as client:
        for length in ({"Content-Length": 0}, {}):
            client.send(head("POST", PROXIED, {"Host": "h", "Expect": "100-continue", **length}))
            assert client.read_response("POST").status == 401


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (head("POST", PROXIED, {"Host": "h"}, b"Content-Length: 1", b"Content-Length: 2"), 400),
        (head("POST", PROXIED, {"Host": "h", "Transfer-Encoding": "chunked"}, version="HTTP/1.0"), 400),
        (b"POST / HTTP/1.1\r\nX: " + b"x" * 40_000, 431),
        (head("GET", PROXIED, {"Host": "h", "Upgrade": "websocket", "Connection": "Upgrade"}), 400),
    ],
)
def test_a_malformed_request_with_much_behind_it(gateway, sent, status):
    with connected(gateway.port) as client:
        client.send(sent)
        for _ in range(4):
            client.send(b"x" * MIB)
        assert client.read_response("POST").status == status


class TestLimits:
    """The gateway reads on for a bounded time, and a bounded number of bytes and connections."""

    REFUSED = head("POST", PROXIED, {"Host": "h", "Content-Length": 2**40, "Connection": "close"})

    @contextlib.contextmanager
    def refused(self, gateway):
        with connected(gateway.port) as client:
            client.send(self.REFUSED)
            assert client.read_response("POST").status == 401
            yield client

    def test_a_silent_client(self, gateway, monkeypatch):
        monkeypatch.setattr(lingering, "SILENT_SECONDS", 0.3)
        with self.refused(gateway):
            eventually(lambda: gateway.connections == [], 3)

    def test_a_slow_client(self, gateway, monkeypatch):
        monkeypatch.setattr(lingering, "SECONDS", 0.5)
        with self.refused(gateway) as client:
            client.socket.settimeout(0.05)
            eventually(lambda: send_or_end(client, b"x"), 3)
        eventually(lambda: gateway.connections == [])

    def test_a_client_that_sends_much(self, gateway, monkeypatch):
        monkeypatch.setattr(lingering, "MAX_BYTES", 10 * MIB)
        with self.refused(gateway) as client:
            eventually(lambda: send_or_end(client, b"x" * MIB))
        eventually(lambda: gateway.connections == [])

    def test_many_clients(self, gateway, monkeypatch):
        monkeypatch.setattr(gateway.plane.lingering, "_most", 3)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(self.refused(gateway)) for _ in range(5)]
            eventually(lambda: len(gateway.connections) == 3)
            assert [send_or_end(client, b"x" * MIB) for client in clients[2:]] == [False] * 3
        eventually(lambda: len(gateway.plane.lingering) == 0)


def send_or_end(client, data):
    """Send the data, and return whether the connection has ended."""
    try:
        client.send(data)
    except (ConnectionError, TimeoutError):
        return True
    return False


@pytest.mark.skipif(nginx.NGINX is None, reason="needs nginx")
def test_behind_nginx_with_its_defaults(gateway, refusals, tmp_path):
    """Pass every refusal on: nginx speaks HTTP/1.0 and sends the whole upload before it reads."""
    port = free_port()
    site = f"""
        server {{
            listen 127.0.0.1:{port};
            client_max_body_size 0;
            proxy_request_buffering off;
            location / {{ proxy_pass http://127.0.0.1:{gateway.port}; proxy_set_header Host 127.0.0.1; }}
        }}
    """
    with nginx.running(tmp_path, site, port):
        for (status, (target, more)), _time in product(refusals.items(), range(10)):
            with connected(port) as client:
                send_upload(client, "close", target, more, 4 * MIB)
                assert client.read_response("POST").status == (413 if status == 404 else status)
