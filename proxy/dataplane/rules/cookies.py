"""Rules for cookies, without I/O: the gateway's own, and those of the upstream, which must not affect them."""

import re
from functools import lru_cache

from django.core import signing

from proxy.dataplane.rules.paths import PREFIX, under_prefix

# The prefix of all cookies of the gateway (see the settings); such a cookie never passes to or from the upstream.
RESERVED = b"zenzefi_"
ACCESS_COOKIE = "zenzefi_access"
_SALT = "proxy.access-cookie"
# Values of `sign_access` are shorter; longer ones are not checked and not cached.
_MAX_ACCESS_LENGTH = 1024
# Django, which reads names as Latin-1, strips more than browsers do; for `=` see `_is_reserved`.
_BEFORE_A_NAME = b"= \t\x85\xa0"
# Browsers accept a cookie with this prefix only with `Path=/` (RFC 6265bis §4.1.3.2).
_HOST_PREFIX = b"__host-"
_DOMAIN = re.compile(rb";\s*domain\s*=[^;]*", re.IGNORECASE)
_PATH = re.compile(rb"(;\s*path\s*=\s*)(/[^;]*)", re.IGNORECASE)


def sign_access(digest: str, device: str) -> str:
    """Return the value of the access cookie for the token with this SHA-256 and a device id."""
    return signing.dumps([digest, device], salt=_SALT, compress=False)


def read_access(value: str) -> tuple[str, str] | None:
    """Return the token's SHA-256 and the device id of an access cookie, or None if it is forged or malformed."""
    return _verified(value) if len(value) <= _MAX_ACCESS_LENGTH else None


@lru_cache(maxsize=4096)
def _verified(value: str) -> tuple[str, str] | None:
    try:
        digest, device = signing.loads(value, salt=_SALT)
    except (signing.BadSignature, ValueError):
        return None
    return str(digest), str(device)


def split_request_cookies(value: bytes) -> tuple[bytes, list[bytes]]:
    """Return a `Cookie` header without the gateway's cookies, and the values of the gateway's access cookies.

    The other cookies are kept byte for byte.
    """
    kept, access = [], []
    for pair in value.split(b";"):
        if not _is_reserved(pair):
            kept.append(pair)
            continue
        name, _, content = pair.strip().partition(b"=")
        if name.strip() == ACCESS_COOKIE.encode():
            access.append(content)
    return b";".join(kept).strip(), access


def rewrite_set_cookie(value: bytes, target_path: bytes = b"", prefix: bytes = PREFIX) -> bytes | None:
    """Return the upstream's `Set-Cookie` for the client: below the prefix if possible, and for this host only.

    Returns None if it names one of the gateway's cookies, in upper or lower case.
    """
    if _is_reserved(value.partition(b";")[0]):
        return None
    value = _DOMAIN.sub(b"", value)
    if value.lstrip().lower().startswith(_HOST_PREFIX):
        return value
    return _PATH.sub(lambda path: path[1] + under_prefix(path[2], target_path, prefix), value)


def _is_reserved(pair: bytes) -> bool:
    """Return whether this is a cookie of the gateway.

    For a cookie without a name browsers send only its value, which servers then read as a name and a value
    (RFC 6265bis §5.8.3).
    """
    return pair.lstrip(_BEFORE_A_NAME).lower().startswith(RESERVED)
