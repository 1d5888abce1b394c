"""Payments through the stand-in of Stripe, and events signed and sent as Stripe does."""

import time

from rest_framework.test import APIClient

from billing.models import Payment
from billing.tests.support.standins.stripe import signature

URL = "/api/v1/currency/webhooks/stripe"
SECRET = "whsec_standin"


def begin(client, amount=25.5, **body):
    """Create a payment through the API and return it. Its `provider_id` is the id of the session."""
    response = client.post("/api/v1/currency/purchase", {"amount": amount, **body})
    assert response.status_code == 201, response.content
    return Payment.objects.get(pk=response.json()["payment_id"])


def signed(body, secret=SECRET, age=0):
    """Return the headers of a body that was signed `age` seconds ago."""
    timestamp = int(time.time()) - age
    return {"Stripe-Signature": f"t={timestamp},{signature(body, secret, timestamp)}"}


def send(body, headers=None):
    headers = signed(body) if headers is None else headers
    return APIClient().post(URL, body, content_type="application/json", headers=headers)
