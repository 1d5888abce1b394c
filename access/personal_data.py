"""What access knows of a user, for her to take along: what she bought, not what opens the proxy."""

from collections.abc import Iterable, Mapping
from typing import Any

from access.models import AccessToken
from accounts.models import User

_TOKEN = [
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
    """Rows by the name of the file that they become."""
    tokens = AccessToken.objects.filter(user=user).order_by("created_at", "id")
    return {"access_tokens": tokens.values(*_TOKEN).iterator()}
