"""The personal data that accounts stores about a user, for the user's download. It contains no secret."""

from collections.abc import Iterable, Mapping
from typing import Any

from allauth.account.models import EmailAddress

from accounts import mfa
from accounts.models import ApiToken, AuditEvent, RefreshFamily, User
from accounts.sessions import WebSession

_PROFILE = [
    "id",
    "email",
    "username",
    "full_name",
    "language",
    "time_zone",
    "referral_code",
    "created_at",
    "last_login",
]


def sections(user: User) -> dict[str, Iterable[Mapping[str, Any]]]:
    """Return the rows of each file of the archive, by the name of the file."""
    of_user = {"user": user}
    return {
        "profile": [{name: getattr(user, name) for name in _PROFILE} | {"second_factor": mfa.is_on(user)}],
        "email_addresses": EmailAddress.objects.filter(**of_user).values("email", "verified", "primary").iterator(),
        "web_sessions": WebSession.objects.filter(**of_user)
        .values("address", "user_agent", "began_at", "last_seen_at", "expire_date")
        .iterator(),
        "api_logins": RefreshFamily.objects.filter(**of_user)
        .values("address", "user_agent", "created_at", "rotated_at", "expires_at", "revoked_at")
        .iterator(),
        "api_tokens": ApiToken.objects.filter(**of_user)
        .values("name", "prefix", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")
        .iterator(),
        "events": AuditEvent.objects.filter(**of_user)
        .order_by("id")
        .values("kind", "reason", "created_at")
        .iterator(),
    }
