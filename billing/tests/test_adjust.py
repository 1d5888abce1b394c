"""Balance adjustments by operators."""

from decimal import Decimal

import pytest
from rest_framework.exceptions import ValidationError

from accounts.models import AuditEvent
from billing import adjustments, ledger, verification
from billing.errors import BalanceInMotion
from billing.models import SystemAccount, Transaction, TransactionType
from billing.tests.support.parallel import in_parallel
from conftest import fund


def adjust(user, balance, actor, reason="counted twice"):
    return adjustments.adjust_balance(user, Decimal(balance), actor=actor, reason=reason)


@pytest.mark.parametrize(("target", "difference"), [("12.50", "2.50"), ("3", "-7"), ("0", "-10")])
def test_a_balance_is_reached_by_an_adjustment(alice, olga, target, difference):
    # case A16
    fund(alice, 10)
    moved = adjust(alice, target, olga, "  counted twice ")

    assert (moved.amount, moved.balance) == (Decimal(difference), Decimal(target))
    assert ledger.balance(alice) == Decimal(target)
    posted = Transaction.objects.get(type=TransactionType.ADJUSTMENT)
    assert (posted.actor, posted.description) == (olga, "counted twice")
    assert dict(posted.entries.values_list("account__code", "amount")) == {
        None: Decimal(difference),
        SystemAccount.ADJUSTMENTS: -Decimal(difference),
    }
    event = AuditEvent.objects.get(kind="balance_adjusted")
    assert (event.user, event.actor, event.reason) == (alice, olga, "counted twice")
    assert event.details == {
        "transaction_id": str(posted.pk),
        "before": "10.00",
        "after": f"{Decimal(target):.2f}",
    }
    assert verification.verify() == []


def test_the_balance_that_is_there_already_changes_nothing(alice, olga):
    fund(alice, 10)
    assert adjust(alice, "10.00", olga) is None
    assert Transaction.objects.count() == 1
    assert not AuditEvent.objects.filter(kind="balance_adjusted").exists()


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 501])
def test_a_reason_is_obligatory(alice, olga, reason):
    # case A16
    with pytest.raises(ValidationError) as error:
        adjust(alice, 5, olga, reason)
    assert list(error.value.detail) == ["reason"]
    assert ledger.balance(alice) == 0
    assert not AuditEvent.objects.filter(kind="balance_adjusted").exists()


@pytest.mark.parametrize("target", ["-0.01", "0.001", "10000000000.01"])
def test_an_invalid_balance_is_rejected(alice, olga, target):
    with pytest.raises(ValidationError) as error:
        adjust(alice, target, olga)
    assert list(error.value.detail) == ["currency_balance"]
    assert not Transaction.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_it_holds_among_other_movements(alice, olga):
    fund(alice, 100)

    def act(number):
        if number:
            ledger.move(alice, Decimal(-1), SystemAccount.REVENUE, TransactionType.PURCHASE, "a thing")
            return None
        return adjust(alice, 500, olga)

    adjusted = in_parallel(9, act)[0]

    sold_before = Decimal(100) - (500 - adjusted.amount)
    assert ledger.balance(alice) == 500 - (8 - sold_before)
    assert verification.verify() == []


# case G83
@pytest.mark.django_db(transaction=True)
def test_two_operators_at_once_reach_one_balance(alice, olga):
    fund(alice, 10)
    results = in_parallel(6, lambda _number: adjust(alice, 50, olga))
    assert sum(1 for moved in results if moved) == 1
    assert ledger.balance(alice) == 50
    assert verification.verify() == []


def test_a_balance_that_has_changed_since_it_was_seen_is_left_alone(alice, olga):
    fund(alice, 10)
    assert ledger.adjust(alice, Decimal(9), Decimal(20), "x", actor=olga) is None
    assert ledger.balance(alice) == 10


def test_a_balance_that_keeps_changing_is_rejected(alice, olga, monkeypatch):
    monkeypatch.setattr(ledger, "balance", lambda user: Decimal(7))
    with pytest.raises(BalanceInMotion) as error:
        adjust(alice, 50, olga)
    assert (error.value.status_code, error.value.detail.code) == (409, "balance_in_motion")
    assert not Transaction.objects.exists()
