"""The migration that adds segments to the tokens sold before there were any."""

from importlib import import_module
from types import ModuleType

import pytest
from django.apps import apps

from access import selectors, services
from access.models import AccessToken, TokenSegment
from access.tests.support.tokens import Buy
from accounts.models import User
from billing.idempotency import Call
from billing.verification import verify_all
from conftest import fund


@pytest.fixture
def migration(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the migration with batches of two tokens."""
    module = import_module("access.migrations.0004_segments_of_tokens_sold_before")
    monkeypatch.setattr(module, "BATCH", 2)
    return module


@pytest.mark.parametrize("tokens", [0, 1, 2, 5])
@pytest.mark.parametrize("migrated_before", [0, 1])
def test_each_token_gets_its_price_and_time_once(
    alice: User, buy: Buy, migration: ModuleType, tokens: int, migrated_before: int
) -> None:
    for _ in range(tokens):
        fund(alice, 1)
        services.extend(Call(alice, "test", "", None), buy(alice).pk, 1)
    kept = AccessToken.objects.order_by("-pk").values_list("pk", flat=True)[:migrated_before]
    TokenSegment.objects.exclude(token__in=list(kept)).delete()

    for _again in range(2):
        migration.add_segments(apps, None)

    assert list(verify_all()) == []
    new = TokenSegment.objects.exclude(token__in=list(kept)).select_related("token")
    assert len(new) == max(tokens - migrated_before, 0)
    for segment in new:
        assert (segment.price, segment.hours, segment.created_at) == (19, 25, segment.token.created_at)


def test_a_token_sold_by_an_earlier_version_during_the_upgrade_keeps_its_refund(alice: User, buy: Buy) -> None:
    token = buy(alice)
    TokenSegment.objects.all().delete()
    fund(alice, 1)
    services.extend(Call(alice, "test", "", None), token.pk, 1)

    token.refresh_from_db()
    assert selectors.segments(token) == [(18, 24), (1, 1)]
    revoked = services.revoke_with_refund(Call(alice, "test", "", None), token.pk)
    assert revoked.refund == 19
