"""Paths: which are proxied, which a scope admits, and how a `Location` is rewritten."""

import re
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.dataplane.errors import BAD_REQUEST, SCOPE_DENIED, Denied
from proxy.dataplane.rules.paths import PREFIX, check_certificates_only, is_proxied, rewrite_location, upstream_path

ORIGIN, BASE = b"http://target:61000", b""
OWN_HOST = "gateway.example"


@pytest.mark.parametrize("rest", [b"", b"/", b"/x", b"//evil", b"/../admin", b"/%2e%2e"])
def test_the_prefix_and_all_below_it_is_proxied(rest):
    assert is_proxied(PREFIX + rest)
    assert upstream_path(PREFIX + rest) == (rest or b"/")


@pytest.mark.parametrize(
    "path", [b"", b"/", b"/api/v1/proxyx", b"/api/v1/prox", b"/API/v1/proxy", b"//api/v1/proxy", b"/api/v1/proxy%2f"]
)
def test_nothing_else_is_proxied(path):
    assert not is_proxied(path)


@pytest.mark.parametrize(
    "path",
    [
        b"/certificates",
        b"/certificates/",
        b"/certificates/a/b.pem",
        b"/certificates/a%20b",
        b"/certificates/%D1%8F.crt",
        b"/certificates/a:b@c+d,e=f!g",
        b"/certificates/..a",
        b"/certificates/a..",
        b"/certificates/...",
    ],
)
def test_certificates_only_admits_the_certificates(path):
    check_certificates_only(path)


@pytest.mark.parametrize(
    "path",
    [b"/", b"/certificatesx", b"/certificate", b"/admin", b"/Certificates", b"/CERTIFICATES/a", b"/a/certificates"],
)
def test_certificates_only_denies_another_path(path):
    assert _denial(path) is SCOPE_DENIED


# cases C37, C38
@pytest.mark.parametrize(
    "path",
    [
        b"/certificates/../admin",
        b"/certificates/..",
        b"/certificates/./a",
        b"/../certificates",
        b"/certificates/%2e%2e/admin",
        b"/certificates/%2E%2e/admin",
        b"/certificates/.%2e/admin",
        b"/certificates/..%2fadmin",
        b"/certificates/..%2Fadmin",
        b"/certificates%2f..%2fadmin",
        b"/certificates/%252e%252e/admin",
        b"/certificates/%25",
        b"//certificates",
        b"/certificates//a",
        b"//evil/certificates",
        b"/certificates/..;/admin",
        b"/certificates;x/a",
        b"/certificates/a;x=1",
        b"/certificates/a%3Bx",
        b"/certificates/a%3bx",
        b"/certificates/%00",
        b"/certificates/a%0d%0a",
        b"/certificates/a%7F",
        b"/certificates/a%1b",
        b"/certificates/\x00",
        b"/certificates/a\tb",
        b"/certificates/a b",
        b"/certificates/\x7f",
        b"/certificates/\xff",
        b"/certificates/\xc0\xae\xc0\xae/admin",
        b"/certificates/%c0%ae%c0%ae/admin",
        b"/certificates/%C0%AF../admin",
        b"/certificates/%e0%80%ae%e0%80%ae/admin",
        b"/certificates/%f0%80%80%ae",
        b"/certificates/%ed%a0%80",
        b"/certificates/%ff",
        b"/certificates/%80",
        b"/certificates\\..\\admin",
        b"/certificates/..\\admin",
        b"/certificates/..%5cadmin",
        b"/certificates/..%5Cadmin",
        b"/certificates/%",
        b"/certificates/%2",
        b"/certificates/%zz",
        b"/certificates/%u002e",
        b"/certificates/#/../../admin",
        b"/certificates/a#b",
        b"/certificates/a?b",
        b"/certificates/?/../admin",
        # Some servers fold full-width dots and slashes to ASCII (NFKC).
        b"/certificates/%ef%bc%8e%ef%bc%8e/admin",
        b"/certificates/%ef%bc%8fadmin",
        b"/certificates/%e2%80%a5/admin",
        b"/certificates/%c2%85",
    ],
)
def test_certificates_only_denies_ambiguous_paths(path):
    assert _denial(path) is BAD_REQUEST


_ATOMS = st.sampled_from(
    [
        b"/", b"/", b"//", b".", b"..", b"%2e", b"%2E", b"%2f", b"%252e", b"%25", b"%5c", b"\\", b";", b"%3b", b"%00",
        b"#", b"?", b"%c0%ae", b"%e0%80%af", b"%ef%bc%8e", b"%ef%bc%8f", b"%d1%8f", b"a", b"certificates",
        b"/certificates", b"admin", b" ", b"\t", b"%", b"%2", b"\xff", b"%23", b"%3f", b"CERTIFICATES",
    ]
)  # fmt: skip
_PATHS = st.one_of(
    st.lists(_ATOMS, max_size=10).map(lambda atoms: b"/" + b"".join(atoms)),
    st.lists(_ATOMS, max_size=10).map(lambda atoms: b"/certificates/" + b"".join(atoms)),
    st.binary(max_size=40).map(lambda rest: b"/certificates" + rest),
)


@given(_PATHS)
@example(b"/certificates/%23/..")
@example(b"/certificates/a%3f/../b")
@example(b"/certificates/..%23")
@example(b"/certificates/..%3Fa")
def test_every_reading_of_an_admitted_path_stays_below_certificates(path):
    try:
        check_certificates_only(path)
    except Denied:
        return
    for reading in _readings(path):
        assert _normalised(reading)[:1] == [b"certificates"], (path, reading)


def _denial(path):
    with pytest.raises(Denied) as caught:
        check_certificates_only(path)
    return caught.value.denial


def _readings(path):
    """Yield the path as servers may read it: decoded up to three times, cut at characters that may end it."""
    decoded = [path]
    for _ in range(3):
        decoded.append(unquote_to_bytes(decoded[-1]))
    for reading in decoded:
        yield reading
        yield reading.replace(b"\\", b"/")
        yield reading.lower()
        for end in (b"#", b"?", b"\x00"):
            yield reading.split(end)[0]
        yield re.sub(rb";[^/]*", b"", reading)
        # Lenient decoders accept overlong forms of UTF-8.
        yield re.sub(rb"\xc0\xae|\xe0\x80\xae", b".", re.sub(rb"\xc0\xaf|\xe0\x80\xaf", b"/", reading))


def _normalised(path):
    """Return the segments as a careless server sees them, with dot segments removed and slashes merged."""
    kept = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    return kept


# case C42
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"http://target:61000", b"/api/v1/proxy/"),
        (b"http://target:61000/", b"/api/v1/proxy/"),
        (b"http://target:61000/login?next=%2Fa#b", b"/api/v1/proxy/login?next=%2Fa#b"),
        (b"http://target:61000?a=b", b"/api/v1/proxy/?a=b"),
        (b"http://target:61000#top", b"/api/v1/proxy/#top"),
        (b"HTTP://Target:61000/x", b"/api/v1/proxy/x"),
        (b"//target:61000/x", b"/api/v1/proxy/x"),
        (b"/", b"/api/v1/proxy/"),
        (b"/a/../b", b"/api/v1/proxy/a/../b"),
        # Relative references stay unchanged, because the browser resolves them below the prefix.
        (b"", b""),
        (b"login", b"login"),
        (b"../up", b"../up"),
        (b"?page=2", b"?page=2"),
        (b"#top", b"#top"),
        # Other hosts, including names that resemble the upstream's.
        (b"http://target.evil/x", b"http://target.evil/x"),
        (b"http://target:61000.evil/x", b"http://target:61000.evil/x"),
        (b"http://target:61000@evil/x", b"http://target:61000@evil/x"),
        (b"http://target@evil/x", b"http://target@evil/x"),
        (b"http://target:610001/x", b"http://target:610001/x"),
        (b"http://target/x", b"http://target/x"),
        (b"https://target:61000/x", b"https://target:61000/x"),
        (b"//evil/x", b"//evil/x"),
        (b"//target:61000@evil/x", b"//target:61000@evil/x"),
        (b"https://elsewhere.example/a", b"https://elsewhere.example/a"),
        (b"http://target:61000\\@evil", b"http://target:61000\\@evil"),
        (b"http://[::1", b"http://[::1"),
        (b"mailto:someone@target", b"mailto:someone@target"),
        (b"\xff\xfe", b"\xff\xfe"),
    ],
)
def test_only_locations_on_the_upstream_are_rewritten(value, expected):
    assert rewrite_location(value, ORIGIN, BASE) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"/app", b"/api/v1/proxy"),
        (b"/app/", b"/api/v1/proxy/"),
        (b"/app/x", b"/api/v1/proxy/x"),
        (b"/app?a=1", b"/api/v1/proxy?a=1"),
        (b"/app#a", b"/api/v1/proxy#a"),
        (b"http://target:61000/app/x", b"/api/v1/proxy/x"),
        (b"/application", b"/api/v1/proxy/application"),
    ],
)
def test_the_base_path_of_the_target_is_removed(value, expected):
    assert rewrite_location(value, ORIGIN, b"/app") == expected


@pytest.mark.parametrize(
    ("value", "origin"),
    [
        (b"http://target/x", b"http://Target:80"),
        (b"http://target:80/x", b"http://target"),
        (b"https://target/x", b"https://target:443"),
        (b"https://[fd00::1]/x", b"https://[fd00::1]:443"),
    ],
)
def test_a_default_port_and_the_case_of_the_host_make_no_difference(value, origin):
    assert rewrite_location(value, origin, b"") == b"/api/v1/proxy/x"


_LOCATIONS = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.sampled_from(
            [
                b"http:",
                b"https:",
                b"//",
                b"/",
                b"target",
                b"target:61000",
                b"evil",
                b"@",
                b".",
                b"\\",
                b"?",
                b"#",
                b":80",
                b"[",
            ]
        ),
        max_size=8,
    ).map(b"".join),
)


@given(_LOCATIONS)
def test_a_foreign_host_is_never_changed(value):
    rewritten = rewrite_location(value, ORIGIN, BASE)
    if rewritten != value:
        assert rewritten.startswith(PREFIX)
        assert _host_of(value) in (OWN_HOST, "target:61000")


@pytest.mark.parametrize(
    ("value", "target_path", "expected"),
    [
        (b"http://target:61000/x", b"", b"/x"),
        (b"http://target:61000", b"", b"/"),
        (b"http://target:61000?a", b"", b"/?a"),
        (b"/x", b"", b"/x"),
        (b"/app", b"/app", b"/"),
        (b"/app?a", b"/app", b"/?a"),
        (b"/app/x", b"/app", b"/x"),
        (b"/other", b"/app", b"/other"),
        # Without the added dot segment, these would name another host.
        (b"http://target:61000//evil", b"", b"/.//evil"),
        (b"/app//evil", b"/app", b"/.//evil"),
        (b"/app/\\evil", b"/app", b"/./\\evil"),
        (b"/app/\t/evil", b"/app", b"/./\t/evil"),
        # These name another host already.
        (b"//evil/x", b"", b"//evil/x"),
        (b"/\\evil", b"", b"/\\evil"),
    ],
)
def test_a_location_on_the_upstreams_own_host(value, target_path, expected):
    assert rewrite_location(value, ORIGIN, target_path, b"") == expected


@given(_LOCATIONS, st.sampled_from([b"", b"/app", b"/"]))
def test_without_a_prefix_a_changed_location_stays_on_the_host(value, target_path):
    rewritten = rewrite_location(value, ORIGIN, target_path, b"")
    if rewritten != value:
        assert _host_of(rewritten.replace(b"\t", b"").replace(b"\\", b"/")) == OWN_HOST


def _host_of(value):
    """Return the host to which a browser would go from a page of the gateway."""
    return urlsplit(urljoin(f"http://{OWN_HOST}/api/v1/proxy/x", value.decode("latin-1"))).netloc.lower()
