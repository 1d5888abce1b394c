"""Usage by hour, day and token: the API, the page and the CSV, from the roll-ups."""

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from accounts import api_tokens
from proxy import usage
from proxy.models import ProxySession, UsageHour
from proxy.rollups import roll_up

pytestmark = pytest.mark.django_db(transaction=True)  # tokens are sold in transactions
NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
MOSCOW = ZoneInfo("Europe/Moscow")


@pytest.fixture(autouse=True)
def _at_noon():
    with time_machine.travel(NOW, tick=False):
        yield


def used(sold, ago, size=1000, requests=2, minutes=30):
    """Create usage in the hour that started `ago` hours ago."""
    hour = NOW.replace(minute=0) - timedelta(hours=ago)
    return UsageHour.objects.create(
        token=sold.token, user=sold.token.user, hour=hour, bytes=size, requests=requests,
        active=timedelta(minutes=minutes),
    )  # fmt: skip


@pytest.fixture
def browser(alice):
    client = Client()
    client.force_login(alice)
    return client


class TestPeriods:
    def test_a_day_is_24_hours(self, alice, alice_token):
        for ago in (0, 23, 24):
            used(alice_token, ago)
        found = usage.usage_of(alice, "day", UTC)
        assert (len(found.series), found.series[0].start, found.start) == (
            24,
            datetime(2026, 3, 9, 13, tzinfo=UTC),
            datetime(2026, 3, 9, 13, tzinfo=UTC),
        )
        assert [bool(row) for row in found.series] == [True] + [False] * 22 + [True]
        assert (found.total.bytes, found.total.requests, found.total.active) == (2000, 4, timedelta(hours=1))

    @pytest.mark.parametrize(("period", "days"), [("week", 7), ("month", 30)])
    def test_days_without_traffic_are_included(self, alice, alice_token, period, days):
        for ago in (0, 1, 24 * (days - 1), 24 * days):
            used(alice_token, ago)
        found = usage.usage_of(alice, period, UTC)
        assert [row.bytes for row in found.series] == [1000] + [0] * (days - 2) + [2000]
        assert found.series[-1].start == datetime(2026, 3, 10, tzinfo=UTC)

    def test_days_begin_in_the_zone(self, alice, alice_token):
        used(alice_token, 15)  # 21:00 UTC of the 9th is 00:00 of the 10th in Moscow
        used(alice_token, 16)
        here, there = usage.usage_of(alice, "week", UTC), usage.usage_of(alice, "week", MOSCOW)
        assert [row.bytes for row in here.series[-2:]] == [2000, 0]
        assert [row.bytes for row in there.series[-2:]] == [1000, 1000]
        assert there.series[-1].start == datetime(2026, 3, 10, tzinfo=MOSCOW)

    # case G78
    def test_a_day_of_25_hours(self, alice, alice_token):
        zone = ZoneInfo("Europe/Berlin")
        with time_machine.travel(datetime(2026, 10, 25, 23, 30, tzinfo=UTC), tick=False):
            # The 25th begins at 22:00 UTC of the 24th and ends at 23:00 UTC.
            for day, hour in ((24, 22), (24, 23), (25, 22), (25, 23)):
                UsageHour.objects.create(
                    token=alice_token.token, user=alice, hour=datetime(2026, 10, day, hour, tzinfo=UTC),
                    bytes=1, requests=1, active=timedelta(),
                )  # fmt: skip
            assert [row.bytes for row in usage.usage_of(alice, "week", zone).series[-2:]] == [3, 1]

    def test_daily_usage_for_the_dashboard(self, alice, alice_token, bob_token):
        used(alice_token, 15)
        used(bob_token, 15)
        with timezone.override(MOSCOW):
            days = usage.daily_usage(alice, 7)
        assert [row.bytes for row in days] == [0] * 6 + [1000]


class TestTokens:
    def test_each_token_and_only_the_users_own(self, alice, alice_token, sold_token, bob_token):
        second = sold_token(alice, 24)
        used(alice_token, 1, size=10)
        used(second, 1, size=5)
        used(second, 2, size=7)
        used(bob_token, 1, size=99)
        found = usage.usage_of(alice, "week", UTC)
        assert [(row.token.pk, row.bytes) for row in found.tokens] == [
            (second.token.pk, 12),
            (alice_token.token.pk, 10),
        ]
        assert found.total.bytes == 22
        only = usage.usage_of(alice, "week", UTC, second.token.pk)
        assert ([row.token.pk for row in only.tokens], only.total.bytes) == ([second.token.pk], 12)
        assert not usage.usage_of(alice, "week", UTC, bob_token.token.pk).total


class TestApi:
    URL = "/api/v1/usage"

    def test_a_week(self, alice_api, alice_token):
        used(alice_token, 1, minutes=20)
        response = alice_api.get(self.URL)
        assert response.status_code == 200
        body = response.json()
        figures = {"bytes": 1000, "requests": 2, "hours": 0.33}
        assert (body["period"], body["time_zone"], body["total"]) == ("week", "UTC", figures)
        assert (body["start"], body["end"]) == ("2026-03-04T00:00:00Z", "2026-03-10T12:30:00Z")
        assert body["series"][-1] == {"start": "2026-03-10T00:00:00Z", **figures}
        assert body["tokens"] == [{"token_id": str(alice_token.token.pk), **figures}]

    def test_the_other_periods_and_one_token(self, alice_api, alice_token, bob_token):
        used(alice_token, 1)
        for period, length in (("day", 24), ("month", 30)):
            body = alice_api.get(self.URL, {"period": period, "token_id": alice_token.token.pk}).json()
            assert (len(body["series"]), body["total"]["bytes"]) == (length, 1000)
        assert alice_api.get(self.URL, {"token_id": bob_token.token.pk}).json()["tokens"] == []

    @pytest.mark.parametrize("query", [{"period": "year"}, {"period": ""}, {"token_id": "x"}])
    def test_bad_queries(self, alice_api, query):
        response = alice_api.get(self.URL, query)
        assert (response.status_code, list(response.json())) == (400, list(query))

    def test_in_the_users_zone(self, alice, alice_api, alice_token):
        alice.time_zone = "Europe/Moscow"
        alice.save(update_fields=["time_zone"])
        used(alice_token, 15)
        body = alice_api.get(self.URL).json()
        assert (body["time_zone"], body["series"][-1]["start"]) == ("Europe/Moscow", "2026-03-09T21:00:00Z")
        assert body["series"][-1]["bytes"] == 1000

    def test_permissions(self, api, alice, alice_token):
        assert api.get(self.URL).status_code == 401
        for scopes, status in ((["read"], 200), (["tokens"], 403)):
            _token, text = api_tokens.create(alice, name="script", scopes=scopes, days=7)
            assert api.get(self.URL, headers={"Authorization": f"Bearer {text}"}).status_code == status

    def test_its_queries_do_not_grow(self, alice, alice_token, django_assert_num_queries):
        for ago in range(200):
            used(alice_token, ago)
        with django_assert_num_queries(3):
            usage.usage_of(alice, "month", UTC)


class TestPage:
    def test_table_figures_and_chart(self, browser, alice_token):
        used(alice_token, 1, size=3 * 2**20, requests=17, minutes=45)
        text = browser.get("/usage").content.decode()
        assert "3.0\xa0MB" in text
        assert "45\xa0min" in text
        assert f'data-value="{3 * 2**20}"' in text
        assert "<canvas" in text
        assert "in your time zone, UTC." in text

    def test_days_in_russian(self, browser, alice_token):
        used(alice_token, 1)
        page = browser.get("/usage", headers={"Accept-Language": "ru"}).content.decode()
        assert "10 марта" in page
        assert "Мар" not in page

    def test_empty(self, browser):
        text = browser.get("/usage?period=nonsense").content.decode()
        assert "No traffic in this period" in text
        assert "<canvas" not in text

    def test_requests_without_data_have_no_chart(self, browser, alice_token):
        used(alice_token, 1, size=0)
        text = browser.get("/usage").content.decode()
        assert "30\xa0min" in text
        assert "<canvas" not in text
        assert "/chart." not in text

    def test_only_when_signed_in(self, client):
        for path in ("/usage", "/usage/usage.csv"):
            assert client.get(path)["Location"].startswith("/accounts/login/?next=/usage")

    def test_csv(self, browser, alice, alice_token):
        alice.time_zone = "Europe/Moscow"
        alice.save(update_fields=["time_zone"])
        used(alice_token, 1)
        response = browser.get("/usage/usage.csv?period=month")
        assert response["Content-Disposition"] == 'attachment; filename="zenzefi-usage-month.csv"'
        rows = list(csv.reader(response.content.decode().splitlines()))
        assert rows[0] == ["start", "bytes", "requests", "hours"]
        assert (len(rows), rows[-1]) == (31, ["2026-03-10T00:00:00+03:00", "1000", "2", "0.50"])


def test_from_a_request_to_the_page(browser, alice, alice_token):
    """Show the traffic of a session on the page after the next run of the job."""
    ProxySession.objects.create(
        token=alice_token.token, user=alice, device_id="device-1", started_at=NOW - timedelta(minutes=6),
        last_activity=NOW, bytes_transferred=2048, request_count=3,
    )  # fmt: skip
    roll_up()
    text = browser.get("/usage?period=day").content.decode()
    assert "2.0\xa0KB" in text
    assert "6\xa0min" in text
    assert usage.usage_of(alice, "day", UTC).total.hours == float(Decimal("0.1"))
