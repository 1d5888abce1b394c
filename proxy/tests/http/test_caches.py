"""A caching nginx in front of the gateway, which must not serve clients without a token from its cache."""

import httpx
import pytest

from proxy.dataplane.rules.cookies import sign_access
from proxy.tests.support import nginx
from proxy.tests.support.assertions import assert_denied
from proxy.tests.support.proxy_host import HOST
from zenzefi.tests.support.command import free_port

pytestmark = pytest.mark.skipif(nginx.NGINX is None, reason="needs nginx")
# It keeps every response for an hour that does not forbid it.
SITE = """
proxy_cache_path {folder}/cache keys_zone=responses:1m;
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://127.0.0.1:{upstream};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_cache responses;
        proxy_cache_key $host$uri;
        proxy_cache_methods GET HEAD;
        proxy_cache_valid any 1h;
    }}
}}
"""
# Fields and statuses by which an upstream allows shared caches to keep a response.
ROWS = {
    "public": [b"Cache-Control: public, max-age=3600"],
    "odd case": [b"CACHE-CONTROL: Public,Max-Age=3600"],
    "several lines": [b"Cache-Control: max-age=3600", b"Cache-Control: public"],
    "s-maxage": [b"Cache-Control: s-maxage=3600"],
    "s-maxage with max-age": [b"Cache-Control: max-age=0, s-maxage=3600"],
    "max-age": [b"Cache-Control: max-age=3600"],
    "immutable": [b"Cache-Control: max-age=3600, immutable"],
    "stale": [b"Cache-Control: max-age=3600, stale-while-revalidate=3600, stale-if-error=3600"],
    "quoted": [b'Cache-Control: max-age="3600", x="a, private"'],
    "unclosed": [b'Cache-Control: public, max-age=3600, x="'],
    "a private field": [b'Cache-Control: private="set-cookie", max-age=3600'],
    "must-understand": [b"Cache-Control: must-understand, max-age=3600"],
    "nothing": [],
    "Last-Modified": [b"Last-Modified: Sat, 01 Jan 2022 00:00:00 GMT"],
    "ETag": [b'ETag: "a"'],
    "Expires": [b"Expires: Sat, 01 Jan 2050 00:00:00 GMT"],
    "Pragma": [b"Pragma: cache", b"Cache-Control: max-age=3600"],
    "nginx's own field": [b"X-Accel-Expires: 3600", b"Cache-Control: no-store"],
    "fields of CDNs": [b"CDN-Cache-Control: max-age=3600", b"Surrogate-Control: max-age=3600"],
    "Vary": [b"Cache-Control: public, max-age=3600", b"Vary: Accept-Encoding"],
    "named by Connection": [b"Connection: Cache-Control", b"Cache-Control: public, max-age=3600"],
}  # fmt: skip
STATUSES = [b"200 OK", b"203 Other", b"204 No Content", b"206 Part", b"300 Choices", b"301 Moved", b"302 Found",
            b"307 Temporary", b"308 Permanent", b"404 Not Found", b"405 No", b"410 Gone", b"414 Long", b"451 No",
            b"501 No"]  # fmt: skip


def response_of(status, lines):
    body = b"" if status.startswith(b"204") else b"secret"
    return b"\r\n".join([b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *lines, b"", body])


@pytest.fixture
def cache(gateway, recorded, tmp_path):
    """Yield a client of a caching nginx in front of the gateway."""
    port = free_port()
    site = SITE.format(folder=tmp_path, port=port, upstream=gateway.port)
    with (
        nginx.running(tmp_path, site, port),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as client,
    ):
        yield client


def assert_not_kept(cache, recorded, path, headers, method="GET"):
    """Send a request with access, then without: the gateway must see both, and deny the second."""
    admitted = cache.request(method, path, headers=headers)
    assert "private" in admitted.headers["Cache-Control"]
    stranger = cache.get(path, headers={name: headers[name] for name in headers if name == "Host"})
    assert_denied(stranger, "invalid_token")
    requests = len(recorded.requests)
    assert cache.get(path, headers=headers).status_code == admitted.status_code
    assert len(recorded.requests) == requests + 1


# case G72
def test_the_cache_works(recorded, tmp_path):
    port = free_port()
    recorded.response = response_of(b"200 OK", ROWS["public"])
    with nginx.running(tmp_path, SITE.format(folder=tmp_path, port=port, upstream=recorded.port), port):
        for _ in range(2):
            assert httpx.get(f"http://127.0.0.1:{port}/x", trust_env=False).text == "secret"
    assert len(recorded.requests) == 1


# case G72
def test_every_field_with_each_kind_of_credentials(cache, recorded, alice_token):
    cookie = {"Cookie": f"zenzefi_access={sign_access(alice_token.token.digest, alice_token.device)}"}
    for number, lines in enumerate(ROWS.values()):
        recorded.response = response_of(b"200 OK", lines)
        assert_not_kept(cache, recorded, f"/api/v1/proxy/headers/{number}", alice_token.headers)
        assert_not_kept(cache, recorded, f"/api/v1/proxy/cookie/{number}", cookie)


# case G72
def test_every_status(cache, recorded, alice_token):
    for number, status in enumerate(STATUSES):
        recorded.response = response_of(status, [b"Location: /y", *ROWS["public"]])
        assert_not_kept(cache, recorded, f"/api/v1/proxy/{number}", alice_token.headers)


# case G72
def test_a_response_to_head(cache, recorded, alice_token):
    recorded.response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: public, max-age=3600\r\n\r\n"
    assert_not_kept(cache, recorded, "/api/v1/proxy/x", alice_token.headers, "HEAD")


# case G72
def test_the_upstreams_own_host(gateway, cache, recorded, alice_token):
    gateway.restart(PROXY_HOST=HOST)
    for number, lines in enumerate(ROWS.values()):
        recorded.response = response_of(b"200 OK", lines)
        assert_not_kept(cache, recorded, f"/{number}", {"Host": HOST, **alice_token.headers})


# case G72
def test_not_modified_updates_nothing(gateway, recorded, alice_token):
    """Send the same fields with a 304, which replace those of a stored response (RFC 9111 §3.2)."""
    recorded.response = b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nCache-Control: public, max-age=9\r\n\r\n'
    response = gateway.client(alice_token).get("/x", headers={"If-None-Match": '"a"'})
    assert (response.status_code, response.headers["Cache-Control"]) == (304, "private, max-age=9")
    assert response.headers["Vary"] == "cookie, x-access-token, x-device-id"


# case G72
def test_the_gateways_own_responses_and_denials(gateway, alice_token):
    for method, path, headers in [
        ("GET", "/status", alice_token.headers), ("POST", "/session", alice_token.headers),
        ("GET", "/x", {}), ("OPTIONS", "/x", {}), ("HEAD", "/x", {}), ("TRACE", "/x", alice_token.headers),
        ("GET", "/x", {"Accept": "text/html"}), ("GET", "/x", alice_token.on("short").headers),
    ]:  # fmt: skip
        response = httpx.request(method, gateway.proxy_url + path, headers=headers, trust_env=False)
        assert response.headers["Cache-Control"] == "no-store", (method, path, response.status_code)
