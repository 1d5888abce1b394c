"""URLs in header fields: on the upstream, elsewhere, relative, or with the path prefix already."""

import pytest

from proxy.dataplane.rewriting.response import Rewriting
from proxy.dataplane.rules.forwarded_headers import client_headers

pytestmark = pytest.mark.embedded
ORIGIN, OWN, PREFIX = b"http://up:9000", b"https://shop.example", b"/api/v1/proxy"
# A URL of the upstream, with the base path `/app` and without, as it is below the prefix and on PROXY_HOST.
URLS = [
    (b"/app/x", b"/api/v1/proxy/x", b"/x"),
    (b"/app", b"/api/v1/proxy", b"/"),
    (b"/app?q", b"/api/v1/proxy?q", b"/?q"),
    (b"/other/x", b"/api/v1/proxy/other/x", b"/other/x"),
    (b"/api/v1/proxy", b"/api/v1/proxy", b"/api/v1/proxy"),
    (b"/api/v1/proxy/x", b"/api/v1/proxy/x", b"/api/v1/proxy/x"),
    (b"/api/v1/proxy?q", b"/api/v1/proxy?q", b"/api/v1/proxy?q"),
    (b"/api/v1/proxying", b"/api/v1/proxy/api/v1/proxying", b"/api/v1/proxying"),
]
ABSOLUTE = [
    (ORIGIN + b"/app/x", b"/api/v1/proxy/x", b"/x"),
    (ORIGIN + b"/api/v1/proxy/x", b"/api/v1/proxy/x", b"/api/v1/proxy/x"),
    (b"//up:9000/app/x", b"/api/v1/proxy/x", b"/x"),
    (OWN + b"/api/v1/proxy/x", OWN + b"/api/v1/proxy/x", OWN + b"/api/v1/proxy/x"),
    (b"https://elsewhere.example/app/x", b"https://elsewhere.example/app/x", b"https://elsewhere.example/app/x"),
    (b"x/y", b"x/y", b"x/y"),
    (b"../x", b"../x", b"../x"),
    (b"", b"", b""),
]


def rewritten(name, value, prefix, status):
    headers = dict(client_headers(status, [(name, value)], ORIGIN, b"/app", prefix))
    return headers[name.lower()]


@pytest.mark.parametrize("status", [302, 101])
@pytest.mark.parametrize(("url", "below", "on_host"), URLS + ABSOLUTE)
@pytest.mark.parametrize("name", [b"Location", b"Content-Location"])
def test_locations(name, url, below, on_host, status):
    assert rewritten(name, url, PREFIX, status) == below
    assert rewritten(name, url, b"", status) == on_host


@pytest.mark.parametrize("status", [200, 101])
@pytest.mark.parametrize(("path", "below", "on_host"), [row for row in URLS if b"?" not in row[0]])
def test_paths_of_cookies(path, below, on_host, status):
    for template in (b"a=1; Path=%b; HttpOnly", b"a=1;path=%b"):
        assert rewritten(b"Set-Cookie", template % path, PREFIX, status) == template % below
        assert rewritten(b"Set-Cookie", template % path, b"", status) == template % on_host


@pytest.mark.parametrize(("url", "below", "_on_host"), URLS + ABSOLUTE)
@pytest.mark.parametrize(
    ("name", "template"),
    [
        (b"link", b"<%b>; rel=preload"), (b"refresh", b"5; url=%b"), (b"service-worker-allowed", b"%b"),
        (b"sourcemap", b"%b"), (b"x-sourcemap", b"%b"), (b"hx-redirect", b"%b"), (b"hx-push-url", b"%b"),
        (b"hx-replace-url", b"%b"), (b"hx-location", b"%b"),
    ],
)  # fmt: skip
def test_fields_of_responses_for_browsers(name, template, url, below, _on_host):
    rewriter, _ = Rewriting(ORIGIN, b"/app").begin([], OWN)
    headers, _ = rewriter.response("GET", 200, [(name, template % url)])
    assert dict(headers)[name] == template % below
