"""Customers, as operators see and change them through the API."""

from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.models import Revocation
from accounts.models import AuditEvent, User
from accounts.tests.factories import UserFactory
from billing import ledger, verification
from billing.models import Entry, SystemAccount, Transaction, TransactionType
from conftest import client_of, fund
from zenzefi.common.tests.support.bad_input import BAD_FLAGS, UNKNOWN_ID

URL = "/api/v1/admin/users"


def url(user: User) -> str:
    return f"{URL}/{user.pk}"


def names(api: APIClient, query: str) -> list[str]:
    response = api.get(f"{URL}?{query}")
    assert response.status_code == 200
    return [item["username"] for item in response.json()["items"]]


def test_the_list(alice: User, olga: User, olga_api: APIClient) -> None:
    fund(alice, "12.34")

    response = olga_api.get(URL)

    assert response.status_code == 200
    body = response.json()
    assert (body["total"], body["limit"], body["offset"]) == (2, 20, 0)
    shown = body["items"][1]
    created_at, updated_at = shown.pop("created_at"), shown.pop("updated_at")
    assert created_at.endswith("Z")
    assert updated_at.endswith("Z")
    assert shown == {
        "id": str(alice.pk),
        "email": "alice@example.com",
        "username": "alice",
        "full_name": "Alice",
        "currency_balance": 12.34,
        "is_active": True,
        "is_staff": False,
        "is_superuser": False,
        "last_login": None,
    }
    assert body["items"][0]["is_superuser"] is True


def test_search_and_filter(alice: User, bob: User, olga_api: APIClient) -> None:
    User.objects.filter(pk=bob.pk).update(full_name="Боб 100%", is_active=False)

    assert names(olga_api, "search=ALICE@") == ["alice"]
    assert names(olga_api, "search=Боб") == ["bob"]
    assert names(olga_api, "search=100%25") == ["bob"]
    assert names(olga_api, "search=_o_") == []
    assert names(olga_api, "is_active=false") == ["bob"]
    assert names(olga_api, "is_active=true") == ["olga", "alice"]
    assert names(olga_api, "is_active=true&search=b") == []
    assert names(olga_api, "search=") == ["olga", "bob", "alice"]


def test_pages(olga: User, olga_api: APIClient, django_assert_max_num_queries: Any) -> None:
    users = [UserFactory() for _ in range(5)]

    with django_assert_max_num_queries(3):
        first = names(olga_api, "limit=3")
    assert first + names(olga_api, "limit=3&skip=3") == [
        *(user.username for user in reversed(users)),
        "olga",
    ]


@pytest.mark.parametrize("value", BAD_FLAGS)
def test_bad_filter(olga_api: APIClient, value: str) -> None:
    response = olga_api.get(URL, {"is_active": value})

    assert (response.status_code, list(response.json())) == (400, ["is_active"])


@pytest.mark.parametrize("search", ["\x00", "a\x00b", "a" * 201, "%" * 100_000])
def test_bad_search(olga_api: APIClient, search: str) -> None:
    response = olga_api.get(URL, {"search": search})

    assert (response.status_code, list(response.json())) == (400, ["search"])


def test_a_balance_is_reached_through_an_adjustment(  # case A16
    alice: User, olga: User, olga_api: APIClient
) -> None:
    fund(alice, "10")

    response = olga_api.patch(url(alice), {"currency_balance": 7.25, "reason": "goodwill"})

    assert response.status_code == 200
    assert response.json()["currency_balance"] == 7.25
    adjustment = Transaction.objects.get(type=TransactionType.ADJUSTMENT)
    assert (adjustment.actor, adjustment.description) == (olga, "goodwill")
    amounts = {entry.account.code or entry.account.user: entry.amount for entry in adjustment.entries.all()}
    assert amounts == {alice: Decimal("-2.75"), SystemAccount.ADJUSTMENTS: Decimal("2.75")}
    event = AuditEvent.objects.get(user=alice)
    assert (event.actor, event.reason) == (olga, "goodwill")
    assert ledger.balance(alice) == Decimal("7.25")
    assert verification.verify() == []


@pytest.mark.parametrize("reason", [{}, {"reason": ""}, {"reason": "   "}])
def test_no_reason_no_adjustment(alice: User, olga_api: APIClient, reason: dict[str, str]) -> None:  # case A16
    response = olga_api.patch(url(alice), {"currency_balance": 5, "is_active": False, **reason})

    assert (response.status_code, list(response.json())) == (400, ["reason"])
    alice.refresh_from_db()
    assert alice.is_active
    assert ledger.balance(alice) == 0
    assert not AuditEvent.objects.exists()
    assert not Revocation.objects.exists()


# case G73
def test_a_block_ends_connections_and_sessions(alice: User, olga: User, olga_api: APIClient) -> None:
    alice_api = client_of(alice)

    response = olga_api.patch(url(alice), {"is_active": False, "reason": "fraud"})

    assert (response.status_code, response.json()["is_active"]) == (200, False)
    assert [(row.cause, row.user) for row in Revocation.objects.all()] == [("user_blocked", alice)]
    event = AuditEvent.objects.get()
    assert (event.user, event.actor, event.reason) == (alice, olga, "fraud")
    assert alice_api.get("/api/v1/tokens/my-tokens").status_code == 401


def test_operators_cannot_block_themselves(olga: User, olga_api: APIClient) -> None:
    response = olga_api.patch(f"/api/v1/admin/users/{olga.pk}", {"is_active": False})

    assert (response.status_code, response.json()) == (400, {"is_active": ["You cannot block yourself."]})
    olga.refresh_from_db()
    assert olga.is_active


def test_block_and_unblock_need_no_reason(alice: User, olga_api: APIClient) -> None:
    assert olga_api.patch(url(alice), {"is_active": False}).json()["is_active"] is False
    assert olga_api.patch(url(alice), {"is_active": False}).status_code == 200
    assert olga_api.patch(url(alice), {"is_active": True}).json()["is_active"] is True
    assert [row.cause for row in Revocation.objects.order_by("id")] == ["user_blocked", "changed"]


def test_both_at_once(alice: User, olga_api: APIClient) -> None:
    body = {"currency_balance": 3, "is_active": False, "reason": "settled"}

    response = olga_api.patch(url(alice), body)

    assert response.status_code == 200
    assert (response.json()["currency_balance"], response.json()["is_active"]) == (3.0, False)


def test_other_fields_are_ignored(alice: User, olga_api: APIClient) -> None:
    response = olga_api.patch(url(alice), {"is_superuser": True, "email": "x@example.com"})

    assert response.status_code == 200
    alice.refresh_from_db()
    assert (alice.is_superuser, alice.email) == (False, "alice@example.com")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("currency_balance", value) for value in ("5", -1, -0.01, 0.001, True, None, [], 10**30, 1e300)),
        *(("is_active", value) for value in ("false", 0, 1, None, [], {})),
        *(("reason", value) for value in (5, None, [], "a\x00", "a" * 501)),
    ],
)
def test_bad_input(alice: User, olga_api: APIClient, field: str, value: Any) -> None:  # case A14
    body = {"currency_balance": 5, "is_active": False, "reason": "test", field: value}

    response = olga_api.patch(url(alice), body)

    assert (response.status_code, list(response.json())) == (400, [field])
    alice.refresh_from_db()
    assert alice.is_active
    assert not Entry.objects.exists()


def test_the_same_key_adjusts_once(alice: User, olga_api: APIClient) -> None:
    body, key = {"currency_balance": 5, "reason": "test"}, {"Idempotency-Key": "adjust"}
    assert olga_api.patch(url(alice), body, headers=key).status_code == 200
    fund(alice, "1")

    again = olga_api.patch(url(alice), body, headers=key)
    other = olga_api.patch(url(alice), {**body, "currency_balance": 9}, headers=key)

    assert again.status_code == 200
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert ledger.balance(alice) == 6


def test_no_such_user(olga_api: APIClient) -> None:
    for user_id in (UNKNOWN_ID, "x", "%00"):
        response = olga_api.patch(f"{URL}/{user_id}", {"is_active": False})
        assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_for_superusers_only(alice: User, api: APIClient, alice_api: APIClient) -> None:
    staff = client_of(UserFactory(is_staff=True))
    for client, denied in [
        (api, (401, "not_authenticated")),
        (alice_api, (403, "permission_denied")),
        (staff, (403, "permission_denied")),
    ]:
        for response in (client.get(URL), client.patch(url(alice), {"currency_balance": 5, "reason": "mine"})):
            assert (response.status_code, response.json()["code"]) == denied
    assert ledger.balance(alice) == 0
