"""The feed of revocations reads an outbox of any size in bounded batches."""

import asyncio
import contextlib
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access import selectors
from access.models import Revocation
from proxy.dataplane.admission import revocation_feed as feed_module
from proxy.dataplane.admission.revocation_feed import RevocationFeed
from proxy.dataplane.database import Database


def write(count, token):
    """Write rows of the outbox in one statement, as a bulk change of the operators would."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO access_revocation (cause, token_id, created_at) "
            "SELECT 'changed', %s, now() FROM generate_series(1, %s)",
            [token.pk, count],
        )


@contextlib.asynccontextmanager
async def running(apply):
    database = Database()
    feed = RevocationFeed(database, apply)
    task = asyncio.create_task(feed.run(), name="revocation feed")
    yield feed
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    database.close()


async def until(condition, seconds):
    for _ in range(seconds * 100):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("too late")


def _in_thread(function, *args):
    try:
        return function(*args)
    finally:
        connection.close()


def create(cause, token):
    return Revocation.objects.create(cause=cause, token=token).pk


@pytest.mark.services
@pytest.mark.parametrize("rows", [10_000, pytest.param(200_000, marks=pytest.mark.slow)])
@pytest.mark.django_db(transaction=True)
async def test_a_burst_is_read_and_a_cut_off_after_it_is_on_time(alice_token, rows):
    applied, token = [], alice_token.token

    async def apply(notice):
        applied.append(notice)

    async with running(apply) as feed:
        await until(lambda: feed._seen is not None, 10)
        await asyncio.to_thread(_in_thread, write, rows, token)
        last = await asyncio.to_thread(_in_thread, create, Revocation.Cause.REVOKED, token)
        await until(lambda: applied and applied[-1].id == last, 60)
        ids = [notice.id for notice in applied]
        assert (len(ids), ids) == (rows + 1, sorted(set(ids)))
        await until(lambda: feed.silent_seconds() < 1.5, 10)
        began = time.monotonic()
        last = await asyncio.to_thread(_in_thread, create, Revocation.Cause.FROZEN, token)
        await until(lambda: applied[-1].id == last, 10)
        assert time.monotonic() - began < 2


@pytest.mark.django_db(transaction=True)
async def test_transactions_that_write_many_rows_in_turns(alice_token):
    """Each takes every second id. The second one commits after the rows of the first were applied."""
    applied, token, rows = [], alice_token.token, 1500

    async def apply(notice):
        applied.append(notice.id)

    def commit(ids):
        Revocation.objects.bulk_create([Revocation(id=number, cause="changed", token=token) for number in ids])

    async with running(apply) as feed:
        await until(lambda: feed._seen is not None, 10)
        first = feed._seen.newest + 1
        for ids in (range(first + 1, first + 2 * rows, 2), range(first, first + 2 * rows, 2)):
            await asyncio.to_thread(_in_thread, commit, ids)
            await until(lambda: len(applied) % rows == 0 and applied[-1:] == [ids[-1]], 30)  # noqa: B023
    assert sorted(applied) == list(range(first, first + 2 * rows))


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 95])
@pytest.mark.parametrize("gap", [False, True])
def test_a_query_of_the_outbox_reads_a_bounded_number_of_rows(alice_token, monkeypatch, rows, gap):
    monkeypatch.setattr(selectors, "REVOCATIONS", 10)
    last = Revocation.objects.create(cause=Revocation.Cause.CHANGED, token=alice_token.token).pk
    Revocation.objects.bulk_create(
        [Revocation(cause=Revocation.Cause.CHANGED, token=alice_token.token) for _ in range(rows)]
    )
    newest, gaps = (last + rows, [range(last + 1, last + rows + 1)]) if gap and rows else (last, [])
    with CaptureQueriesContext(connection) as queries:
        notices = selectors.revocations_since(newest, gaps)
    assert [notice.id for notice in notices] == list(range(last + 1, last + 1 + min(rows, 10)))
    assert all("LIMIT 10" in query["sql"] for query in queries.captured_queries)


@pytest.mark.parametrize("failing", [1, 2, 3])
async def test_the_feed_goes_on_after_a_batch_that_fails(monkeypatch, failing):
    # Each attempt reads one batch and fails at the next, as on a slow database.
    reads, applied = [], []

    def since(newest, _gaps):
        reads.append(newest)
        if len(reads) % (failing + 1) == 0:
            raise TimeoutError
        return [
            selectors.RevocationNotice(number, Revocation.Cause.CHANGED, None, None, None)
            for number in range(newest + 1, min(newest + 10, 95) + 1)
        ]

    async def apply(notice):
        applied.append(notice.id)

    monkeypatch.setattr(feed_module, "REVOCATIONS", 10)
    monkeypatch.setattr(feed_module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(feed_module, "settled_revocations", lambda *_times: [0])
    monkeypatch.setattr(feed_module, "revocations_since", since)
    monkeypatch.setattr("proxy.dataplane.database.close_old_connections", lambda: None)
    async with running(apply) as feed:
        await until(lambda: len(applied) == 95, 5)
        await until(lambda: feed.silent_seconds() < 0.5, 5)
    assert applied == list(range(1, 96))


@pytest.mark.parametrize("rows", [3, 10, 95])
def test_the_start_reads_a_bounded_number_of_ids(alice_token, monkeypatch, rows):
    monkeypatch.setattr(selectors, "REVOCATIONS", 10)
    Revocation.objects.bulk_create(
        [Revocation(cause=Revocation.Cause.CHANGED, token=alice_token.token) for _ in range(rows)]
    )
    now = timezone.now()
    ids = selectors.settled_revocations(now - timedelta(hours=1), now + timedelta(seconds=1))
    assert len(ids) <= 11
    assert ids[-1] == Revocation.objects.order_by("id").last().pk
