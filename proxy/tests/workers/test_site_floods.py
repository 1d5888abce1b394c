"""Floods of the site and the account API: the data plane, the health checks and other pages are not affected."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from access import services
from accounts.tests.factories import PASSWORD, UserFactory
from zenzefi.tests.support.command import wait_until

pytestmark = pytest.mark.services
IN_FLIGHT = 70


class Flood:
    """Requests in flight at all times, until the context ends."""

    def __init__(self, gateway, send):
        self._gateway, self._send = gateway, send
        self._stop = threading.Event()
        self.statuses = Counter()

    def _run(self):
        with httpx.Client(base_url=self._gateway.url, trust_env=False, timeout=60) as client:
            while not self._stop.is_set():
                try:
                    self.statuses[self._send(client).status_code] += 1
                except httpx.TransportError:
                    self.statuses["lost"] += 1

    def __enter__(self):
        self._threads = [threading.Thread(target=self._run) for _ in range(IN_FLIGHT)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def post_form(client, path, **data):
    """Send a form with an invented session, which costs a query before the view runs."""
    secret = "c" * 32
    cookies = f"zenzefi_session={'a' * 32}; zenzefi_csrftoken={secret}"
    return client.post(path, data={**data, "csrfmiddlewaretoken": secret}, headers={"Cookie": cookies})


def log_in_on_the_site(client):
    return post_form(client, "/accounts/login/", login="alice@example.com", password=PASSWORD)


def log_in_by_the_api(client):
    return client.post("/api/v1/auth/login", json={"email": "alice@example.com", "password": PASSWORD})


def log_in_with_a_wrong_password(client):
    return client.post("/api/v1/auth/login", json={"email": "alice@example.com", "password": "wrong"})


def sign_up(client):
    given = {"email": "new@example.com", "username": "new", "password": "tr0ub4dor-and-3"}
    return client.post("/api/v1/auth/register", json={**given, "username": f"n{time.monotonic_ns()}"})


def ask_for_a_reset(client):
    return post_form(client, "/accounts/password/reset/", email="alice@example.com")


def open_a_page(client):
    return client.get("/docs", headers={"Cookie": f"zenzefi_session={'a' * 32}"})


@pytest.fixture(autouse=True)
def _real_hashes(settings):
    """Store passwords as the gateway does."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]


@pytest.fixture
def gateway(start_gateway_process, demo_upstream):
    started = start_gateway_process(demo_upstream.url)
    started.wait_ready()
    return started


def cut_off_seconds(gateway, token, olga):
    """Return how long a WebSocket lives after its token is revoked."""
    with gateway.socket("/ws/echo", token) as client:
        client.send("open")
        client.recv(timeout=10)
        services.revoke_by_force(token.token.pk, actor=olga, reason="test")
        revoked = time.monotonic()
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=30)
    return time.monotonic() - revoked


@pytest.mark.parametrize(
    "send",
    [log_in_on_the_site, log_in_by_the_api, log_in_with_a_wrong_password, sign_up, ask_for_a_reset, open_a_page],
    ids=lambda send: send.__name__,
)
def test_a_flood_of_one_client_takes_nothing_from_the_others(gateway, sold_token, alice, olga, send):
    tokens = [sold_token(alice) for _ in range(3)]
    fresh = sold_token(alice)
    found = Counter()
    with Flood(gateway, send) as flood:
        wait_until(lambda: flood.statuses.total() > 0)
        delays = [cut_off_seconds(gateway, token, olga) for token in tokens]
        for path in ("/api/v1/tariffs", "/health/ready", "/health"):
            for _ in range(3):
                found[path, httpx.get(gateway.url + path, trust_env=False, timeout=30).status_code] += 1
        assert gateway.get("/api/info", fresh).status_code == 200
    print(send.__name__, dict(flood.statuses), [round(delay, 2) for delay in delays], dict(found))  # noqa: T201
    assert {status for _path, status in found} == {200}
    assert max(delays) <= 2
    assert "couldn't get a connection" not in gateway.output
    assert not {status for status in flood.statuses if not isinstance(status, int) or status >= 500}


def test_ten_parallel_logins_from_one_address_are_served_or_limited(gateway):
    for number in range(10):
        UserFactory(username=f"user{number}", email=f"user{number}@example.com")

    def log_in(number):
        given = {"email": f"user{number}@example.com", "password": PASSWORD}
        return httpx.post(gateway.url + "/api/v1/auth/login", json=given, trust_env=False, timeout=30)

    with ThreadPoolExecutor(10) as threads:
        responses = list(threads.map(log_in, range(10)))
    statuses = Counter(response.status_code for response in responses)
    assert set(statuses) <= {200, 429}
    assert statuses[200] >= 8
    assert all(int(response.headers["Retry-After"]) >= 1 for response in responses if response.status_code == 429)
