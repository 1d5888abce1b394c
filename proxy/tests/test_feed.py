"""The feed of revocations: each row once, whatever happens to the database in between."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError

from access.models import Revocation
from access.selectors import RevocationNotice
from access.signals import access_revoked
from proxy.dataplane import feed as feed_module
from proxy.dataplane.database import Database
from proxy.dataplane.feed import Feed


class Outbox:
    """The outbox's rows, as the database shows them to each poll."""

    def __init__(self):
        self.rows = {}
        self.polls = []
        self.error = None

    def commit(self, number, *, ago=0.0):
        self.rows[number] = datetime.now(UTC) - timedelta(seconds=ago)

    def since(self, since):
        self.polls.append(since)
        if self.error is not None:
            raise self.error
        return [_notice(number) for number, at in sorted(self.rows.items()) if at >= since]


def _notice(number):
    return RevocationNotice(number, Revocation.Cause.CHANGED, None, None)


@pytest.fixture
def outbox(monkeypatch):
    outbox = Outbox()
    monkeypatch.setattr(feed_module, "revocations_since", outbox.since)
    monkeypatch.setattr(feed_module, "POLL_SECONDS", 0.02)
    monkeypatch.setattr("proxy.dataplane.database.close_old_connections", lambda: None)
    return outbox


class Running:
    """A feed that runs, and what it handed over."""

    def __init__(self, database):
        self.applied = []
        self.fails = set()
        self.feed = Feed(database, self.apply)
        self.task = asyncio.create_task(self.feed.run(), name="revocation feed")

    async def apply(self, notice):
        if notice.id in self.fails:
            raise RuntimeError("the state store is gone")
        self.applied.append(notice.id)

    async def until(self, condition):
        for _ in range(2000):
            assert not self.task.done(), self.task
            if condition():
                return
            await asyncio.sleep(0.001)
        raise AssertionError(self.applied)

    async def polls(self, outbox, count):
        target = len(outbox.polls) + count
        await self.until(lambda: len(outbox.polls) >= target)


@pytest.fixture
async def running():
    database = Database()
    running = Running(database)
    yield running
    running.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running.task
    database.close()


async def test_each_row_is_handed_over_once_and_in_order(outbox, running):
    for number in (1, 2, 3):
        outbox.commit(number)
    await running.until(lambda: running.applied)
    outbox.commit(4)
    await running.polls(outbox, 3)
    assert running.applied == [1, 2, 3, 4]


async def test_a_row_that_is_committed_late_with_a_lower_id(outbox, running):
    outbox.commit(7)
    await running.until(lambda: running.applied == [7])
    # Its transaction began first and took longer.
    outbox.commit(5, ago=30)
    await running.until(lambda: running.applied == [7, 5])
    await running.polls(outbox, 2)
    assert running.applied == [7, 5]


async def test_rows_of_before_the_start_are_handed_over_too(outbox, running):
    # A grant may be loaded from a transaction that is older than the feed.
    outbox.commit(1, ago=50)
    await running.until(lambda: running.applied == [1])


@pytest.mark.parametrize(
    "error", [OperationalError("gone"), TimeoutError(), ConnectionResetError(), RuntimeError("?")]
)
async def test_it_goes_on_through_errors_and_loses_nothing(outbox, running, error):
    await running.polls(outbox, 1)
    outbox.error = error
    await running.polls(outbox, 2)
    outbox.commit(1)
    silent = running.feed.silent_seconds()
    await running.polls(outbox, 3)
    assert running.feed.silent_seconds() > silent
    assert running.applied == []
    outbox.error = None
    await running.until(lambda: running.applied == [1])
    await running.until(lambda: running.feed.silent_seconds() < silent + 0.01)


async def test_after_a_long_silence_it_looks_back_behind_the_last_good_poll(outbox, running):
    await running.polls(outbox, 1)
    outbox.error = OperationalError("gone")
    await running.polls(outbox, 2)
    last_good = running.feed._since
    # Two hours pass in which the row is written.
    running.feed._since = last_good - timedelta(hours=2)
    outbox.commit(1, ago=3600)
    outbox.error = None
    await running.until(lambda: running.applied == [1])


async def test_a_notice_that_fails_is_tried_again_and_holds_the_feed_silent(outbox, running):
    await running.polls(outbox, 1)
    running.fails = {1}
    outbox.commit(1)
    outbox.commit(2)
    await running.polls(outbox, 2)
    silent = running.feed.silent_seconds()
    await running.polls(outbox, 3)
    assert running.applied == [2]
    # Nobody new is admitted while a revocation waits.
    assert running.feed.silent_seconds() > silent
    running.fails = set()
    await running.until(lambda: running.applied == [2, 1])


async def test_silence_grows_until_a_poll_succeeds(outbox, running, monkeypatch):
    await running.polls(outbox, 2)
    assert running.feed.silent_seconds() < 1
    outbox.error = OperationalError("gone")
    await running.polls(outbox, 1)
    later = time.monotonic() + 40
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: later)
        assert running.feed.silent_seconds() > 39


async def test_a_poll_that_hangs_is_no_sign_of_life(outbox, running, monkeypatch):
    await running.polls(outbox, 1)
    monkeypatch.setattr(feed_module, "revocations_since", lambda _since: time.sleep(0.3) or [])
    started = time.monotonic()
    await asyncio.sleep(0.15)
    assert running.feed.silent_seconds() > time.monotonic() - started - 0.05
    assert not running.task.done()


async def test_the_signal_wakes_it_at_once(outbox, running, monkeypatch):
    await running.polls(outbox, 1)
    monkeypatch.setattr(feed_module, "POLL_SECONDS", 60)
    await asyncio.sleep(0.1)
    outbox.commit(1)
    started = time.monotonic()
    # It is sent in the thread of whoever committed.
    await asyncio.to_thread(access_revoked.send, sender=Revocation)
    await running.until(lambda: running.applied == [1])
    assert time.monotonic() - started < 0.5


async def test_a_signal_during_a_poll_is_not_lost(outbox, running, monkeypatch):
    await running.polls(outbox, 1)
    monkeypatch.setattr(feed_module, "POLL_SECONDS", 60)
    polling = asyncio.Event()
    loop = asyncio.get_running_loop()
    read = outbox.since

    def slow(since):
        found = read(since)
        loop.call_soon_threadsafe(polling.set)
        time.sleep(0.05)
        return found

    monkeypatch.setattr(feed_module, "revocations_since", slow)
    access_revoked.send(sender=Revocation)
    await polling.wait()
    outbox.commit(1)  # after the read
    access_revoked.send(sender=Revocation)
    await running.until(lambda: running.applied == [1])


async def test_nobody_is_told_after_the_end(outbox):
    database = Database()
    running = Running(database)
    await running.polls(outbox, 1)
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert access_revoked.send(sender=Revocation) == []
    database.close()


async def test_what_was_seen_is_forgotten_in_time(outbox, running):
    await running.polls(outbox, 1)
    running.feed._seen = {number: datetime.now(UTC) - timedelta(seconds=181) for number in range(1000)}
    await running.until(lambda: running.feed._seen == {})
