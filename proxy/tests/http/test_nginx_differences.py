"""The same requests through Debian's nginx and through the gateway: what differs is listed, with its reason, in
docs/proxy/nginx-differences.md."""

import gzip
import hashlib
import os
import random
import re
import subprocess
from collections import Counter
from dataclasses import dataclass

import pytest

from proxy.tests.support.raw_client import connected
from proxy.tests.workers.test_rolling_restart import MAIN, NGINX
from zenzefi.tests.command import ROOT, free_port, is_refused, wait_until

CASES = 200
SITE = """
server {{
    listen 127.0.0.1:{port};
    client_max_body_size 0;
    large_client_header_buffers 8 32k;
    location / {{
        proxy_pass http://127.0.0.1:{upstream};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_pass_header Server;
        proxy_pass_header Date;
    }}
}}
"""


@dataclass(frozen=True)
class Case:
    method: str
    target: str
    headers: list[bytes]  # lines
    body: bytes
    chunked: bool
    answer: bytes

    def request(self, prefix, credentials):
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
    pieces = [body[start : start + 1000] for start in range(0, len(body), 1000)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def unchunked(body):
    pieces = []
    while True:
        size, _, rest = body.partition(b"\r\n")
        if not (length := int(size, 16)):
            return b"".join(pieces)
        pieces.append(rest[:length])
        body = rest[length + 2 :]


class Generator:
    """Requests and the upstream's answers to them, from a seed."""

    TARGETS = ("/", "/a/b", "/a//b/", "/%2Fa%2e", "/a%20b+c;d=1", "/~x!$&'()*,=:@", "/%E2%82%AC", "/x.html", "//a")
    QUERIES = ("", "", "?", "?a=1&a=2", "?x=%2F&y=a+b&z=%20", "?a=b?c=/../d", "?" + "q" * 2000, "?&&=;")
    HEADERS = (
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
    ANSWERED = (
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
        chance = self._random
        method = chance.choice(["GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
        has_body = method in ("POST", "PUT", "PATCH") or chance.random() < 0.1
        target = chance.choice(self.TARGETS) + chance.choice(self.QUERIES)
        headers = self._some(self.HEADERS, 6)
        body = chance.randbytes(chance.choice([0, 1, 10, 5000, 70_000])) if has_body else b""
        if not body:
            headers = [line for line in headers if not line.startswith(b"Expect")]
        in_chunks = has_body and chance.random() < 0.5
        return Case(method, target, headers, body, in_chunks, self._answer(method, headers))

    def _some(self, lines, most):
        chosen = self._random.sample(lines, self._random.randint(0, most))
        names = [line.partition(b":")[0].lower() for line in chosen]
        repeated = (b"x-repeated", b"set-cookie", b"cookie")
        return [line for n, line in enumerate(chosen) if names[n] in repeated or names.index(names[n]) == n]

    def _answer(self, method, headers):
        chance = self._random
        status = 206 if b"Range: bytes=0-9" in headers else chance.choice(self.STATUSES)
        lines = [b"HTTP/1.1 %d Whatever it is" % status, *self._some(self.ANSWERED, 8)]
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


# The allowed differences, by the titles of the table in docs/proxy/nginx-differences.md: the message, the side that
# has it alone, the name of the header (`:…` for another part of the message), the value.
ANY = r".*"
RULES = {
    "Identity and forwarding": [
        ("request", "gateway", r"x-user-id|x-token-id|x-request-id|x-forwarded-(for|proto|host)", ANY),
        ("request", "gateway", r"via", r"1\.1 zenzefi"),
        ("request", "nginx", r"x-user-id", r"root"),
        ("request", "nginx", r"x-real-ip|x-forwarded-for|forwarded", r"(for=)?9\.9\.9\.9"),
        ("request", "nginx", r"x-forwarded-port|x-original-url|x-zenzefi-any", ANY),
    ],
    "Credentials": [("request", "nginx", r"x-access-token|x-device-id|proxy-authorization", ANY)],
    "Cookies of the gateway": [
        ("request", "nginx", r"cookie", r"zenzefi_session=1; c=3"),
        ("request", "gateway", r"cookie", r"c=3"),
        ("answer", "nginx", r"set-cookie", r"zenzefi_session=evil"),
    ],
    "Scope of cookies": [
        ("answer", "nginx", r"set-cookie", r"a=1; Path=/; HttpOnly|b=x y; Domain=elsewhere\.example"),
        ("answer", "gateway", r"set-cookie", r"a=1; Path=/api/v1/proxy/?; HttpOnly|b=x y"),
    ],
    "Location": [
        ("answer", "nginx", r"(content-)?location", r"/elsewhere\?x=%2F"),
        ("answer", "gateway", r"(content-)?location", r"/api/v1/proxy/elsewhere\?x=%2F"),
    ],
    "Hop-by-hop fields": [
        ("request", "nginx", r"x-hop|te|keep-alive|proxy-connection|sec-websocket-key", ANY),
        ("answer", "nginx", r"x-hop|upgrade|proxy-authenticate", ANY),
        ("answer", "nginx", r"connection", r"keep-alive"),
    ],
    "Added by the gateway": [
        ("answer", "gateway", r"x-request-id|x-zenzefi-expires-at", ANY),
        ("answer", "gateway", r"via", r"1\.1 zenzefi"),
        ("answer", "gateway", r"date", r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"),
    ],
    "Not allowed in a response": [
        (
            "answer",
            "nginx",
            r"x-request-id|x-zenzefi-error|alt-svc|clear-site-data|strict-transport-security|nel",
            ANY,
        )
    ],
    "`X-Accel-…`": [("answer", "gateway", r"x-accel-expires", r"5")],
    "Unusual names": [("request", "gateway", r"x-odd!~", r"1")],
    "Framing of a request": [
        ("request", "gateway", r"content-length", r"\d+"),
        ("request", "nginx", r"transfer-encoding", r"chunked"),
    ],
}


@dataclass(frozen=True)
class Difference:
    where: str
    who: str
    what: str
    value: bytes | str  # or, of `:order`, the name

    def is_allowed_by(self, allowed):
        where, who, what, value = allowed
        found = self.value.decode() if isinstance(self.value, bytes) else self.value
        same_place = (self.where, self.who) == (where, who)
        return same_place and bool(re.fullmatch(what, self.what) and re.fullmatch(value, found))


def differences(where, gateway, nginx):
    """What one of two lists of (name, value) has alone, and names whose values stand in another order."""
    counted = {"gateway": Counter(gateway), "nginx": Counter(nginx)}
    for who, other in (("gateway", "nginx"), ("nginx", "gateway")):
        for name, value in (counted[who] - counted[other]).elements():
            yield Difference(where, who, name, value)
    common = counted["gateway"] & counted["nginx"]
    for name in {name for name, _ in common}:
        orders = [[pair for pair in pairs if pair[0] == name and pair in common] for pairs in (gateway, nginx)]
        if orders[0] != orders[1]:
            yield Difference(where, "both", ":order", name)


def seen_by_upstream(request):
    """Line, headers, framing and body as pairs; names in lower case."""
    headers = [(name.decode(), value) for name, value in request.headers]
    body = request.body
    if dict(headers).get("transfer-encoding") == b"chunked":
        body = unchunked(body)
    method, target, version = request.line.decode().split(" ")
    seen = [(":line", f"{method} {target.removesuffix('?')} {version}"), (":body", hashlib.sha256(body).hexdigest())]
    return [*seen, *([(":empty query", target)] if target.endswith("?") else []), *headers]


def seen_by_client(answer):
    headers = [(name.lower(), value) for name, value in answer.headers.items()]
    return [(":status", str(answer.status)), (":body", hashlib.sha256(answer.body).hexdigest()), *headers]


@pytest.fixture
def nginx(tmp_path, recording_upstream):
    """Debian's nginx in front of the recording upstream; its port."""
    port = free_port()
    (tmp_path / "zenzefi.conf").write_text(SITE.format(port=port, upstream=recording_upstream.port))
    (tmp_path / "nginx.conf").write_text(
        MAIN.format(folder=tmp_path, user="user root root;" if os.geteuid() == 0 else "")
    )
    process = subprocess.Popen([NGINX, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"])
    wait_until(lambda: not is_refused(port))
    yield port
    process.terminate()
    process.wait()


@pytest.mark.skipif(NGINX is None, reason="needs nginx")
@pytest.mark.parametrize("seed", [1])
def test_what_differs_is_listed(gateway, recorded, nginx, alice_token, seed):
    generator = Generator(seed)
    found = []
    for number in range(CASES):
        case = generator.case()

        async def script(_request, connection, case=case):
            await connection.send(case.answer)
            return b"Connection: close" not in case.answer

        recorded.answer = script
        sides = []
        for port, prefix in ((gateway.port, "/api/v1/proxy"), (nginx, "")):
            with connected(port) as client:
                client.send(case.request(prefix, alice_token.headers))
                answer = client.answer(case.method)
            sides.append((seen_by_upstream(recorded.last), seen_by_client(answer)))
        assert len(recorded.requests) == 2 * (number + 1)
        for where, gateway_saw, nginx_saw in zip(("request", "answer"), *sides, strict=True):
            found += [(case, difference) for difference in differences(where, gateway_saw, nginx_saw)]
    allowed = [rule for rules in RULES.values() for rule in rules]
    unlisted = [(one.method, one.target, d) for one, d in found if not any(map(d.is_allowed_by, allowed))]
    assert unlisted == []
    assert [rule for rule in allowed if not any(d.is_allowed_by(rule) for _, d in found)] == []


def test_the_list_is_documented():
    page = (ROOT / "docs/proxy/nginx-differences.md").read_text()
    assert re.findall(r"^\| \*\*(.+?)\*\* \|", page, re.MULTILINE) == list(RULES)
