"""Each row of the contract's table of denials, over HTTP."""

import contextlib
import socket
import time
from datetime import timedelta

import pytest
from django.db import OperationalError

from access import services
from access.models import AccessToken
from accounts.services import set_active
from proxy.dataplane.admission import grant_cache, revocation_feed
from proxy.models import ProxySession
from proxy.tests.support.assertions import assert_denied, assert_denied_and_unseen
from proxy.tests.support.raw_client import connected, exchange, head
from proxy.tests.support.servers import eventually, once

UNKNOWN = "u" * 64
DEVICE = "device-of-the-owner"
PAST = timedelta(hours=2)


class TestToken:
    def test_none(self, gateway, recorded):
        response = gateway.client().get("/x", headers={"X-Device-ID": DEVICE})
        assert_denied_and_unseen(response, "invalid_token", recorded)

    def test_an_empty_one(self, gateway, recorded):
        response = gateway.client().get("/x", headers={"X-Access-Token": "", "X-Device-ID": DEVICE})
        assert_denied_and_unseen(response, "invalid_token", recorded)

    def test_an_unknown_one(self, gateway, recorded):
        for text in (UNKNOWN, "x", "x" * 9000, b"\xff\xfe", b"\xd1\x8f" * 32, "Bearer x", "' OR 1=1 --", "%00"):
            response = gateway.client().get("/x", headers={"X-Access-Token": text, "X-Device-ID": DEVICE})
            assert_denied_and_unseen(response, "invalid_token", recorded)

    def test_an_altered_one(self, gateway, recorded, alice_token):
        for text in (alice_token.text.swapcase(), alice_token.text[:-1], alice_token.text + "A"):
            response = gateway.client().get("/x", headers={"X-Access-Token": text, "X-Device-ID": DEVICE})
            assert_denied_and_unseen(response, "invalid_token", recorded, alice_token)

    def test_an_unknown_token_is_admitted_once_it_exists(self, gateway, recorded, alice_token, monkeypatch):
        monkeypatch.setattr(grant_cache, "_MISS_SECONDS", 0.3)
        digest = alice_token.token.digest
        AccessToken.objects.filter(pk=alice_token.token.pk).update(digest="0" * 64)
        client = gateway.client(alice_token)
        assert_denied(client.get("/x"), "invalid_token")
        AccessToken.objects.filter(pk=alice_token.token.pk).update(digest=digest)
        eventually(lambda: client.get("/x").status_code == 200)

    def test_a_revoked_one(self, gateway, recorded, alice, olga, alice_token):
        services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
        assert_denied_and_unseen(gateway.client(alice_token).get("/x"), "invalid_token", recorded, alice_token)

    def test_an_expired_one(self, gateway, recorded, alice_token):
        alice_token.shift(PAST)
        assert_denied_and_unseen(gateway.client(alice_token).get("/x"), "token_expired", recorded, alice_token)

    def test_a_revoked_and_expired_one(self, gateway, recorded, olga, alice_token):
        services.revoke_by_force(alice_token.token.pk, actor=olga, reason="test")
        alice_token.shift(PAST)
        assert_denied_and_unseen(gateway.client(alice_token).get("/x"), "invalid_token", recorded, alice_token)

    def test_a_frozen_one(self, gateway, recorded, olga, alice_token):
        services.freeze(alice_token.token.pk, actor=olga, reason="test")
        assert_denied_and_unseen(gateway.client(alice_token).get("/x"), "token_frozen", recorded, alice_token)
        services.unfreeze(alice_token.token.pk, actor=olga, reason="test")
        eventually(lambda: gateway.client(alice_token).get("/x").status_code == 200)

    def test_of_a_blocked_user(self, gateway, recorded, alice, olga, alice_token):
        set_active(alice, False, actor=olga)
        assert_denied_and_unseen(gateway.client(alice_token).get("/x"), "user_inactive", recorded, alice_token)
        set_active(alice, True, actor=olga)
        eventually(lambda: gateway.client(alice_token).get("/x").status_code == 200)

    def test_two_at_once(self, gateway, recorded, alice_token, bob_token):
        request = head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}, b"x-access-token: x")
        assert_denied_and_unseen(exchange(gateway.port, request), "bad_request", recorded, alice_token)

    def test_in_the_query_or_as_a_jwt(self, gateway, recorded, alice_token):
        """Accept a token in the header and the cookie only."""
        client = gateway.client()
        for options in (
            {"params": {"token": alice_token.text}},
            {"headers": {"Authorization": f"Bearer {alice_token.text}"}},
            {"headers": {"Cookie": f"X-Access-Token={alice_token.text}; X-Device-ID=device-of-the-owner"}},
            {"headers": {"Cookie": f"zenzefi_access={alice_token.text}"}},
        ):
            assert_denied_and_unseen(client.get("/x", **options), "invalid_token", recorded, alice_token)


class TestDevice:
    def test_missing(self, gateway, recorded, alice_token):
        response = gateway.client().get("/x", headers={"X-Access-Token": alice_token.text})
        assert_denied_and_unseen(response, "device_id_required", recorded, alice_token)

    def test_malformed(self, gateway, recorded, alice_token):
        foreign = "имя-устройства".encode()
        for device in ("", "1234567", "d" * 129, foreign, b"device\xff\xff\xff", "two words", "tab\tbed-id"):
            headers = {"X-Access-Token": alice_token.text, "X-Device-ID": device}
            response = gateway.client().get("/x", headers=headers)
            assert_denied_and_unseen(response, "device_id_required", recorded, alice_token)

    @pytest.mark.parametrize("device", ["12345678", "d" * 128, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"])
    def test_well_formed(self, gateway, recorded, alice_token, device):
        assert gateway.client(alice_token.on(device)).get("/x").status_code == 200
        gateway.run(gateway.plane.flush.run())
        assert ProxySession.objects.get().device_id == device

    def test_conflict(self, gateway, recorded, alice_token):
        assert gateway.client(alice_token).get("/x").status_code == 200
        assert_denied(gateway.client(alice_token.on("another-device")).get("/x"), "device_conflict")
        assert len(recorded.requests) == 1


class TestScope:
    @pytest.fixture
    def token(self, alice, sold_token):
        return sold_token(alice, scope="certificates_only")

    def test_outside(self, gateway, recorded, token):
        for path in ("", "/", "/x", "/certificatesx", "/Certificates", "/x/certificates"):
            assert_denied_and_unseen(gateway.client(token).get(path), "scope_denied", recorded, token)

    def test_inside(self, gateway, recorded, token):
        for path in ("/certificates", "/certificates/", "/certificates/a%20b.pem", "/certificates?a=../x"):
            assert gateway.client(token).get(path).status_code == 200
            assert recorded.last.target == path.encode()

    # case C37
    def test_ambiguous_paths(self, gateway, recorded, token):
        for path in [
            "/certificates/../admin", "/certificates/./x", "/certificates/%2e%2e/admin", "/certificates/%2E./x",
            "/certificates/..%2fadmin", "/certificates%2fx", "/certificates/..%5cadmin", "/certificates/..\\admin",
            "/certificates/%252e%252e/x", "/certificates//x", "//certificates", "/certificates;x", "/certificates/;x",
            "/certificates/%3b", "/certificates/%00", "/certificates/%0a", "/certificates/%7f",
            "/certificates/%c0%ae%c0%ae/x", "/certificates/%c0%af", "/certificates/%e0%80%af", "/certificates/%",
            "/certificates/%zz", "/certificates/..", "/certificates/.",
        ]:  # fmt: skip
            request = head("GET", f"/api/v1/proxy{path}", {"Host": "h", **token.headers})
            assert_denied_and_unseen(exchange(gateway.port, request), "bad_request", recorded, token)

    # case C38
    def test_fragments_and_queries_do_not_match_the_scope(self, gateway, recorded, token):
        for target in ("/admin#/certificates", "/admin?/certificates", "/admin%23/certificates", "?/certificates"):
            response = exchange(gateway.port, head("GET", f"/api/v1/proxy{target}", {"Host": "h", **token.headers}))
            assert response.status in (400, 403)
            assert recorded.requests == []


class TestOrigin:
    @pytest.fixture
    def browser(self, gateway, recorded, alice_token):
        response = gateway.client(alice_token).post("/session")
        assert response.status_code == 200
        client = gateway.client(cookies={"zenzefi_access": response.cookies["zenzefi_access"]})
        assert recorded.requests == []
        return client

    # case C47
    def test_foreign(self, gateway, recorded, alice_token, browser):
        for origin in [
            "https://evil.example", "null", "", "http://127.0.0.1.evil.example", "http://evil-127.0.0.1",
            "http://127.0.0.1", "http://127.0.0.1:1", "http://user@127.0.0.1:{port}", "https://127.0.0.1:{port}",
            "ftp://127.0.0.1:{port}", "http://127.0.0.1:{port}.evil.example", "http://[::1", "127.0.0.1:{port}",
            "//127.0.0.1:{port}", "http://127.0.0.1:{port}, https://evil.example", "http://[x", b"http://\xff",
        ]:  # fmt: skip
            sent = origin.format(port=gateway.port) if isinstance(origin, str) else origin
            for method in ("GET", "POST"):
                response = browser.request(method, "/x", headers={"Origin": sent})
                assert_denied_and_unseen(response, "origin_denied", recorded, alice_token)

    def test_own(self, gateway, recorded, browser):
        assert browser.post("/x", headers={"Origin": gateway.url}).status_code == 200

    def test_the_own_origin_of_a_foreign_host(self, gateway, recorded, alice_token, browser):
        """Deny a host name that an attacker resolves to the gateway (DNS rebinding)."""
        headers = {"Host": "evil.example", "Origin": "http://evil.example"}
        assert_denied_and_unseen(browser.post("/x", headers=headers), "origin_denied", recorded, alice_token)

    def test_an_unsafe_method_without_an_origin(self, gateway, recorded, alice_token, browser):
        assert_denied_and_unseen(browser.post("/x"), "origin_denied", recorded, alice_token)
        response = browser.post("/x", headers={"Sec-Fetch-Site": "cross-site"})
        assert_denied_and_unseen(response, "origin_denied", recorded, alice_token)
        assert browser.post("/x", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200

    def test_navigation_needs_no_origin(self, gateway, recorded, browser):
        assert browser.get("/x").status_code == 200

    def test_header_credentials_need_no_origin(self, gateway, recorded, alice_token):
        client = gateway.client(alice_token)
        assert client.post("/x").status_code == 200
        assert client.post("/x", headers={"Origin": "https://evil.example"}).status_code == 200
        assert recorded.last.header(b"origin") == b"https://evil.example"


class TestRates:
    def test_rate_limited(self, gateway, recorded, alice, sold_token, bob_token):
        tokens = [sold_token(alice), sold_token(alice)]
        gateway.restart(RATE_LIMIT_PROXY="3/minute")
        assert [gateway.client(tokens[0]).get("/x").status_code for _ in range(3)] == [200] * 3
        response = gateway.client(tokens[0]).get("/x")
        assert_denied(response, "rate_limited")
        assert 50 <= int(response.headers["Retry-After"]) <= 60
        # The window is shared by all tokens of the user, and by no other user.
        assert_denied(gateway.client(tokens[1]).get("/x"), "rate_limited")
        assert tokens[1].stored().activated_at is None
        assert gateway.client(bob_token).get("/x").status_code == 200
        assert len(recorded.requests) == 4

    # case G76
    def test_too_many_connections(self, gateway, alice_token, bob_token):
        gateway.restart(MAX_CONNECTIONS_PER_TOKEN=2)
        with contextlib.ExitStack() as open_streams:
            for _ in range(2):
                open_streams.enter_context(gateway.client(alice_token).stream("GET", "/events"))
            assert_denied(gateway.client(alice_token).get("/echo"), "too_many_connections")
            assert gateway.client(bob_token).get("/echo").status_code == 200
        eventually(lambda: len(gateway.plane.in_flight) == 0)
        assert gateway.client(alice_token).get("/echo").status_code == 200


class TestUpstream:
    def test_connection_refused(self, gateway, alice_token):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            gateway.restart(ZENZEFI_TARGET_URL=f"http://127.0.0.1:{unused.getsockname()[1]}")
            assert_denied(gateway.client(alice_token).get("/x"), "upstream_unreachable")

    def test_invalid_responses(self, gateway, recorded, alice_token):
        # case C41
        for response in [
            b"", b"\r\n\r\n", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-", b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nbad name: x\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a\x0bb\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX-A: a\r\n X-B: b\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nX-A:\r\n\tX-B: b\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ]:  # fmt: skip
            recorded.response = once(response)
            assert_denied(gateway.client(alice_token).get("/x"), "upstream_unreachable")

    def test_timeout(self, gateway, recorded, alice_token):
        async def script(_request, connection):
            await connection.wait_closed()

        recorded.response = script
        gateway.restart(UPSTREAM_TIMEOUT=0.3)
        started = time.monotonic()
        assert_denied(gateway.client(alice_token).get("/x"), "upstream_timeout")
        assert time.monotonic() - started >= 0.3
        eventually(lambda: recorded.closed_connections == 1)

    def test_a_failure_counts_as_use(self, gateway, alice_token):
        gateway.restart(ZENZEFI_TARGET_URL="http://127.0.0.1:9")
        gateway.client(alice_token).get("/x")
        assert alice_token.stored().activated_at is not None


class TestRequestTimeout:
    @pytest.mark.parametrize("sent", [b"", b"12345"])
    def test_a_body_that_does_not_arrive(self, gateway, recorded, alice_token, sent):
        # cases C49, C53, G81
        gateway.restart(CLIENT_BODY_TIMEOUT=0.3)
        headers = {"Host": "h", "Content-Length": "10", **alice_token.headers}
        with connected(gateway.port) as client:
            client.send(head("POST", "/api/v1/proxy/x", headers) + sent)
            response = client.read_response()
            assert_denied(response, "request_timeout")
            assert response.headers["Connection"] == "close"
            assert client.is_closed()
        assert recorded.requests == []

    # case C49
    def test_announced_bodies_that_never_arrive(self, gateway, recorded, alice_token, bob_token):
        """Respond 100 to them, without delaying other clients or using connections to the upstream."""
        gateway.restart(CLIENT_BODY_TIMEOUT=3, MAX_CONNECTIONS_PER_TOKEN=50)
        framings = [b"Content-Length: 10", b"Transfer-Encoding: chunked"]
        given = {"Host": "h", "Expect": "100-continue", **alice_token.headers}
        began = time.monotonic()
        with contextlib.ExitStack() as clients:
            waiting = [clients.enter_context(connected(gateway.port)) for _ in range(60)]
            for number, client in enumerate(waiting):
                client.send(head("POST", "/api/v1/proxy/x", given, framings[number % 2]))
            assert gateway.client(bob_token).get("/x").status_code == 200
            assert recorded.connections == 1
            codes = [client.read_response().json()["code"] for client in waiting]
        assert sorted(codes) == ["request_timeout"] * 50 + ["too_many_connections"] * 10
        assert 3 <= time.monotonic() - began < 30
        assert len(recorded.requests) == recorded.connections == 1
        assert len(gateway.plane.in_flight) == 0

    def test_a_slow_body(self, gateway, recorded, alice_token):
        """Apply the limit to the time between two pieces."""
        gateway.restart(CLIENT_BODY_TIMEOUT=2)

        def pieces():
            for _ in range(4):
                time.sleep(0.6)
                yield b"x"

        assert gateway.client(alice_token).post("/x", content=pieces()).status_code == 200
        assert recorded.last.body == b"1\r\nx\r\n" * 4 + b"0\r\n\r\n"


class TestState:
    def test_maintenance(self, gateway, recorded, alice_token):
        gateway.restart(MAINTENANCE=True)
        response = gateway.client(alice_token).get("/x")
        assert_denied_and_unseen(response, "maintenance", recorded, alice_token)
        assert response.headers["Retry-After"] == "60"

    def test_draining(self, gateway, recorded, alice_token):
        gateway.plane.gate.draining = True
        assert_denied_and_unseen(gateway.client(alice_token).get("/x"), "draining", recorded, alice_token)

    def test_the_database_fails(self, gateway, recorded, alice_token, bob_token, monkeypatch):
        # case C47
        assert gateway.client(bob_token).get("/x").status_code == 200

        def fail(*_args):
            raise OperationalError("unavailable")

        monkeypatch.setattr(grant_cache, "grant_facts", fail)
        assert_denied(gateway.client(alice_token).get("/x"), "state_unavailable")
        assert alice_token.stored().activated_at is None
        assert gateway.client(bob_token).get("/x").status_code == 200
        assert len(recorded.requests) == 2
        monkeypatch.undo()
        assert gateway.client(alice_token).get("/x").status_code == 200

    def test_the_database_fails_at_the_first_use(self, gateway, recorded, alice_token, monkeypatch):
        def fail(*_args):
            raise OperationalError("unavailable")

        monkeypatch.setattr(services, "activate", fail)
        assert_denied_and_unseen(gateway.client(alice_token).get("/x"), "state_unavailable", recorded, alice_token)

    def test_a_silent_feed(self, gateway, recorded, alice_token, bob_token, monkeypatch):
        """Admit cached grants for 30 s, and no new ones."""
        assert gateway.client(bob_token).get("/x").status_code == 200

        def fail(*_args):
            raise OperationalError("unavailable")

        monkeypatch.setattr(revocation_feed, "revocations_since", fail)
        time.sleep(0.1)
        gateway.plane.feed._last_success -= 6
        assert_denied(gateway.client(alice_token).get("/x"), "state_unavailable")
        assert gateway.client(bob_token).get("/x").status_code == 200
        with gateway.client(bob_token).stream("GET", "/x"):
            gateway.plane.feed._last_success -= 25
            assert_denied(gateway.client(bob_token).get("/x"), "state_unavailable")
        assert alice_token.stored().activated_at is None
        monkeypatch.undo()
        eventually(lambda: gateway.client(bob_token).get("/x").status_code == 200)


class TestRequestForm:
    def test_other_methods(self, gateway, recorded, alice_token):
        for method in ("TRACE", "PROPFIND", "PURGE", "MKCOL"):
            request = head(method, "/api/v1/proxy/x", {"Host": "h", **alice_token.headers})
            assert_denied_and_unseen(exchange(gateway.port, request), "bad_request", recorded, alice_token)

    def test_a_denial_in_russian(self, gateway, recorded):
        response = gateway.client().get("/x", headers={"Accept-Language": "ru-RU, en;q=0.5"})
        assert response.status_code == 401
        assert response.json()["code"] == "invalid_token"
        response = gateway.client().get("/x", headers={"Accept-Language": "я;q=x,,;;".encode() + b"z" * 5000})
        assert_denied(response, "invalid_token")

    def test_a_denial_has_the_request_id_of_the_client(self, gateway, recorded):
        response = gateway.client().get("/x", headers={"X-Request-ID": "abc.DEF_12-3"})
        assert response.headers["X-Request-ID"] == "abc.DEF_12-3"
        for malformed in ("short", "x" * 129, "has space", "semi;colon"):
            response = gateway.client().get("/x", headers={"X-Request-ID": malformed})
            assert response.headers["X-Request-ID"] != malformed
            assert_denied(response, "invalid_token")

    def test_a_denied_head_has_no_body(self, gateway, recorded):
        response = gateway.client().head("/x")
        assert (response.status_code, response.content) == (401, b"")
        assert response.headers["X-Zenzefi-Error"] == "invalid_token"

    def test_a_denied_upload_leaves_the_connection_usable(self, gateway, recorded, alice_token):
        with connected(gateway.port) as client:
            client.send(head("POST", "/api/v1/proxy/x", {"Host": "h", "Content-Length": "5"}) + b"12345")
            assert_denied(client.read_response(), "invalid_token")
            client.send(head("GET", "/api/v1/proxy/x", {"Host": "h", **alice_token.headers}))
            assert client.read_response().status == 200
