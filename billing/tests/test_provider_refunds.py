"""Refunds and disputes at the provider: credits are taken back by the difference."""

from decimal import Decimal

import pytest

from billing import ledger, settlement
from billing.models import Payment, Transaction
from billing.providers import mock
from billing.tests.support.debts import balance_and_debt, spend
from billing.tests.support.mock_provider import at_provider, change_and_send, create_pending_payment, paid, send
from billing.tests.support.parallel import in_parallel


def test_a_full_refund_takes_all_back(alice):
    payment = paid(alice, "100", price="90")
    assert change_and_send(payment, refunded=Decimal(90)) == ("refunded", 100, 90)
    assert balance_and_debt(alice) == (0, 0)
    assert payment.transitions.first().cause.startswith("webhook payment.refunded ")


def test_partial_refunds_take_the_difference_each(alice):
    payment = paid(alice, "100", price="90")
    assert change_and_send(payment, refunded=Decimal(30)) == ("partly_refunded", Decimal("33.33"), 30)
    assert ledger.balance(alice) == Decimal("66.67")
    assert change_and_send(payment, refunded=Decimal(60)) == ("partly_refunded", Decimal("66.67"), 60)
    assert change_and_send(payment, refunded=Decimal(60)) == ("partly_refunded", Decimal("66.67"), 60)
    assert change_and_send(payment, refunded=Decimal(90)) == ("refunded", 100, 90)
    assert balance_and_debt(alice) == (0, 0)
    assert [row.to_status for row in payment.transitions.order_by("id")][2:] == [
        "succeeded",
        "partly_refunded",
        "partly_refunded",
        "refunded",
    ]


def test_what_is_spent_becomes_a_debt_that_the_next_top_up_pays(alice):
    # case A12
    payment = paid(alice, "100")
    spend(alice, 80)
    assert change_and_send(payment, refunded=Decimal(100))[0] == "refunded"
    assert balance_and_debt(alice) == (0, 80)

    paid(alice, "50")
    assert balance_and_debt(alice) == (0, 30)
    paid(alice, "50")
    assert balance_and_debt(alice) == (20, 0)


def test_a_dispute_takes_all_credits_and_returns_them_if_it_is_won(alice):
    # case A12
    payment = paid(alice, "100")
    spend(alice, 30)
    assert change_and_send(payment, "disputed", disputed=True) == ("disputed", 100, 0)
    assert balance_and_debt(alice) == (0, 30)
    assert change_and_send(payment, "disputed", disputed=False) == ("succeeded", 0, 0)
    assert balance_and_debt(alice) == (70, 0)


def test_a_dispute_after_a_partial_refund(alice):
    payment = paid(alice, "100")
    change_and_send(payment, refunded=Decimal(40))
    assert change_and_send(payment, "disputed", disputed=True) == ("disputed", 100, 40)
    assert change_and_send(payment, "disputed", disputed=False) == ("partly_refunded", 40, 40)
    assert balance_and_debt(alice) == (60, 0)


def test_a_refund_that_fails_later_returns_the_credits(alice):
    payment = paid(alice, "100")
    change_and_send(payment, refunded=Decimal(100))
    assert change_and_send(payment, refunded=Decimal(0)) == ("succeeded", 0, 0)
    assert balance_and_debt(alice) == (100, 0)


def test_a_payment_that_is_paid_and_refunded_before_we_hear_of_it(alice):
    # case B22
    payment = create_pending_payment(alice, "100")
    at_provider(payment, status="succeeded")
    assert change_and_send(payment, refunded=Decimal(40)) == ("partly_refunded", 40, 40)
    assert balance_and_debt(alice) == (60, 0)


def test_an_older_response_does_not_undo_a_newer_one(alice):
    # case B22: two workers fetch the state, and the older response is applied last
    payment = paid(alice, "100")
    older = settlement.fetch_state(payment)
    change_and_send(payment, refunded=Decimal(100))
    assert settlement.settle(payment, older, cause="late") == "ignored: older than the known state"
    assert balance_and_debt(alice) == (0, 0)


def test_an_older_response_does_not_undo_a_newer_one_that_changed_nothing(alice):
    # case B22: a refund was seen in progress, and failed before that state was applied
    payment = paid(alice, "100")
    at_provider(payment, refunded=Decimal(100))
    older = settlement.fetch_state(payment)
    assert change_and_send(payment, refunded=Decimal(0)) == ("succeeded", 0, 0)
    assert settlement.settle(payment, older, cause="late") == "ignored: older than the known state"
    assert balance_and_debt(alice) == (100, 0)


@pytest.mark.parametrize("refunded", ["100.01", "-1"])
def test_more_than_was_paid_cannot_be_refunded(alice, caplog, refunded):
    payment = paid(alice, "100")
    at_provider(payment, refunded=Decimal(refunded))
    assert send(mock.event_body(payment.pk, "payment.refunded")).status_code == 400
    assert "payment_mismatch" in caplog.messages
    assert balance_and_debt(alice) == (100, 0)


def test_a_provider_that_takes_its_word_back_alerts(alice, caplog):
    payment = paid(alice)
    for status in ("pending", "failed"):
        caplog.clear()
        at_provider(payment, status=status)
        assert send(mock.event_body(payment.pk, "payment.failed")).status_code == 200
        assert "payment_credited_unpaid" in caplog.messages
    assert Payment.objects.get(pk=payment.pk).status == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_many_webhooks_of_one_refund_at_once_take_it_once(alice):
    # case B20
    payment = paid(alice, "100")
    spend(alice, 25)
    at_provider(payment, refunded=Decimal(100))
    bodies = [mock.event_body(payment.pk, "payment.refunded") for _ in range(10)]
    assert in_parallel(10, lambda number: send(bodies[number]).status_code) == [200] * 10
    assert balance_and_debt(alice) == (0, 25)
    assert Transaction.objects.filter(description__startswith="Money went back").count() == 1
