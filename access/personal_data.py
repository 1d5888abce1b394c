"""Access's part of a user's data export: the tokens bought, without their secrets, and what was paid for them."""

from collections.abc import Iterable, Mapping
from typing import Any

from access.models import AccessToken, TokenSegment
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
    segments = TokenSegment.objects.filter(token__user=user).order_by("id")
    return {
        "access_tokens": tokens.values(*_TOKEN_FIELDS).iterator(),
        "access_token_purchases": segments.values("token_id", "price", "hours", "created_at").iterator(),
    }
