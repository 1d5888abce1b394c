"""What billing knows of a user, for her to take along."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import F

from accounts.models import User
from billing import ledger, selectors
from billing.models import CURRENCY


def sections(user: User) -> dict[str, Iterable[Mapping[str, Any]]]:
    """Rows by the name of the file that they become."""
    return {
        "balance": [{"balance": ledger.balance(user), "currency": CURRENCY}],
        "transactions": selectors.history(user)
        .values(
            "transaction_id",
            "amount",
            transaction_type=F("transaction__type"),
            description=F("transaction__description"),
            created_at=F("transaction__created_at"),
        )
        .iterator(),
        "payments": selectors.payments_of(user).values("id", "amount", "provider", "status", "created_at").iterator(),
    }
