"""Messages that explain a denial to a person: the reason, what to do, and the page that helps.

`details` are the facts about a denial (`proxy.dataplane.denials.log.denial_details`); only the user of the token
sees them. Without them the message says no more than the code.
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

# Stands for the page that was denied.
AGAIN = "again"
_TOKEN_PAGES = {"token", "token-reset-device"}


@dataclass(frozen=True)
class Explanation:
    """A message; `action` is the text of a button, `url` its target (or `AGAIN`); both are empty if no page helps."""

    sentence: str
    advice: str
    action: str = ""
    url: str = ""


@dataclass(frozen=True)
class _Message:
    sentence: StrOrPromise
    advice: StrOrPromise
    action: StrOrPromise = ""
    page: str = ""  # the name of a URL pattern, or `AGAIN`


_SUPPORT = gettext_lazy("Please contact support.")
_TRY_AGAIN = gettext_lazy("Try again")
_BUY = (gettext_lazy("Buy a token"), "token-buy")
_TOKENS = (gettext_lazy("Go to your tokens"), "tokens")
_CONNECT = (gettext_lazy("How to connect"), "connect")


def _temporary(sentence: StrOrPromise) -> _Message:
    return _Message(sentence, gettext_lazy("This is not your fault. Try again in a moment."), _TRY_AGAIN, AGAIN)


_UNKNOWN = _Message(gettext_lazy("The request was denied."), _SUPPORT)
_MESSAGES = {
    "bad_request": _Message(
        gettext_lazy("The request was malformed and was not forwarded."),
        gettext_lazy("Check the address. If your client sent the request, check its settings."),
        *_CONNECT,
    ),
    "invalid_token": _Message(
        gettext_lazy("The request had no token or an unknown one."),
        gettext_lazy("Open the server from the token page, or copy the token into your client again."),
        *_TOKENS,
    ),
    "token_expired": _Message(
        gettext_lazy("This token has expired."),
        gettext_lazy("An expired token cannot be extended. Buy a new one and enter it in your client."),
        *_BUY,
    ),
    "user_inactive": _Message(gettext_lazy("This account is blocked."), _SUPPORT),
    "token_frozen": _Message(
        gettext_lazy("This token is frozen."),
        gettext_lazy("This happens if a payment was reversed. Top up the missing amount, or contact support."),
        gettext_lazy("Top up"),
        "topup",
    ),
    "device_id_required": _Message(
        gettext_lazy("The request did not identify the device."),
        gettext_lazy("Set a device name of 8 to 128 characters, without spaces, in your client."),
        *_CONNECT,
    ),
    "scope_denied": _Message(
        gettext_lazy("This token is valid only for /certificates."),
        gettext_lazy("For the rest of the server you need a token with full access."),
        *_BUY,
    ),
    "origin_denied": _Message(
        gettext_lazy("Another site tried to use your browser session. This is not allowed."),
        gettext_lazy("Open the server from the token page instead."),
        *_TOKENS,
    ),
    "rate_limited": _Message(
        gettext_lazy("Too many requests were sent in a short time."),
        gettext_lazy("Wait a minute, then try again."),
        _TRY_AGAIN,
        AGAIN,
    ),
    "too_many_connections": _Message(
        gettext_lazy("Too many requests with this token were open at once."),
        gettext_lazy("Close connections that you do not need, for example in other windows."),
        gettext_lazy("View the sessions"),
        "token",
    ),
    "device_conflict": _Message(
        gettext_lazy("Another device is using this token."),
        gettext_lazy(
            "Only one device at a time can use a token. Wait until the other device is idle, or reset the device."
        ),
        gettext_lazy("Reset the device"),
        "token-reset-device",
    ),
    "request_timeout": _Message(
        gettext_lazy("The request was sent too slowly."), gettext_lazy("Check your connection."), _TRY_AGAIN, AGAIN
    ),
    "upstream_unreachable": _temporary(gettext_lazy("The server behind the gateway could not be reached.")),
    "upstream_timeout": _temporary(gettext_lazy("The server behind the gateway did not respond in time.")),
    "state_unavailable": _temporary(gettext_lazy("The gateway could not check your access.")),
    "draining": _temporary(gettext_lazy("The gateway was being restarted.")),
    "maintenance": _temporary(gettext_lazy("The gateway is under maintenance.")),
}
_REVOKED = _Message(
    gettext_lazy("Your token was revoked."),
    gettext_lazy("A revoked token cannot be used again. Buy a new one and enter it in your client."),
    *_BUY,
)
_CODE_SPENT = _Message(
    gettext_lazy("This link to the server was already used, or is older than a minute."),
    gettext_lazy("Go to the token page and press “Open in this browser” again."),
    *_TOKENS,
)


def explain(code: str, details: Mapping[str, Any], token_id: UUID | None = None) -> Explanation:
    """Return the message for a denial in the active language and time zone."""
    message = _MESSAGES.get(code, _UNKNOWN)
    if details.get("revoked"):
        message = _REVOKED
    elif details.get("code_spent"):
        message = _CODE_SPENT
    return Explanation(
        _sentence(details) or str(message.sentence),
        _waiting_time(details) if code == "rate_limited" and "retry_after" in details else str(message.advice),
        str(message.action),
        AGAIN if message.page == AGAIN else _address(message.page, token_id),
    )


def _sentence(details: Mapping[str, Any]) -> str:
    if "expired_at" in details:
        passed = timezone.now() - datetime.fromisoformat(details["expired_at"])
        return _("Your token expired %(ago)s.") % {"ago": ago(passed)}
    if "holder" in details:
        until = timezone.localtime(datetime.fromisoformat(details["held_until"]))
        if until <= timezone.now():
            return _("Device …%(device)s was using this token.") % {"device": details["holder"]}
        names = {"device": details["holder"], "time": f"{until:%H:%M} {until.tzname()}"}
        return _("In use by device …%(device)s until %(time)s.") % names
    return ""


def _waiting_time(details: Mapping[str, Any]) -> str:
    seconds = details["retry_after"]
    return ngettext("Wait %(count)d second.", "Wait %(count)d seconds.", seconds) % {"count": seconds}


def ago(span: timedelta) -> str:
    """Return the time span as text in its largest whole unit, such as `3 minutes ago`."""
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
    """Return the address of a page; for a page about a token that is not known, that of the list of tokens."""
    if page in _TOKEN_PAGES:
        return reverse(page, args=[token_id]) if token_id else reverse("tokens")
    return reverse(page) if page else ""
