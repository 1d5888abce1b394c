"""Background jobs of the proxy."""

import logging
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.db.models import F
from django.utils import timezone

from proxy import denials, health_checks, personal_data, rollups
from proxy.models import ProxySession

logger = logging.getLogger(__name__)


@shared_task
def close_idle_sessions() -> int:
    """End the sessions without activity for `SESSION_TIMEOUT_SECONDS`; gives how many."""
    idle_since = timezone.now() - timedelta(seconds=settings.SESSION_TIMEOUT_SECONDS)
    closed = ProxySession.objects.filter(ended_at__isnull=True, last_activity__lt=idle_since).update(
        ended_at=F("last_activity")
    )
    if closed:
        logger.info("closed %d idle sessions", closed)
    return closed


@shared_task
def roll_up_usage() -> int:
    """Add what sessions carried since the last run to the hours of their tokens; gives how many had grown."""
    return rollups.roll_up()


@shared_task
def forget_denials() -> int:
    """Delete the refusals that are older than a week; gives how many."""
    return denials.forget_old()


@shared_task
def check_health() -> str:
    """Refresh what `/health` answers from; gives the status."""
    return str(health_checks.check()["status"])


@shared_task
def forget_deleted_users() -> None:
    personal_data.forget_deleted_users()
