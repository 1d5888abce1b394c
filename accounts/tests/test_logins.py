"""The user's logins: listed and revoked."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import jwt, logins, user_agents
from accounts.models import RefreshFamily, User
from accounts.sessions import WebSession
from accounts.tests.factories import PASSWORD

URL = "/accounts/logins/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1"

pytestmark = pytest.mark.django_db


def log_in(user: User, user_agent: str = FIREFOX, **request: Any) -> Client:
    client = Client(HTTP_USER_AGENT=user_agent)
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD}, **request)
    return client


def signed_in(client: Client) -> bool:
    return client.get("/accounts/profile/").status_code == 200


def shown(client: Client) -> list[logins.Login]:
    return list(client.get(URL).context["logins"])


def test_shows_browsers_and_clients(alice: User, bob: User) -> None:
    here = log_in(alice)
    log_in(alice, SAFARI, REMOTE_ADDR="198.51.100.7")
    jwt.issue_pair(alice, address="198.51.100.8", user_agent="ZenzefiDesktop/2.4")
    log_in(bob)

    found = {login.client: (login.address, login.over_api, login.current) for login in shown(here)}

    assert found == {
        "Firefox, Linux": ("127.0.0.1", False, True),
        "Safari, iPhone": ("198.51.100.7", False, False),
        "ZenzefiDesktop/2.4": ("198.51.100.8", True, False),
    }
    page = here.get(URL).content.decode()
    assert not any(session.session_key in page for session in WebSession.objects.all())


@pytest.mark.parametrize("over_api", [True, False])
def test_one_is_ended(alice: User, over_api: bool) -> None:
    here, there = log_in(alice), log_in(alice, SAFARI)
    jwt.issue_pair(alice)
    (wanted,) = (login for login in shown(here) if login.over_api == over_api and not login.current)

    here.post(URL, {"login": wanted.id})

    assert signed_in(here)
    assert signed_in(there) is over_api
    assert RefreshFamily.objects.filter(revoked_at=None).exists() is not over_api


def test_other_users_logins_cannot_be_revoked(alice: User, bob: User) -> None:
    here, theirs = log_in(alice), log_in(bob)
    jwt.issue_pair(bob)

    for login in shown(theirs):
        here.post(URL, {"login": login.id})

    assert signed_in(theirs)
    assert RefreshFamily.objects.filter(revoked_at=None).count() == 1


def test_everywhere_else(alice: User, bob: User) -> None:
    here, there, theirs = log_in(alice), log_in(alice), log_in(bob)
    jwt.issue_pair(alice)

    here.post(URL)

    assert [signed_in(client) for client in (here, there, theirs)] == [True, False, True]
    assert not RefreshFamily.objects.filter(revoked_at=None).exists()


# case G73
def test_a_new_password_ends_the_others_and_not_this_one(alice: User) -> None:
    here, there = log_in(alice), log_in(alice)

    response = here.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": "another-horse-8"})

    assert response["Location"] == "/accounts/profile/"
    assert [signed_in(here), signed_in(there)] == [True, False]
    assert [login.current for login in shown(here)] == [True]


def test_the_old_password_is_needed_and_counted(alice: User, settings: Any) -> None:
    here = log_in(alice)
    settings.RATE_LIMIT_AUTH = "1/hour"
    form = {"oldpassword": "wrong-horse-7", "password1": "another-horse-8"}

    wrong = here.post("/accounts/password/change/", form, REMOTE_ADDR="198.51.100.9")
    again = here.post("/accounts/password/change/", {**form, "oldpassword": PASSWORD}, REMOTE_ADDR="198.51.100.9")

    assert wrong.context["form"].errors == {"oldpassword": ["The password is wrong."]}
    assert again.status_code == 429
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_the_last_use_is_noted_once_a_minute(alice: User, django_assert_num_queries: Any) -> None:
    here = log_in(alice)
    long_ago = timezone.now() - timedelta(hours=1)
    WebSession.objects.update(last_seen_at=long_ago)

    here.get(URL)

    seen = WebSession.objects.get().last_seen_at
    assert seen > long_ago
    here.get(URL)
    assert WebSession.objects.get().last_seen_at == seen


# case G84
def test_expired_logins_are_not_shown_and_are_forgotten(alice: User) -> None:
    here = log_in(alice)
    log_in(alice, SAFARI)
    jwt.issue_pair(alice)
    past = timezone.now() - timedelta(seconds=1)
    WebSession.objects.filter(user_agent=SAFARI).update(expire_date=past)
    RefreshFamily.objects.update(expires_at=past)

    assert [login.current for login in shown(here)] == [True]
    assert logins.delete_expired() == 2
    assert WebSession.objects.count() == 1


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge, Windows"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome, Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.0 Safari/605.1.15", "Safari, macOS"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("x" * 200, "x" * 60),
        ("", "unknown"),
    ],
)
def test_clients_have_names(user_agent: str, expected: str) -> None:
    assert user_agents.describe(user_agent) == expected
