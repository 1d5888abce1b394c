"""The page that explains how to connect, with the user's own values."""

import html

import pytest

from access import token_secret
from accounts.tests.factories import PASSWORD
from proxy.dataplane.rules.headers import is_device_id
from proxy.web import devices

URL = "/connect"


@pytest.fixture(autouse=True)
def _alice_is_signed_in(client, alice):
    client.force_login(alice)


def text(response):
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def test_without_a_token(client):
    page = text(client.get(URL))
    assert "You need a token first" in page
    assert "YOUR-TOKEN" in page


def test_the_users_own_values(client, alice, alice_token, settings):
    page = text(client.get(URL))
    assert f"{settings.BACKEND_URL}/api/v1/proxy/status" in page
    assert devices.suggested_device_id(alice) in page
    assert alice_token.text not in page


def test_the_suggested_device_id_is_valid(alice, bob):
    assert is_device_id(devices.suggested_device_id(alice).encode())
    assert devices.suggested_device_id(alice) != devices.suggested_device_id(bob)


def test_the_password_reveals_the_token(client, alice_token):
    response = client.post(f"{URL}?token={alice_token.token.pk}", {"password": PASSWORD})
    assert text(response).count(alice_token.text) == 4  # one step and three examples
    assert "YOUR-TOKEN" not in text(response)
    assert "no-store" in response["Cache-Control"]
    assert alice_token.text not in text(client.get(URL))


def test_a_wrong_password(client, alice_token):
    page = text(client.post(URL, {"password": "wrong"}))
    assert "The password is wrong." in page
    assert alice_token.text not in page


def test_a_token_is_selected(client, alice, bob, sold_token):
    long, short, foreign = sold_token(alice, 24), sold_token(alice, 1), sold_token(bob)
    assert client.get(URL).context["token"] == long.token
    assert client.get(f"{URL}?token={short.token.pk}").context["token"] == short.token
    for other in (foreign.token.pk, "x"):
        assert client.get(f"{URL}?token={other}").context["token"] == long.token


def test_a_token_that_cannot_be_decrypted(client, alice_token):
    alice_token.token.ciphertext = b"not a ciphertext"
    alice_token.token.save()
    assert token_secret.decrypt(b"not a ciphertext") is None
    assert "YOUR-TOKEN" in text(client.post(URL, {"password": PASSWORD}))


def test_login_is_required(client):
    client.logout()
    assert client.get(URL)["Location"] == "/accounts/login/?next=/connect"
