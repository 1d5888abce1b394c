"""`manage.py verify_ledger` compares what was paid with what was sold."""

from datetime import timedelta
from decimal import Decimal

from django.utils import timezone

from access import services
from access.models import AccessToken
from access.tests.support.tokens import Buy, age
from accounts.models import User
from billing import ledger
from billing.idempotency import Call
from billing.models import SystemAccount, TransactionType
from billing.verification import verify_all
from conftest import fund


def found() -> list[str]:
    return [str(discrepancy) for discrepancy in verify_all()]


def test_sales_extensions_and_refunds_pass(alice: User, bob: User, buy: Buy) -> None:
    token, used = buy(alice), buy(alice)
    buy(bob, 1)
    fund(alice, "18")
    services.extend(Call(alice, "test", "", None), token.pk, 24)
    age(used, timedelta(hours=13), used_for=timedelta(hours=12))
    for each in (token, used):
        services.revoke_with_refund(Call(alice, "test", "", None), each.pk)
    assert found() == []


def test_a_token_that_was_not_paid_for_is_named(alice: User, buy: Buy) -> None:  # case A15
    buy(alice)
    AccessToken.objects.update(cost=Decimal("18.01"))
    assert found() == [f"wallet {alice.wallet.pk}: paid 18.00 ZNC for access tokens that cost 18.01 ZNC"]


def test_a_payment_without_a_token_is_named(alice: User) -> None:
    fund(alice, "18")
    ledger.move(alice, Decimal(-18), SystemAccount.REVENUE, TransactionType.PURCHASE, "a thing")
    assert found() == [f"wallet {alice.wallet.pk}: paid 18.00 ZNC for access tokens that cost 0.00 ZNC"]


def test_a_refund_above_the_revoked_price_is_named(alice: User, buy: Buy) -> None:  # case A10
    cheap = buy(alice, 1)
    buy(alice)
    AccessToken.objects.filter(pk=cheap.pk).update(revoked_at=timezone.now())
    for _twice in range(2):
        ledger.move(alice, Decimal(1), SystemAccount.REVENUE, TransactionType.REFUND, "back")
    refunded = "was refunded 2.00 ZNC for revoked access tokens that cost 1.00 ZNC"
    assert found() == [f"wallet {alice.wallet.pk}: {refunded}"]
