"""Rules for header fields, without I/O: reading a request's header block, and the fields that may pass."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from proxy.dataplane.errors import BAD_REQUEST, Denied
from proxy.dataplane.rules.cookies import split_request_cookies

Headers = list[tuple[bytes, bytes]]

# A value must not contain CR, LF, NUL or other controls except the tab (RFC 9110 §5.5).
_NO_CONTROLS = bytes(byte for byte in range(256) if byte == 9 or (byte >= 32 and byte != 127))
_DEVICE_ID = re.compile(rb"[\x21-\x7e]{8,128}")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,128}")
# RFC 9110 §7.2, without escapes and sub-delimiters, which no host name or address contains.
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")

# Fields that concern one connection only (RFC 9110 §7.6.1).
HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"proxy-connection"}
)


class _Rule(Enum):
    PASS = auto()
    DROP = auto()
    SPECIAL = auto()


_SPECIAL = frozenset(
    {
        b"host", b"content-length", b"transfer-encoding", b"connection", b"cookie", b"origin", b"user-agent",
        b"x-access-token", b"x-device-id", b"x-request-id", b"via", b"sec-fetch-site",
    }
)  # fmt: skip
_STATED_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding"})
# The gateway itself sets identity and forwarding; the server responds to `expect`; some applications take the path
# from `x-original-url` and `x-rewrite-url`, which would bypass the scope.
_DROPPED = HOP_BY_HOP | {
    b"forwarded", b"x-real-ip", b"x-user-id", b"x-token-id", b"expect", b"x-original-url", b"x-rewrite-url",
}  # fmt: skip
_DROPPED_PREFIXES = (b"x-forwarded-", b"x-zenzefi-", b"proxy-", b"sec-websocket-")
# Cached rules by name. Number and length of the names are limited, because clients may invent names.
_rules: dict[bytes, _Rule] = {}
_MAX_CACHED_NAMES, _MAX_NAME_LENGTH = 4096, 64


def _rule(name: bytes) -> _Rule:
    if name in _SPECIAL:
        rule = _Rule.SPECIAL
    # CGI-like servers read `_` in a name as `-`: X_User_Id would become an identity.
    elif name in _DROPPED or name.startswith(_DROPPED_PREFIXES) or b"_" in name:
        rule = _Rule.DROP
    else:
        rule = _Rule.PASS
    if len(_rules) < _MAX_CACHED_NAMES and len(name) <= _MAX_NAME_LENGTH:
        _rules[name] = rule
    return rule


@dataclass(slots=True)
class RequestHead:
    """A request's header block: the fields for the gateway, and those that pass to the upstream."""

    passed: Headers = field(default_factory=list)
    token: bytes = b""
    device: bytes = b""
    access_cookies: list[bytes] = field(default_factory=list)
    origin: bytes | None = None
    sec_fetch_site: bytes = b""
    host: bytes = b""
    user_agent: bytes = b""
    request_id: bytes = b""
    content_length: int | None = None
    chunked: bool = False

    @property
    def has_body(self) -> bool:
        """Return whether the request has a body of at least one byte, as far as its fields say."""
        return self.chunked or bool(self.content_length)


def read_request(headers: Headers, http_version: str) -> RequestHead:
    """Return the header block, read once.

    Raises `Denied` (`bad_request`) if two programs could read it differently: Content-Length together with
    Transfer-Encoding, either of them twice or malformed (RFC 9112 §6), no Host, two Hosts or a malformed one, control
    characters in a value.
    """
    head = RequestHead()
    seen: dict[bytes, bytes] = {}
    named_by_connection: set[bytes] = set()
    rules = _rules
    if has_controls(headers):
        raise Denied(BAD_REQUEST)
    for pair in headers:
        name = pair[0]
        rule = rules.get(name) or _rule(name)
        if rule is _Rule.PASS:
            head.passed.append(pair)
        elif rule is _Rule.SPECIAL:
            if name == b"connection":
                named_by_connection |= {token.strip().lower() for token in pair[1].split(b",")}
            elif name == b"cookie":
                _read_cookie(head, pair[1])
            elif name == b"via":
                head.passed.append(pair)
            elif name == b"user-agent":  # the session keeps the first of several; all pass
                head.passed.append(pair)
                head.user_agent = head.user_agent or pair[1]
            elif name in seen:
                raise Denied(BAD_REQUEST)
            else:
                seen[name] = pair[1]
    _read_framing(head, seen, http_version)
    _read_claims(head, seen)
    _drop(head, named_by_connection - {b"close", b"keep-alive", b"upgrade"})
    return head


def _drop(head: RequestHead, names: set[bytes]) -> None:
    if names:
        head.passed = [pair for pair in head.passed if pair[0] not in names]


def check_form(headers: Headers, http_version: str) -> None:
    """Raise `Denied` (`bad_request`) for the framing, hosts and control characters that `read_request` denies."""
    seen = {name: value for name, value in headers if name in _STATED_ONCE}
    if has_controls(headers) or len(seen) < sum(name in _STATED_ONCE for name, _ in headers):
        raise Denied(BAD_REQUEST)
    _read_framing(RequestHead(), seen, http_version)


def has_controls(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether a value contains a control character other than the tab."""
    # Twice as fast as a search by a regular expression.
    return bool(b"".join([value for _, value in headers]).translate(None, _NO_CONTROLS))


def _read_cookie(head: RequestHead, value: bytes) -> None:
    kept, access = split_request_cookies(value)
    head.access_cookies += access
    if kept:
        head.passed.append((b"cookie", kept))


def _read_framing(head: RequestHead, seen: dict[bytes, bytes], http_version: str) -> None:
    if http_version not in ("1.1", "1.0"):
        raise Denied(BAD_REQUEST)
    length, coding = seen.get(b"content-length"), seen.get(b"transfer-encoding")
    if length is not None:
        if coding is not None or not length.isdigit() or len(length) > 18:
            raise Denied(BAD_REQUEST)
        head.content_length = int(length)
        head.passed.append((b"content-length", length))
    elif coding is not None:
        if coding.strip().lower() != b"chunked" or http_version != "1.1":
            raise Denied(BAD_REQUEST)
        head.chunked = True
    if not (_HOST.fullmatch(seen[b"host"]) if b"host" in seen else http_version == "1.0"):
        raise Denied(BAD_REQUEST)


def _read_claims(head: RequestHead, seen: dict[bytes, bytes]) -> None:
    head.host = seen.get(b"host", b"")
    head.token = seen.get(b"x-access-token", b"")
    head.device = seen.get(b"x-device-id", b"")
    head.origin = seen.get(b"origin")
    head.sec_fetch_site = seen.get(b"sec-fetch-site", b"")
    head.request_id = seen.get(b"x-request-id", b"")
    for name in (b"origin", b"sec-fetch-site"):
        if name in seen:
            head.passed.append((name, seen[name]))


def is_device_id(value: bytes) -> bool:
    """Return whether the value is 8 to 128 visible ASCII characters."""
    return _DEVICE_ID.fullmatch(value) is not None


def is_request_id(value: bytes) -> bool:
    """Return whether the gateway keeps a caller's `X-Request-ID`: 8 to 128 of `[A-Za-z0-9._-]`."""
    return _REQUEST_ID.fullmatch(value) is not None


# Some fields apply to the whole host, which is the gateway's: `clear-site-data` would log the user out of the site,
# `strict-transport-security` would change the site's own policy (RFC 6797 §8.1). `x-accel-redirect` would make an
# nginx in front of the gateway send one of its internal locations.
_RESPONSE_DROPPED = HOP_BY_HOP | {
    b"x-request-id",
    b"alt-svc",
    b"clear-site-data",
    b"strict-transport-security",
    b"nel",
    b"x-accel-redirect",
}
_RESPONSE_DROPPED_PREFIXES = (b"x-zenzefi-", b"proxy-")
# Cached names of response fields as they pass to the client, by the name as received; empty if dropped.
_passed: dict[bytes, bytes] = {}


def response_headers(headers: Headers) -> Headers:
    """Return the upstream's fields without those that concern its connection or that the gateway itself sets."""
    named: set[bytes] = set()
    result: Headers = []
    for name, value in headers:
        passed = _passed.get(name)
        if passed is None:
            passed = _passed_name(name)
        if passed:
            result.append((passed, value))
        elif name.lower() == b"connection":
            named |= {token.strip().lower() for token in value.split(b",")}
    named -= {b"close", b"keep-alive"}
    return [pair for pair in result if pair[0] not in named] if named else result


def _passed_name(name: bytes) -> bytes:
    lower = name.lower()
    passed = b"" if lower in _RESPONSE_DROPPED or lower.startswith(_RESPONSE_DROPPED_PREFIXES) else lower
    if len(_passed) < _MAX_CACHED_NAMES and len(name) <= _MAX_NAME_LENGTH:
        _passed[name] = passed
    return passed
