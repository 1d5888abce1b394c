"""Sends webhooks as the mock provider does, and looks at what they did."""

from decimal import Decimal

from rest_framework.test import APIClient

from billing import ledger
from billing.models import Payment, WebhookEvent
from billing.providers import mock

URL = "/api/v1/currency/webhooks/mock"


def begun(user, amount="25.50"):
    """A pending payment of `user`."""
    return Payment.objects.create(user=user, amount=Decimal(amount), provider="mock")


def happens(payment, status):
    """The payment reaches a status at the provider; gives the body of the webhook that says so."""
    return mock.event_body(payment, f"payment.{status}")


def send(body, headers=None):
    headers = mock.signed(body) if headers is None else headers
    return APIClient().post(URL, body, content_type="application/json", headers=headers)


def nothing_happened(payment):
    return not WebhookEvent.objects.exists() and state(payment) == ("pending", 0)


def state(payment):
    return Payment.objects.get(pk=payment.pk).status, ledger.balance(payment.user)
