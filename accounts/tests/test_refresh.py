"""POST /auth/refresh and /auth/logout."""

import base64
import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connections
from django.utils import timezone
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import RefreshToken

from accounts import jwt, services, tasks
from accounts.errors import InvalidRefreshToken
from accounts.models import AuditEvent, RefreshFamily, User
from accounts.tests.factories import PASSWORD

URL = "/api/v1/auth/refresh"
REJECTED = {"detail": "The refresh token is invalid or expired. Log in again.", "code": "token_not_valid"}

pytestmark = pytest.mark.django_db


def refresh(token: str) -> Any:
    return APIClient().post(URL, {"refresh_token": token})


def assert_rejected(response: Any) -> None:
    assert (response.status_code, response.json()) == (401, REJECTED)
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'


@pytest.fixture
def token(alice: User) -> str:
    """Return the refresh token of a login of Alice."""
    return jwt.issue_pair(alice).refresh_token


@pytest.mark.parametrize("place", ["header", "body", "body next to an access token"])
def test_returns_a_new_pair(api: APIClient, alice: User, token: str, place: str) -> None:
    before = RefreshFamily.objects.get()
    headers = {
        "header": {"Authorization": f"Bearer {token}"},
        "body": {},
        "body next to an access token": {"Authorization": f"Bearer {jwt.issue_access(alice)}"},
    }[place]

    response = api.post(URL, {} if place == "header" else {"refresh_token": token}, headers=headers)

    body = response.json()
    assert response.status_code == 200
    assert list(body) == ["access_token", "refresh_token", "token_type", "expires_in"]
    assert (body["token_type"], body["expires_in"]) == ("bearer", 3600)
    assert body["refresh_token"] != token
    family = RefreshFamily.objects.get()
    assert family.pk == before.pk
    assert family.current_jti == RefreshToken(body["refresh_token"])["jti"] != before.current_jti
    assert family.rotated_at > before.rotated_at
    me = api.get("/api/v1/users/me", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert me.json()["id"] == str(alice.pk)


def test_the_header_needs_no_body(api: APIClient, token: str) -> None:
    response = api.generic("POST", URL, headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == 200


def test_the_chain_goes_on(token: str) -> None:
    for _step in range(3):
        response = refresh(token)
        assert response.status_code == 200
        token = response.json()["refresh_token"]
    assert RefreshFamily.objects.count() == 1


# case E63
def test_a_rotated_token_used_again_ends_its_family(alice: User, token: str) -> None:
    other_login = jwt.issue_pair(alice).refresh_token
    successor = refresh(token).json()["refresh_token"]

    assert_rejected(refresh(token))

    event = AuditEvent.objects.get()
    family = RefreshFamily.objects.get(pk=RefreshToken(token)["family"])
    assert (event.kind, event.user) == ("refresh_token_reused", alice)
    assert event.details == {"family": str(family.pk)}
    assert family.revoked_at is not None
    assert_rejected(refresh(successor))
    assert_rejected(refresh(token))
    assert AuditEvent.objects.count() == 1
    assert refresh(other_login).status_code == 200


# case E63
def test_a_request_older_than_the_rotation_is_only_rejected(token: str) -> None:
    began = timezone.now()
    successor = refresh(token).json()["refresh_token"]

    with pytest.raises(InvalidRefreshToken):
        jwt.rotate(token, began=began)

    assert RefreshFamily.objects.get().revoked_at is None
    assert not AuditEvent.objects.exists()
    assert refresh(successor).status_code == 200


# case E63
@pytest.mark.django_db(transaction=True)
def test_of_parallel_refreshes_one_wins(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    token = jwt.issue_pair(alice).refresh_token
    all_looked = threading.Barrier(4, timeout=10)
    usable = jwt._is_usable

    def looked_together(family: RefreshFamily) -> bool:
        result = usable(family)
        all_looked.wait()
        return result

    monkeypatch.setattr(jwt, "_is_usable", looked_together)
    responses: list[Any] = []

    def one() -> None:
        responses.append(refresh(token))
        connections.close_all()

    threads = [threading.Thread(target=one) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.undo()

    won, *lost = sorted(responses, key=lambda response: response.status_code)
    assert won.status_code == 200
    for response in lost:
        assert_rejected(response)
    assert RefreshFamily.objects.get().revoked_at is None
    assert not AuditEvent.objects.exists()
    assert refresh(won.json()["refresh_token"]).status_code == 200


# case E63
def test_a_blocked_user_is_rejected(alice: User, token: str) -> None:
    services.set_active(alice, False, actor=None)
    assert_rejected(refresh(token))

    services.set_active(alice, True, actor=None)
    assert_rejected(refresh(token))


def test_a_family_created_during_a_block_is_rejected(alice: User, token: str) -> None:
    User.objects.update(is_active=False)

    assert_rejected(refresh(token))
    assert RefreshFamily.objects.get().revoked_at is None


def test_a_deleted_user_is_rejected(alice: User, token: str) -> None:
    RefreshFamily.objects.all().delete()

    assert_rejected(refresh(token))


def test_life_is_30_days_from_the_last_use(alice: User) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=False):
        token = jwt.issue_pair(alice).refresh_token
    with time_machine.travel(start + timedelta(days=29)):
        token = refresh(token).json()["refresh_token"]
    with time_machine.travel(start + timedelta(days=58)):
        token = refresh(token).json()["refresh_token"]
    with time_machine.travel(start + timedelta(days=89)):
        assert_rejected(refresh(token))
    assert not AuditEvent.objects.exists()


def test_an_expired_family_is_rejected(token: str) -> None:
    RefreshFamily.objects.update(expires_at=timezone.now())

    assert_rejected(refresh(token))


def test_an_access_token_is_no_refresh_token(alice: User) -> None:
    assert_rejected(refresh(jwt.issue_access(alice)))


def test_a_refresh_token_is_no_access_token(api: APIClient, token: str) -> None:
    response = api.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})

    assert (response.status_code, response.json()["code"]) == (401, "token_not_valid")


def test_a_token_without_a_family_is_rejected(alice: User) -> None:
    assert_rejected(refresh(str(RefreshToken.for_user(alice))))


def deep_header() -> str:
    return base64.urlsafe_b64encode(b"[" * 10_000).decode() + ".e30.x"


@pytest.mark.parametrize(
    "garbage",
    ["x", "a.b.c", "é.ü.ñ", "x" * 500_000, "e30.e30.e30", "W10.W10.W10", deep_header(), "null.null.null"],
)
def test_garbage_is_rejected(api: APIClient, alice: User, garbage: str) -> None:
    assert_rejected(refresh(garbage))
    assert_rejected(api.generic("POST", URL, headers={"Authorization": f"Bearer {garbage}"}))


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer a b", "Basic YTpi", "garbage", "\x00", "é"])
def test_no_token_is_rejected(api: APIClient, header: str) -> None:
    assert_rejected(api.generic("POST", URL, headers={"Authorization": header}))


def test_another_signature_is_rejected(token: str) -> None:
    head, payload, signature = token.split(".")
    flipped = signature[:-2] + ("A" if signature[-2] != "A" else "B") + signature[-1]

    assert_rejected(refresh(f"{head}.{payload}.{flipped}"))
    assert refresh(token).status_code == 200


@pytest.mark.parametrize("value", ["", None, 1, [], {}, "a\x00b"])
def test_a_wrong_type_is_400(api: APIClient, value: Any) -> None:
    response = api.post(URL, {"refresh_token": value})

    assert (response.status_code, list(response.json())) == (400, ["refresh_token"])


def test_logout_ends_every_login(api: APIClient, alice: User, bob: User, token: str) -> None:
    elsewhere = jwt.issue_pair(alice)
    of_bob = jwt.issue_pair(bob).refresh_token

    response = api.post("/api/v1/auth/logout", headers={"Authorization": f"Bearer {elsewhere.access_token}"})

    assert (response.status_code, response.json()) == (200, {"detail": "You are logged out."})
    assert RefreshFamily.objects.filter(user=alice, revoked_at=None).count() == 0
    assert_rejected(refresh(token))
    assert_rejected(refresh(elsewhere.refresh_token))
    assert refresh(of_bob).status_code == 200
    assert not AuditEvent.objects.exists()


def test_logout_needs_a_login(api: APIClient, token: str) -> None:
    response = api.post("/api/v1/auth/logout")

    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert RefreshFamily.objects.get().revoked_at is None


def test_login_after_logout_works(api: APIClient, alice: User, alice_api: APIClient) -> None:
    alice_api.post("/api/v1/auth/logout")

    pair = api.post("/api/v1/auth/login", {"email": alice.email, "password": PASSWORD}).json()

    assert refresh(pair["refresh_token"]).status_code == 200


# case G84
def test_expired_families_are_forgotten(alice: User, token: str) -> None:
    kept = RefreshFamily.objects.get()
    now = timezone.now()
    RefreshFamily.objects.create(user=alice, current_jti="x", rotated_at=now, expires_at=now - timedelta(seconds=1))

    tasks.forget_logins.delay()

    assert list(RefreshFamily.objects.all()) == [kept]
