"""The project: settings, the choice of the plane, URLs, background jobs and the main command."""

from zenzefi.celery import app as celery_app

__all__ = ["celery_app"]
