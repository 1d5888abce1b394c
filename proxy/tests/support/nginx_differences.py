"""Differences between the gateway and nginx in the same exchange."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass

from proxy.tests.support.exchange_cases import unchunked

# The allowed differences, by the titles of the table in docs/proxy/nginx-differences.md: the message, the only side
# that has the field, the name of the field (`:…` for another part of the message) and its value.
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
        ("response", "nginx", r"set-cookie", r"zenzefi_session=evil"),
    ],
    "Scope of cookies": [
        ("response", "nginx", r"set-cookie", r"a=1; Path=/; HttpOnly|b=x y; Domain=elsewhere\.example"),
        ("response", "gateway", r"set-cookie", r"a=1; Path=/api/v1/proxy/?; HttpOnly|b=x y"),
    ],
    "Location": [
        ("response", "nginx", r"(content-)?location", r"/elsewhere\?x=%2F"),
        ("response", "gateway", r"(content-)?location", r"/api/v1/proxy/elsewhere\?x=%2F"),
    ],
    "Hop-by-hop fields": [
        ("request", "nginx", r"x-hop|te|keep-alive|proxy-connection|sec-websocket-key", ANY),
        ("response", "nginx", r"x-hop|upgrade|proxy-authenticate", ANY),
        ("response", "nginx", r"connection", r"keep-alive"),
    ],
    "Added by the gateway": [
        ("response", "gateway", r"x-request-id|x-zenzefi-expires-at", ANY),
        ("response", "gateway", r"via", r"1\.1 zenzefi"),
        ("response", "gateway", r"date", r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"),
    ],
    "Not allowed in a response": [
        (
            "response",
            "nginx",
            r"x-request-id|x-zenzefi-error|alt-svc|clear-site-data|strict-transport-security|nel",
            ANY,
        )
    ],
    "`X-Accel-…`": [("response", "gateway", r"x-accel-expires", r"5")],
    "Unusual names": [("request", "gateway", r"x-odd!~", r"1")],
    "Framing of a request": [
        ("request", "gateway", r"content-length", r"\d+"),
        ("request", "nginx", r"transfer-encoding", r"chunked"),
    ],
}


@dataclass(frozen=True)
class Difference:
    """A part of a message that only one side has, or whose values the sides order differently."""

    message: str
    side: str
    name: str
    value: bytes | str  # or, of `:order`, the name

    def is_allowed_by(self, allowed):
        """Return whether this rule, a tuple from `RULES`, allows the difference."""
        message, side, name, value = allowed
        found = self.value.decode() if isinstance(self.value, bytes) else self.value
        same_side = (self.message, self.side) == (message, side)
        return same_side and bool(re.fullmatch(name, self.name) and re.fullmatch(value, found))


def differences(message, gateway, nginx):
    """Yield the pairs (name, value) that only one of two lists has, and names whose values differ in order."""
    counted = {"gateway": Counter(gateway), "nginx": Counter(nginx)}
    for side, other in (("gateway", "nginx"), ("nginx", "gateway")):
        for name, value in (counted[side] - counted[other]).elements():
            yield Difference(message, side, name, value)
    common = counted["gateway"] & counted["nginx"]
    for name in {name for name, _ in common}:
        orders = [[pair for pair in pairs if pair[0] == name and pair in common] for pairs in (gateway, nginx)]
        if orders[0] != orders[1]:
            yield Difference(message, "both", ":order", name)


def seen_by_upstream(request):
    """Return line, fields, framing and body of a request as pairs, with names in lower case."""
    headers = [(name.decode(), value) for name, value in request.headers]
    body = request.body
    if dict(headers).get("transfer-encoding") == b"chunked":
        body = unchunked(body)
    method, target, version = request.line.decode().split(" ")
    seen = [(":line", f"{method} {target.removesuffix('?')} {version}"), (":body", hashlib.sha256(body).hexdigest())]
    return [*seen, *([(":empty query", target)] if target.endswith("?") else []), *headers]


def seen_by_client(response):
    """Return status, body and fields of a response as pairs, with names in lower case."""
    headers = [(name.lower(), value) for name, value in response.headers.items()]
    return [(":status", str(response.status)), (":body", hashlib.sha256(response.body).hexdigest()), *headers]
