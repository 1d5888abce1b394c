"""`GET /currency/balance` and `GET /currency/transactions`."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine

from billing import ledger, selectors
from billing.models import SystemAccount, Transaction, TransactionType
from conftest import fund

BALANCE, HISTORY = "/api/v1/currency/balance", "/api/v1/currency/transactions"
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def moved(alice, bob):
    """Fund Alice with 10.10 − 3.05 + 1 ZNC in three movements, a minute apart, and Bob with 77."""
    movements = [
        ("10.10", SystemAccount.DEPOSITS, TransactionType.DEPOSIT, "top-up"),
        ("-3.05", SystemAccount.REVENUE, TransactionType.PURCHASE, "token"),
        ("1", SystemAccount.PROMOTIONS, TransactionType.BONUS, "gift"),
    ]
    for minute, (amount, counterpart, kind, description) in enumerate(movements):
        with time_machine.travel(START + timedelta(minutes=minute), tick=False):
            ledger.move(alice, Decimal(amount), counterpart, kind, description)
    fund(bob, 77)


def test_the_balance(alice_api, moved):
    response = alice_api.get(BALANCE)
    assert (response.status_code, response.json()) == (200, {"balance": 8.05, "currency": "ZNC"})


def test_a_new_user_has_nothing(alice_api):
    assert alice_api.get(BALANCE).json() == {"balance": 0.0, "currency": "ZNC"}
    assert alice_api.get(HISTORY).json() == {"items": [], "total": 0, "limit": 20, "offset": 0}


@pytest.mark.parametrize("url", [BALANCE, HISTORY])
def test_it_needs_a_jwt(api, db, url):
    response = api.get(url)
    assert response.status_code == 401
    assert set(response.json()) == {"detail", "code"}


def test_the_history_is_signed_and_newest_first(alice_api, moved):
    ids = dict(Transaction.objects.values_list("description", "id"))
    response = alice_api.get(HISTORY)

    assert response.status_code == 200
    assert response.json() == {
        "items": [
            {
                "id": str(ids["gift"]),
                "amount": 1.0,
                "transaction_type": "bonus",
                "description": "gift",
                "created_at": "2026-03-01T12:02:00Z",
            },
            {
                "id": str(ids["token"]),
                "amount": -3.05,
                "transaction_type": "purchase",
                "description": "token",
                "created_at": "2026-03-01T12:01:00Z",
            },
            {
                "id": str(ids["top-up"]),
                "amount": 10.1,
                "transaction_type": "deposit",
                "description": "top-up",
                "created_at": "2026-03-01T12:00:00Z",
            },
        ],
        "total": 3,
        "limit": 20,
        "offset": 0,
    }


@pytest.mark.parametrize(
    ("query", "descriptions", "total"),
    [
        ("limit=1", ["gift"], 3),
        ("limit=1&offset=1", ["token"], 3),
        ("skip=2", ["top-up"], 3),
        ("offset=9", [], 3),
        ("limit=1000", ["gift", "token", "top-up"], 3),
        ("transaction_type=purchase", ["token"], 1),
        ("transaction_type=deposit", ["top-up"], 1),
        ("transaction_type=refund", [], 0),
        ("transaction_type=", ["gift", "token", "top-up"], 3),
    ],
)
def test_pages_and_types(alice_api, moved, query, descriptions, total):
    response = alice_api.get(f"{HISTORY}?{query}").json()
    assert [item["description"] for item in response["items"]] == descriptions
    assert response["total"] == total


@pytest.mark.parametrize("kind", ["theft", "Purchase", "%00", "deposit,bonus"])
def test_an_unknown_type_is_rejected(alice_api, moved, kind):
    response = alice_api.get(f"{HISTORY}?transaction_type={kind}")
    assert response.status_code == 400
    assert list(response.json()) == ["transaction_type"]


@pytest.mark.parametrize("query", ["limit=-1", "offset=x", "skip=1.5", "limit=%00"])
def test_a_malformed_page_is_rejected(alice_api, query):
    response = alice_api.get(f"{HISTORY}?{query}")
    assert response.status_code == 400
    assert list(response.json()) == [query.split("=")[0]]


def test_a_page_takes_the_same_queries_however_long_it_is(alice, alice_api, django_assert_num_queries):
    for _ in range(30):
        fund(alice, 1)
    with django_assert_num_queries(3):  # the user of the JWT, the count, the page
        assert len(alice_api.get(f"{HISTORY}?limit=100").json()["items"]) == 30


def test_the_history_is_read_by_index(alice):
    plan = selectors.history(alice).explain().lower()
    assert "index" in plan
    assert "scan billing_entry" not in plan
