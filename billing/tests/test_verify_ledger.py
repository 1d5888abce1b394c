"""`manage.py verify_ledger` reports manipulated rows of the ledger."""

from decimal import Decimal

import pytest
from django.db import connection, transaction

from billing import ledger
from billing.models import Account, Entry, SystemAccount, Transaction, TransactionType
from billing.tests.support.commands import verify_ledger
from conftest import fund
from zenzefi.common.append_only import drop_append_only_sql


@pytest.fixture
def unguarded(db):
    """Remove the triggers of the ledger's tables, as a user with all rights on the database could."""
    with connection.cursor() as cursor:
        for table in ("billing_entry", "billing_transaction"):
            for sql in drop_append_only_sql(connection.vendor, table):
                cursor.execute(sql)
    yield
    # The rollback restores the triggers, and keeps PostgreSQL's deferred trigger from checking these rows.
    transaction.set_rollback(True)


def test_a_sound_ledger_passes(alice, bob):
    fund(alice, "10.10")
    fund(bob, 3)
    ledger.move(alice, Decimal("-0.10"), SystemAccount.ADJUSTMENTS, TransactionType.ADJUSTMENT, "a correction")
    assert verify_ledger() == (0, ["The ledger is consistent."])


def test_a_wallet_that_was_overwritten_is_named(alice, bob):
    # case A15
    fund(alice, 10)
    fund(bob, 10)
    Account.objects.filter(user=alice).update(balance=Decimal(1000))
    assert verify_ledger() == (1, [f"wallet {alice.wallet.pk}: shows 1000.00 ZNC, its entries sum to 10.00 ZNC"])


def test_an_entry_that_was_changed_is_named(alice, unguarded):
    # case A15
    fund(alice, 10)
    fund(alice, 5)
    entry = Entry.objects.filter(account__user=alice, amount=Decimal(5)).get()
    Entry.objects.filter(pk=entry.pk).update(amount=Decimal("5.01"))
    assert verify_ledger() == (
        1,
        [
            f"transaction {entry.transaction_id}: sums to 0.01 ZNC",
            f"wallet {alice.wallet.pk}: shows 15.00 ZNC, its entries sum to 15.01 ZNC",
        ],
    )


def test_a_transaction_without_entries_is_named(alice, unguarded):
    posted = Transaction.objects.create(type="bonus", description="empty")
    assert verify_ledger() == (1, [f"transaction {posted.pk}: has no entries"])


def test_deleted_entries_are_found(alice, unguarded):
    fund(alice, 10)
    posted = Transaction.objects.get()
    Entry.objects.filter(account__user=alice).delete()
    assert verify_ledger() == (
        1,
        [
            f"transaction {posted.pk}: sums to -10.00 ZNC",
            f"wallet {alice.wallet.pk}: shows 10.00 ZNC, its entries sum to 0.00 ZNC",
        ],
    )


def test_an_entry_that_was_moved_to_another_wallet_is_named(alice, bob, unguarded):
    # case A15
    fund(alice, 10)
    Entry.objects.filter(account__user=alice).update(account=bob.wallet)
    assert sorted(verify_ledger()[1]) == sorted(
        [
            f"wallet {alice.wallet.pk}: shows 10.00 ZNC, its entries sum to 0.00 ZNC",
            f"wallet {bob.wallet.pk}: shows 0.00 ZNC, its entries sum to 10.00 ZNC",
        ]
    )


def test_a_transaction_between_two_wallets_is_named(alice, bob, unguarded):
    fund(alice, 10)
    Entry.objects.filter(account__code="deposits").update(account=bob.wallet)
    Account.objects.filter(user=bob).update(balance=Decimal(0))
    posted = Transaction.objects.get()
    shape = "has 2 entries, 2 of them on wallets, instead of one on a wallet and one on a system account"
    assert verify_ledger()[1][0] == f"transaction {posted.pk}: {shape}"


def test_a_transaction_of_three_entries_is_named(alice, unguarded):
    fund(alice, 10)
    posted = Transaction.objects.get()
    deposits, revenue = (Account.objects.get(code=code) for code in ("deposits", "revenue"))
    Entry.objects.filter(account=deposits).update(amount=Decimal(-4))
    Entry.objects.create(transaction=posted, account=revenue, amount=Decimal(-6))
    shape = "has 3 entries, 1 of them on wallets, instead of one on a wallet and one on a system account"
    assert verify_ledger() == (1, [f"transaction {posted.pk}: {shape}"])


def test_a_user_without_a_wallet_is_named(alice):
    alice.wallet.delete()
    assert verify_ledger() == (1, [f"user {alice.pk}: has no wallet"])


def test_a_refund_without_a_purchase_is_named(alice):
    ledger.move(alice, Decimal(3), SystemAccount.REVENUE, TransactionType.REFUND, "back")
    assert verify_ledger()[1][0] == f"wallet {alice.wallet.pk}: was refunded 3.00 ZNC but paid 0.00 ZNC"


def reverse(user, amount, original):
    return ledger.move(
        user,
        Decimal(amount),
        SystemAccount.DEPOSITS,
        TransactionType.ADJUSTMENT,
        "reversed",
        reverses=original,
    ).transaction


def test_a_reversal_of_all_or_a_part_passes(alice):
    for amount in (-10, -4):
        fund(alice, 10)
        reverse(alice, amount, Transaction.objects.filter(type="deposit").latest("created_at"))
    assert verify_ledger() == (0, ["The ledger is consistent."])


def test_a_reversal_of_more_than_there_was_is_named(alice):
    fund(alice, 5)
    fund(alice, 10)
    original = Transaction.objects.earliest("created_at")
    reversal = reverse(alice, -6, original)
    assert verify_ledger() == (
        1,
        [f"transaction {reversal.pk}: moves -6.00 ZNC to reverse {original.pk} of 5.00 ZNC"],
    )


def test_a_reversal_in_the_same_direction_is_named(alice):
    fund(alice, 5)
    original = Transaction.objects.get()
    reversal = reverse(alice, 5, original)
    assert verify_ledger() == (1, [f"transaction {reversal.pk}: moves 5.00 ZNC to reverse {original.pk} of 5.00 ZNC"])


def test_a_reversal_of_another_wallet_is_named(alice, bob):
    fund(alice, 5)
    fund(bob, 5)
    original = Transaction.objects.filter(entries__account=alice.wallet).get()
    reversal = reverse(bob, -5, original)
    assert verify_ledger() == (
        1,
        [f"transaction {reversal.pk}: reverses {original.pk}, which did not move this wallet"],
    )


def test_a_wallet_below_zero_is_named(unconstrained, alice):
    # case A2: if the constraint was removed
    fund(alice, 5)
    Account.objects.filter(user=alice).update(balance=Decimal(20))
    ledger.move(alice, Decimal(-15), SystemAccount.ADJUSTMENTS, TransactionType.ADJUSTMENT, "out")
    Account.objects.filter(user=alice).update(balance=Decimal(-10))
    assert verify_ledger() == (1, [f"wallet {alice.wallet.pk}: shows -10.00 ZNC, its entries sum to -10.00 ZNC"])
