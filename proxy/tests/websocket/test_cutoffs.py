"""Open WebSockets, which end within two seconds and with the right code after their token loses access."""

import contextlib
import threading
import time
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from access import services
from access.models import AccessToken, Revocation
from access.signals import access_revoked
from accounts.models import User
from accounts.signals import user_activity_changed
from billing.idempotency import Call
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import RawSocket, connections_to, open_socket, read_close

LIMIT = 2.0


pytestmark = pytest.mark.usefixtures("nothing_left")


def _revoke(sold, olga):
    services.revoke_by_force(sold.token.pk, actor=olga, reason="test")


def _refund(sold, _olga):
    services.revoke_with_refund(Call(sold.token.user, "test", "", None), sold.token.pk)


def _freeze(sold, olga):
    services.freeze(sold.token.pk, actor=olga, reason="test")


def _block(sold, _olga):
    user = sold.token.user
    User.objects.filter(pk=user.pk).update(is_active=False)
    user.is_active = False
    user_activity_changed.send(sender=User, user=user)


def _reset_device(sold, _olga):
    services.reset_device(sold.token.user, sold.token.pk)


CAUSES = [
    (_revoke, (4401, "invalid_token")),
    (_refund, (4401, "invalid_token")),
    (_freeze, (4403, "token_frozen")),
    (_block, (4403, "user_inactive")),
    (_reset_device, (4409, "device_conflict")),
]


# case D60
@pytest.mark.parametrize(("act", "outcome"), CAUSES)
def test_an_open_websocket_is_closed(gateway, socket_upstream, alice_token, bob_token, olga, act, outcome):
    with open_socket(gateway, "/ws", alice_token) as client, open_socket(gateway, "/ws", bob_token) as other:
        started = time.monotonic()
        act(alice_token, olga)
        assert read_close(client, LIMIT) == outcome
        assert time.monotonic() - started < LIMIT
        other.send("still here")
        assert other.recv(timeout=5) == "still here"
    closed = socket_upstream.handshakes[0]
    eventually(lambda: closed.closed, 1)
    assert (closed.close_code, closed.close_reason) == outcome
    assert gateway.plane.in_flight.cuts == {outcome[1]: 1}


# case D60
@pytest.mark.parametrize(("act", "outcome"), [CAUSES[0], *CAUSES[3:]])
def test_cutoffs_without_the_push(gateway, socket_upstream, alice_token, olga, act, outcome):
    receivers = access_revoked.receivers
    access_revoked.receivers = []
    access_revoked.sender_receivers_cache.clear()
    try:
        with open_socket(gateway, "/ws", alice_token) as client:
            started = time.monotonic()
            act(alice_token, olga)
            assert read_close(client, LIMIT) == outcome
            assert time.monotonic() - started < LIMIT
    finally:
        access_revoked.receivers = receivers


# case D60
def test_every_websocket_of_the_token_is_closed(gateway, socket_upstream, alice_token, olga):
    with open_socket(gateway, "/a", alice_token) as one, open_socket(gateway, "/b", alice_token) as two:
        _revoke(alice_token, olga)
        assert {read_close(one, LIMIT), read_close(two, LIMIT)} == {(4401, "invalid_token")}


# case D60
def test_expiry(gateway, socket_upstream, alice_token):
    end = timezone.now() + timedelta(seconds=1)
    AccessToken.objects.update(created_at=end - timedelta(hours=1), expires_at=end)
    with open_socket(gateway, "/ws", alice_token) as client:
        assert read_close(client, 1 + LIMIT) == (4401, "token_expired")
        assert timezone.now() - end < timedelta(seconds=LIMIT)
        assert timezone.now() >= end


# case D60
def test_a_cutoff_during_heavy_traffic(gateway, socket_upstream, alice_token, olga):
    with open_socket(gateway, "/ws", alice_token) as client:
        client.send("flood")
        client.recv(timeout=5)
        started = time.monotonic()
        _revoke(alice_token, olga)
        with contextlib.suppress(ConnectionClosed):
            while True:
                client.recv(timeout=LIMIT)
        assert time.monotonic() - started < LIMIT
        assert (client.close_code, client.close_reason) == (4401, "invalid_token")
        eventually(lambda: socket_upstream.last.closed, LIMIT)


# cases D59, D60
def test_a_client_that_does_not_read(gateway, socket_upstream, alice_token, olga):
    with RawSocket(gateway, alice_token) as client:
        client.send(b"flood")
        eventually(lambda: _is_stalled(gateway))
        started = time.monotonic()
        _revoke(alice_token, olga)
        eventually(lambda: not client.is_open, LIMIT)
        eventually(lambda: len(gateway.plane.in_flight) == 0, LIMIT)
        eventually(lambda: socket_upstream.last.closed, LIMIT)
        assert time.monotonic() - started < LIMIT


# cases D59, D60
def test_an_upstream_that_does_not_read(gateway, socket_upstream, alice_token, olga):
    with open_socket(gateway, "/ws", alice_token) as client:

        def send_forever():
            with contextlib.suppress(ConnectionClosed):
                while True:
                    client.send(bytes(2**18))

        client.send("freeze")
        sending = threading.Thread(target=send_forever)
        sending.start()
        eventually(lambda: _is_stalled(gateway))
        started = time.monotonic()
        _revoke(alice_token, olga)
        assert read_close(client, LIMIT) == (4401, "invalid_token")
        assert time.monotonic() - started < LIMIT
        sending.join()
    eventually(lambda: len(gateway.plane.in_flight) == 0, LIMIT)
    eventually(lambda: connections_to(socket_upstream.port) == 0, LIMIT)
    socket_upstream.thaw()


# case D60
def test_a_websocket_that_is_closing_already(gateway, socket_upstream, alice_token, olga):
    """Let the client read pending messages after the close frame only until its token is revoked."""
    with RawSocket(gateway, alice_token) as client:
        client.send(b"flood")
        eventually(lambda: _is_stalled(gateway))
        client.send(b"\x0f\xa0", 0x88)
        eventually(lambda: socket_upstream.last.close_code == 4000)
        eventually(lambda: socket_upstream.last.closed)
        assert client.is_open
        _revoke(alice_token, olga)
        eventually(lambda: not client.is_open, LIMIT)


# case D60
def test_a_cutoff_during_the_upstreams_handshake(gateway, recorded, alice_token, olga):
    async def stay_silent(_request, connection):
        await connection.wait_closed()

    recorded.response = stay_silent

    def revoke_after_handshake():
        eventually(lambda: recorded.requests)
        eventually(lambda: len(gateway.plane.in_flight) == 1)
        _revoke(alice_token, olga)
        connections.close_all()

    thread = threading.Thread(target=revoke_after_handshake)
    thread.start()
    started = time.monotonic()
    with open_socket(gateway, "/ws", alice_token, subprotocols=["one"]) as client:
        assert client.subprotocol == "one"
        assert read_close(client, LIMIT) == (4401, "invalid_token")
    thread.join()
    assert time.monotonic() - started < LIMIT
    eventually(lambda: recorded.closed_connections == 1)


# case D60
def test_a_revocation_feed_that_is_silent_for_half_a_minute(gateway, socket_upstream, alice_token, monkeypatch):
    with open_socket(gateway, "/ws", alice_token) as client:
        monkeypatch.setattr(gateway.plane.feed, "silent_seconds", lambda: 30.5)
        assert read_close(client, LIMIT) == (1013, "state_unavailable")


def test_a_change_that_keeps_access_closes_nothing(gateway, socket_upstream, alice_token):
    with open_socket(gateway, "/ws", alice_token) as client:
        row = Revocation.objects.create(cause=Revocation.Cause.CHANGED, token=alice_token.token)
        access_revoked.send(sender=Revocation)
        eventually(lambda: gateway.plane.feed._newest == row.pk)
        client.send("still here")
        assert client.recv(timeout=5) == "still here"


# case D60
def test_after_a_reset_another_device_is_admitted(gateway, socket_upstream, alice_token):
    with open_socket(gateway, "/ws", alice_token) as client:
        services.reset_device(alice_token.token.user, alice_token.token.pk)
        assert read_close(client, LIMIT) == (4409, "device_conflict")
    with open_socket(gateway, "/ws", alice_token.on("another-device")) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"


# case D60
def test_an_idle_websocket_that_lost_its_lease_is_closed_when_it_sends(gateway, socket_upstream, alice_token):
    gateway.restart(SESSION_TIMEOUT_SECONDS=1)
    with open_socket(gateway, "/ws", alice_token) as silent:
        time.sleep(2.4)
        with open_socket(gateway, "/ws", alice_token.on("another-device")) as other:
            silent.send("am I still the one?")
            assert silent.recv(timeout=5)
            assert read_close(silent, LIMIT) == (4409, "device_conflict")
            other.send("hello")
            assert other.recv(timeout=5) == "hello"


# case D60
def test_data_keeps_the_lease_and_ping_does_not(gateway, socket_upstream, alice_token):
    gateway.restart(SESSION_TIMEOUT_SECONDS=1)
    with open_socket(gateway, "/ws", alice_token) as client:
        until = time.monotonic() + 1.8
        while time.monotonic() < until:
            client.send("x")
            client.recv(timeout=5)
            time.sleep(0.1)
        with open_socket(gateway, "/ws", alice_token.on("another-device")) as other:
            assert read_close(other) == (4409, "device_conflict")
        until = time.monotonic() + 2.4
        while time.monotonic() < until:
            client.ping().wait(1)
            time.sleep(0.1)
        with open_socket(gateway, "/ws", alice_token.on("another-device")) as other:
            other.send("hello")
            assert other.recv(timeout=5) == "hello"


def _is_stalled(gateway):
    """Return whether no byte is relayed for 0.2 s."""
    before = gateway.plane.accounting.total.bytes
    time.sleep(0.2)
    return gateway.plane.accounting.total.bytes == before
