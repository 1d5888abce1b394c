"""Amounts that the API accepts and rejects."""

import pytest

from billing import ledger
from billing.models import Payment

MOCK, PURCHASE = "/api/v1/currency/mock-purchase", "/api/v1/currency/purchase"
NOT_A_NUMBER = "A JSON number is expected, such as 18 or 18.50."
BOUNDS = "The number must be from 0.01 to 100000."
DECIMALS = "At most two decimals are allowed."
NOT_JSON = "The request body is not valid JSON."


def send(client, url, raw):
    return client.post(url, f'{{"amount": {raw}}}', content_type="application/json")


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("-1", BOUNDS),
        ("0", BOUNDS),
        ("0.00", BOUNDS),
        ("0.001", BOUNDS),
        ("0.015", DECIMALS),
        ("17.999", DECIMALS),
        ("100000.01", BOUNDS),
        ("1234567890123456789", BOUNDS),
        ("1e400", BOUNDS),
        ("1e-400", BOUNDS),
        ("9" * 4000, BOUNDS),
        ('"10"', NOT_A_NUMBER),
        ('"1e3"', NOT_A_NUMBER),
        ("true", NOT_A_NUMBER),
        ("[10]", NOT_A_NUMBER),
        ('{"a": 1}', NOT_A_NUMBER),
        ("null", "This field may not be null."),
    ],
)
@pytest.mark.parametrize("url", [MOCK, PURCHASE])
def test_an_invalid_amount_is_rejected(alice, alice_api, url, raw, sentence):
    # case A14
    response = send(alice_api, url, raw)
    assert response.status_code == 400
    assert response.json() == {"amount": [sentence]}
    assert ledger.balance(alice) == 0
    assert not Payment.objects.exists()


@pytest.mark.parametrize(
    "raw", ["NaN", "Infinity", "-Infinity", "1e99999999999999999999", "9" * 5000, "01", "1,5", ""]
)
def test_a_value_that_is_no_json_number_is_rejected(alice, alice_api, raw):
    # case A14
    response = send(alice_api, MOCK, raw)
    assert response.status_code == 400
    assert response.json() == {"detail": NOT_JSON, "code": "parse_error"}
    assert ledger.balance(alice) == 0


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("18", "18.00"),
        ("18.0", "18.00"),
        ("18.500", "18.50"),
        ("0.01", "0.01"),
        ("1e3", "1000.00"),
        ("100000", "100000.00"),
        ("0.30", "0.30"),
    ],
)
def test_an_amount_is_credited_and_shown_exactly(alice, alice_api, raw, shown):
    # case A14: the number in the response is read as text
    response = send(alice_api, MOCK, raw)
    assert response.status_code == 200
    assert f'"amount":{shown},"new_balance":{shown}' in response.content.decode()
    assert str(ledger.balance(alice)) == shown


def test_a_tenth_and_two_tenths_are_three_tenths(alice, alice_api):
    # case A14
    send(alice_api, MOCK, "0.1")
    send(alice_api, MOCK, "0.2")
    assert alice_api.get("/api/v1/currency/balance").content == b'{"balance":0.30,"currency":"ZNC"}'


def test_the_limit_is_a_setting(alice_api, settings):
    settings.MAX_DEPOSIT = 50
    assert send(alice_api, MOCK, "50").status_code == 200
    response = send(alice_api, MOCK, "50.01")
    assert (response.status_code, response.json()) == (400, {"amount": ["The number must be from 0.01 to 50."]})


@pytest.mark.parametrize("body", ["{}", "[]", '"x"', "5", "null", "", "[" * 10_000, '{"amount": 5', "\xff"])
def test_a_body_without_an_amount_is_rejected(alice, alice_api, body):
    response = alice_api.post(MOCK, body, content_type="application/json")
    assert response.status_code == 400
    assert response.json()
    assert ledger.balance(alice) == 0
