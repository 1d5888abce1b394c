"""Movements of a wallet: exact, balanced, never below zero."""

import os
import subprocess
import sys
from decimal import Decimal

import pytest
from django.db import connection

from billing import ledger, verification
from billing.errors import InsufficientBalance
from billing.models import Entry, SystemAccount, Transaction, TransactionType
from billing.tests.support.parallel import in_parallel
from conftest import fund


def buy(user, price, **kwargs):
    return ledger.move(user, -Decimal(price), SystemAccount.REVENUE, TransactionType.PURCHASE, "a thing", **kwargs)


def entries(user):
    return list(Entry.objects.filter(account__user=user).order_by("id").values_list("amount", flat=True))


def test_a_new_user_has_an_empty_wallet(alice):
    assert ledger.balance(alice) == 0
    assert alice.wallet.balance == 0


def test_a_credit_and_a_debit_move_the_wallet_and_leave_balanced_entries(alice):
    fund(alice, "10.10")
    moved = buy(alice, "3.05", actor=alice, idempotency_key="k1")

    assert moved.balance == ledger.balance(alice) == Decimal("7.05")
    assert moved.amount == Decimal("-3.05")
    assert entries(alice) == [Decimal("10.10"), Decimal("-3.05")]
    stored = Transaction.objects.get(pk=moved.transaction.pk)
    assert (stored.type, stored.description, stored.actor, stored.idempotency_key) == (
        "purchase",
        "a thing",
        alice,
        "k1",
    )
    assert dict(stored.entries.values_list("account__code", "amount")) == {
        None: Decimal("-3.05"),
        "revenue": Decimal("3.05"),
    }
    assert verification.verify() == []


def test_money_is_exact(alice):
    # case A1: if decimals were stored as floats, 0.30 - 0.10 would not buy 0.20
    fund(alice, "0.30")
    buy(alice, "0.10")
    buy(alice, "0.20")

    assert ledger.balance(alice) == 0
    # case A14
    fund(alice, "0.1")
    fund(alice, "0.2")
    assert ledger.balance(alice) == Decimal("0.30")
    with connection.cursor() as cursor:
        cursor.execute("SELECT balance FROM billing_account WHERE user_id IS NOT NULL")
        assert cursor.fetchall() == [(30,)]


def test_a_debit_above_the_balance_is_rejected_and_writes_nothing(alice):
    fund(alice, 10)
    with pytest.raises(InsufficientBalance) as error:
        buy(alice, 18)

    assert error.value.detail == "Insufficient balance. Required: 18.00 ZNC, Available: 10.00 ZNC"
    assert error.value.detail.code == "insufficient_balance"
    assert ledger.balance(alice) == 10
    assert Transaction.objects.count() == 1


@pytest.mark.parametrize("amount", [Decimal(0), Decimal("0.00")])
def test_a_movement_of_zero_is_rejected(alice, amount):
    with pytest.raises(ValueError, match="zero"):
        ledger.move(alice, amount, SystemAccount.DEPOSITS, TransactionType.DEPOSIT, "nothing")


def test_a_transaction_is_reversed_only_once(alice):
    fund(alice, 10)
    bought = buy(alice, 10).transaction
    back = ledger.move(alice, Decimal(10), SystemAccount.REVENUE, TransactionType.REFUND, "back", reverses=bought)

    assert bought.reversed_by == back.transaction
    assert ledger.balance(alice) == 10


@pytest.mark.django_db(transaction=True)
def test_parallel_debits_cannot_overdraw(alice):
    # cases A4, A5
    fund(alice, 10)

    def attempt(_number):
        try:
            return buy(alice, 10).balance
        except InsufficientBalance as error:
            return error.detail.code

    results = in_parallel(50, attempt)

    assert results.count(Decimal(0)) == 1
    assert results.count("insufficient_balance") == 49
    assert entries(alice) == [Decimal(10), Decimal(-10)]
    assert verification.verify() == []


SHOPPER = """
import django; django.setup()
from decimal import Decimal
from accounts.models import User
from billing import ledger
from billing.errors import InsufficientBalance
from billing.models import SystemAccount, TransactionType
alice = User.objects.get(username="alice")
for number in range(25):
    try:
        ledger.move(alice, Decimal(-1), SystemAccount.REVENUE, TransactionType.PURCHASE, "a thing")
        print("bought")
    except InsufficientBalance:
        print("rejected")
"""


def database_url():
    """Return the environment of another process that uses the test database."""
    used = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{used['NAME']}"
    login = f"{used['USER']}:{used['PASSWORD']}"
    return f"postgres://{login}@{used['HOST']}:{used['PORT'] or 5432}/{used['NAME']}"


@pytest.mark.django_db(transaction=True)
def test_several_processes_share_one_wallet(alice):
    # case A5
    fund(alice, 30)
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "zenzefi.settings", "DATABASE_URL": database_url()}
    command = [sys.executable, "-c", SHOPPER]
    shoppers = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    finished = [shopper.communicate(timeout=60) for shopper in shoppers]

    assert [(shopper.returncode, errors) for shopper, (_, errors) in zip(shoppers, finished, strict=True)] == [
        (0, "")
    ] * 2
    responses = [word for output, _ in finished for word in output.split()]
    assert (responses.count("bought"), responses.count("rejected")) == (30, 20)
    assert ledger.balance(alice) == 0
    assert verification.verify() == []
