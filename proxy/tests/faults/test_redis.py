"""Faults of Redis: connections are refused, frozen, slow or reset.

No second device is admitted, and everything recovers by itself.
"""

import asyncio
import contextlib
import random
import signal
import time
import uuid

import httpx
import pytest
from django.conf import settings
from websockets.exceptions import ConnectionClosed

from access import services
from accounts.jwt import issue_access
from proxy.dataplane.state.base import Lease, StateUnavailable
from proxy.dataplane.state.redis import RedisState
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.faults import Link, run_together
from proxy.tests.support.processes import GatewayProcess
from proxy.tests.support.servers import eventually
from proxy.tests.support.tokens import put_on_sale

pytestmark = pytest.mark.services
FAULTS = ["refused", "reset", "frozen", pytest.param("slow", marks=pytest.mark.slow)]
UNKNOWN = {"X-Access-Token": "no-such-token", "X-Device-ID": "unknown-device"}


@pytest.fixture
def breakable():
    """Return the setting and the URL of the service that can fail."""
    return "REDIS_URL", settings.REDIS_URL


@pytest.mark.parametrize("fault", FAULTS)
def test_without_redis_no_new_token_is_admitted_and_all_recovers(site, sold_token, alice, olga, fault):  # case F67
    known, read, revoked, fresh, fresh_socket = (sold_token(alice) for _ in range(5))
    api = {"Authorization": f"Bearer {issue_access(alice)}"}
    for token in (known, revoked):
        assert site.fetch(token).status_code == 200
    # Its grant is cached, but no device holds it.
    assert site.get("/api/v1/proxy/status", headers=read.headers).status_code == 200
    services.revoke_by_force(revoked.token.pk, actor=olga, reason="test")
    eventually(lambda: site.fetch(revoked).status_code == 401)

    site.link.fail(fault)
    found = run_together(
        known=lambda: site.fetch(known),
        other_device=lambda: site.fetch(known.on("another-device")),
        read=lambda: site.fetch(read),
        revoked=lambda: site.fetch(revoked),
        unknown=lambda: site.get("/api/v1/proxy/api/info", headers=UNKNOWN),
        fresh=lambda: site.fetch(fresh),
        fresh_socket=lambda: site.websocket_close(fresh_socket),
        live=lambda: site.get("/health/live"),
        health=lambda: site.get("/health"),
        balance=lambda: site.get("/api/v1/currency/balance", headers=api),
        landing=lambda: site.get("/"),
        login=site.login,
        password=lambda: httpx.patch(
            site.url + "/api/v1/users/me", json={"password": "another-good-one-42"}, headers=api, timeout=20
        ),
    )
    for name in ("known", "live", "landing", "balance", "password"):
        assert found[name].result.status_code == 200, name
    for name in ("other_device", "read", "fresh"):
        assert_denied(found[name].result, "state_unavailable")
        assert found[name].seconds < 4
    for name in ("revoked", "unknown"):
        assert_denied(found[name].result, "invalid_token")
    assert found["fresh_socket"].result == (1013, "state_unavailable")
    login = found["login"].result
    assert (login.status_code, login.json()["code"]) == (503, "state_unavailable")
    assert int(login.headers["Retry-After"]) >= 1
    assert all(one.seconds < 10 for one in found.values()), found

    health = eventually(lambda: (response := site.get("/health")).status_code == 503 and response)
    assert health.json()["checks"] == {"database": "ok", "cache": "failed", "upstream": "ok"}
    assert not site.is_ready()
    # One device held it a moment ago, so only that device is admitted; a revocation still takes effect.
    assert site.fetch(known).status_code == 200
    assert_denied(site.fetch(known.on("another-device")), "state_unavailable")
    services.revoke_by_force(known.token.pk, actor=olga, reason="test")
    eventually(lambda: site.fetch(known).status_code == 401, 4)

    site.link.mend()
    eventually(lambda: site.fetch(fresh).status_code == 200)
    assert_denied(site.fetch(fresh.on("another-device")), "device_conflict")
    eventually(lambda: site.login().status_code == 401)
    eventually(site.is_ready)


def test_killed_connections_are_replaced(site, sold_token, alice):  # case F67
    tokens = [sold_token(alice) for _ in range(20)]
    found = run_together(**{f"n{n}": lambda token=token: site.fetch(token) for n, token in enumerate(tokens)})
    assert {one.result.status_code for one in found.values()} == {200}
    site.link.kill()
    fresh = [sold_token(alice) for _ in range(20)]
    began = time.monotonic()
    for token in fresh:
        eventually(lambda token=token: site.fetch(token).status_code == 200)
        assert_denied(site.fetch(token.on("another-device")), "device_conflict")
    assert time.monotonic() - began < 10


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["refused", "frozen"])
def test_cached_grants_end_after_thirty_seconds(site, sold_token, alice, fault):  # case F67
    known, streaming = sold_token(alice), sold_token(alice)
    assert site.fetch(known).status_code == 200
    with site.gateway.socket("/ws/echo", streaming) as client:
        site.link.fail(fault)
        began = time.monotonic()

        def is_cut_off():
            with contextlib.suppress(ConnectionClosed):
                client.send("still here")
                assert client.recv(timeout=5) == "still here"
            return client.close_code is not None

        eventually(is_cut_off, 35)
        assert (client.close_code, client.close_reason) == (1013, "state_unavailable")
    assert 25 < time.monotonic() - began < 38
    assert_denied(site.fetch(known), "state_unavailable")
    site.link.mend()
    eventually(lambda: site.fetch(known).status_code == 200)


@pytest.fixture
def link(_upstream_loop):
    """Yield a link through which a gateway reaches Redis."""
    link = Link(_upstream_loop, settings.REDIS_URL)
    yield link
    link.close()


class GatewayWithJobs(GatewayProcess):
    arguments = ("serve",)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["refused", "reset", "frozen", "slow"])
def test_jobs_run_again(link, demo_upstream, transactional_db, alice, tmp_path, fault):  # case F67
    put_on_sale(720, "full")
    api = {"Authorization": f"Bearer {issue_access(alice)}"}
    gateway = GatewayWithJobs(tmp_path, demo_upstream.url, REDIS_URL=link.url)
    mails = 0

    def send_mail():
        nonlocal mails
        given = {"password": f"another-good-one-{mails}"}
        assert httpx.patch(gateway.url + "/api/v1/users/me", json=given, headers=api, timeout=20).status_code == 200
        mails += 1
        eventually(lambda: gateway.output.count(f"To: {alice.email}") == mails)

    try:
        gateway.wait_ready()
        send_mail()
        link.fail(fault)
        time.sleep(12)  # longer than any timeout for Redis
        link.mend()
        send_mail()
    finally:
        gateway.end(signal.SIGTERM)


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_a_cancelled_request_does_not_reveal_the_holder_of_another_token(link, count):  # case F69
    """Do not read the response to a cancelled command as the response to the next one (CVE-2023-28858)."""
    state = RedisState(link.url, None)
    chance = random.Random(count)
    wanted = {uuid.uuid4(): Lease(f"device-{n}", uuid.uuid4(), float(n)) for n in range(count)}
    cancelled = completed = 0

    async def check(token_id, lease):
        nonlocal completed
        assert await state.acquire_lease(token_id, lease, 60) == lease
        assert await state.acquire_lease(token_id, Lease("thief", uuid.uuid4(), 0.0), 60) is None
        assert await state.lease(token_id) == lease
        completed += 1

    async def check_or_cancel(token_id, lease):
        nonlocal cancelled
        checking = asyncio.create_task(check(token_id, lease))
        if chance.random() < 0.5:
            await asyncio.wait([checking], timeout=chance.random() * 0.02)
            cancelled += checking.cancel()
        await asyncio.wait([checking])
        return checking.cancelled() or checking.result()

    pairs = list(wanted.items())
    try:
        for start in range(0, count, 100):
            await asyncio.gather(*(check_or_cancel(*pair) for pair in pairs[start : start + 100]))
        assert min(cancelled, completed) > count / 10
        for token_id, lease in pairs:
            assert await state.lease(token_id) in (lease, None)
    finally:
        await state.close()


async def test_a_call_waits_for_a_frozen_redis_for_two_seconds_at_most(link):  # cases F67, G77
    state = RedisState(link.url, None)
    lease = Lease("device-of-the-owner", uuid.uuid4(), 0.0)
    try:
        tokens = [uuid.uuid4() for _ in range(200)]
        assert await state.acquire_lease(tokens[0], lease, 60) == lease
        link.fail("frozen")
        began = time.monotonic()
        responses = await asyncio.gather(
            *(state.acquire_lease(token_id, lease, 60) for token_id in tokens), return_exceptions=True
        )
        assert all(isinstance(response, StateUnavailable) for response in responses)
        assert time.monotonic() - began < 4
        link.mend()
        thief = Lease("thief", uuid.uuid4(), 0.0)
        while True:
            try:
                assert await state.acquire_lease(tokens[0], thief, 60) is None
                break
            except StateUnavailable:
                assert time.monotonic() - began < 10
                await asyncio.sleep(0.05)
    finally:
        await state.close()


async def test_a_connection_reset_under_uvloop_is_an_outage(link):  # case F67
    async def write():
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    state = RedisState(link.url, None)
    try:
        with pytest.raises(StateUnavailable):
            await state._execute(write)
    finally:
        await state.close()
