from django.apps import AppConfig


class ZenzefiConfig(AppConfig):
    name = "zenzefi"
