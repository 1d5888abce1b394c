"""Responses of the gateway itself on the proxied path: denials and other JSON."""

import json
import random
from functools import lru_cache
from typing import Any

from django.utils import translation
from django.utils.translation.trans_real import parse_accept_lang_header

from proxy.dataplane.errors import BAD_REQUEST, HEADERS_TOO_LARGE, REQUEST_TIMEOUT, Denial, Denied
from proxy.dataplane.rules.headers import Headers, is_request_id

# A separate generator, because the shared one would repeat ids if a program seeded it.
_identifiers = random.Random()  # noqa: S311  (names, not secrets)
_MAX_ACCEPT_LANGUAGE = 500  # bytes that are read; clients may send any number


def request_id(received: bytes) -> bytes:
    """Return the caller's `X-Request-ID` if it is well formed, else a new id."""
    return received if is_request_id(received) else b"%032x" % _identifiers.getrandbits(128)


def denial_response(denied: Denied, accept_language: bytes) -> tuple[int, Headers, bytes]:
    """Return the status, header fields and JSON body of a denial."""
    body = _denial_body(denied.denial, language_of(accept_language))
    return denied.denial.status, denial_headers(denied) + json_headers(body), body


def denial_headers(denied: Denied) -> Headers:
    """Return the fields that distinguish a denial from a response of the upstream; they do not depend on its body."""
    denial = denied.denial
    headers: Headers = [(b"x-zenzefi-error", denial.code.encode())]
    if denied.retry_after is not None:
        headers.append((b"retry-after", str(denied.retry_after).encode()))
    if denial in (BAD_REQUEST, HEADERS_TOO_LARGE, REQUEST_TIMEOUT):
        # The start of the next request on this connection cannot be known (RFC 9112 §9.6).
        headers.append((b"connection", b"close"))
    return headers


def json_body(data: dict[str, Any]) -> bytes:
    """Return the data as compact JSON."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def json_headers(body: bytes) -> Headers:
    """Return the header fields of a JSON response, which no cache may store."""
    return [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]


@lru_cache(maxsize=256)
def _denial_body(denial: Denial, language: str) -> bytes:
    with translation.override(language):
        return json_body({"detail": str(denial.detail), "code": denial.code})


def language_of(accept_language: bytes) -> str:
    """Return the first of the gateway's languages in an `Accept-Language` value, else English."""
    return _language(accept_language[:_MAX_ACCEPT_LANGUAGE])


@lru_cache(maxsize=1024)
def _language(accept_language: bytes) -> str:
    for name, _quality in parse_accept_lang_header(accept_language.decode("latin-1").lower()):
        if name.split("-")[0] in ("ru", "en"):
            return name.split("-")[0]
    return "en"
