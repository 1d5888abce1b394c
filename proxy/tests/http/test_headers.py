"""Header fields that reach the upstream, and those that reach the client."""

import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.raw_client import exchange, head

VIA = b"1.1 zenzefi"


def names(request):
    return {name for name, _ in request.headers}


def send(gateway, token, *lines, method="GET", path="/x", **headers):
    """Send this header block and return the response."""
    given = {"Host": "shop.example:8443", **token.headers, **headers}
    return exchange(gateway.port, head(method, f"/api/v1/proxy{path}", given, *lines), method)


class TestRequests:
    def test_the_clients_fields_and_the_gateways_own(self, gateway, recorded, alice, alice_token):
        send(gateway, alice_token, b"Accept: x/y", b"X-Custom: a, b", b"X-Custom: c", b"Referer: http://r/")
        assert sorted(recorded.last.headers) == sorted(
            [
                (b"host", b"127.0.0.1:%d" % recorded.port),
                (b"accept", b"x/y"),
                (b"x-custom", b"a, b"),
                (b"x-custom", b"c"),
                (b"referer", b"http://r/"),
                (b"x-user-id", str(alice.pk).encode()),
                (b"x-token-id", str(alice_token.token.pk).encode()),
                (b"x-request-id", recorded.last.header(b"x-request-id")),
                (b"x-forwarded-for", b"127.0.0.1"),
                (b"x-forwarded-proto", b"http"),
                (b"x-forwarded-host", b"shop.example:8443"),
                (b"via", VIA),
            ]
        )

    def test_repeated_headers_in_order(self, gateway, recorded, alice_token):
        for name in ("X-Any", "Accept", "User-Agent", "Via", "Cookie", "Warning"):
            lines = [f"{name}: a={number}".encode() for number in (2, 1, 3)]
            response = send(gateway, alice_token, *lines, b"Upgrade: a", b"Upgrade: b")
            assert response.status == 200, name
            seen = [value for known, value in recorded.last.headers if known == name.lower().encode()]
            assert seen == [b"a=2", b"a=1", b"a=3", *([VIA] if name == "Via" else [])]

    # case C28
    def test_connection_cannot_remove_the_gateways_fields(self, gateway, recorded, alice, alice_token):
        send(
            gateway,
            alice_token,
            b"Connection: close, X-Forwarded-Host, X-User-Id, X-Token-Id, x-forwarded-for, Via, X-Custom",
            b"Connection: X-Request-ID",
            b"X-Custom: 1",
            b"X-Kept: 1",
        )
        assert recorded.last.header(b"x-user-id") == str(alice.pk).encode()
        assert recorded.last.header(b"x-token-id") == str(alice_token.token.pk).encode()
        assert recorded.last.header(b"x-forwarded-host") == b"shop.example:8443"
        assert recorded.last.header(b"x-forwarded-for") == b"127.0.0.1"
        assert recorded.last.header(b"via") == VIA
        assert recorded.last.header(b"x-request-id")
        assert b"x-custom" not in names(recorded.last)
        assert recorded.last.header(b"x-kept") == b"1"

    # case C29
    def test_hop_by_hop_fields_are_stripped(self, gateway, recorded, alice_token):
        response = send(
            gateway, alice_token,
            b"Connection: keep-alive, X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=9", b"TE: trailers",
            b"Trailer: X-Sum", b"Proxy-Authorization: Basic eA==", b"Proxy-Connection: keep-alive", b"Upgrade: h2c",
            b"Proxy-Anything: 1",
        )  # fmt: skip
        assert response.status == 200
        removed = {b"connection", b"x-hop", b"keep-alive", b"te", b"trailer", b"upgrade", b"transfer-encoding"}
        assert not removed & names(recorded.last)
        assert not [name for name in names(recorded.last) if name.startswith(b"proxy-")]

    # case C30
    def test_names_with_underscores_are_dropped(self, gateway, recorded, alice_token):
        response = send(gateway, alice_token, b"X_Forwarded_For: 1.2.3.4", b"X_User_Id: 1", b"x_access_token: x")
        assert response.status == 200
        assert not [name for name in names(recorded.last) if b"_" in name]
        headers = {"Host": "h", "X_Access_Token": alice_token.text, "X_Device_ID": alice_token.device}
        assert exchange(gateway.port, head("GET", "/api/v1/proxy/x", headers)).status == 401
        assert len(recorded.requests) == 1

    # cases C31, C32
    def test_identity_and_forwarding_fields_are_rebuilt(self, gateway, recorded, alice, alice_token):
        send(
            gateway, alice_token,
            b"X-User-Id: root", b"X-USER-ID: root", b"X-Token-Id: 1", b"X-Forwarded-For: 9.9.9.9",
            b"X-Forwarded-Proto: https", b"X-Forwarded-Host: evil.example", b"X-Forwarded-Port: 1",
            b"X-Forwarded-Prefix: /evil", b"X-Forwarded-User: root", b"X-Forwarded-Anything: 1",
            b"Forwarded: for=9.9.9.9;host=evil.example", b"X-Real-IP: 9.9.9.9", b"X-Zenzefi-Admin: 1",
        )  # fmt: skip
        assert recorded.last.header(b"x-user-id") == str(alice.pk).encode()
        assert recorded.last.header(b"x-token-id") == str(alice_token.token.pk).encode()
        stated = {name for name in names(recorded.last) if name.startswith((b"x-forwarded", b"forwarded", b"x-real"))}
        assert stated == {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"}
        assert b"9.9.9.9" not in recorded.last.raw
        assert b"evil.example" not in recorded.last.raw
        assert b"x-zenzefi-admin" not in names(recorded.last)

    # case C44
    def test_credentials_are_removed(self, gateway, recorded, alice_token):
        session = gateway.client(alice_token).post("/session")
        cookie = f"zenzefi_access={session.cookies['zenzefi_access']}"
        send(
            gateway, alice_token,
            f"Cookie: a=1; {cookie}; ZENZEFI_session=x; b=2".encode(),
            b"Cookie: zenzefi_csrftoken=y; c=3", b"Cookie: zenzefi_language=ru",
            b"Proxy-Authorization: Basic eA==", b"Authorization: Basic the-application's",
        )  # fmt: skip
        raw = recorded.last.raw
        for secret in (alice_token.text, alice_token.device, cookie.partition("=")[2], "zenzefi_", "ZENZEFI_"):
            assert secret.encode() not in raw
        assert not {b"x-access-token", b"x-device-id", b"proxy-authorization"} & names(recorded.last)
        assert [value for name, value in recorded.last.headers if name == b"cookie"] == [b"a=1; b=2", b"c=3"]
        assert recorded.last.header(b"authorization") == b"Basic the-application's"

    def test_the_applications_cookies_stay_unchanged(self, gateway, recorded, alice_token):
        for cookies in (
            b'sid="a b"; x=1=2=3; empty=; =nameless; zenzefi=ours-in-name-only; \xd1\x8f=1',
            b'a=1;b="2;  3";;c=4 ; $Version=1;',
        ):
            send(gateway, alice_token, b"Cookie: " + cookies)
            assert recorded.last.header(b"cookie") == cookies

    def test_the_request_id(self, gateway, recorded, alice_token):
        response = send(gateway, alice_token, b"X-Request-ID: my-request.1_2")
        assert (response.headers["X-Request-ID"], recorded.last.header(b"x-request-id")) == (
            "my-request.1_2",
            b"my-request.1_2",
        )
        seen = set()
        for malformed in (b"", b"short", b"x" * 129, b"a b c d e f", b"<script>x</script>", b"%0a%0a%0a%0a"):
            response = send(gateway, alice_token, b"X-Request-ID: " + malformed)
            identifier = response.headers["X-Request-ID"]
            assert re.fullmatch("[0-9a-f]{32}", identifier)
            assert recorded.last.header(b"x-request-id") == identifier.encode()
            seen.add(identifier)
        assert len(seen) == 6

    def test_via_is_appended(self, gateway, recorded, alice_token):
        send(gateway, alice_token, b"Via: 1.0 theirs")
        assert [value for name, value in recorded.last.headers if name == b"via"] == [b"1.0 theirs", VIA]

    def test_values_beyond_ascii(self, gateway, recorded, alice_token):
        send(gateway, alice_token, "X-Name: Жёлтый".encode(), "Referer: http://x/я".encode())
        assert recorded.last.header(b"x-name").decode() == "Жёлтый"
        assert recorded.last.header(b"referer").decode() == "http://x/я"

    # case C43
    def test_a_proxy_in_the_environment_changes_nothing(self, gateway, recorded, alice_token, monkeypatch):
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        gateway.restart()
        assert send(gateway, alice_token).status == 200
        assert len(recorded.requests) == 1


class TestResponses:
    def test_the_gateways_fields(self, gateway, recorded, alice_token):
        response = send(gateway, alice_token)
        assert response.headers.get_all("Via") == ["1.1 zenzefi"]
        assert len(response.headers.get_all("X-Request-ID")) == 1
        expires = datetime.strptime(response.headers["X-Zenzefi-Expires-At"], "%Y-%m-%dT%H:%M:%SZ").replace(
            tzinfo=UTC
        )
        assert expires == alice_token.token.expires_at.replace(microsecond=0)
        assert response.headers["Content-Type"] == "text/plain"

    def test_every_proxied_response_has_the_expiry(self, gateway, alice_token):
        client = gateway.client(alice_token)
        for path in (
            "/echo",
            "/status/204",
            "/status/304",
            "/status/401",
            "/status/500",
            "/redirect",
            "/download/1KB",
        ):
            for method in ("GET", "HEAD"):
                assert client.request(method, path).headers["X-Zenzefi-Expires-At"]
        assert client.get("/status").headers["X-Zenzefi-Expires-At"]

    # case C29
    def test_hop_by_hop_fields_are_stripped(self, gateway, recorded, alice_token):
        recorded.response = (
            b"HTTP/1.1 200 OK\r\nConnection: close, X-Hop, Via, X-Zenzefi-Expires-At\r\nX-Hop: 1\r\n"
            b"Keep-Alive: timeout=9\r\n"
            b"Proxy-Authenticate: Basic\r\nProxy-Connection: close\r\nTrailer: X\r\nUpgrade: h2c\r\nTE: trailers\r\n"
            b"X-Kept: 1\r\nContent-Length: 2\r\n\r\nok"
        )
        response = send(gateway, alice_token)
        assert (response.status, response.body) == (200, b"ok")
        removed = (
            "connection",
            "x-hop",
            "keep-alive",
            "proxy-authenticate",
            "proxy-connection",
            "trailer",
            "upgrade",
            "te",
        )
        assert not set(removed) & {name.lower() for name in response.headers}
        assert response.headers["X-Kept"] == "1"
        assert response.headers["Via"] == "1.1 zenzefi"
        assert response.headers["X-Zenzefi-Expires-At"]

    def test_each_response_has_a_date(self, gateway, recorded, alice_token):
        """Keep the upstream's Date, and add one if it sends none (RFC 9110 §6.6.1)."""
        theirs = "Sat, 01 Jan 2022 00:00:00 GMT"
        recorded.response = f"HTTP/1.1 200 OK\r\nDATE: {theirs}\r\nContent-Length: 2\r\n\r\nok".encode()
        assert send(gateway, alice_token).headers.get_all("Date") == [theirs]
        recorded.response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        host = {"Host": "127.0.0.1"}
        for response in (
            send(gateway, alice_token),
            exchange(gateway.port, head("GET", "/api/v1/proxy/x", host)),
            exchange(gateway.port, head("GET", "/api/v1/tariffs", host)),
            exchange(gateway.port, head("GET", "/health/live", host)),
            exchange(gateway.port, b"nonsense\r\n\r\n"),
        ):
            (date,) = response.headers.get_all("Date")
            assert abs(parsedate_to_datetime(date).timestamp() - time.time()) < 5

    def test_the_upstream_cannot_set_the_gateways_fields(self, gateway, recorded, alice_token):
        recorded.response = (
            b"HTTP/1.1 401 Unauthorized\r\nX-Zenzefi-Error: invalid_token\r\nX-Zenzefi-Expires-At: never\r\n"
            b'X-Request-ID: theirs\r\nAlt-Svc: h3=":443"\r\nClear-Site-Data: "*"\r\nVia: 1.1 theirs\r\n'
            b"Strict-Transport-Security: max-age=0\r\nNEL: {}\r\n"
            b"WWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
        )
        response = send(gateway, alice_token)
        assert response.status == 401
        assert response.headers["X-Zenzefi-Error"] is None
        assert response.headers.get_all("X-Zenzefi-Expires-At") != ["never"]
        assert response.headers.get_all("X-Request-ID") != ["theirs"]
        assert response.headers.get_all("Via") == ["1.1 theirs", "1.1 zenzefi"]
        assert response.headers["WWW-Authenticate"] == "Basic"
        # Browsers would apply these to the gateway's own site.
        assert not {"alt-svc", "clear-site-data", "strict-transport-security", "nel"} & {
            name.lower() for name in response.headers
        }

    # case C45
    def test_the_upstream_cannot_set_the_gateways_cookies(self, gateway, recorded, alice_token):
        ours = [
            b"zenzefi_access=evil", b"ZENZEFI_ACCESS=evil", b"Zenzefi_Session=evil; Path=/", b"  zenzefi_csrftoken=x",
            b"zenzefi_access=; Max-Age=0", b"=zenzefi_access=evil", b"zenzefi_access",
            b"zenzefi_new=1", b"\tzenzefi_x=1",
        ]  # fmt: skip
        theirs = [b"sessionid=s", b"csrftoken=c", b"x=zenzefi_access=1; Domain=example.com; Path=/app; HttpOnly"]
        lines = b"".join(b"Set-Cookie: " + cookie + b"\r\n" for cookie in ours + theirs)
        recorded.response = b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 2\r\n\r\nok"
        response = send(gateway, alice_token)
        assert response.headers.get_all("Set-Cookie") == [
            "sessionid=s",
            "csrftoken=c",
            "x=zenzefi_access=1; Path=/api/v1/proxy/app; HttpOnly",
        ]

    # case C45
    def test_the_upstream_cannot_crowd_out_the_gateways_cookies(self, gateway, recorded, alice_token):
        """Deny a response with hundreds of cookies, because a browser keeps about 180 per host."""
        lines = b"".join(b"Set-Cookie: c%d=1\r\n" % number for number in range(500))
        recorded.response = b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 2\r\n\r\nok"
        assert_denied(gateway.client(alice_token).get("/x"), "upstream_unreachable")

    def test_values_beyond_ascii(self, gateway, recorded, alice_token):
        for value in ("отчёт.pdf".encode(), b"\xe9t\xe9.pdf"):
            recorded.response = b"HTTP/1.1 200 OK\r\nX-Name: " + value + b"\r\nContent-Length: 2\r\n\r\nok"
            assert send(gateway, alice_token).headers["X-Name"].encode("latin-1", "surrogateescape") == value


# case C46
def test_two_users_never_get_each_others_data(gateway, recorded, alice, bob, alice_token, bob_token):
    """Keep two clients apart that share one connection to the upstream."""

    async def respond(request, connection):
        user = request.header(b"x-user-id")
        body = user + b" " + request.target + b" " + request.body
        await connection.send(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: of=%s\r\nX-Of: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (user, user, len(body), body)
        )
        return True

    recorded.response = respond
    clients = [(alice, gateway.client(alice_token)), (bob, gateway.client(bob_token))]
    for number in range(1000):
        user, client = clients[number % 2]
        name, body = user.username, f"{user.username} {number} " * (number % 50)
        headers = {f"X-{name}": name} if number % 3 else {}
        response = client.post(f"/{number}", content=body, headers={"Cookie": f"me={name}", **headers})
        assert (response.status_code, response.text) == (200, f"{user.pk} /{number} {body}")
        assert response.headers["X-Of"] == str(user.pk)
        assert response.headers.get_list("Set-Cookie") == [f"of={user.pk}"]
        seen = recorded.last
        assert (seen.body.decode(), seen.header(b"cookie")) == (body, f"me={name}".encode())
        assert seen.header(b"x-user-id") == str(user.pk).encode()
        theirs = {b"x-alice", b"x-bob"} & {known for known, _ in seen.headers}
        assert theirs == ({f"x-{name}".encode()} if headers else set())
        client.cookies.clear()
    assert (len(recorded.requests), recorded.connections) == (1000, 1)
