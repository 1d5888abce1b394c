"""Customers' calls on a ledger of a million entries: no statement scans a whole table."""

import hashlib
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from billing.models import Account, Entry
from billing.verification import verify_all
from conftest import client_of

pytestmark = pytest.mark.services

CUSTOMERS = 5_000
BIG = ["billing_transaction", "billing_entry", "billing_account", "accounts_user"]

# The customers take turns to deposit 1 ZNC. Ids are derived from numbers, so that rows can refer to each other.
LOAD = """
SET LOCAL session_replication_role = replica;
INSERT INTO billing_transaction (id, type, description, idempotency_key, created_at)
SELECT md5('t' || n)::uuid, 'deposit', 'Top-up', '', timestamptz '2026-01-01' + n * interval '1 second'
FROM generate_series(0, {paid} - 1) n;
INSERT INTO billing_entry (transaction_id, account_id, amount)
SELECT md5('t' || n)::uuid, account, amount
FROM generate_series(0, {paid} - 1) n, LATERAL (
    VALUES (md5('w' || n % {customers})::uuid, 100),
           ((SELECT id FROM billing_account WHERE code = 'deposits'), -100)
) AS both_sides (account, amount);
SET LOCAL session_replication_role = DEFAULT;
ANALYZE {tables};
"""
# The query of the trigger that checks a transaction at the commit (`billing/migrations/0002_ledger_rules.py`).
BALANCED = "SELECT sum(amount) FROM billing_entry WHERE transaction_id = md5('t7')::uuid"


def id_of(name: str) -> uuid.UUID:
    return uuid.UUID(hashlib.md5(name.encode()).hexdigest())


@pytest.fixture
def vacuumed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Vacuum the tables after the test. Later scans would otherwise read all its rolled-back rows."""
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {', '.join(BIG)}")


@pytest.fixture(params=[100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def customer(vacuumed: None, tariffs: None, request: pytest.FixtureRequest) -> User:
    """Return one of `CUSTOMERS` customers who share the given number of entries."""
    paid = request.param // 2
    users = [
        User(pk=id_of(f"u{n}"), email=f"{n}@example.com", username=f"user{n}", password="") for n in range(CUSTOMERS)
    ]
    User.objects.bulk_create(users)
    Account.objects.bulk_create(
        [Account(pk=id_of(f"w{n}"), user=user, balance=paid // CUSTOMERS) for n, user in enumerate(users)]
    )
    with connection.cursor() as cursor:
        cursor.execute(LOAD.format(paid=paid, customers=CUSTOMERS, tables=", ".join(BIG)))
    assert Entry.objects.count() == request.param
    return users[CUSTOMERS // 2]


def plan(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(row for (row,) in cursor.fetchall())


def plans(call: Callable[[], Any]) -> dict[str, str]:
    """Return the call's statements on the big tables, with PostgreSQL's plans for them."""
    with CaptureQueriesContext(connection) as sent:
        response = call()
    assert response.status_code == 200, response.json()
    return {query["sql"]: plan(query["sql"]) for query in sent if any(table in query["sql"] for table in BIG)}


def test_only_indexes_are_used_and_all_of_it_is_verified(customer: User) -> None:
    api = client_of(customer)
    currency = "/api/v1/currency"
    calls: dict[str, Callable[[], Any]] = {
        "balance": lambda: api.get(f"{currency}/balance"),
        "a page": lambda: api.get(f"{currency}/transactions"),
        "a late page": lambda: api.get(f"{currency}/transactions?offset=8"),
        "a page of one type": lambda: api.get(f"{currency}/transactions?transaction_type=deposit"),
        "a page of another type": lambda: api.get(f"{currency}/transactions?transaction_type=refund"),
        "a statement": lambda: api.get(f"{currency}/statement?from=2026-01-01&to=2026-01-31"),
        "a purchase": lambda: api.post(
            "/api/v1/tokens/purchase", {"duration_hours": 1}, headers={"Idempotency-Key": "k"}
        ),
        "a refund": lambda: api.delete(f"/api/v1/tokens/{customer.access_tokens.get().pk}"),
        "a top-up": lambda: api.post(f"{currency}/mock-purchase", {"amount": 5}),
    }
    found = {name: plans(call) for name, call in calls.items()} | {"the trigger": {BALANCED: plan(BALANCED)}}

    assert all(found.values())
    scans = [
        f"{name}: {sql}\n{query_plan}"
        for name, statements in found.items()
        for sql, query_plan in statements.items()
        if any(f"Seq Scan on {table}" in query_plan for table in BIG)
    ]
    assert scans == []
    assert list(verify_all()) == []
