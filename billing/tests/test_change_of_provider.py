"""Open payments after the provider settings have changed."""

from decimal import Decimal

import pytest
from rest_framework.test import APIClient

from billing.tests.support import stripe_client, yookassa_client
from billing.tests.support.mock_provider import state
from billing.tests.support.polling import poll_now
from billing.tests.support.stripe_client import begin


@pytest.fixture
def payment(standin, alice_api, settings):
    """Return Alice's payment of 25.50, created before its provider was replaced by one with another currency."""
    payment = begin(alice_api)
    settings.PAYMENT_PROVIDERS = ("mock",)
    settings.PAYMENT_CURRENCY, settings.ZNC_PRICE = "JPY", Decimal(150)
    return payment


def _send(standin, kinds, about):
    body = (standin.event if standin.name == "stripe" else standin.notification)(kinds[standin.name], about)
    response = stripe_client.send(body) if standin.name == "stripe" else yookassa_client.send(body)
    assert response.status_code == 200, response.content


def test_webhooks_of_a_provider_that_is_no_longer_offered_are_taken(standin, payment):
    paid = {"stripe": "checkout.session.completed", "yookassa": "payment.succeeded"}
    _send(standin, paid, standin.pay(payment.provider_id))
    assert state(payment) == ("succeeded", Decimal("25.50"))

    back = {"stripe": "charge.refunded", "yookassa": "refund.succeeded"}
    _send(standin, back, standin.refund(payment.provider_id, 1000 if standin.name == "stripe" else "10.00"))
    assert state(payment) == ("partly_refunded", Decimal("15.50"))


# case G74
def test_the_poller_settles_them_as_well(standin, payment):
    standin.pay(payment.provider_id)
    poll_now()
    assert state(payment) == ("succeeded", Decimal("25.50"))


def test_a_forged_message_is_rejected_as_before(stripe_api, alice_api, settings):
    payment = begin(alice_api)
    settings.PAYMENT_PROVIDERS = ()
    body = stripe_api.event("checkout.session.completed", stripe_api.pay(payment.provider_id))
    response = APIClient().post(stripe_client.URL, body, content_type="application/json")
    assert response.status_code == 400
    assert state(payment) == ("pending", 0)


def test_without_its_keys_nothing_is_believed(stripe_api, alice_api, settings):
    payment = begin(alice_api)
    settings.PAYMENT_PROVIDERS, settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRETS = (), "", []
    body = stripe_api.event("checkout.session.completed", stripe_api.pay(payment.provider_id))
    assert stripe_client.send(body).status_code == 400
    assert state(payment) == ("pending", 0)
