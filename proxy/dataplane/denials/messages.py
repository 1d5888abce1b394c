"""Why a request was refused: one sentence for a person, what to do about it, and the page that does it.

`detail` is what was found out about a refusal (`proxy.dataplane.denials.log.facts`), told to whom it concerns alone;
without it the sentence says no more than the code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

StrOrPromise = str | Promise

# Instead of an address: the page that was refused.
AGAIN = "again"
_OF_A_TOKEN = {"token", "token-reset-device"}


@dataclass(frozen=True)
class Explanation:
    """`action` is the button's text, `url` where it leads (`AGAIN` among it); both empty where no page helps."""

    sentence: str
    advice: str
    action: str = ""
    url: str = ""


@dataclass(frozen=True)
class _Words:
    sentence: StrOrPromise
    advice: StrOrPromise
    action: StrOrPromise = ""
    page: str = ""


_SUPPORT = gettext_lazy("Please contact support.")
_TRY_AGAIN = gettext_lazy("Try again")
_BUY = (gettext_lazy("Buy a token"), "token-buy")
_TOKENS = (gettext_lazy("Go to your tokens"), "tokens")
_CONNECT = (gettext_lazy("How to connect"), "connect")


def _passing(sentence: StrOrPromise) -> _Words:
    return _Words(sentence, gettext_lazy("This is not your fault. Try again in a moment."), _TRY_AGAIN, AGAIN)


_UNKNOWN = _Words(gettext_lazy("The request was denied."), _SUPPORT)
_WORDS = {
    "bad_request": _Words(
        gettext_lazy("The request was malformed and was not forwarded."),
        gettext_lazy("Check the address. If your client sent the request, check its settings."),
        *_CONNECT,
    ),
    "invalid_token": _Words(
        gettext_lazy("The request had no token or an unknown one."),
        gettext_lazy("Open the server from the token page, or copy the token into your client again."),
        *_TOKENS,
    ),
    "token_expired": _Words(
        gettext_lazy("This token has expired."),
        gettext_lazy("An expired token cannot be extended. Buy a new one and enter it in your client."),
        *_BUY,
    ),
    "user_inactive": _Words(gettext_lazy("This account is blocked."), _SUPPORT),
    "token_frozen": _Words(
        gettext_lazy("This token is frozen."),
        gettext_lazy("This happens if a payment was reversed. Top up the missing amount, or contact support."),
        gettext_lazy("Top up"),
        "topup",
    ),
    "device_id_required": _Words(
        gettext_lazy("The request did not identify the device."),
        gettext_lazy("Set a device name of 8 to 128 characters, without spaces, in your client."),
        *_CONNECT,
    ),
    "scope_denied": _Words(
        gettext_lazy("This token is valid only for /certificates."),
        gettext_lazy("For the rest of the server you need a token with full access."),
        *_BUY,
    ),
    "origin_denied": _Words(
        gettext_lazy("Another site tried to use your browser session. This is not allowed."),
        gettext_lazy("Open the server from the token page instead."),
        *_TOKENS,
    ),
    "rate_limited": _Words(
        gettext_lazy("Too many requests were sent in a short time."),
        gettext_lazy("Wait a minute, then try again."),
        _TRY_AGAIN,
        AGAIN,
    ),
    "too_many_connections": _Words(
        gettext_lazy("Too many requests with this token were open at once."),
        gettext_lazy("Close connections that you do not need, for example in other windows."),
        gettext_lazy("View the sessions"),
        "token",
    ),
    "device_conflict": _Words(
        gettext_lazy("Another device is using this token."),
        gettext_lazy(
            "Only one device at a time can use a token. Wait until the other device is idle, or reset the device."
        ),
        gettext_lazy("Reset the device"),
        "token-reset-device",
    ),
    "request_timeout": _Words(
        gettext_lazy("The request was sent too slowly."), gettext_lazy("Check your connection."), _TRY_AGAIN, AGAIN
    ),
    "upstream_unreachable": _passing(gettext_lazy("The server behind the gateway could not be reached.")),
    "upstream_timeout": _passing(gettext_lazy("The server behind the gateway did not respond in time.")),
    "state_unavailable": _passing(gettext_lazy("The gateway could not check your access.")),
    "draining": _passing(gettext_lazy("The gateway was being restarted.")),
    "maintenance": _passing(gettext_lazy("The gateway is under maintenance.")),
}
_REVOKED = _Words(
    gettext_lazy("Your token was revoked."),
    gettext_lazy("A revoked token cannot be used again. Buy a new one and enter it in your client."),
    *_BUY,
)
_CODE_SPENT = _Words(
    gettext_lazy("This link to the server was already used, or is older than a minute."),
    gettext_lazy("Go to the token page and press “Open in this browser” again."),
    *_TOKENS,
)


def explain(code: str, detail: Mapping[str, Any], token_id: UUID | None = None) -> Explanation:
    """In the language and the time zone that are active."""
    words = _WORDS.get(code, _UNKNOWN)
    if detail.get("revoked"):
        words = _REVOKED
    elif detail.get("code_spent"):
        words = _CODE_SPENT
    return Explanation(
        _sentence(detail) or str(words.sentence),
        _waiting_time(detail) if code == "rate_limited" and "retry_after" in detail else str(words.advice),
        str(words.action),
        AGAIN if words.page == AGAIN else _address(words.page, token_id),
    )


def _sentence(detail: Mapping[str, Any]) -> str:
    if "expired_at" in detail:
        passed = timezone.now() - datetime.fromisoformat(detail["expired_at"])
        return _("Your token expired %(ago)s.") % {"ago": ago(passed)}
    if "holder" in detail:
        until = timezone.localtime(datetime.fromisoformat(detail["held_until"]))
        if until <= timezone.now():
            return _("Device …%(device)s was using this token.") % {"device": detail["holder"]}
        names = {"device": detail["holder"], "time": f"{until:%H:%M} {until.tzname()}"}
        return _("In use by device …%(device)s until %(time)s.") % names
    return ""


def _waiting_time(detail: Mapping[str, Any]) -> str:
    seconds = detail["retry_after"]
    return ngettext("Wait %(count)d second.", "Wait %(count)d seconds.", seconds) % {"count": seconds}


def ago(span: timedelta) -> str:
    """`3 minutes ago`, in the largest whole unit."""
    minutes = int(span.total_seconds()) // 60
    hours = minutes // 60
    if minutes < 1:
        return _("a moment ago")
    if hours < 1:
        return ngettext("%(count)d minute ago", "%(count)d minutes ago", minutes) % {"count": minutes}
    if hours < 48:
        return ngettext("%(count)d hour ago", "%(count)d hours ago", hours) % {"count": hours}
    return ngettext("%(count)d day ago", "%(count)d days ago", hours // 24) % {"count": hours // 24}


def _address(page: str, token_id: UUID | None) -> str:
    """Of a page about a token that is not known: the list of tokens."""
    if page in _OF_A_TOKEN:
        return reverse(page, args=[token_id]) if token_id else reverse("tokens")
    return reverse(page) if page else ""
