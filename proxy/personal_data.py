"""The personal data that proxy keeps about users: its export and its removal."""

from collections.abc import Iterable, Mapping
from typing import Any

from accounts.models import User
from proxy.models import DenialRecord, ProxySession, UsageHour

_SESSION = [
    "token",
    "device_id",
    "ip",
    "user_agent",
    "started_at",
    "last_activity",
    "bytes_transferred",
    "request_count",
]
_DENIAL = ["request_id", "at", "code", "status", "token", "device", "path", "ip"]
_USAGE = ["token", "hour", "bytes", "requests", "active"]
_ANONYMOUS: dict[str, Any] = {"ip": None, "user_agent": "", "device_id": ""}


def sections(user: User) -> dict[str, Iterable[Mapping[str, Any]]]:
    """Return the rows about the user, by the name of the file that they are exported to."""
    sessions = ProxySession.objects.filter(user=user).order_by("started_at", "id")
    hours = UsageHour.objects.filter(user=user).order_by("hour", "token")
    denials = DenialRecord.objects.filter(user=user).order_by("at", "id")
    return {
        "proxy_sessions": sessions.values(*_SESSION).iterator(),
        "usage": hours.values(*_USAGE).iterator(),
        "denials": denials.values(*_DENIAL).iterator(),
    }


def forget_deleted_users() -> int:
    """Delete the denials of deleted users, and anonymize their sessions. Return how many sessions changed.

    This must run repeatedly: a worker writes a session that was open after its user was deleted.
    """
    DenialRecord.objects.filter(user__deleted_at__isnull=False).delete()
    sessions = ProxySession.objects.filter(user__deleted_at__isnull=False).exclude(**_ANONYMOUS)
    return sessions.update(**_ANONYMOUS)
