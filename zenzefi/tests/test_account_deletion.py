"""Deletion of an account: refunds, forfeited credits, erased personal data, and the records that stay."""

from decimal import Decimal
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.test import Client
from django.utils import timezone
from rest_framework.exceptions import ValidationError

from access import services as access
from access.models import AccessToken, Revocation, Scope
from access.tests.conftest import tariffs  # noqa: F401  (a fixture)
from accounts import api_tokens, jwt, services
from accounts.models import ApiToken, AuditEvent, RefreshFamily, User
from accounts.sessions import WebSession
from accounts.tests.factories import PASSWORD, UserFactory, turn_on_totp
from billing import ledger, verification
from billing.idempotency import Call
from billing.models import Entry
from conftest import client_of, fund
from proxy.models import ProxySession
from proxy.personal_data import forget_deleted_users
from zenzefi.account_deletion import delete_account

URL = "/accounts/delete/"
AGREED = {"password": PASSWORD, "gives_up_credits": "on"}

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("tariffs")]


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def buy(user: User) -> AccessToken:
    return access.purchase(Call(user, "buy", key="", body=None), 24, Scope.FULL)


def visit(token: AccessToken) -> ProxySession:
    now = timezone.now()
    return ProxySession.objects.create(
        token=token,
        user=token.user,
        device_id="alice-laptop-41",
        ip="203.0.113.7",
        user_agent="Client",
        started_at=now,
        last_activity=now,
        bytes_transferred=7,
    )


def everything_of(user: User) -> str:
    """Return the rows of all models with personal data as text."""
    models = (User, EmailAddress, AuditEvent, ProxySession, AccessToken, WebSession, RefreshFamily, ApiToken)
    return "\n".join(str(row) for model in models for row in model.objects.values())


def test_the_page_says_what_will_happen(as_alice: Client, alice: User) -> None:
    fund(alice, 30)
    buy(alice)

    page = as_alice.get(URL).content.decode()

    assert "1 active token will be revoked" in page
    assert "worth 18.00\u00a0ZNC" in page
    assert "You will lose 30.00\u00a0ZNC of credits" in page
    alice.refresh_from_db()
    assert alice.is_active


def test_the_user_is_forgotten_and_the_books_stay(as_alice: Client, alice: User) -> None:
    fund(alice, 30)
    session = visit(buy(alice))
    turn_on_totp(alice)
    jwt.issue_pair(alice, address="203.0.113.7", user_agent="Client")
    api_tokens.create(alice, name="alice's script", scopes=["read"], days=7)
    moved = Entry.objects.filter(account__user=alice).count()

    response = as_alice.post(URL, AGREED, follow=True)

    assert response.redirect_chain == [("/", 302)]
    assert "Your account has been deleted." in response.content.decode()
    alice.refresh_from_db()
    assert (alice.is_active, alice.full_name, alice.has_usable_password()) == (False, "", False)
    assert alice.deleted_at is not None
    assert alice.email.endswith("@deleted.invalid")
    known = everything_of(alice)
    for trace in ("alice", "Alice", "203.0.113.7", "Client"):
        assert trace not in known, trace
    for model in (EmailAddress, Authenticator, ApiToken, RefreshFamily, WebSession):
        assert not model.objects.filter(user=alice).exists(), model
    # The refund of the unused token, and the forfeited credits.
    assert list(Entry.objects.filter(account__user=alice).order_by("id").values_list("amount", flat=True))[
        moved:
    ] == [
        Decimal("18.00"),
        Decimal("-30.00"),
    ]
    assert verification.verify() == []
    assert ledger.balance(alice) == 0
    session.refresh_from_db()
    assert (session.ip, session.device_id, session.bytes_transferred) == (None, "", 7)
    kinds = [event.kind for event in AuditEvent.objects.filter(user=alice).order_by("id")]
    assert kinds[-2:] == ["balance_adjusted", "user_deleted"]


# case G73
def test_live_connections_end(as_alice: Client, alice: User) -> None:
    fund(alice, 30)
    buy(alice)

    as_alice.post(URL, AGREED)

    assert set(Revocation.objects.values_list("cause", flat=True)) == {"revoked", "user_blocked"}


# case G73
def test_no_credential_works_any_more(as_alice: Client, alice: User) -> None:
    client = client_of(alice)
    family = jwt.issue_pair(alice)
    email = alice.email

    as_alice.post(URL, {"password": PASSWORD})

    assert as_alice.get("/accounts/profile/").status_code == 302
    assert client.get("/api/v1/users/me").status_code == 401
    refreshed = client.post("/api/v1/auth/refresh", {"refresh_token": family.refresh_token})
    assert refreshed.status_code == 401
    assert client.post("/api/v1/auth/login", {"email": email, "password": PASSWORD}).status_code == 401
    # The e-mail address and the user name can be used again.
    again = {"email": email, "username": "alice", "password": "tr0ub4dor-and-3"}
    assert client.post("/api/v1/auth/register", again).status_code == 201


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"password": "wrong-horse-7", "gives_up_credits": "on"}, "password"),
        ({"password": PASSWORD}, "gives_up_credits"),
    ],
)
def test_rejected(as_alice: Client, alice: User, form: dict[str, str], field: str) -> None:
    fund(alice, 30)
    token = buy(alice)

    response = as_alice.post(URL, form)

    assert list(response.context["form"].errors) == [field]
    token.refresh_from_db()
    alice.refresh_from_db()
    assert (alice.is_active, token.revoked_at, ledger.balance(alice)) == (True, None, Decimal("12.00"))


def test_without_credits_there_is_nothing_to_tick(as_alice: Client) -> None:
    assert "gives_up_credits" not in as_alice.get(URL).context["form"].fields


def test_the_last_operator_stays(client: Client, olga: User) -> None:
    client.force_login(olga)

    response = client.post(URL, {"password": PASSWORD})

    assert response.context["form"].non_field_errors() == [
        "You are the last operator. Make another user an operator first."
    ]
    UserFactory(username="oscar", is_staff=True, is_superuser=True)
    assert client.post(URL, {"password": PASSWORD}).status_code == 302
    olga.refresh_from_db()
    assert (olga.is_active, olga.is_staff, olga.is_superuser) == (False, False, False)


def test_a_blocked_operator_does_not_count(olga: User) -> None:
    services.set_active(UserFactory(username="oscar", is_superuser=True), False, actor=None)

    with pytest.raises(ValidationError):
        delete_account(olga, gives_up_credits=True)


def test_operators_see_it_and_cannot_undo_it(as_alice: Client, alice: User, olga: User) -> None:
    as_alice.post(URL, {"password": PASSWORD})
    client = Client()
    client.force_login(olga)

    page = client.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    assert "user_deleted" in client.get("/admin/accounts/auditevent/").content.decode()
    assert 'name="is_active"' not in page
    undone = client_of(olga).patch(f"/api/v1/admin/users/{alice.pk}", {"is_active": True, "reason": "please"})
    assert undone.status_code == 400
    alice.refresh_from_db()
    assert not alice.is_active


def test_a_session_that_is_written_later_is_forgotten_by_the_hour(alice: User, bob: User) -> None:
    fund(alice, 30)
    fund(bob, 30)
    late, foreign = visit(buy(alice)), visit(buy(bob))
    delete_account(alice, gives_up_credits=True)
    ProxySession.objects.update(ip="203.0.113.9")

    assert forget_deleted_users() == 1

    rows: Any = dict(ProxySession.objects.values_list("pk", "ip"))
    assert rows == {late.pk: None, foreign.pk: "203.0.113.9"}
