"""Notifications of YooKassa: accepted by address, confirmed through the API, and applied."""

import ipaddress
import json
import time
from decimal import Decimal

import pytest
from asgiref.sync import async_to_sync
from yookassa.domain.common import SecurityHelper

from billing.models import Transaction, WebhookEvent
from billing.providers.yookassa import TIMEOUTS
from billing.tests.support.mock_provider import is_unchanged, state
from billing.tests.support.parallel import in_parallel
from billing.tests.support.stripe_client import begin
from billing.tests.support.yookassa_client import YOOKASSA_ADDRESS, send
from proxy.dataplane.server.trusted_proxies import TrustedForwarding

REJECTED = {
    "detail": "This message was not sent from an address of the payment provider.",
    "code": "webhook_refused",
}
MALFORMED = {"detail": "This message is not a valid event of the payment provider.", "code": "webhook_refused"}


@pytest.fixture
def payment(yookassa_api, alice_api):
    return begin(alice_api)


@pytest.fixture
def paid(yookassa_api, payment):
    """Return the notification of a paid payment."""
    return yookassa_api.notification("payment.succeeded", yookassa_api.pay(payment.provider_id))


def _edges(network):
    """Return the first and the last address of a network, and their neighbours outside it."""
    first, last = ipaddress.ip_network(network)[0], ipaddress.ip_network(network)[-1]
    return [(str(first), 200), (str(last), 200), (str(first - 1), 400), (str(last + 1), 400)]


@pytest.mark.parametrize(
    ("address", "status"), [edge for network in SecurityHelper.YOOKASSA_NETWORKS for edge in _edges(network)]
)
def test_every_network_passes_and_no_neighbour(payment, paid, address, status):
    # case B23
    assert send(paid, address).status_code == status
    assert is_unchanged(payment) == (status == 400)


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("185.71.76.31", 200),
        ("185.71.76.32", 400),
        ("::ffff:185.71.76.31", 200),
        ("::ffff:b947:4c1f", 200),
        ("::ffff:185.71.76.32", 400),
        ("::185.71.76.31", 400),
        ("127.0.0.1", 400),
        ("", 400),
        ("unknown", 400),
        ("185.71.76.031", 400),
    ],
)
def test_the_forms_of_an_address(payment, paid, address, status):
    # cases B23, G79
    assert send(paid, address).status_code == status


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-Ip", "Forwarded", "X-Client-Ip", "Cf-Connecting-Ip"])
def test_what_a_stranger_claims_of_its_address_is_not_read(payment, paid, caplog, name):
    # case B23
    response = send(paid, "203.0.113.9", **{name: YOOKASSA_ADDRESS})
    assert (response.status_code, response.json()) == (400, REJECTED)
    assert [record.address for record in caplog.records if record.message == "webhook_from_stranger"] == [
        "203.0.113.9"
    ]
    assert is_unchanged(payment)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "status"),
    [
        ("10.0.0.1", YOOKASSA_ADDRESS, 200),
        ("::ffff:10.0.0.1", f"::ffff:{YOOKASSA_ADDRESS}", 200),
        ("10.0.0.1", f"{YOOKASSA_ADDRESS}, 203.0.113.9", 400),  # forged by the client of our reverse proxy
        ("10.0.0.1", "203.0.113.9", 400),
        ("203.0.113.9", YOOKASSA_ADDRESS, 400),
        (YOOKASSA_ADDRESS, "203.0.113.9", 200),
    ],
)
def test_only_a_trusted_proxy_says_where_a_notification_came_from(payment, paid, peer, forwarded_for, status):
    # case B23
    arrived = []

    async def application(scope, _receive, _send):
        arrived.append(scope["client"][0])

    gateway = TrustedForwarding(application, [ipaddress.ip_network("10.0.0.0/8")])
    headers = [(b"x-forwarded-for", forwarded_for.encode())]
    async_to_sync(gateway)({"type": "http", "client": (peer, 40_000), "headers": headers}, None, None)

    assert send(paid, *arrived).status_code == status
    assert is_unchanged(payment) == (status == 400)


def test_a_confirmed_payment_is_credited(payment, paid):
    response = send(paid)
    assert (response.status_code, response.json()) == (200, {"received": True})
    assert state(payment) == ("succeeded", Decimal("25.50"))
    event = WebhookEvent.objects.get()
    assert (event.event_id, event.kind, event.payment, event.outcome) == (
        f"payment.succeeded:{payment.provider_id}",
        "payment.succeeded",
        payment,
        "succeeded",
    )


def test_a_claim_that_the_api_does_not_confirm_credits_nothing(yookassa_api, payment):
    # case B24
    claimed = yookassa_api.payments[payment.provider_id] | {"status": "succeeded", "paid": True}
    body = yookassa_api.notification("payment.succeeded", claimed)
    response = send(body)
    assert (response.status_code, response.json()["code"]) == (503, "webhook_not_ready")
    assert is_unchanged(payment)

    yookassa_api.pay(payment.provider_id)  # the same notification, now true
    assert send(body).status_code == 200
    assert state(payment) == ("succeeded", Decimal("25.50"))


@pytest.mark.parametrize(
    "trouble",
    [{"slow": 30}, {"silent": True}, {"lost": True}, {"status": 500, "body": b"{}"}, {"status": 502}],
)
def test_while_the_api_does_not_response_nothing_is_taken_and_a_repetition_works(
    yookassa_api, payment, paid, monkeypatch, trouble
):
    # case B24
    assert sum(TIMEOUTS) <= 10
    monkeypatch.setattr("billing.providers.yookassa.TIMEOUTS", (0.5, 0.5))
    with yookassa_api.trouble(**trouble):
        started = time.monotonic()
        response = send(paid)
        assert time.monotonic() - started < 10
    assert (response.status_code, response.json()["code"]) == (503, "webhook_not_ready")
    assert is_unchanged(payment)
    assert send(paid).status_code == 200
    assert state(payment) == ("succeeded", Decimal("25.50"))


def test_a_notification_sent_again_credits_once(payment, paid):
    # case B20
    assert [send(paid).status_code for _ in range(3)] == [200] * 3
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert WebhookEvent.objects.count() == Transaction.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_one_notification_a_hundred_times_at_once_credits_once(payment, paid):
    # case B20
    assert in_parallel(100, lambda _number: send(paid).status_code, threads=12) == [200] * 100
    assert state(payment) == ("succeeded", Decimal("25.50"))
    assert WebhookEvent.objects.count() == Transaction.objects.count() == 1


@pytest.mark.parametrize(
    ("reason", "party", "status"),
    [
        ("insufficient_funds", "payment_network", "failed"),
        ("3d_secure_failed", "yoo_money", "failed"),
        ("canceled_by_merchant", "merchant", "cancelled"),
        ("expired_on_confirmation", "yoo_money", "expired"),
    ],
)
def test_a_canceled_payment_ends(yookassa_api, payment, reason, party, status):
    canceled = yookassa_api.cancel(payment.provider_id, reason, party)
    assert send(yookassa_api.notification("payment.canceled", canceled)).status_code == 200
    assert state(payment) == (status, 0)


def test_a_cancellation_that_the_api_does_not_confirm_ends_nothing(yookassa_api, payment):
    # case B24
    claimed = yookassa_api.payments[payment.provider_id] | {"status": "canceled"}
    assert send(yookassa_api.notification("payment.canceled", claimed)).status_code == 503
    assert is_unchanged(payment)


@pytest.mark.parametrize("value", ["25.49", "25.51", "0.25"])
def test_another_amount_credits_nothing_and_alerts(yookassa_api, payment, paid, caplog, value):
    # case B22
    yookassa_api.payments[payment.provider_id]["amount"] = {"value": value, "currency": "RUB"}
    assert send(paid).status_code == 400
    assert is_unchanged(payment)
    assert "payment_mismatch" in caplog.messages


def test_another_currency_credits_nothing_and_alerts(yookassa_api, payment, paid, caplog):
    # case B22
    yookassa_api.payments[payment.provider_id]["amount"] = {"value": "25.50", "currency": "KZT"}
    assert send(paid).status_code == 400
    assert is_unchanged(payment)
    assert "payment_mismatch" in caplog.messages


@pytest.mark.parametrize("foreign", [{"test": False}, {"recipient": {"account_id": "7", "gateway_id": "1"}}])
def test_the_other_mode_and_other_shops_are_rejected_with_an_alert(yookassa_api, payment, paid, caplog, foreign):
    # case B22
    yookassa_api.payments[payment.provider_id] |= foreign
    assert send(paid).status_code == 400
    assert is_unchanged(payment)
    assert "payment_foreign" in caplog.messages


def test_a_payment_that_the_api_does_not_know_is_rejected(yookassa_api, payment, paid):
    yookassa_api.payments.clear()
    assert send(paid).status_code == 400
    assert is_unchanged(payment)


def test_a_payment_of_the_shop_that_is_not_ours_is_rejected_with_an_alert(yookassa_api, payment, caplog):
    # case B22
    yookassa_api.payments["0-other"] = yookassa_api.payments[payment.provider_id] | {"id": "0-other", "metadata": {}}
    body = yookassa_api.notification("payment.succeeded", yookassa_api.pay("0-other"))
    assert send(body).status_code == 400
    assert is_unchanged(payment)
    assert "webhook_foreign" in caplog.messages


@pytest.mark.parametrize("event", ["payment.waiting_for_capture", "payout.succeeded", "deal.closed", "of.the.future"])
def test_other_kinds_are_kept_and_nothing_is_done(yookassa_api, payment, event):
    asked = len(yookassa_api.calls)
    assert send(yookassa_api.notification(event, {"id": "po-285c0ab7"})).status_code == 200
    assert WebhookEvent.objects.get().outcome.startswith("ignored")
    assert len(yookassa_api.calls) == asked
    assert state(payment) == ("pending", 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"{}",
        json.dumps({"event": "payment.succeeded"}).encode(),
        json.dumps({"event": "payment.succeeded", "object": {"id": None}}).encode(),
        json.dumps({"event": "payment.succeeded", "object": {"id": "../me"}}).encode(),
        json.dumps({"event": "payment.succeeded", "object": {"id": "1?x=y"}}).encode(),
        json.dumps({"event": "x" * 101, "object": {"id": "1"}}).encode(),
        json.dumps({"event": "a\0b", "object": {"id": "1"}}).encode(),
    ],
)
def test_a_body_that_is_no_notification_is_rejected_at_once(yookassa_api, payment, body):
    # case B26
    asked, started = len(yookassa_api.calls), time.thread_time()
    response = send(body)
    assert (response.status_code, response.json()) == (400, MALFORMED)
    assert time.thread_time() - started < 1
    assert is_unchanged(payment)
    assert len(yookassa_api.calls) == asked


def test_a_refund_at_yookassa_takes_the_credits_back(yookassa_api, payment, paid):
    send(paid)
    for amount, left in (("10.00", "15.50"), ("15.50", "0.00")):
        refund = yookassa_api.refund(payment.provider_id, amount)
        assert send(yookassa_api.notification("refund.succeeded", refund)).status_code == 200
        assert state(payment)[1] == Decimal(left)
    assert state(payment)[0] == "refunded"


def test_a_refund_that_the_api_does_not_confirm_takes_nothing(yookassa_api, payment, paid):
    # case B24
    send(paid)
    pending = yookassa_api._refund(yookassa_api.payments[payment.provider_id], Decimal(10), "pending")
    body = yookassa_api.notification("refund.succeeded", pending | {"status": "succeeded"})
    assert send(body).status_code == 503
    assert state(payment) == ("succeeded", Decimal("25.50"))
    yookassa_api.settle_refund(pending["id"])
    assert send(body).status_code == 200
    assert state(payment) == ("partly_refunded", Decimal("15.50"))
