"""`/health`, `/health/live` and `/health/ready`."""

from datetime import datetime
from unittest.mock import Mock

import pytest
from django.core.cache import cache
from django.db import OperationalError
from redis.exceptions import RedisError

from proxy import health_checks
from proxy.dataplane import health as endpoints
from proxy.dataplane.admission import revocation_feed
from proxy.tasks import check_health
from proxy.tests.support.denial_pages import NAVIGATION, heading

PATHS = ("/health", "/health/live", "/health/ready")
ALL_FINE = {"database": "ok", "cache": "ok", "upstream": "ok"}


@pytest.fixture
def site(gateway):
    """Return a client of the gateway's root, after earlier reports are discarded."""
    cache.clear()
    client = gateway.client()
    client.base_url = gateway.url
    return client


@pytest.fixture
def recheck(site):
    """Return a function that runs the checks and then requests the report."""

    def recheck(path="/health"):
        check_health()
        endpoints._memo = None
        return site.get(path)

    return recheck


def fail(*_args, **_kwargs):
    raise OperationalError("unavailable")


def test_healthy(site):
    response = site.get("/health")
    body = response.json()
    assert datetime.fromisoformat(body.pop("checked_at")).utcoffset().total_seconds() == 0
    assert (response.status_code, body) == (200, {"status": "healthy", "checks": ALL_FINE})
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"


def test_degraded_without_the_upstream(gateway, recording_upstream, recheck):
    gateway.restart(ZENZEFI_TARGET_URL="http://127.0.0.1:9")
    response = recheck()
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["checks"] == ALL_FINE | {"upstream": "failed"}
    # The gateway itself is ready and responds with 502.
    assert recheck("/health/ready").status_code == 200


def test_a_browser_gets_a_page(gateway, site):
    response = site.get("/health", headers=NAVIGATION | {"Accept-Language": "ru", "X-Request-ID": "number-0001"})
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert heading(response) == "Всё работает"
    assert (response.headers["X-Request-ID"], response.headers["Cache-Control"]) == ("number-0001", "no-store")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "+00:00" not in response.text
    for path in PATHS[1:]:
        assert site.get(path, headers=NAVIGATION).headers["Content-Type"] == "application/json"
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "application/json, text/html"}):
        assert site.get("/health", headers=headers).json()["checks"] == ALL_FINE


def test_the_page_of_an_outage(gateway, recording_upstream, recheck, site, monkeypatch):
    gateway.restart(ZENZEFI_TARGET_URL="http://127.0.0.1:9")
    recheck()
    page = site.get("/health", headers=NAVIGATION)
    assert (page.status_code, heading(page)) == (200, "The server cannot be reached")
    assert (page.text.count("tag-good"), page.text.count("tag-bad")) == (1, 1)
    monkeypatch.setattr(health_checks, "_check_database", fail)
    recheck()
    page = site.get("/health", headers=NAVIGATION)
    assert (page.status_code, heading(page)) == (503, "The service is interrupted")
    assert "database" not in page.text


def test_the_status_of_the_upstream_counts(gateway, recorded, recheck):
    for status, found in ((200, "ok"), (302, "ok"), (404, "ok"), (401, "ok"), (500, "failed"), (503, "failed")):
        recorded.response = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status
        assert recheck().json()["checks"]["upstream"] == found
        assert recorded.last.line == b"GET / HTTP/1.1"


def test_a_frozen_upstream(gateway, recorded, recheck):
    async def waits(_request, connection):
        await connection.wait_closed()

    recorded.response = waits
    gateway.restart(UPSTREAM_CONNECT_TIMEOUT=0.2)
    assert recheck().json()["checks"]["upstream"] == "failed"


def test_unhealthy_without_the_database(recheck, monkeypatch):
    monkeypatch.setattr(health_checks, "_check_database", fail)
    response = recheck()
    assert (response.status_code, response.json()["status"]) == (503, "unhealthy")
    assert response.json()["checks"] == ALL_FINE | {"database": "failed"}
    assert recheck("/health/ready").status_code == 503
    assert recheck("/health/live").status_code == 200


def test_unhealthy_without_the_cache(site, monkeypatch):
    """Run the checks at each request, because no report can be stored."""

    monkeypatch.setattr(
        health_checks, "cache", Mock(**{"get.side_effect": RedisError, "set.side_effect": RedisError})
    )
    response = site.get("/health")
    assert (response.status_code, response.json()["status"]) == (503, "unhealthy")
    assert response.json()["checks"] == ALL_FINE | {"cache": "failed"}


def test_it_is_cached(gateway, recorded, site):
    for _ in range(20):
        assert site.get("/health").json()["status"] == "healthy"
    assert len(recorded.requests) == 1


def test_live_and_ready(site):
    assert (site.get("/health/live").status_code, site.get("/health/live").json()) == (200, {"status": "alive"})
    assert (site.get("/health/ready").status_code, site.get("/health/ready").json()) == (200, {"status": "ready"})


def test_not_ready_while_draining(gateway, site):
    gateway.plane.gate.draining = True
    response = site.get("/health/ready")
    assert (response.status_code, response.json()) == (503, {"status": "draining"})
    assert site.get("/health/live").status_code == 200
    assert site.get("/health").status_code == 200


def test_not_ready_while_the_feed_is_silent(gateway, site, monkeypatch):
    monkeypatch.setattr(revocation_feed, "revocations_since", fail)
    gateway.plane.feed._last_success -= 6
    response = site.get("/health/ready")
    assert (response.status_code, response.json()) == (503, {"status": "not ready"})


def test_the_request_id(site):
    for path in PATHS:
        assert site.get(path, headers={"X-Request-ID": "abcdefgh.1"}).headers["X-Request-ID"] == "abcdefgh.1"
        assert len(site.get(path, headers={"X-Request-ID": "x y"}).headers["X-Request-ID"]) == 32


def test_head(site):
    for path in PATHS:
        response = site.head(path)
        assert (response.status_code, response.content) == (200, b"")


def test_other_methods(site):
    for path in PATHS:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            response = site.request(method, path, content=b"x" * 100_000)
            assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
            assert response.headers["Allow"] == "GET, HEAD"


def test_similar_paths_are_not_found(site):
    for path in ("/health/", "/healthz", "/health/live/", "/health/other"):
        assert site.get(path).status_code == 404
