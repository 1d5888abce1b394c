"""Cookies: the gateway's own stay here, the application's are forwarded."""

import hashlib

import pytest
from django.core import signing
from django.http.cookie import parse_cookie
from hypothesis import given
from hypothesis import strategies as st

from proxy.dataplane.rules.cookies import (
    ACCESS_COOKIE,
    RESERVED,
    read_access,
    rewrite_set_cookie,
    sign_access,
    split_request_cookies,
)
from proxy.dataplane.rules.headers import read_request

DIGEST, DEVICE = hashlib.sha256(b"token").hexdigest(), "device-of-alice"


# case C44
@pytest.mark.parametrize(
    ("value", "kept", "access"),
    [
        (b"", b"", []),
        (b"a=1", b"a=1", []),
        (b"a=1; b=2;c=3 ;  d=4", b"a=1; b=2;c=3 ;  d=4", []),
        (b"zenzefi_access=x", b"", [b"x"]),
        (b"a=1; zenzefi_access=x; b=2", b"a=1; b=2", [b"x"]),
        (b"zenzefi_access=x; zenzefi_access=y", b"", [b"x", b"y"]),
        (b"zenzefi_access =x", b"", [b"x"]),
        (b"a=1;zenzefi_session=s;zenzefi_csrftoken=c;zenzefi_language=ru;zenzefi_new=1", b"a=1", []),
        # Reserved names match in any case, but only the exact name admits.
        (b"ZENZEFI_ACCESS=x; Zenzefi_Session=s; a=1", b"a=1", []),
        (b"zenzefi_", b"", []),
        (b"zenzefi_access", b"", [b""]),
        (b"\tzenzefi_access=x\t", b"", [b"x"]),
        (b"zenzefi_access=a=b=c", b"", [b"a=b=c"]),
        # A server may skip an empty name and read the text after its `=` as the name.
        (b"=zenzefi_access=x; ==zenzefi_session=y; a=1", b"a=1", []),
        # Cookies of the application stay unchanged, even malformed ones.
        (b"zenzefi=1; my_zenzefi_access=2; zenzef_=3", b"zenzefi=1; my_zenzefi_access=2; zenzef_=3", []),
        (b"=value; novalue; ; ;;a==b;", b"=value; novalue; ; ;;a==b;", []),
        (b'a="x;  y";zenzefi_access=x;  b="; "', b'a="x;  y";  b="; "', [b"x"]),
        (b'q="a b"; e=; u=\xd1\x8f', b'q="a b"; e=; u=\xd1\x8f', []),
        (b'a="x; zenzefi_access=t"; b=2', b'a="x; b=2', [b't"']),
        (b"$Version=1; a=1", b"$Version=1; a=1", []),
    ],
)
def test_request_cookies_are_split(value, kept, access):
    assert split_request_cookies(value) == (kept, access)


def _any_case(name):
    return st.lists(st.booleans(), min_size=len(name), max_size=len(name)).map(
        lambda upper: bytes(ord(chr(byte).upper()) if up else byte for byte, up in zip(name, upper, strict=True))
    )


_GATEWAY_NAMES = st.sampled_from([b"zenzefi_access", b"zenzefi_session", b"zenzefi_csrftoken", b"zenzefi_x"]).flatmap(
    _any_case
)
_APP_NAMES = st.sampled_from([b"sessionid", b"csrftoken", b"a", b"ZENZEFI", b"x-zenzefi_"])
_VALUES = st.binary(max_size=12).filter(lambda value: not set(value) & set(b"; \t\n\x0b\x0c\r"))
_SPACE = st.sampled_from([b"", b" ", b"\t", b"  "])


def _is_reserved(name):
    return name.lower().startswith(RESERVED)


# cases C44, C45
@given(st.lists(st.tuples(_SPACE, st.one_of(_GATEWAY_NAMES, _APP_NAMES), _SPACE, _VALUES), max_size=12))
def test_only_cookies_of_the_application_are_forwarded(cookies):
    value = b";".join(before + name + after + b"=" + text for before, name, after, text in cookies)
    kept, access = split_request_cookies(value)
    assert not any(_is_reserved(pair.strip()) for pair in kept.split(b";"))
    own = [(before, name + after + b"=" + text) for before, name, after, text in cookies if not _is_reserved(name)]
    assert kept == b";".join(before + pair for before, pair in own).strip()
    assert access == [text for _, name, _, text in cookies if name == ACCESS_COOKIE.encode()]


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_split(value):
    kept, _ = split_request_cookies(value)
    assert split_request_cookies(kept) == (kept, [])
    if RESERVED not in value.lower():
        assert kept == value.strip()


# case C45
def test_500_cookies_are_forwarded_without_the_gateways_own():
    cookies = [b"c%d=%d" % (n, n) for n in range(500)]
    mixed = [*cookies[:250], b"Zenzefi_Access=x", *cookies[250:], b"zenzefi_session=y"]
    head = read_request([(b"host", b"h"), (b"cookie", b"; ".join(mixed))], "1.1")
    assert head.passed == [(b"cookie", b"; ".join(cookies))]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"sessionid=abc", b"sessionid=abc"),
        (b"a=1; Path=/", b"a=1; Path=/api/v1/proxy/"),
        (b"a=1; path=/app; HttpOnly", b"a=1; path=/api/v1/proxy/app; HttpOnly"),
        (b"a=1;PATH = /app;Secure", b"a=1;PATH = /api/v1/proxy/app;Secure"),
        (b"a=1; Path=; Secure", b"a=1; Path=; Secure"),
        (b"a=1; Path=app", b"a=1; Path=app"),
        (b"a=1; Domain=target; Path=/", b"a=1; Path=/api/v1/proxy/"),
        (b"a=1;domain=.target.example", b"a=1"),
        (b"a=1; DOMAIN = x ; Max-Age=5", b"a=1; Max-Age=5"),
        (b"a=1; Domain=a; Domain=b", b"a=1"),
        (b"a=1; Domain=", b"a=1"),
        (b"domain=x; Path=/", b"domain=x; Path=/api/v1/proxy/"),
        (b"path=/x", b"path=/x"),
        (b'a="x y"; SameSite=None; Secure', b'a="x y"; SameSite=None; Secure'),
        (b"a=\xd1\x8f; Path=/", b"a=\xd1\x8f; Path=/api/v1/proxy/"),
        (b"__Host-sid=1; Path=/; Secure", b"__Host-sid=1; Path=/; Secure"),
        (b"__HOST-sid=1;Domain=target;Path=/;Secure", b"__HOST-sid=1;Path=/;Secure"),
        (b"__Secure-sid=1; Path=/; Secure", b"__Secure-sid=1; Path=/api/v1/proxy/; Secure"),
        (b"my_zenzefi_access=1", b"my_zenzefi_access=1"),
        (b"a=zenzefi_access=1", b"a=zenzefi_access=1"),
        (b"", b""),
    ],
)
def test_a_cookie_of_the_upstream_is_limited_to_the_prefix_and_this_host(value, expected):
    assert rewrite_set_cookie(value) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/app", b"/api/v1/proxy"),
        (b"/app/x", b"/api/v1/proxy/x"),
        (b"/apple", b"/api/v1/proxy/apple"),
        (b"/", b"/api/v1/proxy/"),
    ],
)
def test_the_base_path_of_the_upstream_is_removed(path, expected):
    assert rewrite_set_cookie(b"a=1; Path=" + path, b"/app") == b"a=1; Path=" + expected


# case C45
@pytest.mark.parametrize(
    "value",
    [
        b"zenzefi_access=evil; Path=/",
        b"Zenzefi_Access=; Max-Age=0",
        b"ZENZEFI_SESSION=fixed",
        b" zenzefi_csrftoken =x",
        b"\tzenzefi_language=x",
        b"zenzefi_anything",
        b"zenzefi_access",
        # Browsers send the value of a nameless cookie alone; servers then read it as a name and a value.
        b"=zenzefi_access=evil; Path=/",
        b" = zenzefi_access=evil",
        b"==zenzefi_access=evil",
        # Browsers keep these bytes; Django strips those that are spaces in Latin-1.
        b"\xa0zenzefi_session=fixed",
        b" \x85\xa0zenzefi_session=fixed",
    ],
)
def test_the_upstream_can_neither_set_nor_clear_a_cookie_of_the_gateway(value):
    assert rewrite_set_cookie(value) is None


_VALUE_BYTES = st.sampled_from([byte for byte in b"\t" + bytes(range(0x20, 0x100)) if byte not in b"\x7f;"])


# cases C44, C45
@given(st.lists(_VALUE_BYTES, max_size=3).map(bytes), _GATEWAY_NAMES)
def test_cookies_that_django_reads_as_the_gateways_are_dropped(before, name):
    cookie = before + name + b"=evil"
    if any(known.lower().startswith("zenzefi_") for known in parse_cookie(cookie.decode("latin-1"))):
        assert rewrite_set_cookie(cookie) is None
        assert split_request_cookies(b"a=1;" + cookie)[0] == b"a=1"


@given(_SPACE, _GATEWAY_NAMES, _SPACE, st.binary(max_size=20))
def test_a_name_of_the_gateway_in_any_case_is_dropped(before, name, after, rest):
    assert rewrite_set_cookie(before + name + after + b"=" + rest) is None


@given(
    _APP_NAMES,
    _VALUES,
    st.lists(
        st.sampled_from(
            [b"Domain=a.b", b"DOMAIN=", b" domain = x", b"Path=/", b"path=/x", b"Secure", b"", b"HttpOnly"]
        ),
        max_size=6,
    ),
)
def test_no_domain_and_no_path_outside_the_prefix_remain(name, text, attributes):
    rewritten = rewrite_set_cookie(b";".join([name + b"=" + text, *attributes]))
    pair, *rest = rewritten.split(b";")
    assert pair == name + b"=" + text
    for attribute in rest:
        key, _, value = attribute.partition(b"=")
        assert key.strip().lower() != b"domain"
        assert key.strip().lower() != b"path" or value.startswith(b"/api/v1/proxy/")
    assert [a for a in rest if a in (b"Secure", b"HttpOnly")] == [
        a for a in attributes if a in (b"Secure", b"HttpOnly")
    ]


def test_a_signed_value_is_read_back():
    signed = sign_access(DIGEST, DEVICE)
    assert read_access(signed) == (DIGEST, DEVICE)
    # Values of these characters need no quotes (RFC 6265 §4.1.1).
    assert set(signed) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_:")


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=128))
def test_every_device_id_survives_the_signature(device):
    assert read_access(sign_access(DIGEST, device)) == (DIGEST, device)


@given(st.data())
def test_a_truncated_or_changed_value_is_rejected(data):
    signed = sign_access(DIGEST, DEVICE)
    at = data.draw(st.integers(0, len(signed) - 1))
    other = data.draw(st.characters(max_codepoint=0xFF).filter(lambda char: char != signed[at]))
    assert read_access(signed[:at]) is None
    assert read_access(signed[:at] + other + signed[at + 1 :]) is None
    assert read_access(signed + other) is None


# case C47
@given(st.text(st.characters(max_codepoint=0xFF), max_size=100))
def test_arbitrary_text_is_rejected_without_an_error(value):
    assert read_access(value) is None


@pytest.mark.parametrize(
    "value", ["", ":", "::", ".:x:y", "ё", "é:é:é", "\x00:\x00", "a" * 100_000, "W10:1:x", ":" * 5000]
)
def test_malformed_values_are_rejected(value):
    assert read_access(value) is None


def test_a_signature_for_another_purpose_is_rejected():
    assert read_access(signing.dumps([DIGEST, DEVICE], salt="another")) is None
    assert read_access(signing.dumps([DIGEST, DEVICE])) is None
