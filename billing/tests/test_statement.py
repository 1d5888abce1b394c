"""`GET /currency/statement`: the movements of a period between two balances."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode

import pytest
import time_machine

from billing import ledger, statement_csv, statements
from billing.api import statements as view
from billing.models import Entry, SystemAccount, TransactionType
from billing.tests.support.parallel import in_parallel
from conftest import fund
from zenzefi.common import download

URL = "/api/v1/currency/statement"
MARCH = {"from": "2026-03-01", "to": "2026-03-31"}
COLUMNS = ["created_at", "id", "transaction_type", "description", "amount", "balance_after"]


def move(user, moment, amount, description="moved"):
    with time_machine.travel(datetime.fromisoformat(moment), tick=False):
        ledger.move(user, Decimal(amount), SystemAccount.ADJUSTMENTS, TransactionType.ADJUSTMENT, description)


@pytest.fixture
def moved(alice, bob):
    """Create movements before March, at its first instant, within it, at its last instant and after it."""
    for moment, amount in [
        ("2026-02-28T23:59:59.999999+00:00", "10"),
        ("2026-03-01T00:00:00+00:00", "-1.50"),
        ("2026-03-15T12:00:00+00:00", "4.25"),
        ("2026-03-31T23:59:59.999999+00:00", "-2"),
        ("2026-04-01T00:00:00+00:00", "100"),
    ]:
        move(alice, moment, amount)
    move(bob, "2026-03-15T12:00:00+00:00", "77")


def get(api, **query):
    return api.get(f"{URL}?{urlencode(query)}")


def rows(response):
    return list(csv.reader(io.StringIO(response.getvalue().decode("utf-8"), newline="")))


def test_a_month(alice_api, moved):
    ids = {str(entry.amount): str(entry.transaction_id) for entry in Entry.objects.all()}
    response = get(alice_api, **MARCH)
    assert response.status_code == 200

    def item(created_at, amount, balance_after, key):
        return {
            "created_at": created_at,
            "id": ids[key],
            "transaction_type": "adjustment",
            "description": "moved",
            "amount": amount,
            "balance_after": balance_after,
        }

    assert response.json() == {
        "from": "2026-03-01T00:00:00Z",
        "to": "2026-04-01T00:00:00Z",
        "currency": "ZNC",
        "opening_balance": 10.0,
        "closing_balance": 10.75,
        "total_in": 4.25,
        "total_out": 3.5,
        "items": [
            item("2026-03-01T00:00:00Z", -1.5, 8.5, "-1.50"),
            item("2026-03-15T12:00:00Z", 4.25, 12.75, "4.25"),
            item("2026-03-31T23:59:59.999999Z", -2.0, 10.75, "-2.00"),
        ],
    }


def test_its_own_bounds_give_the_same_statement_again(alice_api, moved):
    response = get(alice_api, **MARCH).json()
    assert get(alice_api, **{"from": response["from"], "to": response["to"]}).json() == response


@pytest.mark.parametrize(
    ("period", "amounts"),
    [
        ({"from": "2026-03-15", "to": "2026-03-15"}, [4.25]),
        ({"from": "2026-03-15T12:00:00Z", "to": "2026-03-15T12:00:00.000001Z"}, [4.25]),
        ({"from": "2026-03-15T00:00:00Z", "to": "2026-03-15T12:00:00Z"}, []),
        ({"from": "2026-03-15T14:00:00+02:00", "to": "2026-03-15T14:00:01+02:00"}, [4.25]),
        ({"from": "2026-03-15T12:00:00", "to": "2026-03-15"}, [4.25]),
        ({"from": "2025-05-01", "to": "2026-05-01"}, [10, -1.5, 4.25, -2, 100]),
        ({"from": "2027-01-01", "to": "2027-12-31"}, []),
    ],
)
def test_days_are_included_and_instants_end_before(alice_api, moved, period, amounts):
    response = get(alice_api, **period).json()
    assert [item["amount"] for item in response["items"]] == amounts


def test_a_new_user(alice_api):
    response = get(alice_api, **MARCH).json()
    balances = [response[name] for name in ("opening_balance", "closing_balance", "total_in", "total_out")]
    assert (balances, response["items"]) == ([0, 0, 0, 0], [])


def test_as_csv(alice_api, moved):
    response = get(alice_api, **MARCH, format="csv")
    assert response.status_code == 200
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="zenzefi-statement-2026-03-01-2026-03-31.csv"'
    items = get(alice_api, **MARCH).json()["items"]
    begin, end = "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"
    got = rows(response)
    assert got == [
        COLUMNS,
        [begin, "", "opening_balance", "", "", "10.00"],
        [items[0]["created_at"], items[0]["id"], "adjustment", "moved", "-1.50", "8.50"],
        [items[1]["created_at"], items[1]["id"], "adjustment", "moved", "4.25", "12.75"],
        [items[2]["created_at"], items[2]["id"], "adjustment", "moved", "-2.00", "10.75"],
        [end, "", "total_in", "", "4.25", ""],
        [end, "", "total_out", "", "-3.50", ""],
        [end, "", "closing_balance", "", "", "10.75"],
    ]
    assert sum(Decimal(row[4] or 0) for row in got[2:-3]) == Decimal("10.75") - Decimal("10.00")


@pytest.mark.parametrize(
    ("description", "cell"),
    [
        ('=HYPERLINK("http://evil")', '\'=HYPERLINK("http://evil")'),
        ("+1", "'+1"),
        ("-1+1", "'-1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\t=1", "'\t=1"),
        ("\n=1", "'\n=1"),
        ("＝1", "'＝1"),
        ('Возврат: 24 ч, "full"; 1,5', 'Возврат: 24 ч, "full"; 1,5'),
        ("two\r\nlines", "two\r\nlines"),
    ],
)
def test_a_description_is_no_formula(alice, alice_api, description, cell):
    move(alice, "2026-03-15T12:00:00+00:00", 1, description)
    assert rows(get(alice_api, **MARCH, format="csv"))[2][3] == cell
    assert get(alice_api, **MARCH).json()["items"][0]["description"] == description


BAD_MOMENTS = ["", "yesterday", "2026-02-30", "2026-13-01", "2026-03-01T25:00:00Z", "1", "2026-03-01T12:00:00 02:00"]
BAD_PERIODS = [
    *[({"from": moment, "to": "2026-03-31"}, "from") for moment in BAD_MOMENTS],
    *[({"from": "2026-03-01", "to": moment}, "to") for moment in BAD_MOMENTS],
    ({"to": "2026-03-31"}, "from"),
    ({"from": "2026-03-01"}, "to"),
    ({"from": "2026-03-02", "to": "2026-03-01"}, "to"),
    ({"from": "2026-03-01T12:00:00Z", "to": "2026-03-01T12:00:00Z"}, "to"),
    ({"from": "2026-01-01", "to": "2027-01-02"}, "to"),
    ({"from": "0001-01-01", "to": "9999-12-30"}, "to"),
    ({"from": "2026-03-01", "to": "9999-12-31"}, "to"),
    ({"from": "0001-01-01T00:00:00+14:00", "to": "2026-03-31"}, "from"),
    ({**MARCH, "format": "xml"}, "format"),
    ({**MARCH, "format": "api"}, "format"),
]


@pytest.mark.parametrize(("query", "field"), BAD_PERIODS)
def test_an_invalid_period_is_rejected(alice_api, query, field):
    response = get(alice_api, **query)
    assert response.status_code == 400
    assert list(response.json()) == [field]


def test_a_leap_year_is_the_longest(alice_api):
    assert get(alice_api, **{"from": "2028-01-01", "to": "2028-12-31"}).status_code == 200
    rejected = get(alice_api, **{"from": "2028-01-01", "to": "2029-01-01"})
    assert rejected.json() == {
        "to": ["A statement covers at most 366 days. Request several statements for a longer period."]
    }


def test_a_very_long_response_is_for_csv_alone(alice_api, moved, monkeypatch):
    monkeypatch.setattr(view, "MAX_ITEMS", 2)
    rejected = get(alice_api, **MARCH)
    assert (rejected.status_code, list(rejected.json())) == (400, ["format"])
    assert "3 movements, but JSON returns at most 2." in rejected.json()["format"][0]
    assert len(rows(get(alice_api, **MARCH, format="csv"))) == 8


@pytest.fixture(params=[1, 2**20], ids=["file", "memory"])
def in_blocks(alice, moved, monkeypatch, request):
    monkeypatch.setattr(download, "_IN_MEMORY", request.param)
    monkeypatch.setattr(download, "_BLOCK", 100)
    with statements.statement(alice, datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)) as found:
        response = statement_csv.csv_response(found)
    yield response
    response.close()


async def test_under_asgi_it_comes_in_blocks(in_blocks):
    blocks = [block async for block in in_blocks]
    assert {len(block) for block in blocks[:-1]} == {100}
    assert len(b"".join(blocks)) == int(in_blocks["Content-Length"]) > 500
    assert b"".join(blocks).endswith(b"closing_balance,,,10.75\r\n")


@pytest.mark.parametrize("form", ["json", "csv"])
def test_it_needs_a_jwt(api, db, form):
    response = get(api, **MARCH, format=form)
    assert response.status_code == 401
    assert set(response.json()) == {"detail", "code"}


@pytest.mark.django_db(transaction=True)
def test_a_movement_while_it_is_read_does_not_break_it(alice):
    start = datetime.now(UTC) - timedelta(hours=1)
    fund(alice, 1)
    with statements.statement(alice, start, start + timedelta(days=1)) as found:
        in_parallel(1, lambda _number: fund(alice, 5))
        lines = list(found.lines())
    assert [line.balance_after for line in lines] == [found.closing_balance] == [1]
