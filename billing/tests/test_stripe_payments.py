"""Payments through Stripe, from the Checkout Session to the credit: paid, delayed, declined and expired."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qsl

import pytest

from billing import verification
from billing.models import Payment, Transaction, WebhookEvent
from billing.providers.stripe import StripeProvider
from billing.tests.support.mock_provider import state
from billing.tests.support.parallel import in_parallel
from billing.tests.support.stripe_client import begin, send, signed

CREATE = "POST /v1/checkout/sessions"


def _happened(stripe_api, payment, kind, what=None):
    """Do `what` to the session at Stripe, and send the event about it."""
    about = (what or stripe_api.sessions.__getitem__)(payment.provider_id)
    return send(stripe_api.event(f"checkout.session.{kind}", about))


def test_a_checkout_session_is_opened_with_our_price_and_key(stripe_api, alice_api, settings):
    settings.BACKEND_URL, settings.ZNC_PRICE = "https://zenzefi.example", Decimal("0.95")
    payment = begin(alice_api, 10.5, provider="stripe")

    session = stripe_api.sessions[payment.provider_id]
    assert payment.payment_url == session["url"]
    assert payment.expires_at == datetime.fromtimestamp(session["expires_at"], UTC)
    assert (session["amount_total"], session["currency"]) == (998, "eur")  # 9.975, half-up
    assert session["client_reference_id"] == str(payment.pk)
    assert session["success_url"] == session["cancel_url"] == f"https://zenzefi.example/billing/return/{payment.pk}"
    [call] = stripe_api.calls
    assert (call.place, call.key) == (CREATE, payment.idempotence_key)
    assert dict(parse_qsl(call.body.decode()))["line_items[0][price_data][product_data][name]"] == "10.50 ZNC"
    # The SDK's telemetry would store an id in the home directory.
    assert "telemetry_id" not in json.loads(call.headers["X-Stripe-Client-User-Agent"])
    assert state(payment) == ("pending", 0)


def test_yen_have_no_hundredths(stripe_api, alice_api, settings):
    settings.PAYMENT_CURRENCY, settings.ZNC_PRICE = "JPY", Decimal(150)
    payment = begin(alice_api, 2.5)
    assert stripe_api.sessions[payment.provider_id]["amount_total"] == 375
    assert _happened(stripe_api, payment, "completed", stripe_api.pay).status_code == 200
    assert state(payment) == ("succeeded", Decimal("2.5"))


def test_kronur_have_none_but_stripe_counts_hundredths(stripe_api, alice_api, settings):
    settings.PAYMENT_CURRENCY, settings.ZNC_PRICE = "ISK", Decimal(140)
    payment = begin(alice_api, 2)
    assert stripe_api.sessions[payment.provider_id]["amount_total"] == 28_000
    assert _happened(stripe_api, payment, "completed", stripe_api.pay).status_code == 200
    assert state(payment) == ("succeeded", 2)


def test_a_paid_session_is_credited(stripe_api, alice_api):
    payment = begin(alice_api)
    response = _happened(stripe_api, payment, "completed", stripe_api.pay)

    assert (response.status_code, response.json()) == (200, {"received": True})
    assert state(payment) == ("succeeded", Decimal("25.50"))
    event = WebhookEvent.objects.get()
    assert (event.provider, event.kind, event.payment, event.outcome) == (
        "stripe",
        "checkout.session.completed",
        payment,
        "succeeded",
    )
    assert verification.verify() == []


def test_a_delayed_payment_is_credited_once_when_the_money_is_there(stripe_api, alice_api):
    # case B21
    payment = begin(alice_api)
    assert _happened(stripe_api, payment, "completed", stripe_api.pay_later).status_code == 200
    assert state(payment) == ("pending", 0)
    assert StripeProvider().fetch(payment).processing

    assert _happened(stripe_api, payment, "async_payment_succeeded", stripe_api.arrive).status_code == 200
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert _happened(stripe_api, payment, "async_payment_succeeded").status_code == 200
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert Transaction.objects.count() == 1


def test_a_delayed_payment_that_does_not_come_has_failed(stripe_api, alice_api):
    payment = begin(alice_api)
    _happened(stripe_api, payment, "completed", stripe_api.pay_later)
    assert _happened(stripe_api, payment, "async_payment_failed", stripe_api.fail_later).status_code == 200
    assert state(payment) == ("failed", 0)


def test_an_expired_session_has_expired(stripe_api, alice_api):
    payment = begin(alice_api)
    assert _happened(stripe_api, payment, "expired", stripe_api.expire).status_code == 200
    assert state(payment) == ("expired", 0)


def test_after_a_declined_card_another_may_pay(stripe_api, alice_api):
    payment = begin(alice_api)
    stripe_api.decline(payment.provider_id)
    assert StripeProvider().fetch(payment).status == "pending"
    assert _happened(stripe_api, payment, "completed", stripe_api.pay).status_code == 200
    assert state(payment) == ("succeeded", Decimal("25.50"))


def test_events_in_any_order_come_to_the_same(stripe_api, alice_api):
    # case B22: each event is only a hint to fetch the state from Stripe
    payment = begin(alice_api)
    later = stripe_api.event("checkout.session.completed", stripe_api.pay_later(payment.provider_id))
    arrived = stripe_api.event("checkout.session.async_payment_succeeded", stripe_api.arrive(payment.provider_id))
    failed = stripe_api.event("checkout.session.async_payment_failed", stripe_api.sessions[payment.provider_id])
    for body in (arrived, later, failed, arrived):
        assert send(body).status_code == 200
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert Transaction.objects.count() == 1


def test_an_event_that_lies_about_the_session_credits_nothing(stripe_api, alice_api):
    # case B21
    payment = begin(alice_api)
    claimed = stripe_api.sessions[payment.provider_id] | {"payment_status": "paid", "status": "complete"}
    assert send(stripe_api.event("checkout.session.completed", claimed)).status_code == 200
    assert state(payment) == ("pending", 0)


@pytest.mark.parametrize("changed", [{"amount_captured": 2549}, {"amount_captured": 2551}, {"currency": "usd"}])
def test_another_amount_or_currency_credits_nothing_and_alerts(stripe_api, alice_api, caplog, changed):
    # case B22
    payment = begin(alice_api)
    session = stripe_api.pay(payment.provider_id)
    stripe_api.charges[stripe_api.intents[session["payment_intent"]]["latest_charge"]] |= changed
    assert _happened(stripe_api, payment, "completed").status_code == 400
    assert state(payment) == ("pending", 0)
    assert not WebhookEvent.objects.exists()
    assert "payment_mismatch" in caplog.messages


def test_a_session_of_another_payment_credits_neither(stripe_api, alice_api, bob_api, caplog):
    # case B22
    hers, his = begin(alice_api), begin(bob_api)
    paid = stripe_api.pay(his.provider_id)
    swapped = paid | {"client_reference_id": str(hers.pk)}
    assert send(stripe_api.event("checkout.session.completed", swapped)).status_code == 400
    assert (state(hers)[0], state(his)[0]) == ("pending", "pending")
    assert "webhook_foreign" in caplog.messages


def test_a_session_that_is_not_ours_is_rejected(stripe_api, alice_api):
    payment = begin(alice_api)
    other = stripe_api.sessions[payment.provider_id] | {"id": "cs_test_shop", "client_reference_id": "cart-17"}
    assert send(stripe_api.event("checkout.session.completed", other)).status_code == 400
    assert not WebhookEvent.objects.exists()


@pytest.mark.parametrize("kind", ["customer.created", "payment_intent.succeeded", "invoice.paid", "of.the.future"])
def test_other_kinds_are_kept_and_nothing_is_done(stripe_api, alice_api, kind):
    payment = begin(alice_api)
    asked = len(stripe_api.calls)
    assert send(stripe_api.event(kind, {"id": "x_1", "object": "x"})).status_code == 200
    event = WebhookEvent.objects.get()
    assert (event.kind, event.payment, event.outcome.split(":")[0]) == (kind, None, "ignored")
    assert len(stripe_api.calls) == asked
    assert state(payment) == ("pending", 0)


@pytest.mark.parametrize("trouble", [{"status": 500}, {"silent": True}, {"status": 429, "body": b"{}"}])
def test_an_event_is_not_accepted_while_stripe_is_unavailable(stripe_api, alice_api, trouble):
    payment = begin(alice_api)
    body = stripe_api.event("checkout.session.completed", stripe_api.pay(payment.provider_id))
    with stripe_api.trouble(**trouble):
        response = send(body)
    assert (response.status_code, response.json()["code"]) == (503, "webhook_not_ready")
    assert not WebhookEvent.objects.exists()
    assert send(body).status_code == 200
    assert state(payment) == ("succeeded", Decimal("25.50"))


@pytest.mark.django_db(transaction=True)
def test_one_event_a_hundred_times_at_once_credits_once(stripe_api, alice_api):
    # case B20
    payment = begin(alice_api)
    body = stripe_api.event("checkout.session.completed", stripe_api.pay(payment.provider_id))
    headers = signed(body)
    assert in_parallel(100, lambda _number: send(body, headers).status_code, threads=12) == [200] * 100
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert WebhookEvent.objects.count() == Transaction.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_events_for_one_payment_at_once_credit_once(stripe_api, alice_api):
    # case B20
    payment = begin(alice_api)
    stripe_api.pay_later(payment.provider_id)
    session = stripe_api.arrive(payment.provider_id)
    kinds = ["completed", "async_payment_succeeded"]
    bodies = [stripe_api.event(f"checkout.session.{kind}", session) for kind in kinds]
    assert in_parallel(2, lambda number: send(bodies[number]).status_code) == [200, 200]
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert (WebhookEvent.objects.count(), Transaction.objects.count()) == (2, 1)


def test_events_of_an_old_api_version_are_understood(stripe_api, alice_api):
    payment = begin(alice_api)
    session = stripe_api.pay(payment.provider_id)
    old = {name: session[name] for name in ("id", "object", "client_reference_id")}
    body = stripe_api.event("checkout.session.completed", old, api_version="2017-01-27", data={"object": old})
    assert send(body).status_code == 200
    assert Payment.objects.get().status == "succeeded"
