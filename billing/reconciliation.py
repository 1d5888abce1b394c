"""Comparison of payments with the books of their providers."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, timedelta

from billing import settlement
from billing.errors import ProviderError
from billing.models import CREDITED, Payment, PaymentStatus
from billing.providers.base import ProviderState
from zenzefi.common.time_zones import midnight


@dataclass(frozen=True)
class Difference:
    """One difference between a payment and its provider's books."""

    payment: Payment
    found: str


def reconcile(first: date, last: date) -> Iterator[Difference]:
    """Yield the differences of the payments created from `first` to `last` (UTC days, both included).

    Fetches the state of each payment from its provider, one after the other. Changes nothing.
    """
    begin = midnight(first, UTC)
    end = midnight(last + timedelta(days=1), UTC)
    begun = Payment.objects.filter(created_at__gte=begin, created_at__lt=end).select_related("user")
    for payment in begun.exclude(provider_id="").order_by("created_at", "id").iterator():
        for found in _compare(payment):
            yield Difference(payment, found)


def _compare(payment: Payment) -> Iterator[str]:
    try:
        state = settlement.fetch_state(payment).state
    except ProviderError as error:
        yield f"the provider could not be queried: {error}"
        return
    payment.refresh_from_db()  # a webhook may have arrived during the call
    paid, credited = state.status == PaymentStatus.SUCCEEDED, payment.status in CREDITED
    if paid and not credited:
        yield "paid but not credited"
    if credited and not paid:
        yield f"credited but not paid: {state.status}"
    yield from _amounts(payment, state)


def _amounts(payment: Payment, state: ProviderState) -> Iterator[str]:
    if (state.amount, state.currency) != (payment.provider_amount, payment.provider_currency):
        yield f"amounts differ: {state.amount} {state.currency} at the provider"
    if payment.status not in CREDITED:
        return
    if state.refunded != payment.provider_refunded:
        yield f"refunds differ: {state.refunded} at the provider, {payment.provider_refunded} here"
    if state.disputed != (payment.status == PaymentStatus.DISPUTED):
        yield "disputed at the provider, not here" if state.disputed else "disputed here, not at the provider"
