"""The pages of transactions, statements and payments."""

import csv
import html
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import time_machine

from billing import ledger
from billing.models import SystemAccount, TransactionType
from billing.tests.support.mock_provider import create_pending_payment, paid, send, set_status
from conftest import fund


@pytest.fixture(autouse=True)
def _alice_is_signed_in(client, alice):
    client.force_login(alice)


def text(client, url):
    response = client.get(url)
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def moved(user, amount, kind, description="something"):
    move = ledger.move(user, Decimal(amount), SystemAccount.REVENUE, kind, description)
    return move.transaction


class TestTransactions:
    def test_shows_ones_own_with_their_receipts(self, client, alice, bob):
        payment = paid(alice)
        moved(alice, "-18", TransactionType.PURCHASE, "Access token: 24 hours, full access")
        fund(bob, 77)
        page = text(client, "/transactions")
        assert "+25.50\u00a0ZNC" in page
        assert "−18.00\u00a0ZNC" in page
        assert f"/billing/receipt/{payment.pk}" in page
        assert "77.00" not in page

    def test_by_type(self, client, alice):
        fund(alice, 100)
        moved(alice, "-18", TransactionType.PURCHASE)
        page = text(client, "/transactions?type=purchase")
        assert "−18.00" in page
        assert "+100.00" not in page

    def test_by_days_of_the_users_time_zone(self, client, alice):
        alice.time_zone = "Asia/Tokyo"
        alice.save()
        with time_machine.travel(
            datetime(2026, 3, 1, 15, 30, tzinfo=UTC), tick=False
        ):  # 00:30 on March 2 in that zone
            moved(alice, "5", TransactionType.BONUS)
        assert "+5.00" in text(client, "/transactions?since=2026-03-02&until=2026-03-02")
        for elsewhere in ("since=2026-03-03", "until=2026-03-01"):
            assert "Nothing in this period" in text(client, f"/transactions?{elsewhere}")

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("type=gift", "type"),
            ("since=yesterday", "since"),
            ("since=0001-01-01", "since"),
            ("until=9999-12-31", "until"),
            ("since=2026-03-02&until=2026-03-01", "until"),
        ],
    )
    def test_a_wrong_filter_is_named(self, client, alice, query, field):
        fund(alice, 100)
        for url in ("/transactions", "/transactions/statement.csv"):
            response = client.get(f"{url}?{query}")
            assert response.status_code == 400
            assert response.context["form"].errors.keys() == {field}
            assert "+100.00" in response.content.decode()

    def test_by_pages(self, client, alice):
        for _number in range(21):
            moved(alice, "1", TransactionType.BONUS)
        fund(alice, 5)  # the newest
        assert "+5.00" in text(client, "/transactions?type=&page=1")
        assert "+5.00" not in text(client, "/transactions?type=&page=2")
        assert "Page 2 of 2" in text(client, "/transactions?page=99")

    def test_none_yet(self, client):
        assert "No transactions yet" in text(client, "/transactions")


class TestTheStatement:
    def test_is_the_apis(self, client, alice):
        fund(alice, 100)
        response = client.get("/transactions/statement.csv")
        rows = list(csv.reader(io.StringIO(b"".join(response.streaming_content).decode())))
        assert response["Content-Type"].startswith("text/csv")
        assert [row[2] for row in rows][:4] == ["transaction_type", "opening_balance", "deposit", "total_in"]
        assert rows[-1][-1] == "100.00"

    def test_begins_and_ends_with_days_of_the_users_time_zone(self, client, alice):
        alice.time_zone = "Asia/Tokyo"
        alice.save()
        response = client.get("/transactions/statement.csv?since=2026-03-01&until=2026-03-31")
        rows = list(csv.reader(io.StringIO(b"".join(response.streaming_content).decode())))
        assert (rows[1][0], rows[-1][0]) == ("2026-02-28T15:00:00Z", "2026-03-31T15:00:00Z")

    def test_covers_a_year_at_most(self, client):
        response = client.get("/transactions/statement.csv?since=2024-01-01&until=2026-01-01")
        assert response.status_code == 400
        assert "at most 366 days" in response.content.decode()


class TestPayments:
    def test_shows_ones_own_and_goes_on_with_open_ones(self, client, alice, bob):
        done, waiting, foreign = (
            paid(alice, "10"),
            create_pending_payment(alice, "20"),
            create_pending_payment(bob, "30"),
        )
        declined = create_pending_payment(alice, "40")
        send(set_status(declined, "failed"))
        page = text(client, "/payments")
        assert f"/billing/receipt/{done.pk}" in page
        assert waiting.payment_url in page
        assert f"/billing/return/{declined.pk}" in page
        assert foreign.payment_url not in page

    def test_none_yet(self, client):
        assert "No payments yet" in text(client, "/payments")


@pytest.mark.parametrize("url", ["/transactions", "/transactions/statement.csv", "/payments"])
def test_they_need_a_login(client, url):
    client.logout()
    assert client.get(url)["Location"].startswith("/accounts/login/")
