"""The statements of a purchase: their number is constant, and they do not lock other users' rows."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from access import services
from access.models import AccessToken, Scope
from access.tests.support.tokens import Buy
from accounts.models import User
from billing import ledger
from billing.idempotency import Call
from conftest import fund


def statements(user: User, key: str = "") -> list[str]:
    """Return the statements of a purchase in order, as their first word and table."""
    with CaptureQueriesContext(connection) as sent:
        services.purchase(Call(user, "test", key, None), 24, Scope.FULL)
    return [_brief(query["sql"]) for query in sent]


def _brief(sql: str) -> str:
    tables = ("access_tariff", "billing_account", "billing_transaction", "billing_entry", "billing_idempotencykey")
    named = [table for table in (*tables, "access_accesstoken") if f'"{table}"' in sql]
    return " ".join([sql.split()[0], *named[:1]])


SALE = [
    "SAVEPOINT",
    "SELECT access_tariff",
    "UPDATE billing_account",
    "SELECT billing_account",
    "INSERT billing_transaction",
    "INSERT billing_entry",
    "INSERT access_accesstoken",
    "RELEASE",
]


def test_the_statements_do_not_depend_on_earlier_purchases(alice: User, buy: Buy) -> None:
    fund(alice, "1000")
    first = statements(alice)
    for _earlier in range(60):
        buy(alice)
    assert statements(alice) == first == SALE


def test_a_key_adds_its_look_up_and_its_record(alice: User, tariffs: None) -> None:
    fund(alice, "1000")
    lock = ["SELECT"] if connection.vendor == "postgresql" else []
    look_up, record = "SELECT billing_idempotencykey", "INSERT billing_idempotencykey"
    assert statements(alice, "k") == [SALE[0], *lock, look_up, *SALE[1:-1], record, SALE[-1]]


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_purchases_of_different_users_do_not_wait_for_each_other(alice: User, bob: User, tariffs: None) -> None:
    for user in (alice, bob):
        fund(user, "18")

    def buy_at_once() -> AccessToken:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '1s'")
            return services.purchase(Call(bob, "test", "key", None), 24, Scope.FULL)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")
            connections.close_all()

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        services.purchase(Call(alice, "test", "key", None), 24, Scope.FULL)
        token = pool.submit(buy_at_once).result(timeout=10)  # Alice's purchase is not committed yet
        assert token.user == bob
    assert (ledger.balance(alice), ledger.balance(bob)) == (0, 0)
