"""Scheduled changes to the rows of the proxy."""

from datetime import timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from proxy.models import DenialRecord, ProxySession

DENIALS_KEPT = timedelta(days=7)


def close_idle_sessions() -> int:
    """End the sessions without activity for `SESSION_TIMEOUT_SECONDS`. Return how many."""
    idle_since = timezone.now() - timedelta(seconds=settings.SESSION_TIMEOUT_SECONDS)
    idle = ProxySession.objects.filter(ended_at__isnull=True, last_activity__lt=idle_since)
    return idle.update(ended_at=F("last_activity"))


def delete_old_denials() -> int:
    """Delete the denials that are older than a week. Return how many."""
    return DenialRecord.objects.filter(at__lt=timezone.now() - DENIALS_KEPT).delete()[0]
