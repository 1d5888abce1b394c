"""The feed of revocations delivers each row once, also after database errors."""

import asyncio
import contextlib
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from access.models import Revocation
from access.selectors import RevocationNotice, revocations_since, settled_revocations
from access.signals import access_revoked
from proxy.dataplane.admission import revocation_feed as feed_module
from proxy.dataplane.admission.revocation_feed import RevocationFeed
from proxy.dataplane.database import Database


class Outbox:
    """The rows of the outbox, as the database returns them to each poll."""

    def __init__(self):
        self.rows = {}
        self.polls = []
        self.error = None

    def commit(self, number, *, ago=0.0):
        self.rows[number] = datetime.now(UTC) - timedelta(seconds=ago)

    def settled(self, since, before):
        earlier = max((number for number, at in self.rows.items() if at < since), default=0)
        return [earlier, *(number for number, at in sorted(self.rows.items()) if since <= at < before)]

    def since(self, newest, left_out):
        self.polls.append((newest, left_out))
        if self.error is not None:
            raise self.error
        polled = [range(newest + 1, 10**15), *left_out]
        return [_notice(number) for number in sorted(self.rows) if any(number in ids for ids in polled)]


def _notice(number):
    return RevocationNotice(number, Revocation.Cause.CHANGED, None, None, datetime.now(UTC))


@pytest.fixture
def outbox(monkeypatch):
    outbox = Outbox()
    monkeypatch.setattr(feed_module, "settled_revocations", outbox.settled)
    monkeypatch.setattr(feed_module, "revocations_since", outbox.since)
    monkeypatch.setattr(feed_module, "POLL_SECONDS", 0.02)
    monkeypatch.setattr("proxy.dataplane.database.close_old_connections", lambda: None)
    return outbox


class Running:
    """A running feed and the notices that it has delivered."""

    def __init__(self, database):
        self.applied = []
        self.fails = set()
        self.feed = RevocationFeed(database, self.apply)
        self.task = asyncio.create_task(self.feed.run(), name="revocation feed")

    async def apply(self, notice):
        if notice.id in self.fails:
            raise RuntimeError("the state store is unavailable")
        self.applied.append(notice.id)

    async def until(self, condition):
        async with asyncio.timeout(20):
            while not condition():
                assert not self.task.done(), self.task
                await asyncio.sleep(0.001)

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


async def test_each_row_is_delivered_once_and_in_order(outbox, running):
    for number in (1, 2, 3):
        outbox.commit(number)
    await running.until(lambda: running.applied)
    outbox.commit(4)
    await running.polls(outbox, 3)
    assert running.applied == [1, 2, 3, 4]


async def test_a_row_that_is_committed_late_with_a_lower_id(outbox, running):
    outbox.commit(7)
    await running.until(lambda: running.applied == [7])
    # Its transaction began first and took longer; its timestamp does not matter.
    outbox.commit(5, ago=30 * 60)
    await running.until(lambda: running.applied == [7, 5])
    await running.polls(outbox, 2)
    assert running.applied == [7, 5]


async def test_missing_ids_are_polled_until_no_transaction_can_still_be_open(outbox, running):
    outbox.commit(3)
    outbox.commit(10)
    await running.until(lambda: running.applied == [3, 10])
    await running.until(lambda: outbox.polls[-1] == (10, [range(1, 3), range(4, 10)]))
    for number in (6, 7, 9):
        outbox.commit(number)
    await running.until(lambda: running.applied == [3, 10, 6, 7, 9])
    await running.until(lambda: outbox.polls[-1] == (10, [range(1, 3), range(4, 6), range(8, 9)]))
    running.feed._gaps[range(1, 3)] -= 3590
    running.feed._gaps[range(4, 6)] -= 3601
    await running.polls(outbox, 2)
    assert outbox.polls[-1] == (10, [range(1, 3), range(8, 9)])


# case G82
async def test_many_gaps_and_a_large_one_cost_little(outbox, running):
    for number in range(0, 1000, 2):
        outbox.commit(number + 10**12)
    await running.until(lambda: len(running.applied) == 500)
    await running.polls(outbox, 2)
    assert outbox.polls[-1][1] == [range(number, number + 1) for number in range(10**12 + 599, 10**12 + 999, 2)]
    assert len(outbox.polls[-1][1]) == 200


@pytest.fixture
def written_before(outbox):
    outbox.commit(5, ago=61)
    outbox.commit(6, ago=50)


async def test_rows_settled_before_the_start_are_not_delivered(outbox, written_before, running):
    await running.until(lambda: running.applied == [6])
    # Its transaction was open at the start, so grants read since then may not include it.
    outbox.commit(4, ago=90)
    await running.until(lambda: running.applied == [6, 4])
    await running.polls(outbox, 2)
    assert running.applied == [6, 4]


@pytest.mark.parametrize(
    "error", [OperationalError("unavailable"), TimeoutError(), ConnectionResetError(), RuntimeError("?")]
)
async def test_it_continues_after_errors_and_loses_nothing(outbox, running, error):
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


async def test_a_notice_that_fails_is_retried_and_keeps_the_feed_silent(outbox, running):
    await running.polls(outbox, 1)
    running.fails = {1}
    outbox.commit(1)
    outbox.commit(2)
    await running.polls(outbox, 2)
    silent = running.feed.silent_seconds()
    await running.polls(outbox, 3)
    assert running.applied == [2]
    # No new token is admitted while a revocation waits.
    assert running.feed.silent_seconds() > silent
    running.fails = set()
    await running.until(lambda: running.applied == [2, 1])


async def test_silence_grows_until_a_poll_succeeds(outbox, running, monkeypatch):
    await running.polls(outbox, 2)
    assert running.feed.silent_seconds() < 1
    outbox.error = OperationalError("unavailable")
    await running.polls(outbox, 1)
    later = time.monotonic() + 40
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: later)
        assert running.feed.silent_seconds() > 39


async def test_a_poll_that_hangs_does_not_end_the_silence(outbox, running, monkeypatch):
    await running.polls(outbox, 1)
    hanging, beginning = threading.Event(), []

    def hangs(*args):
        beginning.append(time.monotonic())
        assert hanging.wait(10)
        return outbox.since(*args)

    monkeypatch.setattr(feed_module, "revocations_since", hangs)
    await running.until(lambda: beginning)
    await asyncio.sleep(0.15)
    assert running.feed.silent_seconds() >= time.monotonic() - beginning[0]
    assert not running.task.done()
    hanging.set()


async def test_polls_do_not_accumulate_and_continue_once_the_database_responds(outbox, running, monkeypatch):
    await running.polls(outbox, 1)
    hanging, beginning = threading.Event(), []

    def hangs(*args):
        beginning.append(args)
        assert hanging.wait(10)
        return outbox.since(*args)

    monkeypatch.setattr(feed_module, "revocations_since", hangs)
    outbox.commit(1)
    await running.until(lambda: beginning)
    for _ in range(20):
        access_revoked.send(sender=Revocation)
        await asyncio.sleep(0.02)
    assert len(beginning) == 1
    assert running.feed.silent_seconds() > 0.3
    hanging.set()
    await running.until(lambda: running.applied == [1])


async def test_the_signal_wakes_it_at_once(outbox, running, monkeypatch):
    await running.polls(outbox, 1)
    monkeypatch.setattr(feed_module, "POLL_SECONDS", 60)
    await asyncio.sleep(0.1)
    outbox.commit(1)
    started = time.monotonic()
    # The signal is sent in the thread that has committed.
    await asyncio.to_thread(access_revoked.send, sender=Revocation)
    await running.until(lambda: running.applied == [1])
    assert time.monotonic() - started < 30  # far below the pause between polls


async def test_a_signal_during_a_poll_is_not_lost(outbox, running, monkeypatch):
    await running.polls(outbox, 1)
    monkeypatch.setattr(feed_module, "POLL_SECONDS", 60)
    polling = asyncio.Event()
    loop = asyncio.get_running_loop()
    read = outbox.since

    def slow(*args):
        found = read(*args)
        loop.call_soon_threadsafe(polling.set)
        time.sleep(0.05)
        return found

    monkeypatch.setattr(feed_module, "revocations_since", slow)
    access_revoked.send(sender=Revocation)
    await polling.wait()
    outbox.commit(1)  # after the read
    access_revoked.send(sender=Revocation)
    await running.until(lambda: running.applied == [1])


async def test_no_signal_is_received_after_the_end(outbox):
    database = Database()
    running = Running(database)
    await running.polls(outbox, 1)
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task
    assert running.feed._wake_from_thread not in [receiver for receiver, _ in access_revoked.send(sender=Revocation)]
    database.close()


@pytest.mark.services
def test_a_transaction_that_is_still_open_is_seen_once_it_commits(alice_token):
    """Find rows that commit late: PostgreSQL assigns ids before the commit, and rolled back ids stay missing."""
    start = timezone.now()
    (newest,) = settled_revocations(start, start)
    begun, commit = threading.Event(), threading.Event()

    def write_slowly():
        with transaction.atomic():
            Revocation.objects.create(cause=Revocation.Cause.CHANGED, token=alice_token.token)
            begun.set()
            assert commit.wait(10)
        connection.close()

    writing = threading.Thread(target=write_slowly)
    writing.start()
    assert begun.wait(10)
    with contextlib.suppress(ZeroDivisionError), transaction.atomic():
        rolled_back = Revocation.objects.create(cause=Revocation.Cause.CHANGED, token=alice_token.token)
        raise ZeroDivisionError
    Revocation.objects.create(cause=Revocation.Cause.CHANGED, token=alice_token.token)
    last = rolled_back.pk + 1
    assert [notice.id for notice in revocations_since(newest, [])] == [last]
    assert settled_revocations(start, timezone.now()) == [newest, last]
    commit.set()
    writing.join()
    assert [notice.id for notice in revocations_since(last, [range(newest + 1, last)])] == [last - 2]
