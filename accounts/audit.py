"""The audit trail; the only module that writes audit events."""

from typing import Any

from accounts.models import AuditEvent, User


def record(kind: str, user: User | None, *, actor: User | None = None, reason: str = "", **details: Any) -> None:
    """Write one audit event, in the caller's transaction."""
    AuditEvent.objects.create(kind=kind, user=user, actor=actor, reason=reason, details=details)
