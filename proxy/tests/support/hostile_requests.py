"""Random hostile requests, and the statuses of correct responses to them."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from proxy.tests.support.exchange_cases import Case
from proxy.tests.support.raw_client import head

# Requests to PATH must not reach the upstream completely; requests to TOLERATED may.
PATH = "/api/v1/proxy/hostile"
TOLERATED = "/api/v1/proxy/tolerated"
SMUGGLED = b"GET /api/v1/proxy/hostile/smuggled HTTP/1.1\r\nHost: h\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
Credentials = dict[str, str]


@dataclass(frozen=True)
class Hostile:
    """The bytes to send and the allowed statuses; 0 means that the connection ends without a response."""

    data: bytes
    statuses: frozenset[int]
    # The client waits for the gateway's timeout instead of leaving.
    waits: bool = True


Kind = Callable[[Random, Credentials], Hostile]


def _denied(data: bytes, *statuses: int, **options: bool) -> Hostile:
    return Hostile(data, frozenset(statuses or (400,)), **options)


def _some_body(chance: Random, credentials: Credentials) -> bytes:
    """Return a body, which may itself look like a request."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in credentials.items()).encode()
    return chance.choice([b"12345", SMUGGLED + lines + b"\r\n", b"5\r\n12345\r\n0\r\n\r\n", chance.randbytes(40)])


def ambiguous_framing(chance: Random, credentials: Credentials) -> Hostile:
    body = _some_body(chance, credentials)
    length = b"Content-Length: %d" % len(body)
    lines = chance.choice(
        [
            [length, CHUNKED], [CHUNKED, length], [length, length], [length, b"Content-Length: 1"],
            [b"Content-Length: +%d" % len(body)], [b"Content-Length: 0x5"], [b"Content-Length: 5, 5"],
            [b"Content-Length: -1"], [b"Content-Length: "], [b"Content-Length: " + b"9" * chance.randint(19, 40)],
            [CHUNKED, CHUNKED], [b"Transfer-Encoding: chunked, chunked"], [b"Transfer-Encoding: gzip, chunked"],
            [b"Transfer-Encoding: chunked, identity"], [b"Transfer-Encoding: xchunked"], [b"Transfer-Encoding: "],
            [b"Transfer-Encoding : chunked"], [b"Transfer-Encoding:\r\n chunked"],
            [b"Connection: Upgrade", b"Upgrade: h2c", length, length],
        ]
    )  # fmt: skip
    return _denied(head("POST", PATH, {"Host": "h", **credentials}, *lines) + body)


def old_chunks(chance: Random, credentials: Credentials) -> Hostile:
    body = _some_body(chance, credentials)
    return _denied(head("POST", PATH, {"Host": "h", **credentials}, CHUNKED, version="HTTP/1.0") + body)


def bad_chunks(chance: Random, credentials: Credentials) -> Hostile:
    """Return a request with malformed chunks.

    The error is found within the body, so the response may be lost. The gateway waits for the rest of a chunk's line.
    """
    chunks = chance.choice(
        [b"x\r\n", b"-5\r\n12345\r\n", b"0x5\r\n12345\r\n", b"5\r\n123456\r\n0\r\n\r\n", b"5\n12345\n0\n\n",
         b"f" * 20, b"5\r\n12345\r\n\r\n", b"5 \x00\r\n12345\r\n", b"1;" + b"x" * 40_000]
    )  # fmt: skip
    good = chance.choice([b"", b"3\r\nabc\r\n"])
    return _denied(head("POST", PATH, {"Host": "h", **credentials}, CHUNKED) + good + chunks, 0, 400, 408, 431)


def bad_fields(chance: Random, credentials: Credentials) -> Hostile:
    control = bytes([chance.choice([0, 1, 7, 8, 11, 12, 14, 27, 28, 31, 127])])
    line = chance.choice(
        [
            b"X-Custom: a" + control + b"b", b"X-Cust" + control + b"om: a", b"X-Custom: a\rb", b"X-Custom: a\r\n b",
            b"X-Custom: a\r\n\tb", b"X-Custom: a\n b", b"X Custom: 1", b"X-Custom : 1", b": 1", b" X-Custom: 1",
            b"X-Custom", b"X\xff: 1", b"X(: 1", b"Cookie: a=1" + control,
        ]
    )  # fmt: skip
    return _denied(head(chance.choice(["GET", "POST"]), PATH, {"Host": "h", **credentials}, line))


def bad_hosts(chance: Random, credentials: Credentials) -> Hostile:
    hosts = chance.choice(
        [
            [], [b"Host:"], [b"Host: h", b"Host: h"], [b"Host: h", b"Host: evil"], [b"Host: a b"], [b"Host: h/x"],
            [b"Host: u@h"], [b"Host: h:"], [b"Host: h:x"], [b"Host: h:999999"], [b"Host: [::1"], [b"Host: h,i"],
            [b"Host: h\\x"], [b"Host: %68"], [b"Host: h#x"], [b"Host: h?x"],
        ]
    )  # fmt: skip
    return _denied(head("GET", PATH, credentials, *hosts))


def bad_targets(chance: Random, credentials: Credentials) -> Hostile:
    target = chance.choice(
        ["http://evil.example" + PATH, "http://127.0.0.1" + PATH, "http://" + PATH, PATH + "#x", PATH + "?a#b",
         "evil.example:443", "*", PATH[1:], "?x", "\\" + PATH, PATH + "\x7f", PATH + " x"]
    )  # fmt: skip
    return _denied(head(chance.choice(["GET", "OPTIONS", "CONNECT"]), target, {"Host": "h", **credentials}))


def bad_lines(chance: Random, credentials: Credentials) -> Hostile:
    line = chance.choice(
        ["GET {} HTTP/2.0", "GET {} HTTP/1.2", "GET {} HTTP/0.9", "GET {}", "get {} HTTP/1.1", "GET\t{} HTTP/1.1",
         "GET {} http/1.1", "BREW {} HTTP/1.1", "TRACE {} HTTP/1.1", "CONNECT {} HTTP/1.1", "GET {} HTTP/1.1x",
         "PRI * HTTP/2.0", "GE\x00T {} HTTP/1.1"]
    ).format(PATH)  # fmt: skip
    fields = head("", "", {"Host": "h", **credentials}, version="").lstrip(b" ")
    return _denied(line.encode() + fields)


def too_large(chance: Random, credentials: Credentials) -> Hostile:
    given = {"Host": "h", **credentials}
    size = chance.randint(33_000, 200_000)
    data = chance.choice(
        [
            head("GET", PATH, {**given, "X": "x" * size}),
            head("GET", PATH, {**given, "X" * size: "x"}),
            head("GET", PATH + "?" + "q" * size, given),
            head("GET", PATH, given, *(b"X-%d: x" % number for number in range(size // 8))),
            head("GET", PATH, given, b"Cookie: " + b"; ".join(b"c%d=1" % number for number in range(size // 5))),
            head("POST", PATH, given, CHUNKED) + b"0\r\n" + b"X-Trailer: 1\r\n" * (size // 14) + b"\r\n",
            head("POST", PATH, given, CHUNKED) + b"0\r\nX: " + b"x" * size + b"\r\n\r\n",
            b"GET /" + b"x" * size,
            b"\r\n" * size,
        ]
    )
    return _denied(data, 431)


def no_protocol(chance: Random, _credentials: Credentials) -> Hostile:
    data = chance.choice(
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(200),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00" * 100, b"SSH-2.0-x\r\n", b"{}\r\n\r\n",
            b"\xff" + chance.randbytes(chance.randint(1, 2000)), b"GET", b"EHLO x\r\n",
        ]
    )  # fmt: skip
    return _denied(data, 0, 400, waits=False)


def denied_access(chance: Random, credentials: Credentials) -> Hostile:
    """Return a request with wrong or missing credentials."""
    token, device = credentials["X-Access-Token"], credentials["X-Device-ID"]
    given, statuses = chance.choice(
        [
            ({}, [401]),
            ({"X-Device-ID": device}, [401]),
            ({"X-Access-Token": "", "X-Device-ID": device}, [401]),
            ({"X-Access-Token": token[:-1], "X-Device-ID": device}, [401]),
            ({"X-Access-Token": token.swapcase(), "X-Device-ID": device}, [401]),
            ({"X-Access-Token": chance.randbytes(48).hex(), "X-Device-ID": device}, [401]),
            ({"X-Access-Token": "x" * 20_000, "X-Device-ID": device}, [401]),
            ({"X_Access_Token": token, "X_Device_ID": device}, [401]),
            ({"Authorization": f"Bearer {token}", "X-Device-ID": device}, [401]),
            ({"Cookie": f"zenzefi_access={token}", "X-Device-ID": device}, [401]),
            ({"Cookie": "zenzefi_access=" + chance.randbytes(50).hex()}, [401]),
            ({"X-Access-Token": token}, [400]),
            ({"X-Access-Token": token, "X-Device-ID": "short"}, [400]),
            ({"X-Access-Token": token, "X-Device-ID": "x" * 129}, [400]),
            ({"X-Access-Token": token, "X-Device-ID": "with a space"}, [400]),
            ({"X-Access-Token": token, "X-Device-ID": f"another-device-{chance.randrange(100)}"}, [409]),
        ]
    )
    body = chance.randbytes(20)
    return _denied(head("POST", PATH, {"Host": "h", "Content-Length": "20", **given}) + body, *statuses)


def out_of_scope(chance: Random, certificates: Credentials) -> Hostile:
    """Return a request outside `/certificates`, with a token for this path only."""
    outside = ["", "/", "/hostile", "/certificatesx", "/Certificates", "/x/certificates", "/hostile?/certificates"]
    ambiguous = [
        "/certificates/../x", "/certificates/%2e%2e/x", "/certificates/..%2fx", "/certificates%2fx",
        "/certificates/%252e", "//certificates", "/certificates//x", "/certificates;x", "/certificates/%00",
        "/certificates/%c0%af", "/certificates/\\..", "/certificates/%", "/certificates/.", "/certificates#x",
    ]  # fmt: skip
    path = chance.choice(outside + ambiguous)
    status = 400 if path in ambiguous else 403
    return _denied(head("GET", f"/api/v1/proxy{path}", {"Host": "h", **certificates}), status)


def mutated(chance: Random, credentials: Credentials) -> Hostile:
    """Return a valid request in which random bytes are replaced, removed or inserted.

    Its meaning is unknown and it may be incomplete, so any response except 500 is correct.
    """
    case = Case(
        "POST", "/tolerated", [b"Cookie: a=1", b"Accept: */*"], chance.randbytes(20), chance.random() < 0.5, b""
    )
    data = bytearray(case.request("/api/v1/proxy", {"Connection": "close", **credentials}))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        piece = chance.choice([b"", b"\r\n", b"\n", b"\r", b"\x00", b" ", b":", b"0", chance.randbytes(1)])
        data[at : at + chance.randint(0, 2)] = piece
    anything = frozenset({0, *range(200, 600)} - {500})
    return Hostile(bytes(data), anything, waits=False)


def half_head(chance: Random, credentials: Credentials) -> Hostile:
    request = head("GET", PATH, {"Host": "h", **credentials})
    return _denied(request[: chance.randint(1, len(request) - 1)], 408)


def half_body(chance: Random, credentials: Credentials) -> Hostile:
    size = chance.randint(0, 20)
    framing, body = chance.choice(
        [(b"Content-Length: 21", b"x" * size), (CHUNKED, b"15\r\n" + b"x" * size), (CHUNKED, b"1\r\nx\r\n")]
    )
    return _denied(head("POST", PATH, {"Host": "h", **credentials}, framing) + body, 408)


def leaves(chance: Random, credentials: Credentials) -> Hostile:
    """Return a truncated or complete request, after which the client leaves without reading a response."""
    request = head("POST", TOLERATED, {"Host": "h", "Content-Length": "21", **credentials}) + b"x" * 21
    return _denied(request[: chance.randint(1, len(request))], 0, 200, waits=False)


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        ambiguous_framing, old_chunks, bad_chunks, bad_fields, bad_hosts, bad_targets, bad_lines, too_large,
        no_protocol, denied_access, out_of_scope, mutated, leaves,
    )
}  # fmt: skip
# Kinds that last until a timeout of the gateway.
SLOW_KINDS: dict[str, Kind] = {kind.__name__: kind for kind in (half_head, half_body)}
