"""Access's part of a user's data export: the tokens bought, without their secrets."""

from collections.abc import Iterable, Mapping
from typing import Any

from access.models import AccessToken
from accounts.models import User

_TOKEN_FIELDS = [
    "id",
    "scope",
    "duration_hours",
    "cost",
    "created_at",
    "activated_at",
    "expires_at",
    "revoked_at",
    "frozen_at",
]


def sections(user: User) -> dict[str, Iterable[Mapping[str, Any]]]:
    """Return rows by the name of the file to which they are exported."""
    tokens = AccessToken.objects.filter(user=user).order_by("created_at", "id")
    return {"access_tokens": tokens.values(*_TOKEN_FIELDS).iterator()}
