"""`POST /currency/mock-purchase` credits without a payment."""

from decimal import Decimal

import pytest

from billing import ledger, verification
from billing.models import Payment, Transaction

URL = "/api/v1/currency/mock-purchase"


def test_it_credits_at_once(alice, alice_api):
    alice_api.post(URL, {"amount": 5})
    response = alice_api.post(URL, {"amount": 12.5})

    assert response.status_code == 200
    posted = Transaction.objects.get(pk=response.json()["transaction_id"])
    assert response.json() == {
        "transaction_id": str(posted.pk),
        "amount": 12.5,
        "new_balance": 17.5,
        "transaction_type": "deposit",
        "created_at": posted.created_at.isoformat().replace("+00:00", "Z"),
    }
    assert dict(posted.entries.values_list("account__code", "amount")) == {
        None: Decimal("12.50"),
        "deposits": Decimal("-12.50"),
    }
    assert posted.actor == alice
    assert ledger.balance(alice) == Decimal("17.50")
    assert verification.verify() == []
    assert not Payment.objects.exists()


def test_the_history_names_the_same_transaction(alice_api):
    bought = alice_api.post(URL, {"amount": 5}).json()
    (item,) = alice_api.get("/api/v1/currency/transactions").json()["items"]
    assert (item["id"], item["amount"], item["created_at"]) == (
        bought["transaction_id"],
        5.0,
        bought["created_at"],
    )


def test_two_without_a_key_are_two(alice, alice_api):
    alice_api.post(URL, {"amount": 5})
    alice_api.post(URL, {"amount": 5})
    assert ledger.balance(alice) == 10


def test_it_does_not_exist_without_the_mock_provider(alice, alice_api, settings):
    settings.PAYMENT_PROVIDERS = ()
    response = alice_api.post(URL, {"amount": 5})
    assert response.status_code == 404
    assert response.json()["code"] == "payments_unavailable"
    assert ledger.balance(alice) == 0


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_only_post(alice_api, method):
    response = getattr(alice_api, method)(URL)
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
