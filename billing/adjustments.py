"""Balance adjustments by operators, with a reason that the user sees."""

from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

from accounts import audit
from accounts.models import User
from billing import ledger
from billing.errors import BalanceInMotion
from billing.fields import MAX_BALANCE
from billing.ledger import Move
from zenzefi.common.hundredths import CENT
from zenzefi.common.reasons import check_reason

_ATTEMPTS = 20


@transaction.atomic
def adjust_balance(user: User, new_balance: Decimal, *, actor: User, reason: str) -> Move | None:
    """Set the user's balance to `new_balance` ZNC by an adjustment. Return None if it is that already.

    The user sees the reason in the history. Raises `ValidationError` for a missing reason or for a balance that is
    negative, above `MAX_BALANCE` or finer than 0.01, `BalanceInMotion` if the balance keeps changing meanwhile.
    """
    reason = reason.strip()
    _check_adjustment(new_balance, reason)
    for _attempt in range(_ATTEMPTS):
        seen = ledger.balance(user)
        if seen == new_balance:
            return None
        moved = ledger.adjust(user, seen, new_balance, reason, actor=actor)
        if moved:
            audit.record("balance_adjusted", user, actor=actor, reason=reason, **_details(seen, moved))
            return moved
    raise BalanceInMotion


def _check_adjustment(new_balance: Decimal, reason: str) -> None:
    check_reason(reason, missing=_("Give a reason for changing the balance."))
    if not 0 <= new_balance <= MAX_BALANCE or new_balance != new_balance.quantize(CENT):
        raise ValidationError(
            {"currency_balance": [_("The balance must be zero or more, with at most two decimals.")]}
        )


def _details(seen: Decimal, moved: Move) -> dict[str, str]:
    return {"transaction_id": str(moved.transaction.pk), "before": str(seen), "after": str(moved.balance)}
