"""The double-entry ledger, and its only writer.

A transaction is a set of entries that sum to zero. The database refuses the rest: a negative wallet and a
changed or deleted row on every engine, an unbalanced transaction on PostgreSQL.
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
from billing.verification import verify as verify
from zenzefi.common.hundredths import ZERO


@dataclass(frozen=True)
class Move:
    """What a wallet's movement gave: the transaction, its signed amount and the new balance in ZNC."""

    transaction: Transaction
    amount: Decimal
    balance: Decimal


def open_wallet(user: User) -> Account:
    """The wallet of a new user, empty."""
    return Account.objects.create(user=user, balance=ZERO)


def open_system_accounts() -> None:
    """The accounts of `SystemAccount`; those that exist stay as they are."""
    Account.objects.bulk_create((Account(code=code) for code in SystemAccount), ignore_conflicts=True)


def balance(user: User) -> Decimal:
    """The user's balance in ZNC, read from the database now."""
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
    """Move `amount` ZNC (negative: a debit) between the user's wallet and a system account.

    The wallet moves by one conditional UPDATE, so that parallel debits cannot overdraw it on any engine.
    Raises `InsufficientBalance` where the wallet holds less than a debit, `ValueError` for an amount of zero.
    """
    if amount == ZERO:
        raise ValueError("A movement of zero is no movement.")
    posted = Transaction(
        type=kind, description=description, actor=actor, idempotency_key=idempotency_key, reverses=reverses
    )
    # Within a caller's transaction no savepoint: what fails here ends it, and the refusal below has written nothing.
    with transaction.atomic(savepoint=False):
        # A bare Decimal beside F() would be bound as a decimal number, not as hundredths.
        if _can_bear(user, amount).update(balance=F("balance") + Value(amount, output_field=MoneyField())):
            return _post(user, amount, counterpart, posted)
    raise InsufficientBalance(required=-amount, available=balance(user))


def _can_bear(user: User, amount: Decimal) -> QuerySet[Account]:
    """The wallet, where it holds enough for a debit; a credit always fits."""
    return Account.objects.filter(user=user, balance__gte=max(-amount, ZERO))


@transaction.atomic
def adjust(user: User, seen: Decimal, target: Decimal, description: str, *, actor: User) -> Move | None:
    """Bring a wallet that holds `seen` ZNC to `target` ZNC; None where it holds something else by now.

    Where that is more, the adjustment pays the user's debt as well.
    """
    owed = standing(user)[1] if target > seen else ZERO
    wallet = Account.objects.filter(user=user, balance=seen, **({"debt": owed} if owed else {}))
    if not wallet.update(balance=target + owed):
        return None
    adjustment = Transaction(type=TransactionType.ADJUSTMENT, description=description, actor=actor)
    return _post(user, target + owed - seen, SystemAccount.ADJUSTMENTS, adjustment)


def _post(user: User, amount: Decimal, counterpart: SystemAccount, posted: Transaction) -> Move:
    """Write the two entries of a wallet that was moved just before, in the same transaction."""
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


def standing(user: User) -> tuple[Decimal, Decimal]:
    """The user's balance and debt in ZNC, read from the database now."""
    balance_now, debt = Account.objects.values_list("balance", "debt").get(user=user)
    return balance_now or ZERO, debt


@transaction.atomic
def lend(user: User, lacking: Decimal, description: str, *, actor: User | None = None) -> Move:
    """Put what a wallet lacks into it, and note it as the user's debt, which the next credits pay first."""
    more = Value(lacking, output_field=MoneyField())
    Account.objects.filter(user=user).update(balance=F("balance") + more, debt=F("debt") + more)
    loan = Transaction(type=TransactionType.ADJUSTMENT, description=description, actor=actor)
    return _post(user, lacking, SystemAccount.RECEIVABLES, loan)


def _pay_debt(user: User, credited: Move, owed: Decimal) -> Move:
    """Let a credit pay the debt of a wallet that this transaction holds; the credit, with the balance after it."""
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
