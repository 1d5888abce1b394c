"""The page to which a provider sends the user back. It never credits."""

import uuid

import pytest
from django.test import Client

from billing.models import Payment, WebhookEvent
from billing.tests.support import provider_outages
from billing.tests.support.mock_provider import at_provider, send, set_status, state


def page(payment):
    return Client().get(f"/billing/return/{payment.pk}")


def test_it_credits_nothing_although_the_provider_has_the_money(payment, monkeypatch):
    # case A11
    at_provider(payment, status="succeeded")
    called = provider_outages.take_down(monkeypatch)
    response = page(payment)
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert "is being processed" in response.content.decode()
    assert 'hx-get="?part"' in response.content.decode()
    assert (called, state(payment)) == ([], ("pending", 0))
    assert not WebhookEvent.objects.exists()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("succeeded", "The credits are on your balance."),
        ("failed", "The payment was declined."),
        ("cancelled", "The payment was cancelled."),
        ("expired", "The payment was not completed in time."),
    ],
)
def test_it_shows_the_state(payment, status, sentence):
    at_provider(payment, status=status)
    send(set_status(payment, "succeeded")) if status == "succeeded" else Payment.objects.update(status=status)
    text = page(payment).content.decode()
    assert sentence in text
    assert "25.50\u00a0ZNC" in text
    assert "25.50 EUR" in text
    assert "hx-get" not in text
    assert "http-equiv" not in text
    assert "alice" not in text


def test_the_part_that_renews_itself_stops_once_the_payment_has_ended(payment):
    underway = Client().get(f"/billing/return/{payment.pk}?part").content.decode()
    assert underway.lstrip().startswith("<div")
    assert 'hx-trigger="every 2s"' in underway
    Payment.objects.update(status="failed")
    ended = Client().get(f"/billing/return/{payment.pk}?part").content.decode()
    assert "was declined" in ended
    assert "hx-" not in ended


def test_only_its_owner_is_led_on(payment, alice, bob, client):
    send(set_status(payment, "succeeded"))
    receipt = f"/billing/receipt/{payment.pk}"
    assert receipt not in page(payment).content.decode()
    client.force_login(bob)
    assert receipt not in client.get(f"/billing/return/{payment.pk}").content.decode()
    client.force_login(alice)
    assert receipt in client.get(f"/billing/return/{payment.pk}").content.decode()


def test_unknown_payments_and_other_methods(payment):
    assert Client().get(f"/billing/return/{uuid.uuid4()}").status_code == 404
    assert Client().post(f"/billing/return/{payment.pk}").status_code == 405
