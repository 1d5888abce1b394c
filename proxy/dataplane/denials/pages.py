"""Denials as pages for people in a browser, and the status page.

API clients never get a page. A denial page is rendered once per reason and language; the texts that differ between
users are inserted afterwards.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.html import escape

from proxy.dataplane.config import Config
from proxy.dataplane.denials import messages
from proxy.dataplane.denials.messages import AGAIN, Explanation
from proxy.dataplane.denials.responses import denial_headers, language_of
from proxy.dataplane.errors import Denied, DeniedToken
from proxy.dataplane.rules.headers import Headers
from zenzefi.common.themes import known_theme
from zenzefi.common.time_zones import time_zone

_HTML = frozenset({b"text/html", b"application/xhtml+xml"})
_POLICY = (
    "default-src 'none'; style-src {site}; script-src {site}; img-src {site} data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
# The beginning of the URL of a link or of a file of the page.
_OWN_LINK = re.compile(r'(\s(?:href|src)=")/')
_ICON = re.compile(r'<svg class="icon".*?</svg>', re.DOTALL)
_MAX_ACCEPT = 500  # bytes that are read; clients may send any number
# Placeholders in the rendered page: no text of ours, and no value that replaces one, contains a control character.
_SENTENCE, _ADDRESS, _REQUEST = "\x01", "\x02", "\x03"
# The request's fields that decide whether and how a page is shown.
HEADERS = frozenset({b"accept", b"accept-language", b"cookie", b"sec-fetch-mode"})


def is_navigation(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a browser is going to show the response as a page.

    A current browser says `Sec-Fetch-Mode: navigate` (Fetch Metadata, W3C) for that; an older one sends no such field
    and prefers HTML.
    """
    if method != "GET" or headers.get(b"sec-fetch-mode", b"navigate") != b"navigate":
        return False
    return _prefers_html(headers.get(b"accept", b"")[:_MAX_ACCEPT])


@lru_cache(maxsize=1024)
def _prefers_html(accept: bytes) -> bool:
    """Return whether the media range of the greatest weight, the first of several, is HTML (RFC 9110 §12.5.1)."""
    best, most = b"", 0.0
    for media_range in accept.lower().split(b","):
        name, *parameters = (part.strip() for part in media_range.split(b";"))
        weight = next((_weight(each[2:]) for each in parameters if each.startswith(b"q=")), 1.0)
        if weight > most:
            best, most = name, weight
    return best in _HTML


def _weight(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


class Reader:
    """The preferences of the person who reads a page: language, theme and time zone."""

    __slots__ = ("language", "theme", "zone_name")

    def __init__(self, config: Config, headers: Mapping[bytes, bytes]) -> None:
        cookies = _cookies(headers.get(b"cookie", b""))
        language = cookies.get(config.language_cookie, "")
        accepted = language_of(headers.get(b"accept-language", b""))
        self.language = language if language in config.languages else accepted
        self.theme = known_theme(cookies.get(config.theme_cookie, ""))
        self.zone_name = cookies.get(config.time_zone_cookie, "")

    @property
    def zone(self) -> ZoneInfo:
        """Return the chosen time zone, or UTC if there is none of that name."""
        return time_zone(self.zone_name)


def denial_page(
    config: Config, denied: Denied, details: Mapping[str, Any], identifier: bytes, headers: Mapping[bytes, bytes],
    site: str = "",
) -> tuple[int, Headers, bytes]:  # fmt: skip
    """Return the status, header fields and HTML body of a denial.

    The fields are those of the JSON response, except the type and the page's own protection. `site` is the origin of
    the site if the page is shown on another host: its links and files then point there.
    """
    denial, reader = denied.denial, Reader(config, headers)
    explanation = _explanation(denial.code, details, denied.token, reader)
    frame = _frame(
        denial.status, reader.language, reader.theme, config.time_zone_cookie, explanation.advice, explanation.action,
        site,
    )  # fmt: skip
    # An empty reference means the page itself.
    address = "" if explanation.url == AGAIN else site + explanation.url
    body = (
        frame.replace(_SENTENCE, escape(explanation.sentence))
        .replace(_ADDRESS, escape(address))
        .replace(_REQUEST, identifier.decode("ascii"))
        .encode()
    )
    return denial.status, denial_headers(denied) + _page_headers(body, site), body


def status_page(config: Config, report: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> tuple[Headers, bytes]:
    """Return the header fields and HTML body of a health report, in words for customers."""
    reader = Reader(config, headers)
    context = {
        "status": report["status"],
        "upstream": report["checks"]["upstream"],
        "checked_at": datetime.fromisoformat(report["checked_at"]),
        "frame": _site_frame(reader.theme, config.time_zone_cookie),
    }
    with translation.override(reader.language), timezone.override(reader.zone):
        body = render_to_string("proxy/status.html", context).encode()
    return _page_headers(body), body


def _page_headers(body: bytes, site: str = "") -> Headers:
    return [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"content-security-policy", _POLICY.format(site=site or "'self'").encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
    ]


def _explanation(code: str, details: Mapping[str, Any], token: DeniedToken | None, reader: Reader) -> Explanation:
    if not details and token is None:  # the case of a flood of unknown tokens
        return _general_explanation(code, reader.language)
    with translation.override(reader.language), timezone.override(reader.zone):
        return messages.explain(code, details, token.token_id if token else None)


@lru_cache(maxsize=256)
def _general_explanation(code: str, language: str) -> Explanation:
    with translation.override(language):
        return messages.explain(code, {})


@lru_cache(maxsize=256)
def _frame(status: int, language: str, theme: str, zone_cookie: str, advice: str, action: str, site: str) -> str:
    """Return the page with placeholders for the sentence, the button's address and the request id."""
    with translation.override(language):
        # A name that is not a request id and needs no quoting.
        denied_url = reverse("denied", args=["request-id"]).replace("request-id", _REQUEST)
        context = {"status": status, "sentence": _SENTENCE, "advice": advice, "action": action, "address": _ADDRESS}
        page = render_to_string(
            "proxy/denial_at_gateway.html",
            {
                **context,
                "denied_url": denied_url,
                "request_id": _REQUEST,
                "frame": _site_frame(theme, zone_cookie),
            },
        )
    # Browsers load no SVG icon from another origin; the text says the same as the icons.
    return _OWN_LINK.sub(rf"\g<1>{site}/", _ICON.sub("", page)) if site else page


def _site_frame(theme: str, zone_cookie: str) -> SimpleNamespace:
    return SimpleNamespace(theme=theme, zone_cookie=zone_cookie, status_url="/health")


def _cookies(header: bytes) -> dict[str, str]:
    """Return the cookies of a `Cookie` header; callers check the values."""
    pairs = (pair.partition("=") for pair in header.decode("latin-1").split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}
