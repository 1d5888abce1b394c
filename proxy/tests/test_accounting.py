"""Sessions and their figures: counted in memory, written every few seconds."""

import time
import uuid
from datetime import UTC, datetime

import pytest
from django.db import OperationalError
from hypothesis import given, settings
from hypothesis import strategies as st

from access.models import AccessToken, Scope
from proxy.dataplane import plane as plane_module
from proxy.dataplane.accounting import Accounting, write_sessions
from proxy.dataplane.database import Database
from proxy.dataplane.grants import Grant
from proxy.dataplane.plane import DataPlane
from proxy.models import ProxySession

TIMEOUT = 300.0


@pytest.fixture
def now(monkeypatch):
    class Clock:
        # A new session takes its time from the real clock.
        at = time.time()

        def __iadd__(self, seconds):
            self.at += seconds
            return self

    clock = Clock()
    monkeypatch.setattr(time, "time", lambda: clock.at)
    return clock


def _grant(token_id=None, user_id=None):
    token_id, user_id = token_id or uuid.uuid4(), user_id or uuid.uuid4()
    return Grant(
        digest="0" * 64, token_id=token_id, user_id=user_id, scope=Scope.FULL, deadline=9e9, expires_header=b"",
        user_header=b"", token_header=b"", denial=None, activated=True,
    )  # fmt: skip


def _flush(accounting, stored, *, fails=False):
    """What the data plane does every few seconds; `stored` is the database."""
    pending = [(session, session.figures) for session in accounting.pending()]
    if fails:
        return
    stored |= {session.id: (figures[1], figures[2]) for session, figures in pending}
    accounting.confirm(pending)


def test_a_session_goes_on_for_the_same_device(now):
    accounting, grant = Accounting(TIMEOUT), _grant()
    first = accounting.session(grant, "device-1", "192.0.2.1", "client")
    now += TIMEOUT
    assert accounting.session(grant, "device-1", "192.0.2.9", "other client") is first
    assert (first.ip, first.user_agent, first.device) == ("192.0.2.1", "client", "device-1")


def test_a_new_session_after_another_device(now):
    accounting, grant = Accounting(TIMEOUT), _grant()
    first = accounting.session(grant, "device-1", None, "")
    second = accounting.session(grant, "device-2", None, "")
    assert second is not first
    assert accounting.live(grant.token_id) is second
    assert accounting.session(grant, "device-1", None, "") is not first


def test_a_new_session_after_a_long_pause(now):
    accounting, grant = Accounting(TIMEOUT), _grant()
    first = accounting.session(grant, "device-1", None, "")
    now += TIMEOUT + 1
    assert accounting.live(grant.token_id) is None
    assert accounting.session(grant, "device-1", None, "").id != first.id


def test_data_is_activity(now):
    accounting, grant = Accounting(TIMEOUT), _grant()
    session = accounting.session(grant, "device-1", None, "")
    for _ in range(3):
        now += TIMEOUT - 1
        session.carried(10)
    assert session.bytes == 30
    assert accounting.session(grant, "device-1", None, "") is session


def test_a_stream_that_wakes_after_a_long_pause_is_counted(now):
    accounting, grant, stored = Accounting(TIMEOUT), _grant(), {}
    session = accounting.session(grant, "device-1", None, "")
    session.streams = 1
    session.carried(1)
    now += TIMEOUT + 1
    _flush(accounting, stored)
    assert accounting.live(grant.token_id) is None
    session.carried(10)
    assert accounting.live(grant.token_id) is session
    _flush(accounting, stored)
    assert stored[session.id] == (11, 0)


def test_a_stream_of_an_ended_session_is_counted_until_its_end(now):
    accounting, grant, stored = Accounting(TIMEOUT), _grant(), {}
    old = accounting.session(grant, "device-1", None, "")
    old.streams = 1
    _flush(accounting, stored)
    new = accounting.session(grant, "device-2", None, "")
    _flush(accounting, stored)
    old.carried(5)
    assert accounting.live(grant.token_id) is new
    _flush(accounting, stored)
    assert stored == {old.id: (5, 0), new.id: (0, 0)}
    old.streams = 0
    new.carried(1)
    _flush(accounting, stored)
    assert accounting._ended == []


def test_pending_is_what_the_database_does_not_have(now):
    accounting, grant = Accounting(TIMEOUT), _grant()
    session = accounting.session(grant, "device-1", None, "")
    assert accounting.pending() == [session]
    accounting.confirm([(session, session.figures)])
    assert accounting.pending() == []
    session.requests += 1
    assert accounting.pending() == [session]


def test_what_was_carried_during_the_write_is_still_pending(now):
    accounting, grant = Accounting(TIMEOUT), _grant()
    session = accounting.session(grant, "device-1", None, "")
    pending = [(session, session.figures)]
    session.carried(100)
    accounting.confirm(pending)
    assert accounting.pending() == [session]


def test_an_ended_session_is_written_once_more_and_then_forgotten(now):
    accounting, grant, stored = Accounting(TIMEOUT), _grant(), {}
    session = accounting.session(grant, "device-1", None, "")
    session.carried(7)
    accounting.end(grant.token_id)
    assert accounting.live(grant.token_id) is None
    _flush(accounting, stored, fails=True)
    _flush(accounting, stored)
    assert stored == {session.id: (7, 0)}
    assert accounting.pending() == []
    assert accounting._ended == []


def test_an_idle_session_ends(now):
    accounting, grant, stored = Accounting(TIMEOUT), _grant(), {}
    accounting.session(grant, "device-1", None, "")
    _flush(accounting, stored)
    now += TIMEOUT + 1
    _flush(accounting, stored)
    assert accounting._live == {}
    assert accounting._ended == []


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("use"), st.integers(0, 1), st.sampled_from(["device-1", "device-2"]), st.integers(0, 999)
            ),
            st.tuples(st.just("wait"), st.sampled_from([1.0, 200.0, 301.0])),
            st.tuples(st.just("flush"), st.booleans()),
            st.tuples(st.just("end"), st.integers(0, 1)),
        ),
        max_size=25,
    )
)
@settings(deadline=None)
def test_nothing_is_lost_and_nothing_counted_twice(steps):
    with pytest.MonkeyPatch.context() as patch:
        at = [time.time()]
        patch.setattr(time, "time", lambda: at[0])
        accounting, grants, stored, total = Accounting(TIMEOUT), [_grant(), _grant()], {}, [0, 0]
        for kind, *rest in steps:
            if kind == "use":
                session = accounting.session(grants[rest[0]], rest[1], None, "")
                session.requests += 1
                session.carried(rest[2])
                total = [total[0] + rest[2], total[1] + 1]
            elif kind == "wait":
                at[0] += rest[0]
            elif kind == "flush":
                _flush(accounting, stored, fails=rest[0])
            else:
                accounting.end(grants[rest[0]].token_id)
        _flush(accounting, stored)
    assert [sum(column) for column in zip(*stored.values(), strict=True)] in ([], total)
    assert stored or total == [0, 0]


# --- With the database


@pytest.fixture
def token(alice):
    return AccessToken.objects.create(
        user=alice, digest="f" * 64, ciphertext=b"", scope=Scope.FULL, duration_hours=1, cost=1,
        created_at=datetime(2026, 1, 1, tzinfo=UTC), expires_at=datetime(2036, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def _session_of(token, accounting, **given):
    values = {"device": "device-1", "ip": "192.0.2.1", "user_agent": "client"} | given
    return accounting.session(_grant(token.pk, token.user_id), *values.values())


def test_a_row_is_written_and_written_again(token):
    accounting = Accounting(TIMEOUT)
    session = _session_of(token, accounting)
    session.requests, session.bytes = 1, 10
    write_sessions([session.row()])
    session.requests, session.bytes = 3, 25
    write_sessions([session.row()])
    write_sessions([session.row()])
    row = ProxySession.objects.get()
    assert (row.pk, row.token_id, row.user_id, row.device_id) == (session.id, token.pk, token.user_id, "device-1")
    assert (row.ip, row.user_agent, row.bytes_transferred, row.request_count) == ("192.0.2.1", "client", 25, 3)
    assert row.last_activity.timestamp() == pytest.approx(session.active, abs=1e-3)
    assert row.started_at.timestamp() == pytest.approx(session.started, abs=1e-3)
    assert row.ended_at is None


@pytest.mark.parametrize(
    ("ip", "stored"),
    [
        (None, None), ("", None), ("testclient", None), ("/run/gateway.sock", None), ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::1"),
    ],
)  # fmt: skip
def test_whatever_the_peer_is_called_the_row_can_be_written(token, ip, stored):
    write_sessions([_session_of(token, Accounting(TIMEOUT), ip=ip).row()])
    assert ProxySession.objects.get().ip == stored


def test_a_session_that_was_closed_as_idle_is_open_again_once_it_goes_on(token):
    session = _session_of(token, Accounting(TIMEOUT))
    write_sessions([session.row()])
    ProxySession.objects.update(ended_at=datetime(2026, 1, 1, tzinfo=UTC))
    session.carried(1)
    write_sessions([session.row()])
    assert ProxySession.objects.get().ended_at is None


class _Plane:
    """As much of a data plane as `flush` uses."""

    flush = DataPlane.flush

    def __init__(self):
        self.accounting, self.database = Accounting(TIMEOUT), Database()


@pytest.mark.django_db(transaction=True)
async def test_a_failed_write_keeps_the_figures(monkeypatch, token, caplog):
    plane = _Plane()
    session = _session_of(token, plane.accounting)
    session.carried(100)
    written = []

    def fails(rows):
        written.append(rows)
        raise OperationalError("the database is gone")

    monkeypatch.setattr(plane_module, "write_sessions", fails)
    await plane.flush()
    assert len(written) == 1
    assert "could not be written" in caplog.text
    monkeypatch.undo()
    session.carried(11)
    await plane.flush()
    await plane.flush()
    assert plane.accounting.pending() == []
    row = await plane.database.run(ProxySession.objects.get)
    assert row.bytes_transferred == 111
    plane.database.close()


@pytest.mark.django_db(transaction=True)
async def test_one_row_that_cannot_be_written_holds_no_other_back(token, caplog):
    plane = _Plane()
    _session_of(token, plane.accounting).carried(100)
    # Of a token that is not in the database any more.
    plane.accounting.session(_grant(user_id=token.user_id), "device-1", None, "")
    await plane.flush()
    assert plane.accounting.pending() == []
    row = await plane.database.run(ProxySession.objects.get)
    assert row.bytes_transferred == 100
    assert "never" in caplog.text
    plane.database.close()
