from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccessConfig(AppConfig):
    name = "access"
    verbose_name = _("Access tokens")

    def ready(self) -> None:
        # Importing the modules connects the signals and adds a check to `verify_ledger`.
        from access import receivers, verification  # noqa: F401
