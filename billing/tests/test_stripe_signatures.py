"""Webhooks of Stripe are accepted if they are recent, correctly signed, and of the configured account and mode."""

import json
import time

import pytest
import time_machine
from django.utils import timezone

from billing.models import WebhookEvent
from billing.tests.support.mock_provider import is_unchanged, state
from billing.tests.support.standins.stripe import signature
from billing.tests.support.stripe_client import SECRET, begin, send, signed

MALFORMED = {"detail": "This message is not a valid event of the payment provider.", "code": "webhook_refused"}
FORGED = {"detail": "This message is not signed by the payment provider.", "code": "webhook_refused"}


@pytest.fixture
def payment(stripe_api, alice_api):
    """Return Alice's payment, which is paid at Stripe and pending here."""
    payment = begin(alice_api)
    stripe_api.pay(payment.provider_id)
    return payment


@pytest.fixture
def body(stripe_api, payment):
    return stripe_api.event("checkout.session.completed", stripe_api.sessions[payment.provider_id])


def test_a_good_signature_is_accepted(payment, body):
    # case B17
    response = send(body)
    assert (response.status_code, response.json()) == (200, {"received": True})
    assert state(payment) == ("succeeded", payment.amount)


def _v0(body, now):
    return f"t={now},{signature(body, SECRET, now, 'v0')}"


@pytest.mark.parametrize(
    "header",
    [
        lambda body, now: None,
        lambda body, now: "",
        lambda body, now: "t=1,v1=",
        lambda body, now: f"t={now},{signature(body, 'whsec_of_another_endpoint', now)}",
        _v0,
        lambda body, now: f"{_v0(body, now)},v1=",
        lambda body, now: f"t={now},{signature(body, SECRET, now)}"[:-1] + "g",
        lambda body, now: f"t={now},{signature(body, SECRET, now - 1)}",
        lambda body, now: f"t={now + 1},{signature(body, SECRET, now)}",
        lambda body, now: signature(body, SECRET, now),
        lambda body, now: f"t={now},v1=подпись",
        lambda body, now: f"t={'9' * 5000},{signature(body, SECRET, now)}",
        # The SDK reads the first timestamp, so a second one cannot hide a timestamp in the future.
        lambda body, now: f"t={now + 900},t={now},{signature(body, SECRET, now + 900)}",
    ],
)
@time_machine.travel(timezone.now(), tick=False)
def test_a_forged_header_is_rejected(payment, body, header):
    # case B17: no header, the wrong secret, only `v0`
    value = header(body, int(time.time()))
    response = send(body, {} if value is None else {"Stripe-Signature": value})
    assert (response.status_code, response.json()) == (400, FORGED)
    assert is_unchanged(payment)


@pytest.mark.parametrize(
    "altered",
    [
        lambda body: body.replace(b"25", b"26", 1),
        lambda body: body[:-1] + b" ",
        lambda body: body + b"\n",
        lambda body: json.dumps(json.loads(body)).encode(),
        lambda body: b"",
        lambda body: b"\xff" + body,
    ],
)
def test_an_altered_body_is_rejected(payment, body, altered):
    # case B17: an altered byte, re-serialised JSON
    changed = altered(body)
    assert changed != body
    response = send(changed, signed(body))
    assert (response.status_code, response.json()) == (400, FORGED)
    assert is_unchanged(payment)


@pytest.mark.parametrize(("age", "status"), [(299, 200), (301, 400), (-299, 200), (-301, 400)])
@time_machine.travel(timezone.now().replace(microsecond=0), tick=False)
def test_a_signature_is_good_for_five_minutes_both_ways(payment, body, age, status):
    # case B18
    assert send(body, signed(body, age=age)).status_code == status
    assert is_unchanged(payment) == (status == 400)


def test_of_two_signatures_one_valid_is_enough(payment, body):
    # case B19: Stripe signs with both while a secret is rotated
    now = int(time.time())
    header = f"t={now},{signature(body, 'whsec_older', now)},{signature(body, SECRET, now)}"
    assert send(body, {"Stripe-Signature": header}).status_code == 200
    assert state(payment)[0] == "succeeded"


def test_each_of_our_secrets_is_tried(stripe_api, payment, settings):
    # case B19: both secrets stay configured until the last event signed with the old one has arrived
    session = stripe_api.sessions[payment.provider_id]
    for secret in ("whsec_new", SECRET):
        body = stripe_api.event("checkout.session.completed", session)
        assert send(body, signed(body, secret)).status_code == 200
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new"]
    body = stripe_api.event("checkout.session.completed", session)
    assert send(body).status_code == 400


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b"{" * 30_000, b"[" * 60_000, b'{"id": "evt_1", "type": "x"}'],
)
def test_a_body_that_is_no_event_is_rejected_even_if_signed(payment, body):
    # case B26
    started = time.thread_time()
    response = send(body, signed(body))
    assert (response.status_code, response.json()) == (400, MALFORMED)
    assert time.thread_time() - started < 1
    assert is_unchanged(payment)


@pytest.mark.parametrize("changed", [{"livemode": True}, {"account": "acct_somebody"}])
def test_the_other_mode_and_other_accounts_are_rejected_with_an_alert(stripe_api, payment, caplog, changed):
    # case B22
    session = stripe_api.sessions[payment.provider_id]
    response = send(stripe_api.event("checkout.session.completed", session, **changed))
    assert (response.status_code, response.json()["code"]) == (400, "webhook_refused")
    assert is_unchanged(payment)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == ["webhook_foreign"]


def test_a_test_event_does_not_credit_a_live_account(stripe_api, payment, settings):
    # case B22
    session = stripe_api.sessions[payment.provider_id]
    stripe_api.secret_key = settings.STRIPE_SECRET_KEY = "rk_live_standin"
    assert send(stripe_api.event("checkout.session.completed", session)).status_code == 400
    assert is_unchanged(payment)
    assert send(stripe_api.event("checkout.session.completed", session, livemode=True)).status_code == 200


def test_a_provider_without_payments_that_is_not_offered_has_no_webhook_url(stripe_api, db, settings):
    settings.PAYMENT_PROVIDERS = ("yookassa",)
    assert send(stripe_api.event("checkout.session.completed", {"id": "cs_x"})).status_code == 404
    assert not WebhookEvent.objects.exists()
