"""A reset of the device while workers acquire and renew leases, and learn of the reset late."""

import asyncio
import socket
import time
import uuid

import pytest

from conftest import client_of
from proxy.dataplane.state.base import Lease
from proxy.models import ProxySession
from proxy.tests.support.raw_client import head
from proxy.tests.support.servers import eventually

OTHER = "another-device"


def _lease(gateway, token):
    return gateway.run(gateway.plane.state.lease(token.token.pk))


@pytest.mark.services
def test_a_late_worker_does_not_keep_the_lease(gateway, recorded, alice_token):
    """Release a lease that this worker has renewed after another worker released it."""
    assert gateway.client(alice_token).get("/x").status_code == 200
    state, held = gateway.plane.state, _lease(gateway, alice_token)
    gateway.run(state.release_lease(alice_token.token.pk, 1))
    assert gateway.run(state.acquire_lease(alice_token.token.pk, held, 60)) == held
    assert gateway.run(gateway.plane.gate.release_lease(alice_token.token.pk, 1)) is None
    assert gateway.client(alice_token.on(OTHER)).get("/x").status_code == 200


@pytest.mark.services
def test_a_late_worker_does_not_cut_off_the_next_device(gateway, alice, alice_token):
    assert gateway.client(alice_token).get("/api/info").status_code == 200
    plane = gateway.plane
    gateway.run(plane.gate.release_lease(alice_token.token.pk, 1))  # as the other worker did
    with gateway.client(alice_token.on(OTHER)).stream("GET", "/events?interval=0.1") as stream:
        events = stream.iter_raw()
        next(events)
        gateway.run(plane.cutoffs._reset(alice_token.token.pk, 1, time.time()))
        for _ in range(5):
            next(events)
        assert _lease(gateway, alice_token).device == OTHER
        assert plane.in_flight.cuts == {}
    assert client_of(alice).post(f"/api/v1/tokens/{alice_token.token.pk}/reset-device").status_code == 200


# case G74
def test_a_lease_acquired_before_a_reset_does_not_admit_after_it(gateway, recorded, alice_token, monkeypatch):
    plane, token_id = gateway.plane, alice_token.token.pk
    acquire, devices = plane.state.acquire_lease, []

    async def slow(token, wanted, seconds):
        devices.append(wanted.device)
        lease = await acquire(token, wanted, seconds)
        if len(devices) == 1:
            await plane.gate.release_lease(token, 1)
            other = Lease(OTHER, uuid.uuid4(), time.time())
            assert await acquire(token, other, seconds) == other
        return lease

    monkeypatch.setattr(plane.state, "acquire_lease", slow)
    assert gateway.client(alice_token).get("/x").status_code == 409
    assert len(devices) == 2
    assert gateway.run(plane.state.lease(token_id)).device == OTHER


# case G74
def test_a_client_that_leaves_during_admission_leaves_nothing_in_flight(gateway, alice_token, monkeypatch):
    acquire, left = gateway.plane.state.acquire_lease, asyncio.Event()

    async def slow(*arguments):
        left.set()
        await asyncio.sleep(0.3)
        return await acquire(*arguments)

    monkeypatch.setattr(gateway.plane.state, "acquire_lease", slow)
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(head("GET", "/api/v1/proxy/events?interval=0.05", alice_token.headers, b"Host: h"))
        eventually(left.is_set)
    eventually(lambda: gateway.plane.metrics.denials["client_gone"] == 1)
    assert len(gateway.plane.in_flight) == 0


# case G74
def test_a_request_whose_token_expires_during_admission_is_not_forwarded(gateway, recorded, alice_token, monkeypatch):
    gateway.client(alice_token).get("/first")
    acquire = gateway.plane.state.acquire_lease

    async def slow(*arguments):
        gateway.plane.grants.get(alice_token.token.digest).deadline = time.time() - 0.1
        return await acquire(*arguments)

    gateway.plane.grants.get(alice_token.token.digest).lease = None
    monkeypatch.setattr(gateway.plane.state, "acquire_lease", slow)
    response = gateway.client(alice_token).get("/second")
    assert (response.status_code, response.json()["code"]) == (401, "token_expired")
    assert [request.target for request in recorded.requests] == [b"/first"]


def test_two_parts_of_one_session_are_written_together(gateway, recorded, alice, bob_token, alice_token):
    gateway.client(alice_token).get("/x")
    gateway.client(bob_token).get("/x")
    plane, lease = gateway.plane, _lease(gateway, alice_token)

    async def again():
        grant = plane.grants.get(alice_token.token.digest)
        plane.accounting.end(alice_token.token.pk)
        plane.accounting.open_session(grant, lease, None, b"").count_bytes(100)
        await plane.flush.run()

    gateway.run(again())
    assert plane.accounting.unwritten() == []
    figures = ProxySession.objects.values_list("token_id", "bytes_transferred", "request_count")
    assert set(figures) == {(alice_token.token.pk, 102, 1), (bob_token.token.pk, 2, 1)}


def test_requests_above_the_connection_limit_are_not_counted(gateway, alice_token):
    gateway.restart(MAX_CONNECTIONS_PER_TOKEN=1)
    with gateway.client(alice_token).stream("GET", "/events?interval=0.1") as stream:
        events = stream.iter_raw()
        next(events)
        assert gateway.client(alice_token).get("/api/info").status_code == 429
        assert gateway.client(alice_token).get("/status").json()["request_count"] == 1


def test_health_responds_if_the_report_cannot_be_cached(gateway, monkeypatch):
    from django.core.cache import cache

    keep = cache.set

    def fails(key, *arguments, **options):
        if key == "health":
            raise OSError("unavailable")
        keep(key, *arguments, **options)

    monkeypatch.setattr(cache, "set", fails)
    assert gateway.client().get(f"{gateway.url}/health").status_code == 200
