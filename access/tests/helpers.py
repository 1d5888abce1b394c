"""What several tests of access look at."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import F

from access.models import AccessToken, Revocation
from billing.tests.parallel import in_parallel

NOBODY = "00000000-0000-4000-8000-000000000000"
BAD_QUERIES = ["", "yes", "1", "tru", "null", "\x00", "true\x00", "я", "9" * 5000]


def age(token: AccessToken, passed: timedelta, *, used_for: timedelta | None = None) -> None:
    """Make the token as if it had been bought `passed` ago, and first used `used_for` ago."""
    AccessToken.objects.filter(pk=token.pk).update(
        created_at=F("created_at") - passed,
        expires_at=F("expires_at") - passed,
        activated_at=None if used_for is None else F("created_at") - used_for,
    )
    token.refresh_from_db()


def causes(token: AccessToken) -> list[str]:
    """The outbox rows of the token, oldest first."""
    return list(Revocation.objects.filter(token=token).order_by("id").values_list("cause", flat=True))


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls gave, each made in a thread of its own; they start together."""
    return in_parallel(len(calls), lambda number: calls[number]())
