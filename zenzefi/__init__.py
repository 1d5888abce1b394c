"""The project: settings, choice of the plane, URLs, site, API conventions, background jobs and the main command."""

from zenzefi.celery import app as celery_app

__all__ = ["celery_app"]
