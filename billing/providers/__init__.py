"""Payment providers behind one protocol; `PAYMENT_PROVIDER` names those that are offered."""

from functools import cache

from django.conf import settings
from django.urls import reverse
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from billing.errors import PaymentsUnavailable
from billing.models import Payment
from billing.providers.base import Provider

# Imported at the first use: no SDK is loaded for a provider that nobody uses.
KNOWN = {
    "mock": "billing.providers.mock.MockProvider",
    "stripe": "billing.providers.stripe.StripeProvider",
    "yookassa": "billing.providers.yookassa.YooKassaProvider",
}

# How customers know them.
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
    """The provider `name`, or without a name the first that is offered. Raises `PaymentsUnavailable` for another."""
    names = settings.PAYMENT_PROVIDERS
    if not names or (name and name not in names):
        raise PaymentsUnavailable
    return _load(name or names[0])


def accepting_webhooks(name: str) -> Provider:
    """The provider whose webhooks are taken. Raises `PaymentsUnavailable` for another.

    One that is no longer offered is heard for as long as there are payments of it: they may be paid, refunded and
    disputed for months. The mock's can be paid only where it is offered.
    """
    made = Payment.objects.filter(provider=name).exclude(provider_id="")
    if name in settings.PAYMENT_PROVIDERS or (name in KNOWN and name != "mock" and made.exists()):
        return _load(name)
    raise PaymentsUnavailable


def for_payment(payment: Payment) -> Provider:
    """The provider that a payment was made with, also where it is no longer offered."""
    return _load(payment.provider)


def return_url(payment: Payment) -> str:
    """The absolute URL of the page to which a provider sends the user back. It shows the state and never credits."""
    return settings.BACKEND_URL + reverse("payment-return", args=[payment.pk])
