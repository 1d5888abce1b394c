"""Header fields: which are denied, which are forwarded, and which only the gateway may set."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dataplane.errors import BAD_REQUEST, Denied
from proxy.dataplane.rules.forwarded_headers import forwarding_headers
from proxy.dataplane.rules.headers import (
    is_device_id,
    is_request_id,
    read_request,
    response_headers,
)

HOST = (b"host", b"gateway.example")
TOKEN, DEVICE = b"the-access-token-of-alice", b"device-of-alice"
NEVER_FORWARDED = [
    b"x-access-token", b"x-device-id", b"x-user-id", b"x-token-id", b"x-zenzefi-error", b"x-zenzefi-anything",
    b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-anything",
    b"x-real-ip",
    b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"proxy-connection",
    b"proxy-authorization", b"proxy-anything", b"x_access_token", b"x_forwarded_for", b"x_user_id", b"any_name",
    b"expect",
    b"host", b"x-request-id", b"sec-websocket-key", b"sec-websocket-protocol", b"x-original-url", b"x-rewrite-url",
]  # fmt: skip
# Fields that may occur once only, or whose values are checked.
SINGLE = {b"host", b"x-access-token", b"x-device-id", b"x-request-id", b"transfer-encoding", b"upgrade"}
APPLICATION = [
    b"accept", b"accept-encoding", b"authorization", b"if-none-match", b"range", b"x-app", b"x-csrftoken", b"referer",
    b"x-requested-with", b"content-type", b"content-encoding", b"cache-control", b"cookie2", b"x-user", b"x-forward",
]  # fmt: skip


def _read(*headers, version="1.1"):
    return read_request([HOST, *headers], version)


def _names(head):
    return {name for name, _ in head.passed}


# cases C29, C30, C31, C44
@pytest.mark.parametrize("name", NEVER_FORWARDED)
def test_fields_of_the_gateway_are_never_forwarded(name):
    value = b"chunked" if name == b"transfer-encoding" else b"spoofed!"
    headers = [(b"accept", b"*/*"), (name, value)] if name != b"host" else [(b"accept", b"*/*")]
    assert _read(*headers).passed == [(b"accept", b"*/*")]


_VALUES = st.sampled_from([b"", b"a", b"127.0.0.1", b"spoofed-value", b"a,b", b"close", b"\xc3\xa9"])
_BLOCK = st.lists(
    st.tuples(st.sampled_from([n for n in NEVER_FORWARDED if n not in SINGLE] + APPLICATION), _VALUES), max_size=14
)


@given(
    _BLOCK,
    st.permutations([(b"x-access-token", TOKEN), (b"x-device-id", DEVICE), HOST, (b"x-request-id", b"abcdefgh")]),
)
def test_order_and_repetition_make_no_difference(block, own):
    at = len(block) // 2
    head = read_request([*own[:2], *block[:at], *own[2:], *block[at:]], "1.1")
    assert not _names(head) & set(NEVER_FORWARDED)
    assert not any(TOKEN in value or DEVICE in value for _, value in head.passed)
    named = {t.strip().lower() for name, value in block if name == b"connection" for t in value.split(b",")}
    # The application's fields keep their order and repetition.
    assert head.passed == [pair for pair in block if pair[0] in APPLICATION and pair[0] not in named]
    assert (head.token, head.device, head.host) == (TOKEN, DEVICE, HOST[1])


# cases C28, C29
@given(
    st.lists(
        st.sampled_from([*NEVER_FORWARDED, *APPLICATION, b"close", b"X-User-Id", b"X-Forwarded-Host", b""]),
        max_size=6,
    )
)
def test_connection_removes_the_named_fields_except_those_of_the_gateway(named):
    head = _read(
        (b"connection", b" , ".join(named)),
        (b"x-access-token", TOKEN),
        (b"x-device-id", DEVICE),
        (b"x-app", b"1"),
        (b"accept", b"2"),
    )
    assert (head.token, head.device, head.host) == (TOKEN, DEVICE, HOST[1])
    assert head.passed == [pair for pair in [(b"x-app", b"1"), (b"accept", b"2")] if pair[0] not in named]


def test_connection_cannot_remove_the_forwarding_headers():
    # The gateway adds them after it has read the client's fields.
    head = _read((b"connection", b"x-forwarded-for, x-forwarded-host, via, x-user-id"), (b"via", b"1.0 before"))
    sent = [*head.passed, *forwarding_headers(b"192.0.2.7", b"https", head.host)]
    assert sent == [
        (b"x-forwarded-for", b"192.0.2.7"),
        (b"x-forwarded-proto", b"https"),
        (b"x-forwarded-host", b"gateway.example"),
        (b"via", b"1.1 zenzefi"),
    ]


def test_an_earlier_via_precedes_the_gateways():
    head = _read((b"via", b"1.0 before"))
    assert [*head.passed, *forwarding_headers(b"", b"http", b"h")][0] == (b"via", b"1.0 before")


def test_the_browsers_fields_are_read_and_forwarded():
    head = _read((b"origin", b"https://a"), (b"user-agent", b"U"), (b"sec-fetch-site", b"none"))
    assert (head.origin, head.user_agent, head.sec_fetch_site) == (b"https://a", b"U", b"none")
    assert head.passed == [(b"user-agent", b"U"), (b"origin", b"https://a"), (b"sec-fetch-site", b"none")]


def test_the_applications_cookies_are_forwarded_and_the_gateways_are_read():
    head = _read(
        (b"cookie", b"a=1; zenzefi_access=signed; b=2"), (b"cookie", b"zenzefi_session=s"), (b"cookie", b"c=3")
    )
    assert head.passed == [(b"cookie", b"a=1; b=2"), (b"cookie", b"c=3")]
    assert head.access_cookies == [b"signed"]


# cases C33, C35, C40
@pytest.mark.parametrize(
    "headers",
    [
        [HOST, (b"content-length", b"5"), (b"transfer-encoding", b"chunked")],
        [HOST, (b"transfer-encoding", b"chunked"), (b"content-length", b"0")],
        [HOST, (b"content-length", b"5"), (b"content-length", b"5")],
        [HOST, (b"content-length", b"5"), (b"content-length", b"6")],
        *[
            [HOST, (b"content-length", value)]
            for value in (b"", b"+1", b"-1", b"0x1", b"1_0", b"1 ", b" 1", b"1,1", b"1.0", b"\xb2", b"9" * 19)
        ],
        [HOST, (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
        *[
            [HOST, (b"transfer-encoding", value)]
            for value in (
                b"", b"gzip, chunked", b"chunked, chunked", b"identity", b"xchunked", b"\x0bchunked", b"chunked;a=b"
            )
        ],
        [],
        [HOST, HOST],
        *[
            [(b"host", value)]
            for value in (
                b"", b" ", b"a b", b"a/b", b"a@b", b"a,b", b"http://a", b"a?b", b"a#b", b"a:b", b"a:", b"a:1:2",
                b"[::1", b"::1",
                b"a\\b", b"a:123456", b"\xc3\xa9", b"a;b", b"<a>", b'"a"', b"user:pw@a",
            )
        ],
        [HOST, (b"x-access-token", b"a"), (b"x-access-token", b"b")],
        [HOST, (b"x-device-id", b"device-1"), (b"x-device-id", b"device-2")],
        [HOST, (b"origin", b"https://a"), (b"origin", b"https://b")],
        *[
            [HOST, (b"x-app", b"a" + control + b"b")]
            for control in (b"\r", b"\n", b"\x00", b"\x0b", b"\x1c", b"\x7f", b"\x1b")
        ],
        [HOST, (b"x-dropped_anyway", b"a\nb")],
        [HOST, (b"cookie", b"a=\x00")],
    ],
)  # fmt: skip
def test_an_ambiguous_or_malformed_header_block_is_denied(headers):
    with pytest.raises(Denied) as caught:
        read_request(headers, "1.1")
    assert caught.value.denial is BAD_REQUEST


# case C33
def test_chunks_on_http_1_0_are_denied():
    with pytest.raises(Denied):
        _read((b"transfer-encoding", b"chunked"), version="1.0")


@pytest.mark.parametrize(
    "host",
    [b"gateway.example", b"GATEWAY", b"127.0.0.1:8000", b"[::1]", b"[fd00::1]:443", b"a_b:80", b"xn--e1afmkfd"],
)
def test_a_host_is_a_name_or_an_address_with_an_optional_port(host):
    assert read_request([(b"host", host)], "1.1").host == host


def test_http_1_0_needs_no_host():
    assert read_request([], "1.0").host == b""


@pytest.mark.parametrize(
    ("header", "has_body", "length"),
    [
        ((b"content-length", b"0"), False, 0),
        ((b"content-length", b"12"), True, 12),
        ((b"content-length", b"007"), True, 7),
        ((b"transfer-encoding", b"chunked"), True, None),
        ((b"transfer-encoding", b"Chunked"), True, None),
        ((b"accept", b"*/*"), False, None),
    ],
)
def test_the_framing_is_read(header, has_body, length):
    head = _read(header)
    assert (head.has_body, head.content_length) == (has_body, length)
    assert (header in head.passed) == (header[0] != b"transfer-encoding")


@given(st.lists(st.tuples(st.binary(max_size=12).map(bytes.lower), st.binary(max_size=20)), max_size=8))
def test_arbitrary_bytes_are_read_or_denied(headers):
    try:
        head = _read(*headers)
    except Denied as denied:
        assert denied.denial is BAD_REQUEST  # noqa: PT017  (most inputs raise nothing)
        return
    assert not _names(head) & set(NEVER_FORWARDED)
    assert not any(b"_" in name for name in _names(head))


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (b"a" * 7, False), (b"a" * 8, True), (b"a" * 128, True), (b"a" * 129, False), (b"", False),
        (b"!~#$%&*(", True), (b"with space", False), (b"tab\tinside", False),
        (b"\xd1\x8f\xd1\x8f\xd1\x8f\xd1\x8f", False),
        (b"device-1\n", False), (b"device-\x7f", False), (b"device-\x00", False),
    ],
)  # fmt: skip
def test_device_ids(value, valid):
    assert is_device_id(value) is valid


@given(st.binary(max_size=140))
def test_device_and_request_ids_agree_with_the_contract(value):
    assert is_device_id(value) == (8 <= len(value) <= 128 and all(0x21 <= byte <= 0x7E for byte in value))
    allowed = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
    assert is_request_id(value) == (8 <= len(value) <= 128 and all(byte in allowed for byte in value))


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (b"abc.DEF-1_", True), (b"short", False), (b"with space", False), (b"a" * 128, True), (b"a" * 129, False),
        (b"a\n" * 5, False),
    ],
)  # fmt: skip
def test_request_ids(value, valid):
    assert is_request_id(value) is valid


# case C29
@pytest.mark.parametrize(
    "name",
    [
        b"Connection", b"Keep-Alive", b"TE", b"Trailer", b"Transfer-Encoding", b"Upgrade", b"Proxy-Connection",
        b"Proxy-Authenticate", b"X-Zenzefi-Error", b"X-Zenzefi-Expires-At", b"x-ZENZEFI-any", b"X-Request-ID",
        b"Alt-Svc", b"X-Accel-Redirect", b"Strict-Transport-Security", b"NEL", b"Proxy-Authentication-Info",
    ],
)  # fmt: skip
def test_hop_by_hop_fields_and_the_gateways_own_are_removed_from_a_response(name):
    assert response_headers(((b"Server", b"nginx"), (name, b"value"))) == [(b"server", b"nginx")]


def test_fields_named_by_the_upstreams_connection_are_removed():
    headers = ((b"X-Hop", b"1"), (b"Connection", b"close, X-hop"), (b"X-App", b"2"), (b"x-hop", b"3"))
    assert response_headers(headers) == [(b"x-app", b"2")]


def test_a_response_keeps_order_and_repetition():
    headers = (
        (b"Set-Cookie", b"a=1"),
        (b"Link", b"<a>"),
        (b"Set-Cookie", b"b=2"),
        (b"ETag", b'"x"'),
        (b"Link", b"<b>"),
    )
    assert response_headers(headers) == [(name.lower(), value) for name, value in headers]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"Connection", b"Keep-Alive", b"TRAILER", b"X-Zenzefi-Error", b"X-App", b"Vary", b"Server"]
            ),
            st.sampled_from([b"close", b"X-App", b"vary , close", b"x-zenzefi-error", b""]),
        ),
        max_size=8,
    )
)
def test_no_hop_by_hop_field_of_a_response_is_forwarded(headers):
    named = b",".join(value for name, value in headers if name == b"Connection").lower()
    named = set(re.split(rb"\s*,\s*", named)) - {b"close"}
    expected = [(n.lower(), v) for n, v in headers if n in (b"X-App", b"Vary", b"Server") and n.lower() not in named]
    assert response_headers(headers) == expected


def test_a_value_beyond_ascii_is_forwarded_unchanged():
    for value in ("отчёт".encode(), b"\xe9t\xe9"):
        assert _read((b"x-name", value)).passed == [(b"x-name", value)]
