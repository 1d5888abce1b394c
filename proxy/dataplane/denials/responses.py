"""What the gateway itself answers on the proxied path: denials, and other JSON."""

import json
import random
from functools import lru_cache
from typing import Any

from django.utils import translation
from django.utils.translation.trans_real import parse_accept_lang_header

from proxy.dataplane.errors import BAD_REQUEST, HEADERS_TOO_LARGE, REQUEST_TIMEOUT, Denial, Denied
from proxy.dataplane.rules.headers import Headers, is_request_id

# Of its own: whoever seeds the process's generator would have the same ids come again.
_identifiers = random.Random()  # noqa: S311  (names, no secrets)
_LONGEST_LANGUAGES = 500  # bytes that are read of `Accept-Language`: anybody may invent some


def request_id(given: bytes) -> bytes:
    """The caller's `X-Request-ID` where it is well-formed, else a new one."""
    return given if is_request_id(given) else b"%032x" % _identifiers.getrandbits(128)


def denial_answer(denied: Denied, accept_language: bytes) -> tuple[int, Headers, bytes]:
    """Status, headers and body of a denial, as JSON."""
    body = _denial_body(denied.denial, language_of(accept_language))
    return denied.denial.status, denial_headers(denied) + json_headers(body), body


def denial_headers(denied: Denied) -> Headers:
    """What tells a denial from an answer of the upstream, in whatever form its body is."""
    denial = denied.denial
    headers: Headers = [(b"x-zenzefi-error", denial.code.encode())]
    if denied.retry_after is not None:
        headers.append((b"retry-after", str(denied.retry_after).encode()))
    if denial in (BAD_REQUEST, HEADERS_TOO_LARGE, REQUEST_TIMEOUT):
        # Where the next request begins on this connection cannot be known (RFC 9112 §9.6).
        headers.append((b"connection", b"close"))
    return headers


def json_body(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def json_headers(body: bytes) -> Headers:
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
    """The first of the gateway's languages that an `Accept-Language` names, else English."""
    return _language(accept_language[:_LONGEST_LANGUAGES])


@lru_cache(maxsize=1024)
def _language(accept_language: bytes) -> str:
    for name, _quality in parse_accept_lang_header(accept_language.decode("latin-1").lower()):
        if name.split("-")[0] in ("ru", "en"):
            return name.split("-")[0]
    return "en"
