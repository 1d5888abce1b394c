"""Changes of the ledger that the database itself rejects."""

import uuid
from decimal import Decimal

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from billing import ledger, verification
from billing.models import Account, Entry, Transaction
from conftest import fund

postgresql_only = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has no deferred triggers: verify_ledger finds it there"
)


def execute(sql, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def rejected(sql, *parameters):
    with pytest.raises(IntegrityError), transaction.atomic():
        execute(sql, *parameters)


def test_a_wallet_below_zero_is_rejected(alice):
    # case A2
    fund(alice, 5)
    rejected("UPDATE billing_account SET balance = -1 WHERE user_id IS NOT NULL")
    with pytest.raises(IntegrityError), transaction.atomic():
        Account.objects.filter(user=alice).update(balance=Decimal("-0.01"))
    assert ledger.balance(alice) == 5


@pytest.mark.parametrize("table", ["billing_entry", "billing_transaction"])
def test_ledger_rows_are_neither_changed_nor_deleted_by_sql(alice, table):
    # case A3
    fund(alice, 5)
    column = "amount" if table == "billing_entry" else "description"
    rejected(f"UPDATE {table} SET {column} = {column}")
    rejected(f"DELETE FROM {table}")
    assert (Entry.objects.count(), Transaction.objects.count()) == (2, 1)


def test_ledger_rows_are_neither_changed_nor_deleted_by_the_orm(alice):
    # case A3
    fund(alice, 5)
    entry, posted = Entry.objects.first(), Transaction.objects.get()
    attempts = [
        entry.save,
        entry.delete,
        posted.save,
        Entry.objects.all().delete,
        lambda: Entry.objects.update(amount=Decimal(6)),
        lambda: Transaction.objects.update(description="other"),
    ]
    for attempt in attempts:
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()
    assert verification.verify() == []


def test_an_entry_of_zero_and_a_second_one_on_the_same_account_are_rejected(alice):
    fund(alice, 5)
    entry = Entry.objects.filter(account__user=alice).get()
    for amount in (0, 1):
        rejected(
            "INSERT INTO billing_entry (transaction_id, account_id, amount) "
            f"SELECT transaction_id, account_id, {amount} FROM billing_entry WHERE id = %s",
            entry.pk,
        )


def insert_unbalanced(user):
    """Insert an entry without its other side by SQL. Return the id of its transaction."""
    posted, wallet = uuid.uuid4(), user.wallet.pk
    as_kept = (lambda key: key.hex) if connection.vendor == "sqlite" else (lambda key: key)
    execute(
        "INSERT INTO billing_transaction (id, type, description, idempotency_key, created_at) "
        "VALUES (%s, 'bonus', 'forged', '', %s)",
        as_kept(posted),
        timezone.now(),
    )
    execute(
        "INSERT INTO billing_entry (transaction_id, account_id, amount) VALUES (%s, %s, 700)",
        as_kept(posted),
        as_kept(wallet),
    )
    return posted


@postgresql_only
@pytest.mark.django_db(transaction=True)
def test_unbalanced_entries_are_rejected_at_the_commit(alice):
    # case A1
    with pytest.raises(IntegrityError, match="do not sum to zero"), transaction.atomic():
        insert_unbalanced(alice)
    assert Transaction.objects.count() == 0


def test_verify_finds_unbalanced_entries(alice):
    # case A1
    posted = insert_unbalanced(alice)
    found = [(discrepancy.what, discrepancy.row) for discrepancy in verification.verify()]
    assert found == [("transaction", str(posted)), ("wallet", str(alice.wallet.pk))]
    # Otherwise PostgreSQL's deferred trigger would reject it at the end of the test.
    if connection.vendor == "postgresql":
        transaction.set_rollback(True)
