"""One-time codes that sign a browser in on PROXY_HOST: the form with the code, and its exchange for a cookie."""

import re
import time

import httpx
import pytest
from django.core import signing

from proxy.dataplane.admission import handoff_codes
from proxy.dataplane.rules.cookies import read_access
from proxy.dataplane.state.base import StateUnavailable
from proxy.models import DenialRecord, ProxySession
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.denial_pages import NAVIGATION, buttons, heading
from proxy.tests.support.proxy_host import HOST, ORIGIN, SITE

SPENT = "This link to the server was already used, or is older than a minute."


@pytest.fixture
def pressed(gateway, recorded, client, alice, alice_token):
    """Return a function that presses the button as Alice and returns the page."""
    gateway.restart(PROXY_HOST=HOST, BACKEND_URL=SITE)
    client.force_login(alice)
    return lambda token=alice_token: client.post(f"/tokens/{token.token.pk}/open")


def code_of(page):
    """Return the code in the page's form, which leads to the other host."""
    action = re.search(r'action="([^"]+)"\s+id="handoff"', page.content.decode())[1]
    address, _, code = action.partition("?code=")
    assert address == f"{ORIGIN}/.zenzefi/open"
    return code


@pytest.fixture
def send(gateway):
    """Return a function that sends the form to PROXY_HOST, as a browser does from a page of the site."""

    def send(code, method="POST", *, at=None, **headers):
        given = {"Host": HOST, "Origin": SITE, **NAVIGATION, **headers}
        url = f"{at or gateway.url}/.zenzefi/open?code={code}"
        return httpx.request(method, url, headers=given, trust_env=False)

    return send


class TestTheButton:
    def test_its_page(self, pressed, alice_token):
        page = pressed()
        assert page.status_code == 200
        assert "zenzefi_access" not in page.cookies
        assert page.cookies["zenzefi_device"].value
        assert "no-store" in page["Cache-Control"]
        assert page["Referrer-Policy"] == "strict-origin"
        (form_action,) = re.findall("form-action ([^;]+)", page["Content-Security-Policy"])
        assert ORIGIN in form_action.split()
        assert alice_token.text not in page.content.decode()
        assert alice_token.token.digest not in page.content.decode()
        # The CSRF token is for forms within the site; another host must not learn it.
        form = re.search("<form[^>]*handoff.*?</form>", page.content.decode(), re.DOTALL)[0]
        assert "csrf" not in form

    def test_every_press_has_a_new_code(self, pressed):
        assert code_of(pressed()) != code_of(pressed())

    def test_other_pages_may_not_send_forms_there(self, pressed, client, alice_token):
        assert ORIGIN not in client.get(f"/tokens/{alice_token.token.pk}")["Content-Security-Policy"]


class TestTheExchange:
    def test_the_cookie_and_the_redirect(self, gateway, pressed, send, recorded, alice_token):
        page = pressed()
        response = send(code_of(page))
        assert (response.status_code, response.headers["Location"], response.content) == (303, "/", b"")
        assert (response.headers["Referrer-Policy"], response.headers["Cache-Control"]) == ("no-referrer", "no-store")
        (cookie,) = response.headers.get_list("Set-Cookie")
        value, *attributes = cookie.removeprefix("zenzefi_access=").split("; ")
        assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Lax"]  # and no Domain
        device = page.cookies["zenzefi_device"].value
        assert read_access(value) == (alice_token.token.digest, device)
        assert recorded.requests == []
        headers = {"Host": HOST, "Cookie": f"zenzefi_access={value}"}
        assert httpx.get(f"{gateway.url}/static/style.css", headers=headers, trust_env=False).status_code == 200
        assert recorded.last.target == b"/static/style.css"
        gateway.run(gateway.plane.flush.run())
        assert ProxySession.objects.get().device_id == device

    def test_the_settings_of_the_cookie(self, gateway, pressed, send):
        gateway.restart(COOKIE_SECURE=True, COOKIE_SAMESITE="None")
        (cookie,) = send(code_of(pressed())).headers.get_list("Set-Cookie")
        assert cookie.endswith("; Path=/; HttpOnly; SameSite=None; Secure")

    def test_a_strict_cookie_comes_with_a_page_of_that_host(self, gateway, pressed, send):
        gateway.restart(COOKIE_SAMESITE="Strict")
        response = send(code_of(pressed()))
        assert (response.status_code, response.headers["Refresh"], response.content) == (200, "0; url=/", b"")
        assert "; SameSite=Strict" in response.headers["Set-Cookie"]

    def test_it_redirects_into_the_scope(self, pressed, send, alice, sold_token):
        token = sold_token(alice, scope="certificates_only")
        assert send(code_of(pressed(token))).headers["Location"] == "/certificates"

    def test_from_another_name_of_the_site(self, pressed, send, settings):
        code = code_of(pressed())
        settings.ALLOWED_HOSTS = ["localhost"]
        assert send(code, Origin="http://localhost:8000").status_code == 303


class TestDenials:
    def assert_spent(self, response):
        assert (response.status_code, response.headers["X-Zenzefi-Error"]) == (401, "invalid_token")
        assert heading(response) == SPENT
        assert f"{SITE}/tokens" in buttons(response)
        assert "Set-Cookie" not in response.headers
        assert "Location" not in response.headers

    def test_a_second_use(self, gateway, pressed, send):
        code = code_of(pressed())
        assert send(code).status_code == 303
        self.assert_spent(send(code))
        gateway.run(gateway.plane.flush.run())
        record = DenialRecord.objects.get()
        assert (record.code, record.path, record.detail) == ("invalid_token", "/.zenzefi/open", {"code_spent": True})

    def test_a_code_issued_before_a_restart(self, gateway, pressed, send):
        code = code_of(pressed())
        gateway.restart()
        if not gateway.plane.config.redis_url:
            self.assert_spent(send(code))
        assert send(code_of(pressed())).status_code == 303

    def test_too_old(self, pressed, send, monkeypatch):
        code, now = code_of(pressed()), time.time()
        monkeypatch.setattr(handoff_codes.time, "time", lambda: now + handoff_codes.LIFETIME_SECONDS + 1)
        self.assert_spent(send(code))

    def test_foreign_and_malformed_codes(self, pressed, send, recorded, alice_token):
        good = code_of(pressed())
        content = [alice_token.token.digest, "browser-1", "/", "0" * 32, time.time()]
        codes = [
            "", "x", "::", good[:-1], good + "x", good.swapcase(), "x" * 5000, good + "&code=" + good, "%00", "%FF",
            signing.dumps(content), signing.dumps(content, key="k" * 50, salt="proxy.opening"),
            signing.dumps(content[:2], salt="proxy.access-cookie"), alice_token.text,
        ]  # fmt: skip
        for code in codes:
            self.assert_spent(send(code))
        assert recorded.requests == []
        assert send(good).status_code == 303

    @pytest.mark.parametrize(
        "origin",
        [None, "null", "", "http://evil.example", ORIGIN, "https://zenzefi.example", f"{SITE}:81", f"{SITE}."],
    )
    def test_from_a_page_that_is_not_the_sites(self, gateway, pressed, send, origin):
        """Deny a form from another site, which could sign a victim's browser in with the attacker's token."""
        code = code_of(pressed())
        headers = {"Host": HOST, **NAVIGATION, **({} if origin is None else {"Origin": origin})}
        response = httpx.post(f"{gateway.url}/.zenzefi/open?code={code}", headers=headers, trust_env=False)
        assert (response.status_code, response.headers["X-Zenzefi-Error"]) == (403, "origin_denied")
        assert f"{SITE}/tokens" in buttons(response)
        assert "Set-Cookie" not in response.headers
        assert send(code).status_code == 303  # it was not used

    def test_while_the_state_is_unavailable(self, gateway, pressed, send, monkeypatch):
        async def spend(*_given):
            raise StateUnavailable

        code = code_of(pressed())
        monkeypatch.setattr(gateway.plane.state, "spend", spend)
        response = send(code)
        assert (response.status_code, response.headers["X-Zenzefi-Error"]) == (503, "state_unavailable")
        assert "Set-Cookie" not in response.headers
        monkeypatch.undo()
        assert send(code).status_code == 303

    def test_another_method(self, pressed, send):
        code = code_of(pressed())
        self.assert_spent(send(code, "GET"))
        assert_denied(send(code, "PUT", Accept="*/*"), "invalid_token")
        assert send(code).status_code == 303

    def test_not_on_the_sites_host(self, gateway, pressed):
        headers = {"Origin": gateway.url}
        url = f"{gateway.url}/.zenzefi/open?code={code_of(pressed())}"
        assert httpx.post(url, headers=headers, trust_env=False).status_code == 404

    def test_for_a_program_as_json(self, pressed, send):
        assert_denied(send("x", Accept="application/json"), "invalid_token")


@pytest.mark.services
def test_a_code_is_used_once_on_all_workers(start_gateway_process, demo_upstream, send, alice_token):
    given = {"PROXY_HOST": HOST, "BACKEND_URL": SITE}
    workers = [start_gateway_process(demo_upstream.url, **given) for _ in range(2)]
    for worker in workers:
        worker.wait_ready()
    for first, second in (workers, workers[::-1]):
        code = handoff_codes.issue(alice_token.token.digest, "browser-1", "/")
        assert send(code, at=first.url).status_code == 303
        assert send(code, at=second.url).status_code == 401
