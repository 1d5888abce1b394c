"""What users and operators do with money. The refusals are those of `billing.errors`."""

from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

from accounts import audit
from accounts.models import User
from billing import ledger, providers, selectors
from billing.errors import BalanceInMotion
from billing.fields import CENT, MAX_BALANCE
from billing.idempotency import Call, once
from billing.ledger import Move
from billing.models import Payment, PaymentStatus, SystemAccount, TransactionType

_ATTEMPTS = 20


def create_payment(call: Call, amount: Decimal, payment_method: str = "") -> Payment:
    """A pending payment of the caller, to be paid at the provider's checkout.

    Raises `PaymentsUnavailable` where no provider is configured.
    """
    provider = providers.configured()

    def act() -> tuple[Payment, dict[str, Any]]:
        payment = Payment.objects.create(
            user=call.user, amount=amount, provider=provider.name, payment_method=payment_method
        )
        return payment, {"payment_id": str(payment.pk)}

    return once(call, act, _payment_as_created)


def _payment_as_created(ids: dict[str, Any]) -> Payment:
    payment = Payment.objects.get(pk=ids["payment_id"])
    # The first answer is given again, whatever has become of the payment.
    payment.status = PaymentStatus.PENDING
    return payment


def mock_purchase(call: Call, amount: Decimal) -> Move:
    """Credit the caller at once. Raises `PaymentsUnavailable` unless the mock provider is configured."""
    providers.require("mock")

    def act() -> tuple[Move, dict[str, Any]]:
        moved = ledger.move(
            call.user,
            amount,
            SystemAccount.DEPOSITS,
            TransactionType.DEPOSIT,
            "Top-up through mock",
            actor=call.user,
            idempotency_key=call.key,
        )
        return moved, {"transaction_id": str(moved.transaction.pk), "balance": str(moved.balance)}

    return once(call, act, lambda kept: _earlier_move(call.user, kept))


def _earlier_move(user: User, kept: dict[str, Any]) -> Move:
    entry = selectors.history(user).get(transaction=kept["transaction_id"])
    return Move(entry.transaction, entry.amount, Decimal(kept["balance"]))


@transaction.atomic
def adjust_balance(user: User, new_balance: Decimal, *, actor: User, reason: str) -> Move | None:
    """Bring the user's wallet to `new_balance` ZNC through an adjustment; None where it holds that already.

    The user sees the reason in the history. Raises `ValidationError` without a reason or for a balance that
    is negative, above `MAX_BALANCE` or finer than 0.01; `BalanceInMotion` where it keeps changing meanwhile.
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
    if not reason:
        raise ValidationError({"reason": [_("A balance is changed for a reason: say which.")]})
    if len(reason) > 500:
        raise ValidationError({"reason": [_("At most 500 characters.")]})
    if not 0 <= new_balance <= MAX_BALANCE or new_balance != new_balance.quantize(CENT):
        raise ValidationError({"currency_balance": [_("A balance is zero or above, with at most two decimals.")]})


def _details(seen: Decimal, moved: Move) -> dict[str, str]:
    return {"transaction_id": str(moved.transaction.pk), "before": str(seen), "after": str(moved.balance)}
