"""What a user sees of their money. Reads only."""

from django.db.models import QuerySet

from accounts.models import User
from billing.models import Entry, Payment


def history(user: User, transaction_type: str = "") -> QuerySet[Entry]:
    """The entries of the user's wallet with their transactions, newest first; of one type, where given."""
    entries = Entry.objects.filter(account__user=user).select_related("transaction").order_by("-id")
    return entries.filter(transaction__type=transaction_type) if transaction_type else entries


def payments_of(user: User) -> QuerySet[Payment]:
    """The user's payments, newest first."""
    return Payment.objects.filter(user=user).order_by("-created_at", "-id")
