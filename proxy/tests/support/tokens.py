"""Access tokens that a test has sold to a user."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.conf import settings

from access.models import AccessToken, Tariff


@dataclass(frozen=True)
class Sold:
    """A sold token, its secret text and the device that uses it."""

    token: AccessToken
    text: str
    device: str = "device-of-the-owner"

    @property
    def headers(self) -> dict[str, str]:
        """Return the credentials of a request."""
        return {"X-Access-Token": self.text, "X-Device-ID": self.device}

    def on(self, device: str) -> "Sold":
        """Return the same token on another device."""
        return Sold(self.token, self.text, device)

    def shift(self, past: timedelta) -> None:
        """Move the purchase and the expiry of the token into the past."""
        AccessToken.objects.filter(pk=self.token.pk).update(
            created_at=self.token.created_at - past, expires_at=self.token.expires_at - past
        )

    def stored(self) -> AccessToken:
        """Return the token as the database has it now."""
        return AccessToken.objects.get(pk=self.token.pk)


SellToken = Callable[..., Sold]


def put_on_sale(hours: int, scope: str) -> Tariff:
    """Return the tariff of this duration and scope; create it at the default price if there is none."""
    price = Decimal(settings.TOKEN_PRICES[hours])
    return Tariff.objects.get_or_create(
        duration_hours=hours, scope=scope, defaults={"price": price, "title": f"{hours} h, {scope}"}
    )[0]
