"""The only writer of the double-entry ledger.

The entries of a transaction sum to zero. The database rejects a negative wallet and a changed or deleted row on every
engine, and an unbalanced transaction on PostgreSQL.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Q, QuerySet, Value

from accounts.models import User
from billing.errors import InsufficientBalance
from billing.fields import MoneyField
from billing.models import Account, Entry, SystemAccount, Transaction, TransactionType
from billing.signals import debt_paid
from zenzefi.common.hundredths import ZERO


@dataclass(frozen=True)
class Move:
    """A movement of a wallet: the transaction, its signed amount and the balance after it, in ZNC."""

    transaction: Transaction
    amount: Decimal
    balance: Decimal


def open_wallet(user: User) -> Account:
    """Create the empty wallet of a new user."""
    return Account.objects.create(user=user, balance=ZERO)


def open_system_accounts() -> None:
    """Create the accounts of `SystemAccount` that do not exist yet."""
    Account.objects.bulk_create((Account(code=code) for code in SystemAccount), ignore_conflicts=True)


def balance(user: User) -> Decimal:
    """Return the user's balance in ZNC, read from the database."""
    return Account.objects.values_list("balance", flat=True).get(user=user) or ZERO


def move(
    user: User,
    amount: Decimal,
    counterpart: SystemAccount,
    kind: TransactionType,
    description: str,
    *,
    actor: User | None = None,
    idempotency_key: str = "",
    reverses: Transaction | None = None,
) -> Move:
    """Move `amount` ZNC (negative for a debit) between the user's wallet and a system account.

    One conditional UPDATE changes the wallet, so that parallel debits cannot overdraw it on any engine.
    Raises `InsufficientBalance` if the wallet holds less than the debit, `ValueError` if the amount is zero.
    """
    if amount == ZERO:
        raise ValueError("The amount of a movement must not be zero.")
    posted = Transaction(
        type=kind, description=description, actor=actor, idempotency_key=idempotency_key, reverses=reverses
    )
    # No savepoint inside a caller's transaction: a failure ends it, and if the balance is too low nothing is written.
    with transaction.atomic(savepoint=False):
        # A bare Decimal in an expression with F() would be bound as a decimal number, not as hundredths.
        if _wallet_covering(user, amount).update(balance=F("balance") + Value(amount, output_field=MoneyField())):
            return _post(user, amount, counterpart, posted)
    raise InsufficientBalance(required=-amount, available=balance(user))


def _wallet_covering(user: User, amount: Decimal) -> QuerySet[Account]:
    """Return the user's wallet if it holds enough for a debit. Every credit is covered."""
    return Account.objects.filter(user=user, balance__gte=max(-amount, ZERO))


@transaction.atomic
def adjust(user: User, seen: Decimal, target: Decimal, description: str, *, actor: User) -> Move | None:
    """Set a wallet that holds `seen` ZNC to `target` ZNC. Return None if it no longer holds `seen` ZNC.

    An adjustment that raises the balance also pays the user's debt.
    """
    owed = balance_and_debt(user)[1] if target > seen else ZERO
    wallet = Account.objects.filter(user=user, balance=seen, **({"debt": owed} if owed else {}))
    if not wallet.update(balance=target + owed):
        return None
    adjustment = Transaction(type=TransactionType.ADJUSTMENT, description=description, actor=actor)
    return _post(user, target + owed - seen, SystemAccount.ADJUSTMENTS, adjustment)


def _post(user: User, amount: Decimal, counterpart: SystemAccount, posted: Transaction) -> Move:
    """Write the two entries of a wallet whose balance the same transaction has just changed."""
    accounts = {account.code: account for account in Account.objects.filter(Q(user=user) | Q(code=counterpart))}
    wallet = accounts[None]
    posted.save(force_insert=True)
    Entry.objects.bulk_create(
        [
            Entry(transaction=posted, account=wallet, amount=amount),
            Entry(transaction=posted, account=accounts[counterpart], amount=-amount),
        ]
    )
    moved = Move(posted, amount, wallet.balance or ZERO)
    owing = amount > ZERO and wallet.debt and counterpart != SystemAccount.RECEIVABLES
    return _pay_debt(user, moved, wallet.debt) if owing else moved


def balance_and_debt(user: User) -> tuple[Decimal, Decimal]:
    """Return the user's balance and debt in ZNC, read from the database."""
    balance_now, debt = Account.objects.values_list("balance", "debt").get(user=user)
    return balance_now or ZERO, debt


@transaction.atomic
def lend(user: User, missing: Decimal, description: str, *, actor: User | None = None) -> Move:
    """Credit a wallet with the missing amount and add it to the user's debt, which later credits pay first."""
    more = Value(missing, output_field=MoneyField())
    Account.objects.filter(user=user).update(balance=F("balance") + more, debt=F("debt") + more)
    loan = Transaction(type=TransactionType.ADJUSTMENT, description=description, actor=actor)
    return _post(user, missing, SystemAccount.RECEIVABLES, loan)


def _pay_debt(user: User, credited: Move, owed: Decimal) -> Move:
    """Pay the debt from a credit to a wallet that this transaction has locked.

    Return the credit with the balance after the payment.
    """
    paid = min(owed, credited.balance)
    less = Value(paid, output_field=MoneyField())
    Account.objects.filter(user=user).update(balance=F("balance") - less, debt=F("debt") - less)
    payment = Transaction(
        type=TransactionType.ADJUSTMENT,
        description="Debt paid" if paid == owed else "Debt paid in part",
        actor=credited.transaction.actor,
    )
    balance_after = _post(user, -paid, SystemAccount.RECEIVABLES, payment).balance
    if paid == owed:
        debt_paid.send(sender=Account, user=user)
    return replace(credited, balance=balance_after)
