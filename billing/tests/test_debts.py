"""Debts: credits taken back after they were spent, and paid by the next credits."""

import contextlib
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from billing import adjustments, debts, ledger, verification
from billing.errors import InsufficientBalance
from billing.models import Account, Entry, SystemAccount, TransactionType
from billing.signals import debt_incurred, debt_paid
from billing.tests.support.debts import balance_and_debt, spend
from billing.tests.support.parallel import in_parallel
from conftest import fund


@pytest.fixture
def news():
    """Record the signals of debts."""
    received = []
    receivers = {
        debt_incurred: lambda user, **_kwargs: received.append(("incurred", user.username)),
        debt_paid: lambda user, **_kwargs: received.append(("paid", user.username)),
    }
    for signal, receiver in receivers.items():
        signal.connect(receiver)
    yield received
    for signal, receiver in receivers.items():
        signal.disconnect(receiver)


def test_what_the_wallet_holds_is_taken(alice, news):
    fund(alice, 10)
    debts.take_back(alice, Decimal(4), "refund")
    assert balance_and_debt(alice) == (6, 0)
    assert news == []


def test_what_it_lacks_becomes_a_debt(alice, news):
    # case A12
    fund(alice, 10)
    spend(alice, 7)
    debts.take_back(alice, Decimal(10), "Money went back")

    assert balance_and_debt(alice) == (0, 7)
    assert news == [("incurred", "alice")]
    assert list(
        Entry.objects.filter(account__user=alice).order_by("id").values_list("amount", "transaction__description")
    )[2:] == [(Decimal(7), "Owed: Money went back"), (Decimal(-10), "Money went back")]


def test_a_second_one_adds_to_it(alice):
    debts.take_back(alice, Decimal("2.50"), "one")
    debts.take_back(alice, Decimal("0.01"), "two")
    assert balance_and_debt(alice) == (0, Decimal("2.51"))


@pytest.mark.parametrize("changes", [{"debt": Decimal(3)}, {"debt": Decimal(0)}, {"balance": Decimal(1)}])
def test_verify_names_a_debt_that_was_tampered_with(alice, changes):
    # case A15
    debts.take_back(alice, Decimal(7), "refund")
    Account.objects.filter(user=alice).update(**changes)
    assert ("wallet", str(alice.wallet.pk)) in {(found.what, found.row) for found in verification.verify()}


def test_nothing_is_bought_on_credit(alice):
    debts.take_back(alice, Decimal(5), "refund")
    with pytest.raises(InsufficientBalance):
        spend(alice, 1)


@pytest.mark.parametrize(
    ("credited", "balance", "debt", "expected_news"),
    [("3", 0, 4, []), ("7", 0, 0, [("paid", "alice")]), ("10", 3, 0, [("paid", "alice")])],
)
def test_the_next_credit_pays_it_first(alice, news, credited, balance, debt, expected_news):
    # case A12
    debts.take_back(alice, Decimal(7), "refund")
    news.clear()
    moved = ledger.move(alice, Decimal(credited), SystemAccount.DEPOSITS, TransactionType.DEPOSIT, "top-up")

    assert balance_and_debt(alice) == (balance, debt)
    assert (moved.amount, moved.balance) == (Decimal(credited), balance)
    assert news == expected_news


@pytest.mark.parametrize("kind", [TransactionType.REFUND, TransactionType.BONUS, TransactionType.ADJUSTMENT])
def test_no_kind_of_credit_escapes_it(alice, kind):
    fund(alice, 5)
    spend(alice, 5)
    debts.take_back(alice, Decimal(7), "refund")
    ledger.move(alice, Decimal(5), SystemAccount.REVENUE, kind, "a credit")
    assert balance_and_debt(alice) == (0, 2)


def test_the_history_shows_the_top_up_and_what_of_it_paid_the_debt(alice, alice_api):
    debts.take_back(alice, Decimal(7), "refund")
    response = alice_api.post("/api/v1/currency/mock-purchase", {"amount": 10})
    assert (response.json()["amount"], response.json()["new_balance"]) == (10.0, 3.0)
    items = alice_api.get("/api/v1/currency/transactions").json()["items"]
    assert [(item["amount"], item["transaction_type"], item["description"]) for item in items[:2]] == [
        (-7.0, "adjustment", "Debt paid"),
        (10.0, "deposit", "Top-up through mock"),
    ]


def test_the_balance_names_a_debt(alice, alice_api):
    assert alice_api.get("/api/v1/currency/balance").json() == {"balance": 0.0, "currency": "ZNC"}
    debts.take_back(alice, Decimal("7.25"), "refund")
    response = alice_api.get("/api/v1/currency/balance").json()
    assert response == {"balance": 0.0, "currency": "ZNC", "debt": 7.25}


def test_an_operator_who_raises_the_balance_pays_the_debt_with_it(alice, olga, news):
    debts.take_back(alice, Decimal(7), "refund")
    moved = adjustments.adjust_balance(alice, Decimal(3), actor=olga, reason="a gift")
    assert balance_and_debt(alice) == (3, 0)
    assert (moved.amount, moved.balance) == (10, 3)
    assert news[-1] == ("paid", "alice")


def test_a_debt_is_of_a_wallet_and_never_negative(alice):
    for account in (Account.objects.filter(user=alice), Account.objects.filter(code="deposits")):
        with pytest.raises(DatabaseError), transaction.atomic():
            account.update(debt=Decimal(-1))
    with pytest.raises(DatabaseError), transaction.atomic():
        Account.objects.filter(code="deposits").update(debt=Decimal(1))


@pytest.mark.django_db(transaction=True)
def test_taken_back_while_it_is_spent(alice):
    # case A12: in any order, every credit is either spent, taken back or owed
    fund(alice, 20)
    bought = []

    def act(number):
        if number == 0:
            debts.take_back(alice, Decimal(20), "refund")
            return
        with contextlib.suppress(InsufficientBalance):
            bought.append(spend(alice, 4))

    in_parallel(8, act)
    assert balance_and_debt(alice) == (0, 4 * len(bought))


@pytest.mark.django_db(transaction=True)
def test_credits_at_once_pay_it_once(alice):
    debts.take_back(alice, Decimal(10), "refund")
    in_parallel(8, lambda _number: fund(alice, 3))
    assert balance_and_debt(alice) == (14, 0)
