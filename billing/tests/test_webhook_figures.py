"""Metrics of webhooks. A rejected webhook leaves a log line and nothing else."""

import pytest
from django.test import Client
from rest_framework.test import APIClient

from billing.models import PaymentTransition, WebhookEvent
from billing.providers import mock
from billing.tests.support import provider_outages
from billing.tests.support.mock_provider import URL, at_provider, send, set_status


def counted():
    """Return the counts by provider and outcome."""
    prefix = "zenzefi_webhooks_total{"
    lines = [line for line in Client().get("/metrics").content.decode().splitlines() if line.startswith(prefix)]
    figures = {}
    for line in lines:
        labels, value = line.removeprefix(prefix).split("} ")
        facts = dict(label.split("=") for label in labels.split(","))
        figures[facts["provider"].strip('"'), facts["outcome"].strip('"')] = float(value)
    return figures


@pytest.fixture
def risen():
    """Return the counts that have grown since the test began."""
    before = counted()
    return lambda: {
        key: value - before.get(key, 0) for key, value in counted().items() if value != before.get(key, 0)
    }


def test_accepted_ones_are_counted_by_outcome(payment, risen):
    body = set_status(payment, "succeeded")
    for _ in range(2):
        send(body)
    send(mock.event_body(payment.pk, "payment.succeeded"))
    assert risen() == {("mock", "succeeded"): 1, ("mock", "replayed"): 1, ("mock", "ignored"): 1}


@pytest.mark.parametrize(
    ("url", "body", "label"),
    [
        (URL, b"{}", ("mock", "webhook_refused")),
        (URL, b"x" * 100_000, ("mock", "payload_too_large")),
        (URL.replace("mock", "stripe"), b"{}", ("stripe", "payments_unavailable")),
        (URL.replace("mock", "paypal"), b"{}", ("unknown", "payments_unavailable")),
        (URL.replace("mock", "x" * 5000), b"{}", ("unknown", "payments_unavailable")),
    ],
)
def test_a_rejected_webhook_is_logged_and_counted(payment, risen, caplog, url, body, label):
    response = APIClient().post(
        url, body, content_type="application/json", headers={mock.SIGNATURE_HEADER: "t=1,v1=0"}
    )
    assert 400 <= response.status_code < 500
    assert risen() == {label: 1}
    assert [record.message for record in caplog.records if record.name == "billing.webhooks"] == ["webhook_refused"]
    assert not WebhookEvent.objects.exists()
    assert PaymentTransition.objects.count() == 2  # created, then pending


def test_a_mismatch_too(payment, risen):
    # case B22
    body = set_status(payment, "succeeded")
    at_provider(payment, currency="USD")
    assert send(body).status_code == 400
    assert risen() == {("mock", "webhook_refused"): 1}
    assert not WebhookEvent.objects.exists()


def test_if_the_state_cannot_be_fetched_the_provider_must_send_again(payment, monkeypatch, risen):
    # case B24: the API does not respond, and a retry works
    body = set_status(payment, "succeeded")
    provider_outages.take_down(monkeypatch, "fetch")
    response = send(body)
    assert (response.status_code, response.json()["code"]) == (503, "webhook_not_ready")
    assert not WebhookEvent.objects.exists()
    monkeypatch.undo()
    assert send(body).status_code == 200
    assert risen() == {("mock", "webhook_not_ready"): 1, ("mock", "succeeded"): 1}
