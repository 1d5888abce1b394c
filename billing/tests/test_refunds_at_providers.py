"""Refunds by operators and by the poller, at Stripe and at YooKassa."""

import uuid
from decimal import Decimal

import pytest

from billing import payment_refunds, poller, verification
from billing.models import Transaction
from billing.tests.support.mock_provider import state
from billing.tests.support.parallel import in_parallel
from billing.tests.support.polling import make_all_due, poll_now
from billing.tests.support.stripe_client import begin

REFUNDS = {"stripe": "POST /v1/refunds", "yookassa": "POST /v3/refunds"}


@pytest.fixture
def paid(standin, alice_api):
    """Return Alice's payment of 25.50, settled without its webhook."""
    payment = begin(alice_api)
    standin.pay(payment.provider_id)
    poll_now()
    assert state(payment) == ("succeeded", Decimal("25.50"))
    return payment


def _refund(payment, olga, amount="5.25"):
    key = str(uuid.uuid4())
    return payment_refunds.start(payment.pk, Decimal(amount), actor=olga, reason="asked for", key=key)


def test_credits_are_taken_back_for_a_refund_by_an_operator(standin, paid, olga):
    wanted = _refund(paid, olga)
    assert wanted.status == "done"
    assert state(paid) == ("partly_refunded", Decimal("20.25"))
    assert wanted.answer in standin.refunds
    assert _refund(paid, olga, "20.25").status == "done"
    assert state(paid) == ("refunded", 0)
    assert verification.verify() == []


@pytest.mark.parametrize("trouble", [{"lost": True}, {"silent": True}, {"status": 500, "body": b"{}"}])
def test_a_refund_whose_response_is_lost_is_made_once(standin, paid, olga, trouble):
    with standin.trouble(**trouble):
        wanted = _refund(paid, olga)
    assert wanted.status == "requested"
    assert state(paid) == ("succeeded", Decimal("25.50"))
    poll_now()
    wanted.refresh_from_db()
    assert (wanted.status, len(standin.refunds)) == ("done", 1)
    assert set(standin.keys(REFUNDS[standin.name])) <= {wanted.idempotence_key}
    assert state(paid) == ("partly_refunded", Decimal("20.25"))


def test_a_refund_that_the_provider_rejects_takes_nothing(standin, paid, olga):
    standin.refund(paid.provider_id, 2100 if standin.name == "stripe" else "21.00")  # without a webhook so far
    wanted = _refund(paid, olga)
    assert wanted.status == "refused"
    assert "Refund amount" in wanted.answer
    assert state(paid) == ("succeeded", Decimal("25.50"))


def test_a_pending_refund_is_followed_to_its_end(standin, paid, olga):
    standin.refunds_are = "pending"
    wanted = _refund(paid, olga)
    assert wanted.status == "accepted"
    assert state(paid) == ("succeeded", Decimal("25.50"))
    standin.settle_refund(wanted.answer)
    poll_now()
    wanted.refresh_from_db()
    assert wanted.status == "done"
    assert state(paid) == ("partly_refunded", Decimal("20.25"))


def test_after_a_failed_pending_refund_another_may_be_requested(standin, paid, olga, caplog):
    standin.refunds_are = "pending"
    wanted = _refund(paid, olga)
    refund_id = wanted.answer
    standin.fail_refund(refund_id)
    poll_now()
    wanted.refresh_from_db()
    assert (wanted.status, wanted.answer, wanted.next_check_at) == (
        "refused",
        f"{refund_id} failed after it was accepted",
        None,
    )
    assert "refund_failed" in caplog.messages
    assert state(paid) == ("succeeded", Decimal("25.50"))
    standin.refunds_are = "succeeded"
    assert _refund(paid, olga).status == "done"
    assert state(paid) == ("partly_refunded", Decimal("20.25"))


def test_another_refund_of_the_same_amount_does_not_end_one_that_is_pending(standin, paid, olga):
    standin.refunds_are = "pending"
    wanted = _refund(paid, olga, "5.00")
    standin.refund(paid.provider_id, 500 if standin.name == "stripe" else "5.00")  # in the provider's dashboard
    poll_now()
    wanted.refresh_from_db()
    assert wanted.status == "accepted"
    assert state(paid) == ("partly_refunded", Decimal("20.50"))


@pytest.mark.django_db(transaction=True)
def test_after_an_hour_without_the_provider_every_payment_is_settled_once(standin, alice, alice_api):
    # case B25
    begun = [begin(alice_api, 2) for _ in range(5)]
    for payment in begun:
        standin.pay(payment.provider_id)
    with standin.trouble(silent=True):
        for _ in range(3):
            poll_now()
    assert {state(payment) for payment in begun} == {("pending", 0)}
    make_all_due()
    in_parallel(4, lambda _number: poller.run())
    assert {state(payment) for payment in begun} == {("succeeded", 10)}
    assert Transaction.objects.count() == 5
    assert verification.verify() == []
