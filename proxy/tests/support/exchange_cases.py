"""Requests and the upstream's responses to them, chosen at random from a seed."""

import gzip
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One request, and the bytes of the upstream's response to it."""

    method: str
    target: str
    headers: list[bytes]  # complete lines
    body: bytes
    chunked: bool
    response: bytes

    def request(self, prefix, credentials):
        """Return the bytes of the request for a target below `prefix`, with these credentials."""
        given = [f"{name}: {value}".encode() for name, value in credentials.items()]
        framing = []
        body = self.body
        if self.chunked:
            framing = [b"Transfer-Encoding: chunked"]
            body = chunked(body)
        elif self.method in ("POST", "PUT", "PATCH") or body:
            framing = [b"Content-Length: %d" % len(body)]
        line = f"{self.method} {prefix}{self.target} HTTP/1.1".encode()
        return b"\r\n".join([line, b"Host: shop.example", *given, *self.headers, *framing, b"", body])


def chunked(body):
    """Return the body in chunked transfer coding."""
    pieces = [body[start : start + 1000] for start in range(0, len(body), 1000)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def unchunked(body):
    """Return the body without its chunked transfer coding."""
    pieces = []
    while True:
        size, _, rest = body.partition(b"\r\n")
        if not (length := int(size, 16)):
            return b"".join(pieces)
        pieces.append(rest[:length])
        body = rest[length + 2 :]


class Generator:
    """A generator of cases, from a seed."""

    TARGETS = ("/", "/a/b", "/a//b/", "/%2Fa%2e", "/a%20b+c;d=1", "/~x!$&'()*,=:@", "/%E2%82%AC", "/x.html", "//a")
    QUERIES = ("", "", "?", "?a=1&a=2", "?x=%2F&y=a+b&z=%20", "?a=b?c=/../d", "?" + "q" * 2000, "?&&=;")
    REQUEST_HEADERS = (
        b"Accept: text/html, */*;q=0.1", b"ACCEPT-LANGUAGE: ru", b"accept-encoding: gzip, br", b"Cookie: a=1; b=2",
        b"X-Repeated: one", b"X-Repeated: two", b"x-rePEATed: one, three", b"X-Empty:", b"User-Agent: x/1 (y; z)",
        b"Referer: http://elsewhere.example/?q", b"Authorization: Basic eDp5", b'If-None-Match: "a", W/"b"',
        b"X-Spaces:   a  b\t ", b"X-Utf8: \xd1\x8f", b"X-Under_score: 1", b"Range: bytes=0-9", b"If-Range: \"a\"",
        b"X-Long: " + b"v" * 4000, b"Content-Type: application/json", b"TE: trailers", b"Keep-Alive: timeout=9",
        b"Connection: X-Hop\r\nX-Hop: 1", b"X-Forwarded-For: 9.9.9.9", b"Forwarded: for=9.9.9.9", b"Via: 1.1 before",
        b"X-Request-ID: the-clients-own", b"Cache-Control: no-cache", b"X-User-Id: root", b"X-Real-IP: 9.9.9.9",
        b"Expect: 100-continue", b"Origin: http://shop.example", b"Priority: u=1", b"DNT: 1",
        b"Cookie: zenzefi_session=1; c=3", b"Proxy-Authorization: Basic eA==", b'Cookie: d=4;e="5;  6"',
        b"X-Original-URL: /elsewhere", b"X-Zenzefi-Any: 1", b"X-Forwarded-Port: 1", b"Proxy-Connection: keep-alive",
        b"Sec-WebSocket-Key: x", b"X-Odd!~: 1", b"Max-Forwards: 3", b"X-Trailing: x ",
    )  # fmt: skip
    RESPONSE_HEADERS = (
        b"Content-Type: text/html; charset=utf-8", b'ETag: "a"', b"X-Repeated: one", b"x-repeated: two",
        b"Set-Cookie: a=1; Path=/; HttpOnly", b"Set-Cookie: a=2", b"set-cookie: b=x y; Domain=elsewhere.example",
        b"Set-Cookie: zenzefi_session=evil", b"Cache-Control: max-age=1", b"Vary: *", b"X-Empty:",
        b"Last-Modified: Sat, 01 Jan 2022 00:00:00 GMT", b"Location: /elsewhere?x=%2F", b"Location: next",
        b"Server: theirs/1", b"Date: Sat, 01 Jan 2022 00:00:00 GMT", b"WWW-Authenticate: Basic realm=\"a, b\"",
        b"Content-Disposition: attachment; filename*=UTF-8''%e2%82%ac", b"Link: </a>; rel=x, </b>",
        b"X-Utf8: \xd1\x8f", b"Allow: GET, HEAD", b"Retry-After: 5", b"X-Accel-Expires: 5",
        b"Connection: X-Hop\r\nX-Hop: 1",
        b"Keep-Alive: timeout=5", b"Content-Language: ru", b"Accept-Ranges: bytes", b"Clear-Site-Data: *",
        b"Strict-Transport-Security: max-age=0", b"NEL: {}",
        b"Alt-Svc: h3=\":443\"", b"X-Request-ID: the-upstreams", b"Via: 1.1 behind", b"Age: 3", b"Pragma: no-cache",
        b"Content-Location: /elsewhere?x=%2F", b"Proxy-Authenticate: Basic", b"X-Zenzefi-Error: theirs",
        b"Set-Cookie: __Host-d=1; Path=/; Secure", b"X_Under: 1", b"Refresh: 9; url=/elsewhere", b"Upgrade: h2c",
    )  # fmt: skip
    STATUSES = (200, 200, 200, 201, 202, 204, 205, 301, 302, 304, 400, 401, 403, 404, 409, 418, 429, 500, 502, 503)

    def __init__(self, seed):
        self._random = random.Random(seed)

    def case(self):
        """Return the next case."""
        chance = self._random
        method = chance.choice(["GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
        has_body = method in ("POST", "PUT", "PATCH") or chance.random() < 0.1
        target = chance.choice(self.TARGETS) + chance.choice(self.QUERIES)
        headers = self._some(self.REQUEST_HEADERS, 6)
        body = chance.randbytes(chance.choice([0, 1, 10, 5000, 70_000])) if has_body else b""
        if not body:
            headers = [line for line in headers if not line.startswith(b"Expect")]
        in_chunks = has_body and chance.random() < 0.5
        return Case(method, target, headers, body, in_chunks, self._response(method, headers))

    def _some(self, lines, most):
        chosen = self._random.sample(lines, self._random.randint(0, most))
        names = [line.partition(b":")[0].lower() for line in chosen]
        repeated = (b"x-repeated", b"set-cookie", b"cookie")
        return [line for n, line in enumerate(chosen) if names[n] in repeated or names.index(names[n]) == n]

    def _response(self, method, headers):
        chance = self._random
        status = 206 if b"Range: bytes=0-9" in headers else chance.choice(self.STATUSES)
        lines = [b"HTTP/1.1 %d Some reason" % status, *self._some(self.RESPONSE_HEADERS, 8)]
        body = chance.randbytes(chance.choice([0, 1, 100, 10_000, 200_000]))
        if status == 206:
            body = b"0123456789"
            lines.append(b"Content-Range: bytes 0-9/100")
        elif chance.random() < 0.3:
            body = gzip.compress(body, mtime=0)
            lines.append(b"Content-Encoding: gzip")
        if status in (204, 304):
            return b"\r\n".join([*lines, b"", b""])
        if status == 205:
            body = b""
        framing = chance.choice(["length", "length", "chunked", "end"])
        if framing == "chunked":
            lines.append(b"Transfer-Encoding: chunked")
        elif framing == "length":
            lines.append(b"Content-Length: %d" % len(body))
        else:
            lines = [line for line in lines if not line.startswith((b"Connection", b"Keep-Alive"))]
            lines.append(b"Connection: close")
        if method == "HEAD":
            body = b""
        elif framing == "chunked":
            body = chunked(body)
        return b"\r\n".join([*lines, b"", body])
