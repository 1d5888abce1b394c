"""One-time codes that sign a browser in on PROXY_HOST.

Browsers do not share cookies between hosts, so a page of the site sends the code to the other host in a form. With
the form the browser sends the page's origin, which another site cannot forge, so a user cannot be signed in with
another user's code.
"""

import secrets
import time
from typing import NamedTuple

from django.core import signing
from django.http.request import split_domain_port, validate_host

from proxy.dataplane.config import Config

# The only path on PROXY_HOST that is not the upstream's.
PATH = b"/.zenzefi/open"
LIFETIME_SECONDS = 60.0
_SALT = "proxy.opening"
_MAX_LENGTH = 1024  # bytes; codes are shorter
_CLOCK_SKEW_SECONDS = 5.0


class HandoffCode(NamedTuple):
    """The content of a code: the token's SHA-256, the device, the path to open, a serial number and its Unix time."""

    digest: str
    device: str
    path: str
    number: str
    issued_at: float


def issue(digest: str, device: str, path: str) -> str:
    """Return a code that signs a browser in, once and within a minute."""
    return signing.dumps([digest, device, path, secrets.token_hex(16), time.time()], salt=_SALT)


def read(query: bytes) -> HandoffCode | None:
    """Return the content of the code in a query string, or None if it is forged or too old.

    Only the state store knows whether the code was used before.
    """
    name, _, text = query.partition(b"=")
    if name != b"code" or len(text) > _MAX_LENGTH:
        return None
    try:
        code = HandoffCode(*signing.loads(text.decode("latin-1"), salt=_SALT))
    except (signing.BadSignature, ValueError):
        return None
    return code if -_CLOCK_SKEW_SECONDS <= time.time() - code.issued_at <= LIFETIME_SECONDS else None


def is_from_site(origin: bytes | None, config: Config) -> bool:
    """Return whether the page that sent a form is one of the site."""
    if origin is None or origin == config.own_origin:
        return origin is not None
    scheme, _, host = origin.decode("latin-1").partition("://")
    name, _port = split_domain_port(host)
    own_scheme = config.own_origin.decode().partition("://")[0]
    if scheme != own_scheme or name == split_domain_port(config.proxy_host)[0]:
        return False
    return bool(name) and validate_host(name, config.allowed_hosts)
