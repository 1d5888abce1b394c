"""Device ids: of the browser, in a cookie, and a suggestion for the desktop client."""

import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts.models import User
from proxy.dataplane.rules.headers import is_device_id

COOKIE = "zenzefi_device"  # never sent to the upstream
_YEAR = 31_536_000  # seconds


def browser_device_id(request: HttpRequest) -> str:
    """Return the device id of this browser, or a new one."""
    known = request.COOKIES.get(COOKIE, "")
    return known if known.isascii() and is_device_id(known.encode()) else f"browser-{secrets.token_hex(8)}"


def set_device_cookie(response: HttpResponse, device: str) -> None:
    """Set the cookie with the device id, valid for a year."""
    response.set_cookie(COOKIE, device, max_age=_YEAR, secure=settings.COOKIE_SECURE, httponly=True, samesite="Lax")


def suggested_device_id(user: User) -> str:
    """Return a device id for the user's desktop client, always the same one."""
    return f"desktop-{user.pk.hex[:8]}"
