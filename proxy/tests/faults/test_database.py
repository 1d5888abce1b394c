"""Faults of PostgreSQL: connections are refused, frozen, slow or reset.

No request is admitted that should not be, and everything recovers by itself.
"""

import asyncio
import gc
import signal
import threading
import time
from functools import partial

import httpx
import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client

from access import services
from access.models import AccessToken
from accounts.jwt import issue_access
from accounts.models import User
from billing import ledger, verification
from conftest import fund
from proxy.dataplane import database as database_module
from proxy.dataplane.admission import grant_cache as grants_module
from proxy.dataplane.admission.grant_cache import GrantCache
from proxy.dataplane.database import Database
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.faults import Link, run_together
from proxy.tests.support.processes import database_url
from proxy.tests.support.servers import eventually
from proxy.tests.support.tokens import put_on_sale
from proxy.tests.support.websockets import read_close
from zenzefi.common.postgresql import database_time_limit

FAULTS = ["refused", "frozen", *(pytest.param(fault, marks=pytest.mark.slow) for fault in ("reset", "slow"))]
UNKNOWN = {"X-Access-Token": "no-such-token", "X-Device-ID": "unknown-device"}


@pytest.fixture
def breakable():
    """Return the setting and the URL of the service that can fail."""
    return "DATABASE_URL", database_url()


def admin_page(site, cookies):
    return site.get("/admin/", cookies=cookies, follow_redirects=False)


@pytest.mark.services
@pytest.mark.parametrize("fault", FAULTS)
def test_without_the_database_no_new_token_is_admitted_and_all_recovers(site, sold_token, alice, bob, olga, fault):
    # case F67
    known, unused, revoked, fresh, fresh_socket = (sold_token(alice) for _ in range(5))
    api = {"Authorization": f"Bearer {issue_access(alice)}"}
    operator = Client()
    operator.force_login(olga)
    cookies = {name: morsel.value for name, morsel in operator.cookies.items()}
    assert site.fetch(known).status_code == site.fetch(revoked).status_code == 200
    assert admin_page(site, cookies).status_code == 200
    # Its grant is cached, but its activation cannot be stored.
    assert site.get("/api/v1/proxy/status", headers=unused.headers).status_code == 200
    services.revoke_by_force(revoked.token.pk, actor=olga, reason="test")
    eventually(lambda: site.fetch(revoked).status_code == 401)

    site.link.fail(fault)
    found = run_together(
        known=lambda: site.fetch(known),
        other_device=lambda: site.fetch(known.on("another-device")),
        unused=lambda: site.fetch(unused),
        revoked=lambda: site.fetch(revoked),
        unknown=lambda: site.get("/api/v1/proxy/api/info", headers=UNKNOWN),
        fresh=lambda: site.fetch(fresh),
        fresh_socket=lambda: site.websocket_close(fresh_socket),
        live=lambda: site.get("/health/live"),
        balance=lambda: site.get("/api/v1/currency/balance", headers=api),
        login=site.login,
        landing=lambda: site.get("/", headers={"Accept-Language": "ru"}),
        admin=lambda: admin_page(site, cookies),
    )
    assert found["known"].result.status_code == found["live"].result.status_code == 200
    assert_denied(found["other_device"].result, "device_conflict")
    assert_denied(found["revoked"].result, "invalid_token")
    for name in ("unknown", "unused", "fresh"):
        assert_denied(found[name].result, "state_unavailable")
    assert found["fresh_socket"].result == (1013, "state_unavailable")
    for name in ("unknown", "unused", "fresh", "fresh_socket", "revoked"):
        assert found[name].seconds < 4
    for name in ("balance", "login"):
        response = found[name].result
        assert (response.status_code, response.json()["code"]) == (503, "state_unavailable")
        assert int(response.headers["Retry-After"]) >= 1
    for name in ("landing", "admin"):
        response = found[name].result
        assert (response.status_code, response.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert int(response.headers["Retry-After"]) >= 1
    assert "Сервис сейчас недоступен" in found["landing"].result.text
    assert all(one.seconds < 10 for one in found.values())

    health = eventually(lambda: (response := site.get("/health")).status_code == 503 and response)
    assert health.json()["checks"] == {"database": "failed", "cache": "ok", "upstream": "ok"}
    assert not site.is_ready()
    assert_denied(site.fetch(fresh), "state_unavailable")
    assert_denied(site.fetch(revoked), "invalid_token")

    site.link.mend()
    eventually(lambda: site.fetch(fresh).status_code == 200)
    eventually(lambda: site.get("/api/v1/currency/balance", headers=api).status_code == 200)
    eventually(lambda: admin_page(site, cookies).status_code == 200)
    eventually(site.is_ready)
    assert_denied(site.fetch(revoked), "invalid_token")


@pytest.mark.services
def test_killed_connections_are_replaced(site, sold_token, alice):  # case F67
    fresh = sold_token(alice)
    api = {"Authorization": f"Bearer {issue_access(alice)}"}

    def balance():
        return site.get("/api/v1/currency/balance", headers=api)

    found = run_together(**{f"n{n}": balance for n in range(32)})
    assert all(one.result.status_code == 200 for one in found.values())
    assert site.link.open > 4
    site.link.kill()
    assert [balance().status_code for _ in range(20)] == [200] * 20
    assert site.fetch(fresh).status_code == 200


@pytest.mark.services
def test_a_flood_of_unknown_tokens_with_a_frozen_database(site, alice_token):  # cases F67, G76
    assert site.fetch(alice_token).status_code == 200
    site.link.fail("frozen")

    def flood(number):
        headers = {**UNKNOWN, "X-Access-Token": f"no-such-token-{number}"}
        return lambda: site.get("/api/v1/proxy/api/info", headers=headers)

    found = run_together(known=lambda: site.fetch(alice_token), **{f"n{n}": flood(n) for n in range(100)})
    assert found.pop("known").result.status_code == 200
    for one in found.values():
        assert_denied(one.result, "state_unavailable")
        assert one.seconds < 6
    site.link.mend()
    eventually(lambda: flood(0)().status_code == 401)


@pytest.mark.services
@pytest.mark.parametrize("fault", ["frozen", "reset"])
def test_interrupted_purchases_are_made_once(site, alice, fault):  # case F67
    price = put_on_sale(1, "full").price
    fund(alice, 10 * price)
    api = {"Authorization": f"Bearer {issue_access(alice)}"}

    def buy(number):
        headers = {**api, "Idempotency-Key": f"purchase-{number}"}
        return httpx.post(
            site.url + "/api/v1/tokens/purchase", json={"duration_hours": 1}, headers=headers, timeout=20
        )

    purchases = {f"n{number}": partial(buy, number) for number in range(8)}
    site.link.fail_after(100, fault)
    found = run_together(**purchases)
    assert site.link.is_broken
    assert {one.result.status_code for one in found.values()} <= {200, 503}
    assert any(one.result.status_code == 503 for one in found.values())
    assert all(one.seconds < 11 for one in found.values())
    site.link.mend()
    for purchase in purchases.values():
        eventually(lambda purchase=purchase: purchase().status_code == 200)
    assert AccessToken.objects.filter(user=alice).count() == 8
    assert ledger.balance(alice) == 2 * price
    assert verification.verify() == []


@pytest.fixture
def link(_upstream_loop):
    """Yield a link through which a gateway reaches the database."""
    link = Link(_upstream_loop, database_url())
    yield link
    link.close()


@pytest.mark.services
def test_a_frozen_database_does_not_delay_the_shutdown(link, start_gateway_process, demo_upstream, alice_token):
    # case F67
    gateway = start_gateway_process(demo_upstream.url, DATABASE_URL=link.url)
    gateway.wait_ready()
    assert gateway.get("/api/info", alice_token).status_code == 200
    link.fail("frozen")
    began = time.monotonic()
    assert gateway.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 10


@pytest.mark.services
@pytest.mark.slow
@pytest.mark.parametrize("fault", ["refused", "frozen"])
def test_cached_grants_end_after_thirty_seconds(site, sold_token, alice, fault):  # case F67
    known, streaming = sold_token(alice), sold_token(alice)
    assert site.fetch(known).status_code == 200
    with (
        site.gateway.socket("/ws/echo", known) as client,
        httpx.stream(
            "GET", site.gateway.proxy_url + "/events?count=0", headers=streaming.headers, timeout=20
        ) as stream,
    ):
        events = stream.iter_raw()
        assert next(events)
        site.link.fail(fault)
        began = time.monotonic()
        eventually(lambda: site.fetch(known).status_code == 503, 33)
        assert time.monotonic() - began > 25
        assert read_close(client, 3) == (1013, "state_unavailable")
        with pytest.raises(httpx.RemoteProtocolError):
            list(events)
        assert time.monotonic() - began < 35
    site.link.mend()
    eventually(lambda: site.fetch(known).status_code == 200)


@pytest.mark.services
def test_a_statement_that_takes_too_long_is_cancelled(transactional_db, alice):  # cases F67, G77
    def rename_slowly():
        with transaction.atomic():
            User.objects.update(full_name="Another name")
            connection.cursor().execute("SELECT pg_sleep(10)")

    with database_time_limit(0.3), pytest.raises(OperationalError):
        rename_slowly()
    assert User.objects.get().full_name == alice.full_name


@pytest.mark.services
def test_the_time_limit_starts_at_the_first_statement(transactional_db):
    with database_time_limit(0.3):
        time.sleep(0.4)
        assert User.objects.count() == 0


@pytest.fixture
async def database(monkeypatch):
    """Yield a database with a time limit of 0.3 s; calls of `held.wait` run until `held` is set."""
    monkeypatch.setattr(database_module, "_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(database_module, "_MAX_WAITING", 8)
    database = Database()
    database.held = threading.Event()
    yield database
    database.held.set()
    database.close()


async def test_a_call_waits_for_the_database_for_a_limited_time(database):
    began = time.monotonic()
    waiting = await asyncio.gather(*(database.run(database.held.wait) for _ in range(9)), return_exceptions=True)
    assert [str(error) for error in waiting] == ["the database does not respond in time"] * 8 + [
        "too many calls wait for the database"
    ]
    assert all(isinstance(error, OperationalError) for error in waiting)
    assert time.monotonic() - began < 3
    database.held.set()
    assert await database.run(lambda: "done") == "done"


async def test_a_read_whose_caller_was_cancelled_fails_quietly(database, monkeypatch):
    monkeypatch.setattr(grants_module, "grant_facts", lambda _digest: database.held.wait())
    unhandled = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    grants = GrantCache(database)
    reader = asyncio.create_task(grants.load("d" * 64))
    await asyncio.sleep(0)
    reader.cancel()
    await asyncio.wait([reader, *grants._loading.values()])
    assert reader.cancelled()
    # asyncio reports an exception that was not retrieved when its task is deleted.
    del reader
    gc.collect()
    assert unhandled == []
