"""Context of every page of the site: `frame` in templates."""

from decimal import Decimal

from django.conf import settings
from django.http import HttpRequest

from accounts.requests import current_user
from billing import ledger
from zenzefi.common.themes import known_theme


class Frame:
    """Values that a template reads when it needs them, so that error pages need no database."""

    zone_cookie = settings.TIME_ZONE_COOKIE_NAME
    status_url = "/health"  # served outside Django

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def theme(self) -> str:
        """Return the chosen colours; empty means those of the device."""
        return known_theme(self._request.COOKIES.get(settings.THEME_COOKIE_NAME, ""))

    @property
    def balance(self) -> Decimal:
        """Return the balance of the logged-in user in ZNC."""
        return ledger.balance(current_user(self._request))


def frame(request: HttpRequest) -> dict[str, Frame]:
    """Return the context. Its name is not `site`, which django-allauth uses for the host."""
    return {"frame": Frame(request)}
