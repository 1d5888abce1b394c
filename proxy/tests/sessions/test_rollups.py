"""Hourly roll-ups: their sum equals the sum of the sessions, even if runs repeat, overlap, are late or fail."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy import rollups
from proxy.models import ProxySession, UsageHour
from proxy.rollups import HOUR, roll_up
from proxy.tasks import roll_up_usage

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

pytestmark = pytest.mark.django_db(transaction=True)  # tokens are sold in transactions


@pytest.fixture
def tokens(alice_token, bob_token):
    return alice_token.token, bob_token.token


def begin(token, started=NOON, **figures):
    given = {"last_activity": started, "bytes_transferred": 0, "request_count": 1, **figures}
    return ProxySession.objects.create(
        token=token, user_id=token.user_id, device_id="device-1", started_at=started, **given
    )


def grow(session, *, by=timedelta(), size=0, requests=0):
    """Update a session as a flush does: set the maximum of the stored and the new values."""
    session.last_activity += by
    session.bytes_transferred += size
    session.request_count += requests
    session.save(update_fields=["last_activity", "bytes_transferred", "request_count"])


def hours(token):
    rows = UsageHour.objects.filter(token=token).order_by("hour")
    return [(row.hour, row.bytes, row.requests, row.active) for row in rows]


def in_hours():
    sums = UsageHour.objects.aggregate(Sum("bytes"), Sum("requests"), Sum("active"))
    return sums["bytes__sum"] or 0, sums["requests__sum"] or 0, sums["active__sum"] or timedelta()


def in_sessions():
    rows = list(ProxySession.objects.all())
    active = sum((max(timedelta(), row.last_activity - row.started_at) for row in rows), timedelta())
    return sum(row.bytes_transferred for row in rows), sum(row.request_count for row in rows), active


def test_the_new_traffic_of_a_session(tokens):
    session = begin(tokens[0], bytes_transferred=10)
    roll_up()
    grow(session, by=5 * MINUTE, size=7, requests=2)
    assert roll_up() == 1
    assert hours(tokens[0]) == [(NOON, 17, 3, 5 * MINUTE)]
    assert UsageHour.objects.get().user_id == tokens[0].user_id


def test_a_run_without_changes_changes_nothing(tokens, django_assert_max_num_queries):
    begin(tokens[0], bytes_transferred=10)
    assert (roll_up_usage(), roll_up_usage()) == (1, 0)
    assert hours(tokens[0]) == [(NOON, 10, 1, timedelta())]
    with django_assert_max_num_queries(3):  # one query, and the two of its transaction
        roll_up()


def test_time_in_use_is_split_at_full_hours(tokens):
    begin(tokens[0], NOON + 50 * MINUTE, last_activity=NOON + 2 * HOUR + 5 * MINUTE, bytes_transferred=9)
    roll_up()
    assert hours(tokens[0]) == [
        (NOON, 0, 0, 10 * MINUTE),
        (NOON + HOUR, 0, 0, HOUR),
        (NOON + 2 * HOUR, 9, 1, 5 * MINUTE),
    ]


def test_a_flush_that_comes_late_counts(tokens):
    session = begin(tokens[0])
    roll_up()
    session.ended_at = NOON
    session.save(update_fields=["ended_at"])
    grow(session, size=5)  # from another worker, after the session's end, no later than the last activity
    roll_up()
    assert hours(tokens[0]) == [(NOON, 5, 1, timedelta())]


def test_tokens_and_sessions_are_kept_apart_and_added_up(tokens):
    for token in (*tokens, tokens[0]):
        begin(token, bytes_transferred=4)
    assert roll_up() == 3
    assert hours(tokens[0]) == [(NOON, 8, 2, timedelta())]
    assert hours(tokens[1]) == [(NOON, 4, 1, timedelta())]


# case G78
def test_a_clock_that_is_slow(tokens):
    """Count an activity before the session's start once, without time in use. The clocks of workers differ."""
    session = begin(tokens[0], last_activity=NOON - MINUTE)
    roll_up()
    assert roll_up() == 0
    grow(session, by=3 * MINUTE)
    roll_up()
    assert hours(tokens[0]) == [(NOON, 0, 1, 2 * MINUTE)]


# case G82
def test_more_than_one_batch_holds(tokens, monkeypatch):
    monkeypatch.setattr(rollups, "SESSIONS", 2)
    monkeypatch.setattr(rollups, "ROWS", 1)
    for hour in range(5):
        begin(tokens[0], NOON + hour * HOUR, last_activity=NOON + hour * HOUR + 90 * MINUTE)
    assert roll_up() == 5
    assert in_hours() == in_sessions() == (0, 5, 450 * MINUTE)


def test_a_crash_between_the_two_halves(tokens, monkeypatch):
    begin(tokens[0], bytes_transferred=10)
    add = rollups._add

    def add_and_die(found):
        add(found)
        raise KeyboardInterrupt

    monkeypatch.setattr(rollups, "_add", add_and_die)
    with pytest.raises(KeyboardInterrupt):
        roll_up()
    monkeypatch.undo()
    roll_up()
    assert in_hours() == in_sessions() == (10, 1, timedelta())


steps = st.lists(
    st.one_of(
        st.just("roll up"),
        st.tuples(
            st.integers(0, 3),  # which session
            st.integers(0, 10_000_000_000),  # microseconds: up to 2.8 h
            st.integers(0, 2**40),
            st.integers(0, 50),
        ),
    ),
    max_size=20,
)


@given(steps)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_sums_are_equal_after_each_run(tokens, steps):
    """Compare the sums after random growth between the runs."""
    UsageHour.objects.all().delete()
    ProxySession.objects.all().delete()
    sessions = [begin(tokens[which % 2], NOON + which * 37 * MINUTE) for which in range(4)]
    for step in [*steps, "roll up"]:
        if step == "roll up":
            roll_up()
            assert in_hours() == in_sessions()
        else:
            which, microseconds, size, requests = step
            grow(sessions[which], by=timedelta(microseconds=microseconds), size=size, requests=requests)


# case G83
@pytest.mark.services
def test_two_runs_and_a_writer_at_once(tokens):
    """Count everything exactly once and without a deadlock, on separate PostgreSQL connections."""
    assert connection.vendor == "postgresql"
    sessions = [begin(tokens[number % 2]) for number in range(40)]
    over, problems = threading.Event(), []

    def repeat(work):
        try:
            while not over.is_set():
                work()
        except Exception as error:  # noqa: BLE001  # asserted by the test
            problems.append(error)
        finally:
            connections.close_all()

    def write():
        for session in reversed(sessions):
            grow(session, by=timedelta(seconds=90), size=3, requests=1)

    threads = [threading.Thread(target=repeat, args=[work]) for work in (roll_up, roll_up, roll_up)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        write()
    over.set()
    for thread in threads:
        thread.join()
    roll_up()
    assert problems == []
    assert in_hours() == in_sessions()
    assert in_sessions()[:2] == (40 * 30 * 3, 40 * 31)


def test_the_job_finds_changes_by_an_index(tokens):
    """Use the partial index instead of a scan of all sessions."""
    wanted = ProxySession.objects.filter(rollups.NOT_ROLLED_UP).order_by()[:500]
    with transaction.atomic():
        if connection.vendor == "postgresql":  # else the planner scans the table, which is empty
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL enable_seqscan = off")
        assert "proxy_session_not_rolled_up" in wanted.explain()
