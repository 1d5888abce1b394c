"""From a wish to pay to the provider's checkout: claimed in the database, asked for outside of it, then noted."""

from datetime import timedelta

from billing import payments, provider_leases, providers
from billing.errors import ProviderRefused, ProviderUnavailable
from billing.models import Payment, PaymentStatus

# Of a checkout whose provider does not say when it ends.
LIFETIME = timedelta(hours=24)


def open_checkout(payment: Payment, *, cause: str) -> None:
    """Ask the provider for the checkout of a created payment that the caller has claimed.

    A repetition, also after a crash, sends the same idempotence key and gets the same checkout. Raises
    `ProviderUnavailable` (the payment stays as it is, and may be claimed at once) and `ProviderRefused` (it has
    failed).
    """
    try:
        checkout = providers.for_payment(payment).create(payment)
    except ProviderUnavailable:
        provider_leases.release(payment)
        raise
    except ProviderRefused as refusal:
        payments.change(payment, PaymentStatus.FAILED, cause=f"{cause}: the provider refused: {refusal}")
        raise
    opened = payments.change(
        payment,
        PaymentStatus.PENDING,
        cause=cause,
        provider_id=checkout.provider_id,
        payment_url=checkout.url,
        expires_at=checkout.expires_at or payment.created_at + LIFETIME,
        next_check_at=provider_leases.first_deadline(),
    )
    if not opened:  # somebody else did, after this one's lease
        payment.refresh_from_db()
