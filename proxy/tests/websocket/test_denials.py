"""Denied WebSockets, which are accepted first and then closed with a code, without contact to the upstream."""

import socket
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.utils import timezone

from access import services
from access.models import AccessToken, Scope
from accounts.models import User
from proxy.dataplane.rules.cookies import sign_access
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import handshake, open_socket, read_close, websocket_tasks
from zenzefi.common.digests import secret_digest


@pytest.fixture(autouse=True)
def nothing_left(gateway, socket_upstream):
    """Check after the test that no relay and no task is left."""
    yield
    eventually(lambda: len(gateway.plane.in_flight) == 0)
    eventually(lambda: websocket_tasks(gateway) == [])


@pytest.fixture
def denied(gateway, socket_upstream):
    """Return a function that opens a WebSocket, checks that it is denied, and returns the code and reason."""

    def open_denied(*sold, path="/ws", headers=(), offered=("one", "two")):
        before = len(socket_upstream.handshakes)
        with open_socket(gateway, path, *sold, headers=headers, subprotocols=offered) as client:
            assert client.subprotocol == (offered[0] if offered else None)
            outcome = read_close(client)
        assert len(socket_upstream.handshakes) == before
        return outcome

    return open_denied


INVALID, EXPIRED = (4401, "invalid_token"), (4401, "token_expired")


# case D54
def test_no_token(denied):
    assert denied() == INVALID
    assert denied(offered=None) == INVALID
    assert denied(headers={"X-Device-ID": "device-1"}) == INVALID


# case D54
@pytest.mark.parametrize("text", ["x", "A" * 64, "-", "A" * 5000])
def test_an_unknown_token(denied, text):
    assert denied(headers={"X-Access-Token": text, "X-Device-ID": "device-1"}) == INVALID


# case D54
def test_a_revoked_token(denied, alice_token, olga):
    services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
    assert denied(alice_token) == INVALID


# case D54
def test_an_expired_token(denied, alice_token):
    long_ago = timezone.now() - timedelta(hours=2)
    AccessToken.objects.update(created_at=long_ago, expires_at=long_ago + timedelta(hours=1))
    assert denied(alice_token) == EXPIRED
    assert alice_token.stored().activated_at is None


def test_a_blocked_user(denied, alice, alice_token):
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert denied(alice_token) == (4403, "user_inactive")


def test_a_frozen_token(denied, alice_token, olga):
    services.freeze(alice_token.token.pk, actor=olga, reason="test")
    assert denied(alice_token) == (4403, "token_frozen")


@pytest.mark.parametrize("device", [None, "short", "x" * 129, "with space", ""])
def test_a_missing_or_malformed_device(denied, alice_token, device):
    headers = {"X-Access-Token": alice_token.text} | ({} if device is None else {"X-Device-ID": device})
    assert denied(headers=headers) == (4400, "device_id_required")
    assert alice_token.stored().activated_at is None


# case D54
def test_another_device(gateway, denied, alice_token):
    with open_socket(gateway, "/ws", alice_token):
        assert denied(alice_token.on("another-device")) == (4409, "device_conflict")
    # The lease outlives the WebSocket.
    assert denied(alice_token.on("another-device")) == (4409, "device_conflict")


# cases C37, C38
@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("/ws", (4403, "scope_denied")),
        ("/", (4403, "scope_denied")),
        ("/certificatesx", (4403, "scope_denied")),
        ("/certificates/../ws", (4400, "bad_request")),
        ("/certificates/%2e%2e/ws", (4400, "bad_request")),
        ("/certificates/..%2fws", (4400, "bad_request")),
        ("//certificates", (4400, "bad_request")),
        ("/certificates/%00", (4400, "bad_request")),
        ("/ws?/certificates", (4403, "scope_denied")),
    ],
)
def test_outside_the_scope(denied, sold_token, alice, path, outcome):
    assert denied(sold_token(alice, scope=Scope.CERTIFICATES_ONLY), path=path) == outcome


def test_inside_the_scope(gateway, socket_upstream, sold_token, alice):
    with open_socket(gateway, "/certificates/ws", sold_token(alice, scope=Scope.CERTIFICATES_ONLY)) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"


# case D55
@pytest.mark.parametrize(
    "origin",
    [
        None, "null", "", "http://evil.example", "https://{host}", "http://{host}.evil.example", "http://evil.{host}",
        "http://{host}@evil.example", "http://{host}:80", "http://{name}", "http://{name}:1{port}", "http://{host}/",
        "http://{host} http://evil", "ws://{host}", "file://", "http://[", "http://]", "{host}", "//{host}",
        "http:/{host}",
        "HTTP://{host}", "http://evil#{host}", "javascript:{host}",
    ],
)  # fmt: skip
def test_a_cookie_from_a_foreign_origin(gateway, denied, alice_token, origin):
    cookie = "zenzefi_access=" + sign_access(secret_digest(alice_token.text.encode()), "device-of-browser")
    headers = {"Cookie": cookie}
    if origin is not None:
        headers["Origin"] = origin.format(host=f"127.0.0.1:{gateway.port}", name="127.0.0.1", port=gateway.port)
    assert denied(headers=headers) == (4403, "origin_denied")
    assert alice_token.stored().activated_at is None


# case D55
@pytest.mark.parametrize("site", ["cross-site", "same-site", ""])
def test_a_cookie_without_an_origin_but_with_a_foreign_fetch_site(denied, alice_token, site):
    cookie = "zenzefi_access=" + sign_access(secret_digest(alice_token.text.encode()), "device-of-browser")
    assert denied(headers={"Cookie": cookie, "Sec-Fetch-Site": site}) == (4403, "origin_denied")


# case D55
@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://["])
def test_header_credentials_need_no_origin(gateway, socket_upstream, alice_token, origin):
    with open_socket(gateway, "/ws", alice_token, headers={} if origin is None else {"Origin": origin}) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"


@pytest.mark.parametrize("value", ["x", "a:b:c", "é", "zenzefi", ":" * 100, "W10:1:x"])
def test_a_forged_cookie(gateway, denied, value):
    assert denied(headers={"Cookie": f"zenzefi_access={value}", "Origin": gateway.url}) == INVALID


def test_too_fast(gateway, denied, alice_token, bob_token):
    gateway.restart(RATE_LIMIT_PROXY="3/minute")
    for _ in range(3):
        with open_socket(gateway, "/ws", alice_token):
            pass
    assert denied(alice_token) == (4429, "rate_limited")
    with open_socket(gateway, "/ws", bob_token):
        pass


# case G76
def test_too_many_at_once(gateway, denied, socket_upstream, alice_token):
    gateway.restart(MAX_CONNECTIONS_PER_TOKEN=3)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(open_socket(gateway, "/ws", alice_token))
        # The upstream records a handshake only after it has sent its response.
        eventually(lambda: len(socket_upstream.handshakes) == 3)
        assert denied(alice_token) == (4429, "too_many_connections")
    eventually(lambda: len(gateway.plane.in_flight) == 0)
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"


# cases C33, C35, G80
@pytest.mark.parametrize(
    "header",
    [
        b"X-App: a\x1cb",
        b"X-App: \x0b",
        b"X-Access-Token: second",
        b"X-Device-ID: second-device",
        b"User-Agent: a\x7f",
    ],
)
def test_an_ambiguous_or_malformed_request(gateway, socket_upstream, alice_token, header):
    given = (b"User-Agent: first",) if not header.startswith(b"User") else ()
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as raw:
        raw.sendall(handshake(alice_token, "/ws", *given, header))
        response = b""
        while b"bad_request" not in response:
            response += (data := raw.recv(1000))
            assert data, response
    assert response.startswith(b"HTTP/1.1 101 ") == response.endswith(b"\x88\x0d\x11\x30bad_request")
    assert response.startswith((b"HTTP/1.1 101 ", b"HTTP/1.1 400 "))
    assert socket_upstream.handshakes == []


def test_maintenance_and_draining(gateway, denied, alice_token):
    gateway.plane.gate.draining = True
    assert denied(alice_token) == (1012, "draining")
    gateway.restart(MAINTENANCE=True)
    assert denied(alice_token) == (1013, "maintenance")


# cases C47, D60
def test_access_that_cannot_be_checked(gateway, denied, alice_token, bob_token, monkeypatch):
    with open_socket(gateway, "/ws", alice_token):
        pass
    feed = gateway.plane.feed
    monkeypatch.setattr(feed, "silent_seconds", lambda: 10.0)
    assert denied(bob_token) == (1013, "state_unavailable")
    with open_socket(gateway, "/ws", alice_token):
        pass
    monkeypatch.setattr(feed, "silent_seconds", lambda: 31.0)
    assert denied(alice_token) == (1013, "state_unavailable")


def test_the_order_of_the_checks(gateway, socket_upstream, denied, sold_token, alice):
    """Check token, user, device form, scope, rate and device lease, in this order."""
    token = sold_token(alice, scope=Scope.CERTIFICATES_ONLY)
    bad_device = {"X-Access-Token": token.text, "X-Device-ID": "bad"}
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert denied(headers=bad_device) == (4403, "user_inactive")
    User.objects.filter(pk=alice.pk).update(is_active=True)
    gateway.restart(RATE_LIMIT_PROXY="1/minute")
    assert denied(headers=bad_device) == (4400, "device_id_required")
    assert denied(token) == (4403, "scope_denied")
    with open_socket(gateway, "/certificates", token):
        eventually(lambda: socket_upstream.open == 1)
        assert denied(token.on("another-device"), path="/certificates") == (4429, "rate_limited")


def test_a_denial_is_counted(gateway, denied):
    denied()
    assert gateway.plane.metrics.denials["invalid_token"] == 1
