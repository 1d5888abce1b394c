"""The gateway behind nginx with `deploy/nginx.conf`, which behaves the same as the gateway alone."""

import contextlib
import ipaddress
import re
import ssl
import time
from random import Random
from socket import create_connection
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.sync.client import connect

from proxy.dataplane.admission import handoff_codes
from proxy.dataplane.rules.cookies import sign_access
from proxy.tests.support import hostile_requests
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.clock import running_seconds
from proxy.tests.support.header_limits import FIELDS_TOO_LARGE
from proxy.tests.support.nginx import NGINX
from proxy.tests.support.servers import OneByOne
from proxy.tests.support.websockets import read_close
from zenzefi import asgi

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx")
CLIENT = "127.0.0.5"


@pytest.fixture
def front(gateway, deployed_nginx, monkeypatch):
    """Return the URL of an nginx that the gateway trusts."""
    monkeypatch.setattr(asgi.application, "_trusted", [ipaddress.ip_network("127.0.0.1/32")])
    return deployed_nginx(gateway.port, gateway.port)


@pytest.fixture
def send(front):
    """Yield a function that requests a proxied path from nginx, with an address other than nginx's own."""
    transport = httpx.HTTPTransport(verify=False, local_address=CLIENT)
    with httpx.Client(base_url=f"{front}/api/v1/proxy", transport=transport, timeout=10) as client:
        yield lambda path, token=None, method="GET", **options: client.request(
            method, path, **{"headers": token.headers if token else {}, **options}
        )


def open_socket(front, path, token=None):
    trusting = ssl._create_unverified_context()
    url = f"{front.replace('https', 'wss')}/api/v1/proxy{path}"
    return connect(url, ssl=trusting, additional_headers=token.headers if token else {}, proxy=None)


def test_denials_keep_code_and_body(gateway, send, alice_token):
    assert_denied(send("/echo"), "invalid_token")
    assert_denied(send("/echo", headers={"X-Access-Token": alice_token.text}), "device_id_required")
    assert send("/echo", alice_token).status_code == 200
    assert_denied(send("/echo", alice_token.on("another-device")), "device_conflict")
    gateway.restart(RATE_LIMIT_PROXY="1/minute")
    assert send("/echo", alice_token).status_code == 200
    assert_denied(send("/echo", alice_token), "rate_limited")
    gateway.restart(RATE_LIMIT_PROXY="", MAINTENANCE=True)
    assert_denied(send("/echo", alice_token), "maintenance")
    gateway.restart(MAINTENANCE=False, ZENZEFI_TARGET_URL="http://127.0.0.1:9")
    assert_denied(send("/echo", alice_token), "upstream_unreachable")


def test_a_missing_body(gateway, send, alice_token):
    gateway.restart(CLIENT_BODY_TIMEOUT=0.3)

    def pieces():
        yield b"x"
        time.sleep(1.5)
        yield b"y"

    assert_denied(send("/upload", alice_token, "POST", content=pieces()), "request_timeout")


def test_the_upstream_sees_the_same_request(recorded, send, alice_token):
    for target in ("/a%2Fb//c;d?x=%2F&y=a+b", "/%2e%2e/x", "/x?a=b?c"):
        assert send(target, alice_token, "POST", content=b"body").status_code == 200
        assert recorded.last.target.decode() == target
        assert recorded.last.body == b"body"


@pytest.mark.parametrize("size", [9_000, 16_000, 31_000])
def test_header_blocks_that_the_gateway_accepts(recorded, send, alice_token, size):
    cookie = "c=" + "x" * size
    assert send("/x", alice_token, headers={**alice_token.headers, "Cookie": cookie}).status_code == 200
    assert recorded.last.header(b"cookie") == cookie.encode()
    assert send("/x?" + "q" * size, alice_token).status_code == 200
    assert len(recorded.last.target) == 3 + size


def test_header_blocks_that_are_too_large_for_the_gateway(recorded, send, alice_token):
    """Let nginx deny a single line that is too large, and the gateway a block of shorter lines."""
    responses = [
        send("/x", headers={**alice_token.headers, "Cookie": "c=" + "x" * 33_000}),
        send("/x?" + "q" * 33_000, alice_token),
        send("/x", headers={**alice_token.headers, "A": "a" * 20_000, "B": "b" * 20_000}),
    ]
    assert [response.status_code for response in responses] == [400, 414, 431]
    assert responses[-1].json() == FIELDS_TOO_LARGE
    assert recorded.connections == 0


# cases C33, C35, C36, C40
@pytest.mark.parametrize(
    "kind", ["ambiguous_framing", "old_chunks", "bad_chunks", "bad_fields", "bad_hosts", "bad_targets", "bad_lines"]
)
def test_malformed_requests_are_denied_or_repaired(gateway, recorded, front, alice_token, kind):
    """Let at most one request pass: nginx denies most of them itself and drops fields that it cannot read."""
    for seed in range(30):
        before = len(recorded.requests)
        statuses = _statuses(gateway, front, hostile_requests.KINDS[kind](Random(seed), alice_token.headers).data)
        arrived = recorded.requests[before:]
        assert not any(b"smuggled" in request.raw for request in arrived), seed
        assert statuses == [200] if arrived else not {200, 500, 502} & set(statuses), (seed, statuses)


def _statuses(gateway, front, data):
    """Send these bytes and return the statuses of the responses. A request without an end gets none.

    nginx takes up what it receives in order: after the first probe, it has forwarded what it forwards of the data,
    and after the second one, it has received the gateway's responses.
    """
    address = urlsplit(front)
    with (
        create_connection((address.hostname, address.port), timeout=5) as plain,
        ssl._create_unverified_context().wrap_socket(plain) as client,
    ):
        client.sendall(data)
        _probe(front)
        sent = time.monotonic()
        while not gateway.is_idle and running_seconds(sent) < 0.5:
            time.sleep(0.001)
        _probe(front)
        client.settimeout(0.15)
        response = b""
        with contextlib.suppress(TimeoutError, OSError):
            while piece := client.recv(65536):
                response += piece
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", response)]


def _probe(front):
    assert httpx.get(f"{front}/health/live", verify=False, trust_env=False).status_code == 200


# case C32
def test_the_clients_address_comes_from_nginx_only(recorded, send, alice_token):
    claims = {"X-Forwarded-For": "9.9.9.9", "X-Forwarded-Proto": "http", "X-Real-IP": "9.9.9.9", "Forwarded": "for=9"}
    assert send("/x", headers={**alice_token.headers, **claims}).status_code == 200
    assert recorded.last.header(b"x-forwarded-for") == f"{CLIENT}, 127.0.0.1".encode()
    assert recorded.last.header(b"x-forwarded-proto") == b"https"
    assert b"9.9.9.9" not in recorded.last.raw
    assert not {b"x-real-ip", b"forwarded"} & {name for name, _ in recorded.last.headers}


def test_events_arrive_one_by_one(recorded, front, alice_token):
    events = OneByOne(recorded)
    url = f"{front}/api/v1/proxy/events"
    with httpx.stream("GET", url, headers=alice_token.headers, verify=False, trust_env=False) as response:
        events.read(response)


def test_a_websocket_and_its_denial(front, socket_upstream, alice_token):
    with open_socket(front, "/ws", alice_token) as client:
        for message in ("hello", b"\x00\xff"):
            client.send(message)
            assert client.recv(timeout=5) == message
        client.send("close:4999:bye")
        assert read_close(client) == (4999, "bye")
    with open_socket(front, "/ws") as client:
        assert read_close(client) == (4401, "invalid_token")


# case C50
def test_a_response_that_breaks_off_never_looks_complete(front, alice_token):
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{front}/api/v1/proxy/fail", headers=alice_token.headers, verify=False, trust_env=False)


class TestTheUpstreamsOwnHost:
    SITE, HOST = "https://zenzefi.example", "proxy.example"

    @pytest.fixture
    def send_to_proxy_host(self, gateway, front):
        """Yield a function that requests a path of the upstream's own host from nginx."""
        gateway.restart(PROXY_HOST=self.HOST, BACKEND_URL=self.SITE)
        with httpx.Client(base_url=front, headers={"Host": self.HOST}, verify=False, trust_env=False) as client:
            yield client.request

    def test_it_serves_the_upstreams_whole_site(self, recorded, send_to_proxy_host, alice_token):
        for target in ("/", "/metrics", "/health", "/api/v1/proxy/x", "/a%2Fb//c;d?x=%2F&y=a+b", "/b/%2e%2e/x"):
            assert send_to_proxy_host("POST", target, headers=alice_token.headers, content=b"body").status_code == 200
            assert (recorded.last.target.decode(), recorded.last.body) == (target, b"body")
        assert recorded.last.header(b"x-forwarded-host") == self.HOST.encode()
        assert recorded.last.header(b"x-forwarded-proto") == b"https"
        assert_denied(send_to_proxy_host("GET", "/metrics"), "invalid_token")

    def test_the_site_keeps_its_host(self, recorded, front, send_to_proxy_host, alice_token):
        assert httpx.get(f"{front}/health/live", verify=False, trust_env=False).json() == {"status": "alive"}
        assert recorded.requests == []

    def test_the_button_and_the_cookie(self, recorded, send_to_proxy_host, alice_token):
        code = handoff_codes.issue(alice_token.token.digest, "browser-1", "/start")
        response = send_to_proxy_host("POST", f"/.zenzefi/open?code={code}", headers={"Origin": self.SITE})
        assert (response.status_code, response.headers["Location"]) == (303, "/start")
        headers = {"Cookie": f"zenzefi_access={response.cookies['zenzefi_access']}", "Origin": f"https://{self.HOST}"}
        assert send_to_proxy_host("POST", "/start", headers=headers).status_code == 200
        assert_denied(send_to_proxy_host("POST", "/start", headers={**headers, "Origin": self.SITE}), "origin_denied")

    def test_a_websocket(self, gateway, front, socket_upstream, alice_token):
        gateway.restart(PROXY_HOST=self.HOST, BACKEND_URL=self.SITE)
        cookie = f"zenzefi_access={sign_access(alice_token.token.digest, 'browser-1')}"
        connection = create_connection(("127.0.0.1", urlsplit(front).port))
        trusting = ssl._create_unverified_context()
        headers = {"Cookie": cookie, "Origin": f"https://{self.HOST}"}
        with connect(f"wss://{self.HOST}/ws?a", sock=connection, ssl=trusting, additional_headers=headers) as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"
        assert socket_upstream.last.path == "/ws?a"
