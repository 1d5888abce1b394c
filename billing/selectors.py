"""The transactions and payments that users see."""

from datetime import datetime

from django.db.models import QuerySet

from accounts.models import User
from billing.models import Entry, Payment


def history(
    user: User, transaction_type: str = "", *, since: datetime | None = None, until: datetime | None = None
) -> QuerySet[Entry]:
    """Return the entries of the user's wallet with their transactions, newest first.

    Optionally only those of one type, from `since` (included) to `until` (excluded).
    """
    entries = Entry.objects.filter(account__user=user).select_related("transaction").order_by("-id")
    if transaction_type:
        entries = entries.filter(transaction__type=transaction_type)
    if since:
        entries = entries.filter(transaction__created_at__gte=since)
    return entries.filter(transaction__created_at__lt=until) if until else entries


def payments_of(user: User) -> QuerySet[Payment]:
    """Return the user's payments, newest first."""
    return Payment.objects.filter(user=user).order_by("-created_at", "-id")


def credited_payments() -> QuerySet[Payment]:
    """Return the payments that were credited, and so have a receipt, with their users and transactions."""
    return Payment.objects.select_related("user", "transaction").filter(transaction__isnull=False)
