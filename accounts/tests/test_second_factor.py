"""The second factor: set-up, recovery codes, and operators who need it."""

import base64
import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.mail import EmailMessage
from django.test import Client
from rest_framework.test import APIClient

from accounts import email_addresses, jwt, mfa
from accounts.models import AuditEvent, RefreshFamily, User
from accounts.tests.factories import PASSWORD, code_of, recovery_codes_of, turn_on_totp
from conftest import client_of

SET_UP = "/accounts/2fa/totp/activate/"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    email_addresses.mark_confirmed(alice)
    client.force_login(alice)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def set_up(as_alice: Client) -> str:
    """Read the key from the page, send its code, and return the key."""
    secret = re.search(r'id="totp-key">([A-Z2-7]+)<', as_alice.get(SET_UP).content.decode())[1]
    response = as_alice.post(SET_UP, {"code": code_of(secret)})
    assert response["Location"] == "/accounts/2fa/recovery-codes/"
    return secret


# case G73
def test_set_up_ends_other_logins_and_notifies(as_alice: Client, alice: User, mailoutbox: list[EmailMessage]) -> None:
    other = Client()
    other.force_login(alice)
    jwt.issue_pair(alice)

    set_up(as_alice)

    assert mfa.is_on(alice)
    assert as_alice.get("/accounts/profile/").status_code == 200
    assert other.get("/accounts/profile/").status_code == 302
    assert not RefreshFamily.objects.filter(revoked_at=None).exists()
    assert [message.subject for message in mailoutbox] == ["The second factor is on"]
    assert [event.kind for event in AuditEvent.objects.all()] == ["mfa_enabled"]


def test_the_page_shows_a_picture_without_any_other_server(as_alice: Client) -> None:
    page = as_alice.get(SET_UP).content.decode()

    picture = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', page)[1]
    assert b"<svg" in base64.b64decode(picture)


def test_a_wrong_code_sets_nothing_up(as_alice: Client, alice: User) -> None:
    as_alice.get(SET_UP)

    response = as_alice.post(SET_UP, {"code": "000000"})

    assert list(response.context["form"].errors) == ["code"]
    assert not mfa.is_on(alice)


def test_the_code_of_the_set_up_cannot_be_used_to_log_in(as_alice: Client, alice: User) -> None:
    secret = set_up(as_alice)

    body = {"email": alice.email, "password": PASSWORD, "otp": code_of(secret)}
    assert APIClient().post("/api/v1/auth/login", body).json()["code"] == "invalid_otp"


def test_secrets_are_kept_encrypted(as_alice: Client, alice: User) -> None:
    secret = set_up(as_alice)

    totp, codes = Authenticator.objects.filter(user=alice).order_by("-type")
    assert secret not in str(totp.data)
    assert not any(code in str(codes.data) for code in recovery_codes_of(alice))


def test_recovery_codes_are_shown_and_replaced(as_alice: Client, alice: User, mailoutbox: list[EmailMessage]) -> None:
    set_up(as_alice)
    old = recovery_codes_of(alice)
    assert all(code in as_alice.get("/accounts/2fa/recovery-codes/").content.decode() for code in old)
    file = as_alice.post("/accounts/2fa/recovery-codes/download/")
    assert file["Content-Disposition"] == 'attachment; filename="recovery-codes.txt"'
    assert file.content.decode().split() == old

    as_alice.post("/accounts/2fa/recovery-codes/generate/")

    new = recovery_codes_of(alice)
    assert len(new) == 10
    assert not set(new) & set(old)
    assert mailoutbox[-1].subject == "You have new recovery codes"


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_password_leads_to_the_page_with_the_codes_and_not_to_their_file(
    client: Client, alice: User, method: str
) -> None:
    turn_on_totp(alice)
    client.force_login(alice)

    asked = getattr(client, method)("/accounts/2fa/recovery-codes/download/")
    response = client.post(asked["Location"], {"password": PASSWORD}, follow=True)

    assert response.redirect_chain[-1][0] == "/accounts/2fa/recovery-codes/"
    page = response.content.decode()
    assert recovery_codes_of(alice)[0] in page
    assert '<form method="post" action="/accounts/2fa/recovery-codes/download/">' in page


def test_turned_off_with_the_password_or_a_code(client: Client, alice: User, mailoutbox: list[EmailMessage]) -> None:
    secret = turn_on_totp(alice)
    client.force_login(alice)
    url = "/accounts/2fa/totp/deactivate/"
    assert client.get(url)["Location"].startswith("/accounts/reauthenticate/")
    client.post("/accounts/2fa/reauthenticate/", {"code": code_of(secret)})

    assert client.get(url).status_code == 200
    client.post(url)

    assert not Authenticator.objects.filter(user=alice).exists()
    assert [message.subject for message in mailoutbox] == ["The second factor is off"]
    assert [event.kind for event in AuditEvent.objects.all()] == ["mfa_disabled"]


def test_nothing_is_shown_or_changed_without_the_password_again(client: Client, alice: User) -> None:
    turn_on_totp(alice)
    client.force_login(alice)

    for path in ("totp/deactivate/", "recovery-codes/", "recovery-codes/download/", "recovery-codes/generate/"):
        for method in (client.get, client.post):
            response = method(f"/accounts/2fa/{path}")
            assert response.status_code == 405 or response["Location"].startswith("/accounts/reauthenticate/"), path


def test_an_unconfirmed_address_comes_first(client: Client, alice: User) -> None:
    client.force_login(alice)

    response = client.get(SET_UP, follow=True)

    assert "Confirm your e-mail address before" in response.content.decode()


# case E65
class TestOperators:
    """ADMIN_REQUIRE_MFA requires a second factor of operators."""

    @pytest.fixture(autouse=True)
    def _required(self, settings: Any) -> None:
        settings.ADMIN_REQUIRE_MFA = True

    def test_are_led_to_set_it_up(self, client: Client, olga: User) -> None:
        email_addresses.mark_confirmed(olga)
        client.force_login(olga)
        client.post("/accounts/reauthenticate/", {"password": PASSWORD})

        led = client.get("/admin/accounts/user/", follow=True)

        assert led.request["PATH_INFO"] == SET_UP
        assert "Operators need a second factor" in led.content.decode()
        set_up(client)
        assert client.get("/admin/accounts/user/").status_code == 200

    def test_the_admin_and_its_api_stay_closed_until_then(self, client: Client, olga: User, settings: Any) -> None:
        client.force_login(olga)
        api = client_of(olga)

        assert client.get("/admin/").status_code == 302
        rejected = api.get("/api/v1/admin/users")
        assert (rejected.status_code, rejected.json()["code"]) == (403, "mfa_required")
        turn_on_totp(olga)
        assert [client.get("/admin/").status_code, api.get("/api/v1/admin/users").status_code] == [200, 200]

    def test_customers_learn_nothing(self, alice: User) -> None:
        assert client_of(alice).get("/api/v1/admin/users").json()["code"] == "permission_denied"

    def test_it_can_be_left_off(self, client: Client, olga: User, settings: Any) -> None:
        settings.ADMIN_REQUIRE_MFA = False
        client.force_login(olga)

        assert client.get("/admin/").status_code == 200


def test_operators_see_no_secret_and_forge_no_address(client: Client, olga: User, alice: User) -> None:
    secret = turn_on_totp(alice)
    client.force_login(olga)

    index = client.get("/admin/").content.decode()
    assert "/admin/mfa/" not in index
    assert client.get("/admin/mfa/authenticator/").status_code == 404
    row = alice.emailaddress_set.get()
    assert client.post(f"/admin/account/emailaddress/{row.pk}/change/", {"verified": "on"}).status_code == 403
    assert secret not in index
