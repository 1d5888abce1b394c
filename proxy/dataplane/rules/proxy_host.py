"""The upstream's own host name (`PROXY_HOST`): its whole site is the upstream, and there is no path prefix."""

from functools import lru_cache

from django.http.request import split_domain_port

from proxy.dataplane.asgi import ON_PROXY_HOST, Scope
from proxy.dataplane.rules.paths import PREFIX

_MAX_HOST_LENGTH = 300  # a name has at most 253 characters (RFC 1035 §2.3.4)


def names_proxy_host(scope: Scope, proxy_host: str) -> bool:
    """Return whether a request or WebSocket is for `proxy_host`.

    Names are compared without case and port: browsers share the cookies of a host between its ports (RFC 6265 §8.5),
    so the site is never served under that name. If there are several `Host` fields, the first one counts here; the
    plane that handles the request denies it.
    """
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    return bool(host) and _name(host.decode("latin-1")) == _name(proxy_host)


def is_on_proxy_host(scope: Scope) -> bool:
    """Return whether the request was found to be for the upstream's own host."""
    return ON_PROXY_HOST in scope


def prefix_of(scope: Scope) -> bytes:
    """Return the part of the request's path that stands before the upstream's path."""
    return b"" if ON_PROXY_HOST in scope else PREFIX


def origin_of(proxy_host: str, backend_url: str) -> str:
    """Return the origin of the host, with the site's scheme, as browsers write it; empty if there is no such host."""
    return f"{backend_url.partition('://')[0]}://{proxy_host}" if proxy_host else ""


def _name(host: str) -> str:
    """Return the name in lower case, without the port and a final dot; empty if it is malformed."""
    return _cached_name(host) if len(host) <= _MAX_HOST_LENGTH else ""


@lru_cache(maxsize=1024)
def _cached_name(host: str) -> str:
    return split_domain_port(host)[0]
