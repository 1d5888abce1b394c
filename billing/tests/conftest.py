"""Fixtures of billing's tests."""

from collections.abc import Iterator

import httpx
import pytest
from django.db import connection, transaction
from rest_framework.test import APIClient

from billing.providers import mock, stripe, yookassa
from billing.tests.support import stripe_client
from billing.tests.support.mock_provider import create_pending_payment
from billing.tests.support.standins.stripe import StripeStandIn
from billing.tests.support.standins.yookassa import YooKassaStandIn


@pytest.fixture
def payment(alice):
    """Return Alice's pending payment of 25.50 ZNC."""
    return create_pending_payment(alice)


@pytest.fixture
def delivered(monkeypatch):
    """Deliver the mock provider's webhooks to the views without a server, in the transaction of the test."""

    def response(request):
        made = APIClient().post(
            request.url.path, request.content, content_type="application/json", headers=dict(request.headers)
        )
        return httpx.Response(made.status_code, content=made.content)

    transport, client = httpx.MockTransport(response), httpx.Client
    monkeypatch.setattr(mock.httpx, "Client", lambda **options: client(transport=transport, **options))


@pytest.fixture
def unconstrained(db: None) -> Iterator[None]:
    """Let wallets go below zero in the transaction of this test. Request it before other fixtures that write."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA ignore_check_constraints = ON")
        else:
            cursor.execute("ALTER TABLE billing_account DROP CONSTRAINT billing_account_never_negative")
    yield
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA ignore_check_constraints = OFF")
    transaction.set_rollback(True)


@pytest.fixture
def stripe_api(settings, monkeypatch):
    """Provide the stand-in of Stripe as the only provider that is offered."""
    standin = StripeStandIn()
    settings.PAYMENT_PROVIDERS = ("stripe",)
    settings.STRIPE_SECRET_KEY = standin.secret_key
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", stripe_client.SECRET]
    monkeypatch.setattr(stripe, "API_URL", standin.url)
    yield standin
    standin.stop()


@pytest.fixture
def yookassa_api(settings, monkeypatch):
    """Provide the stand-in of YooKassa as the only provider that is offered."""
    standin = YooKassaStandIn()
    settings.PAYMENT_PROVIDERS = ("yookassa",)
    settings.YOOKASSA_SHOP_ID, settings.YOOKASSA_SECRET_KEY = standin.shop_id, standin.secret_key
    settings.PAYMENT_CURRENCY = "RUB"
    monkeypatch.setattr(yookassa, "API_URL", f"{standin.url}/v3")
    yield standin
    standin.stop()


@pytest.fixture(params=["stripe", "yookassa"])
def standin(request):
    """Provide each stand-in in turn."""
    return request.getfixturevalue(f"{request.param}_api")
