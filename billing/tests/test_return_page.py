"""The page to which a provider sends the user back: it shows, and never credits."""

import uuid

import pytest
from django.test import Client

from billing.models import Payment, WebhookEvent
from billing.tests import outages
from billing.tests.webhook_client import at_provider, happens, send, state


def page(payment):
    return Client().get(f"/billing/return/{payment.pk}")


def test_it_credits_nothing_although_the_provider_has_the_money(payment, monkeypatch):
    # case A11
    at_provider(payment, status="succeeded")
    called = outages.down(monkeypatch)
    answer = page(payment)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert "on its way" in answer.content.decode()
    assert "/static/reload." in answer.content.decode()
    assert (called, state(payment)) == ([], ("pending", 0))
    assert not WebhookEvent.objects.exists()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("succeeded", "The credits are on your balance."),
        ("failed", "The payment was declined."),
        ("cancelled", "The payment was cancelled."),
        ("expired", "The payment was not made in time."),
    ],
)
def test_it_shows_the_state(payment, status, sentence):
    at_provider(payment, status=status)
    send(happens(payment, "succeeded")) if status == "succeeded" else Payment.objects.update(status=status)
    text = page(payment).content.decode()
    assert sentence in text
    assert "25.50 ZNC" in text
    assert "25.50 EUR" in text
    assert "/static/reload." not in text
    assert "alice" not in text


def test_unknown_payments_and_other_methods(payment):
    assert Client().get(f"/billing/return/{uuid.uuid4()}").status_code == 404
    assert Client().post(f"/billing/return/{payment.pk}").status_code == 405
