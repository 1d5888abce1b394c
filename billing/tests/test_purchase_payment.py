"""`POST /currency/purchase` and `GET /currency/payments…`."""

import uuid

import pytest

from billing import ledger
from billing.models import Payment, PaymentStatus

URL = "/api/v1/currency/purchase"
PAYMENTS = "/api/v1/currency/payments"


def begin(client, **body):
    return client.post(URL, {"amount": 25, **body})


def test_a_payment_begins_pending_and_credits_nothing(alice, alice_api, settings):
    settings.BACKEND_URL = "https://zenzefi.example"
    response = begin(alice_api, amount=25.5, payment_method="card")

    assert response.status_code == 201
    payment = Payment.objects.get()
    assert response.json() == {
        "payment_id": str(payment.pk),
        "amount": 25.5,
        "status": "pending",
        "payment_url": f"https://zenzefi.example/pay/mock/{payment.provider_id}",
        "provider": "mock",
        "provider_amount": 25.5,
        "provider_currency": "EUR",
        "receipt_number": "",
        "receipt_url": "",
        "refunded_amount": 0.0,
        "created_at": payment.created_at.isoformat().replace("+00:00", "Z"),
    }
    assert (payment.user, payment.payment_method, payment.transaction) == (alice, "card", None)
    assert ledger.balance(alice) == 0


def test_the_payment_method_is_optional(alice_api):
    assert begin(alice_api).status_code == 201
    assert begin(alice_api, payment_method="").status_code == 201
    assert begin(alice_api, payment_method="x" * 64).status_code == 201


@pytest.mark.parametrize("method", ["x" * 65, "a\0b", 5, 1.5, ["card"], {"a": 1}, None, True, "x" * 500_000])
def test_a_bad_payment_method_is_rejected(alice_api, method):
    response = begin(alice_api, payment_method=method)
    assert response.status_code == 400
    assert list(response.json()) == ["payment_method"]
    assert not Payment.objects.exists()


def test_without_a_provider_there_are_no_payments(alice_api, settings):
    settings.PAYMENT_PROVIDERS = ()
    response = begin(alice_api)
    assert response.status_code == 404
    assert response.json() == {
        "detail": "This payment method is not available.",
        "code": "payments_unavailable",
    }
    assert not Payment.objects.exists()


@pytest.mark.parametrize("url", [URL, "/api/v1/currency/mock-purchase"])
def test_it_needs_a_jwt(api, db, url):
    assert api.post(url, {"amount": 1}).status_code == 401
    assert api.get(PAYMENTS).status_code == 401


def test_payments_are_listed_newest_first_to_their_user_alone(alice_api, bob_api):
    first, second = begin(alice_api).json(), begin(alice_api, amount=3).json()
    begin(bob_api)
    assert alice_api.get(PAYMENTS).json() == {"items": [second, first], "total": 2, "limit": 20, "offset": 0}
    assert alice_api.get(f"{PAYMENTS}?limit=1&offset=1").json()["items"] == [first]


def test_one_payment_shows_its_state(alice_api):
    begun = begin(alice_api).json()
    url = f"{PAYMENTS}/{begun['payment_id']}"
    assert alice_api.get(url).json() == begun
    Payment.objects.update(status=PaymentStatus.FAILED)
    response = alice_api.get(url)
    assert (response.status_code, response.json()) == (200, begun | {"status": "failed"})


def test_a_payment_is_still_shown_when_its_provider_is_no_longer_used(alice_api, settings):
    begun = begin(alice_api).json()
    settings.PAYMENT_PROVIDERS = ()
    assert alice_api.get(f"{PAYMENTS}/{begun['payment_id']}").json() == begun


def test_a_payment_of_another_user_looks_like_none(alice_api, bob_api):
    begun = begin(bob_api).json()
    for payment_id in (begun["payment_id"], uuid.uuid4(), "5", "a%00b"):
        response = alice_api.get(f"{PAYMENTS}/{payment_id}")
        assert response.status_code == 404
        assert response.json()["code"] == "not_found"
