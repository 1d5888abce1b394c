"""Header fields that the gateway forwards or adds, in both directions."""

from http import HTTPStatus

from proxy.dataplane.records import Grant
from proxy.dataplane.rules.cookies import rewrite_set_cookie
from proxy.dataplane.rules.headers import Headers, RequestHead, response_headers
from proxy.dataplane.rules.paths import rewrite_location

_VIA = b"1.1 zenzefi"
_REWRITTEN = frozenset({b"set-cookie", b"location", b"content-location"})


def upstream_headers(passed: Headers, head: RequestHead, grant: Grant, chain: str, scheme: str) -> Headers:
    """Return the fields for the upstream: those of the client that pass, and those that the gateway sets.

    `chain` is the client's address, or the chain of addresses behind trusted proxies; `scheme` is that of the scope.
    """
    return [
        *passed,
        (b"x-user-id", grant.user_header),
        (b"x-token-id", grant.token_header),
        (b"x-request-id", head.request_id),
        *forwarding_headers(chain.encode(), scheme.replace("ws", "http").encode(), head.host),
    ]


def forwarding_headers(chain: bytes, scheme: bytes, host: bytes) -> Headers:
    """Return the fields that describe the client to the upstream."""
    return [
        (b"x-forwarded-for", chain),
        (b"x-forwarded-proto", scheme),
        (b"x-forwarded-host", host),
        (b"via", _VIA),
    ]


def gateway_headers(grant: Grant, request_id: bytes) -> Headers:
    """Return the fields that the gateway adds to each response on the proxied path."""
    return [
        (b"via", _VIA),
        (b"x-request-id", request_id),
        (b"x-zenzefi-expires-at", grant.expires_header),
    ]


def client_headers(status: int, headers: Headers, origin: bytes, base_path: bytes, prefix: bytes) -> Headers:
    """Return the fields of an upstream's response that go to the client.

    Cookies, `Location` and `Content-Location` are rewritten to stay under the prefix; `origin` and `base_path` are
    those of the upstream.
    """
    headers = response_headers(headers)
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.SWITCHING_PROTOCOLS):  # no length may be stated (RFC 9110 §8.6)
        headers = [pair for pair in headers if pair[0] != b"content-length"]
    if _REWRITTEN.isdisjoint([name for name, _ in headers]):
        return headers
    rewritten: Headers = []
    for name, value in headers:
        if name == b"set-cookie":
            cookie = rewrite_set_cookie(value, base_path, prefix)
            if cookie is not None:
                rewritten.append((name, cookie))
        elif name in _REWRITTEN:
            rewritten.append((name, rewrite_location(value, origin, base_path, prefix)))
        else:
            rewritten.append((name, value))
    return rewritten
