"""Scheduled background jobs of access (`CELERY_BEAT_SCHEDULE`)."""

import logging

from celery import shared_task

from access import outbox, services

logger = logging.getLogger(__name__)


@shared_task
def expire_tokens() -> int:
    """Mark the tokens that have expired since the last run; return their number. Admission does not depend on it."""
    count = services.mark_expired_tokens()
    if count:
        logger.info("tokens_expired", extra={"count": count})
    return count


@shared_task
def forget_revocations() -> int:
    """Delete the outbox rows that the data plane has read long ago; return their number."""
    count = outbox.delete_old_rows()
    if count:
        logger.info("revocations_deleted", extra={"count": count})
    return count
