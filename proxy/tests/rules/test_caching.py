"""The fields of a response that control caches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dataplane.rules.caching import for_one_client, is_for_the_front

pytestmark = pytest.mark.embedded
VARY = (b"vary", b"cookie, x-access-token, x-device-id")


# case G72
@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ([], b"private"),
        ([b""], b"private"),
        ([b"public"], b"private"),
        ([b"public, max-age=3600"], b"private, max-age=3600"),
        ([b"PUBLIC,S-MaxAge=5 ,Max-Age=9"], b"private, Max-Age=9"),
        ([b"max-age=60", b"public", b"s-maxage=9"], b"private, max-age=60"),
        ([b"private"], b"private"),
        ([b'private="set-cookie", max-age=9'], b"private, max-age=9"),
        ([b'max-age="9", public'], b'private, max-age="9"'),
        ([b'x="a, public", immutable'], b'private, x="a, public", immutable'),
        ([b'x="a\\", public", no-cache'], b'private, x="a\\", public", no-cache'),
        ([b'x="unclosed, public, private'], b'private, x="unclosed, public, private'),
        ([b"public max-age=9, no-transform"], b"private, no-transform"),
        ([b"public=1, public;x, s-maxage = 4, =3, ,"], b"private"),
        ([b"no-store, must-revalidate"], b"private, no-store, must-revalidate"),
        ([b"stale-while-revalidate=60, stale-if-error=9"], b"private, stale-while-revalidate=60, stale-if-error=9"),
        ([b"max-age=1, " + b"x" * 300 + b", public"], b"private, max-age=1, " + b"x" * 300),
    ],
)
def test_cache_control(stated, expected):
    headers = [(b"etag", b'"a"'), *((b"cache-control", value) for value in stated), (b"expires", b"0")]
    assert for_one_client(200, headers) == [(b"etag", b'"a"'), (b"expires", b"0"), (b"cache-control", expected), VARY]


def test_a_handshake_has_none():
    assert for_one_client(101, [(b"x", b"y")]) == [(b"x", b"y")]


# case G72
@given(st.lists(st.text(alphabet='public,s-maxage"\\= ;1', max_size=30), max_size=3))
def test_no_value_hides_private_or_allows_sharing(values):
    headers = [(b"cache-control", value.encode()) for value in values]
    (value,) = [value for name, value in for_one_client(200, headers) if name == b"cache-control"]
    first, *others = value.split(b", ")
    assert first == b"private"
    assert b"public" not in others
    assert b"private" not in others


# case G72
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"x-accel-redirect", True), (b"x-accel-expires", True), (b"x-accel-limit-rate", True),
        (b"x-accel-charset", True), (b"x-accel-buffering", False), (b"cdn-cache-control", True),
        (b"cloudflare-cdn-cache-control", True), (b"surrogate-control", True), (b"edge-control", True),
        (b"x-sendfile", True), (b"x-lighttpd-send-file", True), (b"x-reproxy-url", True),
        (b"cache-control", False), (b"expires", False), (b"pragma", False), (b"age", False), (b"etag", False),
    ],
)  # fmt: skip
def test_fields_for_software_in_front(name, expected):
    assert is_for_the_front(name) is expected
