"""Users, logins and the audit trail in the admin."""

from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.mail import EmailMessage
from django.test import Client
from django.urls import reverse
from rest_framework.exceptions import ValidationError

from access.models import Revocation
from accounts import audit, jwt, services
from accounts.models import AuditEvent, RefreshFamily, User
from accounts.sessions import WebSession
from accounts.tests.factories import PASSWORD, UserFactory, turn_on_totp

pytestmark = pytest.mark.django_db

LIST = "/admin/accounts/user/"


@pytest.fixture
def admin(olga: User) -> Client:
    client = Client()
    client.force_login(olga)
    return client


def page(user: User) -> str:
    return f"{LIST}{user.pk}/change/"


def form(user: User, **changes: Any) -> dict[str, Any]:
    """Return the form data of the unchanged page, with `changes`; False leaves a checkbox unticked."""
    fields = {"email": user.email, "username": user.username, "full_name": user.full_name, "reason": ""}
    boxes = {name: "on" for name in ("is_active", "is_staff", "is_superuser") if getattr(user, name)}
    return {name: value for name, value in {**fields, **boxes, **changes}.items() if value is not False}


def saved(response: Any) -> bool:
    return response.status_code == 302 and response["Location"] == LIST


@pytest.mark.parametrize("path", ["user/", "user/add/", "refreshfamily/", "apitoken/", "auditevent/"])
def test_pages_open(admin: Client, alice: User, path: str) -> None:
    jwt.issue_pair(alice)
    audit.record("test", alice, actor=alice)

    assert admin.get(f"/admin/accounts/{path}").status_code == 200


def test_operators_come_in_through_the_sites_login(olga: User) -> None:
    client = Client()

    sent_on = client.get(LIST, follow=True)
    response = client.post(
        sent_on.request["PATH_INFO"], {"login": "Olga@Example.com", "password": PASSWORD, "next": LIST}
    )

    assert sent_on.request["PATH_INFO"] == "/accounts/login/"
    assert (response.status_code, response["Location"]) == (302, LIST)
    assert client.get(LIST).status_code == 200


def test_the_admin_has_no_login_of_its_own(admin: Client, alice: User) -> None:  # case E65
    """Otherwise a signed-in operator could log in as another without the second factor."""
    for client in (Client(), admin):
        client.post("/admin/login/", {"username": alice.email, "password": PASSWORD, "next": "/admin/"})
        assert client.session.get("_auth_user_id") != str(alice.pk)
    assert admin.get("/admin/password_change/")["Location"] == "/accounts/password/change/"


def test_operators_cannot_block_themselves(admin: Client, olga: User) -> None:
    assert saved(admin.post(page(olga), form(olga, is_active=False)))

    olga.refresh_from_db()
    assert olga.is_active


def test_customers_stay_out(alice: User) -> None:
    client = Client()
    client.force_login(alice)

    assert client.get(LIST, follow=True).status_code == 403


@pytest.mark.parametrize("by", ["email", "username", "id"])
def test_search(admin: Client, alice: User, bob: User, by: str) -> None:
    terms = {"email": "ALICE@exa", "username": "alic", "id": str(alice.pk)}

    content = admin.get(LIST, {"q": terms[by]}).content.decode()

    assert alice.email in content
    assert bob.email not in content


@pytest.mark.parametrize("path", ["user/", "refreshfamily/", "auditevent/"])
@pytest.mark.parametrize("term", [b"a\x00b", b"\xed\xb2\x80", "'", "x" * 5000, "%00"])
def test_search_for_nonsense(admin: Client, path: str, term: Any) -> None:
    assert admin.get(f"/admin/accounts/{path}", {"q": term}).status_code == 200


def test_block_and_unblock_go_through_the_service(admin: Client, alice: User, olga: User) -> None:
    jwt.issue_pair(alice)

    assert saved(admin.post(page(alice), form(alice, is_active=False, reason="stolen card", full_name="Al")))

    alice.refresh_from_db()
    event = AuditEvent.objects.get()
    assert (alice.is_active, alice.full_name) == (False, "Al")
    assert (event.kind, event.user, event.actor, event.reason) == ("user_blocked", alice, olga, "stolen card")
    assert Revocation.objects.get().cause == Revocation.Cause.USER_BLOCKED
    assert RefreshFamily.objects.get().revoked_at is not None

    assert saved(admin.post(page(alice), form(alice, is_active="on", reason="a mistake")))

    alice.refresh_from_db()
    assert alice.is_active
    assert [event.kind for event in AuditEvent.objects.all()] == ["user_unblocked", "user_blocked"]


def test_other_changes_are_no_block(admin: Client, alice: User) -> None:
    before = User.objects.get(pk=alice.pk)

    assert saved(
        admin.post(page(alice), form(alice, email="Alice@Elsewhere.example", username="alice2", is_staff="on"))
    )

    alice.refresh_from_db()
    assert (alice.email, alice.username, alice.is_staff) == ("alice@elsewhere.example", "alice2", True)
    assert (alice.password, alice.referral_code) == (before.password, before.referral_code)
    assert alice.updated_at > before.updated_at
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"email": "BOB@example.com"},
        {"username": "Bob"},
        {"username": "no spaces"},
        {"email": "x\x00@example.com"},
        {"is_active": False, "reason": "x" * 501},
    ],
)
def test_rejects_bad_values(admin: Client, alice: User, bob: User, change: dict[str, Any]) -> None:
    response = admin.post(page(alice), form(alice, **change))

    assert response.status_code == 200
    assert response.context["errors"]
    stored = User.objects.get(pk=alice.pk)
    assert (stored.email, stored.username, stored.is_active) == ("alice@example.com", "alice", True)


def test_adds_a_user(admin: Client) -> None:
    response = admin.post(
        f"{LIST}add/",
        {
            "email": "Carol@Example.com",
            "username": "carol",
            "full_name": "Carol",
            "password1": "tr0ub4dor-and-3",
            "password2": "tr0ub4dor-and-3",
        },
    )

    carol = User.objects.get(username="carol")
    assert (response.status_code, response["Location"]) == (302, page(carol))
    assert carol.email == "carol@example.com"
    assert carol.check_password("tr0ub4dor-and-3")
    assert carol.wallet.balance == 0


@pytest.mark.parametrize(
    "change",
    [
        {"email": "ALICE@example.com"},
        {"username": "ALICE"},
        {"password1": "12345678", "password2": "12345678"},
        {"password2": "tr0ub4dor-and-4"},
    ],
)
def test_adds_no_bad_user(admin: Client, alice: User, change: dict[str, str]) -> None:
    passwords = {"password1": "tr0ub4dor-and-3", "password2": "tr0ub4dor-and-3"}

    response = admin.post(f"{LIST}add/", {"email": "carol@example.com", "username": "carol", **passwords, **change})

    assert response.status_code == 200
    assert response.context["errors"]
    assert User.objects.count() == 2


def test_a_password_set_by_an_operator_ends_logins_and_notifies(
    admin: Client, alice: User, mailoutbox: list[EmailMessage], django_capture_on_commit_callbacks: Any
) -> None:
    jwt.issue_pair(alice)

    with django_capture_on_commit_callbacks(execute=True):
        response = admin.post(
            f"{LIST}{alice.pk}/password/", {"password1": "another-horse-8", "password2": "another-horse-8"}
        )

    assert response.status_code == 302
    alice.refresh_from_db()
    assert alice.check_password("another-horse-8")
    assert RefreshFamily.objects.get().revoked_at is not None
    assert [mail.to for mail in mailoutbox] == [[alice.email]]


def test_users_are_not_deleted(admin: Client, alice: User) -> None:
    assert admin.post(f"{LIST}{alice.pk}/delete/", {"post": "yes"}).status_code == 403
    admin.post(LIST, {"action": "delete_selected", "_selected_action": [str(alice.pk)], "post": "yes"})

    assert User.objects.filter(pk=alice.pk).exists()


# case E65
@pytest.mark.parametrize("model", ["auditevent", "refreshfamily"])
def test_read_only_rows_cannot_be_changed(admin: Client, alice: User, model: str) -> None:
    jwt.issue_pair(alice)
    audit.record("test", alice, reason="why")
    row = AuditEvent.objects.get() if model == "auditevent" else RefreshFamily.objects.get()
    base = f"/admin/accounts/{model}/"

    looked_at = admin.get(f"{base}{row.pk}/change/")

    assert looked_at.status_code == 200
    assert '<input type="submit"' not in looked_at.content.decode()
    assert RefreshFamily.objects.get().current_jti not in looked_at.content.decode()
    assert admin.get(f"{base}add/").status_code == 403
    assert admin.post(f"{base}add/", {}).status_code == 403
    assert admin.post(f"{base}{row.pk}/change/", {"reason": "forged"}).status_code == 403
    assert admin.post(f"{base}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    admin.post(base, {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"})
    assert type(row).objects.filter(pk=row.pk).exists()


def test_audit_events_are_found_by_kind_and_person(admin: Client, alice: User, bob: User) -> None:
    audit.record("user_blocked", alice, reason="first reason")
    audit.record("refresh_token_reused", bob, reason="second reason")

    by_kind = admin.get("/admin/accounts/auditevent/", {"kind": "user_blocked"}).content.decode()
    by_person = admin.get("/admin/accounts/auditevent/", {"q": "bob@example.com"}).content.decode()

    assert ("first reason" in by_kind, "second reason" in by_kind) == (True, False)
    assert ("first reason" in by_person, "second reason" in by_person) == (False, True)


@pytest.fixture
def helper(db: None) -> Client:
    """Return a client of a staff user who may edit users but is not a superuser."""
    user = UserFactory(username="hank", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
    client = Client()
    client.force_login(user)
    return client


def test_staff_cannot_promote_users(helper: Client, alice: User) -> None:
    assert saved(helper.post(page(alice), form(alice, is_superuser="on", is_staff="on", full_name="Al")))

    alice.refresh_from_db()
    assert (alice.full_name, alice.is_staff, alice.is_superuser) == ("Al", False, False)


def test_staff_cannot_take_over_a_superuser(helper: Client, olga: User) -> None:
    passwords = {"password1": "another-horse-8", "password2": "another-horse-8"}

    assert helper.post(page(olga), form(olga, email="hank@evil.example")).status_code == 403
    assert helper.post(f"{LIST}{olga.pk}/password/", passwords).status_code == 403
    olga.refresh_from_db()
    assert olga.email == "olga@example.com"
    assert olga.check_password(PASSWORD)


@pytest.mark.parametrize("pk", ["0", "nonsense", "00000000-0000-0000-0000-000000000000"])
def test_unknown_ids_lead_back(admin: Client, pk: str) -> None:
    response = admin.get(reverse("admin:accounts_user_change", args=[pk]))

    assert (response.status_code, response["Location"]) == (302, "/admin/")


def test_an_audit_event_shows_its_time_and_user(admin: Client, alice: User) -> None:
    audit.record("about_nobody", None)
    audit.record("about_alice", alice)
    pages = {
        event.kind: admin.get(f"/admin/accounts/auditevent/{event.pk}/change/").content.decode()
        for event in AuditEvent.objects.all()
    }
    for text in pages.values():
        assert all(f"field-{name}" in text for name in ("id", "kind", "created_at"))
    assert "about_nobody ·" not in pages["about_nobody"]
    assert f"about_alice · {alice.email}" in pages["about_alice"]


def test_a_login_shows_no_token_id(admin: Client, alice: User) -> None:
    jwt.issue_pair(alice)
    family = RefreshFamily.objects.get()
    text = admin.get(f"/admin/accounts/refreshfamily/{family.pk}/change/").content.decode()
    assert "field-created_at" in text
    assert family.current_jti not in text


class TestALostSecondFactor:
    """A superuser can turn it off, after a page that asks for confirmation."""

    @pytest.fixture(autouse=True)
    def _all_have_one(self, alice: User, bob: User, olga: User) -> None:
        for user in (alice, bob, olga):
            turn_on_totp(user)

    def ask(self, operator: Client, *users: User, **more: str) -> Any:
        chosen = [str(user.pk) for user in users]
        return operator.post(
            LIST, {"action": "turn_off_second_factor", ACTION_CHECKBOX_NAME: chosen, **more}, follow=True
        )

    def users_with_factor(self) -> set[str]:
        return set(Authenticator.objects.values_list("user__username", flat=True))

    def test_needs_a_confirmation(self, admin: Client, alice: User) -> None:
        response = self.ask(admin, alice)

        assert "recovery codes of alice@example.com will stop working" in response.content.decode()
        assert self.users_with_factor() == {"alice", "bob", "olga"}
        assert not LogEntry.objects.exists()

    def test_deletes_codes_revokes_logins_and_notifies(
        self,
        admin: Client,
        alice: User,
        olga: User,
        mailoutbox: list[EmailMessage],
        django_capture_on_commit_callbacks: Any,
    ) -> None:
        Client().force_login(alice)
        jwt.issue_pair(alice)

        with django_capture_on_commit_callbacks(execute=True):
            response = self.ask(admin, alice, confirmed="yes")

        assert "The second factor is off." in response.content.decode()
        assert self.users_with_factor() == {"bob", "olga"}
        assert not WebSession.objects.filter(user=alice).exists()
        assert RefreshFamily.objects.get().revoked_at is not None
        assert [(mail.to, mail.subject) for mail in mailoutbox] == [([alice.email], "The second factor is off")]
        entry, event = LogEntry.objects.get(), AuditEvent.objects.get()
        assert (entry.user, entry.object_id, entry.change_message) == (
            olga,
            str(alice.pk),
            "The second factor is off.",
        )
        assert (event.kind, event.user, event.actor) == ("mfa_disabled", alice, olga)
        assert admin.get(LIST).status_code == 200  # the operator's own login remains

    @pytest.mark.parametrize(
        "chosen", [["olga"], ["alice", "bob"], ["carol"]], ids=["oneself", "two", "a user without one"]
    )
    def test_takes_exactly_one_user_other_than_the_operator(self, admin: Client, chosen: list[str]) -> None:
        UserFactory(username="carol")

        response = self.ask(admin, *User.objects.filter(username__in=chosen), confirmed="yes")

        assert "Choose exactly one user who has a second factor." in response.content.decode()
        assert self.users_with_factor() == {"alice", "bob", "olga"}
        assert not LogEntry.objects.exists()

    def test_is_denied_to_other_staff(self, helper: Client, alice: User) -> None:
        assert "turn_off_second_factor" not in helper.get(LIST).content.decode()
        self.ask(helper, alice, confirmed="yes")

        assert self.users_with_factor() == {"alice", "bob", "olga"}

    def test_the_service_checks_it_too(self, olga: User) -> None:
        with pytest.raises(ValidationError):
            services.turn_off_second_factor(olga, actor=olga)

        assert "olga" in self.users_with_factor()
