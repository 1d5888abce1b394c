"""Personal API tokens: shown once, limited in scope and time."""

from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import api_tokens, email_addresses, services
from accounts.models import ApiToken, AuditEvent, User
from accounts.tests.factories import PASSWORD
from conftest import fund

URL = "/api/v1/api-tokens"
PAGE = "/accounts/api-tokens/"

pytestmark = pytest.mark.django_db


def create_token(user: User, *scopes: str, days: int = 30) -> str:
    return api_tokens.create(user, name="script", scopes=scopes, days=days)[1]


def client_with_token(text: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client


class TestOverTheApi:
    def test_is_shown_once(self, alice_api: APIClient, alice: User) -> None:
        response = alice_api.post(URL, {"name": "backup", "scopes": ["read", "tokens"], "expires_in_days": 7})

        body = response.json()
        row = ApiToken.objects.get()
        assert response.status_code == 201
        assert body["token"].startswith("zat_")
        assert body["token"] not in str(vars(row))
        assert (body["prefix"], row.prefix) == (body["token"][:10],) * 2
        assert body["scopes"] == row.scopes == ["read", "tokens"]
        assert timedelta(days=6.9) < row.expires_at - timezone.now() <= timedelta(days=7)
        (listed,) = alice_api.get(URL).json()["items"]
        assert listed == {name: body[name] for name in listed}
        assert "token" not in listed
        event = AuditEvent.objects.get()
        assert (event.kind, event.user, event.details["api_token"]) == ("api_token_created", alice, body["id"])

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"scopes": []}, "scopes"),
            ({"scopes": ["admin"]}, "scopes"),
            ({"scopes": "read"}, "scopes"),
            ({"expires_in_days": 0}, "expires_in_days"),
            ({"expires_in_days": 366}, "expires_in_days"),
        ],
    )
    def test_rejects(self, alice_api: APIClient, change: dict[str, Any], field: str) -> None:
        response = alice_api.post(URL, {"name": "backup", "scopes": ["read"], **change})

        assert (response.status_code, list(response.json())) == (400, [field])
        assert not ApiToken.objects.exists()

    def test_ends(self, alice_api: APIClient, bob_api: APIClient, alice: User) -> None:
        text = create_token(alice, "read")
        (token,) = ApiToken.objects.all()

        assert bob_api.delete(f"{URL}/{token.pk}").status_code == 404
        assert client_with_token(text).get("/api/v1/users/me").status_code == 200
        assert alice_api.delete(f"{URL}/{token.pk}").status_code == 204
        assert alice_api.delete(f"{URL}/{token.pk}").status_code == 404
        assert client_with_token(text).get("/api/v1/users/me").json()["code"] == "token_not_valid"
        assert AuditEvent.objects.first().kind == "api_token_revoked"

    def test_their_number_is_limited(self, alice_api: APIClient, alice: User, monkeypatch: Any) -> None:
        monkeypatch.setattr(api_tokens, "MAX_USABLE", 1)
        create_token(alice, "read")

        assert alice_api.post(URL, {"name": "two", "scopes": ["read"]}).status_code == 400


class TestWhatItOpens:
    CALLS = {
        "read": [("get", "users/me"), ("get", "currency/balance"), ("get", "currency/transactions")],
        "tokens": [("post", "tokens/purchase"), ("get", "tokens/my-tokens")],
        "currency": [("post", "currency/purchase"), ("post", "currency/mock-purchase")],
    }

    @pytest.mark.parametrize("scope", CALLS)
    def test_a_scope_and_no_other(self, alice: User, scope: str) -> None:
        fund(alice, 100)
        api = client_with_token(create_token(alice, scope))
        body = {"duration_hours": 1, "amount": 5}

        for needed, calls in self.CALLS.items():
            for method, path in calls:
                response = getattr(api, method)(f"/api/v1/{path}", body if method == "post" else None)
                if needed == scope:
                    assert response.status_code in (200, 201), path
                else:
                    assert (response.status_code, response.json()["code"]) == (403, "scope_missing"), path

    def test_never_the_account_itself(self, alice: User, olga: User) -> None:
        api = client_with_token(create_token(alice, *ApiToken.Scope.values))
        operator = client_with_token(create_token(olga, *ApiToken.Scope.values))

        rejected = [
            api.patch("/api/v1/users/me", {"password": "another-horse-8"}),
            api.post("/api/v1/auth/logout"),
            api.post(URL, {"name": "more", "scopes": ["read"]}),
            api.get(URL),
            operator.get("/api/v1/admin/users"),
            operator.patch(f"/api/v1/admin/users/{alice.pk}", {"is_active": False}),
        ]

        assert {(response.status_code, response.json()["code"]) for response in rejected} == {(403, "scope_missing")}
        alice.refresh_from_db()
        assert (alice.is_active, alice.check_password(PASSWORD)) == (True, True)

    def test_no_view_names_a_scope_that_does_not_exist(self) -> None:
        found = [getattr(pattern.callback, "cls", None) for pattern in patterns(get_resolver())]
        scoped = [view.api_token_scopes for view in found if hasattr(view, "api_token_scopes")]
        assert len(scoped) >= 13
        assert {scope for scopes in scoped for scope in scopes.values()} == set(ApiToken.Scope.values)
        assert all(scope != "read" for scopes in scoped for method, scope in scopes.items() if method != "GET")


def patterns(resolver: URLResolver) -> list[URLPattern]:
    return [
        found
        for each in resolver.url_patterns
        for found in (patterns(each) if isinstance(each, URLResolver) else [each])
    ]


@pytest.mark.parametrize("reason", ["unknown", "expired", "blocked user", "unconfirmed"])
def test_is_rejected(alice: User, settings: Any, reason: str) -> None:
    text = create_token(alice, "read")
    if reason == "unknown":
        text = f"{text}x"
    elif reason == "expired":
        ApiToken.objects.update(expires_at=timezone.now())
    elif reason == "blocked user":
        services.set_active(alice, False, actor=None)
    else:
        settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    response = client_with_token(text).get("/api/v1/users/me")

    assert (response.status_code, response.json()["code"]) == (401, "token_not_valid")
    assert response["WWW-Authenticate"] == 'Bearer realm="api"'
    email_addresses.mark_confirmed(alice)
    assert client_with_token(create_token(alice, "read")).get("/api/v1/users/me").status_code == (
        401 if reason == "blocked user" else 200
    )


@pytest.mark.parametrize("text", ["zat_", "zat_\udcff", "zat_" + "x" * 5000, "zat_a b"])
def test_nonsense_is_401(api: APIClient, db: None, text: str) -> None:
    header = f"Bearer {text}".encode("utf-8", "surrogateescape").decode("latin-1")
    assert api.get("/api/v1/users/me", HTTP_AUTHORIZATION=header).status_code == 401


def test_the_last_use_is_noted_once_a_minute(alice: User) -> None:
    api = client_with_token(create_token(alice, "read"))

    def used(moment: datetime) -> Any:
        with time_machine.travel(moment, tick=False):
            assert api.get("/api/v1/users/me").status_code == 200
        return ApiToken.objects.get().last_used_at

    now = timezone.now()
    assert used(now) == now
    assert used(now + timedelta(seconds=59)) == now
    assert used(now + timedelta(seconds=61)) == now + timedelta(seconds=61)


class TestThePage:
    @pytest.fixture
    def as_alice(self, client: Client, alice: User) -> Client:
        client.force_login(alice)
        client.post("/accounts/reauthenticate/", {"password": PASSWORD})
        return client

    def test_asks_for_the_password(self, client: Client, alice: User) -> None:
        client.force_login(alice)

        for method in (client.get, client.post):
            assert method(PAGE)["Location"].startswith("/accounts/reauthenticate/")

    def filled_in(self, as_alice: Client) -> dict[str, Any]:
        """Return the filled-in form of the page, with its key."""
        key = as_alice.get(PAGE).context["form"]["key"].value()
        return {"key": key, "name": "backup", "scopes": ["read"], "days": "30"}

    def test_shows_the_text_in_one_response_only(self, as_alice: Client, alice: User) -> None:
        response = as_alice.post(PAGE, self.filled_in(as_alice))

        text = response.context["text"]
        assert text in response.content.decode()
        assert "no-store" in response["Cache-Control"]
        assert client_with_token(text).get("/api/v1/users/me").json()["username"] == "alice"
        assert text not in as_alice.get(PAGE).content.decode()
        assert text not in str(dict(as_alice.session))

    def test_a_reload_makes_no_second_one(self, as_alice: Client, alice: User, bob: User) -> None:
        form = self.filled_in(as_alice)
        text = as_alice.post(PAGE, form).context["text"]

        response = as_alice.post(PAGE, form, follow=True)

        assert response.redirect_chain == [(PAGE, 302)]
        assert "This API token has already been created" in response.content.decode()
        assert text not in response.content.decode()
        token = ApiToken.objects.get()
        api_tokens.revoke(alice, token.pk)
        as_alice.post(PAGE, form)
        assert ApiToken.objects.get() == token  # not even after it was deleted
        as_alice.post(PAGE, self.filled_in(as_alice))
        api_tokens.create(bob, name="bob's", scopes=["read"], days=7, key=form["key"])
        assert ApiToken.objects.count() == 3

    def test_the_form_below_a_new_token_makes_another(self, as_alice: Client) -> None:
        form = self.filled_in(as_alice)
        below = as_alice.post(PAGE, form).context["form"]["key"].value()
        assert (
            f'name="key" value="{below}"' in as_alice.post(PAGE, {**form, "key": below, "name": ""}).content.decode()
        )
        as_alice.post(PAGE, {**form, "key": below})
        assert ApiToken.objects.count() == 2

    def test_says_what_is_wrong_at_the_field(self, as_alice: Client) -> None:
        response = as_alice.post(PAGE, {**self.filled_in(as_alice), "scopes": [], "days": "3000"})

        assert sorted(response.context["form"].errors) == ["days", "scopes"]
        assert 'value="backup"' in response.content.decode()

    def test_ends_one_after_asking(self, as_alice: Client, alice: User, bob: User) -> None:
        create_token(alice, "read")
        create_token(bob, "read")
        own, foreign = (ApiToken.objects.get(user=user).pk for user in (alice, bob))

        assert as_alice.get(f"{PAGE}{own}/delete/").status_code == 200
        assert ApiToken.objects.get(pk=own).revoked_at is None
        assert as_alice.post(f"{PAGE}{own}/delete/")["Location"] == PAGE
        assert ApiToken.objects.get(pk=own).revoked_at is not None
        assert as_alice.post(f"{PAGE}{foreign}/delete/").status_code == 404
