"""Background jobs of billing; `CELERY_BEAT_SCHEDULE` says when."""

from celery import shared_task

from billing import idempotency


@shared_task
def forget_idempotency_keys() -> int:
    """Delete the idempotency keys that nobody will repeat any more; gives how many."""
    return idempotency.forget_old_keys()
