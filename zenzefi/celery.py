"""The Celery application: background jobs and their schedule (`CELERY_BEAT_SCHEDULE` in the settings)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zenzefi.settings")

app = Celery("zenzefi")
# Else a thread that finds no current application silently talks to amqp://localhost.
app.set_default()
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
