"""Tariffs, tokens and the outbox in Django's admin."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from access import services, token_secret
from access.models import AccessToken, Revocation, Tariff
from access.tests.support.tokens import Buy, causes
from accounts.models import AuditEvent, User
from accounts.tests.factories import UserFactory

TOKENS = "/admin/access/accesstoken/"


@pytest.fixture
def operator(olga: User) -> Client:
    client = Client()
    client.force_login(olga)
    return client


def act(client: Client, action: str, *tokens: AccessToken, reason: str = "stolen") -> Any:
    chosen = [str(token.pk) for token in tokens]
    return client.post(TOKENS, {"action": action, "_selected_action": chosen, "reason": reason}, follow=True)


def test_a_token_is_shown_without_its_text(alice: User, operator: Client, buy: Buy) -> None:
    token = buy(alice)

    for address in (TOKENS, f"{TOKENS}{token.pk}/change/"):
        page = operator.get(address)
        assert page.status_code == 200
        assert str(token.pk) in page.text
        assert "alice@example.com" in page.text
        for secret in (
            token_secret.decrypt(token.ciphertext) or "",
            token.digest,
            bytes(token.ciphertext).decode(),
        ):
            assert secret not in page.text


def test_a_token_is_read_only(alice: User, operator: Client, buy: Buy) -> None:
    token = buy(alice)

    assert operator.get(f"{TOKENS}add/").status_code == 403
    assert operator.post(f"{TOKENS}{token.pk}/change/", {"cost": "0.01"}).status_code == 403
    assert operator.post(f"{TOKENS}{token.pk}/delete/", {"post": "yes"}).status_code == 403
    token.refresh_from_db()
    assert token.cost == 18


@pytest.mark.parametrize("by", ["id", "part of the id", "e-mail"])
def test_search(alice: User, bob: User, operator: Client, buy: Buy, by: str) -> None:
    wanted, other = buy(alice), buy(bob)
    text = {"id": str(wanted.pk), "part of the id": str(wanted.pk)[:13], "e-mail": "ALICE@"}[by]

    page = operator.get(TOKENS, {"q": text})

    assert str(wanted.pk) in page.text
    assert str(other.pk) not in page.text


def test_revoke_by_force(alice: User, olga: User, operator: Client, buy: Buy) -> None:
    one, two, other = buy(alice), buy(alice), buy(alice)
    services.revoke_by_force(two.pk, actor=olga, reason="before")

    page = act(operator, "revoke_by_force", one, two)

    assert "1 token changed." in page.text
    assert "1 token cannot be changed in its current state." in page.text
    assert (causes(one), causes(two), causes(other)) == (["revoked"], ["revoked"], [])
    event = AuditEvent.objects.filter(kind="access_token_revoked").first()
    assert event is not None
    assert (event.user, event.actor, event.reason) == (alice, olga, "stolen")


def test_freeze_and_unfreeze(alice: User, operator: Client, buy: Buy) -> None:
    token = buy(alice)

    act(operator, "freeze", token)
    act(operator, "unfreeze", token)

    assert causes(token) == ["frozen", "changed"]
    token.refresh_from_db()
    assert token.frozen_at is None


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        *((empty, "Give a reason. It is kept in the audit trail.") for empty in ("", "  ")),
        *((bad, "No action selected.") for bad in ("a\x00", "a" * 501)),  # Django's words for a bad form
    ],
)
def test_nothing_happens_without_a_reason(alice: User, operator: Client, buy: Buy, reason: str, message: str) -> None:
    token = buy(alice)

    page = act(operator, "revoke_by_force", token, reason=reason)

    assert message in page.text
    assert causes(token) == []


def test_staff_with_view_permission_only_have_no_actions(alice: User, buy: Buy) -> None:
    token, looker = buy(alice), UserFactory(is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_accesstoken"))
    client = Client()
    client.force_login(looker)

    assert client.get(TOKENS).status_code == 200
    act(client, "revoke_by_force", token)

    assert causes(token) == []


def test_a_tariff_is_changed(operator: Client, tariffs: None) -> None:
    tariff = Tariff.objects.get(duration_hours=24, scope="full")
    form = {"title": "A day", "duration_hours": 24, "scope": "full", "price": "19.99"}

    assert operator.get(f"/admin/access/tariff/{tariff.pk}/change/").status_code == 200
    saved = operator.post(f"/admin/access/tariff/{tariff.pk}/change/", form)

    assert saved.status_code == 302
    tariff.refresh_from_db()
    assert (tariff.title, str(tariff.price)) == ("A day", "19.99")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("price", value) for value in ("0", "0.001", "9" * 30, "x")),
        *(("duration_hours", value) for value in ("0", "12", "87601")),
        *(("scope", "all"), ("title", "")),
    ],
)
def test_a_bad_tariff(operator: Client, tariffs: None, field: str, value: str) -> None:
    tariff = Tariff.objects.get(duration_hours=24, scope="full")
    form = {"title": "A day", "duration_hours": 24, "scope": "full", "price": "19.99", field: value}

    page = operator.post(f"/admin/access/tariff/{tariff.pk}/change/", form)

    assert page.status_code == 200
    assert "Please correct the error" in page.text
    tariff.refresh_from_db()
    assert tariff.price == 18


def test_the_outbox_is_read_only(alice: User, operator: Client, buy: Buy) -> None:
    act(operator, "freeze", buy(alice))
    row = Revocation.objects.get()

    assert operator.get("/admin/access/revocation/?q=alice").status_code == 200
    assert operator.get(f"/admin/access/revocation/{row.pk}/change/").status_code == 200
    assert operator.post(f"/admin/access/revocation/{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_sessions_are_read_only(operator: Client) -> None:
    assert operator.get("/admin/proxy/proxysession/?q=alice").status_code == 200
    assert operator.get("/admin/proxy/proxysession/add/").status_code == 403
