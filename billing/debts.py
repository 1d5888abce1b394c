"""Debts: credits that are taken back after the user has spent them.

A wallet is never negative. The receivables account lends the missing amount to the wallet, and then the whole amount
is taken from it. A user's debt is therefore the sum of the wallet's transactions with the receivables, all visible in
the history. Any later credit pays the debt first.
"""

from decimal import Decimal

from django.db import transaction
from django.db.models import F

from accounts.models import User
from billing import ledger
from billing.models import Account, SystemAccount, TransactionType
from billing.signals import debt_incurred


@transaction.atomic
def take_back(user: User, amount: Decimal, description: str, *, actor: User | None = None) -> None:
    """Move `amount` ZNC from the wallet back to the deposits. If the wallet holds less, the rest becomes a debt."""
    # Lock the wallet first, so that nothing is spent between the read and the debit.
    Account.objects.filter(user=user).update(balance=F("balance"))
    missing = amount - ledger.balance(user)
    if missing > 0:
        ledger.lend(user, missing, f"Owed: {description}", actor=actor)
    ledger.move(user, -amount, SystemAccount.DEPOSITS, TransactionType.ADJUSTMENT, description, actor=actor)
    if missing > 0:
        debt_incurred.send(sender=Account, user=user)


def give_back(user: User, amount: Decimal, description: str, *, actor: User | None = None) -> None:
    """Undo `take_back` of `amount` ZNC, because the money was not returned after all."""
    ledger.move(user, amount, SystemAccount.DEPOSITS, TransactionType.ADJUSTMENT, description, actor=actor)
