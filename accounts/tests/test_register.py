"""POST /auth/register."""

import json
import threading
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from accounts import selectors
from accounts.models import User
from accounts.tests.factories import PASSWORD, UserFactory

URL = "/api/v1/auth/register"
BODY = {"email": "carol@example.com", "username": "carol", "password": "tr0ub4dor-and-3"}

pytestmark = pytest.mark.django_db


def test_signs_up(api: APIClient) -> None:
    response = api.post(URL, {**BODY, "full_name": "Carol Danvers"})

    user = User.objects.get()
    assert response.status_code == 201
    assert json.loads(response.content) == {
        "id": str(user.pk),
        "email": "carol@example.com",
        "username": "carol",
        "full_name": "Carol Danvers",
        "currency_balance": 0.0,
        "is_active": True,
        "created_at": user.created_at.isoformat().replace("+00:00", "Z"),
    }
    assert user.check_password(BODY["password"])
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert user.wallet.balance == 0


def test_full_name_is_optional(api: APIClient) -> None:
    assert api.post(URL, BODY).json()["full_name"] == ""


def test_ignores_fields_that_cannot_be_chosen(api: APIClient) -> None:
    response = api.post(URL, {**BODY, "is_superuser": True, "is_staff": True, "currency_balance": 1000})

    user = User.objects.get()
    assert response.status_code == 201
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert user.wallet.balance == 0


def test_email_is_kept_in_lower_case(api: APIClient) -> None:
    assert api.post(URL, {**BODY, "email": " Carol@Example.COM "}).json()["email"] == "carol@example.com"


@pytest.mark.parametrize(
    ("field", "value"),
    [("email", "ALICE@example.com"), ("username", "Alice")],
)
def test_email_and_username_are_unique_whatever_the_case(api: APIClient, alice: User, field: str, value: str) -> None:
    response = api.post(URL, {**BODY, field: value})

    assert response.status_code == 400
    assert list(response.json()) == [field]
    assert list(User.objects.all()) == [alice]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "carol"),
        ("email", ""),
        ("email", "carol@example.com\x00"),
        ("email", f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 63}.com"),
        # In lower case each becomes two characters, so that 254 exceed the length of the column.
        ("email", f"{'a' * 60}@{'İ' * 60}.{'İ' * 60}.{'İ' * 60}.com"),
        ("username", "ab"),
        ("username", "a" * 65),
        ("username", "two words"),
        ("username", "car\nol"),
        ("username", "<b>bold</b>"),
        ("password", "short-1"),
        ("password", "password123"),
        ("password", "73462517293"),
        ("password", "carol@example"),
        ("password", "a1-" * 43),
        ("password", "tr0ub4dor\x00and-3"),
        ("full_name", "x" * 201),
        ("full_name", None),
        ("referral_code", "0123456789"),
        ("referral_code", "x" * 17),
        *(
            (field, value)
            for field in ("email", "username", "password")
            for value in (12345678, 1.5, True, None, [], {})
        ),
    ],
)
def test_rejects_bad_values(api: APIClient, field: str, value: Any) -> None:
    response = api.post(URL, {**BODY, field: value})

    assert response.status_code == 400, response.content
    assert list(response.json()) == [field]
    assert not User.objects.exists()


def test_rejects_a_password_like_the_full_name(api: APIClient) -> None:
    response = api.post(URL, {**BODY, "full_name": "Maximiliana", "password": "maximiliana1"})

    assert response.status_code == 400
    assert response.json() == {"password": ["The password is too similar to the full name."]}


@pytest.mark.parametrize("field", ["email", "username", "password"])
def test_rejects_a_missing_field(api: APIClient, field: str) -> None:
    response = api.post(URL, {name: value for name, value in BODY.items() if name != field})

    assert response.status_code == 400
    assert response.json() == {field: ["This field is required."]}
    assert not User.objects.exists()


def test_limits_are_inclusive(api: APIClient) -> None:
    response = api.post(URL, {**BODY, "username": "c" * 64, "full_name": "n" * 200, "password": "Zq9" * 42 + "!!"})

    assert response.status_code == 201


def test_spaces_around_a_password_count(api: APIClient) -> None:
    api.post(URL, {**BODY, "password": "  tr0ub4dor  "})

    assert User.objects.get().check_password("  tr0ub4dor  ")


def test_referral_code_names_the_referrer(api: APIClient, alice: User) -> None:
    assert api.post(URL, {**BODY, "referral_code": alice.referral_code}).status_code == 201
    assert User.objects.get(username="carol").referred_by == alice


def test_empty_referral_code_is_none(api: APIClient) -> None:
    assert api.post(URL, {**BODY, "referral_code": ""}).status_code == 201
    assert User.objects.get().referred_by is None


def test_a_wrong_jwt_does_not_stand_in_the_way(api: APIClient) -> None:
    assert api.post(URL, BODY, headers={"Authorization": "Bearer garbage"}).status_code == 201


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_other_methods_are_405(api: APIClient, method: str) -> None:
    response = getattr(api, method)(URL)

    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("other", "field"), [({"username": "carol2"}, "email"), ({"email": "carol2@example.com"}, "username")]
)
def test_of_parallel_sign_ups_one_wins(monkeypatch: pytest.MonkeyPatch, other: dict[str, str], field: str) -> None:
    both_checked = threading.Barrier(2, timeout=10)
    first_look = threading.local()
    username_taken = selectors.username_taken

    def checked_together(username: str) -> bool:
        taken = username_taken(username)
        if not getattr(first_look, "done", False):
            first_look.done = True
            both_checked.wait()
        return taken

    monkeypatch.setattr(selectors, "username_taken", checked_together)
    responses: list[Any] = []

    def sign_up(body: dict[str, str]) -> None:
        responses.append(APIClient().post(URL, body))
        connections.close_all()

    threads = [threading.Thread(target=sign_up, args=[body]) for body in (BODY, {**BODY, **other})]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    won, lost = sorted(responses, key=lambda response: response.status_code)
    assert (won.status_code, lost.status_code) == (201, 400)
    assert list(lost.json()) == [field]
    assert User.objects.count() == 1


def test_a_new_user_gets_no_message_about_a_password(api: APIClient, mailoutbox: list[Any]) -> None:
    api.post(URL, BODY)
    UserFactory(password=PASSWORD)

    assert mailoutbox == []
