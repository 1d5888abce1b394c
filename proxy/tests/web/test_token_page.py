"""The page about a token, the page after its purchase, and opening the server in the browser."""

import base64
import html
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from access import services
from access.models import AccessToken
from billing.debts import take_back
from conftest import fund
from proxy.models import ProxySession
from proxy.selectors import holders
from proxy.tests.support.tokens import put_on_sale

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def token(alice_token, client, alice):
    client.force_login(alice)
    return alice_token.token


def used(token, ago=60, lasted=600, **fields):
    """Create a session that started `lasted` seconds before its last activity, which was `ago` seconds ago."""
    active = timezone.now() - timedelta(seconds=ago)
    stated = {"device_id": "alice-laptop-41", "ip": "203.0.113.7", "user_agent": FIREFOX}
    return ProxySession.objects.create(
        token=token,
        user=token.user,
        started_at=active - timedelta(seconds=lasted),
        last_activity=active,
        bytes_transferred=7_340_032,
        request_count=131,
        **{**stated, **fields},
    )


def text(client, url):
    response = client.get(url)
    assert response.status_code == 200
    return html.unescape(response.content.decode()).replace("\u00a0", " ")


class TestHolders:
    def test_the_session_that_was_active_last(self, token):
        used(token, ago=2000, lasted=10)
        session = used(token)
        assert holders([token]) == {token.pk: session}

    def test_no_holder_after_the_timeout(self, token, settings):
        used(token, ago=settings.SESSION_TIMEOUT_SECONDS + 1)
        assert holders([token]) == {}

    def test_no_holder_after_its_end(self, token):
        used(token, ended_at=timezone.now())
        assert holders([token]) == {}

    def test_no_holder_after_a_reset_until_the_next_device(self, alice, token):
        used(token, ago=1)
        services.reset_device(alice, token.pk)
        assert holders([token]) == {}
        session = used(token, ago=-1, lasted=0, device_id="another-device")
        assert holders([token]) == {token.pk: session}

    def test_one_query_for_all_tokens(self, alice, sold_token, django_assert_num_queries):
        tokens = [sold_token(alice).token for _number in range(3)]
        sessions = {token.pk: used(token) for token in tokens}
        with django_assert_num_queries(1):
            assert holders(tokens) == sessions


class TestThePage:
    def test_its_content(self, client, alice_token, token):
        used(token)
        page = text(client, f"/tokens/{token.pk}")
        for words in ("Token for 1 hour", "In use by device", "alice-laptop-41", "203.0.113.7", "7.0 MB", "131"):
            assert words in page
        assert "3 resets are left today." in page
        assert "Revoke and get back 1.00 ZNC" in page
        assert alice_token.text not in page

    def test_the_part_that_refreshes_itself(self, client, token):
        part = text(client, f"/tokens/{token.pk}/live")
        assert part.lstrip().startswith("<div")
        assert "No device holds the token now" in part
        assert "5 min after its last activity" in part
        used(token)
        assert "alice-laptop-41" in text(client, f"/tokens/{token.pk}/live")

    def test_the_page_reloads_once_the_token_has_ended(self, client, alice, token):
        assert "HX-Refresh" not in client.get(f"/tokens/{token.pk}/live")
        services.revoke_by_force(token.pk, actor=alice, reason="test")
        response = client.get(f"/tokens/{token.pk}/live")
        assert response["HX-Refresh"] == "true"
        assert "hx-get" not in response.content.decode()

    def test_sessions_by_pages(self, client, token):
        for number in range(21):
            used(token, ago=100_000 + number, device_id=f"device-{number:03}")
        assert "device-000" in text(client, f"/tokens/{token.pk}")
        assert "device-020" in text(client, f"/tokens/{token.pk}?page=2")

    def test_client_data_is_escaped(self, client, token):
        used(token, user_agent="<script>alert(1)</script>", device_id="<b>device</b>")
        page = client.get(f"/tokens/{token.pk}").content.decode()
        assert "<script>alert" not in page
        assert "<b>device" not in page

    def test_the_reason_for_denials(self, client, alice, token):
        take_back(alice, 5, "Money went back")
        assert "Top up 5.00 ZNC, and the token works again at once" in text(client, f"/tokens/{token.pk}")
        fund(alice, 5)
        services.freeze(token.pk, actor=alice, reason="test")
        assert "An operator has frozen this token" in text(client, f"/tokens/{token.pk}")
        AccessToken.objects.update(created_at=timezone.now() - timedelta(hours=3), expires_at=timezone.now())
        assert "This token has expired and no longer works" in text(client, f"/tokens/{token.pk}")
        services.revoke_by_force(token.pk, actor=alice, reason="test")
        assert "This token was revoked and no longer works" in text(client, f"/tokens/{token.pk}")


class TestAfterThePurchase:
    @pytest.fixture
    def bought(self, client, alice, tariffs):
        client.force_login(alice)
        fund(alice, 50)
        form = {"key": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "scope": "full", "duration_hours": "24"}
        return client.post("/tokens/buy", form)["Location"]

    @pytest.fixture
    def tariffs(self, alice_token):
        """Create a tariff, because the flush after a transactional test deletes the shipped ones."""
        put_on_sale(24, "full")

    def test_the_token_in_full_with_a_qr_code_and_the_steps(self, client, bought, settings):
        page = client.get(bought)
        words = html.unescape(page.content.decode())
        shown = re.search(r'<code id="token">([\w-]{64})</code>', words)
        assert shown
        assert "no-store" in page["Cache-Control"]
        picture = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', words)
        assert picture
        assert b"<svg" in base64.b64decode(picture[1])
        assert f"{settings.BACKEND_URL}/api/v1/proxy/" in words

    def test_the_token_is_hidden_in_another_session(self, bought, alice):
        other = Client()
        other.force_login(alice)
        assert other.get(bought)["Location"] == bought.removesuffix("/bought")


class TestInTheBrowser:
    def test_the_browser_is_admitted_as_a_separate_device(self, gateway, recorded, client, alice, alice_token, token):
        response = client.post(f"/tokens/{token.pk}/open")
        assert (response.status_code, response["Location"]) == (302, "/api/v1/proxy/")
        cookie, device = response.cookies["zenzefi_access"], response.cookies["zenzefi_device"].value
        assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["max-age"]) == (True, "Lax", "/", "")
        browser = gateway.client(headers={"Cookie": f"zenzefi_access={cookie.value}; zenzefi_device={device}"})
        assert browser.get("/x").status_code == 200
        assert b"zenzefi_" not in recorded.requests[-1].raw
        gateway.run(gateway.plane.flush.run())
        assert ProxySession.objects.get().device_id == device

    def test_the_same_browser_stays_the_same_device(self, client, token):
        first = client.post(f"/tokens/{token.pk}/open").cookies["zenzefi_device"].value
        assert client.post(f"/tokens/{token.pk}/open").cookies["zenzefi_device"].value == first
        client.cookies["zenzefi_device"] = "short"
        assert client.post(f"/tokens/{token.pk}/open").cookies["zenzefi_device"].value not in ("short", first)

    def test_it_redirects_into_the_scope(self, client, alice, sold_token):
        client.force_login(alice)
        token = sold_token(alice, scope="certificates_only").token
        assert client.post(f"/tokens/{token.pk}/open")["Location"] == "/api/v1/proxy/certificates"

    def test_its_denials(self, client, alice, bob, token):
        assert client.get(f"/tokens/{token.pk}/open").status_code == 405
        services.revoke_by_force(token.pk, actor=alice, reason="test")
        response = client.post(f"/tokens/{token.pk}/open")
        assert (response["Location"], "zenzefi_access" in response.cookies) == (f"/tokens/{token.pk}", False)
        client.force_login(bob)
        assert client.post(f"/tokens/{token.pk}/open").status_code == 404
        client.logout()
        assert client.post(f"/tokens/{token.pk}/open")["Location"].startswith("/accounts/login/")
