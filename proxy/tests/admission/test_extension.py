"""Open connections of an extended token outlive the old expiry and end at the new one."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest
from django.db import OperationalError, connections
from django.utils import timezone

from access import services
from access.models import AccessToken, Revocation
from access.signals import access_revoked
from conftest import client_of, fund
from proxy.dataplane.admission import grant_cache as grants_module
from proxy.tests.support.cutoffs import assert_aborted_at, seconds_late
from proxy.tests.support.servers import eventually
from proxy.tests.support.websockets import open_socket, read_close

LIMIT = 2.0
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def set_expiry(sold, seconds):
    """Make the token expire in `seconds` without notice to the gateway. Return the time of expiry."""
    end = timezone.now() + timedelta(seconds=seconds)
    AccessToken.objects.filter(pk=sold.token.pk).update(
        created_at=end - timedelta(hours=sold.stored().duration_hours), expires_at=end
    )
    return end


def notify(sold):
    """Add the row that another process would write, without sending a signal."""
    Revocation.objects.create(cause=Revocation.Cause.CHANGED, token=sold.token)


def expire_soon(gateway, sold, seconds=3):
    """Make the token expire in `seconds`, and wait until the gateway knows it. Return the time of expiry."""
    end = set_expiry(sold, seconds)
    notify(sold)
    access_revoked.send(sender=Revocation)

    def knows():
        grants = [relay.grant for relay in gateway.plane.in_flight.all()]
        deadlines = {grant.deadline for grant in grants if grant.token_id == sold.token.pk}
        return deadlines == {end.timestamp()}

    eventually(knows)
    return end


def extend(user, sold):
    """Extend the token by an hour. Return its new expiry as the API states it."""
    fund(user, "1")
    response = client_of(user).post(f"/api/v1/tokens/{sold.token.pk}/extend", {"duration_hours": 1})
    assert response.status_code == 200, response.json()
    return response.json()["expires_at"]


def assert_echoes(client):
    client.send("still here")
    assert client.recv(timeout=5) == "still here"


def assert_continues(pieces, until):
    """Assert that the stream continues until this time."""
    while timezone.now() < until:
        assert next(pieces)


# case D60
def test_a_websocket_and_a_stream_outlive_the_old_expiry_and_end_at_the_new_one(gateway, alice, alice_token):
    client = gateway.client(alice_token)
    with (
        open_socket(gateway, "/ws/echo", alice_token) as socket,
        client.stream("GET", "/events?interval=0.1") as events,
    ):
        pieces = events.iter_raw()
        next(pieces)
        old = expire_soon(gateway, alice_token, 6)
        assert client.get("/status").json()["time_remaining_seconds"] < 6

        stated = extend(alice, alice_token)

        eventually(lambda: client.get("/status").json()["expires_at"] == stated, LIMIT)
        shown = client.get("/echo").headers["X-Zenzefi-Expires-At"]
        assert shown == (old + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert_continues(pieces, old + timedelta(seconds=1.2))
        assert_echoes(socket)
        assert len(gateway.plane.in_flight) == 2

        new = set_expiry(alice_token, 1)
        notify(alice_token)
        assert_aborted_at(pieces, new)
        assert read_close(socket, LIMIT) == (4401, "token_expired")
        assert seconds_late(new) < LIMIT
    assert gateway.plane.in_flight.cuts == {"token_expired": 2}
    assert client.get("/echo").json()["code"] == "token_expired"


# case D60
def test_an_extension_by_another_worker_at_the_last_moment(gateway, socket_upstream, alice, alice_token):
    """Read the grant from the database once more at the expiry, as no notice has arrived in time."""
    with open_socket(gateway, "/ws", alice_token) as socket:
        old = expire_soon(gateway, alice_token)
        AccessToken.objects.filter(pk=alice_token.token.pk).update(expires_at=old + timedelta(seconds=2))
        time.sleep(max(0, (old - timezone.now()).total_seconds()) + 1)
        assert_echoes(socket)
        assert read_close(socket, 1 + LIMIT) == (4401, "token_expired")
        assert timezone.now() >= old + timedelta(seconds=2)


# case D60
def test_all_of_its_connections_continue_and_no_others(gateway, socket_upstream, alice, bob, alice_token, bob_token):
    with (
        open_socket(gateway, "/a", alice_token) as one,
        open_socket(gateway, "/b", alice_token) as two,
        open_socket(gateway, "/c", bob_token) as other,
    ):
        old = expire_soon(gateway, alice_token)
        expire_soon(gateway, bob_token)
        extend(alice, alice_token)
        assert read_close(other, 3 + LIMIT) == (4401, "token_expired")
        time.sleep(max(0, (old - timezone.now()).total_seconds()) + 1)
        assert_echoes(one)
        assert_echoes(two)


# case D60
@pytest.mark.parametrize(
    ("act", "outcome"),
    [(services.revoke_by_force, (4401, "invalid_token")), (services.freeze, (4403, "token_frozen"))],
)
def test_a_cutoff_of_an_extended_token_ends_its_connections(
    gateway, socket_upstream, alice, olga, alice_token, act, outcome
):
    with open_socket(gateway, "/ws", alice_token) as first:
        extend(alice, alice_token)
        act(alice_token.token.pk, actor=olga, reason="test")
        assert read_close(first, LIMIT) == outcome
    denied = gateway.client(alice_token).get("/x")
    assert denied.headers["X-Zenzefi-Error"] == outcome[1]


# case D60
def test_a_token_frozen_and_unfrozen_at_once_does_not_restore_connections(
    gateway, socket_upstream, alice, olga, alice_token
):
    with open_socket(gateway, "/ws", alice_token) as socket:
        services.freeze(alice_token.token.pk, actor=olga, reason="test")
        services.unfreeze(alice_token.token.pk, actor=olga, reason="test")
        extend(alice, alice_token)
        assert read_close(socket, LIMIT) == (4403, "token_frozen")
    with open_socket(gateway, "/ws", alice_token) as again:
        assert_echoes(again)


# case D60
def test_the_old_deadline_stays_if_the_grant_cannot_be_read(
    gateway, socket_upstream, alice, alice_token, monkeypatch
):
    def fail(_digest):
        raise OperationalError("unavailable")

    with open_socket(gateway, "/ws", alice_token) as socket:
        assert_echoes(socket)
        old = expire_soon(gateway, alice_token)
        monkeypatch.setattr(grants_module, "grant_facts", fail)
        extend(alice, alice_token)
        assert read_close(socket, 3 + LIMIT) == (4401, "token_expired")
        assert 0 <= seconds_late(old) < LIMIT


# case D60
def test_the_old_deadline_stays_if_reading_the_grant_hangs(gateway, socket_upstream, alice, alice_token, monkeypatch):
    with open_socket(gateway, "/ws", alice_token) as socket:
        assert_echoes(socket)
        old = expire_soon(gateway, alice_token)
        monkeypatch.setattr(grants_module, "grant_facts", lambda _digest: time.sleep(4))
        extend(alice, alice_token)
        assert read_close(socket, 3 + LIMIT) == (4401, "token_expired")
        assert 0 <= seconds_late(old) < LIMIT


# case D60
def test_a_temporary_failure_does_no_harm(gateway, socket_upstream, alice, alice_token, monkeypatch):
    failures = []
    read = grants_module.grant_facts

    def fails_twice(digest):
        if len(failures) < 2:
            failures.append(digest)
            raise OperationalError("unavailable")
        return read(digest)

    with open_socket(gateway, "/ws", alice_token) as socket:
        assert_echoes(socket)
        old = expire_soon(gateway, alice_token, 4)
        monkeypatch.setattr(grants_module, "grant_facts", fails_twice)
        extend(alice, alice_token)
        time.sleep(max(0, (old - timezone.now()).total_seconds()) + 1)
        assert_echoes(socket)
    assert len(failures) == 2


def test_a_grant_that_the_cache_dropped_is_read_again(gateway, socket_upstream, alice, bob_token, alice_token):
    """Let the sweep read a grant that was dropped to make room, exactly once."""
    with open_socket(gateway, "/ws", alice_token) as socket:
        grants = gateway.plane.grants

        async def forget():
            grants._forget(grants._by_token[alice_token.token.pk])

        gateway.run(forget())
        found = eventually(lambda: grants._by_token.get(alice_token.token.pk))
        (relay,) = gateway.plane.in_flight.all()
        eventually(lambda: relay.grant is found)
        time.sleep(1.2)
        assert relay.grant is found
        assert_echoes(socket)
    assert not any(len(group) > 1 for group in grants._by_user.values())


def test_a_response_that_has_not_begun_outlives_the_old_expiry(gateway, recorded, alice, alice_token):
    set_expiry(alice_token, 2)

    async def late(_request, connection):
        extending.set()
        await asyncio.sleep(3)
        await connection.send(EVENTS + b"1\r\nx\r\n0\r\n\r\n")

    extending = threading.Event()
    recorded.response = late

    def sell():
        assert extending.wait(5)
        extend(alice, alice_token)
        connections.close_all()

    thread = threading.Thread(target=sell)
    thread.start()
    response = gateway.client(alice_token).get("/x")
    thread.join()
    assert (response.status_code, response.content) == (200, b"x")
