from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Billing")

    def ready(self) -> None:
        # Adds to what `verify_ledger` checks, and connects the signals.
        from billing import payment_verification, receivers  # noqa: F401
