"""The dashboard: balance, tokens, traffic, transactions and notices."""

import html
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db.models import F
from django.test import Client
from django.utils import timezone

from access import services
from access.models import AccessToken, Scope
from accounts import email_addresses
from accounts.models import User
from billing.debts import take_back
from billing.idempotency import Call
from conftest import fund
from proxy.models import ProxySession
from proxy.rollups import roll_up

URL = "/dashboard"


@pytest.fixture(autouse=True)
def _alice_is_signed_in(client: Client, alice: User) -> None:
    client.force_login(alice)
    email_addresses.mark_confirmed(alice)


def text(client: Client) -> str:
    response = client.get(URL)
    assert response.status_code == 200
    return html.unescape(response.content.decode()).replace("\u00a0", " ")


def bought(user: User, hours: int = 24) -> AccessToken:
    fund(user, django_settings.TOKEN_PRICES[hours])
    return services.purchase(Call(user, "test", key="", body=None), hours, Scope.FULL)


def notices(client: Client) -> list[tuple[str, str]]:
    return [(notice.text.replace("\u00a0", " "), notice.url) for notice in client.get(URL).context["notices"]]


def test_a_customer_whose_tokens_have_ended(client: Client, alice: User) -> None:
    services.revoke_with_refund(Call(alice, "revoke", key="", body=None), bought(alice).pk)
    page = text(client)
    assert "All your tokens have expired or were revoked." in page
    assert "No tokens yet" not in page


def test_a_new_customer(client: Client) -> None:
    page = text(client)
    for words in ("0.00 ZNC", "No tokens yet", "No transactions yet", "Nothing yet."):
        assert words in page
    assert "chart.umd" not in page
    assert notices(client) == []


def test_balance_tokens_and_traffic(client: Client, alice: User, bob: User) -> None:
    token = bought(alice)
    fund(alice, 7)
    bought(bob)
    now = timezone.now()
    ProxySession.objects.create(
        token=token, user=alice, device_id="alice-laptop-41", started_at=now, last_activity=now,
        bytes_transferred=3 * 2**20, request_count=12,
    )  # fmt: skip
    roll_up()
    page = text(client)
    for words in ("7.00 ZNC", "In use by device …41", "Time left", "3.0 MB", "−18.00 ZNC", "+7.00 ZNC"):
        assert words in page
    assert "alice-laptop" not in page
    assert page.count("/extend") == 1
    assert re.findall(r'<tr data-value="(\d+)">', page) == ["0"] * 6 + [str(3 * 2**20)]


def test_the_last_five_transactions(client: Client, alice: User) -> None:
    for amount in range(1, 7):
        fund(alice, amount)
    page = text(client)
    assert "+6.00 ZNC" in page
    assert "+1.00 ZNC" not in page


class TestNotices:
    def test_a_debt(self, client: Client, alice: User) -> None:
        bought(alice)
        take_back(alice, Decimal(5), "Money went back")
        assert notices(client) == [
            ("You owe 5.00 ZNC. Your tokens are frozen until you pay it.", "/topup?amount=5.00")
        ]
        assert "frozen" in text(client)

    def test_an_unconfirmed_address(self, client: Client, alice: User) -> None:
        alice.emailaddress_set.update(verified=False)
        ((sentence, url),) = notices(client)
        assert "not confirmed yet" in sentence
        assert url == "/accounts/email/"

    def test_maintenance(self, client: Client, settings: Any) -> None:
        settings.MAINTENANCE = True
        assert "Maintenance" in notices(client)[0][0]

    def test_a_token_that_expires_within_a_day(self, client: Client, alice: User) -> None:
        token = bought(alice, 168)
        bought(alice, 12)  # was bought for less than a day
        assert notices(client) == []
        late = timedelta(hours=150)
        AccessToken.objects.filter(pk=token.pk).update(
            created_at=F("created_at") - late, expires_at=F("expires_at") - late
        )
        assert notices(client) == [("Your token for 7 days expires within a day.", f"/tokens/{token.pk}/extend")]


def test_it_needs_a_login(client: Client) -> None:
    client.logout()
    assert client.get(URL)["Location"] == "/accounts/login/?next=/dashboard"
