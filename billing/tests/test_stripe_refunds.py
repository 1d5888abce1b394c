"""Refunds and disputes at Stripe: credits are taken back, and returned if the money comes back."""

from decimal import Decimal

import pytest

from billing import verification
from billing.models import WebhookEvent
from billing.tests.support.mock_provider import state
from billing.tests.support.stripe_client import begin, send


@pytest.fixture
def paid(stripe_api, alice_api):
    """Return Alice's credited payment of 25.50."""
    payment = begin(alice_api)
    body = stripe_api.event("checkout.session.completed", stripe_api.pay(payment.provider_id))
    assert send(body).status_code == 200
    return payment


def _sent(stripe_api, kind, about):
    response = send(stripe_api.event(kind, about))
    assert response.status_code == 200, response.content
    assert verification.verify() == []


def test_a_part_and_then_the_rest_are_taken_back(stripe_api, paid):
    _sent(stripe_api, "charge.refunded", stripe_api.refund(paid.provider_id, 1000))
    assert state(paid) == ("partly_refunded", Decimal("15.50"))
    _sent(stripe_api, "charge.refunded", stripe_api.refund(paid.provider_id, 1550))
    assert state(paid) == ("refunded", 0)


@pytest.mark.parametrize("kind", ["refund.created", "refund.updated", "charge.refund.updated"])
def test_a_refund_that_is_pending_takes_nothing_until_it_went_through(stripe_api, paid, kind):
    charge = stripe_api._charge(paid.provider_id)
    refund = stripe_api._refund(charge, 1000, "pending")
    _sent(stripe_api, kind, refund)
    assert state(paid) == ("succeeded", Decimal("25.50"))
    refund["status"] = "succeeded"
    _sent(stripe_api, kind, refund)
    assert state(paid) == ("partly_refunded", Decimal("15.50"))


def test_a_refund_that_fails_on_its_way_comes_back(stripe_api, paid):
    stripe_api.refund(paid.provider_id, 2550)
    [refund] = stripe_api.refunds.values()
    _sent(stripe_api, "refund.updated", refund)
    assert state(paid) == ("refunded", 0)
    _sent(stripe_api, "refund.failed", stripe_api.fail_refund(refund["id"]))
    assert state(paid) == ("succeeded", Decimal("25.50"))


def test_a_dispute_takes_all_credits_back_and_a_won_one_returns_them(stripe_api, paid):
    dispute = stripe_api.dispute(paid.provider_id)
    _sent(stripe_api, "charge.dispute.created", dispute)
    assert state(paid) == ("disputed", 0)
    dispute["status"] = "under_review"
    _sent(stripe_api, "charge.dispute.updated", dispute)
    assert state(paid) == ("disputed", 0)
    dispute["status"] = "won"
    _sent(stripe_api, "charge.dispute.closed", dispute)
    assert state(paid) == ("succeeded", Decimal("25.50"))


def test_a_lost_dispute_stays(stripe_api, paid):
    dispute = stripe_api.dispute(paid.provider_id)
    _sent(stripe_api, "charge.dispute.created", dispute)
    dispute["status"] = "lost"
    _sent(stripe_api, "charge.dispute.closed", dispute)
    assert state(paid) == ("disputed", 0)


def test_a_dispute_in_the_wrong_order_comes_to_the_same(stripe_api, paid):
    # case B22
    dispute = stripe_api.dispute(paid.provider_id)
    created = stripe_api.event("charge.dispute.created", dict(dispute))
    dispute["status"] = "won"
    _sent(stripe_api, "charge.dispute.closed", dispute)
    assert send(created).status_code == 200
    assert state(paid) == ("succeeded", Decimal("25.50"))


@pytest.mark.parametrize("status", ["warning_needs_response", "warning_under_review", "warning_closed", "prevented"])
def test_a_question_of_the_bank_moves_nothing(stripe_api, paid, status):
    _sent(stripe_api, "charge.dispute.created", stripe_api.dispute(paid.provider_id, status))
    assert state(paid) == ("succeeded", Decimal("25.50"))


def test_spent_credits_become_a_debt(stripe_api, paid, alice, alice_api):
    # case A12
    assert alice_api.post("/api/v1/tokens/purchase", {"duration_hours": 24}).status_code == 200
    _sent(stripe_api, "charge.dispute.created", stripe_api.dispute(paid.provider_id))
    assert state(paid) == ("disputed", 0)
    alice.wallet.refresh_from_db()
    assert alice.wallet.debt == Decimal("18.00")


def test_a_refund_of_a_payment_that_is_not_ours_is_kept_and_does_nothing(stripe_api, paid):
    asked = {"id": "re_x", "object": "refund", "payment_intent": "pi_of_the_shop_next_door", "charge": "ch_x"}
    _sent(stripe_api, "refund.created", asked)
    assert WebhookEvent.objects.get(kind="refund.created").payment is None
    _sent(stripe_api, "charge.dispute.created", {"id": "du_x", "object": "dispute", "payment_intent": None})
    assert state(paid) == ("succeeded", Decimal("25.50"))


def test_a_lie_about_a_refund_takes_nothing(stripe_api, paid):
    charge = stripe_api._charge(paid.provider_id) | {"amount_refunded": 2550, "refunded": True}
    _sent(stripe_api, "charge.refunded", charge)
    assert state(paid) == ("succeeded", Decimal("25.50"))


def test_a_refund_event_is_not_accepted_while_stripe_is_unavailable(stripe_api, paid):
    body = stripe_api.event("charge.refunded", stripe_api.refund(paid.provider_id, 1000))
    with stripe_api.trouble(status=500):
        assert send(body).status_code == 503
    assert state(paid) == ("succeeded", Decimal("25.50"))
    assert send(body).status_code == 200
    assert state(paid) == ("partly_refunded", Decimal("15.50"))


def test_a_refund_at_another_account_is_rejected(stripe_api, paid):
    # case B22: its payment intent belongs to no session
    body = stripe_api.event("charge.refunded", stripe_api.refund(paid.provider_id, 1000))
    unknown = b'{"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such intent"}}'
    with stripe_api.trouble(status=404, body=unknown):
        assert send(body).status_code == 400
    assert state(paid) == ("succeeded", Decimal("25.50"))
