"""The archive of a user's data: complete, in JSON, without secrets."""

import io
import json
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.test import Client

from access import services as access
from access import token_secret
from access.models import Scope
from access.tests.conftest import tariffs  # noqa: F401  (a fixture)
from accounts import api_tokens, jwt
from accounts.models import User
from accounts.sessions import WebSession
from accounts.tests.factories import PASSWORD, turn_on_totp
from billing.idempotency import Call
from billing.topups import create_payment
from conftest import fund
from zenzefi.common import download
from zenzefi.common.download import Download

URL = "/accounts/data/"

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("tariffs")]


@pytest.fixture
def as_alice(client: Client, alice: User) -> Client:
    client.force_login(alice)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def files(as_alice: Client) -> dict[str, Any]:
    response = as_alice.post(URL)
    assert response["Content-Disposition"] == 'attachment; filename="zenzefi-my-data.zip"'
    with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as archive:
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


def test_all_data_of_the_user_and_of_no_other(as_alice: Client, alice: User, bob: User) -> None:
    for user in (alice, bob):
        fund(user, 30)
        create_payment(Call(user, "pay", key="", body=None), 5)
        access.purchase(Call(user, "buy", key="", body=None), 24, Scope.FULL)
        api_tokens.create(user, name=f"script of {user}", scopes=["read"], days=7)
        jwt.issue_pair(user)

    found = files(as_alice)

    counts = {name.removesuffix(".json"): len(rows) for name, rows in found.items()}
    assert counts == {
        "profile": 1,
        "email_addresses": 1,
        "web_sessions": 1,
        "api_logins": 1,
        "api_tokens": 1,
        "events": 1,
        "balance": 1,
        "transactions": 2,
        "payments": 1,
        "access_tokens": 1,
        "denials": 0,
        "proxy_sessions": 0,
        "usage": 0,
    }
    assert found["profile.json"][0]["email"] == alice.email
    assert sorted(row["amount"] for row in found["transactions.json"]) == ["-18.00", "30.00"]
    assert "bob" not in json.dumps(found)


def test_no_secret(as_alice: Client, alice: User) -> None:
    fund(alice, 30)
    token = access.purchase(Call(alice, "buy", key="", body=None), 24, Scope.FULL)
    api_token, text = api_tokens.create(alice, name="script", scopes=["read"], days=7)
    secret = turn_on_totp(alice)
    as_alice.post("/accounts/2fa/reauthenticate/", {"code": "x"})

    archive = json.dumps(files(as_alice))

    secrets = [alice.password, token.digest, token_secret.decrypt(token.ciphertext), api_token.digest, text, secret]
    for value in [*secrets, *WebSession.objects.values_list("session_key", flat=True)]:
        assert value
        assert value not in archive


def test_asks_for_the_password(client: Client, alice: User) -> None:
    assert client.get(URL)["Location"].startswith("/accounts/login/")
    client.force_login(alice)
    for ask in (client.get, client.post):
        assert ask(URL)["Location"].startswith("/accounts/reauthenticate/")


@pytest.mark.parametrize("method", ["get", "post"])
def test_after_the_password_a_page_offers_it(client: Client, alice: User, method: str) -> None:
    """Check that the password form leads to the page with the download, not to the file itself."""
    client.force_login(alice)
    asked = getattr(client, method)(URL)
    response = client.post(asked["Location"], {"password": PASSWORD}, follow=True)
    assert response.request["PATH_INFO"] == URL
    assert "a ZIP file with all data that we keep about you" in response.content.decode()


async def test_goes_out_in_blocks_under_asgi() -> None:
    response = Download(lambda file: file.write(b"x" * 200_000) and None, filename="x", content_type="text/plain")
    blocks: AsyncIterator[bytes] = response.__aiter__()

    sizes = [len(block) async for block in blocks]

    assert (sum(sizes), max(sizes)) == (200_000, download._BLOCK)
    response.close()
