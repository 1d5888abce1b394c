"""The ledger proves itself: everything that can be recomputed is, by statements over whole tables.

Each check gives what is off, streamed. A layer above adds what it knows of the money through `also`.
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
    """One thing that is off: what, which row, and how."""

    what: str
    row: str
    detail: str

    def __str__(self) -> str:
        return f"{self.what} {self.row}: {self.detail}"


Check = Callable[[], Iterable[Discrepancy]]


def verify() -> list[Discrepancy]:
    """Recompute every transaction and wallet from its entries; empty where all of it holds."""
    return list(_found(_LEDGER))


def verify_all() -> Iterator[Discrepancy]:
    """What `verify` finds and what the layers above find, one by one, all of one moment."""
    return _found([*_LEDGER, *_from_above])


def also(check: Check) -> Check:
    """Let `verify_all` run this check of a layer above, too."""
    _from_above.append(check)
    return check


_from_above: list[Check] = []


def _found(checks: Iterable[Check]) -> Iterator[Discrepancy]:
    with snapshot():
        for check in checks:
            yield from check()


def moved(kind: TransactionType) -> Coalesce:
    """The sum of a wallet's entries of one type, for `wallets().annotate(…)`."""
    return Coalesce(Sum("entries__amount", filter=Q(entries__transaction__type=kind)), NOTHING)


def paid() -> ExpressionWrapper[Any]:
    """What a wallet's purchases cost, for `wallets().annotate(…)`."""
    return ExpressionWrapper(NOTHING - moved(TransactionType.PURCHASE), output_field=MoneyField())


def wallets() -> QuerySet[Account]:
    return Account.objects.filter(user__isnull=False).order_by("pk")


def _transactions() -> Iterator[Discrepancy]:
    """Each has two entries that sum to zero, one of them on a wallet."""
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
    return f"has {size} entries, {on_wallets} of them on wallets, instead of a wallet's and a system account's"


def _wallets() -> Iterator[Discrepancy]:
    """Each shows the sum of its entries, and no less than nothing."""
    sums = wallets().annotate(total=Coalesce(Sum("entries__amount"), NOTHING))
    wrong = sums.filter(~Q(balance=F("total")) | Q(balance__lt=0)).values_list("pk", "balance", "total")
    for pk, shown, total in wrong.iterator():
        yield Discrepancy("wallet", str(pk), f"shows {shown} ZNC, its entries sum to {total} ZNC")
    for pk in User.objects.filter(wallet__isnull=True).order_by("pk").values_list("pk", flat=True).iterator():
        yield Discrepancy("user", str(pk), "has no wallet")


def _debts() -> Iterator[Discrepancy]:
    """Each is what the wallet's transactions with the receivables sum to, and leaves no balance beside it."""
    lent = Q(entries__transaction__in=Transaction.objects.filter(entries__account__code=SystemAccount.RECEIVABLES))
    sums = wallets().annotate(owed=Coalesce(Sum("entries__amount", filter=lent), NOTHING))
    wrong = sums.filter(~Q(debt=F("owed")) | Q(debt__gt=0, balance__gt=0)).values_list(
        "pk", "debt", "owed", "balance"
    )
    for pk, shown, owed, balance in wrong.iterator():
        found = f"shows a debt of {shown} ZNC beside {balance} ZNC, its entries sum to a debt of {owed} ZNC"
        yield Discrepancy("wallet", str(pk), found)


def _refunds() -> Iterator[Discrepancy]:
    """Nobody got back more than was paid."""
    sums = wallets().annotate(paid=paid(), given_back=moved(TransactionType.REFUND))
    wrong = sums.filter(given_back__gt=F("paid")).values_list("pk", "paid", "given_back")
    for pk, price, given_back in wrong.iterator():
        yield Discrepancy("wallet", str(pk), f"was refunded {given_back} ZNC, and had paid {price} ZNC")


def _reversals() -> Iterator[Discrepancy]:
    """Each moves the wallet of an earlier transaction the other way, by no more than that had moved it."""
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


_LEDGER: tuple[Check, ...] = (_transactions, _wallets, _debts, _refunds, _reversals)
