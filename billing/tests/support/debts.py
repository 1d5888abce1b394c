"""Spending and debts of a wallet."""

from decimal import Decimal

from django.db.models import Sum

from billing import ledger, verification
from billing.models import Account, Entry, SystemAccount, Transaction, TransactionType


def spend(user, amount):
    return ledger.move(user, -Decimal(amount), SystemAccount.REVENUE, TransactionType.PURCHASE, "a thing")


def balance_and_debt(user):
    """Return the balance and the debt of a user, after checking the debt against the entries."""
    wallet = Account.objects.get(user=user)
    lent = Transaction.objects.filter(entries__account__code=SystemAccount.RECEIVABLES)
    derived = Entry.objects.filter(account=wallet, transaction__in=lent).aggregate(sum=Sum("amount"))["sum"]
    assert wallet.debt == (derived or 0)
    assert verification.verify() == []
    return wallet.balance, wallet.debt
