"""Refunds by operators: the provider is called once, and the ledger follows its state."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from accounts.models import AuditEvent
from accounts.tests.factories import UserFactory
from billing import payment_refunds, poller, provider_leases
from billing.errors import IdempotencyConflict, RefundInProgress
from billing.models import MockCheckout, Payment, PaymentRefund
from billing.providers.mock import MockProvider
from billing.tests.support import provider_outages
from billing.tests.support.debts import balance_and_debt, spend
from billing.tests.support.mock_provider import paid
from billing.tests.support.parallel import in_parallel


@pytest.fixture
def payment(alice):
    """Return Alice's credited payment of 100 ZNC for 90 EUR."""
    return paid(alice, "100", price="90")


def refund(payment, amount, actor, key="key", reason="asked for it"):
    return payment_refunds.start(payment.pk, Decimal(amount), actor=actor, reason=reason, key=key)


def at_provider(payment):
    return MockCheckout.objects.get(pk=payment.provider_id).refunded


def later():
    return time_machine.travel(timezone.now() + provider_leases.LEASE + timedelta(seconds=1))


def audited():
    return list(AuditEvent.objects.filter(kind__startswith="payment_").order_by("id").values_list("kind", flat=True))


def test_a_full_refund(payment, olga):
    done = refund(payment, "90", olga)
    payment.refresh_from_db()
    assert (done.status, payment.status, at_provider(payment)) == ("done", "refunded", 90)
    assert balance_and_debt(payment.user) == (0, 0)
    transition = payment.transitions.first()
    assert (transition.cause, transition.actor) == (f"refund {done.pk}", olga)
    event = AuditEvent.objects.get(kind="payment_refund_requested")
    assert (event.user, event.actor, event.reason) == (payment.user, olga, "asked for it")
    assert event.details["amount"] == "90.00 EUR"
    assert audited() == ["payment_refund_requested", "payment_refund_accepted"]


def test_two_parts(payment, olga):
    refund(payment, "30", olga, "one")
    refund(payment, "60", olga, "two")
    payment.refresh_from_db()
    assert (payment.status, payment.refunded_amount, at_provider(payment)) == ("refunded", 100, 90)


def test_what_is_spent_becomes_a_debt(payment, olga):
    # case A12
    spend(payment.user, 80)
    refund(payment, "90", olga)
    assert balance_and_debt(payment.user) == (0, 80)


@pytest.mark.parametrize(
    ("amount", "reason", "field"),
    [
        ("0", "x", "amount"),
        ("-1", "x", "amount"),
        ("90.01", "x", "amount"),
        ("0.001", "x", "amount"),
        ("1", "", "reason"),
        ("1", " \n", "reason"),
        ("1", "x" * 501, "reason"),
    ],
)
def test_bad_input_is_rejected(payment, olga, amount, reason, field):
    with pytest.raises(ValidationError) as error:
        refund(payment, amount, olga, reason=reason)
    assert list(error.value.detail) == [field]
    assert not PaymentRefund.objects.exists()
    assert audited() == []


@pytest.mark.parametrize("status", ["refunded", "disputed"])
def test_a_payment_that_has_gone_back_is_not_refunded(payment, olga, status):
    Payment.objects.update(status=status)
    with pytest.raises(ValidationError):
        refund(payment, "1", olga)


def test_a_provider_that_rejects(payment, olga, monkeypatch):
    provider_outages.take_down(monkeypatch, "refund", error=provider_outages.REFUSED)
    rejected = refund(payment, "90", olga)
    assert (rejected.status, rejected.answer, rejected.next_check_at) == ("refused", "card testing", None)
    assert balance_and_debt(payment.user) == (100, 0)
    assert audited() == ["payment_refund_requested", "payment_refund_refused"]
    monkeypatch.undo()
    assert refund(payment, "90", olga, "another").status == "done"


def test_the_provider_is_called_outside_of_any_transaction(alice, olga, monkeypatch, transactional_db):
    inside, ask = [], MockProvider.refund

    def watched(self, *arguments):
        inside.append(connection.in_atomic_block)
        return ask(self, *arguments)

    monkeypatch.setattr(MockProvider, "refund", watched)
    refund(paid(alice), "1", olga)
    assert inside == [False]


@pytest.mark.parametrize("call", ["refund", "fetch"])
def test_no_response_is_followed_up_by_the_poller(payment, olga, monkeypatch, call):
    provider_outages.take_down(monkeypatch, call)
    waiting = refund(payment, "30", olga)
    assert waiting.status == ("requested" if call == "refund" else "accepted")
    assert balance_and_debt(payment.user) == (100, 0)
    monkeypatch.undo()
    with later():
        poller.run()
    waiting.refresh_from_db()
    assert (waiting.status, at_provider(payment)) == ("done", 30)
    assert balance_and_debt(payment.user) == (Decimal("66.67"), 0)


def test_a_lost_response_refunds_once(payment, olga, monkeypatch):
    provider_outages.lose_response(monkeypatch, "refund")
    assert refund(payment, "30", olga).status == "requested"
    monkeypatch.undo()
    with later():
        poller.run()
    assert PaymentRefund.objects.get().status == "done"
    assert at_provider(payment) == 30


def test_a_crash_after_the_claim_is_found_by_the_poller(payment, olga, monkeypatch):
    provider_outages.take_down(monkeypatch, "refund", error=SystemExit("killed"))
    with pytest.raises(SystemExit):
        refund(payment, "30", olga)
    monkeypatch.undo()
    poller.run()
    assert at_provider(payment) == 0  # the worker that requested it may still be running
    with later():
        poller.run()
    assert (PaymentRefund.objects.get().status, at_provider(payment)) == ("done", 30)


def test_a_refund_that_the_provider_has_forgotten_is_not_requested_again(payment, olga, monkeypatch, caplog):
    provider_outages.take_down(monkeypatch, "refund")
    refund(payment, "30", olga)
    monkeypatch.undo()
    called = provider_outages.take_down(monkeypatch, "refund")
    with time_machine.travel(timezone.now() + timedelta(hours=23, minutes=1)):
        poller.run()
    given_up = PaymentRefund.objects.get()
    assert (given_up.status, called) == ("refused", [])
    assert "Check the refund on the provider's own pages." in given_up.answer
    assert "refund_without_response" in caplog.messages


# case G83
def test_one_at_a_time(payment, olga, monkeypatch):
    provider_outages.take_down(monkeypatch, "refund")
    refund(payment, "30", olga, "one")
    with pytest.raises(RefundInProgress):
        refund(payment, "30", olga, "two")
    assert PaymentRefund.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_clicked_many_times_at_once_it_is_one_refund(payment, olga):
    results = in_parallel(8, lambda _number: refund(payment, "30", olga))
    assert len({result.pk for result in results}) == 1
    assert at_provider(payment) == 30
    assert balance_and_debt(payment.user) == (Decimal("66.67"), 0)


# --- The admin page


@pytest.fixture
def admin(olga):
    client = Client()
    client.force_login(olga)
    return client


def url(payment):
    return f"/admin/billing/payment/{payment.pk}/refund/"


def form_of(response):
    """Return the hidden fields of the page."""
    text = response.content.decode()
    return dict(re.findall(r'<input type="hidden" name="(amount|reason|key)" value="([^"]*)"', text))


def test_the_page_says_what_will_happen_and_then_does_it(admin, payment):
    spend(payment.user, 80)
    assert url(payment) in admin.get(f"/admin/billing/payment/{payment.pk}/change/").content.decode()
    first = admin.get(url(payment))
    assert 'value="90.00"' in first.content.decode()

    preview = admin.post(url(payment), {"amount": "45", "reason": "asked", **form_of(first)})
    text = preview.content.decode()
    assert "45 EUR will be returned to the user, and 50.00 ZNC will be taken from the balance." in text
    assert "has already spent 30.00 ZNC of them" in text
    assert not PaymentRefund.objects.exists()

    response = admin.post(url(payment), {**form_of(preview), "confirmed": "yes"}, follow=True)
    assert "The money has been returned" in response.content.decode()
    assert balance_and_debt(payment.user) == (0, 30)


def test_a_double_click_is_one_refund(admin, payment):
    sent = {"amount": "45", "reason": "asked", "confirmed": "yes", **form_of(admin.get(url(payment)))}
    for _click in range(2):
        assert admin.post(url(payment), sent).status_code == 302
    assert PaymentRefund.objects.count() == 1
    assert at_provider(payment) == 45


def test_the_form_of_an_earlier_refund_is_not_one_of_another_amount(admin, payment, olga):
    # case A7
    sent = {"amount": "45", "reason": "asked", "confirmed": "yes", **form_of(admin.get(url(payment)))}
    admin.post(url(payment), sent, follow=True)
    text = admin.post(url(payment), sent | {"amount": "30"}, follow=True).content.decode()
    assert "Nothing was refunded this time" in text
    assert "The money has been returned" not in text
    with pytest.raises(IdempotencyConflict):
        refund(payment, "30", olga, sent["key"])
    assert at_provider(payment) == 45


@pytest.mark.parametrize(
    "sent",
    [
        {"amount": "90.01", "reason": "x"},
        {"amount": "0", "reason": "x"},
        {"amount": "NaN", "reason": "x"},
        {"amount": "1e400", "reason": "x"},
        {"amount": "1", "reason": ""},
        {"amount": "1", "reason": "x" * 501},
        {"amount": "1", "reason": "x", "key": "forged"},
        {},
    ],
)
def test_bad_input_is_shown_and_nothing_is_done(admin, payment, sent):
    key = form_of(admin.get(url(payment)))
    response = admin.post(url(payment), {**key, **sent, "confirmed": "yes"})
    assert response.status_code == 200
    assert "errorlist" in response.content.decode() or "forged" in str(sent)
    assert not PaymentRefund.objects.exists()


def test_the_provider_does_not_respond(admin, payment, monkeypatch):
    key = form_of(admin.get(url(payment)))
    provider_outages.take_down(monkeypatch, "refund")
    sent = {"amount": "45", "reason": "asked", "confirmed": "yes", **key}
    assert "will be retried automatically" in admin.post(url(payment), sent, follow=True).content.decode()
    again = admin.post(url(payment), sent | form_of(admin.get(url(payment))))
    assert "Another refund of this payment is in progress." in again.content.decode()


def test_only_with_the_permission(payment):
    clerk = UserFactory(is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_payment"))
    client = Client()
    client.force_login(clerk)
    assert url(payment) not in client.get(f"/admin/billing/payment/{payment.pk}/change/").content.decode()
    for send in (client.get, client.post):
        assert send(url(payment)).status_code == 403
    clerk.user_permissions.add(Permission.objects.get(codename="refund_payment"))
    assert client.get(url(payment)).status_code == 200
    assert Client().get(url(payment)).status_code == 302
