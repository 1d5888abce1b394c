"""The login page: the same rules and the same count of failures as the API's login."""

from typing import Any

import pytest
from django.contrib.auth import hashers
from django.core.mail import EmailMessage
from django.test import Client

from accounts import email_addresses, services
from accounts.models import RefreshFamily, User
from accounts.sessions import WebSession
from accounts.tests.factories import PASSWORD, code_of, recovery_codes_of, turn_on_totp

URL = "/accounts/login/"
API = "/api/v1/auth/login"

pytestmark = pytest.mark.django_db


def log_in(client: Client, user: User, password: str = PASSWORD, **request: Any) -> Any:
    return client.post(URL, {"login": user.email, "password": password}, **request)


def signed_in(client: Client) -> bool:
    return client.get("/accounts/profile/").status_code == 200


def test_lets_in_and_leads_on(client: Client, alice: User) -> None:
    response = client.post(
        URL, {"login": " Alice@Example.com", "password": PASSWORD, "next": "/docs"}, HTTP_USER_AGENT="Firefox/1"
    )

    assert (response.status_code, response["Location"]) == (302, "/docs")
    session = WebSession.objects.get(user=alice)
    assert (session.address, session.user_agent) == ("127.0.0.1", "Firefox/1")


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_leads_nowhere_else(client: Client, alice: User, target: str) -> None:
    response = client.post(URL, {"login": alice.email, "password": PASSWORD, "next": target})

    assert response["Location"] == "/dashboard"


@pytest.mark.parametrize("second_factor", [False, True], ids=["password", "and a code"])
@pytest.mark.parametrize("name", ["alice", "olga"])
def test_leads_to_the_dashboard_or_back_to_the_admin(
    client: Client, name: str, second_factor: bool, request: pytest.FixtureRequest
) -> None:
    user = request.getfixturevalue(name)
    recovery = recovery_codes_of(user) if second_factor and turn_on_totp(user) else []

    def enter(url: str) -> str:
        asked = client.get(url, follow=True)
        form = {"login": user.email, "password": PASSWORD, "next": asked.context.get("redirect_field_value") or ""}
        response = client.post(URL, form)
        if second_factor:
            response = client.post(response["Location"], {"code": recovery.pop()})
        client.logout()
        return str(response["Location"])

    assert enter(URL) == "/dashboard"
    assert enter("/admin/accounts/user/") == "/admin/accounts/user/"


# case E62
@pytest.mark.parametrize("who", ["unknown e-mail", "wrong password", "blocked user"])
def test_failures_look_alike_and_cost_the_same_hashing(
    client: Client, alice: User, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if who == "blocked user":
        services.set_active(alice, False, actor=None)
    email = "nobody@example.com" if who == "unknown e-mail" else alice.email
    hashed = []
    encode = hashers.MD5PasswordHasher.encode
    monkeypatch.setattr(hashers.MD5PasswordHasher, "encode", lambda *given: hashed.append(given[1]) or encode(*given))

    response = client.post(URL, {"login": email, "password": PASSWORD if who == "blocked user" else "wrong-horse-7"})

    assert response.status_code == 200
    assert response.context["form"].non_field_errors() == ["The e-mail or the password is wrong."]
    assert f'value="{email}"' in response.content.decode()
    assert len(hashed) == 1
    assert not signed_in(client)


# case E61
def test_the_page_and_the_api_share_one_count(client: Client, alice: User, settings: Any) -> None:
    settings.RATE_LIMIT_AUTH = "2/hour"
    here, elsewhere = {"REMOTE_ADDR": "198.51.100.2"}, {"REMOTE_ADDR": "198.51.100.3"}
    log_in(client, alice, "wrong-horse-7", **here)
    wrong = {"email": alice.email, "password": "wrong-horse-7"}
    assert client.post(API, wrong, content_type="application/json", **here).status_code == 401

    page = log_in(client, alice, **here, headers={"x-forwarded-for": "203.0.113.9"})
    call = client.post(API, {**wrong, "password": PASSWORD}, content_type="application/json", **here)

    assert (page.status_code, call.status_code) == (429, 429)
    assert 3500 < int(page["Retry-After"]) <= 3600
    assert "Too many attempts. Try again in 60 minutes." in page.content.decode()
    assert log_in(client, alice, **elsewhere).status_code == 302  # the victim is not locked out


def test_if_confirmation_is_mandatory_a_link_is_sent_instead(
    client: Client,
    alice: User,
    settings: Any,
    mailoutbox: list[EmailMessage],
    django_capture_on_commit_callbacks: Any,
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    with django_capture_on_commit_callbacks(execute=True):
        response = log_in(client, alice)
        log_in(client, alice)

    assert response["Location"] == "/accounts/confirm-email/"
    assert not signed_in(client)
    assert [message.to for message in mailoutbox] == [[alice.email]]  # at most one in three minutes
    email_addresses.mark_confirmed(alice)
    log_in(client, alice)
    assert signed_in(client)


# case E65
class TestTheSecondFactor:
    CODE = "/accounts/2fa/authenticate/"

    def test_a_code_is_required_and_accepted_once(self, client: Client, alice: User) -> None:
        secret = turn_on_totp(alice)

        assert log_in(client, alice)["Location"] == self.CODE
        assert not signed_in(client)
        code = code_of(secret)
        assert client.post(self.CODE, {"code": code}).status_code == 302
        assert signed_in(client)

        other = Client()
        log_in(other, alice)
        rejected = other.post(self.CODE, {"code": code})
        error = "The code is wrong or has already been used. Enter another one."
        assert rejected.context["form"].errors == {"code": [error]}
        assert not signed_in(other)

    @pytest.mark.parametrize("door", ["page", "api"])
    def test_a_recovery_code_passes_once(self, alice: User, door: str) -> None:
        turn_on_totp(alice)
        code, *rest = recovery_codes_of(alice)

        def enter(code: str) -> bool:
            client = Client()
            if door == "api":
                body = {"email": alice.email, "password": PASSWORD, "otp": code}
                return client.post(API, body, content_type="application/json").status_code == 200
            log_in(client, alice)
            client.post(self.CODE, {"code": code})
            return signed_in(client)

        assert [enter(code), enter(code)] == [True, False]
        assert recovery_codes_of(alice) == rest

    def test_wrong_codes_are_counted_with_wrong_passwords(self, client: Client, alice: User, settings: Any) -> None:
        settings.RATE_LIMIT_AUTH = "2/hour"
        here = {"REMOTE_ADDR": "198.51.100.4"}
        secret = turn_on_totp(alice)
        log_in(client, alice, **here)
        for _attempt in range(2):
            assert client.post(self.CODE, {"code": "000000"}, **here).status_code == 200

        rejected = client.post(self.CODE, {"code": code_of(secret)}, **here)

        assert (rejected.status_code, "Retry-After" in rejected) == (429, True)
        assert log_in(Client(), alice, **here).status_code == 429
        # From another address the password is accepted, but the failures with this user's codes still count.
        elsewhere = Client()
        assert log_in(elsewhere, alice, REMOTE_ADDR="198.51.100.5").status_code == 302
        assert elsewhere.post(self.CODE, {"code": "111111"}, REMOTE_ADDR="198.51.100.5").status_code == 429

    def test_no_page_without_the_password(self, client: Client) -> None:
        assert client.get(self.CODE)["Location"] == URL


def test_logging_out_needs_a_button(client: Client, alice: User) -> None:
    client.force_login(alice)

    assert client.get("/accounts/logout/").status_code == 200
    assert signed_in(client)
    client.post("/accounts/logout/")
    assert not signed_in(client)
    assert not WebSession.objects.filter(user=alice).exists()
    assert not RefreshFamily.objects.exists()
