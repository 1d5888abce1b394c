"""POST /auth/login."""

import time
from typing import Any

import jwt
import pytest
from django.conf import settings as project
from django.contrib.auth import hashers
from rest_framework.test import APIClient

from accounts import services
from accounts.models import RefreshFamily, User
from accounts.tests.factories import PASSWORD

URL = "/api/v1/auth/login"
WRONG = {"detail": "The e-mail or the password is wrong.", "code": "invalid_credentials"}

pytestmark = pytest.mark.django_db


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, project.SECRET_KEY, algorithms=["HS256"])


def test_returns_a_pair_of_tokens(api: APIClient, alice: User) -> None:
    response = api.post(URL, {"email": "Alice@Example.com", "password": PASSWORD})

    body = response.json()
    assert response.status_code == 200
    assert list(body) == ["access_token", "refresh_token", "token_type", "expires_in"]
    assert (body["token_type"], body["expires_in"]) == ("bearer", 3600)
    family = RefreshFamily.objects.get()
    assert family.user == alice
    assert family.revoked_at is None
    alice.refresh_from_db()
    assert alice.last_login is not None


def test_the_access_token_opens_the_api(api: APIClient, alice: User) -> None:
    token = api.post(URL, {"email": alice.email, "password": PASSWORD}).json()["access_token"]

    response = api.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})

    assert (response.status_code, response.json()["username"]) == (200, "alice")


def test_claims_are_these_and_never_the_email(api: APIClient, alice: User) -> None:
    body = api.post(URL, {"email": alice.email, "password": PASSWORD}).json()
    access, refresh = claims(body["access_token"]), claims(body["refresh_token"])
    family = RefreshFamily.objects.get()

    assert access == {
        "sub": str(alice.pk),
        "username": "alice",
        "iat": access["iat"],
        "exp": access["iat"] + 3600,
        "jti": access["jti"],
        "token_type": "access",
    }
    assert refresh == {
        "sub": str(alice.pk),
        "username": "alice",
        "iat": refresh["iat"],
        "exp": refresh["iat"] + 30 * 24 * 3600,
        "jti": family.current_jti,
        "token_type": "refresh",
        "family": str(family.pk),
    }
    assert abs(access["iat"] - time.time()) < 60
    assert family.expires_at.timestamp() == refresh["exp"]
    assert alice.email not in str(access) + str(refresh)


# case E62
@pytest.mark.parametrize("who", ["unknown e-mail", "wrong password", "blocked user", "no usable password"])
def test_failures_look_alike_and_cost_the_same_hashing(
    api: APIClient, alice: User, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"email": alice.email, "password": PASSWORD}
    if who == "unknown e-mail":
        body["email"] = "nobody@example.com"
    elif who == "wrong password":
        body["password"] = "wrong-horse-7"
    elif who == "blocked user":
        services.set_active(alice, False, actor=None)
    else:
        alice.set_unusable_password()
        alice.save()
    hashed = []
    encode = hashers.MD5PasswordHasher.encode

    def counted(hasher: Any, password: str, salt: str) -> str:
        hashed.append(password)
        return encode(hasher, password, salt)

    monkeypatch.setattr(hashers.MD5PasswordHasher, "encode", counted)
    response = api.post(URL, body)

    assert (response.status_code, response.json()) == (401, WRONG)
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    assert len(hashed) == 1
    assert not RefreshFamily.objects.exists()


# case E62
@pytest.mark.parametrize("email", ["", "alice", "alice\x00@example.com"])
def test_what_is_no_email_is_400(api: APIClient, alice: User, email: str) -> None:
    response = api.post(URL, {"email": email, "password": PASSWORD})

    assert response.status_code == 400
    assert list(response.json()) == ["email"]


@pytest.mark.parametrize("field", ["email", "password"])
def test_both_fields_are_required(api: APIClient, field: str) -> None:
    body = {"email": "alice@example.com", "password": PASSWORD}
    del body[field]

    assert api.post(URL, body).json() == {field: ["This field is required."]}


def test_a_very_long_password_is_just_wrong(api: APIClient, alice: User) -> None:
    response = api.post(URL, {"email": alice.email, "password": "x" * 500_000})

    assert (response.status_code, response.json()) == (401, WRONG)


@pytest.mark.parametrize("change", ["blocked", "new password"])
def test_a_block_or_a_new_password_in_the_meantime_prevents_the_login(
    api: APIClient, alice: User, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticate = services.authenticate

    def overtaken(**credentials: str) -> Any:
        user = authenticate(**credentials)
        if change == "blocked":
            services.set_active(alice, False, actor=None)
        else:
            services.update_profile(alice, password="another-horse-8")
        return user

    monkeypatch.setattr(services, "authenticate", overtaken)
    response = api.post(URL, {"email": alice.email, "password": PASSWORD})

    assert (response.status_code, response.json()) == (401, WRONG)
    assert not RefreshFamily.objects.exists()


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_other_methods_are_405(api: APIClient, method: str) -> None:
    assert getattr(api, method)(URL).status_code == 405
