"""The list of the user's own tokens."""

from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from access import services
from access.tests.support.tokens import Buy, age
from accounts.models import User
from conftest import fund
from zenzefi.common.tests.support.bad_input import BAD_FLAGS

URL = "/api/v1/tokens/my-tokens"


def test_the_owner_sees_the_token_again(alice: User, alice_api: APIClient, tariffs: None) -> None:
    fund(alice, "18")
    bought = alice_api.post("/api/v1/tokens/purchase", {"duration_hours": 24}).json()

    response = alice_api.get(URL)

    assert response.status_code == 200
    assert response.json() == {
        "items": [
            {
                "token_id": bought["token_id"],
                "token": bought["token"],
                "duration_hours": 24,
                "scope": "full",
                "created_at": bought["created_at"],
                "expires_at": bought["expires_at"],
                "activated_at": None,
                "is_active": True,
            }
        ],
        "total": 1,
        "limit": 20,
        "offset": 0,
    }


def test_newest_first_in_pages(alice: User, alice_api: APIClient, buy: Buy) -> None:
    bought = [str(buy(alice, 1).pk) for _ in range(5)]

    pages = [alice_api.get(f"{URL}?limit=2&offset={offset}").json() for offset in (0, 2, 4)]

    assert [item["token_id"] for page in pages for item in page["items"]] == bought[::-1]
    assert {(page["total"], page["limit"]) for page in pages} == {(5, 2)}


def test_active_only_leaves_out_invalid_tokens(alice: User, olga: User, alice_api: APIClient, buy: Buy) -> None:
    active, expired, revoked, frozen = (buy(alice) for _ in range(4))
    age(expired, timedelta(hours=24))
    services.revoke_by_force(revoked.pk, actor=olga, reason="test")
    services.freeze(frozen.pk, actor=olga, reason="test")

    def listed(query: str) -> dict[str, bool]:
        return {item["token_id"]: item["is_active"] for item in alice_api.get(URL + query).json()["items"]}

    everything = {str(token.pk): token == active for token in (active, expired, revoked, frozen)}
    assert listed("?active_only=true") == {str(active.pk): True}
    assert listed("?active_only=false") == listed("") == everything


def test_other_users_do_not_see_it(alice: User, bob_api: APIClient, buy: Buy) -> None:
    buy(alice)

    assert bob_api.get(URL).json()["items"] == []


@pytest.mark.parametrize("value", BAD_FLAGS)
def test_bad_filter(alice_api: APIClient, value: str) -> None:
    response = alice_api.get(URL, {"active_only": value})

    assert response.status_code == 400
    assert list(response.json()) == ["active_only"]


def test_anonymous(api: APIClient) -> None:
    assert api.get(URL).status_code == 401


def test_the_list_needs_the_same_few_queries_for_many_tokens(
    alice: User, alice_api: APIClient, buy: Buy, django_assert_max_num_queries: Any
) -> None:
    for _ in range(10):
        buy(alice, 1)

    with django_assert_max_num_queries(3):
        assert len(alice_api.get(URL).json()["items"]) == 10


def test_a_token_whose_key_is_gone_is_listed_without_its_text(
    alice: User, alice_api: APIClient, buy: Buy, settings: Any
) -> None:
    buy(alice)
    settings.TOKEN_ENCRYPTION_KEYS = ["A" * 43 + "="]

    response = alice_api.get(URL)

    assert response.status_code == 200
    assert response.json()["items"][0]["token"] is None
    assert response.json()["items"][0]["is_active"] is True
