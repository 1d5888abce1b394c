"""GET and PATCH /users/me."""

import json
from typing import Any

import pytest
from django.core import management
from django.core.mail import EmailMessage
from django.test import Client
from rest_framework.test import APIClient

from accounts import jwt, services, tasks
from accounts.models import RefreshFamily, User
from accounts.tests.factories import PASSWORD
from accounts.tests.test_refresh import assert_rejected, deep_header, refresh
from conftest import fund

URL = "/api/v1/users/me"

pytestmark = pytest.mark.django_db


def iso(moment: Any) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def test_shows_the_account(alice_api: APIClient, alice: User) -> None:
    fund(alice, "1234.50")

    response = alice_api.get(URL)

    assert response.status_code == 200
    assert b'"currency_balance":1234.50,' in response.content
    assert json.loads(response.content) == {
        "id": str(alice.pk),
        "email": "alice@example.com",
        "username": "alice",
        "full_name": "Alice",
        "currency_balance": 1234.5,
        "is_active": True,
        "created_at": iso(alice.created_at),
        "updated_at": iso(alice.updated_at),
    }


def test_changes_the_name(alice_api: APIClient, alice: User) -> None:
    before = alice.updated_at

    response = alice_api.patch(URL, {"full_name": "  Алиса Лидделл "})

    alice.refresh_from_db()
    assert response.status_code == 200
    assert response.json()["full_name"] == alice.full_name == "Алиса Лидделл"
    assert response.json()["updated_at"] == iso(alice.updated_at)
    assert alice.updated_at > before


def test_a_name_can_be_taken_away(alice_api: APIClient, alice: User) -> None:
    assert alice_api.patch(URL, {"full_name": ""}).json()["full_name"] == ""


def test_other_fields_are_ignored(alice_api: APIClient, alice: User) -> None:
    before = alice_api.get(URL).json()

    response = alice_api.patch(
        URL,
        {
            "email": "eve@example.com",
            "username": ["eve"],
            "currency_balance": 1_000_000,
            "is_active": False,
            "is_superuser": True,
            "id": None,
        },
    )

    assert (response.status_code, response.json()) == (200, before)
    alice.refresh_from_db()
    assert not alice.is_superuser
    assert alice.email == "alice@example.com"


def test_a_change_does_not_undo_a_block(alice_api: APIClient, alice: User) -> None:
    stale = User.objects.get()
    services.set_active(alice, False, actor=None)

    services.update_profile(stale, full_name="Alice L.")

    assert not User.objects.get().is_active


# cases E62, G73
def test_a_new_password_ends_every_login_and_notifies(
    alice_api: APIClient,
    alice: User,
    mailoutbox: list[EmailMessage],
    django_capture_on_commit_callbacks: Any,
) -> None:
    token = jwt.issue_pair(alice).refresh_token
    site = Client()
    site.force_login(alice)
    assert "_auth_user_id" in site.session

    with django_capture_on_commit_callbacks(execute=True):
        response = alice_api.patch(URL, {"password": "another-horse-8"})

    assert response.status_code == 200
    assert "password" not in response.json()
    alice.refresh_from_db()
    assert alice.check_password("another-horse-8")
    assert_rejected(refresh(token))
    assert RefreshFamily.objects.get().revoked_at is not None
    assert site.get("/admin/").wsgi_request.user.is_anonymous
    (mail,) = mailoutbox
    assert mail.to == [alice.email]
    assert mail.subject == "Your password was changed"
    assert mail.body.startswith("Hello alice,")
    assert "another-horse-8" not in mail.body


def test_a_name_alone_ends_no_login(
    alice_api: APIClient, alice: User, mailoutbox: list[EmailMessage], django_capture_on_commit_callbacks: Any
) -> None:
    token = jwt.issue_pair(alice).refresh_token

    with django_capture_on_commit_callbacks(execute=True):
        alice_api.patch(URL, {"full_name": "Alice L."})

    assert refresh(token).status_code == 200
    assert mailoutbox == []


def test_a_password_changed_on_the_command_line_ends_logins_too(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    token = jwt.issue_pair(alice).refresh_token
    monkeypatch.setattr("getpass.getpass", lambda *_args, **_kwargs: "another-horse-8")

    management.call_command("changepassword", alice.email, verbosity=0)

    assert_rejected(refresh(token))


def test_an_upgraded_hash_is_no_new_password(
    api: APIClient,
    alice: User,
    settings: Any,
    mailoutbox: list[EmailMessage],
    django_capture_on_commit_callbacks: Any,
) -> None:
    token = jwt.issue_pair(alice).refresh_token
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.ScryptPasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]

    with django_capture_on_commit_callbacks(execute=True):
        response = api.post("/api/v1/auth/login", {"email": alice.email, "password": PASSWORD})

    assert response.status_code == 200
    alice.refresh_from_db()
    assert alice.password.startswith("scrypt$")
    assert refresh(token).status_code == 200
    assert mailoutbox == []


# case G77
def test_a_dead_broker_does_not_undo_the_password(
    alice_api: APIClient,
    alice: User,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    def fail(_user_id: str) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(tasks.send_password_changed, "delay", fail)
    with django_capture_on_commit_callbacks(execute=True):
        response = alice_api.patch(URL, {"password": "another-horse-8"})

    assert response.status_code == 200
    alice.refresh_from_db()
    assert alice.check_password("another-horse-8")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("password", "short-1"),
        ("password", "12345678901"),
        ("password", "alice@example.com"),
        ("password", "a1-" * 43),
        ("password", ""),
        ("full_name", "x" * 201),
        ("full_name", "a\x00b"),
        *((field, value) for field in ("full_name", "password") for value in (12345678, 1.5, True, None, [], {})),
    ],
)
def test_rejects_bad_values(alice_api: APIClient, alice: User, field: str, value: Any) -> None:
    token = jwt.issue_pair(alice).refresh_token
    good = {"full_name": "New Name", "password": "another-horse-8"}

    response = alice_api.patch(URL, {**good, field: value})

    assert (response.status_code, list(response.json())) == (400, [field])
    alice.refresh_from_db()
    assert alice.full_name == "Alice"
    assert alice.check_password(PASSWORD)
    assert refresh(token).status_code == 200


@pytest.mark.parametrize("method", ["get", "patch"])
@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        "Bearer",
        "Bearer a b",
        "Bearer garbage",
        "Bearer a.b.c",
        "Basic YWxpY2U6eA==",
        "Bearer \xff\xfe",
        "\x00",
        f"Bearer {deep_header()}",
        "Bearer " + "x" * 100_000,
    ],
)
def test_a_bad_authorization_is_401(api: APIClient, method: str, header: str) -> None:
    response = getattr(api, method)(URL, headers={"Authorization": header})

    assert response.status_code == 401
    assert response["Content-Type"] == "application/json"
    assert set(response.json()) == {"detail", "code"}
    assert all(isinstance(value, str) for value in response.json().values())


def test_a_blocked_user_is_rejected(alice_api: APIClient, alice: User) -> None:
    services.set_active(alice, False, actor=None)

    response = alice_api.get(URL)

    assert (response.status_code, response.json()["code"]) == (401, "user_inactive")


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_other_methods_are_405(alice_api: APIClient, method: str) -> None:
    assert getattr(alice_api, method)(URL).status_code == 405
