"""Tokens of a given age, and the outbox rows that were written for them."""

from collections.abc import Callable
from datetime import timedelta

from django.db.models import F

from access.models import AccessToken, Revocation

Buy = Callable[..., AccessToken]


def age(token: AccessToken, passed: timedelta, *, used_for: timedelta | None = None) -> None:
    """Change the token as if it had been bought `passed` ago and first used `used_for` ago."""
    AccessToken.objects.filter(pk=token.pk).update(
        created_at=F("created_at") - passed,
        expires_at=F("expires_at") - passed,
        activated_at=None if used_for is None else F("created_at") - used_for,
    )
    token.refresh_from_db()


def causes(token: AccessToken) -> list[str]:
    """Return the causes of the token's outbox rows, oldest first."""
    return list(Revocation.objects.filter(token=token).order_by("id").values_list("cause", flat=True))
