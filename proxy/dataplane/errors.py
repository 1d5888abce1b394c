"""The reasons for which the gateway denies a request, with their HTTP status and WebSocket close code.

Denied      the request is denied, with one of the denials below
ClientGone  the client left, so there is no one to respond to
"""

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

StrOrPromise = str | Promise


@dataclass(frozen=True, slots=True)
class Denial:
    """One reason: `status` over HTTP, `close_code` over WebSocket (RFC 6455 §7.4; 44xx are the gateway's own).

    `code` is stable and the same on both; `detail` is a sentence for people.
    """

    code: str
    status: int
    close_code: int
    detail: StrOrPromise


class DeniedToken(NamedTuple):
    """The token that a denial concerns; `deadline` is a Unix time."""

    token_id: UUID
    user_id: UUID
    deadline: float


class Denied(Exception):
    """A request is denied; `retry_after` is in seconds if waiting helps.

    The gate sets `token` once it knows the token, and `device` if a cookie named the device.
    """

    token: DeniedToken | None = None
    device: str = ""

    def __init__(self, denial: Denial, retry_after: int | None = None) -> None:
        super().__init__(denial.code)
        self.denial = denial
        self.retry_after = retry_after


class ClientGone(Exception):
    """The client closed its connection before the response was complete."""


_NO_ACCESS = _("Invalid or expired access token")

BAD_REQUEST = Denial("bad_request", 400, 4400, _("The request is malformed or ambiguous."))
HEADERS_TOO_LARGE = Denial("bad_request", 431, 4400, _("The header fields of the request are too large."))
INVALID_TOKEN = Denial("invalid_token", 401, 4401, _NO_ACCESS)
CODE_SPENT = Denial("invalid_token", 401, 4401, _NO_ACCESS)  # spent, too old or forged
TOKEN_EXPIRED = Denial("token_expired", 401, 4401, _NO_ACCESS)
USER_INACTIVE = Denial("user_inactive", 403, 4403, _("This account is blocked. Contact support."))
TOKEN_FROZEN = Denial("token_frozen", 403, 4403, _("This access token is frozen. Contact support."))
DEVICE_ID_REQUIRED = Denial(
    "device_id_required", 400, 4400, _("Send an X-Device-ID header of 8 to 128 visible ASCII characters.")
)
SCOPE_DENIED = Denial("scope_denied", 403, 4403, _("This access token is valid only for /certificates."))
ORIGIN_DENIED = Denial("origin_denied", 403, 4403, _("The browser session may be used from its own site only."))
RATE_LIMITED = Denial("rate_limited", 429, 4429, _("Too many requests. Try again later."))
TOO_MANY_CONNECTIONS = Denial(
    "too_many_connections", 429, 4429, _("Too many requests of this access token are open at once.")
)
DEVICE_CONFLICT = Denial("device_conflict", 409, 4409, _("This access token is in use on another device."))
REQUEST_TIMEOUT = Denial("request_timeout", 408, 4400, _("The request was sent too slowly."))
UPSTREAM_UNREACHABLE = Denial(
    "upstream_unreachable", 502, 1014, _("The server behind the gateway cannot be reached.")
)
UPSTREAM_TIMEOUT = Denial("upstream_timeout", 504, 1014, _("The server behind the gateway does not respond in time."))
STATE_UNAVAILABLE = Denial(
    "state_unavailable", 503, 1013, _("The gateway cannot check access right now. Try again in a moment.")
)
DRAINING = Denial("draining", 503, 1012, _("The gateway is restarting. Try again in a moment."))
MAINTENANCE = Denial("maintenance", 503, 1013, _("The gateway is under maintenance. Try again later."))
