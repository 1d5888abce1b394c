"""Credits that must be taken back although they may be spent: a wallet is never negative, the rest becomes a debt.

In the ledger, what is lacking is lent to the wallet by the receivables, and the whole amount is then taken from it.
So a user's debt is what the transactions of the wallet with the receivables sum to, and each is seen in the history.
Any later credit pays the debt first.
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
    """Move `amount` ZNC from the wallet back to the deposits; what it lacks, the user owes from now on."""
    # Held first: nothing is spent between the reading and the taking.
    Account.objects.filter(user=user).update(balance=F("balance"))
    lacking = amount - ledger.balance(user)
    if lacking > 0:
        ledger.lend(user, lacking, f"Owed: {description}", actor=actor)
    ledger.move(user, -amount, SystemAccount.DEPOSITS, TransactionType.ADJUSTMENT, description, actor=actor)
    if lacking > 0:
        debt_incurred.send(sender=Account, user=user)


def give_back(user: User, amount: Decimal, description: str, *, actor: User | None = None) -> None:
    """Undo `take_back`: the money did not go back after all."""
    ledger.move(user, amount, SystemAccount.DEPOSITS, TransactionType.ADJUSTMENT, description, actor=actor)
