"""Payment providers behind one protocol; `PAYMENT_PROVIDER` names the one in use."""

from django.conf import settings

from billing.errors import PaymentsUnavailable
from billing.models import Payment
from billing.providers.base import Provider
from billing.providers.mock import MockProvider

_KNOWN: dict[str, Provider] = {MockProvider.name: MockProvider()}


def configured() -> Provider:
    """The provider in use. Raises `PaymentsUnavailable` where there is none."""
    return require(settings.PAYMENT_PROVIDER)


def require(name: str) -> Provider:
    """The provider `name`. Raises `PaymentsUnavailable` unless it is the one in use."""
    if not name or name != settings.PAYMENT_PROVIDER:
        raise PaymentsUnavailable
    return _KNOWN[name]


def of(payment: Payment) -> Provider:
    """The provider that a payment was made with, also where another is in use by now."""
    return _KNOWN[payment.provider]
