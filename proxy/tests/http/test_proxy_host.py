"""The upstream's own host (PROXY_HOST), which serves its whole site without a prefix and no page of the gateway."""

from socket import create_connection

import httpx
import pytest
from websockets.sync.client import connect

from proxy.dataplane.asgi import ON_PROXY_HOST
from proxy.dataplane.rules.cookies import sign_access
from proxy.dataplane.rules.paths import PREFIX
from proxy.dataplane.rules.proxy_host import names_proxy_host, origin_of, prefix_of
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.denial_pages import NAVIGATION, buttons, heading
from proxy.tests.support.proxy_host import HOST, ORIGIN, SITE
from proxy.tests.support.raw_client import exchange, head
from proxy.tests.support.websockets import read_close


@pytest.mark.parametrize(
    ("host", "proxy_host", "expected"),
    [
        ("proxy.example", "proxy.example", True),
        ("Proxy.EXAMPLE", "proxy.example", True),
        ("proxy.example:80", "proxy.example", True),
        ("proxy.example:443", "proxy.example", True),
        ("proxy.example.", "proxy.example", True),  # a trailing dot names the same host (RFC 1034 §3.1)
        ("proxy.example.:80", "proxy.example", True),
        # A load balancer may omit the port or use another one than the browser.
        ("proxy.example", "proxy.example:8443", True),
        ("proxy.example:8000", "proxy.example:8443", True),
        ("[FD00::1]:80", "[fd00::1]", True),
        ("example", "proxy.example", False),
        ("proxy.example.evil", "proxy.example", False),
        ("evil-proxy.example", "proxy.example", False),
        ("a.proxy.example", "proxy.example", False),
        ("proxy.example@evil", "proxy.example", False),
        ("proxy.example:x", "proxy.example", False),
        ("proxy.example,evil", "proxy.example", False),
        ("x" * 10_000, "proxy.example", False),
        ("\xff", "proxy.example", False),
        ("", "proxy.example", False),
        (None, "proxy.example", False),
    ],
)
def test_names_of_the_host(host, proxy_host, expected):
    scope = {"headers": [] if host is None else [(b"accept", b"*/*"), (b"host", host.encode("latin-1"))]}
    assert names_proxy_host(scope, proxy_host) is expected


@pytest.mark.parametrize("expected", [True, False])
def test_the_prefix_by_host(expected):
    scope = {ON_PROXY_HOST: True} if expected else {}
    assert prefix_of(scope) == (b"" if expected else PREFIX)


def test_its_origin_has_the_scheme_of_the_site():
    assert origin_of("proxy.example", "https://zenzefi.example") == "https://proxy.example"
    assert origin_of("proxy.localhost:8000", "http://127.0.0.1:8000") == "http://proxy.localhost:8000"
    assert origin_of("", "https://zenzefi.example") == ""


@pytest.fixture
def proxied(gateway, recorded, settings):
    """Yield a function that returns a client of the upstream's own host, with a token's credentials if given."""
    gateway.restart(PROXY_HOST=HOST, BACKEND_URL=SITE)
    clients = []

    def proxied(token=None, **headers):
        given = {"Host": HOST, **(token.headers if token else {}), **headers}
        clients.append(httpx.Client(base_url=gateway.url, headers=given, trust_env=False, timeout=10))
        return clients[-1]

    yield proxied
    for client in clients:
        client.close()


class TestRequests:
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_every_method_with_the_path_unchanged(self, gateway, proxied, recorded, alice_token, method):
        for path in ("/", "/admin/", "/static/site.css", "/a%2Fb//c?d=e&f=%20?", "//x", "/x?"):
            headers = {"Host": HOST, **alice_token.headers}
            response = exchange(gateway.port, head(method, path, headers), method)
            assert response.status == 200
            assert recorded.last.line == f"{method} {path} HTTP/1.1".encode()

    # case C36
    def test_no_target_reaches_another_host(self, gateway, proxied, recorded, alice_token):
        headers = {"Host": HOST, **alice_token.headers}
        for target in (
            "//evil.example/x", "///evil.example", "/\\evil.example/x", "/@evil.example/x", "/:80@evil.example/",
            "/http://evil.example/x", "//@evil.example", "/..//evil.example", "/%0d%0aHost:%20evil.example",
        ):  # fmt: skip
            assert exchange(gateway.port, head("GET", target, headers)).body == b"ok"
            assert recorded.last.line == f"GET {target} HTTP/1.1".encode()
            assert recorded.last.header(b"host") == f"127.0.0.1:{recorded.port}".encode()
        count = len(recorded.requests)
        for target in ("http://evil.example/x", "@evil.example/x", "\\evil.example", "evil.example:80", "*", ""):
            assert_denied(exchange(gateway.port, head("GET", target, headers)), "bad_request")
        assert len(recorded.requests) == count

    def test_no_page_of_the_gateway_is_served_there(self, proxied, recorded, alice_token):
        paths = [
            "/health", "/health/live", "/health/ready", "/metrics", "/admin/", "/accounts/login/", "/api/v1/tokens",
            "/api/schema", "/docs", "/static/favicon.svg", "/api/v1/proxy/x", "/api/v1/proxy/status", "/denied",
        ]  # fmt: skip
        for path in paths:
            assert proxied(alice_token).get(path).text == "ok"
            assert recorded.last.target == path.encode()
            assert_denied(proxied().get(path), "invalid_token")
        assert proxied(alice_token).post("/api/v1/proxy/session").text == "ok"
        assert recorded.last.target == b"/api/v1/proxy/session"
        assert len(recorded.requests) == len(paths) + 1

    def test_the_forwarded_fields(self, proxied, recorded, alice, alice_token):
        body = b"x" * 100_000
        assert proxied(alice_token, **{"X-Forwarded-Host": "evil"}).put("/up", content=body).status_code == 200
        assert recorded.last.header(b"x-forwarded-host") == HOST.encode()
        assert recorded.last.header(b"x-forwarded-proto") == b"http"
        assert recorded.last.header(b"x-user-id") == str(alice.pk).encode()
        assert recorded.last.header(b"x-access-token") is None
        assert recorded.last.body == body

    def test_the_scope_of_a_token_applies(self, proxied, recorded, alice, sold_token):
        token = sold_token(alice, scope="certificates_only")
        assert proxied(token).get("/certificates/1").status_code == 200
        assert_denied(proxied(token).get("/api/v1/proxy/certificates"), "scope_denied")

    def test_the_site_keeps_its_host(self, gateway, proxied, recorded, alice_token):
        assert httpx.get(f"{gateway.url}/health/live", trust_env=False).json() == {"status": "alive"}
        assert httpx.get(gateway.url, trust_env=False).status_code == 200
        assert gateway.client(alice_token).get("/x").status_code == 200
        assert recorded.last.target == b"/x"
        response = gateway.client(alice_token).post("/session")
        assert response.json()["url"] == "/api/v1/proxy/"

    def test_two_host_fields_are_denied_in_any_order(self, gateway, proxied, recorded, alice_token):
        for first, second in ((HOST, "zenzefi.example"), ("zenzefi.example", HOST), (HOST, HOST)):
            request = head("GET", "/x", {"Host": first, **alice_token.headers}, f"Host: {second}".encode())
            assert_denied(exchange(gateway.port, request), "bad_request")
        assert recorded.requests == []

    def test_without_the_setting_the_host_is_unknown(self, gateway, recorded, alice_token):
        headers = {"Host": HOST, **alice_token.headers}
        assert httpx.get(f"{gateway.url}/x", headers=headers, trust_env=False).status_code == 400
        assert gateway.client(alice_token, headers={"Host": HOST}).get("/x").status_code == 200
        assert recorded.last.target == b"/x"


class TestResponses:
    @pytest.mark.parametrize(
        ("base", "stated", "expected"),
        [
            ("", "{up}/a?b", "/a?b"), ("", "{up}", "/"), ("", "/a", "/a"), ("", "a", "a"),
            ("", "//evil/x", "//evil/x"), ("", "{up}//evil/x", "/.//evil/x"), ("", "{up}/\\evil", "/./\\evil"),
            ("", "https://elsewhere.example/", "https://elsewhere.example/"), ("", f"{ORIGIN}/x", f"{ORIGIN}/x"),
            ("/app", "/app/a", "/a"), ("/app", "/app", "/"), ("/app", "/app?q", "/?q"),
            ("/app", "/app//evil", "/.//evil"), ("/app", "/other", "/other"), ("/app", "{up}/app/a", "/a"),
        ],
    )  # fmt: skip
    def test_a_location(self, gateway, proxied, recorded, alice_token, base, stated, expected):
        gateway.restart(ZENZEFI_TARGET_URL=recorded.url + base)
        location = stated.format(up=recorded.url)
        recorded.response = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
        assert proxied(alice_token).get("/x").headers["Location"] == expected
        assert recorded.last.target == f"{base}/x".encode()

    @pytest.mark.parametrize(
        ("base", "stated", "expected"),
        [
            ("", "a=1; Path=/", "a=1; Path=/"),
            ("", "a=1; Domain=.example; Path=/x; HttpOnly", "a=1; Path=/x; HttpOnly"),
            ("/app", "a=1; Path=/app", "a=1; Path=/"), ("/app", "a=1; Path=/app/x", "a=1; Path=/x"),
        ],
    )  # fmt: skip
    def test_a_cookie(self, gateway, proxied, recorded, alice_token, base, stated, expected):
        gateway.restart(ZENZEFI_TARGET_URL=recorded.url + base)
        evil = "Set-Cookie: zenzefi_access=evil; Path=/"
        recorded.response = f"HTTP/1.1 200 OK\r\nSet-Cookie: {stated}\r\n{evil}\r\nContent-Length: 0\r\n\r\n".encode()
        assert proxied(alice_token).get("/x").headers.get_list("Set-Cookie") == [expected]


class TestTheCookie:
    @pytest.fixture
    def browser(self, proxied, alice_token):
        return proxied(Cookie=f"a=1; zenzefi_access={sign_access(alice_token.token.digest, 'browser-1')}")

    def test_admits_a_browser(self, browser, recorded):
        assert browser.get("/x").status_code == 200
        assert recorded.last.header(b"cookie") == b"a=1"
        for origin in (ORIGIN, f"{ORIGIN}:8000"):
            host = origin.removeprefix("http://")
            assert browser.post("/x", headers={"Host": host, "Origin": origin}).status_code == 200

    def test_a_page_stays_unchanged(self, browser, recorded):
        page = b"<!doctype html><html><head></head><body><a href='/x'>x</a></body></html>"
        stated = b'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n' % len(page)
        recorded.response = stated + page
        response = browser.get("/")
        assert (response.content, response.headers["etag"]) == (page, '"1"')

    @pytest.mark.parametrize(
        "origin", [SITE, "http://evil.example", "null", "https://proxy.example", f"{ORIGIN}:81", f"{ORIGIN}.evil"]
    )
    def test_does_not_admit_requests_of_pages_on_another_host(self, browser, recorded, origin):
        assert_denied(browser.post("/x", headers={"Origin": origin}), "origin_denied")
        assert_denied(browser.get("/x", headers={"Origin": origin}), "origin_denied")
        assert recorded.requests == []

    def test_does_not_admit_the_upstreams_pages_under_the_prefix(self, gateway, proxied, recorded, alice_token):
        cookie = f"zenzefi_access={sign_access(alice_token.token.digest, 'browser-1')}"
        response = gateway.client(headers={"Cookie": cookie, "Origin": ORIGIN}).post("/x")
        assert_denied(response, "origin_denied")


class TestDenialPages:
    def test_links_lead_to_the_site(self, proxied, recorded):
        page = proxied().get("/x", headers={**NAVIGATION, "X-Request-ID": "number-0001"})
        assert heading(page) == "The request had no token or an unknown one."
        assert set(buttons(page)) == {f"{SITE}/tokens", f"{SITE}/denied/number-0001"}
        assert ' href="/' not in page.text
        assert ' src="/' not in page.text
        assert f'href="{SITE}/static/' in page.text
        assert "<use" not in page.text  # browsers load no `<use>` from another origin
        policy = page.headers["Content-Security-Policy"]
        assert f"style-src {SITE}; script-src {SITE}; img-src {SITE} data:" in policy

    def test_links_are_relative_under_the_prefix(self, gateway, proxied, recorded):
        page = gateway.client().get("/x", headers={**NAVIGATION, "X-Request-ID": "number-0001"})
        assert set(buttons(page)) == {"/tokens", "/denied/number-0001"}
        assert SITE not in page.text
        assert "style-src 'self'" in page.headers["Content-Security-Policy"]

    def test_the_retry_button_leads_to_the_page_itself(self, gateway, proxied, recorded, alice_token):
        gateway.restart(MAINTENANCE=True)
        assert "" in buttons(proxied(alice_token).get("/x", headers=NAVIGATION))


class TestWebSockets:
    @pytest.fixture
    def socket(self, gateway, socket_upstream):
        gateway.restart(PROXY_HOST=f"{HOST}:{gateway.port}", BACKEND_URL=SITE)

        def open_socket(path, **headers):
            raw = create_connection(("127.0.0.1", gateway.port))
            return connect(f"ws://{HOST}:{gateway.port}{path}", sock=raw, additional_headers=headers, proxy=None)

        return open_socket

    def test_every_path_unchanged(self, socket, socket_upstream, alice_token):
        for path in ("/", "/ws?a=1", "/api/v1/proxy/ws"):
            with socket(path, **alice_token.headers) as client:
                client.send("hello")
                assert client.recv(timeout=5) == "hello"
            assert socket_upstream.last.path == path

    def test_a_browsers_cookie_and_its_origin(self, gateway, socket, socket_upstream, alice_token):
        cookie = f"zenzefi_access={sign_access(alice_token.token.digest, 'browser-1')}"
        with socket("/ws", Cookie=cookie, Origin=f"{ORIGIN}:{gateway.port}") as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"
        for origin in (SITE, ORIGIN, "http://evil.example"):
            with socket("/ws", Cookie=cookie, Origin=origin) as client:
                assert read_close(client) == (4403, "origin_denied")
        with socket("/ws") as client:
            assert read_close(client) == (4401, "invalid_token")
