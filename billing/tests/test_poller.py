"""The poller settles payments whose webhooks are missing, once."""

import itertools
from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.core import mail
from django.db import connection
from django.utils import timezone

from billing import poller, provider_leases, providers, verification
from billing.models import Payment, Transaction
from billing.providers.mock import MockProvider
from billing.tasks import poll_payments
from billing.tests.support import provider_outages
from billing.tests.support.mock_provider import at_provider, create_pending_payment, send, set_status, state
from billing.tests.support.parallel import in_parallel


def later(**passed):
    return time_machine.travel(timezone.now() + timedelta(**passed), tick=True)


def run_after(**passed):
    with later(**passed):
        poll_payments()


@pytest.mark.parametrize(
    ("status", "balance"), [("succeeded", Decimal("25.50")), ("failed", 0), ("cancelled", 0), ("expired", 0)]
)
def test_it_settles_payments_without_a_webhook(payment, status, balance):
    at_provider(payment, status=status)
    run_after(seconds=61)
    assert state(payment) == (status, balance)
    assert payment.transitions.first().cause == "poller"


def test_it_leaves_alone_what_is_not_due_and_what_is_over(payment, monkeypatch):
    called = provider_outages.take_down(monkeypatch, "fetch")
    poll_payments()
    assert called == []
    monkeypatch.undo()
    send(set_status(payment, "succeeded"))
    called = provider_outages.take_down(monkeypatch, "fetch")
    run_after(hours=30)
    assert called == []


def test_after_an_hour_without_the_provider_everything_is_settled_once(alice, bob, monkeypatch):
    # case B25
    payments = [create_pending_payment(user) for user in (alice, bob) for _ in range(5)]
    for payment in payments:
        at_provider(payment, status="succeeded")
    called = provider_outages.take_down(monkeypatch, "fetch")
    for minute in range(1, 61):
        run_after(minutes=minute)
    assert len(called) <= 60  # one attempt per run, even with ten payments due
    monkeypatch.undo()

    for minute in range(61, 75):
        run_after(minutes=minute)
    assert {state(payment) for payment in payments} == {("succeeded", Decimal("127.50"))}
    assert Transaction.objects.count() == 10
    assert verification.verify() == []


def test_it_asks_less_often_the_older_a_payment_is(payment, monkeypatch):
    asked = []
    monkeypatch.setattr(MockProvider, "fetch", _note_age(MockProvider.fetch, payment, asked))
    for minute in range(1, 24 * 60):
        run_after(minutes=minute)
    assert len([age for age in asked if age < timedelta(minutes=6)]) >= 4
    assert 30 <= len(asked) <= 60
    assert max(after - before for before, after in itertools.pairwise(asked)) <= timedelta(minutes=62)


def _note_age(fetch, payment, asked):
    def noted(self, of):
        asked.append(timezone.now() - payment.created_at)
        return fetch(self, of)

    return noted


def test_an_unpaid_payment_expires(payment):
    run_after(hours=24, minutes=50)
    assert state(payment) == ("pending", 0)  # the provider's final state may be late
    run_after(hours=26)
    assert state(payment) == ("expired", 0)
    assert payment.transitions.first().cause == "poller: not paid in time"


def test_what_is_paid_and_underway_does_not_expire(payment, monkeypatch):
    fetch = MockProvider.fetch
    monkeypatch.setattr(
        MockProvider, "fetch", lambda self, of: type(seen := fetch(self, of))(**{**vars(seen), "processing": True})
    )
    run_after(days=3)
    assert state(payment) == ("pending", 0)
    at_provider(payment, status="succeeded")
    run_after(days=3, hours=2)
    assert state(payment) == ("succeeded", Decimal("25.50"))


def test_a_failing_payment_does_not_delay_the_others(alice, bob, monkeypatch, caplog):
    first, second = create_pending_payment(alice), create_pending_payment(bob)
    for payment in (first, second):
        at_provider(payment, status="succeeded")
    fetch = MockProvider.fetch

    def fails_for_the_first(self, payment):
        if payment.pk == first.pk:
            raise KeyError("a bug")
        return fetch(self, payment)

    monkeypatch.setattr(MockProvider, "fetch", fails_for_the_first)
    run_after(seconds=61)
    assert (state(first)[0], state(second)[0]) == ("pending", "succeeded")
    assert "poller_failed" in caplog.messages


# case G77
def test_one_provider_that_is_down_does_not_hold_up_the_other(alice, bob, monkeypatch):
    class Other(MockProvider):
        name = "other"

        def fetch(self, payment):
            raise provider_outages.UNAVAILABLE

    load = providers._load
    monkeypatch.setattr(providers, "_load", lambda name: Other() if name == "other" else load(name))
    of_other, of_mock = create_pending_payment(alice), create_pending_payment(bob)
    Payment.objects.filter(pk=of_other.pk).update(provider="other")
    at_provider(of_mock, status="succeeded")
    run_after(seconds=61)
    assert (state(of_other)[0], state(of_mock)[0]) == ("pending", "succeeded")


def test_another_amount_is_an_alert_each_time_and_credits_nothing(payment, caplog):
    # case B22
    at_provider(payment, status="succeeded", amount=Decimal("2.55"))
    run_after(seconds=61)
    assert state(payment) == ("pending", 0)
    assert "payment_mismatch" in caplog.messages


@pytest.mark.django_db(transaction=True)
def test_several_pollers_at_once_settle_each_payment_once(alice, bob, monkeypatch):
    # cases A9, B25, G83
    payments = [create_pending_payment(user) for user in (alice, bob) for _ in range(6)]
    for payment in payments:
        at_provider(payment, status="succeeded")
    asked, fetch = [], MockProvider.fetch

    def watched(self, payment):
        asked.append((payment.pk, connection.in_atomic_block))
        return fetch(self, payment)

    monkeypatch.setattr(MockProvider, "fetch", watched)
    Payment.objects.update(next_check_at=timezone.now() - timedelta(seconds=1))
    in_parallel(6, lambda _number: poller.run())

    assert {state(payment) for payment in payments} == {("succeeded", Decimal("153.00"))}
    assert sorted(asked) == sorted((payment.pk, False) for payment in payments)
    assert Transaction.objects.count() == 12
    assert sorted(Payment.objects.values_list("receipt_serial", flat=True)) == list(range(1, 13))


@pytest.mark.django_db(transaction=True)
def test_webhook_poller_and_return_page_at_once_credit_once_and_write_once(payment, client):
    # case A11
    body = set_status(payment, "succeeded")
    Payment.objects.update(next_check_at=timezone.now() - timedelta(seconds=1))
    acts = [
        lambda: send(body),
        poller.run,
        lambda: client.get(f"/billing/return/{payment.pk}"),
        lambda: send(body),
        poller.run,
    ]
    in_parallel(len(acts), lambda number: acts[number]())
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert Transaction.objects.count() == 1
    (message,) = mail.outbox
    payment.refresh_from_db()
    assert message.to == [payment.user.email]
    assert message.subject == "Your top-up"
    for fact in ("alice", "25.50 EUR", "25.50 ZNC", payment.receipt_number):
        assert fact in message.body


@pytest.mark.django_db(transaction=True)
def test_of_many_parallel_claims_one_succeeds(payment):
    Payment.objects.update(next_check_at=timezone.now() - timedelta(seconds=1))
    readings = [Payment.objects.get() for _ in range(8)]
    assert sum(in_parallel(8, lambda number: provider_leases.acquire(readings[number]))) == 1


def test_the_schedule_names_the_task(settings):
    job = next(job for job in settings.CELERY_BEAT_SCHEDULE.values() if job["task"] == poll_payments.name)
    assert job["schedule"] == 60
