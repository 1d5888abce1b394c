"""Deletion of an account: tokens are refunded, credits given up, personal data erased; the books stay."""

from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError

from access import selectors
from access import services as access
from accounts import services as accounts
from accounts.models import User
from billing import adjustments, ledger
from billing.idempotency import Call
from proxy import personal_data

_REASON = "Given up when the account was deleted"


@dataclass(frozen=True)
class DeletionPreview:
    """The active tokens that a deletion would revoke, and the credits that it would forfeit; amounts in ZNC."""

    tokens: int
    refund: Decimal
    balance: Decimal

    @property
    def forfeited(self) -> Decimal:
        """Return the balance after all refunds."""
        return self.balance + self.refund


def preview(user: User) -> DeletionPreview:
    """Return the consequences of a deletion at this moment."""
    now = timezone.now()
    tokens = list(selectors.tokens_of(user, active_only=True))
    refund = sum((selectors.refund_quote(token, now).amount for token in tokens), Decimal("0.00"))
    return DeletionPreview(len(tokens), refund, ledger.balance(user))


@transaction.atomic
def delete_account(user: User, *, gives_up_credits: bool) -> None:
    """Delete the account. Revoke its tokens with their refunds; keep its ledger and the audit trail.

    Raise `ValidationError` if credits are left and the user does not forfeit them, and for the last operator.
    """
    call = Call(user, "account/delete", key="", body=None)
    for token in selectors.tokens_of(user, active_only=True):
        access.revoke_with_refund(call, token.pk)
    if ledger.balance(user):
        if not gives_up_credits:
            raise ValidationError({"gives_up_credits": [_("You still have credits. Tick the box to give them up.")]})
        adjustments.adjust_balance(user, Decimal("0.00"), actor=user, reason=_REASON)
    accounts.anonymise(user)
    personal_data.forget_deleted_users()
