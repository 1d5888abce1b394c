"""Several workers act as one gateway: they share leases, rates, sessions and counts through Redis."""

import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed

from conftest import client_of
from proxy.models import ProxySession
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.servers import eventually

pytestmark = pytest.mark.services

OTHER = "another-device"


def status(worker, token):
    return worker.get("/status", token).json()


def test_a_token_has_one_device_on_all_workers(workers, alice_token):
    a, b = workers
    assert a.get("/api/info", alice_token).status_code == 200
    assert_denied(b.get("/api/info", alice_token.on(OTHER)), "device_conflict")
    assert b.get("/api/info", alice_token).status_code == 200
    assert_denied(a.get("/api/info", alice_token.on(OTHER)), "device_conflict")


# case D60
def test_exactly_one_of_racing_devices_wins(workers, alice, sold_token):
    for _ in range(5):
        token = sold_token(alice)
        barrier, responses = threading.Barrier(6), []

        def race(number, token=token, barrier=barrier, responses=responses):
            barrier.wait()
            responses.append(workers[number % 2].get("/api/info", token.on(f"racing-device-{number}")).status_code)

        threads = [threading.Thread(target=race, args=[number]) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(responses) == [200, 409, 409, 409, 409, 409]


def test_a_reset_frees_the_token_everywhere_and_only_once(workers, alice, alice_token):
    a, b = workers
    other = alice_token.on(OTHER)
    assert a.get("/api/info", alice_token).status_code == 200
    assert b.get("/api/info", alice_token).status_code == 200
    reset = f"/api/v1/tokens/{alice_token.token.pk}/reset-device"
    assert client_of(alice).post(reset).status_code == 200
    eventually(lambda: a.get("/api/info", other).status_code == 200, seconds=3)
    # A worker that learns of the reset late must not release the next lease.
    until = time.monotonic() + 2
    while time.monotonic() < until:
        assert a.get("/api/info", other).status_code == 200
        time.sleep(0.1)
    assert_denied(b.get("/api/info", alice_token), "device_conflict")


def test_they_count_one_session(workers, alice_token):
    a, b = workers
    for worker in (a, b, a):
        assert worker.get("/api/info", alice_token).status_code == 200
    eventually(lambda: status(a, alice_token)["request_count"] == 3)
    eventually(lambda: status(b, alice_token)["request_count"] == 3)
    here, there = status(a, alice_token), status(b, alice_token)
    for name in ("connected", "session_id", "started_at", "bytes_transferred"):
        assert here[name] == there[name]
    eventually(lambda: ProxySession.objects.filter(request_count=3).exists())
    row = ProxySession.objects.get()
    assert (str(row.pk), row.bytes_transferred) == (here["session_id"], here["bytes_transferred"])


def test_an_open_websocket_is_counted_while_it_is_open(workers, alice_token):
    a, b = workers
    with a.socket("/ws/echo", alice_token) as socket:
        for number in range(1, 4):
            socket.send(b"x" * 500)
            assert len(socket.recv(timeout=5)) == 500
            assert status(a, alice_token)["bytes_transferred"] == number * 1000
            eventually(lambda number=number: status(b, alice_token)["bytes_transferred"] == number * 1000)
            eventually(lambda number=number: ProxySession.objects.filter(bytes_transferred=number * 1000).exists())
        assert ProxySession.objects.get().ended_at is None


def test_they_share_a_rate(start_gateway_process, demo_upstream, alice_token):
    workers = [start_gateway_process(demo_upstream.url, RATE_LIMIT_PROXY="20/minute") for _ in range(2)]
    for worker in workers:
        worker.wait_ready()
    responses = [workers[number % 2].get("/api/info", alice_token) for number in range(30)]
    assert [response.status_code for response in responses] == [200] * 20 + [429] * 10
    assert_denied(responses[-1], "rate_limited")


# case F67
def test_a_worker_is_killed(start_gateway_process, demo_upstream, alice_token, bob_token):
    """Admit the device on another worker at once, and another device after the timeout.

    At most the requests of one flush interval are not counted.
    """
    workers = [start_gateway_process(demo_upstream.url, SESSION_TIMEOUT_SECONDS="4") for _ in range(2)]
    for worker in workers:
        worker.wait_ready()
    killed_worker, other = workers
    sent_at = []
    with killed_worker.socket("/ws/echo", bob_token) as socket:
        socket.send("x")
        assert socket.recv(timeout=5) == "x"
        until = time.monotonic() + 7
        while time.monotonic() < until:
            assert killed_worker.get("/api/info", alice_token).status_code == 200
            sent_at.append(time.monotonic())
            time.sleep(0.02)
        killed_worker.process.kill()
        killed = time.monotonic()
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=5)

    assert other.get("/api/info", alice_token).status_code == 200
    assert other.get("/api/info", bob_token).status_code == 200
    assert_denied(other.get("/api/info", alice_token.on(OTHER)), "device_conflict")
    eventually(lambda: other.get("/api/info", alice_token.on(OTHER)).status_code == 200)
    assert time.monotonic() - killed > 3.5

    counted = ProxySession.objects.get(token=alice_token.token, device_id=alice_token.device)
    lost_at_most = sum(killed - at < 4 for at in sent_at)  # a flush interval of 3 s, and its write
    eventually(lambda: ProxySession.objects.get(pk=counted.pk).request_count >= len(sent_at) - lost_at_most + 1)
    assert ProxySession.objects.get(pk=counted.pk).request_count <= len(sent_at) + 1
