"""The device lease: the first device holds the token while it is active and for the session timeout afterwards."""

import asyncio
import threading
import time

import httpx
import pytest

from conftest import client_of
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.servers import eventually

OTHER = "another-device"


@pytest.fixture
def short(gateway, recorded):
    """Set a session timeout of one second."""
    gateway.restart(SESSION_TIMEOUT_SECONDS=1)


def test_the_first_device_wins(gateway, recorded, alice_token):
    owner, other = gateway.client(alice_token), gateway.client(alice_token.on(OTHER))
    assert owner.get("/x").status_code == 200
    for _ in range(3):
        assert_denied(other.get("/x"), "device_conflict")
        assert owner.get("/x").status_code == 200
    assert len(recorded.requests) == 4


def test_it_expires_after_the_timeout(gateway, recorded, alice_token, short):
    owner, other = gateway.client(alice_token), gateway.client(alice_token.on(OTHER))
    began = time.monotonic()
    assert owner.get("/x").status_code == 200
    assert_denied(other.get("/x"), "device_conflict")
    eventually(lambda: other.get("/x").status_code == 200)
    assert time.monotonic() - began >= 1
    assert_denied(owner.get("/x"), "device_conflict")


def test_requests_prolong_it(gateway, recorded, alice_token, short):
    owner, other = gateway.client(alice_token), gateway.client(alice_token.on(OTHER))
    until = time.monotonic() + 1.8
    while time.monotonic() < until:
        assert owner.get("/x").status_code == 200
        assert_denied(other.get("/x"), "device_conflict")
        time.sleep(0.2)


def test_data_on_an_open_stream_prolongs_it(gateway, alice_token):
    gateway.restart(SESSION_TIMEOUT_SECONDS=1)
    other = gateway.client(alice_token.on(OTHER))
    with gateway.client(alice_token).stream("GET", "/events?interval=0.2") as stream:
        events = stream.iter_raw()
        until = time.monotonic() + 2
        while time.monotonic() < until:
            next(events)
            assert_denied(other.get("/echo"), "device_conflict")


def test_a_silent_stream_does_not_prolong_it(gateway, recorded, alice_token, short):
    async def silent(_request, connection):
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nx")
        await connection.wait_closed()

    recorded.response = silent
    other = gateway.client(alice_token.on(OTHER))
    with gateway.client(alice_token).stream("GET", "/silent"):
        assert_denied(other.get("/status-of-other"), "device_conflict")
        gateway.wait_for_free(alice_token)
        with other.stream("GET", "/other") as stream:
            assert stream.status_code == 200


def test_a_device_that_lost_the_token_loses_its_stream(gateway, recorded, alice_token, short):
    """End the first device's stream when data arrives for it after another device has taken the token."""

    async def silent(request, connection):
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\nx")
        if request.target == b"/first":
            await wake.wait()
            for _ in range(20):
                await connection.send(b"y")
                await asyncio.sleep(0.1)
        await connection.wait_closed()

    wake = asyncio.Event()
    recorded.response = silent
    with gateway.client(alice_token).stream("GET", "/first") as first:
        pieces = first.iter_raw()
        assert next(pieces) == b"x"
        gateway.wait_for_free(alice_token)
        with gateway.client(alice_token.on(OTHER)).stream("GET", "/second") as second:
            assert second.status_code == 200
            recorded.call(wake.set)
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                list(pieces)
            assert next(second.iter_raw()) == b"x"


def test_a_reset_frees_it(gateway, recorded, alice, alice_token):
    owner, other = gateway.client(alice_token), gateway.client(alice_token.on(OTHER))
    assert owner.get("/x").status_code == 200
    assert client_of(alice).post(f"/api/v1/tokens/{alice_token.token.pk}/reset-device").status_code == 200
    eventually(lambda: other.get("/x").status_code == 200)
    assert_denied(owner.get("/x"), "device_conflict")


def test_tokens_have_separate_leases(gateway, recorded, alice, sold_token):
    first, second = sold_token(alice), sold_token(alice)
    assert gateway.client(first).get("/x").status_code == 200
    assert gateway.client(second.on(OTHER)).get("/x").status_code == 200


def test_denied_requests_take_no_lease(gateway, recorded, alice, sold_token):
    token = sold_token(alice, scope="certificates_only")
    assert_denied(gateway.client(token).get("/x"), "scope_denied")
    assert gateway.client(token).get("/status").status_code == 200
    assert gateway.client(token.on(OTHER)).get("/certificates").status_code == 200


def test_exactly_one_of_racing_devices_wins(gateway, recorded, alice, sold_token):
    for _ in range(5):
        token = sold_token(alice)
        clients = [gateway.client(token.on(f"racing-device-{number}")) for number in range(6)]
        barrier = threading.Barrier(len(clients))
        responses = []

        def race(client, barrier=barrier, responses=responses):
            barrier.wait()
            responses.append(client.get("/x"))

        threads = [threading.Thread(target=race, args=[client]) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(response.status_code for response in responses) == [200, 409, 409, 409, 409, 409]
