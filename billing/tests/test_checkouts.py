"""`POST /currency/purchase` up to the provider's checkout, also if the provider does not respond."""

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from billing import poller, provider_leases, providers
from billing.models import IdempotencyKey, MockCheckout, Payment
from billing.providers.mock import MockProvider
from billing.tests.support import provider_outages
from billing.tests.support.parallel import in_parallel
from conftest import client_of

URL = "/api/v1/currency/purchase"


def begin(client, key="k", **body):
    return client.post(URL, {"amount": 25, **body}, headers={"Idempotency-Key": key})


def later(seconds):
    return time_machine.travel(timezone.now() + timedelta(seconds=seconds), tick=True)


@pytest.fixture
def two_providers(settings, monkeypatch):
    """Offer the mock provider twice, under its own and under another name."""

    class Other(MockProvider):
        name = "other"

    load = providers._load
    monkeypatch.setattr(providers, "_load", lambda name: Other() if name == "other" else load(name))
    settings.PAYMENT_PROVIDERS = ("mock", "other")


@pytest.mark.parametrize(
    ("price", "currency", "amount", "expected"),
    [
        ("1", "EUR", 25.5, "25.50"),
        ("0.95", "EUR", 10, "9.50"),
        ("0.333333", "EUR", 1, "0.33"),
        ("0.5", "EUR", 0.01, "0.01"),
        ("1.61", "JPY", 100, "161"),
        ("1.5", "JPY", 1, "2"),
        ("95.5", "RUB", 0.1, "9.55"),
    ],
)
def test_the_price_is_exact_in_the_currencys_units(alice_api, settings, price, currency, amount, expected):
    settings.ZNC_PRICE, settings.PAYMENT_CURRENCY = Decimal(price), currency
    response = begin(alice_api, amount=amount).json()
    payment = Payment.objects.get()
    assert (payment.provider_amount, payment.provider_currency) == (Decimal(expected), currency)
    assert (response["provider_amount"], response["provider_currency"]) == (float(expected), currency)
    assert payment.price == f"{expected} {currency}"


def test_an_amount_that_costs_nothing_is_rejected(alice_api, settings):
    settings.ZNC_PRICE, settings.PAYMENT_CURRENCY = Decimal("0.4"), "JPY"
    response = begin(alice_api, amount=1)
    assert (response.status_code, list(response.json())) == (400, ["amount"])
    assert not Payment.objects.exists()


def test_the_caller_chooses_among_the_providers(alice_api, two_providers):
    chosen = [begin(alice_api, f"k-{name}", **body) for name, body in enumerate([{}, {"provider": "other"}])]
    assert [response.json()["provider"] for response in chosen] == ["mock", "other"]


@pytest.mark.parametrize("name", ["stripe", "MOCK", "mock,other", "../mock"])
def test_a_provider_that_is_not_offered_is_rejected(alice_api, two_providers, name):
    response = begin(alice_api, provider=name)
    assert (response.status_code, response.json()["code"]) == (404, "payments_unavailable")
    assert not Payment.objects.exists()


def test_the_provider_is_called_outside_of_any_transaction(alice, monkeypatch, transactional_db):
    inside = []
    create = MockProvider.create

    def watched(self, payment):
        inside.append(connection.in_atomic_block)
        return create(self, payment)

    monkeypatch.setattr(MockProvider, "create", watched)
    assert begin(client_of(alice)).status_code == 201
    assert inside == [False]


def test_no_response_leaves_what_the_call_goes_on_with(alice, alice_api, monkeypatch):
    provider_outages.take_down(monkeypatch, "create")
    response = begin(alice_api)
    assert (response.status_code, response.json()["code"]) == (503, "payments_unavailable")
    assert Payment.objects.get().status == "created"
    monkeypatch.undo()

    again = begin(alice_api)
    assert again.status_code == 201
    assert again.json()["payment_id"] == str(Payment.objects.get().pk)
    assert begin(alice_api).json() == again.json()


def test_a_lost_response_is_found_again_with_the_stored_key(alice, alice_api, monkeypatch):
    # case B24: a stored idempotence key
    provider_outages.lose_response(monkeypatch, "create")
    assert begin(alice_api).status_code == 503
    checkout = MockCheckout.objects.get()
    monkeypatch.undo()
    assert begin(alice_api).json()["payment_url"].endswith(str(checkout.pk))
    assert MockCheckout.objects.get() == checkout


def test_the_poller_continues_after_a_crash_during_the_call_to_the_provider(alice_api, monkeypatch):
    provider_outages.take_down(monkeypatch, "create", error=SystemExit("killed"))
    with pytest.raises(SystemExit):
        begin(alice_api)
    monkeypatch.undo()
    payment = Payment.objects.get()
    assert payment.status == "created"

    poller.run()  # the lease of the call that created it has not ended
    payment.refresh_from_db()
    assert payment.status == "created"
    with later(provider_leases.LEASE.seconds + 1):
        poller.run()
    payment.refresh_from_db()
    assert payment.status == "pending"
    assert payment.transitions.first().cause == "poller"
    assert begin(alice_api).json()["payment_url"] == payment.payment_url


def test_a_repeated_call_waits_for_the_first(alice_api, monkeypatch):
    provider_outages.take_down(monkeypatch, "create", error=SystemExit("killed"))
    with pytest.raises(SystemExit):
        begin(alice_api)
    monkeypatch.undo()
    response = begin(alice_api)
    assert (response.status_code, response.json()["code"]) == (409, "idempotency_in_progress")
    with later(provider_leases.LEASE.seconds + 1):
        assert begin(alice_api).status_code == 201


def test_a_rejection_fails_the_payment_and_frees_the_key(alice_api, monkeypatch):
    provider_outages.take_down(monkeypatch, "create", error=provider_outages.REFUSED)
    response = begin(alice_api)
    assert (response.status_code, response.json()["code"]) == (400, "payment_refused")
    assert "card testing" not in response.content.decode()
    payment = Payment.objects.get()
    assert (payment.status, payment.transitions.first().cause) == (
        "failed",
        "purchase: the provider refused: card testing",
    )
    assert not IdempotencyKey.objects.exists()
    monkeypatch.undo()
    assert begin(alice_api).status_code == 201
    assert Payment.objects.count() == 2


def test_a_payment_that_never_got_its_checkout_expires(alice_api, monkeypatch):
    provider_outages.take_down(monkeypatch, "create")
    begin(alice_api)
    with later(3601):
        poller.run()
    payment = Payment.objects.get()
    assert (payment.status, payment.transitions.first().cause) == ("expired", "poller: no checkout in time")
    monkeypatch.undo()

    rejected = begin(alice_api)
    assert (rejected.status_code, rejected.json()["code"]) == (400, "payment_refused")
    assert begin(alice_api).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_one_key_sent_many_times_at_once_opens_one_checkout(alice):
    client = client_of(alice)
    responses = in_parallel(10, lambda _number: begin(client))
    assert {response.status_code for response in responses} <= {201, 409}
    assert len({response.content for response in responses if response.status_code == 201}) == 1
    assert Payment.objects.count() == MockCheckout.objects.count() == 1
