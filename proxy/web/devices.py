"""Names of devices: the browser's own, kept in a cookie, and one to suggest for the desktop client."""

import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts.models import User
from proxy.dataplane.rules.headers import is_device_id

COOKIE = "zenzefi_device"  # of the gateway's own, which the upstream never sees
_YEAR = 31_536_000


def of_browser(request: HttpRequest) -> str:
    """The device id of this browser; a new one where it has none."""
    known = request.COOKIES.get(COOKIE, "")
    return known if known.isascii() and is_device_id(known.encode()) else f"browser-{secrets.token_hex(8)}"


def keep(response: HttpResponse, device: str) -> None:
    response.set_cookie(COOKIE, device, max_age=_YEAR, secure=settings.COOKIE_SECURE, httponly=True, samesite="Lax")


def suggestion(user: User) -> str:
    """The same at every visit, and another for every user."""
    return f"desktop-{user.pk.hex[:8]}"
