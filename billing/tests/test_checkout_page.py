"""The checkout page of the mock provider."""

import uuid
from decimal import Decimal

import pytest
from django.test import Client

from billing import ledger
from billing.models import WebhookEvent

pytestmark = pytest.mark.usefixtures("delivered")


@pytest.fixture
def url(payment):
    return f"/pay/mock/{payment.provider_id}"


def page(url, **kwargs):
    return Client().get(url, **kwargs)


def press(url, action, client=None):
    return (client or Client()).post(url, {"action": action}, follow=True)


def test_a_pending_payment_shows_its_amount_and_three_buttons(url):
    response = page(url)
    text = response.content.decode()
    assert response.status_code == 200
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert "no-store" in response["Cache-Control"]
    assert "25.50 EUR" in text
    for action in ("pay", "decline", "cancel"):
        assert f'value="{action}"' in text
    assert "csrfmiddlewaretoken" in text


@pytest.mark.parametrize(
    ("action", "status", "balance", "sentence"),
    [
        ("pay", "succeeded", Decimal("25.50"), "The credits are on your balance."),
        ("decline", "failed", 0, "The payment was declined."),
        ("cancel", "cancelled", 0, "The payment was cancelled."),
    ],
)
def test_a_button_settles_the_payment_through_its_webhook(url, payment, action, status, balance, sentence):
    response = press(url, action)
    text = response.content.decode()

    assert response.redirect_chain == [(f"/billing/return/{payment.pk}", 302)]
    assert sentence in text
    assert 'href="/"' in text
    assert 'name="action"' not in text
    payment.refresh_from_db()
    assert payment.status == status
    assert ledger.balance(payment.user) == balance
    assert WebhookEvent.objects.get().kind == f"payment.{status}"


def test_the_whole_way_from_the_api(alice, alice_api):
    begun = alice_api.post("/api/v1/currency/purchase", {"amount": 18}).json()
    path = begun["payment_url"].removeprefix("http://127.0.0.1:8000")
    press(path, "pay")
    response = alice_api.get(f"/api/v1/currency/payments/{begun['payment_id']}").json()
    assert response["receipt_number"].endswith("-000001")
    assert response == begun | {name: response[name] for name in ("status", "receipt_number", "receipt_url")}
    assert response["status"] == "succeeded"
    assert alice_api.get("/api/v1/currency/balance").json()["balance"] == 18.0


def test_a_second_press_changes_nothing(url, payment):
    # case A11
    press(url, "pay")
    press(url, "pay")
    response = press(url, "cancel")
    assert "The credits are on your balance." in response.content.decode()
    assert ledger.balance(payment.user) == Decimal("25.50")


def test_an_unknown_button_is_rejected(url, payment):
    for body in ({"action": "steal"}, {}):
        assert Client().post(url, body).status_code == 400
    assert not WebhookEvent.objects.exists()


def test_the_form_is_protected(url, payment, settings):
    client = Client(enforce_csrf_checks=True)
    assert press(url, "pay", client).status_code == 403
    client.get(url)
    token = client.cookies[settings.CSRF_COOKIE_NAME].value
    assert client.post(url, {"action": "pay", "csrfmiddlewaretoken": token}).status_code == 302
    assert ledger.balance(payment.user) == Decimal("25.50")


def test_it_does_not_exist_without_the_mock_provider(url, payment, settings):
    settings.PAYMENT_PROVIDERS = ()
    assert page(url).status_code == 404
    assert press(url, "pay").status_code == 404
    assert ledger.balance(payment.user) == 0


def test_unknown_payments_and_other_methods(url):
    assert page(f"/pay/mock/{uuid.uuid4()}").status_code == 404
    assert page("/pay/mock/5").status_code == 404
    assert Client().put(url).status_code == 405


def test_an_expired_form_gets_an_error_and_settles_nothing(url, payment):
    response = Client(enforce_csrf_checks=True).post(url, {"action": "pay"})
    assert response.status_code == 403
    assert "This form has expired. Reload the page and try again." in response.content.decode()
    payment.refresh_from_db()
    assert payment.status == "pending"
