"""Jobs that change many rows do so in bounded batches, and keep what they have done."""

import re
import uuid
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access import outbox
from access import services as access_services
from access.models import AccessToken, Revocation, Scope
from accounts import logins
from accounts.models import RefreshFamily, User
from accounts.sessions import WebSession
from billing import idempotency
from billing.models import IdempotencyKey
from proxy import personal_data, rollups
from proxy import services as proxy_services
from proxy.models import DenialRecord, ProxySession
from zenzefi.common import batches

ROWS = 10
COUNT = 35
LONG_AGO = timezone.now() - timedelta(days=30)


def _token(user):
    times = {"created_at": LONG_AGO - timedelta(hours=1), "expires_at": LONG_AGO}
    kind = {"scope": Scope.FULL, "duration_hours": 1, "cost": 0}
    return AccessToken.objects.create(user=user, digest=uuid.uuid4().hex, ciphertext=b"", **kind, **times)


def _tokens(user):
    for _ in range(COUNT):
        _token(user)


def _revocations(user):
    Revocation.objects.bulk_create([Revocation(cause="changed", user=user) for _ in range(COUNT)])
    Revocation.objects.update(created_at=LONG_AGO)


def _keys(user):
    rows = [IdempotencyKey(user=user, call="x", key=str(number), body_hash="", result={}) for number in range(COUNT)]
    IdempotencyKey.objects.bulk_create(rows)
    IdempotencyKey.objects.update(created_at=LONG_AGO)


def _web_sessions(_user):
    times = {"expire_date": LONG_AGO, "last_seen_at": LONG_AGO}
    rows = [WebSession(session_key=str(number), session_data="", **times) for number in range(COUNT)]
    WebSession.objects.bulk_create(rows)


def _families(user):
    row = {"user": user, "current_jti": "x", "rotated_at": LONG_AGO, "expires_at": LONG_AGO}
    RefreshFamily.objects.bulk_create([RefreshFamily(**row) for _ in range(COUNT)])


def _denials(user):
    row = {"user": user, "at": LONG_AGO, "code": "x", "status": 401, "ip": "192.0.2.1"}
    DenialRecord.objects.bulk_create([DenialRecord(**row, request_id=str(number)) for number in range(COUNT)])


def _sessions(user):
    row = {"user": user, "token": _token(user), "device_id": "x", "bytes_transferred": 1}
    times = {"started_at": LONG_AGO, "last_activity": LONG_AGO}
    ProxySession.objects.bulk_create([ProxySession(**row, **times) for _ in range(COUNT)])


def _of_deleted(write):
    def write_and_delete(user):
        write(user)
        User.objects.filter(pk=user.pk).update(deleted_at=LONG_AGO, is_active=False)

    return write_and_delete


CASES = {
    "expire tokens": (_tokens, access_services.mark_expired_tokens, COUNT),
    "revocations": (_revocations, outbox.delete_old_rows, COUNT),
    "idempotency keys": (_keys, idempotency.forget_old_keys, COUNT),
    "web sessions": (_web_sessions, logins.delete_expired, COUNT),
    "refresh families": (_families, logins.delete_expired, COUNT),
    "denials": (_denials, proxy_services.delete_old_denials, COUNT),
    "idle sessions": (_sessions, proxy_services.close_idle_sessions, COUNT),
    "denials of deleted users": (_of_deleted(_denials), personal_data.forget_deleted_users, 0),
    "sessions of deleted users": (_of_deleted(_sessions), personal_data.forget_deleted_users, COUNT),
    "roll-ups": (_sessions, rollups.roll_up, COUNT),
}


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(batches, "ROWS", ROWS)
    monkeypatch.setattr(rollups, "SESSIONS", ROWS)


def _rows_of(sql):
    """Return how many rows a statement can concern by its keys or its LIMIT; None if it has neither."""
    lists = [len(keys.split(",")) for keys in re.findall(r" IN \(((?!SELECT)[^()]*)\)", sql)]
    limits = [int(limit) for limit in re.findall(r"LIMIT (\d+)", sql)]
    return min(lists + limits, default=None)


@pytest.mark.parametrize("name", CASES)
def test_no_statement_of_a_job_is_unbounded(alice, name):
    write, job, count = CASES[name]
    write(alice)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert job() == count
    statements = [
        query["sql"] for query in queries.captured_queries if query["sql"].startswith(("SELECT", "UPDATE", "DELETE"))
    ]
    assert len(statements) >= COUNT // ROWS
    assert all((_rows_of(sql) or COUNT) <= ROWS for sql in statements), statements
    assert job() == 0


@pytest.mark.parametrize("name", [name for name in CASES if "deleted" not in name])
@pytest.mark.django_db(transaction=True)
def test_a_job_that_fails_keeps_the_batches_before(alice, name):
    write, job, count = CASES[name]
    write(alice)
    changes = 0

    def fail_at_the_third(execute, sql, params, many, context):
        nonlocal changes
        changes += sql.startswith(("UPDATE", "DELETE"))
        if changes == 3:
            raise DatabaseError("too slow")
        return execute(sql, params, many, context)

    with pytest.raises(DatabaseError), connection.execute_wrapper(fail_at_the_third):
        job()
    assert 0 < job() < count
