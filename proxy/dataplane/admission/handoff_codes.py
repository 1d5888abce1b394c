"""From the site to the upstream's own host: a code for the browser that has pressed the button, good for one cookie.

Browsers share no cookies between hosts, so a page of the site has the browser send this code to the other host, in a
form. The browser names the page's origin there, which no other page can: nobody is let in by somebody else's code.
"""

import secrets
import time
from typing import NamedTuple

from django.conf import settings
from django.core import signing
from django.http.request import split_domain_port, validate_host

from proxy.dataplane.config import Config

# On `PROXY_HOST`, the one path that is not the upstream's.
PATH = b"/.zenzefi/open"
SECONDS = 60.0
_SALT = "proxy.opening"
_LONGEST = 1024  # bytes; above what `issue` makes
_CLOCKS_DIFFER = 5.0


class Opening(NamedTuple):
    """Who is let in (the token's SHA-256 and the device), where to, the code's number and Unix time."""

    digest: str
    device: str
    path: str
    number: str
    issued: float


def issue(digest: str, device: str, path: str) -> str:
    """A code that lets a browser in, once and for a minute."""
    return signing.dumps([digest, device, path, secrets.token_hex(16), time.time()], salt=_SALT)


def read(query: bytes) -> Opening | None:
    """What the code of a query says; None where it is none of ours, or too old. Whether it was used is known to the
    state store alone."""
    name, _, code = query.partition(b"=")
    if name != b"code" or len(code) > _LONGEST:
        return None
    try:
        opening = Opening(*signing.loads(code.decode("latin-1"), salt=_SALT))
    except (signing.BadSignature, ValueError):
        return None
    return opening if -_CLOCKS_DIFFER <= time.time() - opening.issued <= SECONDS else None


def is_from_site(origin: bytes | None, config: Config) -> bool:
    """Whether the page that sent a form is the site's own."""
    if origin is None or origin == config.own_origin:
        return origin is not None
    scheme, _, host = origin.decode("latin-1").partition("://")
    name, _port = split_domain_port(host)
    if scheme != settings.BACKEND_URL.partition("://")[0] or name == split_domain_port(settings.PROXY_HOST)[0]:
        return False
    return bool(name) and validate_host(name, settings.ALLOWED_HOSTS)
