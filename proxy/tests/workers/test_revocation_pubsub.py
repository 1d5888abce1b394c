"""Wake-ups through Redis arrive at once, and failures of Redis do no harm."""

import asyncio
import contextlib
import logging
import subprocess
import sys
import time
from uuid import uuid4

import pytest
import redis

from access import services
from access.models import Revocation
from access.signals import access_revoked
from proxy import revocation_pubsub
from proxy.dataplane.admission import revocation_feed
from proxy.tests.support.cutoffs import assert_aborted
from proxy.tests.support.faults import Link
from proxy.tests.support.servers import eventually
from zenzefi.tests.support.command import ROOT, environment_of


class Listener:
    """The worker's end of the channel, with a count of its wake-ups."""

    def __init__(self):
        self.woken = 0
        self._task = asyncio.create_task(revocation_pubsub.listen(self.wake), name="listener")

    def wake(self):
        self.woken += 1

    async def until(self, condition, seconds=10):
        async with asyncio.timeout(seconds):
            while not condition():
                assert not self._task.done(), self._task
                await asyncio.sleep(0.005)

    async def is_woken_by(self, act):
        before = self.woken
        act()
        await self.until(lambda: self.woken > before)

    async def stop(self):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


@pytest.fixture(autouse=True)
def channel(monkeypatch):
    """Use a separate channel, because other tests publish revocations at the same time."""
    monkeypatch.setattr(revocation_pubsub, "CHANNEL", f"zenzefi:test:{uuid4()}")
    return revocation_pubsub.CHANNEL


@pytest.fixture
def publisher(settings):
    """Return a publisher with a reliable connection to Redis."""
    publisher = revocation_pubsub.Publisher(settings.REDIS_URL)
    yield publisher
    publisher._thread.shutdown()


@pytest.fixture
def link(_upstream_loop, publisher, settings):
    """Return a link between this process and Redis that can fail."""
    link = Link(_upstream_loop, settings.REDIS_URL)
    settings.REDIS_URL = link.url
    yield link
    link.close()


@pytest.fixture
def linked_publisher(link):
    publisher = revocation_pubsub.Publisher(link.url)
    yield publisher
    link.mend()
    publisher._thread.shutdown()


@pytest.fixture
async def listener(link):
    listener = Listener()
    yield listener
    await listener.stop()


def levels_logged(caplog, operation):
    return [record.levelname for record in caplog.records if getattr(record, "operation", "") == operation]


@pytest.mark.services
async def test_a_message_wakes_at_once_and_so_does_the_subscription(publisher, listener):
    await listener.until(lambda: listener.woken == 1)
    started = time.monotonic()
    await listener.is_woken_by(publisher.wake_all)
    assert time.monotonic() - started < 0.5


@pytest.mark.services
def test_a_gateway_reads_the_outbox_at_once(publisher, gateway, alice_token, monkeypatch):
    """Read the row that another process has committed as soon as its message arrives."""
    eventually(lambda: gateway.plane.feed._newest is not None)
    monkeypatch.setattr(revocation_feed, "POLL_SECONDS", 60)
    with gateway.client(alice_token).stream("GET", "/events?interval=0.1") as events:
        time.sleep(1.2)  # the current pause of the poller is over
        Revocation.objects.create(cause=Revocation.Cause.REVOKED, token=alice_token.token)
        publisher.wake_all()
        started = time.monotonic()
        assert_aborted(events.iter_raw())
        assert time.monotonic() - started < 2


@pytest.mark.services
async def test_a_quiet_subscription_stays(publisher, link, listener, monkeypatch, caplog):
    monkeypatch.setattr(revocation_pubsub, "_QUIET_SECONDS", 0.05)
    await listener.until(lambda: listener.woken == 1)
    await asyncio.sleep(1.5)  # longer than the socket timeout, and several times the timeout of a quiet subscription
    # A new subscription would have called `wake` again.
    assert (link.open, listener.woken) == (1, 1)
    await listener.is_woken_by(publisher.wake_all)
    assert listener.woken == 2
    assert levels_logged(caplog, "listen") == []


@pytest.mark.services
@pytest.mark.parametrize("fault", ["refused", "frozen", "reset", "slow"])
async def test_it_subscribes_again_after_an_outage_and_warns_once(
    publisher, link, listener, monkeypatch, caplog, fault
):
    monkeypatch.setattr(revocation_pubsub, "_QUIET_SECONDS", 0.2)
    monkeypatch.setattr(revocation_pubsub, "_RECONNECT_SECONDS", 0.1)
    caplog.set_level(logging.INFO, "proxy.revocation_pubsub")
    for outage in (1, 2):
        await listener.is_woken_by(publisher.wake_all)
        # The links of the test run in another thread.
        await asyncio.to_thread(link.fail, fault)
        if fault == "reset":
            await asyncio.to_thread(link.kill)
        await listener.until(lambda: levels_logged(caplog, "listen").count("WARNING") == outage)  # noqa: B023
        await asyncio.sleep(0.5)
        before = listener.woken
        await asyncio.to_thread(link.mend)
        # The worker missed the messages of the outage, so it must poll.
        await listener.until(lambda: listener.woken > before)  # noqa: B023
    assert levels_logged(caplog, "listen") == ["WARNING", "INFO"] * 2


@pytest.mark.services
@pytest.mark.parametrize("fault", ["refused", "frozen", "reset"])
async def test_a_worker_that_stops_does_not_wait_for_redis(link, listener, fault):
    await listener.until(lambda: listener.woken == 1)
    await asyncio.to_thread(link.fail, fault)
    for _ in range(2):
        started = time.monotonic()
        await listener.stop()
        assert time.monotonic() - started < 1
        listener = Listener()
        await asyncio.sleep(0.3)  # in the middle of connecting
    await listener.stop()


@pytest.mark.services
async def test_connections_that_redis_closes_are_made_again(publisher, link, listener):
    await listener.until(lambda: listener.woken == 1)
    await asyncio.to_thread(link.kill)
    await listener.until(lambda: listener.woken == 2, seconds=revocation_pubsub._RECONNECT_SECONDS + 2)
    await listener.is_woken_by(publisher.wake_all)


# case G77
@pytest.mark.services
@pytest.mark.parametrize("fault", ["refused", "frozen", "reset", "slow"])
def test_a_revocation_neither_waits_for_redis_nor_fails_with_it(link, linked_publisher, caplog, fault):
    caplog.set_level(logging.INFO, "proxy.revocation_pubsub")
    linked_publisher.wake_all()
    eventually(lambda: link.open)
    link.fail(fault)
    for _ in range(20):
        started = time.monotonic()
        linked_publisher.wake_all()
        assert time.monotonic() - started < 0.1
        time.sleep(0.1)
    eventually(lambda: levels_logged(caplog, "publish") == ["WARNING"])
    link.mend()

    def works_again():
        linked_publisher.wake_all()
        return levels_logged(caplog, "publish") == ["WARNING", "INFO"]

    eventually(works_again)


@pytest.mark.services
async def test_a_connection_that_redis_closed_loses_no_message(link, linked_publisher, listener, caplog):
    await listener.until(lambda: listener.woken == 1)
    await listener.is_woken_by(linked_publisher.wake_all)
    await asyncio.to_thread(link.kill)
    await listener.until(lambda: listener.woken == 3)
    await listener.is_woken_by(linked_publisher.wake_all)
    assert levels_logged(caplog, "publish") == []


@pytest.mark.services
async def test_a_command_sends_its_message_before_it_ends(link, listener, channel, tmp_path):
    await listener.until(lambda: listener.woken == 1)
    environment = environment_of(tmp_path, REDIS_URL=link.url)
    script = (
        "from access.signals import access_revoked; from proxy import revocation_pubsub;"
        f"revocation_pubsub.CHANNEL = {channel!r}; access_revoked.send(sender=None)"
    )
    arguments = [sys.executable, "manage.py", "shell", "--verbosity=0", "-c", script]
    await asyncio.to_thread(subprocess.run, arguments, cwd=ROOT, env=environment, check=True)
    await listener.until(lambda: listener.woken == 2, seconds=1)


async def test_a_cancellation_hidden_by_a_failing_close_still_ends_it(settings, monkeypatch):
    hidden = []

    async def hides(*_args):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as cancelled:
            hidden.append(cancelled)
            if len(hidden) == 1:
                raise redis.TimeoutError("Timed out closing connection") from None
            raise

    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(revocation_pubsub, "_receive", hides)
    listener = Listener()
    await asyncio.sleep(0.01)
    await asyncio.wait_for(listener.stop(), 3)
    assert len(hidden) == 1


async def test_without_redis_it_ends_at_once(settings):
    settings.REDIS_URL = ""
    before = list(access_revoked.receivers)
    revocation_pubsub.publish_revocations()
    assert access_revoked.receivers == before
    await asyncio.wait_for(revocation_pubsub.listen(pytest.fail), 1)


def test_a_failing_signal_receiver_does_not_fail_the_revocation(alice_token, olga, caplog):
    def fails(**_kwargs):
        raise RuntimeError("no thread can be started")

    access_revoked.connect(fails, weak=False)
    try:
        services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
    finally:
        access_revoked.disconnect(fails)
    assert Revocation.objects.get().token == alice_token.token
    assert [record.levelname for record in caplog.records if "fails" in record.getMessage()] == ["ERROR"]
