"""The upstream's own host (`PROXY_HOST`), where its whole site is shown and there is no prefix."""

from functools import lru_cache

from django.http.request import split_domain_port

from proxy.dataplane.rules.client_address import Scope
from proxy.dataplane.rules.paths import PREFIX

# In the scope of a request to it.
_CLAIMED = "zenzefi.proxy_host"
_LONGEST = 300  # a name has at most 253 characters (RFC 1035 §2.3.4)


def claim(scope: Scope, proxy_host: str) -> bool:
    """Whether a request or WebSocket is for this host, which its scope then says.

    The name decides, in any case and whatever the port: browsers share the cookies of a host between its ports
    (RFC 6265 §8.5), so the site is never answered there. The first of several `Host` fields decides; whoever answers
    refuses them.
    """
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    if not host or _name(host.decode("latin-1")) != _name(proxy_host):
        return False
    scope[_CLAIMED] = True
    return True


def is_claimed(scope: Scope) -> bool:
    """Whether it was found to be for the upstream's own host."""
    return _CLAIMED in scope


def prefix_of(scope: Scope) -> bytes:
    """What stands before the upstream's path in that of the request."""
    return b"" if _CLAIMED in scope else PREFIX


def origin_of(proxy_host: str, backend_url: str) -> str:
    """Its origin as browsers name it: of the same scheme as the site; empty where there is none."""
    return f"{backend_url.partition('://')[0]}://{proxy_host}" if proxy_host else ""


def _name(host: str) -> str:
    """In lower case, without a port and the dot of the root; empty where it is malformed."""
    return _cached_name(host) if len(host) <= _LONGEST else ""


@lru_cache(maxsize=1024)
def _cached_name(host: str) -> str:
    return split_domain_port(host)[0]
