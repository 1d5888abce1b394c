"""The double-entry ledger, and its only writer.

A transaction is a set of entries that sum to zero. The database refuses the rest: a negative wallet and a
changed or deleted row on every engine, an unbalanced transaction on PostgreSQL.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Q, Sum, Value

from accounts.models import User
from billing.errors import InsufficientBalance
from billing.fields import MoneyField
from billing.models import Account, Entry, SystemAccount, Transaction, TransactionType

ZERO = Decimal("0.00")


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


@transaction.atomic
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
    # The debit's guard; a credit always fits, also with a wallet at zero.
    wallets = Account.objects.filter(user=user, balance__gte=max(-amount, ZERO))
    # A bare Decimal beside F() would be bound as a decimal number, not as hundredths.
    if not wallets.update(balance=F("balance") + Value(amount, output_field=MoneyField())):
        raise InsufficientBalance(required=-amount, available=balance(user))
    return _post(
        user,
        amount,
        counterpart,
        Transaction(
            type=kind,
            description=description,
            actor=actor,
            idempotency_key=idempotency_key,
            reverses=reverses,
        ),
    )


@transaction.atomic
def adjust(user: User, seen: Decimal, target: Decimal, description: str, *, actor: User) -> Move | None:
    """Bring a wallet that holds `seen` ZNC to `target` ZNC; None where it holds something else by now."""
    if not Account.objects.filter(user=user, balance=seen).update(balance=target):
        return None
    adjustment = Transaction(type=TransactionType.ADJUSTMENT, description=description, actor=actor)
    return _post(user, target - seen, SystemAccount.ADJUSTMENTS, adjustment)


def _post(user: User, amount: Decimal, counterpart: SystemAccount, posted: Transaction) -> Move:
    """Write the two entries of a wallet that was moved just before, in the same transaction."""
    wallet = Account.objects.get(user=user)
    posted.save(force_insert=True)
    Entry.objects.bulk_create(
        [
            Entry(transaction=posted, account=wallet, amount=amount),
            Entry(transaction=posted, account=Account.objects.get(code=counterpart), amount=-amount),
        ]
    )
    return Move(posted, amount, wallet.balance or ZERO)


@dataclass(frozen=True)
class Discrepancy:
    """One thing that is off in the ledger: what, which row, and how."""

    what: str
    row: str
    detail: str

    def __str__(self) -> str:
        return f"{self.what} {self.row}: {self.detail}"


def verify() -> list[Discrepancy]:
    """Recompute every transaction and wallet from its entries; empty where all of it holds."""
    return [*_unbalanced_transactions(), *_wrong_wallets()]


def _unbalanced_transactions() -> Iterator[Discrepancy]:
    sums = Transaction.objects.order_by("created_at").annotate(total=Sum("entries__amount"))
    for row in sums.filter(Q(total__isnull=True) | ~Q(total=ZERO)).iterator():
        found = "has no entries" if row.total is None else f"sums to {row.total} ZNC"
        yield Discrepancy("transaction", str(row.pk), found)


def _wrong_wallets() -> Iterator[Discrepancy]:
    wallets = Account.objects.filter(user__isnull=False).annotate(total=Sum("entries__amount"))
    for row in wallets.iterator():
        total = row.total or ZERO
        if row.balance != total:
            yield Discrepancy("wallet", str(row.pk), f"shows {row.balance} ZNC, its entries sum to {total} ZNC")
