"""The extension of a token."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from rest_framework.test import APIClient

from access import services
from access.models import AccessToken, Tariff
from access.tasks import expire_tokens
from access.tests.support.tokens import Buy, age, causes
from accounts.models import User
from billing import ledger, verification
from billing.models import SystemAccount, Transaction, TransactionType
from conftest import client_of, fund
from zenzefi.common.digests import secret_digest
from zenzefi.common.tests.support.bad_input import UNKNOWN_ID

HOUR = timedelta(hours=1)


def url(token: AccessToken) -> str:
    return f"/api/v1/tokens/{token.pk}/extend"


def facts(token: AccessToken) -> tuple[Any, ...]:
    """Return the stored values that an extension changes."""
    stored = AccessToken.objects.get(pk=token.pk)
    return stored.cost, stored.duration_hours, stored.expires_at


def purchases(user: User) -> int:
    return Transaction.objects.filter(type=TransactionType.PURCHASE, entries__account__user=user).count()


def test_price_and_time_add_up(alice: User, buy: Buy) -> None:
    with time_machine.travel(datetime(2026, 3, 1, 12, 30, tzinfo=UTC), tick=False):
        token = buy(alice, 24, "certificates_only")
    fund(alice, "150")

    with time_machine.travel(datetime(2026, 3, 2, 12, 29, 59, tzinfo=UTC), tick=False):
        response = client_of(alice).post(url(token), {"duration_hours": 168})

    assert response.status_code == 200
    body = response.json()
    assert secret_digest(body.pop("token")) == token.digest
    assert body == {
        "token_id": str(token.pk),
        "duration_hours": 192,
        "scope": "certificates_only",
        "cost": 118.0,
        "expires_at": "2026-03-09T12:30:00Z",
        "created_at": "2026-03-01T12:30:00Z",
        "is_active": True,
    }
    assert facts(token) == (Decimal("118.00"), 192, datetime(2026, 3, 9, 12, 30, tzinfo=UTC))
    assert causes(token) == ["changed"]
    assert AccessToken.objects.count() == 1
    assert ledger.balance(alice) == 50


def test_the_ledger_shows_it(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    fund(alice, "20")

    alice_api.post(url(token), {"duration_hours": 24}, headers={"Idempotency-Key": "more"})

    paid = Transaction.objects.get(idempotency_key="more")
    assert (paid.type, paid.actor) == (TransactionType.PURCHASE, alice)
    assert paid.description.startswith("Extension of an access token: ")
    amounts = {entry.account.code or entry.account.user: entry.amount for entry in paid.entries.all()}
    assert amounts == {alice: Decimal("-18.00"), SystemAccount.REVENUE: Decimal("18.00")}
    assert verification.verify() == []


def test_the_first_use_stays(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token, first_use = buy(alice), timezone.now()
    services.activate(token.pk, first_use)
    fund(alice, "1")

    alice_api.post(url(token), {"duration_hours": 1})

    token.refresh_from_db()
    assert token.activated_at == first_use


def test_priced_by_the_tariff_of_its_scope_and_to_the_hundredth(
    alice: User, alice_api: APIClient, buy: Buy
) -> None:  # case A1
    Tariff.objects.filter(duration_hours=1, scope="certificates_only").update(price=Decimal("0.10"))
    token = buy(alice, 1, "certificates_only")
    Tariff.objects.filter(duration_hours=1, scope="certificates_only").update(price=Decimal("0.20"))
    fund(alice, "0.60")

    costs = [alice_api.post(url(token), {"duration_hours": 1}).json()["cost"] for _ in range(3)]

    assert costs == [0.3, 0.5, 0.7]
    assert facts(token)[0] == Decimal("0.70")
    assert ledger.balance(alice) == 0


def test_a_tariff_of_another_scope_does_not_count(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice, 1, "certificates_only")
    fund(alice, "1000")
    Tariff.objects.filter(scope="certificates_only", duration_hours=24).delete()

    response = alice_api.post(url(token), {"duration_hours": 24, "scope": "full"})

    assert response.status_code == 400
    assert response.json() == {"duration_hours": ["There is no tariff for this duration and scope."]}
    assert ledger.balance(alice) == 1000


def test_not_enough_credits(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    before = facts(token)
    fund(alice, "17.99")

    response = alice_api.post(url(token), {"duration_hours": 24})

    assert response.status_code == 402
    assert response.json() == {
        "detail": "Insufficient balance. Required: 18.00 ZNC, Available: 17.99 ZNC",
        "code": "insufficient_balance",
    }
    assert (facts(token), causes(token), purchases(alice)) == (before, [], 1)
    assert ledger.balance(alice) == Decimal("17.99")


@pytest.mark.parametrize("state", ["expired", "revoked", "frozen"])
def test_active_tokens_only(alice: User, olga: User, alice_api: APIClient, buy: Buy, state: str) -> None:
    token = buy(alice)
    if state == "expired":
        age(token, 24 * HOUR)
    elif state == "revoked":
        services.revoke_by_force(token.pk, actor=olga, reason="test")
    else:
        services.freeze(token.pk, actor=olga, reason="test")
    before, rows = facts(token), causes(token)
    fund(alice, "1000")

    response = alice_api.post(url(token), {"duration_hours": 24})

    assert (response.status_code, response.json()["code"]) == (409, "token_not_active")
    assert (facts(token), causes(token), purchases(alice)) == (before, rows, 1)
    assert ledger.balance(alice) == 1000


def test_not_ones_own(alice: User, bob: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(bob)
    before = facts(token)
    fund(alice, "1000")

    for address in (url(token), f"/api/v1/tokens/{UNKNOWN_ID}/extend", "/api/v1/tokens/x/extend"):
        response = alice_api.post(address, {"duration_hours": 24})
        assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert (facts(token), causes(token), ledger.balance(alice)) == (before, [], 1000)


def test_anonymous(api: APIClient, alice: User, buy: Buy) -> None:
    response = api.post(url(buy(alice)), {"duration_hours": 24})

    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


BODIES: list[tuple[Any, str]] = [
    ({}, "duration_hours"),
    ({"duration_hours": 2}, "duration_hours"),
    ({"duration_hours": 0}, "duration_hours"),
    ({"duration_hours": -24}, "duration_hours"),
    ({"duration_hours": None}, "duration_hours"),
    ({"duration_hours": True}, "duration_hours"),
    ({"duration_hours": "24"}, "duration_hours"),
    ({"duration_hours": 24.5}, "duration_hours"),
    ({"duration_hours": 10**40}, "duration_hours"),
    ({"duration_hours": [24]}, "duration_hours"),
    ({"duration_hours": {"a": 1}}, "duration_hours"),
    ([], "non_field_errors"),
    ("24", "non_field_errors"),
]


@pytest.mark.parametrize(("body", "field"), BODIES)
def test_bad_input(alice: User, alice_api: APIClient, buy: Buy, body: Any, field: str) -> None:
    token = buy(alice)
    before = facts(token)
    fund(alice, "1000")

    response = alice_api.post(url(token), body)

    assert response.status_code == 400
    assert list(response.json()) == [field]
    assert (facts(token), causes(token), ledger.balance(alice)) == (before, [], 1000)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"duration_hours": NaN}', 400),
        (b"[" * 10_000, 400),
        (b"\xff", 400),
        (b'{"duration_hours": 24, "x": "' + b"x" * 3_000_000 + b'"}', 413),
    ],
    ids=["empty", "cut", "nan", "deep", "latin", "large"],
)
def test_what_is_no_json(alice: User, alice_api: APIClient, buy: Buy, body: bytes, status: int) -> None:
    token = buy(alice)
    fund(alice, "1000")

    assert alice_api.post(url(token), body, content_type="application/json").status_code == status
    assert ledger.balance(alice) == 1000


def test_at_most_a_hundred_years(alice: User, alice_api: APIClient, buy: Buy) -> None:
    Tariff.objects.create(duration_hours=87_600, scope="full", price=1, title="ten years")
    token = buy(alice, 87_600)
    fund(alice, "100")

    responses = [alice_api.post(url(token), {"duration_hours": 87_600}) for _ in range(10)]

    assert [response.status_code for response in responses] == [200] * 9 + [400]
    assert responses[-1].json() == {"duration_hours": ["An access token lasts at most 100 years."]}
    assert facts(token)[:2] == (10, 876_000)
    assert (len(causes(token)), ledger.balance(alice)) == (9, 91)


def test_the_same_key_extends_once(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    fund(alice, "100")
    extend = {"path": url(token), "data": {"duration_hours": 24}, "headers": {"Idempotency-Key": "once"}}

    first = alice_api.post(**extend)
    assert alice_api.post(url(token), {"duration_hours": 1}).json()["cost"] == 37.0
    again = alice_api.post(**extend)

    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    assert facts(token)[:2] == (37, 49)
    assert (causes(token), ledger.balance(alice)) == (["changed"] * 2, 81)


def test_a_repeated_purchase_is_replayed_as_it_was_before_the_extension(
    tariffs: None, alice: User, alice_api: APIClient
) -> None:
    fund(alice, "36")
    buy = {"path": "/api/v1/tokens/purchase", "data": {"duration_hours": 24}, "headers": {"Idempotency-Key": "once"}}
    first = alice_api.post(**buy).json()
    assert alice_api.post(f"/api/v1/tokens/{first['token_id']}/extend", {"duration_hours": 24}).status_code == 200

    assert alice_api.post(**buy).json() == first


def test_the_same_key_for_another_body_and_for_another_token(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token, other = buy(alice), buy(alice)
    fund(alice, "100")
    key = {"Idempotency-Key": "once"}
    alice_api.post(url(token), {"duration_hours": 24}, headers=key)

    conflict = alice_api.post(url(token), {"duration_hours": 1}, headers=key)
    elsewhere = alice_api.post(url(other), {"duration_hours": 1}, headers=key)

    assert (conflict.status_code, conflict.json()["code"]) == (409, "idempotency_conflict")
    assert elsewhere.json()["cost"] == 19.0
    assert ledger.balance(alice) == 81


def test_a_failed_extension_may_be_tried_again_with_its_key(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token, key = buy(alice), {"Idempotency-Key": "later"}
    assert alice_api.post(url(token), {"duration_hours": 24}, headers=key).status_code == 402
    fund(alice, "18")

    assert alice_api.post(url(token), {"duration_hours": 24}, headers=key).status_code == 200
    assert ledger.balance(alice) == 0


def test_the_next_expiry_is_noted_again(alice: User, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    # As if the clock of the job had been ahead.
    AccessToken.objects.filter(pk=token.pk).update(expiry_seen=True)
    fund(alice, "1")
    alice_api.post(url(token), {"duration_hours": 1})
    assert expire_tokens() == 0

    age(token, 25 * HOUR)

    assert expire_tokens() == 1


@pytest.mark.parametrize(
    ("used", "refund", "unused"),
    [(None, 118.0, 192 * HOUR), (12 * HOUR, 110.63, 180 * HOUR), (24 * HOUR, 103.25, 168 * HOUR)],
)
def test_the_refund_is_of_both_prices(
    alice: User, buy: Buy, used: timedelta | None, refund: float, unused: timedelta
) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        token = buy(alice)
        if used:
            services.activate(token.pk, timezone.now())
        clock.shift((used or HOUR) - timedelta(microseconds=1))
        fund(alice, "100")
        api = client_of(alice)
        assert api.post(url(token), {"duration_hours": 168}).status_code == 200
        clock.shift(timedelta(microseconds=1))

        quote = api.get(f"/api/v1/tokens/{token.pk}/refund-quote").json()
        revoked = api.delete(f"/api/v1/tokens/{token.pk}").json()

    assert quote == {"refund_amount": refund, "time_unused_seconds": int(unused.total_seconds())}
    assert revoked == {"revoked": True, "refund_amount": refund, "new_balance": refund}
    assert verification.verify() == []
