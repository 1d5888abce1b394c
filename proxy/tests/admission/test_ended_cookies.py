"""Events that end the cookie of a browser, and those that do not."""

import pytest
from django.test import Client

from access import services
from accounts import credentials, logins
from accounts.models import User
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.servers import eventually

NAME = "zenzefi_access"


def site(user):
    client = Client()
    client.force_login(user)
    return client


def opened(client, token):
    """Return the cookie that the button "Open in browser" sets."""
    response = client.post(f"/tokens/{token.token.pk}/open")
    assert response.status_code == 302, response.content
    return response.cookies[NAME].value


def browser(gateway, value):
    return gateway.client(headers={"Cookie": f"{NAME}={value}"})


def device_reset(client, alice, token):
    services.reset_device(alice, token.token.pk)


def log_out(client, alice, token):
    client.post("/accounts/logout/")


def new_credentials(client, alice, token):
    credentials.end_all(User.objects.get(pk=alice.pk))


def revoked_login(client, alice, token):
    here = site(alice)
    (there,) = (login for login in logins.for_user(alice, session_key=here.session.session_key) if not login.current)
    here.post("/accounts/logins/", {"login": there.id})


def log_out_in_another_browser(client, alice, token):
    site(alice).post("/accounts/logout/")


@pytest.mark.parametrize(
    ("event", "ends"),
    [
        (device_reset, True),
        (log_out, True),
        (new_credentials, True),
        (revoked_login, True),
        (log_out_in_another_browser, False),
    ],
)
def test_events(gateway, recorded, alice, alice_token, event, ends):
    client = site(alice)
    value = opened(client, alice_token)
    held = browser(gateway, value)
    assert held.get("/x").status_code == 200

    event(client, alice, alice_token)

    if not ends:
        assert held.get("/x").status_code == 200
        return
    eventually(lambda: held.get("/x").status_code == 401, seconds=2)
    assert_denied(held.get("/x"), "invalid_token")
    # A new cookie is admitted at once.
    fresh = opened(site(User.objects.get(pk=alice.pk)), alice_token)
    assert browser(gateway, fresh).get("/x").status_code in (200, 409)


def test_a_cookie_newer_than_the_cached_grant_is_admitted_at_once(gateway, recorded, alice, alice_token):
    assert browser(gateway, opened(site(alice), alice_token)).get("/x").status_code == 200
    credentials.end_all(User.objects.get(pk=alice.pk))

    value = opened(site(User.objects.get(pk=alice.pk)), alice_token)

    assert browser(gateway, value).get("/x").status_code != 401
