"""A tariff that an operator changes while the page that sells it is open: the page's price is the limit."""

import re
import uuid
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.test import Client

from access.models import AccessToken, Tariff, TokenSegment
from access.tests.support.tokens import Buy
from accounts.models import User
from billing import ledger
from conftest import fund

SHOWN = re.compile(r'name="price_(\d+)"\s+value="([\d.]+)"')


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    fund(alice, "100")
    return client


@pytest.mark.parametrize("page", ["buy", "extend"])
@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize(
    ("change", "paid"),
    [
        (lambda tariffs: tariffs.update(price=Decimal("18.01")), None),
        (lambda tariffs: tariffs.delete(), None),
        (lambda tariffs: tariffs.update(price=Decimal("17.99")), "17.99"),
        (lambda tariffs: None, "18.00"),
    ],
    ids=["dearer", "gone", "cheaper", "the same"],
)
def test_never_more_than_the_page_showed(
    as_alice: Client, alice: User, buy: Buy, page: str, language: str, change: Callable[..., object], paid: str | None
) -> None:
    url = f"/tokens/{buy(alice).pk}/extend" if page == "extend" else "/tokens/buy"
    before, sold = ledger.balance(alice), TokenSegment.objects.count()
    shown = dict(SHOWN.findall(as_alice.get(url, headers={"Accept-Language": language}).text))
    assert shown["24"] == "18.00"
    change(Tariff.objects.filter(duration_hours=24, scope="full"))

    form = {f"price_{hours}": price for hours, price in shown.items()}
    form |= {"key": str(uuid.uuid4()), "duration_hours": "24", "scope": "full"}
    response = as_alice.post(url, form)

    assert ledger.balance(alice) == before - Decimal(paid or 0)
    assert TokenSegment.objects.count() == sold + bool(paid)
    assert (response.status_code == 302) == (paid is not None or (page == "extend" and "18.01" not in response.text))
    if "18.01" in response.text:
        assert "The price has changed." in response.text
        again = as_alice.post(url, form | {"price_24": "18.01"})
        assert again.status_code == 302
        assert ledger.balance(alice) == before - Decimal("18.01")
    assert AccessToken.objects.filter(user=alice).exists() or page == "buy"
