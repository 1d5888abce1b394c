"""Fixtures: the tariffs on sale, and bought tokens."""

import random
import sys
from decimal import Decimal

import pytest
from django.conf import settings

from access import services
from access.models import AccessToken, Scope, Tariff
from access.tests.support.tokens import Buy
from accounts.models import User
from billing.idempotency import Call
from conftest import fund


@pytest.fixture
def tariffs(db: None) -> None:
    """Restore the ten default tariffs, which the flush after a transactional test deletes."""
    for scope in Scope:
        for hours, price in settings.TOKEN_PRICES.items():
            Tariff.objects.get_or_create(
                duration_hours=hours, scope=scope, defaults={"price": price, "title": f"{hours} h, {scope}"}
            )


@pytest.fixture
def buy(tariffs: None) -> Buy:
    """Return a function that credits a user with the price of a token and sells the token."""

    def buy_one(user: User, hours: int = 24, scope: str = Scope.FULL) -> AccessToken:
        fund(user, Decimal(Tariff.objects.get(duration_hours=hours, scope=scope).price))
        return services.purchase(Call(user, "test", "", None), hours, scope)

    return buy_one


@pytest.fixture
def fresh_seed(request: pytest.FixtureRequest) -> int:
    """Return a new random seed and print it. Pass it as `--hypothesis-seed` to repeat a run."""
    given = request.config.getoption("--hypothesis-seed")
    number = int(given or random.SystemRandom().getrandbits(32))
    sys.stdout.write(f"--hypothesis-seed={number}\n")
    return number
