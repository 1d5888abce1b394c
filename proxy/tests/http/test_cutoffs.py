"""Responses in flight, which are aborted within 2 s after their token loses access and never look complete."""

import contextlib
import time
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from access import services
from access.models import AccessToken, Revocation
from accounts.models import User
from accounts.services import set_active
from conftest import client_of
from proxy.dataplane.admission import revocation_feed
from proxy.tests.support.cutoffs import assert_aborted, assert_aborted_at, within_two_seconds
from proxy.tests.support.raw_client import connected, head
from proxy.tests.support.servers import eventually

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def revoke(sold, alice, olga):
    services.revoke_by_force(sold.token.pk, actor=olga, reason="test")


def refund(sold, alice, olga):
    response = client_of(alice).delete(f"/api/v1/tokens/{sold.token.pk}")
    assert (response.status_code, response.json()["revoked"]) == (200, True)


def block(sold, alice, olga):
    set_active(alice, False, actor=olga)


def freeze(sold, alice, olga):
    services.freeze(sold.token.pk, actor=olga, reason="test")


def reset(sold, alice, olga):
    services.reset_device(alice, sold.token.pk)


def revoke_elsewhere(sold, alice, olga):
    """Write the rows of another process, which sends no signal here."""
    AccessToken.objects.filter(pk=sold.token.pk).update(revoked_at=timezone.now())
    Revocation.objects.create(cause=Revocation.Cause.REVOKED, token=sold.token)


def block_elsewhere(sold, alice, olga):
    User.objects.filter(pk=alice.pk).update(is_active=False)
    Revocation.objects.create(cause=Revocation.Cause.USER_BLOCKED, user=alice)


CAUSES = [revoke, refund, block, freeze, reset, revoke_elsewhere, block_elsewhere]


# case D60
@pytest.mark.parametrize("act", CAUSES)
def test_an_event_stream_and_a_download(gateway, alice, olga, alice_token, bob_token, act):
    client = gateway.client(alice_token)
    with (
        client.stream("GET", "/events?interval=0.1") as events,
        client.stream("GET", "/events?interval=60") as silent,
        client.stream("GET", "/download/1TB") as download,
        gateway.client(bob_token).stream("GET", "/events?interval=0.1") as of_bob,
    ):
        streams = [response.iter_raw() for response in (events, silent, download)]
        others = of_bob.iter_raw()
        for stream in (*streams, others):
            next(stream)
        with within_two_seconds():
            act(alice_token, alice, olga)
            for stream in streams:
                assert_aborted(stream)
        assert next(others)
    eventually(lambda: len(gateway.plane.in_flight) == 0)


@pytest.mark.parametrize("length", [b"", b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_every_framing_of_a_response(gateway, recorded, alice, olga, alice_token, length):
    async def begin(_request, connection):
        piece = b"1\r\nx\r\n" if b"chunked" in length else b"x"
        await connection.send(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n" + piece)
        await connection.wait_closed()

    recorded.response = begin
    with connected(gateway.port) as client:
        client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}))
        data = b""
        while not data.endswith((b"x", b"x\r\n")):
            data += client.receive()
        with within_two_seconds():
            services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
            # Neither the last chunk nor the rest of the body arrives.
            with contextlib.suppress(ConnectionResetError):
                assert client.read_rest() == b""
        framing = b"content-length: 100" if b"Length" in length else b"transfer-encoding: chunked"
        assert framing in data.lower()
    eventually(lambda: recorded.closed_connections == 1)


@pytest.mark.parametrize("act", [revoke, block])
def test_a_response_that_has_not_begun_becomes_a_denial(gateway, recorded, alice, olga, alice_token, act):
    async def wait(_request, connection):
        await connection.wait_closed()

    recorded.response = wait
    with connected(gateway.port) as client:
        client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}))
        eventually(lambda: recorded.requests)
        with within_two_seconds():
            act(alice_token, alice, olga)
            response = client.read_response()
    assert (response.status, response.headers["X-Zenzefi-Error"]) == {
        revoke: (401, "invalid_token"),
        block: (403, "user_inactive"),
    }[act]
    eventually(lambda: recorded.closed_connections == 1)


def test_an_upload(gateway, recorded, alice, olga, alice_token):
    """Close the connection to the upstream without completing the request."""
    recorded.reads_bodies = False
    seen = []

    async def read(_request, connection):
        with contextlib.suppress(ConnectionError):
            while data := await connection.reader.read(65536):
                seen.append(data)

    recorded.response = read
    with connected(gateway.port) as client:
        headers = {"Host": "h", "Transfer-Encoding": "chunked", **alice_token.headers}
        client.send(head("POST", "/api/v1/proxy/x", headers) + b"5\r\n12345\r\n")
        eventually(lambda: seen)
        with within_two_seconds():
            services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
            eventually(lambda: recorded.closed_connections == 1, seconds=2)
    assert not b"".join(seen).endswith(b"0\r\n\r\n")


def test_a_client_that_does_not_read(gateway, recorded, alice, olga, alice_token):
    async def flood(_request, connection):
        await connection.send(STREAM)
        while True:
            await connection.send(b"x" * 65536)

    recorded.response = flood
    with connected(gateway.port, receive_buffer=65536) as client:
        client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}))
        client.read_head()
        time.sleep(0.5)
        services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
        eventually(lambda: recorded.closed_connections == 1, seconds=2)
        eventually(lambda: len(gateway.plane.in_flight) == 0, seconds=2)


def test_expiry(gateway, alice_token, bob_token):
    end = timezone.now() + timedelta(seconds=2)
    AccessToken.objects.filter(pk=alice_token.token.pk).update(created_at=end - timedelta(hours=1), expires_at=end)
    with (
        gateway.client(alice_token).stream("GET", "/events?interval=0.1") as events,
        gateway.client(bob_token).stream("GET", "/events?interval=0.1") as of_bob,
    ):
        assert_aborted_at(events.iter_raw(), end)
        assert next(of_bob.iter_raw())
    response = gateway.client(alice_token).get("/echo")
    assert (response.status_code, response.json()["code"]) == (401, "token_expired")


def test_unfreezing_and_other_changes_end_nothing(gateway, alice, olga, alice_token, sold_token):
    other = sold_token(alice)
    services.freeze(other.token.pk, actor=olga, reason="test")
    with gateway.client(alice_token).stream("GET", "/events?interval=0.05") as events:
        pieces = events.iter_raw()
        services.unfreeze(other.token.pk, actor=olga, reason="test")
        Revocation.objects.create(cause=Revocation.Cause.CHANGED, token=alice_token.token)
        Revocation.objects.create(cause=Revocation.Cause.CHANGED, user=alice)
        until = time.monotonic() + 1.6
        while time.monotonic() < until:
            assert next(pieces)
    assert gateway.client(alice_token).get("/echo").status_code == 200


def test_a_device_reset_admits_the_next_request(gateway, alice, alice_token):
    """Retry, because a request that is in flight during the reset may end, too."""
    client = gateway.client(alice_token)
    assert client.get("/echo").status_code == 200
    services.reset_device(alice, alice_token.token.pk)
    eventually(lambda: client.get("/echo").status_code == 200)


def test_a_silent_feed_ends_everything_in_time(gateway, alice_token, monkeypatch):
    def fail(*_args):
        raise OperationalError("gone")

    with gateway.client(alice_token).stream("GET", "/events?interval=0.1") as events:
        pieces = events.iter_raw()
        next(pieces)
        monkeypatch.setattr(revocation_feed, "revocations_since", fail)
        time.sleep(0.2)
        gateway.plane.feed._last_success -= 20
        next(pieces)
        gateway.plane.feed._last_success -= 10
        with within_two_seconds():
            assert_aborted(pieces)
