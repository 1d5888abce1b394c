"""Attempts that are refused: which of them count, and what they leave behind."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.models import User
from accounts.sessions import WebSession
from accounts.tests.factories import PASSWORD, turn_on_totp
from zenzefi.common import rate_limits

pytestmark = pytest.mark.django_db(transaction=True)

WRONG = "wrong-horse-7"
CAROL = {"email": "carol@example.com", "username": "carol", "password": "tr0ub4dor-and-3"}
Attempt = Callable[[], Any]


@pytest.fixture(autouse=True)
def _three_attempts(settings: Any) -> Any:
    settings.RATE_LIMIT_AUTH = settings.RATE_LIMIT_API = "3/hour"
    settings.RATE_LIMIT_STORAGE = "memory://"
    rates = dict.fromkeys(("reset_password_from_key", "change_password"), "3/m/ip")
    settings.ACCOUNT_RATE_LIMITS = {**settings.ACCOUNT_RATE_LIMITS, **rates}
    rate_limits._limiter.cache_clear()
    yield
    rate_limits._limiter.cache_clear()


def call(method: str, path: str, body: Any = None, *, authorization: str = "") -> Callable[[User], Attempt]:
    """Return an attempt over the API, by a client without credentials or with those in `authorization`."""

    def prepared(alice: User) -> Attempt:
        headers = {"Authorization": authorization} if authorization else {}
        data = {**body, "email": alice.email} if body and "email" in body else body
        return lambda: getattr(APIClient(), method)(f"/api/v1/{path}", data, headers=headers)

    return prepared


def form(path: str, logged_in: bool = False, **fields: str) -> Callable[[User], Attempt]:
    """Return an attempt with a form of the site; `{email}` in a field is that of Alice."""

    def prepared(alice: User) -> Attempt:
        client = Client()
        if logged_in:
            client.force_login(alice)
            client.post("/accounts/reauthenticate/", {"password": PASSWORD})
        data = {name: value.format(email=alice.email) for name, value in fields.items()}
        return lambda: client.post(path, data)

    return prepared


def second_factor(alice: User) -> Attempt:
    turn_on_totp(alice)
    body = {"email": alice.email, "password": PASSWORD, "otp": "000000"}
    return lambda: APIClient().post("/api/v1/auth/login", body)


def second_factor_page(alice: User) -> Attempt:
    turn_on_totp(alice)
    client = Client()
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    return lambda: client.post("/accounts/2fa/authenticate/", {"code": "000000"})


def new_address(alice: User) -> Attempt:
    numbers = iter(range(9))
    client = Client()
    client.force_login(alice)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    data = {"action_add": ""}
    return lambda: client.post("/accounts/email/", {**data, "email": f"new{next(numbers)}@example.com"})


# The table in docs/accounts.md; the statuses are those of the attempts below the limit.
ATTEMPTS: dict[str, tuple[Callable[[User], Attempt], int]] = {
    "login": (call("post", "auth/login", {"email": "", "password": WRONG}), 401),
    "login page": (form("/accounts/login/", login="{email}", password=WRONG), 200),
    "second factor": (second_factor, 401),
    "second factor page": (second_factor_page, 200),
    "password again": (form("/accounts/reauthenticate/", logged_in=True, password=WRONG), 200),
    "old password": (
        form("/accounts/password/change/", logged_in=True, oldpassword=WRONG, password1="another-horse-8"),
        200,
    ),
    "sign-up": (call("post", "auth/register", CAROL), 400),
    "sign-up page": (form("/accounts/signup/", **{**CAROL, "email": "{email}"}), 200),
    "reset page": (form("/accounts/password/reset/", email="{email}"), 302),
    "reset key": (form("/accounts/password/reset/key/1-wrong/"), 200),
    "new address": (new_address, 302),
    "API token": (call("get", "users/me", authorization="Bearer zat_wrong"), 401),
    "JWT": (call("get", "users/me", authorization="Bearer wrong"), 401),
    "no credentials": (call("get", "users/me"), 401),
    "no credentials for operators": (call("get", "admin/users"), 401),
    "refresh token": (call("post", "auth/refresh", {"refresh_token": "wrong"}), 401),
    "access token": (call("post", "tokens/validate", {"token": "w" * 64}), 200),
    "unknown tariff": (call("get", "tariffs/00000000-0000-0000-0000-000000000000"), 404),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_after_three_attempts_the_next_is_429(name: str, alice: User, settings: Any) -> None:
    prepare, status = ATTEMPTS[name]
    if name in ("login", "second factor", "sign-up"):
        settings.RATE_LIMIT_API = ""  # it would count the same call
    attempt = prepare(alice)

    assert [attempt().status_code for _number in range(3)] == [status] * 3
    response = attempt()

    assert response.status_code == 429
    assert 1 <= int(response["Retry-After"]) <= 3600
    if response.request["PATH_INFO"].startswith("/api/"):
        assert response.json()["code"] == "rate_limited"
    else:
        assert response["Content-Type"].startswith("text/html")


def test_wrong_api_tokens_also_stop_a_right_one_from_their_address(alice: User) -> None:
    """Otherwise the limit would not limit guesses."""
    from accounts import api_tokens

    _token, text = api_tokens.create(alice, name="script", scopes=["read"], days=7)
    right = {"Authorization": f"Bearer {text}"}
    assert APIClient().get("/api/v1/users/me", headers=right).status_code == 200
    for _number in range(3):
        APIClient().get("/api/v1/users/me", headers={"Authorization": "Bearer zat_wrong"})

    assert APIClient().get("/api/v1/users/me", headers=right).status_code == 429
    assert APIClient().get("/api/v1/users/me", headers=right, REMOTE_ADDR="192.0.2.2").status_code == 200


ANONYMOUS_FORMS = {
    "login": form("/accounts/login/", login="{email}", password=WRONG, next="/tokens/buy"),
    "empty login": form("/accounts/login/", next="/tokens/buy"),
    "sign-up": form("/accounts/signup/", **{**CAROL, "email": "{email}"}, next="/tokens/buy"),
    "weak sign-up": form("/accounts/signup/", **{**CAROL, "password": "12345678"}, next="/tokens/buy"),
    "empty sign-up": form("/accounts/signup/", next="/tokens/buy"),
    "reset": form("/accounts/password/reset/", email="nonsense"),
    "reset that is sent": form("/accounts/password/reset/", email="{email}"),
    "reset key": form("/accounts/password/reset/key/1-wrong/"),
    "confirmation key": form("/accounts/confirm-email/wrong/"),
    "code without a login": form("/accounts/2fa/authenticate/", code="000000"),
    "password without a login": form("/accounts/reauthenticate/", password=WRONG),
    "admin": form("/admin/login/", username="{email}", password=WRONG),
    "logout": form("/accounts/logout/"),
    "language": form("/preferences/language", language="xx"),
}


# A sign-up with a known address is not refused if confirmation is mandatory: it must look like a new one.
REFUSED = [(name, mode) for name in ANONYMOUS_FORMS for mode in ("optional", "mandatory")]
REFUSED.remove(("sign-up", "mandatory"))


@pytest.mark.parametrize(("name", "mode"), REFUSED)
def test_a_refused_form_stores_no_session(name: str, mode: str, alice: User, settings: Any) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = mode
    attempt = ANONYMOUS_FORMS[name](alice)

    for _number in range(5):  # including attempts above the limit
        response = attempt()

    assert response.status_code < 500
    assert not WebSession.objects.exists()
    assert settings.SESSION_COOKIE_NAME not in response.client.cookies


@pytest.mark.parametrize("log_in", ["api", "site"])
@pytest.mark.parametrize("other", ["user", "address"])
def test_right_passwords_are_limited_by_address_and_by_user(
    alice: User, bob: User, settings: Any, log_in: str, other: str
) -> None:
    settings.RATE_LIMIT_LOGIN = "2/hour"

    def status(user: User, address: str) -> int:
        if log_in == "api":
            body = {"email": user.email, "password": PASSWORD}
            return APIClient(REMOTE_ADDR=address).post("/api/v1/auth/login", body).status_code
        form = {"login": user.email, "password": PASSWORD}
        return Client(REMOTE_ADDR=address).post("/accounts/login/", form).status_code

    success = 200 if log_in == "api" else 302
    assert [status(alice, "192.0.2.1") for _ in range(3)] == [success, success, 429]
    assert status(bob if other == "user" else alice, "192.0.2.1" if other == "user" else "192.0.2.2") == 429
    assert status(bob, "192.0.2.2") == success
