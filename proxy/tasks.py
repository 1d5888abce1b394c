"""Background jobs of the proxy."""

import logging

from celery import shared_task

from proxy import health_checks, personal_data, rollups, services

logger = logging.getLogger(__name__)


@shared_task
def close_idle_sessions() -> int:
    """End the sessions without activity for `SESSION_TIMEOUT_SECONDS`. Return how many."""
    closed = services.close_idle_sessions()
    if closed:
        logger.info("sessions_closed", extra={"count": closed})
    return closed


@shared_task
def roll_up_usage() -> int:
    """Add the new traffic of all sessions to the hourly usage. Return how many sessions had new traffic."""
    return rollups.roll_up()


@shared_task
def forget_denials() -> int:
    """Delete the denials that are older than a week. Return how many."""
    return services.delete_old_denials()


@shared_task
def check_health() -> str:
    """Check the health of the gateway, and keep the report for `/health`. Return the status."""
    return str(health_checks.check()["status"])


@shared_task
def forget_deleted_users() -> None:
    """Remove the personal data of deleted users."""
    personal_data.forget_deleted_users()
