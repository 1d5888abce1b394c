"""Provider checkouts: requested outside of any transaction for a payment whose lease the caller holds."""

from datetime import timedelta

from billing import payments, provider_leases, providers
from billing.errors import ProviderRefused, ProviderUnavailable
from billing.models import Payment, PaymentStatus

# How long a checkout is valid if the provider does not say.
CHECKOUT_LIFETIME = timedelta(hours=24)


def open_checkout(payment: Payment, *, cause: str) -> None:
    """Request the checkout of a created payment whose provider lease the caller holds.

    A repeated call, even after a crash, sends the same idempotence key and returns the same checkout.

    Raises `ProviderUnavailable` if there is no response: the payment is unchanged, and its lease is released. Raises
    `ProviderRefused` if the provider refuses: the payment has failed.
    """
    try:
        checkout = providers.for_payment(payment).create(payment)
    except ProviderUnavailable:
        provider_leases.release(payment)
        raise
    except ProviderRefused as error:
        payments.change(payment, PaymentStatus.FAILED, cause=f"{cause}: the provider refused: {error}")
        raise
    opened = payments.change(
        payment,
        PaymentStatus.PENDING,
        cause=cause,
        provider_id=checkout.provider_id,
        payment_url=checkout.url,
        expires_at=checkout.expires_at or payment.created_at + CHECKOUT_LIFETIME,
        next_check_at=provider_leases.first_deadline(),
    )
    if not opened:  # another worker opened it after this lease ended
        payment.refresh_from_db()
