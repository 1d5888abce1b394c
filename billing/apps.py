from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Billing")

    def ready(self) -> None:
        # Register the checks of payments for `verify_ledger`, and connect the signal receivers.
        from billing import payment_verification, receivers  # noqa: F401
