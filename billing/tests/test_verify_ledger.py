"""`manage.py verify_ledger` names what was tampered with."""

from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from accounts.guards import drop_append_only_sql
from billing import ledger
from billing.models import Account, Entry, SystemAccount, Transaction, TransactionType
from conftest import fund


def run():
    """Exit code and lines of the command."""
    output = StringIO()
    try:
        call_command("verify_ledger", stdout=output)
    except SystemExit as end:
        return end.code, output.getvalue().splitlines()
    return 0, output.getvalue().splitlines()


@pytest.fixture
def unguarded(db):
    """The ledger's tables without their triggers, as somebody with all rights on the database has them."""
    with connection.cursor() as cursor:
        for table in ("billing_entry", "billing_transaction"):
            for sql in drop_append_only_sql(connection.vendor, table):
                cursor.execute(sql)
    yield
    # The guards come back with the rollback; PostgreSQL's deferred trigger must not judge what is left here.
    transaction.set_rollback(True)


def test_a_sound_ledger_passes(alice, bob):
    fund(alice, "10.10")
    fund(bob, 3)
    ledger.move(alice, Decimal("-0.10"), SystemAccount.REVENUE, TransactionType.PURCHASE, "a thing")
    assert run() == (0, ["The ledger holds."])


def test_a_wallet_that_was_overwritten_is_named(alice, bob):
    # case A15
    fund(alice, 10)
    fund(bob, 10)
    Account.objects.filter(user=alice).update(balance=Decimal(1000))
    assert run() == (1, [f"wallet {alice.wallet.pk}: shows 1000.00 ZNC, its entries sum to 10.00 ZNC"])


def test_an_entry_that_was_changed_is_named(alice, unguarded):
    # case A15
    fund(alice, 10)
    fund(alice, 5)
    entry = Entry.objects.filter(account__user=alice, amount=Decimal(5)).get()
    Entry.objects.filter(pk=entry.pk).update(amount=Decimal("5.01"))
    assert run() == (
        1,
        [
            f"transaction {entry.transaction_id}: sums to 0.01 ZNC",
            f"wallet {alice.wallet.pk}: shows 15.00 ZNC, its entries sum to 15.01 ZNC",
        ],
    )


def test_a_transaction_without_entries_is_named(alice, unguarded):
    posted = Transaction.objects.create(type="bonus", description="empty")
    assert run() == (1, [f"transaction {posted.pk}: has no entries"])


def test_deleted_entries_are_found(alice, unguarded):
    fund(alice, 10)
    posted = Transaction.objects.get()
    Entry.objects.filter(account__user=alice).delete()
    assert run() == (
        1,
        [
            f"transaction {posted.pk}: sums to -10.00 ZNC",
            f"wallet {alice.wallet.pk}: shows 10.00 ZNC, its entries sum to 0.00 ZNC",
        ],
    )
