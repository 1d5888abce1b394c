"""A denial as a page, for a person whose browser was to show what is behind the gateway, and the status as a page.

API clients never get one. A denial is rendered once for each reason and language; what differs between two people is
put in afterwards.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.html import escape

from proxy.dataplane.admission.grant_cache import Grant
from proxy.dataplane.denials import messages
from proxy.dataplane.denials.messages import AGAIN, Explanation
from proxy.dataplane.denials.responses import denial_headers, language_of
from proxy.dataplane.errors import Denied
from proxy.dataplane.rules.headers import Headers
from zenzefi.common.themes import known_theme
from zenzefi.common.time_zones import time_zone

_HTML = frozenset({b"text/html", b"application/xhtml+xml"})
_POLICY = (
    "default-src 'none'; style-src {site}; script-src {site}; img-src {site} data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
# Of a link, or of a file that the page shows.
_OWN_LINK = re.compile(r'(\s(?:href|src)=")/')
_ICON = re.compile(r'<svg class="icon".*?</svg>', re.DOTALL)
_LONGEST_ACCEPT = 500  # bytes that are read: anybody may invent some
# No text of ours has a control character, and no value that replaces one.
_SENTENCE, _ADDRESS, _REQUEST = "\x01", "\x02", "\x03"
# Of the request's headers, those that decide whether and how a page is shown.
HEADERS = frozenset({b"accept", b"accept-language", b"cookie", b"sec-fetch-mode"})


def is_navigation(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser is to show the answer: it prefers HTML and says it navigates, or says nothing about it.

    Whoever sends `Sec-Fetch-Mode` (Fetch Metadata, W3C) says so by `navigate`; an older browser names HTML first.
    """
    if method != "GET" or headers.get(b"sec-fetch-mode", b"navigate") != b"navigate":
        return False
    return _prefers_html(headers.get(b"accept", b"")[:_LONGEST_ACCEPT])


@lru_cache(maxsize=1024)
def _prefers_html(accept: bytes) -> bool:
    """The media range of the greatest weight, the first of several (RFC 9110 §12.5.1), is that of a page."""
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


def denial_page(
    denied: Denied, detail: Mapping[str, Any], grant: Grant | None, identifier: bytes, headers: Mapping[bytes, bytes],
    site: str = "",
) -> tuple[int, Headers, bytes]:  # fmt: skip
    """Status, headers and body; of the headers, all but the type and what protects the page are those of the JSON.

    `site` is the origin of the site, where the page is shown on another host: its links and files lead there.
    """
    denial, cookies = denied.denial, _cookies(headers.get(b"cookie", b""))
    language = _language(cookies, headers)
    explanation = _explanation(denial.code, detail, grant, language, cookies.get(settings.TIME_ZONE_COOKIE_NAME, ""))
    frame = _frame(denial.status, language, _theme(cookies), explanation.advice, explanation.action, site)
    # An empty reference is the page itself.
    address = "" if explanation.url == AGAIN else site + explanation.url
    body = (
        frame.replace(_SENTENCE, escape(explanation.sentence))
        .replace(_ADDRESS, escape(address))
        .replace(_REQUEST, identifier.decode("ascii"))
        .encode()
    )
    return denial.status, denial_headers(denied) + _headers(body, site), body


def status_page(report: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> tuple[Headers, bytes]:
    """Headers and body: what `health.check()` reported, in the words of a customer."""
    cookies = _cookies(headers.get(b"cookie", b""))
    zone = time_zone(cookies.get(settings.TIME_ZONE_COOKIE_NAME, ""))
    context = {
        "status": report["status"],
        "upstream": report["checks"]["upstream"],
        "checked_at": datetime.fromisoformat(report["checked_at"]),
        "frame": _site_frame(_theme(cookies)),
    }
    with translation.override(_language(cookies, headers)), timezone.override(zone):
        body = render_to_string("proxy/status.html", context).encode()
    return _headers(body), body


def _headers(body: bytes, site: str = "") -> Headers:
    return [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"content-security-policy", _POLICY.format(site=site or "'self'").encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
    ]


def _explanation(code: str, detail: Mapping[str, Any], grant: Grant | None, language: str, zone: str) -> Explanation:
    if not detail and grant is None:  # what a flood of unknown tokens gets
        return _general_explanation(code, language)
    with translation.override(language), timezone.override(time_zone(zone)):
        return messages.explain(code, detail, grant.token_id if grant else None)


@lru_cache(maxsize=256)
def _general_explanation(code: str, language: str) -> Explanation:
    with translation.override(language):
        return messages.explain(code, {})


@lru_cache(maxsize=256)
def _frame(status: int, language: str, theme: str, advice: str, action: str, site: str) -> str:
    with translation.override(language):
        # A name that no request id has, and that needs no quoting.
        denied_url = reverse("denied", args=["request-id"]).replace("request-id", _REQUEST)
        context = {"status": status, "sentence": _SENTENCE, "advice": advice, "action": action, "address": _ADDRESS}
        page = render_to_string(
            "proxy/denial_at_gateway.html",
            {**context, "denied_url": denied_url, "request_id": _REQUEST, "frame": _site_frame(theme)},
        )
    # No browser takes an icon from another origin, and none of them says what the text does not.
    return _OWN_LINK.sub(rf"\g<1>{site}/", _ICON.sub("", page)) if site else page


def _site_frame(theme: str) -> SimpleNamespace:
    return SimpleNamespace(theme=theme, zone_cookie=settings.TIME_ZONE_COOKIE_NAME, status_url="/health")


def _theme(cookies: Mapping[str, str]) -> str:
    return known_theme(cookies.get(settings.THEME_COOKIE_NAME, ""))


def _cookies(header: bytes) -> dict[str, str]:
    """The gateway's own among them; what they may say is checked where it is used."""
    pairs = (pair.partition("=") for pair in header.decode("latin-1").split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _language(cookies: Mapping[str, str], headers: Mapping[bytes, bytes]) -> str:
    chosen = cookies.get(settings.LANGUAGE_COOKIE_NAME, "")
    return chosen if chosen in dict(settings.LANGUAGES) else language_of(headers.get(b"accept-language", b""))
