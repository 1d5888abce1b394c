"""Cookies, without I/O: the gateway's own, and the upstream's that must not touch them."""

import re
from functools import lru_cache

from django.core import signing

from proxy.dataplane.rules.paths import PREFIX, under_prefix

# Every cookie of the gateway starts so (see the settings); such a cookie never crosses to or from the upstream.
RESERVED = b"zenzefi_"
ACCESS_COOKIE = "zenzefi_access"
_SALT = "proxy.access-cookie"
# Above what `sign_access` makes; longer ones need no check, nor a place in memory.
_LONGEST_ACCESS = 1024
# What Django strips from a name that it takes for Latin-1 is more than browsers do; and see `_is_reserved`.
_BEFORE_A_NAME = b"= \t\x85\xa0"
# Browsers take such a cookie with `Path=/` and no other (RFC 6265bis §4.1.3.2).
_HOST_ALONE = b"__host-"
_DOMAIN = re.compile(rb";\s*domain\s*=[^;]*", re.IGNORECASE)
_PATH = re.compile(rb"(;\s*path\s*=\s*)(/[^;]*)", re.IGNORECASE)


def sign_access(digest: str, device: str) -> str:
    """The value of the browser's access cookie, for the token with this SHA-256 and a device id."""
    return signing.dumps([digest, device], salt=_SALT, compress=False)


def read_access(value: str) -> tuple[str, str] | None:
    """The token's SHA-256 and the device id of an access cookie; None where it is forged or malformed."""
    return _verified(value) if len(value) <= _LONGEST_ACCESS else None


@lru_cache(maxsize=4096)
def _verified(value: str) -> tuple[str, str] | None:
    try:
        digest, device = signing.loads(value, salt=_SALT)
    except (signing.BadSignature, ValueError):
        return None
    return str(digest), str(device)


def split_request_cookies(value: bytes) -> tuple[bytes, list[bytes]]:
    """A `Cookie` header without the gateway's cookies, the others byte for byte, and the values of the gateway's
    access cookies."""
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
    """The upstream's `Set-Cookie` as the client may see it: below the prefix, if it may be, and for this host only.

    None where it names one of the gateway's cookies, in any case.
    """
    if _is_reserved(value.partition(b";")[0]):
        return None
    value = _DOMAIN.sub(b"", value)
    if value.lstrip().lower().startswith(_HOST_ALONE):
        return value
    return _PATH.sub(lambda path: path[1] + under_prefix(path[2], target_path, prefix), value)


def _is_reserved(pair: bytes) -> bool:
    """Whether this is a cookie of the gateway. Of a cookie without a name browsers send the value alone, which is
    then read as a name and a value (RFC 6265bis §5.8.3)."""
    return pair.lstrip(_BEFORE_A_NAME).lower().startswith(RESERVED)
