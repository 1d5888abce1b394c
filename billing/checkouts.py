"""From a wish to pay to the provider's checkout: claimed in the database, asked for outside of it, then noted."""

from datetime import timedelta

from django.utils import timezone

from billing import payments, providers
from billing.errors import ProviderRefused, ProviderUnavailable
from billing.models import Payment, PaymentStatus

# Longer than a provider's call may take: after it, who claimed a payment has crashed.
LEASE = timedelta(seconds=60)


def claim(payment: Payment) -> bool:
    """Whether the caller alone may speak with the provider about this payment, for `LEASE`.

    `payment` is as it was read; of several who try at once one succeeds.
    """
    until = timezone.now() + LEASE
    same = Payment.objects.filter(pk=payment.pk, status=payment.status, next_check_at=payment.next_check_at)
    if not same.update(next_check_at=until):
        return False
    payment.next_check_at = until
    return True


def open_checkout(payment: Payment, *, cause: str) -> None:
    """Ask the provider for the checkout of a created payment that the caller has claimed.

    A repetition, also after a crash, sends the same idempotence key and gets the same checkout. Raises
    `ProviderUnavailable` (the payment stays as it is, and may be claimed again) and `ProviderRefused` (it has failed).
    """
    try:
        checkout = providers.of(payment).create(payment)
    except ProviderUnavailable:
        Payment.objects.filter(pk=payment.pk, status=PaymentStatus.CREATED).update(next_check_at=timezone.now())
        raise
    except ProviderRefused as refusal:
        payments.change(payment, PaymentStatus.FAILED, cause=f"{cause}: the provider refused: {refusal}")
        raise
    payments.change(
        payment,
        PaymentStatus.PENDING,
        cause=cause,
        provider_id=checkout.provider_id,
        payment_url=checkout.url,
        expires_at=checkout.expires_at or payment.created_at + LIFETIME,
        next_check_at=timezone.now() + timedelta(minutes=1),
    )


# Of a checkout whose provider does not say when it ends.
LIFETIME = timedelta(hours=24)
