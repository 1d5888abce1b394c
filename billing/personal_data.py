"""The data of billing in a user's data export."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import F

from accounts.models import User
from billing import ledger, selectors
from billing.models import CURRENCY


def sections(user: User) -> dict[str, Iterable[Mapping[str, Any]]]:
    """Return the rows of each file of the export, by file name."""
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
