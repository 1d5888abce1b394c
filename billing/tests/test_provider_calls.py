"""Calls to Stripe and YooKassa through their SDKs: keys, time-outs, outages and rejections."""

import logging
import time
from decimal import Decimal

import pytest
from django.utils import timezone
from yookassa.configuration import Configuration

from billing import payments, poller
from billing.errors import ProviderError, ProviderRefused, ProviderUnavailable
from billing.models import Payment
from billing.providers import base, stripe, yookassa
from billing.tests.support.parallel import in_parallel
from billing.tests.support.stripe_client import begin

MODULES = {"stripe": stripe, "yookassa": yookassa}
PROVIDERS = {"stripe": stripe.StripeProvider(), "yookassa": yookassa.YooKassaProvider()}


@pytest.fixture
def provider(standin):
    return PROVIDERS[standin.name]


def _purchase(client, key=""):
    headers = {"Idempotency-Key": key} if key else {}
    return client.post("/api/v1/currency/purchase", {"amount": 25.5}, headers=headers)


def test_a_repeated_create_returns_the_same_payment(standin, provider, alice_api):
    # case B24: the key is stored
    payment = begin(alice_api)
    again = provider.create(payment)
    assert (again.provider_id, again.url) == (payment.provider_id, payment.payment_url)
    assert standin.keys(standin.create) == [payment.idempotence_key] * 2
    assert standin.made() == [payment.provider_id]


@pytest.mark.parametrize("trouble", [{"lost": True}, {"silent": True}, {"status": 500, "body": b"{}"}])
def test_after_a_lost_response_a_repetition_goes_on_with_the_same_payment(standin, alice_api, trouble):
    # case B24: a payment created before the response was lost is found again, not created twice
    with standin.trouble(**trouble):
        response = _purchase(alice_api, "key-1")
    assert (response.status_code, response.json()["code"]) == (503, "payments_unavailable")
    payment = Payment.objects.get()
    assert (payment.status, payment.provider_id) == ("created", "")

    response = _purchase(alice_api, "key-1")
    assert (response.status_code, response.json()["payment_id"]) == (201, str(payment.pk))
    payment.refresh_from_db()
    assert standin.made() == [payment.provider_id]
    assert set(standin.keys(standin.create)) == {payment.idempotence_key}
    assert Payment.objects.count() == 1


def test_after_a_crash_between_claim_and_response_the_same_payment_is_found(standin, provider, alice):
    # case B24
    payment = Payment(
        user=alice,
        amount=Decimal(3),
        provider=standin.name,
        provider_amount=Decimal(3),
        provider_currency="RUB",
        next_check_at=timezone.now(),
    )
    payments.begin(payment, cause="test")
    made = provider.create(payment)  # then the process dies

    left = Payment.objects.get()
    assert (left.status, left.provider_id) == ("created", "")
    poller.run()
    assert (Payment.objects.get().status, Payment.objects.get().provider_id) == ("pending", made.provider_id)
    assert standin.made() == [made.provider_id]


def test_a_rejected_key_is_reported_to_operators_and_not_to_customers(standin, alice_api, settings, caplog):
    secret = "sk_test_revoked" if standin.name == "stripe" else "test_revoked"
    settings.STRIPE_SECRET_KEY = settings.YOOKASSA_SECRET_KEY = secret
    response = _purchase(alice_api)

    assert (response.status_code, response.json()["code"]) == (503, "payments_unavailable")
    assert "key" not in response.json()["detail"]
    [logged] = [record for record in caplog.records if record.levelno == logging.ERROR and "billing" in record.name]
    assert (logged.message, logged.provider, logged.status) == ("provider_refuses_our_key", standin.name, 401)
    assert secret not in caplog.text + str(vars(logged))
    assert "revoked" not in caplog.text


def test_the_text_of_a_rejected_key_is_neither_logged_nor_shown(standin, provider, alice_api, settings):
    payment = begin(alice_api)
    settings.STRIPE_SECRET_KEY = settings.YOOKASSA_SECRET_KEY = "sk_test_revoked"
    with pytest.raises(ProviderUnavailable) as error:
        provider.fetch(payment)
    assert "oked" not in _chain(error.value)  # Stripe quotes the end of the key
    assert _chain(error.value).count("rejected the API key") == 2


def test_no_secret_is_in_what_errors_say(standin, provider, alice_api, settings):
    payment = begin(alice_api)
    secrets = {standin.secret_key, *settings.STRIPE_WEBHOOK_SECRETS}
    for trouble in ({"silent": True}, {"status": 500, "body": b"{}"}, {"status": 400, "body": b"{}"}):
        with standin.trouble(**trouble), pytest.raises(ProviderError) as error:
            provider.fetch(payment)
        said = _chain(error.value)
        assert not [secret for secret in secrets if secret in said]


def _chain(error):
    said = ""
    while error:
        said += f"{error!r} {error} "
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return said


# case G77
def test_a_provider_that_is_slow_is_given_up_in_time(standin, provider, alice_api, monkeypatch):
    module = MODULES[standin.name]
    assert sum(module.TIMEOUTS) <= 10
    assert 3 * sum(stripe.TIMEOUTS) <= base.CALL_SECONDS
    assert 2 * sum(yookassa.TIMEOUTS) <= base.CALL_SECONDS
    payment = begin(alice_api)
    monkeypatch.setattr(module, "TIMEOUTS", (0.3, 0.3))
    with standin.trouble(slow=30):
        started = time.monotonic()
        with pytest.raises(ProviderUnavailable):
            provider.fetch(payment)
        assert time.monotonic() - started < 10
        assert _purchase(alice_api).status_code == 503
    assert len(standin.calls) == 1  # neither SDK retried


def test_a_provider_that_is_down_is_unavailable(standin, alice_api, monkeypatch):
    monkeypatch.setattr(MODULES[standin.name], "API_URL", "http://127.0.0.1:9")
    assert _purchase(alice_api).status_code == 503


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 502},
        {"status": 503, "body": b"{}"},
        {"status": 429, "body": b'{"error": {"type": "rate_limit"}, "type": "error"}'},
        {"status": 200, "body": b"<html>"},
        {"status": 200, "body": b"{"},
        {"status": 500, "body": b"[1]"},
    ],
)
def test_responses_that_settle_nothing_may_be_requested_again(standin, provider, alice_api, trouble):
    payment = begin(alice_api)
    with standin.trouble(**trouble), pytest.raises(ProviderUnavailable):
        provider.fetch(payment)
    assert provider.fetch(payment).status == "pending"


@pytest.mark.parametrize(
    "trouble",
    [
        {"status": 202, "body": b'{"type": "processing", "retry_after": 1800}'},
        {"status": 200, "body": b"{}"},
        {"status": 200, "body": b"[]"},
    ],
)
def test_yookassa_is_not_believed_what_cannot_be_read(yookassa_api, alice_api, trouble):
    with yookassa_api.trouble(**trouble):
        assert _purchase(alice_api, "key-1").status_code == 503
    assert _purchase(alice_api, "key-1").status_code == 201


def test_a_definite_no_fails_the_payment_and_a_new_one_may_begin(standin, alice_api, caplog):
    kind = b'{"error": {"type": "invalid_request_error", "message": "No."}, "type": "error", "description": "No."}'
    with standin.trouble(status=400, body=kind):
        response = _purchase(alice_api, "key-1")
    assert (response.status_code, response.json()["code"]) == (400, "payment_refused")
    assert Payment.objects.get().status == "failed"
    assert _purchase(alice_api, "key-1").status_code == 201


def test_proxies_and_passwords_of_the_environment_are_not_used(standin, alice_api, monkeypatch, tmp_path):
    # case C43
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    begin(alice_api)


def test_a_payment_of_another_user_is_rejected(standin, provider, alice_api, bob_api):
    hers, his = begin(alice_api), begin(bob_api)
    his.pk = hers.pk
    with pytest.raises(ProviderRefused, match="belongs to another payment"):
        provider.fetch(his)


def test_a_refund_requested_twice_is_made_once(standin, provider, alice_api):
    payment = begin(alice_api)
    standin.pay(payment.provider_id)
    responses = {provider.refund(payment, Decimal("5.25"), "refund-1").refund_id for _ in range(2)}
    assert len(responses) == len(standin.refunds) == 1
    state = provider.fetch(payment)
    assert (state.status, state.refunded) == ("succeeded", Decimal("5.25"))

    provider.refund(payment, Decimal("20.25"), "refund-2")
    assert provider.fetch(payment).refunded == Decimal("25.50")
    with pytest.raises(ProviderRefused, match="greater"):
        provider.refund(payment, Decimal("0.01"), "refund-3")


def test_a_refund_on_its_way_has_not_gone_back_yet(standin, provider, alice_api):
    payment = begin(alice_api)
    standin.pay(payment.provider_id)
    standin.refunds_are = "pending"
    provider.refund(payment, Decimal("5.25"), "refund-1")
    assert provider.fetch(payment).refunded == 0


def test_a_refund_that_fails_at_once_is_rejected(standin, provider, alice_api):
    payment = begin(alice_api)
    standin.pay(payment.provider_id)
    standin.refunds_are = "canceled"
    with pytest.raises(ProviderRefused, match="is canceled"):
        provider.refund(payment, Decimal("5.25"), "refund-1")
    assert provider.fetch(payment).refunded == 0


def test_large_amounts_are_exact(yookassa_api, alice_api, settings):
    # No float equals 90071992547409.93. The SDK's own models turn it into 90071992547409.94.
    settings.MAX_DEPOSIT = Decimal(10**10)
    settings.ZNC_PRICE = Decimal("9007.199255")
    payment = begin(alice_api, 9_999_999_999.99)
    exact = payment.provider_amount
    assert float(exact) != exact
    yookassa_api.pay(payment.provider_id)
    assert yookassa_api.payments[payment.provider_id]["amount"]["value"] == f"{exact:.2f}"
    assert yookassa.YooKassaProvider().fetch(payment).amount == exact


def test_amounts_are_text_for_yookassa(yookassa_api, alice_api):
    payment = begin(alice_api, 3, provider="yookassa")
    made = yookassa_api.payments[payment.provider_id]
    assert made["amount"] == {"value": "3.00", "currency": "RUB"}
    assert (made["metadata"], payment.payment_url) == (
        {"payment_id": str(payment.pk)},
        made["confirmation"]["confirmation_url"],
    )


def test_an_amount_finer_than_the_currency_is_rejected(stripe_api, alice_api, settings):
    settings.PAYMENT_CURRENCY, settings.ZNC_PRICE = "JPY", Decimal(150)
    payment = begin(alice_api, 2)
    stripe_api.pay(payment.provider_id)
    with pytest.raises(ProviderRefused, match="more decimals"):
        PROVIDERS["stripe"].refund(payment, Decimal("0.50"), "refund-1")


@pytest.mark.django_db(transaction=True)
def test_both_are_offered_at_once_and_neither_shares_state(stripe_api, yookassa_api, alice_api, settings):
    settings.PAYMENT_PROVIDERS = ("yookassa", "stripe")
    before = dict(vars(Configuration))
    names = ["stripe", "yookassa"] * 8
    begun = in_parallel(16, lambda number: begin(alice_api, 1, provider=names[number]), threads=8)

    assert [payment.provider for payment in begun] == names
    assert len({payment.provider_id for payment in begun}) == 16
    assert len(stripe_api.sessions) == len(yookassa_api.payments) == 8
    assert begin(alice_api).provider == "yookassa"  # the first is the default
    # The configuration of the YooKassa SDK is global, so the application must not use it.
    assert dict(vars(Configuration)) == before
