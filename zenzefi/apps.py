"""Django's configuration of the project's own app."""

from django.apps import AppConfig


class ZenzefiConfig(AppConfig):
    """The app of the site's own pages."""

    name = "zenzefi"
