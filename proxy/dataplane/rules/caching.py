"""Rules for caches, without I/O: no shared cache may store what the gateway has admitted a client to.

A cache in front of the gateway would send a stored response to clients without a token.
"""

import re
from functools import lru_cache
from http import HTTPStatus

Headers = list[tuple[bytes, bytes]]

_CACHE_CONTROL = b"cache-control"
# A response depends on the credentials, also for the caches of browsers.
_VARY = (b"vary", b"cookie, x-access-token, x-device-id")
# Directives of a list (RFC 9110 §5.6.1): a quoted string may contain commas, and may lack its end.
_DIRECTIVE = re.compile(rb'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# The first two allow shared caches to store the response (RFC 9111 §5.2.2); `private="field"` only forbids a field.
_REPLACED = frozenset({b"public", b"s-maxage", b"private"})
_MAX_CACHED = 256  # bytes of a value whose result is kept
# Fields with which the upstream would control caches, servers and networks in front of the gateway.
_FOR_THE_FRONT = frozenset(
    {
        b"surrogate-control", b"edge-control", b"x-sendfile", b"x-lighttpd-send-file", b"x-lighttpd-send-tempfile",
        b"x-reproxy-url", b"x-reproxy-file", b"x-reproxy-cache-for",
    }
)  # fmt: skip


def is_for_the_front(name: bytes) -> bool:
    """Return whether a field, in lower case, is for software in front of the gateway, such as `X-Accel-Expires`.

    `X-Accel-Buffering` stays: with it, event streams pass an nginx without delay.
    """
    if name.startswith(b"x-accel-"):
        return name != b"x-accel-buffering"
    return name.endswith(b"cdn-cache-control") or name in _FOR_THE_FRONT


def for_one_client(status: int, headers: Headers) -> Headers:
    """Return the fields of an admitted response, which only the client's own cache may store."""
    if status == HTTPStatus.SWITCHING_PROTOCOLS:
        return headers
    stated = [value for name, value in headers if name == _CACHE_CONTROL]
    if stated:
        headers = [pair for pair in headers if pair[0] != _CACHE_CONTROL]
    return [*headers, (_CACHE_CONTROL, _private(stated)), _VARY]


def _private(stated: list[bytes]) -> bytes:
    value = b",".join(stated)
    return _cached(value) if len(value) <= _MAX_CACHED else _without_sharing(value)


def _without_sharing(value: bytes) -> bytes:
    """Return the value of `Cache-Control` with `private` first, so that nothing malformed can hide it."""
    kept = [b"private"]
    for directive in _DIRECTIVE.findall(value):
        name = directive.partition(b"=")[0].strip().lower()
        if _NAME.fullmatch(name) and name not in _REPLACED:
            kept.append(directive.strip())
    return b", ".join(kept)


_cached = lru_cache(maxsize=1024)(_without_sharing)
