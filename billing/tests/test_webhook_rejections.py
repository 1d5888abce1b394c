"""Rejected webhooks: forged, stale, malformed, too large, or from an unknown provider."""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from billing.providers import mock
from billing.tests.support.mock_provider import URL, is_unchanged, send, set_status, state

FORGED = {"detail": "This message is not signed by the payment provider.", "code": "webhook_refused"}
MALFORMED = {"detail": "This message is not a valid event of the payment provider.", "code": "webhook_refused"}


def _altered(headers, old, new):
    return {mock.SIGNATURE_HEADER: headers[mock.SIGNATURE_HEADER].replace(old, new)}


@pytest.mark.parametrize(
    "forge",
    [
        lambda headers: {},
        lambda headers: {mock.SIGNATURE_HEADER: ""},
        lambda headers: {mock.SIGNATURE_HEADER: "t=1,v1="},
        lambda headers: {mock.SIGNATURE_HEADER: "подпись"},
        lambda headers: {mock.SIGNATURE_HEADER: "t=" + "9" * 5000 + ",v1=" + "0" * 64},
        lambda headers: _altered(headers, "v1=", "v0="),
        lambda headers: {mock.SIGNATURE_HEADER: headers[mock.SIGNATURE_HEADER][:-4] + "0000"},
        lambda headers: _altered(headers, f"t={int(time.time())}", f"t={int(time.time()) - 1}"),
    ],
)
@time_machine.travel(timezone.now(), tick=False)
def test_a_forged_signature_is_rejected(payment, forge):
    body = set_status(payment, "succeeded")
    response = send(body, forge(mock.signed(body)))
    assert (response.status_code, response.json()) == (400, FORGED)
    assert is_unchanged(payment)


def test_an_altered_body_is_rejected(payment):
    body = set_status(payment, "succeeded")
    headers = mock.signed(body)
    for altered in (
        body.replace(b"succeeded", b"refunded"),
        body + b" ",
        json.dumps(json.loads(body), indent=1).encode(),
        b"",
    ):
        response = send(altered, headers)
        assert (response.status_code, response.json()) == (400, FORGED)
    assert is_unchanged(payment)


def test_another_secret_key_signs_nothing(payment, settings):
    body = set_status(payment, "succeeded")
    headers = mock.signed(body)
    settings.SECRET_KEY = "another-secret-key-of-at-least-fifty-characters-in-all"
    assert send(body, headers).status_code == 400
    assert is_unchanged(payment)


@pytest.mark.parametrize(("age", "status"), [(299, 200), (301, 400), (-299, 200), (-301, 400)])
def test_a_signature_is_good_for_five_minutes_both_ways(payment, age, status):
    now = timezone.now().replace(microsecond=0)
    body = set_status(payment, "succeeded")
    with time_machine.travel(now - timedelta(seconds=age), tick=False):
        headers = mock.signed(body)
    with time_machine.travel(now, tick=False):
        response = send(body, headers)
    assert response.status_code == status
    assert is_unchanged(payment) == (status == 400)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"[" * 20_000,
        b'{"id": 5, "type": [], "payment_id": {}}',
        b'{"id": "\\u0000", "type": "payment.invented", "payment_id": "x"}',
    ],
)
def test_a_signed_message_that_is_no_event_is_rejected(payment, body):
    # case B26
    response = send(body)
    assert (response.status_code, response.json()) == (400, MALFORMED)
    assert is_unchanged(payment)


@pytest.mark.parametrize("body", [b"x" * 10_000_000, b"[" * 100_000])
def test_a_large_body_is_rejected_fast(payment, body):
    # case B26
    began = time.perf_counter()
    response = send(body)
    assert (response.status_code, response.json()) == (
        413,
        {"detail": "The message is too large. The limit is 64 KiB.", "code": "payload_too_large"},
    )
    assert time.perf_counter() - began < 1
    assert is_unchanged(payment)


def test_the_largest_body_is_read(payment):
    body = set_status(payment, "succeeded")
    assert send(body + b" " * (64 * 1024 - len(body))).status_code == 200


@pytest.mark.parametrize("provider", ["stripe", "MOCK", "mock%00", "%20", "a%2Fb"])
def test_an_unknown_provider_is_not_found(db, provider):
    response = APIClient().post(f"/api/v1/currency/webhooks/{provider}", {})
    assert response.status_code == 404
    assert set(response.json()) == {"detail", "code"}


def test_the_mock_provider_is_unknown_if_it_is_not_configured(payment, settings):
    settings.PAYMENT_PROVIDERS = ()
    assert send(set_status(payment, "succeeded")).status_code == 404
    assert is_unchanged(payment)


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_the_content_type_does_not_matter(payment, content_type):
    body = set_status(payment, "succeeded")
    response = APIClient().generic("POST", URL, body, content_type=content_type, headers=mock.signed(body))
    assert response.status_code == 200
    assert state(payment)[0] == "succeeded"


def test_production_rejects_the_mock_provider():
    # case B27
    environment = os.environ | {
        "ENVIRONMENT": "production",
        "PAYMENT_PROVIDER": "mock",
        "SECRET_KEY": "s" * 60,
        "TOKEN_ENCRYPTION_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        "DATABASE_URL": "postgres://nobody@127.0.0.1/nowhere",
        "ZENZEFI_TARGET_URL": "http://127.0.0.1:1",
    }
    started = subprocess.run(
        [sys.executable, "-c", "import zenzefi.settings"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode == 1
    assert "gives credits away" in started.stderr
