"""The Celery application: background jobs and their schedule (`CELERY_BEAT_SCHEDULE` in the settings)."""

import os
from typing import Any, Self

import kombu
from celery import Celery
from celery.app.amqp import AMQP

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zenzefi.settings")


class _Connection(kombu.Connection):
    """A connection that is retried every two seconds.

    kombu's pauses grow to half a minute, in which jobs would wait although the broker is back.
    """

    def ensure_connection(self, *arguments: Any, **options: Any) -> Self:
        return super().ensure_connection(*arguments, **{"interval_step": 0, **options})


class _AMQP(AMQP):
    Connection = _Connection


app = Celery("zenzefi", amqp=_AMQP)
# Without a default application, other threads would connect to amqp://localhost.
app.set_default()
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
