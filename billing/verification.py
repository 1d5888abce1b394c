"""Verification of the ledger: recompute its transactions and wallets by queries over whole tables.

Each check yields the discrepancies that it finds. Other modules and layers above add their checks by `register`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Count, ExpressionWrapper, F, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce

from accounts.models import User
from billing.fields import MoneyField
from billing.models import Account, Entry, SystemAccount, Transaction, TransactionType
from billing.snapshot import snapshot

NOTHING = Value(Decimal(0), output_field=MoneyField())


@dataclass(frozen=True)
class Discrepancy:
    """One discrepancy: the kind of row, its key, and a description."""

    what: str
    row: str
    detail: str

    def __str__(self) -> str:
        return f"{self.what} {self.row}: {self.detail}"


Check = Callable[[], Iterable[Discrepancy]]


def verify() -> list[Discrepancy]:
    """Recompute every transaction and wallet from its entries. Return the discrepancies."""
    return list(_run(_LEDGER_CHECKS))


def verify_all() -> Iterator[Discrepancy]:
    """Yield the discrepancies found by the checks of the ledger and all registered checks, in one snapshot."""
    return _run([*_LEDGER_CHECKS, *_registered])


def register(check: Check) -> Check:
    """Add a check to `verify_all`. Works as a decorator."""
    _registered.append(check)
    return check


_registered: list[Check] = []


def _run(checks: Iterable[Check]) -> Iterator[Discrepancy]:
    with snapshot():
        for check in checks:
            yield from check()


def moved(kind: TransactionType) -> Coalesce:
    """Return the sum of a wallet's entries of one type, as an expression for `wallets().annotate(…)`."""
    return Coalesce(Sum("entries__amount", filter=Q(entries__transaction__type=kind)), NOTHING)


def paid() -> ExpressionWrapper[Any]:
    """Return the total cost of a wallet's purchases, as an expression for `wallets().annotate(…)`."""
    return ExpressionWrapper(NOTHING - moved(TransactionType.PURCHASE), output_field=MoneyField())


def wallets() -> QuerySet[Account]:
    """Return the accounts that are wallets, in a stable order."""
    return Account.objects.filter(user__isnull=False).order_by("pk")


def _transactions() -> Iterator[Discrepancy]:
    """Check that each transaction has two entries that sum to zero, one of them on a wallet."""
    shapes = Transaction.objects.order_by("created_at", "pk").annotate(
        total=Coalesce(Sum("entries__amount"), NOTHING),
        size=Count("entries"),
        on_wallets=Count("entries__account__user"),
    )
    wrong = shapes.exclude(total=0, size=2, on_wallets=1).values_list("pk", "total", "size", "on_wallets")
    for pk, total, size, on_wallets in wrong.iterator():
        yield Discrepancy("transaction", str(pk), _shape(total, size, on_wallets))


def _shape(total: Decimal, size: int, on_wallets: int) -> str:
    if not size:
        return "has no entries"
    if total:
        return f"sums to {total} ZNC"
    return (
        f"has {size} entries, {on_wallets} of them on wallets, instead of one on a wallet and one on a system account"
    )


def _wallets() -> Iterator[Discrepancy]:
    """Check that each user has a wallet, and that its balance is the sum of its entries and not negative."""
    sums = wallets().annotate(total=Coalesce(Sum("entries__amount"), NOTHING))
    wrong = sums.filter(~Q(balance=F("total")) | Q(balance__lt=0)).values_list("pk", "balance", "total")
    for pk, shown, total in wrong.iterator():
        yield Discrepancy("wallet", str(pk), f"shows {shown} ZNC, its entries sum to {total} ZNC")
    for pk in User.objects.filter(wallet__isnull=True).order_by("pk").values_list("pk", flat=True).iterator():
        yield Discrepancy("user", str(pk), "has no wallet")


def _debts() -> Iterator[Discrepancy]:
    """Check that each debt is the sum of the wallet's transactions with the receivables, and leaves no balance."""
    lent = Q(entries__transaction__in=Transaction.objects.filter(entries__account__code=SystemAccount.RECEIVABLES))
    sums = wallets().annotate(owed=Coalesce(Sum("entries__amount", filter=lent), NOTHING))
    wrong = sums.filter(~Q(debt=F("owed")) | Q(debt__gt=0, balance__gt=0)).values_list(
        "pk", "debt", "owed", "balance"
    )
    for pk, shown, owed, balance in wrong.iterator():
        found = f"shows a debt of {shown} ZNC and a balance of {balance} ZNC, its entries sum to a debt of {owed} ZNC"
        yield Discrepancy("wallet", str(pk), found)


def _refunds() -> Iterator[Discrepancy]:
    """Check that no wallet was refunded more than it paid."""
    sums = wallets().annotate(paid=paid(), given_back=moved(TransactionType.REFUND))
    wrong = sums.filter(given_back__gt=F("paid")).values_list("pk", "paid", "given_back")
    for pk, price, given_back in wrong.iterator():
        yield Discrepancy("wallet", str(pk), f"was refunded {given_back} ZNC but paid {price} ZNC")


def _reversals() -> Iterator[Discrepancy]:
    """Check that each reversal moves the same wallet in the opposite direction, by at most the original amount."""
    reversed_rows: dict[str, Any] = {"transaction__reverses__entries__account": F("account")}
    reversals = Entry.objects.filter(account__user__isnull=False, transaction__reverses__isnull=False).annotate(
        original=Sum("transaction__reverses__entries__amount", filter=Q(**reversed_rows)),
    )
    rows = reversals.order_by("pk").values_list("transaction", "transaction__reverses", "amount", "original")
    for pk, reverses, amount, original in rows.iterator():
        if original is None:
            yield Discrepancy("transaction", str(pk), f"reverses {reverses}, which did not move this wallet")
        elif amount * original > 0 or abs(amount) > abs(original):
            yield Discrepancy("transaction", str(pk), f"moves {amount} ZNC to reverse {reverses} of {original} ZNC")


_LEDGER_CHECKS: tuple[Check, ...] = (_transactions, _wallets, _debts, _refunds, _reversals)
