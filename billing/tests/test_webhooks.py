"""`POST /currency/webhooks/{provider}`: signed, stored once, acted on once."""

import json
import uuid
from decimal import Decimal

import pytest

from billing import ledger, payments, webhooks
from billing.models import Transaction, WebhookEvent
from billing.providers import mock
from billing.tests.parallel import in_parallel
from billing.tests.webhook_client import nothing_happened, send, state
from conftest import fund


def test_a_paid_payment_is_credited(payment):
    body = mock.event_body(payment, "payment.succeeded")
    answer = send(body)

    assert (answer.status_code, answer.json()) == (200, {"received": True})
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
    assert ledger.verify() == []


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_a_declined_or_cancelled_payment_credits_nothing(payment, outcome):
    assert send(mock.event_body(payment, f"payment.{outcome}")).status_code == 200
    assert state(payment) == (outcome, 0)
    assert not Transaction.objects.exists()


def test_an_event_sent_again_is_answered_alike_and_credits_once(payment):
    # case B20
    body = mock.event_body(payment, "payment.succeeded")
    assert [send(body).status_code for _ in range(3)] == [200] * 3
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert WebhookEvent.objects.count() == Transaction.objects.count() == 1


def test_two_events_for_one_payment_credit_once(payment):
    # case B20
    for _ in range(2):
        assert send(mock.event_body(payment, "payment.succeeded")).status_code == 200
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert list(WebhookEvent.objects.order_by("id").values_list("outcome", flat=True)) == [
        "succeeded",
        "ignored: succeeded before",
    ]


@pytest.mark.django_db(transaction=True)
def test_one_event_a_hundred_times_at_once_credits_once(payment):
    # case B20
    body = mock.event_body(payment, "payment.succeeded")
    headers = mock.signed(body)
    statuses = in_parallel(100, lambda _number: send(body, headers).status_code, threads=12)
    assert statuses == [200] * 100
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert WebhookEvent.objects.count() == Transaction.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_many_events_for_one_payment_at_once_credit_once(payment):
    # cases A8, A9, A11
    bodies = [mock.event_body(payment, "payment.succeeded") for _ in range(10)]
    statuses = in_parallel(10, lambda number: send(bodies[number]).status_code)
    assert statuses == [200] * 10
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert Transaction.objects.count() == 1
    assert WebhookEvent.objects.count() == 10
    assert ledger.verify() == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_settle_one_payment_once(payment):
    # case A9
    assert sorted(in_parallel(8, lambda _number: payments.settle(payment))) == [False] * 7 + [True]
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert Transaction.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_paid_and_cancelled_at_once_one_wins(payment):
    bodies = [mock.event_body(payment, f"payment.{kind}") for kind in ("succeeded", "cancelled")]
    assert in_parallel(2, lambda number: send(bodies[number]).status_code) == [200, 200]
    assert state(payment) in {("succeeded", Decimal("25.50")), ("cancelled", 0)}


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("succeeded", "failed", "ignored: succeeded before"),
        ("succeeded", "cancelled", "ignored: succeeded before"),
        ("failed", "cancelled", "ignored: failed before"),
        ("failed", "succeeded", "ignored: paid, but failed before"),
        ("cancelled", "succeeded", "ignored: paid, but cancelled before"),
    ],
)
def test_only_a_pending_payment_changes(payment, caplog, first, second, outcome):
    # case B22
    send(mock.event_body(payment, f"payment.{first}"))
    assert send(mock.event_body(payment, f"payment.{second}")).status_code == 200
    assert state(payment)[0] == first
    assert WebhookEvent.objects.first().outcome == outcome
    assert ("webhook_alert" in caplog.messages) == ("paid, but" in outcome)


@pytest.mark.parametrize("changed", [{"amount": "25.51"}, {"amount": "2550.00"}, {"currency": "USD"}])
def test_another_amount_or_currency_credits_nothing_and_alerts(payment, caplog, changed):
    # case B22
    event = json.loads(mock.event_body(payment, "payment.succeeded")) | changed
    assert send(json.dumps(event).encode()).status_code == 200
    assert state(payment) == ("pending", 0)
    assert WebhookEvent.objects.get().outcome == "refused: another amount or currency"
    assert "webhook_alert" in caplog.messages


def test_an_unknown_payment_is_noted_and_alerts(payment, caplog):
    event = json.loads(mock.event_body(payment, "payment.succeeded")) | {"payment_id": str(uuid.uuid4())}
    assert send(json.dumps(event).encode()).status_code == 200
    assert WebhookEvent.objects.get().outcome == "refused: no such payment"
    assert "webhook_alert" in caplog.messages


def test_a_crash_leaves_neither_event_nor_credit(payment, monkeypatch):
    monkeypatch.setattr(webhooks.WebhookEvent, "save_base", _crash_on_update(WebhookEvent.save_base))
    body = mock.event_body(payment, "payment.succeeded")
    with pytest.raises(ConnectionError):
        send(body)
    monkeypatch.undo()
    assert nothing_happened(payment)
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
        assert send(mock.event_body(payment, "payment.succeeded")).status_code == 200


def test_the_user_of_a_payment_alone_is_credited(payment, bob):
    fund(bob, 1)
    send(mock.event_body(payment, "payment.succeeded"))
    assert ledger.balance(bob) == 1
