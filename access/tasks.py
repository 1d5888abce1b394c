"""Jobs that run on a schedule (`CELERY_BEAT_SCHEDULE`)."""

import logging
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from access.models import AccessToken, Revocation

logger = logging.getLogger(__name__)

REVOCATIONS_KEPT = timedelta(days=7)


@shared_task
def expire_tokens() -> int:
    """Note which tokens expired since the last run; gives how many. Admission does not depend on it."""
    expired = AccessToken.objects.filter(expiry_seen=False, expires_at__lte=timezone.now())
    count = expired.update(expiry_seen=True)
    if count:
        logger.info("tokens expired", extra={"count": count})
    return count


@shared_task
def forget_revocations() -> int:
    """Delete what the data plane has read long ago; gives how many."""
    count, _per_model = Revocation.objects.filter(created_at__lt=timezone.now() - REVOCATIONS_KEPT).delete()
    if count:
        logger.info("revocations forgotten", extra={"count": count})
    return count
