"""What every page of the site knows: `frame` in templates."""

from decimal import Decimal

from django.conf import settings
from django.http import HttpRequest

from accounts.requests import current_user
from billing import ledger
from zenzefi.common.themes import known_theme


class Frame:
    """Read as a template asks: an error page, which does not, needs no database."""

    zone_cookie = settings.TIME_ZONE_COOKIE_NAME
    status_url = "/health"  # answered outside Django

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def theme(self) -> str:
        """The chosen colours; empty: as the device has them."""
        return known_theme(self._request.COOKIES.get(settings.THEME_COOKIE_NAME, ""))

    @property
    def balance(self) -> Decimal:
        """The signed-in user's, in ZNC."""
        return ledger.balance(current_user(self._request))


def frame(request: HttpRequest) -> dict[str, Frame]:
    """Not `site`: django-allauth calls the host so in the contexts of its pages."""
    return {"frame": Frame(request)}
