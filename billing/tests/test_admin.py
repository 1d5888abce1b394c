"""The admin pages of billing: searchable, read-only, without a query per row."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.tests.factories import UserFactory
from billing.models import (
    Account,
    Entry,
    IdempotencyKey,
    Payment,
    PaymentTransition,
    Transaction,
    WebhookEvent,
)
from billing.tests.support.mock_provider import send, set_status
from conftest import client_of

MODELS = [
    Account,
    Entry,
    IdempotencyKey,
    Payment,
    PaymentTransition,
    Transaction,
    WebhookEvent,
]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.model_name)


def pay(user, key):
    """Create a settled payment, with its event and its idempotency key."""
    response = client_of(user).post("/api/v1/currency/purchase", {"amount": 5}, headers={"Idempotency-Key": key})
    payment = Payment.objects.get(pk=response.json()["payment_id"])
    assert send(set_status(payment, "succeeded")).status_code == 200


@pytest.fixture
def admin(olga, alice):
    pay(alice, "k")
    client = Client()
    client.force_login(olga)
    return client


def url(model, page="", pk=""):
    return f"/admin/billing/{model._meta.model_name}/{f'{pk}/' if pk else ''}{f'{page}/' if page else ''}"


@each_model
def test_lists_and_pages_are_shown(admin, model):
    row = model.objects.first()
    assert admin.get(url(model)).status_code == 200
    response = admin.get(url(model, "change", row.pk))
    assert response.status_code == 200
    assert "_save" not in response.content.decode()


@each_model
def test_nothing_is_added_changed_or_deleted(admin, model):
    # case A3
    before = list(model.objects.order_by("pk").values())
    row = model.objects.first()
    assert admin.get(url(model, "add")).status_code == 403
    assert admin.post(url(model, "change", row.pk), {"amount": "99"}).status_code == 403
    assert admin.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    deletion = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    admin.post(url(model), deletion)
    assert list(model.objects.order_by("pk").values()) == before


@each_model
@pytest.mark.parametrize("words", ["alice@example.com", "nobody", "' OR 1=1 --", "%", "\U0001f600", "x" * 2000])
def test_search(admin, model, words):
    response = admin.get(url(model), {"q": words})
    assert response.status_code == 200
    if words == "nobody":
        assert response.context["cl"].result_count == 0
    elif words == "alice@example.com":
        assert response.context["cl"].result_count >= 1


@each_model
def test_lists_take_the_same_queries_however_long_they_are(admin, model):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert admin.get(url(model)).status_code == 200
        return len(captured)

    few = queries()
    for number in range(4):
        pay(UserFactory(), f"k{number}")
    assert queries() == few


def test_a_transaction_shows_its_entries(admin):
    posted = Transaction.objects.get()
    text = admin.get(url(Transaction, "change", posted.pk)).content.decode()
    assert "alice@example.com" in text
    assert "deposits" in text
    assert "-5.00" in text


def test_a_customer_sees_none_of_it(admin, alice):
    client = Client()
    client.force_login(alice)
    for model in MODELS:
        assert client.get(url(model)).status_code == 302
