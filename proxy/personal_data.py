"""What proxy knows of a user, for her to take along, and to be forgotten."""

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
_NOBODY: dict[str, Any] = {"ip": None, "user_agent": "", "device_id": ""}


def sections(user: User) -> dict[str, Iterable[Mapping[str, Any]]]:
    """Rows by the name of the file that they become."""
    sessions = ProxySession.objects.filter(user=user).order_by("started_at", "id")
    hours = UsageHour.objects.filter(user=user).order_by("hour", "token")
    denials = DenialRecord.objects.filter(user=user).order_by("at", "id")
    return {
        "proxy_sessions": sessions.values(*_SESSION).iterator(),
        "usage": hours.values(*_USAGE).iterator(),
        "denials": denials.values(*_DENIAL).iterator(),
    }


def forget_deleted_users() -> int:
    """Leave of the sessions of deleted users what was carried, not from where, and nothing of what they were refused;
    gives how many sessions were changed.

    Again and again: a session that was open is written by its worker after its user was deleted.
    """
    DenialRecord.objects.filter(user__deleted_at__isnull=False).delete()
    sessions = ProxySession.objects.filter(user__deleted_at__isnull=False).exclude(**_NOBODY)
    return sessions.update(**_NOBODY)
