"""The cookie of a browser session, which is issued for header credentials and admits the same device."""

import base64
import json
import re
from datetime import datetime

from django.core import signing

from access import services
from proxy.dataplane.rules.cookies import sign_access
from proxy.models import ProxySession
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.servers import eventually

NAME = "zenzefi_access"


def open_session(gateway, token):
    response = gateway.client(token).post("/session")
    assert response.status_code == 200
    return response


def browser(gateway, value):
    return gateway.client(headers={"Cookie": f"{NAME}={value}"})


class TestOpening:
    def test_the_response(self, gateway, recorded, alice_token):
        response = open_session(gateway, alice_token)
        body = response.json()
        assert set(body) == {"expires_at", "url"}
        assert body["url"] == "/api/v1/proxy/"
        assert datetime.fromisoformat(body["expires_at"]) == alice_token.token.expires_at
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Zenzefi-Expires-At"]
        assert recorded.requests == []

    def test_the_cookie(self, gateway, alice_token):
        (cookie,) = open_session(gateway, alice_token).headers.get_list("Set-Cookie")
        value, *attributes = cookie.split("; ")
        assert re.fullmatch(rf"{NAME}=[A-Za-z0-9_:.-]+", value)
        # No Max-Age: the token may be extended.
        assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Lax"]
        assert alice_token.text not in cookie

    def test_the_settings_of_the_cookie(self, gateway, alice_token):
        gateway.restart(COOKIE_SECURE=True, COOKIE_SAMESITE="Strict")
        (cookie,) = open_session(gateway, alice_token).headers.get_list("Set-Cookie")
        assert cookie.endswith("; HttpOnly; SameSite=Strict; Secure")

    def test_its_denials(self, gateway, recorded, olga, alice_token):
        assert_denied(gateway.client().post("/session"), "invalid_token")
        assert_denied(gateway.client(alice_token.on("short")).post("/session"), "device_id_required")
        services.freeze(alice_token.token.pk, actor=olga, reason="test")
        response = gateway.client(alice_token).post("/session")
        assert_denied(response, "token_frozen")
        assert "Set-Cookie" not in response.headers
        assert recorded.requests == []


class TestUsing:
    def test_it_admits_the_device_it_was_issued_for(self, gateway, recorded, alice, alice_token):
        value = open_session(gateway, alice_token).cookies[NAME]
        response = browser(gateway, value).get("/x")
        assert (response.status_code, response.text) == (200, "ok")
        assert response.headers["X-Zenzefi-Expires-At"]
        assert recorded.last.header(b"x-user-id") == str(alice.pk).encode()
        gateway.run(gateway.plane.flush.run())
        assert ProxySession.objects.get().device_id == alice_token.device
        # Headers of the same device are admitted; those of any other device are denied.
        assert gateway.client(alice_token).get("/x").status_code == 200
        assert_denied(gateway.client(alice_token.on("another-device")).get("/x"), "device_conflict")

    # case C44
    def test_it_never_reaches_the_upstream(self, gateway, recorded, alice_token):
        value = open_session(gateway, alice_token).cookies[NAME]
        client = gateway.client(headers={"Cookie": f"a=1; {NAME}={value}; b=2"})
        assert client.get("/x").status_code == 200
        assert recorded.last.header(b"cookie") == b"a=1; b=2"
        assert browser(gateway, value).get("/x").status_code == 200
        assert recorded.last.header(b"cookie") is None
        assert value.encode() not in b"".join(request.raw for request in recorded.requests)

    def test_the_header_takes_precedence(self, gateway, recorded, bob, alice_token, bob_token):
        value = open_session(gateway, alice_token).cookies[NAME]
        client = gateway.client(bob_token, cookies={NAME: value})
        assert client.get("/x").status_code == 200
        assert recorded.last.header(b"x-user-id") == str(bob.pk).encode()
        wrong = {"X-Access-Token": "w" * 64, "X-Device-ID": alice_token.device}
        assert_denied(browser(gateway, value).get("/x", headers=wrong), "invalid_token")

    def test_it_ends_with_its_token(self, gateway, recorded, olga, alice_token):
        client = browser(gateway, open_session(gateway, alice_token).cookies[NAME])
        assert client.get("/x").status_code == 200
        services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
        eventually(lambda: client.get("/x").status_code == 401, seconds=2)
        assert_denied(client.get("/x"), "invalid_token")

    def test_it_shows_the_status(self, gateway, alice_token):
        client = browser(gateway, open_session(gateway, alice_token).cookies[NAME])
        assert client.get("/status").json()["token_id"] == str(alice_token.token.pk)

    def test_the_upstream_cannot_replace_it(self, gateway, recorded, alice_token):
        recorded.response = b"HTTP/1.1 200 OK\r\nSet-Cookie: zenzefi_access=x; Path=/\r\nContent-Length: 0\r\n\r\n"
        client = browser(gateway, open_session(gateway, alice_token).cookies[NAME])
        assert "Set-Cookie" not in client.get("/x").headers


# case C47
def test_forged_and_malformed_cookies(gateway, recorded, alice_token):
    good = sign_access(alice_token.token.digest, alice_token.device)
    payload, stamp, signature = good.split(":")
    other = base64.urlsafe_b64encode(json.dumps([alice_token.token.digest, "another-device"]).encode()).decode()
    values = [
        "", "x", "::", ":::", payload, f"{payload}:{stamp}", f"{payload}:{stamp}:", f"{payload}:{stamp}:{signature}x",
        f"{other.rstrip('=')}:{stamp}:{signature}", f"{payload}:0:{signature}", f".{payload}:{stamp}:{signature}",
        good.swapcase(), f'"{good}"', good + good, "%00", "\xff", "x" * 7000, alice_token.text,
        alice_token.token.digest,
        signing.dumps([alice_token.token.digest, alice_token.device]),  # another salt
        signing.dumps([alice_token.token.digest, alice_token.device], key="k" * 50, salt="proxy.access-cookie"),
    ]  # fmt: skip
    for value in values:
        response = gateway.client(headers={"Cookie": f"{NAME}={value}".encode("latin-1")}).get("/x")
        assert_denied(response, "invalid_token")
    assert recorded.connections == 0
    assert browser(gateway, good).get("/x").status_code == 200


def test_a_name_in_another_case_is_another_cookie(gateway, recorded, alice_token):
    good = sign_access(alice_token.token.digest, alice_token.device)
    assert_denied(gateway.client(headers={"Cookie": f"Zenzefi_Access={good}"}).get("/x"), "invalid_token")
