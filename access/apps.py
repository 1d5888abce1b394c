from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccessConfig(AppConfig):
    name = "access"
    verbose_name = _("Access tokens")

    def ready(self) -> None:
        # Connects the signals, and adds to what `verify_ledger` checks.
        from access import receivers, verification  # noqa: F401
