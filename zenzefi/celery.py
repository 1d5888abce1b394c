"""The Celery application: background jobs and their schedule (`CELERY_BEAT_SCHEDULE` in the settings)."""

import os
from typing import Any, Self

import kombu
from celery import Celery
from celery.app.amqp import AMQP
from celery.signals import before_task_publish

from zenzefi.common.postgresql import release_connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zenzefi.settings")


class _Connection(kombu.Connection):
    """A connection that is retried every two seconds.

    kombu's pauses grow to half a minute, in which jobs would wait although the broker is back.
    """

    def ensure_connection(self, *arguments: Any, **options: Any) -> Self:
        return super().ensure_connection(*arguments, **{"interval_step": 0, **options})


class _AMQP(AMQP):
    Connection = _Connection


@before_task_publish.connect
def _release_connection(**_details: Any) -> None:
    """Hold no database connection while the broker is slow."""
    release_connection()


app = Celery("zenzefi", amqp=_AMQP)
# Without a default application, other threads would connect to amqp://localhost.
app.set_default()
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
