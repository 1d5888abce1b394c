"""`POST /currency/webhooks/{provider}`: events are verified, stored once and applied once."""

import json
import uuid
from decimal import Decimal

import pytest
from django.utils import timezone

from billing import ledger, payments, poller, settlement, verification, webhooks
from billing.models import Payment, Transaction, WebhookEvent
from billing.providers import mock
from billing.tests.support.mock_provider import at_provider, is_unchanged, send, set_status, state
from billing.tests.support.parallel import in_parallel
from conftest import fund


def test_a_paid_payment_is_credited(payment):
    body = set_status(payment, "succeeded")
    response = send(body)

    assert (response.status_code, response.json()) == (200, {"received": True})
    assert state(payment) == ("succeeded", Decimal("25.50"))
    payment.refresh_from_db()
    assert (payment.transaction.type, payment.transaction.description, payment.transaction.actor) == (
        "deposit",
        "Top-up through mock",
        None,
    )
    event = WebhookEvent.objects.get()
    assert (event.provider, event.kind, event.payment, event.outcome) == (
        "mock",
        "payment.succeeded",
        payment,
        "succeeded",
    )
    assert event.event_id == json.loads(body)["id"]
    assert verification.verify() == []


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_a_declined_or_cancelled_payment_credits_nothing(payment, outcome):
    assert send(set_status(payment, outcome)).status_code == 200
    assert state(payment) == (outcome, 0)
    assert not Transaction.objects.exists()


def test_an_event_sent_again_gets_the_same_response_and_credits_once(payment):
    # case B20
    body = set_status(payment, "succeeded")
    assert [send(body).status_code for _ in range(3)] == [200] * 3
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert WebhookEvent.objects.count() == Transaction.objects.count() == 1


def test_two_events_for_one_payment_credit_once(payment):
    # case B20
    for _ in range(2):
        assert send(set_status(payment, "succeeded")).status_code == 200
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert list(WebhookEvent.objects.order_by("id").values_list("outcome", flat=True)) == [
        "succeeded",
        "ignored: already succeeded",
    ]


@pytest.mark.django_db(transaction=True)
def test_one_event_a_hundred_times_at_once_credits_once(payment):
    # case B20
    body = set_status(payment, "succeeded")
    headers = mock.signed(body)
    statuses = in_parallel(100, lambda _number: send(body, headers).status_code, threads=12)
    assert statuses == [200] * 100
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert WebhookEvent.objects.count() == Transaction.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_many_events_for_one_payment_at_once_credit_once(payment):
    # cases A8, A9, A11
    bodies = [set_status(payment, "succeeded") for _ in range(10)]
    statuses = in_parallel(10, lambda number: send(bodies[number]).status_code)
    assert statuses == [200] * 10
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert Transaction.objects.count() == 1
    assert WebhookEvent.objects.count() == 10
    assert verification.verify() == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_settle_one_payment_once(payment):
    # case A9
    set_status(payment, "succeeded")
    seen = settlement.fetch_state(payment)
    assert in_parallel(8, lambda _number: settlement.settle(payment, seen, cause="test")).count("succeeded") == 1
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert Transaction.objects.count() == 1
    assert payment.transitions.filter(to_status="succeeded").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_paid_and_cancelled_at_once_one_wins(payment):
    # Only the state at the provider counts, not the claims of the messages.
    bodies = [set_status(payment, kind) for kind in ("cancelled", "succeeded")]
    assert in_parallel(2, lambda number: send(bodies[number]).status_code) == [200, 200]
    assert state(payment) == ("succeeded", Decimal("25.50"))


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("succeeded", "failed", "ignored: already succeeded"),
        ("succeeded", "cancelled", "ignored: already succeeded"),
        ("failed", "cancelled", "ignored: already failed"),
        ("failed", "succeeded", "ignored: paid, but already failed"),
        ("cancelled", "succeeded", "ignored: paid, but already cancelled"),
    ],
)
def test_what_is_final_stays(payment, caplog, first, second, outcome):
    # case B22
    send(set_status(payment, first))
    assert send(set_status(payment, second)).status_code == 200
    assert state(payment)[0] == first
    assert WebhookEvent.objects.first().outcome == outcome
    assert ("payment_paid_too_late" in caplog.messages) == ("paid, but" in outcome)


def test_events_in_the_wrong_order_end_in_the_right_state(payment):
    # case B22: each event is a hint to fetch the current state from the provider
    bodies = [mock.event_body(payment.pk, f"payment.{kind}") for kind in ("refunded", "failed", "succeeded")]
    at_provider(payment, status="succeeded")
    assert [send(body).status_code for body in bodies] == [200] * 3
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert Transaction.objects.count() == 1


def test_what_a_message_claims_is_not_believed(payment):
    # case B24: the body says succeeded, the API says pending
    assert send(mock.event_body(payment.pk, "payment.succeeded")).status_code == 200
    assert state(payment) == ("pending", 0)
    assert WebhookEvent.objects.get().outcome == "ignored: still pending"


@pytest.mark.parametrize("changed", [{"amount": Decimal("25.51")}, {"amount": Decimal(2550)}, {"currency": "USD"}])
def test_another_amount_or_currency_credits_nothing_and_alerts(payment, caplog, changed):
    # case B22
    body = set_status(payment, "succeeded")
    at_provider(payment, **changed)
    response = send(body)
    assert (response.status_code, response.json()["code"]) == (400, "webhook_refused")
    assert is_unchanged(payment)
    assert "payment_mismatch" in caplog.messages


def test_a_foreign_payment_is_rejected_and_alerts(payment, caplog):
    response = send(mock.event_body(uuid.uuid4(), "payment.succeeded"))
    assert (response.status_code, response.json()["code"]) == (400, "webhook_refused")
    assert is_unchanged(payment)
    assert "webhook_foreign" in caplog.messages


def test_a_message_that_is_faster_than_the_response_to_our_call_is_sent_again(alice, caplog):
    # case B22: the provider has created the checkout, and it is not stored here yet
    payment = payments.begin(
        Payment(
            user=alice,
            amount=Decimal(5),
            provider="mock",
            provider_amount=Decimal(5),
            provider_currency="EUR",
            next_check_at=timezone.now(),
        ),
        cause="test",
    )
    mock.MockProvider().create(payment)
    body = mock.event_body(payment.pk, "payment.succeeded")
    assert send(body).status_code == 503
    assert not WebhookEvent.objects.exists()
    assert "webhook_foreign" not in caplog.messages

    poller.run()
    payment.refresh_from_db()
    at_provider(payment, status="succeeded")
    assert send(body).status_code == 200
    assert state(payment) == ("succeeded", 5)


def test_an_unknown_kind_is_kept(payment):
    assert send(mock.event_body(payment.pk, "payout.created")).status_code == 200
    event = WebhookEvent.objects.get()
    assert (event.kind, event.payment, event.outcome) == (
        "payout.created",
        None,
        "ignored: no action for this kind of event",
    )
    assert state(payment) == ("pending", 0)


def test_a_crash_leaves_neither_event_nor_credit(payment, monkeypatch):
    monkeypatch.setattr(webhooks.WebhookEvent, "save_base", _crash_on_update(WebhookEvent.save_base))
    body = set_status(payment, "succeeded")
    with pytest.raises(ConnectionError):
        send(body)
    monkeypatch.undo()
    assert is_unchanged(payment)
    assert send(body).status_code == 200
    assert state(payment)[0] == "succeeded"


def _crash_on_update(save_base):
    def crash(self, *args, update_fields=None, **kwargs):
        if update_fields:
            raise ConnectionError
        return save_base(self, *args, update_fields=update_fields, **kwargs)

    return crash


def test_a_provider_is_not_throttled(payment, settings):
    settings.RATE_LIMIT_API = "1/minute"
    for _ in range(3):
        assert send(set_status(payment, "succeeded")).status_code == 200


def test_the_user_of_a_payment_alone_is_credited(payment, bob):
    fund(bob, 1)
    send(set_status(payment, "succeeded"))
    assert ledger.balance(bob) == 1
