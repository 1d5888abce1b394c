"""The counts of sessions: kept in memory and written to the database every few seconds."""

import asyncio
import time
import uuid
from datetime import UTC, datetime

import pytest
from django.db import OperationalError
from hypothesis import given, settings
from hypothesis import strategies as st

from access.models import AccessToken, Scope
from proxy.dataplane.database import Database
from proxy.dataplane.denials.log import DenialLog
from proxy.dataplane.jobs import flush
from proxy.dataplane.records import Grant
from proxy.dataplane.sessions.accounting import Accounting
from proxy.dataplane.sessions.holders import Holders
from proxy.dataplane.sessions.session_writer import write_sessions
from proxy.dataplane.state.base import Lease
from proxy.dataplane.state.memory import MemoryState
from proxy.models import ProxySession

TIMEOUT = 300.0


class Clock:
    """The clock of the data plane, which the test advances."""

    def __init__(self, patch):
        # The start of a new session comes from the real clock.
        self.at = time.time()
        patch.setattr(time, "time", lambda: self.at)
        patch.setattr(time, "monotonic", lambda: self.at)

    def __iadd__(self, seconds):
        self.at += seconds
        return self


@pytest.fixture
def now(monkeypatch):
    return Clock(monkeypatch)


def _grant(token_id=None, user_id=None):
    token_id, user_id = token_id or uuid.uuid4(), user_id or uuid.uuid4()
    return Grant(
        digest="0" * 64, token_id=token_id, user_id=user_id, scope=Scope.FULL, deadline=9e9, expires_header=b"",
        user_header=b"", token_header=b"", denial=None, activated=True,
    )  # fmt: skip


class Worker:
    """The accounting of one worker. Several workers share the state and the database, which is `stored`."""

    def __init__(self, state=None, stored=None):
        self.accounting = Accounting(TIMEOUT)
        self.state = MemoryState(None) if state is None else state
        self.stored = {} if stored is None else stored

    def session(self, grant, device="device-1", ip=None, user_agent=""):
        """Return the session of an admitted request, or None if another device holds the token."""
        wanted = self.accounting.wanted_lease(grant, device)
        lease = asyncio.run(self.state.acquire_lease(grant.token_id, wanted, TIMEOUT))
        return lease and self.accounting.open_session(grant, lease, ip, user_agent.encode())

    def release(self, grant):
        """End the session and free the token, as a device reset does."""
        self.accounting.end(grant.token_id)
        asyncio.run(self.state.release_lease(grant.token_id, 1))

    def flush(self, *, fails=False):
        """Share the counts and store them, as the data plane does every few seconds."""
        self.accounting.end_idle()
        pending = [(session, session.counts) for session in self.accounting.unwritten()]
        totals = asyncio.run(self.state.share_counts([session.report(counts) for session, counts in pending]))
        if fails:
            return
        for (session, _), counts in zip(pending, totals, strict=True):
            known = self.stored.get(session.lease.session_id, (0, 0))
            self.stored[session.lease.session_id] = tuple(map(max, known, counts[1:]))
        self.accounting.confirm(pending)


@pytest.fixture
def worker(now):
    return Worker()


def test_a_session_continues_for_the_same_device(now, worker):
    grant = _grant()
    first = worker.session(grant, "device-1", "192.0.2.1", "client")
    now += TIMEOUT - 1
    assert worker.session(grant, "device-1", "192.0.2.9", "other client") is first
    assert (first.ip, first.user_agent, first.lease.device) == ("192.0.2.1", "client", "device-1")


def test_a_new_session_after_another_device(worker):
    grant = _grant()
    first = worker.session(grant, "device-1")
    assert worker.session(grant, "device-2") is None
    worker.release(grant)
    second = worker.session(grant, "device-2")
    assert second.lease.session_id != first.lease.session_id
    assert worker.accounting.of_lease(second.lease, grant.token_id) is second
    assert worker.accounting.of_lease(first.lease, grant.token_id) is None


def test_a_new_session_after_a_long_pause(now, worker):
    grant = _grant()
    first = worker.session(grant)
    now += TIMEOUT + 1
    assert worker.session(grant).lease.session_id != first.lease.session_id


def test_data_is_activity(now, worker):
    grant = _grant()
    session = worker.session(grant)
    for _ in range(3):
        now += TIMEOUT - 1
        session.count_bytes(10)
    assert session.bytes == 30
    assert worker.session(grant) is session


def test_a_session_outlives_the_loss_of_the_shared_state(now, worker):
    grant = _grant()
    session = worker.session(grant)
    worker.state = MemoryState(None)
    assert worker.session(grant) is session


def test_workers_count_one_session(now):
    one = Worker()
    two, grant = Worker(one.state, one.stored), _grant()
    here, there = one.session(grant), two.session(grant)
    assert here.lease == there.lease
    here.count_bytes(10)
    there.count_bytes(5)
    there.requests += 1
    one.flush()
    two.flush()
    assert one.stored == {here.lease.session_id: (15, 1)}


def test_shared_counts_outlive_a_worker_that_dies_or_forgets(now):
    one, grant = Worker(), _grant()
    two = Worker(one.state, one.stored)
    for worker in (one, two):
        worker.session(grant).count_bytes(10)
        worker.flush()
    now += 200
    two.session(grant).count_bytes(1)
    now += 200
    two.session(grant).count_bytes(1)
    two.flush()
    now += 201  # the first worker has not seen the session for two timeouts
    one.flush()
    session = one.session(grant)
    session.count_bytes(5)
    one.flush()
    assert one.stored == {session.lease.session_id: (27, 0)}


def test_a_stream_that_wakes_after_a_long_pause_is_counted(now, worker):
    grant = _grant()
    session = worker.session(grant)
    session.in_flight = 1
    session.count_bytes(1)
    now += 3 * TIMEOUT
    worker.flush()
    session.count_bytes(10)
    assert worker.session(grant) is session
    worker.flush()
    assert worker.stored[session.lease.session_id] == (11, 0)


def test_a_stream_of_an_ended_session_is_counted_until_it_ends(worker):
    grant = _grant()
    old = worker.session(grant, "device-1")
    old.in_flight = 1
    worker.flush()
    worker.release(grant)
    new = worker.session(grant, "device-2")
    worker.flush()
    old.count_bytes(5)
    worker.flush()
    assert worker.stored == {old.lease.session_id: (5, 0), new.lease.session_id: (0, 0)}
    old.in_flight = 0
    new.count_bytes(1)
    worker.flush()
    assert worker.accounting._ended == []


def test_unwritten_sessions_differ_from_the_database(worker):
    session = worker.session(_grant())
    assert worker.accounting.unwritten() == [session]
    worker.flush()
    assert worker.accounting.unwritten() == []
    session.requests += 1
    assert worker.accounting.unwritten() == [session]


def test_bytes_counted_during_the_write_are_still_unwritten(worker):
    session = worker.session(_grant())
    pending = [(session, session.counts)]
    session.count_bytes(100)
    worker.accounting.confirm(pending)
    assert worker.accounting.unwritten() == [session]


def test_an_ended_session_is_written_once_more_and_then_dropped(worker):
    grant = _grant()
    session = worker.session(grant)
    session.count_bytes(7)
    worker.release(grant)
    worker.flush(fails=True)
    worker.flush()
    assert worker.stored == {session.lease.session_id: (7, 0)}
    assert worker.accounting.unwritten() == []
    assert worker.accounting._ended == []


def test_an_idle_session_is_dropped(now, worker):
    worker.session(_grant())
    worker.flush()
    now += 2 * TIMEOUT + 1
    worker.flush()
    assert worker.accounting._live == {}
    assert worker.accounting._ended == []


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("use"), st.integers(0, 1), st.integers(0, 1), st.sampled_from(["device-1", "device-2"]),
                st.integers(0, 999),
            ),
            st.tuples(st.just("wait"), st.sampled_from([1.0, 200.0, 301.0])),
            st.tuples(st.just("flush"), st.integers(0, 1), st.booleans()),
            st.tuples(st.just("release"), st.integers(0, 1), st.integers(0, 1)),
        ),
        max_size=25,
    )
)  # fmt: skip
@settings(deadline=None)
def test_everything_is_counted_exactly_once(steps):
    with pytest.MonkeyPatch.context() as patch:
        now = Clock(patch)
        one = Worker()
        workers, grants, total = [one, Worker(one.state, one.stored)], [_grant(), _grant()], [0, 0]
        for kind, *rest in steps:
            if kind == "use":
                session = workers[rest[0]].session(grants[rest[1]], rest[2])
                if session is not None:
                    session.requests += 1
                    session.count_bytes(rest[3])
                    total = [total[0] + rest[3], total[1] + 1]
            elif kind == "wait":
                now += rest[0]
            elif kind == "flush":
                workers[rest[0]].flush(fails=rest[1])
            else:
                workers[rest[0]].release(grants[rest[1]])
        for worker in workers:
            worker.flush()
    assert [sum(column) for column in zip(*one.stored.values(), strict=True)] in ([], total)
    assert one.stored or total == [0, 0]


# --- With the database


@pytest.fixture
def token(alice):
    return AccessToken.objects.create(
        user=alice, digest="f" * 64, ciphertext=b"", scope=Scope.FULL, duration_hours=1, cost=1,
        created_at=datetime(2026, 1, 1, tzinfo=UTC), expires_at=datetime(2036, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def _session_of(token, accounting, **given):
    lease = Lease("device-1", uuid.uuid4(), time.time())
    values = {"ip": "192.0.2.1", "user_agent": b"client"} | given
    return accounting.open_session(_grant(token.pk, token.user_id), lease, *values.values())


def _row(session):
    return session, session.counts


@pytest.fixture(params=[True, False], ids=["known", "unknown"])
def write(request):
    """Return a function that writes sessions, with and without the worker knowing afterwards that the rows exist."""
    accounting = Accounting(TIMEOUT)

    def write(*rows):
        write_sessions(list(rows))
        if request.param:
            accounting.confirm(list(rows))

    return write


def test_a_row_is_written_and_updated(token, write):
    accounting = Accounting(TIMEOUT)
    session = _session_of(token, accounting)
    session.requests, session.bytes = 1, 10
    write(_row(session))
    ProxySession.objects.update(ended_at=datetime(2026, 1, 1, tzinfo=UTC))  # closed as idle
    session.requests, session.bytes = 3, 25
    write(_row(session))
    write(_row(session))
    row = ProxySession.objects.get()
    assert (row.pk, row.token_id, row.user_id, row.device_id) == (
        session.lease.session_id,
        token.pk,
        token.user_id,
        "device-1",
    )
    assert (row.ip, row.user_agent, row.bytes_transferred, row.request_count) == ("192.0.2.1", "client", 25, 3)
    assert row.last_activity.timestamp() == pytest.approx(session.last_active_at, abs=1e-3)
    assert row.started_at.timestamp() == pytest.approx(session.lease.started, abs=1e-3)
    assert row.ended_at is None


def test_a_late_write_does_not_lower_the_counts(token, write):
    session = _session_of(token, Accounting(TIMEOUT))
    session.requests, session.bytes = 1, 10
    late = _row(session)
    session.requests = 3
    session.count_bytes(15)
    write(_row(session))
    write(late)
    row = ProxySession.objects.get()
    assert (row.bytes_transferred, row.request_count) == (25, 3)
    assert row.last_activity.timestamp() == pytest.approx(session.last_active_at, abs=1e-3)


def test_a_deleted_row_is_inserted_again_together_with_others(token, write):
    deleted, kept, new = (_session_of(token, Accounting(TIMEOUT)) for _ in range(3))
    write(_row(deleted), _row(kept))
    ProxySession.objects.get(pk=deleted.lease.session_id).delete()
    for session in (deleted, kept, new):
        session.count_bytes(7)
    write(_row(deleted), _row(kept), _row(new))
    assert dict(ProxySession.objects.values_list("pk", "bytes_transferred")) == {
        session.lease.session_id: 7 for session in (deleted, kept, new)
    }


@pytest.mark.parametrize(
    ("ip", "stored"),
    [
        (None, None), ("", None), ("testclient", None), ("/run/gateway.sock", None), ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"),
    ],
)  # fmt: skip
def test_the_row_is_written_with_any_name_of_the_peer(token, ip, stored):
    write_sessions([_row(_session_of(token, Accounting(TIMEOUT), ip=ip))])
    assert ProxySession.objects.get().ip == stored


def test_a_session_closed_as_idle_reopens_when_it_continues(token):
    session = _session_of(token, Accounting(TIMEOUT))
    write_sessions([_row(session)])
    ProxySession.objects.update(ended_at=datetime(2026, 1, 1, tzinfo=UTC))
    session.count_bytes(1)
    write_sessions([_row(session)])
    assert ProxySession.objects.get().ended_at is None


class _Plane:
    """The parts of a data plane that the flush uses."""

    def __init__(self):
        self.accounting, self.database, self.state = Accounting(TIMEOUT), Database(), MemoryState(None)
        holders = Holders(self.state, self.accounting, TIMEOUT)
        self.flush = flush.Flush(self.database, self.state, self.accounting, DenialLog(), holders)


@pytest.mark.django_db(transaction=True)
async def test_a_failed_write_keeps_the_figures(monkeypatch, token, caplog):
    plane = _Plane()
    session = _session_of(token, plane.accounting)
    session.count_bytes(100)
    written = []

    def fail(rows):
        written.append(rows)
        raise OperationalError("the database is unavailable")

    monkeypatch.setattr(flush, "write_sessions", fail)
    await plane.flush.run()
    assert len(written) == 1
    assert "sessions_not_written" in caplog.text
    monkeypatch.undo()
    session.count_bytes(11)
    await plane.flush.run()
    await plane.flush.run()
    assert plane.accounting.unwritten() == []
    row = await plane.database.run(ProxySession.objects.get)
    assert row.bytes_transferred == 111
    plane.database.close()


@pytest.mark.django_db(transaction=True)
async def test_a_row_that_cannot_be_written_does_not_block_others(token, caplog):
    plane = _Plane()
    _session_of(token, plane.accounting).count_bytes(100)
    # The token is no longer in the database.
    lost = _grant(user_id=token.user_id)
    plane.accounting.open_session(lost, Lease("device-1", uuid.uuid4(), time.time()), None, b"")
    await plane.flush.run()
    assert plane.accounting.unwritten() == []
    row = await plane.database.run(ProxySession.objects.get)
    assert row.bytes_transferred == 100
    assert "row_dropped" in caplog.text
    plane.database.close()


# case G82
@pytest.mark.django_db(transaction=True)
async def test_many_sessions_are_written_in_pieces(monkeypatch):
    """Keep the pieces written before a failure, and write the others at the next flush."""
    monkeypatch.setattr(flush, "ROWS_PER_STATEMENT", 2)
    plane, attempts, written = _Plane(), [], []
    for number in range(5):
        lease = Lease(f"device-{number}", uuid.uuid4(), time.time())
        plane.accounting.open_session(_grant(), lease, None, b"").count_bytes(100)

    def write(rows):
        attempts.append(rows)
        if len(attempts) == 2:
            raise OperationalError("the database is unavailable")
        written.append([session.lease.device for session, _counts in rows])

    monkeypatch.setattr(flush, "write_sessions", write)
    await plane.flush.run()
    assert written == [["device-0", "device-1"]]
    assert [session.lease.device for session in plane.accounting.unwritten()] == ["device-2", "device-3", "device-4"]
    await plane.flush.run()
    assert written[1:] == [["device-2", "device-3"], ["device-4"]]
    assert plane.accounting.unwritten() == []
    plane.database.close()
