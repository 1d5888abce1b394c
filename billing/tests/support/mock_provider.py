"""The mock provider: changes of its books, and the webhooks that it sends about them."""

from decimal import Decimal

from rest_framework.test import APIClient

from billing import checkouts, ledger, payments
from billing.models import MockCheckout, Payment, PaymentStatus, WebhookEvent
from billing.providers import mock

URL = "/api/v1/currency/webhooks/mock"


def create_pending_payment(user, amount="25.50", price=None):
    """Return a new pending payment of `user` with its checkout at the mock provider."""
    payment = Payment(
        user=user,
        amount=Decimal(amount),
        provider="mock",
        provider_amount=Decimal(price or amount),
        provider_currency="EUR",
    )
    payments.begin(payment, cause="test")
    checkouts.open_checkout(payment, cause="test")
    return payment


def at_provider(payment, **changes):
    """Change the provider's books without sending a webhook."""
    assert MockCheckout.objects.filter(pk=payment.provider_id).update(**changes) == 1


def set_status(payment, status):
    """Set the status of the payment at the provider. Return the body of the webhook about it."""
    at_provider(payment, status=PaymentStatus(status))
    return mock.event_body(payment.pk, f"payment.{status}")


def send(body, headers=None):
    headers = mock.signed(body) if headers is None else headers
    return APIClient().post(URL, body, content_type="application/json", headers=headers)


def paid(user, amount="25.50", price=None):
    """Return a new payment that was paid and credited."""
    payment = create_pending_payment(user, amount, price)
    assert send(set_status(payment, "succeeded")).status_code == 200
    payment.refresh_from_db()
    return payment


def change_and_send(payment, kind="refunded", **changes):
    """Change the provider's books and send a webhook. Return the payment's status and the amounts refunded."""
    at_provider(payment, **changes)
    assert send(mock.event_body(payment.pk, f"payment.{kind}")).status_code == 200
    payment.refresh_from_db()
    return payment.status, payment.refunded_amount, payment.provider_refunded


def is_unchanged(payment):
    """Return whether the payment is still pending, and no event was stored."""
    return not WebhookEvent.objects.exists() and state(payment) == ("pending", 0)


def state(payment):
    """Return the status of the payment and the balance of its user."""
    return Payment.objects.get(pk=payment.pk).status, ledger.balance(payment.user)
