"""Operators list and revoke tokens through the API."""

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from access import services, token_secret
from access.models import AccessToken
from access.tests.support.tokens import Buy, age, causes
from accounts.models import AuditEvent, User
from billing import ledger
from zenzefi.common.tests.support.bad_input import BAD_FLAGS, UNKNOWN_ID

URL = "/api/v1/admin/tokens"


def ids(api: APIClient, query: str) -> list[str]:
    response = api.get(f"{URL}?{query}")
    assert response.status_code == 200
    return [item["token_id"] for item in response.json()["items"]]


def test_the_list_never_shows_the_text(alice: User, olga_api: APIClient, buy: Buy) -> None:
    token = buy(alice)

    response = olga_api.get(URL)

    assert response.status_code == 200
    (shown,) = response.json()["items"]
    assert shown == {
        "token_id": str(token.pk),
        "user_id": str(alice.pk),
        "duration_hours": 24,
        "scope": "full",
        "cost": 18.0,
        "created_at": token.created_at.isoformat().replace("+00:00", "Z"),
        "expires_at": token.expires_at.isoformat().replace("+00:00", "Z"),
        "activated_at": None,
        "revoked_at": None,
        "frozen_at": None,
        "is_active": True,
    }
    for secret in (token_secret.decrypt(token.ciphertext) or "", token.digest, bytes(token.ciphertext).decode()):
        assert secret not in response.content.decode()


def test_filters(alice: User, bob: User, olga: User, olga_api: APIClient, buy: Buy) -> None:
    of_alice, expired, revoked, of_bob = buy(alice), buy(alice), buy(bob), buy(bob)
    age(expired, timedelta(hours=25))
    services.revoke_by_force(revoked.pk, actor=olga, reason="test")

    assert set(ids(olga_api, "")) == {str(token.pk) for token in (of_alice, expired, revoked, of_bob)}
    assert set(ids(olga_api, "active_only=true")) == {str(of_alice.pk), str(of_bob.pk)}
    assert set(ids(olga_api, f"user_id={bob.pk}")) == {str(revoked.pk), str(of_bob.pk)}
    assert ids(olga_api, f"user_id={bob.pk}&active_only=true") == [str(of_bob.pk)]
    assert ids(olga_api, f"user_id={UNKNOWN_ID}") == []


@pytest.mark.parametrize("name", ["user_id", "active_only"])
@pytest.mark.parametrize("value", BAD_FLAGS)
def test_bad_filter(olga_api: APIClient, name: str, value: str) -> None:
    response = olga_api.get(URL, {name: value})

    assert (response.status_code, list(response.json())) == (400, [name])


def test_revoke_by_force(alice: User, olga: User, olga_api: APIClient, buy: Buy) -> None:
    token = buy(alice)

    response = olga_api.delete(f"{URL}/{token.pk}?reason=stolen")

    assert (response.status_code, response.json()) == (200, {"revoked": True})
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert causes(token) == ["revoked"]
    assert ledger.balance(alice) == 0
    event = AuditEvent.objects.get()
    assert (event.kind, event.user, event.actor, event.reason) == (
        "access_token_revoked",
        alice,
        olga,
        "stolen",
    )


def test_already_revoked(alice: User, olga_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    olga_api.delete(f"{URL}/{token.pk}")

    response = olga_api.delete(f"{URL}/{token.pk}")

    assert (response.status_code, response.json()["code"]) == (409, "token_not_active")
    assert causes(token) == ["revoked"]


@pytest.mark.parametrize("token_id", [UNKNOWN_ID, "x", "%00"])
def test_no_such_token(olga_api: APIClient, token_id: str) -> None:
    response = olga_api.delete(f"{URL}/{token_id}")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("reason", ["\x00", "a" * 501])
def test_bad_reason(alice: User, olga_api: APIClient, buy: Buy, reason: str) -> None:
    token = buy(alice)

    response = olga_api.delete(f"{URL}/{token.pk}", query_params={"reason": reason})

    assert (response.status_code, list(response.json())) == (400, ["reason"])
    assert not AccessToken.objects.filter(revoked_at__isnull=False).exists()


def test_for_superusers_only(alice: User, api: APIClient, alice_api: APIClient, buy: Buy) -> None:
    token = buy(alice)
    for client, error in [(api, (401, "not_authenticated")), (alice_api, (403, "permission_denied"))]:
        for response in (client.get(URL), client.delete(f"{URL}/{token.pk}")):
            assert (response.status_code, response.json()["code"]) == error
    assert causes(token) == []
