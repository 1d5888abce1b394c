"""Deletion of an account: tokens are refunded, credits given up, personal data erased; the books stay."""

from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError

from access import selectors
from access import services as access
from access.errors import TokenNotActive
from accounts import locks
from accounts import services as accounts
from accounts.models import User
from billing import adjustments, idempotency, ledger, payments
from billing.idempotency import Call
from proxy import personal_data

_REASON = "Given up when the account was deleted"


@dataclass(frozen=True)
class DeletionPreview:
    """The consequences of a deletion: tokens revoked, credits forfeited, payments abandoned; amounts in ZNC."""

    tokens: int
    refund: Decimal
    balance: Decimal
    debt: Decimal
    open_payments: list[Decimal]

    @property
    def forfeited(self) -> Decimal:
        """Return the balance after all refunds, which pay a debt first."""
        return self.balance + max(self.refund - self.debt, Decimal("0.00"))


def preview(user: User) -> DeletionPreview:
    """Return the consequences of a deletion at this moment."""
    now = timezone.now()
    tokens = list(selectors.live_tokens_of(user, now).prefetch_related("segments"))
    refund = sum((selectors.refund_quote(token, now).amount for token in tokens), Decimal("0.00"))
    open_payments = list(payments.open_of(user).values_list("amount", flat=True))
    return DeletionPreview(len(tokens), refund, *ledger.balance_and_debt(user), open_payments)


@transaction.atomic
def delete_account(user: User, *, gives_up_credits: bool) -> None:
    """Delete the account. Revoke its tokens with their refunds; keep its ledger and the audit trail.

    The lock on the user makes all calls of the user either end before, or fail after. Raise `ValidationError` if
    credits are left and the user does not forfeit them, and for the last operator; `AccountClosed` if the user was
    blocked or deleted meanwhile.
    """
    locks.lock_active(user)
    _revoke_tokens(user)
    if ledger.balance(user):
        if not gives_up_credits:
            raise ValidationError({"gives_up_credits": [_("You still have credits. Tick the box to give them up.")]})
        adjustments.adjust_balance(user, Decimal("0.00"), actor=user, reason=_REASON)
    payments.abandon(user)
    idempotency.forget_user(user)
    accounts.anonymise(user)
    personal_data.forget_deleted_users()


def _revoke_tokens(user: User) -> None:
    """Revoke all tokens that have not ended. Frozen ones are not refunded."""
    call = Call(user, "account/delete", key="", body=None)
    for token in selectors.live_tokens_of(user, timezone.now()):
        try:
            access.revoke_with_refund(call, token.pk)
        except TokenNotActive:
            with suppress(TokenNotActive):
                access.revoke_by_force(token.pk, actor=user, reason="The account was deleted")
