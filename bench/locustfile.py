"""Customers who sign up, log in, top up, buy a token and use it, and occasionally use the account API.

The measurement starts when all customers have bought a token, and lasts `BENCH_SECONDS`. The figures are written to
the file `BENCH_REPORT` as JSON.
"""

import json
import os
import secrets
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from locust import FastHttpUser, constant_throughput, events, task
from locust.env import Environment

_SECONDS = int(os.environ.get("BENCH_SECONDS", "20"))
_DEVICE = "bench-device"
_CREDITS, _HOURS = 1000, 24
_BODY = b"x" * 10 * 1024
_RESPONSE_BYTES, _UPLOAD_RESPONSE_BYTES = 1024, 2
# Slightly more than the ten per customer that the target needs.
_REQUESTS_PER_SECOND = 11
# Sign-up and login hash passwords, which is slow on purpose, so only a few customers arrive at the same time.
_arriving = BoundedSemaphore(4)
_complete = Event()
_arrived: list["Customer"] = []


class Customer(FastHttpUser):
    """A customer of the gateway at `host`, whose upstream serves `/1k` and `/upload`."""

    wait_time = constant_throughput(_REQUESTS_PER_SECOND)

    def on_start(self) -> None:
        with _arriving:
            self._arrive()
        _arrived.append(self)
        if len(_arrived) == self.environment.runner.target_user_count:
            _begin(self.environment)
        _complete.wait()

    def _arrive(self) -> None:
        name, password = f"customer-{secrets.token_hex(8)}", secrets.token_urlsafe(12)
        email = f"{name}@example.com"
        self._call("POST", "/auth/register", {"email": email, "username": name, "password": password}, status=201)
        login = self._call("POST", "/auth/login", {"email": email, "password": password})
        self.client.client.default_headers["Authorization"] = f"Bearer {login['access_token']}"
        self._call("POST", "/currency/mock-purchase", {"amount": _CREDITS})
        self._buy()

    def _buy(self) -> None:
        bought = self._call("POST", "/tokens/purchase", {"duration_hours": _HOURS})
        self._token_id = bought["token_id"]
        self._credentials = {"X-Access-Token": bought["token"], "X-Device-ID": _DEVICE}

    @task(800)
    def read(self) -> None:
        self._exchange("GET", "/1k", _RESPONSE_BYTES)

    @task(170)
    def write(self) -> None:
        self._exchange("POST", "/upload", _UPLOAD_RESPONSE_BYTES, _BODY)

    @task(10)
    def look_at_balance(self) -> None:
        self._call("GET", "/currency/balance")

    @task(10)
    def look_at_tokens(self) -> None:
        self._call("GET", "/tokens/my-tokens?active_only=true")

    @task(7)
    def ask_for_refund(self) -> None:
        self._call("GET", f"/tokens/{self._token_id}/refund-quote", name="/tokens/{id}/refund-quote")

    @task(3)
    def change_token(self) -> None:
        self._call("DELETE", f"/tokens/{self._token_id}", name="/tokens/{id}")
        self._buy()

    def _exchange(self, method: str, path: str, response_bytes: int, body: bytes | None = None) -> None:
        request = self.client.request(
            method, f"/api/v1/proxy{path}", headers=self._credentials, data=body, name=path, catch_response=True
        )
        with request as response:
            received = len(response.content or b"")
            if response.status_code != 200 or received != response_bytes:
                response.failure(f"{response.status_code} with {received} bytes")

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        status: int = 200,
        name: str | None = None,
    ) -> dict[str, Any]:
        """Call the account API and return its response. An unexpected status raises and ends this customer."""
        with self.client.request(
            method, f"/api/v1{path}", json=body, name=name or path, catch_response=True
        ) as response:
            if response.status_code != status:
                response.failure(f"{response.status_code}: {response.text}")
                response.raise_for_status()
            content: dict[str, Any] = response.json()
        return content


def _begin(environment: Environment) -> None:
    """Start the measurement."""
    failures = environment.stats.total.num_failures
    if failures:
        raise RuntimeError(f"{failures} calls failed while the customers arrived")
    environment.stats.reset_all()
    _complete.set()
    gevent.spawn_later(_SECONDS, environment.runner.quit)


@events.quitting.add_listener
def _report(environment: Environment, **_kwargs: Any) -> None:
    report, total = os.environ.get("BENCH_REPORT"), environment.stats.total
    if not report or not _complete.is_set():
        return
    proxied = [environment.stats.get(name, method) for name, method in (("/1k", "GET"), ("/upload", "POST"))]
    measured = {
        "requests": total.num_requests,
        "proxied": sum(entry.num_requests for entry in proxied),
        "errors": sorted({f"{error.name}: {error.error}" for error in environment.stats.errors.values()}),
        "failures": total.num_failures,
        "per_second": total.total_rps,
        "p50": total.get_response_time_percentile(0.50),
        "p95": total.get_response_time_percentile(0.95),
        "p99": total.get_response_time_percentile(0.99),
    }
    Path(report).write_text(json.dumps(measured))
