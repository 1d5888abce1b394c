"""Payment providers behind one protocol. The setting `PAYMENT_PROVIDER` names those that are offered."""

from functools import cache

from django.conf import settings
from django.urls import reverse
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from billing.errors import PaymentsUnavailable
from billing.models import Payment
from billing.providers.base import Provider

# Imported at first use, so that no SDK is loaded for an unused provider.
KNOWN = {
    "mock": "billing.providers.mock.MockProvider",
    "stripe": "billing.providers.stripe.StripeProvider",
    "yookassa": "billing.providers.yookassa.YooKassaProvider",
}

# Names shown to users.
LABELS = {
    "mock": _("Test payment, no real money"),
    "stripe": _("Bank card, through Stripe"),
    "yookassa": _("Bank card or SBP, through YooKassa"),
}


@cache
def _load(name: str) -> Provider:
    provider: Provider = import_string(KNOWN[name])()
    return provider


def available(name: str = "") -> Provider:
    """Return the provider `name`, or the first one offered if `name` is empty.

    Raises `PaymentsUnavailable` if the provider is not offered.
    """
    names = settings.PAYMENT_PROVIDERS
    if not names or (name and name not in names):
        raise PaymentsUnavailable
    return _load(name or names[0])


def accepting_webhooks(name: str) -> Provider:
    """Return the provider `name`. Raises `PaymentsUnavailable` if its webhooks are not accepted.

    A provider that is no longer offered is accepted as long as it has payments, because they may be paid, refunded
    and disputed for months. The mock provider is accepted only while it is offered.
    """
    made = Payment.objects.filter(provider=name).exclude(provider_id="")
    if name in settings.PAYMENT_PROVIDERS or (name in KNOWN and name != "mock" and made.exists()):
        return _load(name)
    raise PaymentsUnavailable


def for_payment(payment: Payment) -> Provider:
    """Return the provider of a payment, even if it is no longer offered."""
    return _load(payment.provider)


def return_url(payment: Payment) -> str:
    """Return the absolute URL of the page to which a provider sends the user back after a payment."""
    return settings.BACKEND_URL + reverse("payment-return", args=[payment.pk])
