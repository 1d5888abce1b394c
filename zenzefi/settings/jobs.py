"""Background jobs and their schedule."""

from celery.schedules import crontab

from zenzefi.settings.stores import REDIS_URL

CELERY_BROKER_URL = REDIS_URL or "memory://localhost/"
if REDIS_URL:
    # Longer than a worker's BRPOP, and short enough for a request that sends a job.
    CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 2, "socket_connect_timeout": 2}
    CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # try for ever
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
HEALTH_CHECK_INTERVAL_SECONDS = 50


def _hourly(minute: int) -> crontab:
    return crontab(minute=str(minute))


CELERY_BEAT_SCHEDULE = {
    "close-idle-sessions": {"task": "proxy.tasks.close_idle_sessions", "schedule": 120},
    "roll-up-usage": {"task": "proxy.tasks.roll_up_usage", "schedule": 30},
    "check-health": {"task": "proxy.tasks.check_health", "schedule": HEALTH_CHECK_INTERVAL_SECONDS},
    "expire-tokens": {"task": "access.tasks.expire_tokens", "schedule": 60},
    "forget-denials": {"task": "proxy.tasks.forget_denials", "schedule": crontab(hour="4", minute="27")},
    "forget-deleted-users": {"task": "proxy.tasks.forget_deleted_users", "schedule": _hourly(7)},
    "forget-idempotency-keys": {"task": "billing.tasks.forget_idempotency_keys", "schedule": _hourly(17)},
    "forget-logins": {"task": "accounts.tasks.forget_logins", "schedule": _hourly(37)},
    "prove-ledger": {"task": "billing.tasks.prove_ledger", "schedule": crontab(hour="3", minute="7")},
    "poll-payments": {"task": "billing.tasks.poll_payments", "schedule": 60},
    "forget-revocations": {"task": "access.tasks.forget_revocations", "schedule": _hourly(57)},
}
