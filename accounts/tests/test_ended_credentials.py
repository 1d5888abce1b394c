"""Each event that ends credentials, with each kind of credential that was issued before it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.test import Client
from rest_framework.test import APIClient

from accounts import api_tokens, email_addresses, jwt, services
from accounts.models import User
from accounts.tests.factories import PASSWORD, code_of, link_in, recovery_codes_of, turn_on_totp
from conftest import client_of

ME = "/api/v1/users/me"
PROFILE = "/accounts/profile/"
NEW_ADDRESS = "thief@example.org"
NEW_PASSWORD = "another-horse-8"

pytestmark = pytest.mark.django_db(transaction=True)

Check = Callable[[], bool]


def bearer(token: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def is_signed_in(client: Client) -> bool:
    return bool(client.get(PROFILE).status_code == 200)


def access_jwt(user: User, _mails: list[EmailMessage]) -> Check:
    client = bearer(jwt.issue_pair(user).access_token)
    return lambda: client.get(ME).status_code == 200


def refresh_jwt(user: User, _mails: list[EmailMessage]) -> Check:
    token = jwt.issue_pair(user).refresh_token
    return lambda: APIClient().post("/api/v1/auth/refresh", {"refresh_token": token}).status_code == 200


def web_session(user: User, _mails: list[EmailMessage]) -> Check:
    client = Client()
    client.force_login(user)
    return lambda: is_signed_in(client)


def reset_link(user: User, mails: list[EmailMessage]) -> Check:
    services.request_password_reset(user.email, address="192.0.2.1")
    link = link_in(mails[-1])
    return lambda: not Client().get(link, follow=True).context.get("token_fail")


def pending_email(user: User, mails: list[EmailMessage]) -> Check:
    email_addresses.request_change(user, NEW_ADDRESS)
    link = link_in(next(mail for mail in mails if mail.to == [NEW_ADDRESS]))
    return lambda: bool(Client().post(link)) and User.objects.filter(email=NEW_ADDRESS).exists()


def login_in_progress(user: User, _mails: list[EmailMessage]) -> Check:
    """Start a login that still waits for the code."""
    client, codes = Client(), recovery_codes_of(user)
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})

    def check() -> bool:
        client.post("/accounts/2fa/authenticate/", {"code": codes[0]})
        return is_signed_in(client)

    return check


def api_token(user: User, _mails: list[EmailMessage]) -> Check:
    client = bearer(api_tokens.create(user, name="x", scopes=["read"], days=1)[1])
    return lambda: client.get(ME).status_code == 200


CREDENTIALS = [access_jwt, refresh_jwt, web_session, pending_email, reset_link, api_token, login_in_progress]


def own_browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def over_api(user: User, _olga: User) -> Check:
    client = client_of(user)
    assert client.patch(ME, {"password": NEW_PASSWORD}).status_code == 200
    return lambda: client.get(ME).status_code == 200


def on_the_site(user: User, _olga: User) -> Check:
    browser = own_browser(user)
    data = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD}
    assert browser.post("/accounts/password/change/", data).status_code == 302
    return lambda: is_signed_in(browser)


def by_reset(user: User, _olga: User) -> None:
    from django.core import mail

    services.request_password_reset(user.email, address="192.0.2.2")
    client = Client()
    form = client.get(link_in(mail.outbox[-1]), follow=True)
    client.post(form.request["PATH_INFO"], {"password1": NEW_PASSWORD})
    user.refresh_from_db()
    assert user.check_password(NEW_PASSWORD)


def in_admin(user: User, olga: User, path: str, data: dict[str, Any]) -> None:
    client = Client()
    client.force_login(olga)
    response = client.post(f"/admin/accounts/user/{path}", data)
    assert response.status_code == 302, response.content.decode()


def password_by_operator(user: User, olga: User) -> None:
    in_admin(user, olga, f"{user.pk}/password/", {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})


def email_by_operator(user: User, olga: User) -> None:
    data = {"email": "new@example.com", "username": user.username, "full_name": "", "is_active": "on"}
    in_admin(user, olga, f"{user.pk}/change/", data)


def second_factor_off_by_operator(user: User, olga: User) -> None:
    data = {"action": "turn_off_second_factor", "_selected_action": [str(user.pk)], "confirmed": "1"}
    in_admin(user, olga, "", data)


def second_factor_on(user: User, _olga: User) -> Check:
    browser = own_browser(user)
    browser.get("/accounts/2fa/totp/activate/")
    secret = browser.session["mfa.totp.secret"]
    assert browser.post("/accounts/2fa/totp/activate/", {"code": code_of(secret)}).status_code == 302
    return lambda: is_signed_in(browser)


def second_factor_off(user: User, _olga: User) -> Check:
    browser = own_browser(user)
    assert browser.post("/accounts/2fa/totp/deactivate/").status_code == 302
    return lambda: is_signed_in(browser)


def new_recovery_codes(user: User, _olga: User) -> Check:
    browser = own_browser(user)
    assert browser.post("/accounts/2fa/recovery-codes/generate/").status_code == 302
    return lambda: is_signed_in(browser)


def block_and_unblock(user: User, olga: User) -> None:
    api = client_of(olga)
    for active in (False, True):
        assert api.patch(f"/api/v1/admin/users/{user.pk}", {"is_active": active, "reason": "x"}).status_code == 200


def block(user: User, olga: User) -> None:
    services.set_active(user, False, actor=olga)


def deletion(user: User, _olga: User) -> None:
    services.anonymise(user)


def log_out_elsewhere(user: User, _olga: User) -> Check:
    browser = own_browser(user)
    assert browser.post("/accounts/logins/").status_code == 302
    return lambda: is_signed_in(browser)


# The events, and the credentials that outlive each of them.
EVENTS: dict[Any, set[Any]] = {
    over_api: {api_token},
    on_the_site: {api_token},
    by_reset: set(),
    password_by_operator: set(),
    email_by_operator: {api_token},
    second_factor_on: {api_token},
    second_factor_off: {api_token},
    new_recovery_codes: {api_token},
    second_factor_off_by_operator: {api_token},
    block: set(),
    block_and_unblock: set(),
    deletion: set(),
    log_out_elsewhere: {api_token},
}
# A second factor cannot be set up while an address waits for its confirmation, and asks for no code before.
IMPOSSIBLE = {(second_factor_on, login_in_progress), (second_factor_on, pending_email)}
CELLS = [(event, made) for event in EVENTS for made in CREDENTIALS if (event, made) not in IMPOSSIBLE]


@pytest.mark.parametrize(("event", "made"), CELLS, ids=lambda function: function.__name__)
def test_what_an_event_ends(alice: User, olga: User, mailoutbox: list[EmailMessage], event: Any, made: Any) -> None:
    email_addresses.mark_confirmed(alice)
    if event is not second_factor_on:
        turn_on_totp(alice)
    is_accepted = made(alice, mailoutbox)

    stays = event(User.objects.get(pk=alice.pk), olga)

    assert stays is None or stays()
    assert is_accepted() is (made in EVENTS[event])


@pytest.mark.parametrize("made", CREDENTIALS, ids=lambda function: function.__name__)
def test_each_credential_is_accepted_if_nothing_happens(
    alice: User, mailoutbox: list[EmailMessage], made: Any
) -> None:
    email_addresses.mark_confirmed(alice)
    turn_on_totp(alice)

    assert made(alice, mailoutbox)()


def test_a_jwt_of_the_second_of_the_change_ends_with_it(alice: User, time_machine: Any) -> None:
    time_machine.move_to("2026-12-01T12:00:00Z", tick=False)
    before, changing = client_of(alice), client_of(alice)

    changing.patch(ME, {"password": NEW_PASSWORD})

    after = client_of(User.objects.get(pk=alice.pk))
    assert [client.get(ME).status_code for client in (before, changing, after)] == [401, 200, 200]
    # The clock of another worker is behind: nothing revives.
    time_machine.move_to("2026-12-01T11:59:59Z", tick=False)
    assert before.get(ME).status_code == 401


def test_the_jwt_of_the_previous_change_ends_with_the_next(alice: User) -> None:
    first, second = client_of(alice), client_of(alice)
    first.patch(ME, {"password": NEW_PASSWORD})
    second = client_of(User.objects.get(pk=alice.pk))

    second.patch(ME, {"password": "a-third-horse-9"})

    assert [client.get(ME).status_code for client in (first, second)] == [401, 200]


def test_the_present_address_is_told_of_a_change_that_is_asked_for(
    alice: User, mailoutbox: list[EmailMessage]
) -> None:
    own_browser(alice).post("/accounts/email/", {"email": NEW_ADDRESS, "action_add": ""})

    assert {mail.to[0]: mail.subject for mail in mailoutbox}[
        alice.email
    ] == "A change of your e-mail address was requested"
